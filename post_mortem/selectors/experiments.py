"""Experiments as they stand: their units and arms, what is drawn for now, and all ever started."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

from django.db.models import Case, Count, Q, QuerySet, Value, When
from django.db.models.functions import Coalesce, NullIf

from post_mortem.core.draws import (
    Sealed,
    TradingDays,
    Unit,
    day_units,
    first_break,
    plan_hash,
    salt_hash,
    session_units,
    unit_of,
)
from post_mortem.core.experiments import BLOCK_DAYS, assign, signal_is_on
from post_mortem.models import Experiment, ExperimentAssignment, ExperimentNote
from trading.core.sessions import SESSIONS
from trading.models import Account, OwnedQuerySet, Signal, Trade

ON, OFF = ExperimentAssignment.Arm.ON, ExperimentAssignment.Arm.OFF
Status = Experiment.Status
_EPOCH = date(1970, 1, 1)


# --- units and arms -----------------------------------------------------------------------------


def days_of(experiment: Experiment) -> TradingDays:
    """The trading days of an experiment, as its plan froze them."""
    plan = experiment.plan
    return TradingDays(
        plan["time_zone"], time.fromisoformat(plan["day_begins"]), tuple(plan["weekdays"])
    )


def units_of(experiment: Experiment, last: date) -> list[Unit]:
    """Days or sessions from the first day to `last`, in order; none for signals."""
    days, first = days_of(experiment), experiment.starts_on
    if experiment.unit == Experiment.Unit.DAY:
        return day_units(days, first, last)
    if experiment.unit == Experiment.Unit.SESSION:
        # Tokyo's session of a date may open before that date begins here.
        begins = days.start(first)
        return [unit for unit in session_units(first, last) if unit.starts >= begins]
    return []


def arms_of(experiment: Experiment, units: Sequence[Unit]) -> list[str]:
    """The arm of each unit, from the salt alone."""
    if not units:
        return []
    if experiment.unit == Experiment.Unit.SIGNAL:
        bits = [signal_is_on(experiment.salt, str(unit.number)) for unit in units]
        return [ON if on else OFF for on in bits]
    slots = len(SESSIONS) if experiment.unit == Experiment.Unit.SESSION else 1
    draw = assign(
        experiment.salt,
        (experiment.starts_on - _EPOCH).days,
        max(BLOCK_DAYS, 1 + max(unit.number for unit in units)),
        experiment.unit,
        weekdays=days_of(experiment).weekdays if slots == 1 else range(5),
        sessions=slots,
    )
    return [ON if draw.on[unit.number * slots + unit.slot] else OFF for unit in units]


def signal_unit(experiment: Experiment, signal: Signal) -> Unit:
    day = days_of(experiment).day_of(signal.time)
    return Unit(f"signal/{signal.pk}", day, 0, signal.pk, signal.time, signal.time)


def has_begun(experiment: Experiment, drawn: ExperimentAssignment, now: datetime) -> bool:
    return drawn.sealed_at <= now and start_of(experiment, drawn) <= now


def start_of(experiment: Experiment, drawn: ExperimentAssignment) -> datetime:
    """When a drawn unit begins; a signal when its arm was drawn, for it may be acted on at once."""
    if experiment.unit == Experiment.Unit.DAY:
        return days_of(experiment).start(drawn.day)
    if experiment.unit == Experiment.Unit.SESSION:
        of_day = session_units(drawn.day, drawn.day)
        return next(unit.starts for unit in of_day if unit.key == drawn.unit_key)
    return drawn.sealed_at


# --- what counts --------------------------------------------------------------------------------


def covered_signals(experiment: Experiment) -> QuerySet[Signal]:
    """Signals that a strategy sent, of any time."""
    scope = experiment.scope
    sent = Signal.objects.filter(account=experiment.account_id, source=Signal.Source.FEED)
    if "strategy" in scope:
        sent = sent.filter(strategy=scope["strategy"])
    return sent.filter(_of_market(scope))


def of_scope(scope: Mapping[str, str]) -> Q:
    """The condition on trades that a scope means."""
    wanted = _of_market(scope)
    if "strategy" in scope:
        # A trade that names no strategy took its signal's.
        named = Q(strategy="", signal__strategy=scope["strategy"])
        wanted &= Q(strategy=scope["strategy"]) | named
    return wanted


def _of_market(scope: Mapping[str, str]) -> Q:
    wanted = Q()
    if "symbol" in scope:
        wanted &= Q(instrument__symbol=scope["symbol"])
    if "side" in scope:
        wanted &= Q(side=1 if scope["side"] == "long" else -1)
    return wanted


def traded(account: Account) -> dict[str, list[str]]:
    """Symbols and strategies of the account's trades, to choose a scope from."""
    mine = Trade.objects.filter(account=account).order_by()
    named = mine.annotate(named=Coalesce(NullIf("strategy", Value("")), "signal__strategy"))
    return {
        "symbols": sorted(mine.values_list("instrument__symbol", flat=True).distinct()),
        "strategies": sorted(
            name for name in named.values_list("named", flat=True).distinct() if name
        ),
    }


# --- now ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Now:
    """What is to be done at a moment. `state`: on, off, undrawn (it began before it was drawn),
    waiting (not started, or between units), every (signals: each has its own), ended."""

    state: str
    unit: Unit | None = None
    drawn: ExperimentAssignment | None = None
    note: ExperimentNote | None = None
    coming: Unit | None = None


def arm_now(experiment: Experiment, now: datetime) -> Now:
    return arms_now([experiment], now)[0]


def arms_now(rows: Sequence[Experiment], now: datetime) -> list[Now]:
    """What is to be done under each experiment: two queries for however many."""
    units = [_unit_now(row, now) for row in rows]
    wanted = {(row.pk, unit.key) for row, unit in zip(rows, units, strict=True) if unit}
    keys = {"experiment__in": [pk for pk, _ in wanted], "unit_key__in": [k for _, k in wanted]}
    drawn = {
        (found.experiment_id, found.unit_key): found
        for found in (ExperimentAssignment.objects.filter(**keys) if wanted else ())
    }
    notes: dict[tuple[int, str], ExperimentNote] = {}
    if drawn:
        for note in ExperimentNote.objects.filter(**keys).select_related("user").order_by("-pk"):
            notes.setdefault((note.experiment_id, note.unit_key), note)
    return [_now(row, unit, drawn, notes, now) for row, unit in zip(rows, units, strict=True)]


def _unit_now(experiment: Experiment, now: datetime) -> Unit | None:
    if experiment.status != Status.RUNNING:
        return None
    last = max(days_of(experiment).day_of(now) + timedelta(days=1), experiment.starts_on)
    return unit_of(units_of(experiment, last), now)


def _now(
    experiment: Experiment,
    unit: Unit | None,
    drawn: Mapping[tuple[int, str], ExperimentAssignment],
    notes: Mapping[tuple[int, str], ExperimentNote],
    now: datetime,
) -> Now:
    if experiment.status != Status.RUNNING:
        return Now("ended")
    if experiment.unit == Experiment.Unit.SIGNAL:
        return Now("every")
    if unit is None:
        return Now("waiting", coming=_coming(experiment, now))
    key = (experiment.pk, unit.key)
    row = drawn.get(key)
    return Now("undrawn", unit) if row is None else Now(row.arm, unit, row, notes.get(key))


def _coming(experiment: Experiment, now: datetime) -> Unit | None:
    last = max(days_of(experiment).day_of(now), experiment.starts_on) + timedelta(days=8)
    return next((unit for unit in units_of(experiment, last) if unit.starts > now), None)


def arm_of_signal(experiment: Experiment, signal_id: int) -> Now:
    """The arm of one signal; undrawn if it was traded before it could be drawn, or is no part."""
    key = f"signal/{signal_id}"
    drawn = ExperimentAssignment.objects.filter(experiment=experiment, unit_key=key).first()
    if experiment.status != Status.RUNNING:
        return Now("ended")
    if drawn is None:
        return Now("undrawn")
    notes = ExperimentNote.objects.filter(experiment=experiment, unit_key=key)
    return Now(drawn.arm, None, drawn, notes.first())


# --- lists --------------------------------------------------------------------------------------


def experiments(user: Any) -> OwnedQuerySet:
    """Every experiment ever started that the user may see, running ones first, then the newest."""
    rank = Case(When(status=Status.RUNNING, then=Value(0)), default=Value(1))
    found: OwnedQuerySet = Experiment.objects.visible_to(user)
    return found.annotate(rank=rank).order_by("rank", "-created_at", "-pk")


def counts(user: Any) -> dict[str, int]:
    """How many experiments of each status the user may see."""
    rows = Experiment.objects.visible_to(user).order_by().values_list("status")
    return dict(rows.annotate(n=Count("pk")))


def newest_notes(experiment: Experiment, keys: Sequence[str]) -> dict[str, ExperimentNote]:
    """The newest note of each unit that has one."""
    found: dict[str, ExperimentNote] = {}
    notes = ExperimentNote.objects.filter(experiment=experiment, unit_key__in=keys)
    for note in notes.select_related("user").order_by("-pk"):
        found.setdefault(note.unit_key, note)
    return found


def scope_words(scope: Mapping[str, str]) -> str:
    """Which trades count, for people."""
    return ", ".join(f"{name} {value}" for name, value in scope.items()) or "every trade"


def running_now(user: Any, now: datetime) -> list[tuple[Experiment, Now]]:
    """The running experiments of a user, each with what is to be done."""
    rows = list(Experiment.objects.visible_to(user).filter(status=Status.RUNNING).order_by("pk"))
    return list(zip(rows, arms_now(rows, now), strict=True))


def begun_rows(experiment: Experiment, now: datetime) -> list[ExperimentAssignment]:
    """What was drawn, as far as it may be known: coming arms of a running test stay hidden."""
    rows = list(experiment.assignments.order_by("pk"))
    if experiment.status != Status.RUNNING:
        return rows
    return [row for row in rows if has_begun(experiment, row, now)]


# --- whether it is what was drawn ---------------------------------------------------------------


def faults(experiment: Experiment) -> list[str]:
    """What contradicts the seals, the plan or the salt; empty where all agrees."""
    rows = list(ExperimentAssignment.objects.filter(experiment=experiment).order_by("pk"))
    found = _plan_faults(experiment)
    sealed = [Sealed(r.day, r.unit_key, r.arm, r.sealed_at, r.seal) for r in rows]
    broken = first_break(experiment.plan_sha256, sealed)
    if broken is not None:
        found.append(f"the seal of {broken.unit_key} does not follow from the rows before it")
    last = sealed[-1].seal if sealed else ""
    if last != experiment.last_seal:
        found.append("the newest assignment is not the one that was sealed last")
    return found + _arm_faults(experiment, rows)


def _plan_faults(experiment: Experiment) -> list[str]:
    plan, found = experiment.plan, []
    if plan_hash(plan) != experiment.plan_sha256:
        found.append("the plan does not have its hash")
    if salt_hash(experiment.salt) != plan.get("salt_sha256"):
        found.append("the salt is not the one that the plan names")
    copies = {
        "name": experiment.name,
        "rule": experiment.rule,
        "unit": experiment.unit,
        "scope": experiment.scope,
        "starts_on": experiment.starts_on.isoformat(),
        "time_zone": experiment.time_zone,
        "shadow": experiment.shadow,
        "strict": experiment.strict,
    }
    differing = [name for name, value in copies.items() if plan.get(name) != value]
    if differing:
        found.append(f"it differs from its plan: {', '.join(differing)}")
    return found


def _arm_faults(experiment: Experiment, rows: Sequence[ExperimentAssignment]) -> list[str]:
    found = []
    if not rows:
        return found
    units = {u.key: u for u in units_of(experiment, max(row.day for row in rows))}
    known = [(row, unit) for row in rows if (unit := units.get(row.unit_key)) is not None]
    if experiment.unit == Experiment.Unit.SIGNAL:
        known = [(row, _written_signal(row)) for row in rows]
    elif len(known) < len(rows):
        strange = next(row for row in rows if row.unit_key not in units)
        found.append(f"{strange.unit_key} is no unit of this experiment")
    arms = arms_of(experiment, [unit for _, unit in known])
    for (row, unit), arm in zip(known, arms, strict=True):
        if row.arm != arm:
            found.append(f"{row.unit_key} is {row.arm}, the salt says {arm}")
        if row.day != unit.day:
            found.append(f"{row.unit_key} is on {row.day.isoformat()}")
        if experiment.unit != Experiment.Unit.SIGNAL and row.sealed_at >= unit.starts:
            found.append(f"{row.unit_key} was drawn after it had begun")
    return found


def _written_signal(row: ExperimentAssignment) -> Unit:
    number = int(row.unit_key.rpartition("/")[2])
    return Unit(row.unit_key, row.day, 0, number, row.sealed_at, row.sealed_at)
