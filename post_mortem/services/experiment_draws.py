"""Drawing the arms of coming days, each before it begins, and never afterwards.

The arm of a unit follows from the salt and its number alone, so a day that nobody drew changes no
other one; it is simply not in the test. Rows are sealed in a chain and never changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from django.db import transaction
from django.db.models import Max

from post_mortem.core.draws import LEAD, Sealed, Unit, seal_of
from post_mortem.models import Experiment, ExperimentAssignment
from post_mortem.selectors.experiments import (
    arms_of,
    covered_signals,
    days_of,
    signal_unit,
    units_of,
)

AHEAD: Final = timedelta(days=14)
_BATCH: Final = 500
_MOST_SIGNALS: Final = 10_000


def draw(*, now: datetime) -> int:
    """Draw what is due in every running experiment. Returns how many units were drawn."""
    running = Experiment.objects.filter(status=Experiment.Status.RUNNING)
    latest = running.annotate(drawn_to=Max("assignments__day")).order_by("pk")
    return sum(draw_experiment(experiment_id=e.pk, now=now) for e in latest if _is_due(e, now))


def _is_due(experiment: Experiment, now: datetime) -> bool:
    if experiment.unit == Experiment.Unit.SIGNAL:
        return bool(_signals_due(experiment, now))
    drawn_to = experiment.drawn_to  # type: ignore[attr-defined]
    last = days_of(experiment).day_of(now + AHEAD)
    return drawn_to is None or any(u.day > drawn_to for u in units_of(experiment, last)[-8:])


@transaction.atomic
def draw_experiment(*, experiment_id: int, now: datetime) -> int:
    """Draw the units of one experiment that begin within the next days. Again: draws nothing.

    The row of the experiment is locked, so of two that draw at once the second finds it done.
    """
    experiment = (
        Experiment.objects.select_for_update()
        .filter(pk=experiment_id, status=Experiment.Status.RUNNING)
        .first()
    )
    if experiment is None:
        return 0
    if experiment.unit == Experiment.Unit.SIGNAL:
        units = _signals_due(experiment, now)
    else:
        units = _units_due(experiment, now)
    return _write(experiment, units, now)


def _units_due(experiment: Experiment, now: datetime) -> list[Unit]:
    units = units_of(experiment, days_of(experiment).day_of(now + AHEAD))
    coming = [unit for unit in units if unit.starts > now + LEAD]
    if not coming:
        return []
    first = min(unit.day for unit in coming)
    rows = ExperimentAssignment.objects.filter(experiment=experiment, day__gte=first)
    drawn = set(rows.values_list("unit_key", flat=True))
    return [unit for unit in coming if unit.key not in drawn]


def _signals_due(experiment: Experiment, now: datetime) -> list[Unit]:
    """Signals that no trade has acted on yet, of today."""
    days = days_of(experiment)
    since = max(days.start(experiment.starts_on), now - timedelta(days=1))
    found = covered_signals(experiment).filter(time__gte=since, trades=None).order_by("pk")
    units = [signal_unit(experiment, signal) for signal in found[:_MOST_SIGNALS]]
    rows = ExperimentAssignment.objects.filter(
        experiment=experiment, day__gte=days.day_of(since) - timedelta(days=1)
    )
    drawn = set(rows.values_list("unit_key", flat=True))
    return [unit for unit in units if unit.key not in drawn]


def _write(experiment: Experiment, units: Sequence[Unit], now: datetime) -> int:
    before = experiment.last_seal or experiment.plan_sha256
    rows = []
    for unit, arm in zip(units, arms_of(experiment, units), strict=True):
        seal = seal_of(before, Sealed(unit.day, unit.key, arm, now))
        rows.append(
            ExperimentAssignment(
                experiment=experiment,
                day=unit.day,
                unit_key=unit.key,
                arm=arm,
                sealed_at=now,
                seal=seal,
            )
        )
        before = seal
    if rows:
        ExperimentAssignment.objects.bulk_create(rows, batch_size=_BATCH)
        Experiment.objects.filter(pk=experiment.pk).update(last_seal=before)
    return len(rows)
