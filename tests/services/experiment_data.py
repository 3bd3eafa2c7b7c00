"""Experiments that have run for weeks, and the trades made while they ran."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from post_mortem.models import Experiment, ExperimentAssignment
from post_mortem.selectors.experiments import days_of
from post_mortem.services.experiment_draws import draw
from post_mortem.services.experiments import start_experiment
from tests.services.factories import make_account, make_instrument
from tests.services.judged_trades import judged_trades

NOW = datetime(2026, 3, 4, 15, tzinfo=UTC)
ON = ExperimentAssignment.Arm.ON
ZONE = "America/New_York"
Result = Callable[[bool, int], float]


def begun(weeks: int = 0, *, now: datetime = NOW, **changes: Any) -> Experiment:
    """An experiment started `now` and drawn for that many weeks and two more."""
    if "account" not in changes:
        account = make_account()
        account.time_zone = ZONE
        account.save()
        changes["account"] = account
    given: dict[str, Any] = {
        "recommendation": None,
        "name": "Two trades a day",
        "rule": "No third trade.",
        "unit": "day",
        "scope": {},
        "starts_on": None,
        "shadow": False,
        "strict": False,
        "user": changes["account"].owner,
        "now": now,
    }
    experiment = start_experiment(**(given | changes))
    for week in range(1, weeks + 1):
        draw(now=now + timedelta(days=7 * week))
    experiment.refresh_from_db()
    return experiment


def fill(
    experiment: Experiment, result: Result, a_day: int = 2, *, by: datetime | None = None
) -> datetime:
    """Trades on every day drawn that is over `by` (None: on all), from nine o'clock on, at once:
    `result` of whether the day is ON and which trade of it. Returns the end of the last day."""
    days, entered, last = days_of(experiment), [], experiment.starts_on
    for row in experiment.assignments.order_by("pk"):
        if by is not None and days.end(row.day) > by:
            break
        last, start = row.day, days.start(row.day)
        for n in range(a_day):
            entered.append((start + timedelta(hours=9 + n), result(row.arm == ON, n)))
    judged_trades(
        experiment.account, make_instrument(experiment.scope.get("symbol", "EURUSD")), entered
    )
    return days.end(last)


def noise(seed: int, effect: float = 0.0) -> Result:
    rng = np.random.default_rng(seed)
    return lambda on, n: float(rng.normal(0.1, 1.5) + effect * on)
