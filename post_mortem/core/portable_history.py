"""Portable histories: one JSON object in, a verdict out.

    {"id", "implemented_at", "trades": [{"time", "r", "covered", "cell"}],
     "assignment": null | [{"day", "arm"}], "trigger": null | {"window", "mean_r"}}

Reading is strict: a wrong value raises UserError with the path of its field. The order of trades
and days plays no part.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date

import numpy as np

from .impact import Impact, judge, judge_many
from .measurement import Assignment, History, MeasurementPlan, Trigger, make_history
from .reading import Fields, refuse, sequence

_EPOCH = date(1970, 1, 1)
_ARMS = {"on": 1, "off": 0}
_MOST_WINDOW = 1000


def judge_history(value: Mapping[str, object]) -> dict[str, object]:
    """The contract's answer to one portable history. Raises UserError."""
    history, plan = parse_history(value)
    return {"id": plan.scope_id, **answer(judge(history, plan))}


def judge_together(items: Sequence[tuple[History, MeasurementPlan]]) -> list[dict[str, object]]:
    """The answers to histories of one account, held to how many they are (`judge_many`)."""
    impacts = judge_many(items)
    return [
        {"id": plan.scope_id, **answer(impact)}
        for (_, plan), impact in zip(items, impacts, strict=True)
    ]


def parse_history(value: Mapping[str, object]) -> tuple[History, MeasurementPlan]:
    """History and plan of one portable history. Raises UserError."""
    top = Fields(value)
    plan = MeasurementPlan(top.text("id"), top.time("implemented_at"))
    trades = [Fields(each, f"trades[{i}]") for i, each in enumerate(_list(top, "trades"))]
    history = make_history(
        np.array([trade.time("time") for trade in trades], np.int64),
        np.array([trade.number("r") for trade in trades], np.float64),
        np.array([trade.flag("covered") for trade in trades], np.bool_),
        np.array([trade.text("cell") for trade in trades], np.str_),
        assignment=_assignment(top),
        trigger=_trigger(top),
    )
    return history, plan


def _list(top: Fields, name: str) -> list[object]:
    return list(sequence(top.must(name), name))


def _assignment(top: Fields) -> Assignment | None:
    rows = top.children("assignment")
    if rows is None:
        return None
    days: dict[int, bool] = {}
    for row in rows:
        text = row.text("day")
        try:
            day = (date.fromisoformat(text) - _EPOCH).days
        except ValueError:
            refuse("bad_day", f"expected YYYY-MM-DD, got {text!r}", row.at("day"))
        if day in days:
            refuse("duplicate_day", f"{text} is assigned twice", row.at("day"))
        days[day] = bool(row.choice("arm", _ARMS))
    return Assignment(np.array(list(days), np.int64), np.array(list(days.values()), np.bool_))


def _trigger(top: Fields) -> Trigger | None:
    if top.get("trigger") is None:
        return None
    row = top.child("trigger")
    window = row.number("window")
    if window != int(window) or not 1 <= window <= _MOST_WINDOW:
        detail = f"expected a whole number from 1 to {_MOST_WINDOW}"
        refuse("bad_window", detail, row.at("window"))
    return Trigger(int(window), row.number("mean_r"))


def answer(impact: Impact) -> dict[str, object]:
    """The contract's fields of a verdict."""
    return {
        "verdict": impact.verdict,
        "estimate_r": impact.estimate_r,
        "ci": None if impact.ci is None else list(impact.ci),
        "raw_before_after_r": impact.raw_before_after_r,
        "expected_rebound_r": impact.expected_rebound_r,
        "n_before": impact.n_before,
        "n_after": impact.n_after,
        "look": list(impact.look),
        "more_trades_needed": impact.more_trades_needed,
    }


def dump_history(name: str, history: History, plan: MeasurementPlan) -> str:
    """A history as the JSON text that `parse_history` reads."""
    assignment, trigger = history.assignment, history.trigger
    return json.dumps(
        {
            "id": name,
            "implemented_at": _iso(plan.implemented_at),
            "trades": [
                {"time": _iso(t), "r": r, "covered": c, "cell": history.cells[k]}
                for t, r, c, k in zip(
                    history.time.tolist(),
                    history.r.tolist(),
                    history.covered.tolist(),
                    history.cell.tolist(),
                    strict=True,
                )
            ],
            "assignment": None
            if assignment is None
            else [
                {"day": str(np.datetime64(day, "D")), "arm": "on" if on else "off"}
                for day, on in zip(assignment.day.tolist(), assignment.on.tolist(), strict=True)
            ],
            "trigger": None
            if trigger is None
            else {"window": trigger.window, "mean_r": trigger.mean_r},
        },
        allow_nan=False,
    )


def _iso(time: int) -> str:
    return f"{np.datetime64(time // 1000, 'us')}+00:00"
