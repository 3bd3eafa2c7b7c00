"""Measurement plans: frozen when advice is implemented, ended when it no longer is.

A plan says how its advice will be judged before the first trade that could be judged. Nothing in
it is ever changed; its hash shows whether somebody did. Another scope or another start is another
plan with the next number.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any, Final

import numpy as np

from post_mortem.core.measurement import MeasurementPlan as Measurement
from post_mortem.core.measurement import Trigger
from post_mortem.core.scope import YES, covers, scope_id, sentence
from post_mortem.models import MeasurementPlan, RecommendationTracking
from post_mortem.selectors.columns import nanoseconds
from post_mortem.selectors.scoped_trades import AccountTrades, account_trades
from trading.core.errors import UserError

End = MeasurementPlan.End

LAYOUT: Final = 1
# The run of results that sets advice off: as deep as in the simulations the method was tuned on.
RUN_LENGTH: Final = 10
RUN_MEAN_R: Final = -0.45
COMPARISON: Final = (
    "Trades of the same account in the same time that this advice does not cover, and that no "
    "other advice implemented in that time covers."
)


def start_plan(*, row: RecommendationTracking, user: Any, now: datetime) -> MeasurementPlan:
    """Freeze the next plan of a recommendation that is implemented from `now` on. One that still
    runs is ended first. The caller holds the transaction."""
    end_plan(row=row, reason=End.REPLACED, now=now)
    number = row.measurement_plans.count() + 1
    trades = account_trades(row.account)
    data = frozen(row, trades, now)
    # What another plan measured says nothing about this one.
    RecommendationTracking.objects.filter(pk=row.pk).update(impact_score=None)
    row.impact_score = None
    return MeasurementPlan.objects.create(
        recommendation=row,
        number=number,
        data=data,
        sha256=data_hash(data),
        implemented_at=now,
        made_by=user,
    )


def end_plan(*, row: RecommendationTracking, reason: str, now: datetime) -> None:
    """End the running plan, if there is one. Where no covered trade was opened since it was
    frozen, it was taken back: nothing was ever measured."""
    running = row.measurement_plans.filter(ended_at=None).first()
    if running is None:
        return
    if reason == End.LEFT and not covered_since(running, now):
        reason = End.TAKEN_BACK
    running.ended_at, running.end_reason = now, reason
    running.save(update_fields=["ended_at", "end_reason"])


def resume_plan(*, row: RecommendationTracking, ended_at: datetime, now: datetime) -> bool:
    """Let the plan that was ended at `ended_at` run on, as if it had not been ended. False where
    there is none, or where a covered trade was opened in between."""
    plans = list(row.measurement_plans.all())
    last = next((plan for plan in plans if plan.ended_at == ended_at), None)
    if last is None or covered_since(last, now, since=ended_at):
        return False
    later = [plan for plan in plans if plan.number > last.number]
    if any(covered_since(plan, now) for plan in later):
        return False
    end_plan(row=row, reason=End.LEFT, now=now)
    last.ended_at, last.end_reason = None, ""
    last.save(update_fields=["ended_at", "end_reason"])
    return True


def frozen(row: RecommendationTracking, trades: AccountTrades, now: datetime) -> dict[str, Any]:
    """What the plan fixes, in JSON-ready values."""
    measurement = Measurement(scope_id(row.kind, row.scope), nanoseconds(now))
    trigger = _trigger(row, trades, measurement.implemented_at)
    return {
        "layout": LAYOUT,
        "kind": row.kind,
        "scope": dict(row.scope),
        "covers": sentence(row.kind, row.scope),
        "comparison": COMPARISON,
        "measurement": json.loads(measurement.canonical()),
        "measurement_hash": measurement.plan_hash,
        "trigger": None if trigger is None else asdict(trigger),
        "claimed_effect_r": row.claimed_effect_r,
        "claimed_by": row.claimed_by,
        "effort_hours": row.effort_hours,
    }


def data_hash(data: Mapping[str, Any]) -> str:
    """sha256 of the canonical JSON of a plan's data."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def fault(plan: MeasurementPlan) -> str:
    """What is wrong with a stored plan, empty if it is as it was frozen."""
    if data_hash(plan.data) != plan.sha256:
        return "its data do not carry its hash"
    try:
        measurement = measurement_of(plan)
    except (KeyError, TypeError, UserError):
        return "its data cannot be read"
    if measurement.plan_hash != plan.data["measurement_hash"]:
        return "its measurement does not carry its hash"
    if measurement.implemented_at != nanoseconds(plan.implemented_at):
        return "its start is not the one it was frozen with"
    return ""


def verify_plans() -> tuple[int, list[dict[str, Any]]]:
    """How many plans are stored, and those that are not as they were frozen, with the reason."""
    checked = 0
    faults: list[dict[str, Any]] = []
    for plan in MeasurementPlan.objects.order_by("pk").iterator():
        checked += 1
        if reason := fault(plan):
            faults.append({"plan_id": plan.pk, "reason": reason})
    return checked, faults


def measurement_of(plan: MeasurementPlan) -> Measurement:
    """The measurement of a stored plan. Raises KeyError or TypeError where it is not one."""
    given = dict(plan.data["measurement"])
    for name in ("looks", "arm_looks"):
        given[name] = tuple(given[name])
    return Measurement(**given)


def trigger_of(plan: MeasurementPlan) -> Trigger | None:
    found = plan.data["trigger"]
    return None if found is None else Trigger(**found)


def covered_since(plan: MeasurementPlan, now: datetime, *, since: datetime | None = None) -> bool:
    """Whether a trade that the plan covers was opened from its start (or `since`) until `now`."""
    trades = account_trades(plan.recommendation.account)
    opened = trades.columns.opened
    first = nanoseconds(since or plan.implemented_at)
    there = (opened >= first) & (opened <= nanoseconds(now))
    if not bool(there.any()):
        return False
    covered = covers(plan.data["kind"], plan.data["scope"], trades.columns)
    return bool((there & (covered == YES)).any())


def _trigger(row: RecommendationTracking, trades: AccountTrades, at: int) -> Trigger | None:
    """The losing run that the advice follows, if the last covered trades are one."""
    known = trades.is_closed & (trades.columns.closed < at) & np.isfinite(trades.r)
    covered = np.flatnonzero(known & (covers(row.kind, row.scope, trades.columns) == YES))
    if covered.size < RUN_LENGTH:
        return None
    by_close = covered[np.argsort(trades.columns.closed[covered], kind="stable")]
    mean = float(trades.r[by_close[-RUN_LENGTH:]].mean())
    return Trigger(RUN_LENGTH, round(mean, 6)) if mean <= RUN_MEAN_R else None
