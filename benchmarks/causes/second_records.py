"""Trades, histories and calendar of the second generator; see `second.py`.

A bad model knows nothing: whatever it claims, the base rate comes true. A bad setup wins at a rate
drawn low. Traders work in sessions; under stress they double after losses, trade through the
night, or move a stop.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from .market import iso, judge
from .truth import MATERIAL_R

if TYPE_CHECKING:
    from .second import Plan

_LOT = 10_000.0
_DAY = 86_400


@dataclass
class Deal:
    """The executed trade; `spread` in points where it replaces the market's, else zero."""

    trade: dict[str, Any]
    last: int
    r: float
    saved: float = 0.0
    spread: np.ndarray = field(default_factory=lambda: np.zeros(1))


def deal(rng: np.random.Generator, plan: Plan) -> Deal | None:
    if plan.kind == "spread_slippage":
        return _dear(rng, plan)
    if plan.verdict.hit == 1 or plan.verdict.r > -0.15:
        return None
    if plan.kind == "user_psychology":
        plan.subtype = str(rng.choice(["revenge", "overtrading", "stop_widened"]))
        if plan.subtype == "stop_widened":
            return _moved(rng, plan)
    return _plain(rng, plan)


def _fills(plan: Plan, entry: float, wanted: float, got: float, bar: int) -> dict[str, Any]:
    flow = plan.flow
    digits = flow.symbol[2] + 1
    stop = round((plan.entry - plan.side * plan.risk) * flow.point, digits)
    return {
        "requested_entry": round(plan.entry * flow.point, digits),
        "entry": round(entry * flow.point, digits),
        "entry_time": iso(flow.time[plan.at]),
        "requested_exit": round(wanted * flow.point, digits),
        "exit": round(got * flow.point, digits),
        "exit_time": iso(flow.time[bar] + 0.9 * (flow.time[1] - flow.time[0])),
        "exit_reason": "sl",
        "quantity": _LOT,
        "stop_loss_initial": stop,
        "stop_loss_final": stop,
        "commission": 0.0,
        "swap": None,
        "on_plan": None,
    }


def _plain(rng: np.random.Generator, plan: Plan) -> Deal | None:
    bar, side = plan.verdict.bar, plan.side
    spread = plan.flow.spreads(plan.events)
    entry = plan.entry + side * spread[plan.at] / 2
    close = float(plan.candles.close[bar])
    wanted = plan.entry - side * plan.risk if plan.verdict.hit == -1 else close
    missed = max(side * (wanted - close), 0.0) * rng.uniform(0, 0.25)
    trade = _fills(plan, entry, wanted, wanted - side * (spread[bar] / 2 + missed), bar)
    if plan.verdict.hit == 0:
        trade["exit_reason"] = "time"
    saved = 0.0
    if plan.subtype == "revenge":
        times = float(rng.choice([2, 4]) * rng.uniform(0.9, 1.1))
        trade["quantity"] = round(_LOT * times)
        saved = (times - 1) * -plan.verdict.r
    elif rng.random() < 0.15 and plan.kind != "user_psychology":
        trade |= {"quantity": _LOT * 2, "on_plan": True}
    r = plan.verdict.r if plan.hours else _r(plan, trade)
    return Deal(_written(trade), bar, r, saved) if r < -0.12 else None


def _written(trade: dict[str, Any]) -> dict[str, Any]:
    """The same with plain Python numbers."""
    return {name: x.item() if isinstance(x, np.generic) else x for name, x in trade.items()}


def _r(plan: Plan, trade: dict[str, Any]) -> float:
    risk = abs(trade["entry"] - trade["stop_loss_initial"])
    return float(plan.side * (trade["exit"] - trade["entry"]) / risk)


def _moved(rng: np.random.Generator, plan: Plan) -> Deal | None:
    """The stop was moved twice; the loss became as large as the last one allowed."""
    times = float(rng.uniform(1.4, 2.3))
    wide = int(plan.risk * times)
    verdict = judge(plan.candles, plan.at, plan.end, plan.side, wide, plan.reward)
    if verdict.hit != -1 or plan.verdict.hit != -1:
        return None
    level = plan.entry - plan.side * wide
    spread = plan.flow.spreads(plan.events)
    entry = plan.entry + plan.side * spread[plan.at] / 2
    left = level - plan.side * spread[verdict.bar] / 2
    trade = _fills(plan, entry, level, left, verdict.bar)
    trade["stop_loss_final"] = trade["requested_exit"]
    return Deal(_written(trade), verdict.bar, -1.0, times - 1)


def _dear(rng: np.random.Generator, plan: Plan) -> Deal | None:
    """A small gain at mid prices, entered and left through quotes several times as wide as usual,
    on an account that charges a commission on top."""
    side, flow = plan.side, plan.flow
    stop = plan.verdict.bar if plan.verdict.hit else plan.end
    bars = np.arange(plan.at + 6, min(stop, plan.end - 1))
    made = side * (plan.candles.close[bars] - plan.entry) / plan.risk
    fit = bars[(made > 0.02) & (made < 0.3)]
    if not fit.size:
        return None
    bar = int(fit[-1])
    paper = side * (float(plan.candles.close[bar]) - plan.entry) / plan.risk
    cost = (paper + rng.uniform(0.25, 0.7)) * plan.risk
    fees = cost * rng.uniform(0, 0.4)
    half = (cost - fees) / 2
    spread = flow.spreads(plan.events)
    spread[plan.at] = max(spread[plan.at], 2 * half * rng.uniform(0.6, 1))
    spread[bar] = max(spread[bar], 2 * half * rng.uniform(0.6, 1))
    close = float(plan.candles.close[bar])
    trade = _fills(plan, plan.entry + side * half, close, close - side * half, bar)
    trade |= {"exit_reason": "time", "commission": round(fees * flow.point * _LOT, 4)}
    r = _r(plan, trade) - fees / plan.risk
    return Deal(_written(trade), bar, r, paper - r, spread) if r < -0.15 else None


def histories(rng: np.random.Generator, plan: Plan) -> dict[str, Any] | None:
    """Score, model history, setup history, trade log; None where chance hid what was planted."""
    score = round(float(rng.uniform(53, 84)), 1)
    scores = rng.normal(score, 10, int(rng.integers(40, 90))).clip(5, 98)
    rate = scores / 100
    if plan.kind == "model_error":
        rate = np.full(scores.size, max(score / 100 - rng.uniform(0.28, 0.42), 0.08))
    won = rng.random(scores.size) < rate
    near = np.abs(scores - score) < 10
    if plan.kind == "model_error" and (scores[near] / 100).mean() - won[near].mean() < 0.15:
        return None
    setups = _setups(rng, plan)
    if setups is None:
        return None
    return {
        "score": score,
        "model_history": [
            {"score": round(float(s), 1), "won": bool(w)} for s, w in zip(scores, won, strict=True)
        ],
        "setup_history": setups,
        "trade_log": _log(rng, plan),
    }


def _setups(rng: np.random.Generator, plan: Plan) -> list[dict[str, Any]] | None:
    ratio = round(plan.reward / plan.risk, 2)
    even = 1 / (1 + ratio)
    rows: list[dict[str, Any]] = []
    total = int(rng.integers(70, 120))
    claimed = plan.claims[0] if plan.claims else "sweep"
    often = plan.kind == "false_positive" or rng.random() < 0.5
    count = int(rng.integers(22, 50)) if often else int(rng.integers(0, 12))
    second, third = (name for name in ("breakout", "fvg", "sweep") if name != claimed)
    share = int(rng.integers(0, total - count))
    for name, n in ((claimed, count), (second, share), (third, total - count - share)):
        bad = plan.kind == "false_positive" and name == claimed
        rate = even * rng.beta(6, 10) if bad else min(even + 0.2 * rng.beta(2, 2), 0.9)
        won = rng.random(n) < rate
        if bad and np.where(won, ratio, -1.0).mean() > -MATERIAL_R:
            return None
        rows += [{"setup": name, "won": bool(w), "reward_risk": ratio} for w in won]
    return [rows[i] for i in rng.permutation(len(rows)).tolist()]


def _log(rng: np.random.Generator, plan: Plan) -> list[dict[str, Any]]:
    """Some trades a day in working hours, over a month."""
    entry = int(plan.flow.time[plan.at])
    a_day = int(rng.integers(2, 5))
    times = [
        entry - day * _DAY - int(x)
        for day in range(30)
        for x in rng.uniform(3600, 12 * 3600, a_day)
    ]
    if plan.subtype == "overtrading":
        times += [entry - int(x) for x in rng.uniform(300, 7 * 3600, int(rng.integers(14, 24)))]
    else:
        times.append(entry - int(rng.uniform(240, 7200)))
    times.sort()
    r = np.where(rng.random(len(times)) < 0.45, 1.3, -1.0) * rng.uniform(0.6, 1.0, len(times))
    size = _LOT * rng.uniform(0.85, 1.15, len(times))
    if plan.subtype == "revenge":
        run = int(rng.integers(2, 4))
        r[-run:] = -np.abs(r[-run:])
        times[-1] = entry - int(rng.uniform(120, 1500))
    return [
        {"exit_time": iso(t), "r": round(float(x), 2), "quantity": round(float(q))}
        for t, x, q in zip(times, r, size, strict=True)
    ]


def calendar(rng: np.random.Generator, plan: Plan, candles: Any) -> list[dict[str, Any]]:
    """A dozen releases a week that passed without a trace, and the one that did not."""
    flow = plan.flow
    moved = np.abs(np.diff(np.log(candles.close.astype(float)), prepend=np.nan)) > 2.5 * flow.sigma
    busy = flow.time[moved]
    bar_s = int(flow.time[1] - flow.time[0])
    release = next((e.release_s for e in plan.events if e.release_s), 0)
    rows = []
    for moment in rng.integers(flow.time[0], flow.time[-1], int(rng.integers(4, 14))).tolist():
        moment -= moment % 900
        near = (busy >= moment - bar_s - 60) & (busy <= moment + 1500)
        if near.any() or abs(moment - release) < 3600:
            continue
        rows.append(_row(rng, moment, plan, float(rng.normal(0, 0.8))))
    if release:
        rows.append(_row(rng, release, plan, float(rng.choice([-1, 1]) * rng.uniform(1.3, 3))))
        rows[-1]["impact"] = str(rng.choice(["high", "medium"], p=[0.8, 0.2]))
    return sorted(rows, key=lambda row: str(row["time"]))


def _row(rng: np.random.Generator, moment: int, plan: Plan, surprise: float) -> dict[str, Any]:
    return {
        "time": iso(moment),
        "currency": str(rng.choice(plan.flow.symbol[6])),
        "impact": str(rng.choice(["high", "medium", "low"], p=[0.25, 0.35, 0.4])),
        "title": "Scheduled release",
        "surprise_z": round(surprise, 2) if rng.random() < 0.8 else None,
    }
