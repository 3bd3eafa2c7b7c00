"""What came of an experiment so far: arms, verdict, the difference over time, and what to doubt.

A trade counts for the arm that was drawn for the unit of its entry, whatever was done that day.
Only units that have ended count, and only if they were drawn before they began; trades of others
are counted as left out. Units are numbered, and the number stands where the core has a day.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

import numpy as np

from post_mortem.core.arms import (
    ArmDays,
    ArmsResult,
    arm_days,
    difference,
    judge_arms,
    live_band,
)
from post_mortem.core.experiments import (
    BLOCK_DAYS,
    Compliance,
    Draw,
    block_differences,
    compliance,
    imbalance,
    strict_evidence,
)
from post_mortem.core.guardrails import Rail, guardrails
from post_mortem.core.measurement import Assignment, Bool, History, MeasurementPlan, make_history
from post_mortem.core.skipped import skipping_evidence
from post_mortem.core.types import NO_TIME
from post_mortem.models import Experiment, ExperimentAssignment, ExperimentNote
from trading.core.candles import F64, I64
from trading.core.sessions import SESSIONS, local_times
from trading.core.types import NS_PER_DAY

from .columns import utc_ns
from .experiment_trades import AccountRows, account_rows
from .experiments import ON, days_of, units_of

# The verdicts after which nothing further is planned.
ENDED: Final = ("helped", "hurt", "no_meaningful_effect", "unresolvable")
IMBALANCED: Final = 0.001
_SEED: Final = 20_261_121
# Signals are drawn one by one; so many of them are looked at together for skipping.
_SIGNALS_A_BLOCK: Final = 20


@dataclass(frozen=True, slots=True)
class Arm:
    """`drawn` units that ended, `traded` those with a trade; the R of every trade in order of
    entry. `kept` of `noted` units were kept to, as people said."""

    name: str
    drawn: int
    traded: int
    r: tuple[float, ...]
    kept: int
    noted: int

    @property
    def trades(self) -> int:
        return len(self.r)

    @property
    def mean_r(self) -> float | None:
        return float(np.mean(self.r)) if self.r else None

    @property
    def won(self) -> int:
        return sum(value > 0 for value in self.r)


@dataclass(frozen=True, slots=True)
class Point:
    """The difference after one unit with trades; None while there is too little to say it."""

    unit_key: str
    n_on: int
    n_off: int
    estimate: float | None
    low: float | None
    high: float | None
    look: int | None


@dataclass(frozen=True, slots=True)
class Results:
    """`left_out` trades lie in units that were not drawn before they began (`not_drawn` of them),
    `unjudged` have no result in R, `open_trades` are not closed yet."""

    verdict: ArmsResult
    on: Arm
    off: Arm
    points: tuple[Point, ...]
    not_drawn: int
    left_out: int
    unjudged: int
    open_trades: int
    compliance: Compliance
    rails: tuple[Rail, ...]
    balanced: bool
    strict: tuple[float, float] | None
    looks: int


@dataclass(frozen=True, slots=True, eq=False)
class _Drawn:
    """Units that have ended, in order: when they began and ended (ns), whether they were drawn
    and were on, and the block that each is in."""

    keys: tuple[str, ...]
    starts: I64
    ends: I64
    drawn: Bool
    on: Bool
    block: I64
    begun: I64  # starts (ns, rising) of units that began and have not ended


def results_of(experiment: Experiment, *, now: datetime) -> Results:
    """Everything by `now`, or by the end of the experiment."""
    return results_of_many([experiment], now=now)[0]


def results_of_many(experiments: Sequence[Experiment], *, now: datetime) -> list[Results]:
    """The results of each: two queries, and one an account."""
    ids = [experiment.pk for experiment in experiments]
    rows: dict[int, list[ExperimentAssignment]] = {pk: [] for pk in ids}
    for row in ExperimentAssignment.objects.filter(experiment__in=ids).order_by("pk"):
        rows[row.experiment_id].append(row)
    notes: dict[int, dict[str, bool | None]] = {pk: {} for pk in ids}
    said = ExperimentNote.objects.filter(experiment__in=ids).order_by("-pk")
    for pk, key, kept in said.values_list("experiment", "unit_key", "kept"):
        notes[pk].setdefault(key, kept)
    accounts = {experiment.account_id for experiment in experiments}
    trades = {account: account_rows(account) for account in sorted(accounts)}
    return [_results(e, rows[e.pk], notes[e.pk], trades[e.account_id], now) for e in experiments]


def _results(
    experiment: Experiment,
    rows: Sequence[ExperimentAssignment],
    notes: Mapping[str, bool | None],
    account: AccountRows,
    now: datetime,
) -> Results:
    until = min(now, experiment.ended_at) if experiment.ended_at else now
    units = _drawn(experiment, [row for row in rows if row.sealed_at <= until], until)
    found = account.of_scope(experiment.scope)
    trades = _trades(experiment, found, units, until)
    history, plan = _history(units, trades), _plan(experiment)
    days = arm_days(history, plan)
    verdict = judge_arms(history, plan)
    strict = None
    if experiment.strict:
        strict = _strict(units, trades)
        verdict = _by_strict(verdict, strict, experiment)
    followed = _followed(notes, units)
    count, total = _sums(units, trades)
    verdict = _unless_skipped(experiment, verdict, units, count)
    before = _before(experiment, found)
    on_r = trades.r[units.on[trades.unit]]
    return Results(
        verdict=verdict,
        on=_arm("on", units, trades, count, followed),
        off=_arm("off", units, trades, count, followed),
        points=_points(units, days, plan, verdict),
        not_drawn=int((~units.drawn).sum()),
        left_out=trades.left_out,
        unjudged=trades.unjudged,
        open_trades=trades.open_trades,
        compliance=compliance(
            units.on[units.drawn], followed[units.drawn], count[units.drawn], total[units.drawn]
        ),
        rails=guardrails(days, plan.arm_looks, on_r, before.r, seed=_SEED),
        balanced=_balanced(experiment, units, before),
        strict=strict,
        looks=len(plan.arm_looks),
    )


# --- units and trades ---------------------------------------------------------------------------


def _drawn(experiment: Experiment, rows: Sequence[ExperimentAssignment], until: datetime) -> _Drawn:
    """The units that ended by `until`."""
    arms = {row.unit_key: row for row in rows}
    if experiment.unit == Experiment.Unit.SIGNAL:
        starts = [utc_ns(row.sealed_at) for row in rows]
        return _columns([row.unit_key for row in rows], starts, starts, rows, [0] * len(rows))
    last = days_of(experiment).day_of(until)
    every = units_of(experiment, last)
    units = [u for u in every if u.ends <= until]
    slots = len(SESSIONS) if experiment.unit == Experiment.Unit.SESSION else 1
    found = [arms.get(unit.key) for unit in units]
    before = [
        row if row is not None and row.sealed_at < unit.starts else None
        for row, unit in zip(found, units, strict=True)
    ]
    return _columns(
        [unit.key for unit in units],
        [utc_ns(unit.starts) for unit in units],
        [utc_ns(unit.ends) for unit in units],
        before,
        [unit.number // BLOCK_DAYS * slots + unit.slot for unit in units],
        [utc_ns(u.starts) for u in every if u.starts <= until < u.ends],
    )


def _columns(
    keys: Sequence[str],
    starts: Sequence[int],
    ends: Sequence[int],
    rows: Sequence[ExperimentAssignment | None],
    blocks: Sequence[int],
    begun: Sequence[int] = (),
) -> _Drawn:
    return _Drawn(
        keys=tuple(keys),
        starts=np.array(starts, np.int64),
        ends=np.array(ends, np.int64),
        drawn=np.array([row is not None for row in rows], np.bool_),
        on=np.array([row is not None and row.arm == ON for row in rows], np.bool_),
        block=np.array(blocks, np.int64),
        begun=np.array(sorted(begun), np.int64),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Trades:
    """Closed trades with a result in drawn units, by entry."""

    unit: I64
    r: F64
    left_out: int
    unjudged: int
    open_trades: int


def _trades(experiment: Experiment, found: AccountRows, units: _Drawn, until: datetime) -> _Trades:
    begins = utc_ns(days_of(experiment).start(experiment.starts_on))
    if experiment.unit == Experiment.Unit.SIGNAL:
        unit = _of_signals(found, units)
    else:
        unit = _of_time(found.opened, units)
    inside = (unit >= 0) & (found.opened >= begins) & (found.opened < utc_ns(until))
    closed = (found.closed != NO_TIME) & (found.closed <= utc_ns(until))
    counted = inside & units.drawn[np.maximum(unit, 0)] if units.keys else np.zeros_like(inside)
    known = np.isfinite(found.r)
    use = counted & closed & known
    return _Trades(
        unit=unit[use],
        r=found.r[use],
        left_out=int((inside & ~counted).sum()),
        unjudged=int((counted & closed & ~known).sum()),
        open_trades=int((counted & ~closed).sum()),
    )


def _of_time(opened: I64, units: _Drawn) -> I64:
    """The unit in which each trade was entered, of several open ones the last; -1 for none."""
    last = np.searchsorted(units.starts, opened, side="right") - 1
    found = np.full(opened.size, -1, np.int64)
    for back in reversed(range(len(SESSIONS))):
        at = last - back
        within = at >= 0
        if units.keys:
            within &= opened < units.ends[np.maximum(at, 0)]
        found[within] = at[within]
    if units.begun.size and units.keys:
        # What was entered in a unit that still runs is not counted for an earlier one meanwhile.
        at = np.searchsorted(units.begun, opened, side="right") - 1
        later = (at >= 0) & (units.begun[np.maximum(at, 0)] >= units.starts[np.maximum(found, 0)])
        found[later] = -1
    return found


def _of_signals(found: AccountRows, units: _Drawn) -> I64:
    """The unit of each trade's signal; -1 where it was drawn only after the entry, or never."""
    place = {int(key.rpartition("/")[2]): i for i, key in enumerate(units.keys)}
    unit = np.array([place.get(s, -1) for s in found.signal.tolist()], np.int64).reshape(-1)
    if not units.keys:
        return unit
    late = found.opened < units.starts[np.maximum(unit, 0)]
    return np.where((unit >= 0) & ~late, unit, -1)


def _history(units: _Drawn, trades: _Trades) -> History:
    number = np.flatnonzero(units.drawn)
    return make_history(
        trades.unit * NS_PER_DAY,
        trades.r,
        np.ones(trades.r.size, np.bool_),
        ["trades"] * trades.r.size,
        assignment=Assignment(number.astype(np.int64), units.on[number]),
    )


def _plan(experiment: Experiment) -> MeasurementPlan:
    plan = experiment.plan
    return MeasurementPlan(
        scope_id=experiment.plan_sha256,
        implemented_at=0,
        arm_looks=tuple(plan["arm_looks"]),
        alpha=plan["alpha"],
        mde_sd=plan["mde_sd"],
    )


def _sums(units: _Drawn, trades: _Trades) -> tuple[F64, F64]:
    n = len(units.keys)
    count = np.bincount(trades.unit, minlength=n).astype(np.float64)
    return count, np.bincount(trades.unit, trades.r, n).astype(np.float64)


# --- arms, points, compliance -------------------------------------------------------------------


def _arm(name: str, units: _Drawn, trades: _Trades, count: F64, followed: F64) -> Arm:
    wanted = units.on if name == "on" else ~units.on
    mine = units.drawn & wanted
    noted = mine & np.isfinite(followed)
    kept = noted & ((followed > 0.5) == units.on)
    of_arm = wanted[trades.unit] if trades.unit.size else np.zeros(0, np.bool_)
    return Arm(
        name=name,
        drawn=int(mine.sum()),
        traded=int((mine & (count > 0)).sum()),
        r=tuple(trades.r[of_arm].tolist()),
        kept=int(kept.sum()),
        noted=int(noted.sum()),
    )


def _followed(notes: Mapping[str, bool | None], units: _Drawn) -> F64:
    """Whether the rule was applied in each unit: 1, 0, NaN where nobody said."""
    applied = []
    for key, on in zip(units.keys, units.on.tolist(), strict=True):
        kept = notes.get(key)
        applied.append(np.nan if kept is None else float(kept == on))
    return np.array(applied, np.float64)


def _points(
    units: _Drawn, days: ArmDays, plan: MeasurementPlan, verdict: ArmsResult
) -> tuple[Point, ...]:
    on = np.cumsum(np.where(days.on, days.count, 0)).astype(np.int64)
    off = np.cumsum(np.where(days.on, 0, days.count)).astype(np.int64)
    taken = {n: k for k, (n, *_) in enumerate(verdict.looks, start=1)}
    points, reached = [], 0
    for i, number in enumerate(days.day.tolist()):
        found = difference(days, i + 1)
        low, high = live_band(found, plan.alpha) if found else (None, None)
        look = None
        while reached < len(plan.arm_looks) and min(on[i], off[i]) >= plan.arm_looks[reached]:
            look = taken.get(plan.arm_looks[reached], look)
            reached += 1
        points.append(
            Point(
                units.keys[number],
                int(on[i]),
                int(off[i]),
                found.estimate if found else None,
                low,
                high,
                look,
            )
        )
    return tuple(points)


# --- days skipped by arm ------------------------------------------------------------------------


def _unless_skipped(
    experiment: Experiment, verdict: ArmsResult, units: _Drawn, count: F64
) -> ArmsResult:
    """No verdict where units of one arm were left out: the arms then differ in more than the
    rule."""
    if experiment.unit == Experiment.Unit.SIGNAL:
        use = units.drawn
        block = np.arange(use.size, dtype=np.int64) // _SIGNALS_A_BLOCK
    else:
        use = units.drawn & (np.bincount(units.block)[units.block] == BLOCK_DAYS)
        block = _in_order(units.block)
    found = skipping_evidence(block[use], units.on[use], count[use] > 0)
    evidence = max(verdict.mismatch, found)
    if evidence < experiment.plan["mismatch_level"]:
        return verdict
    sentence = "Not evidence: the days traded do not match the days assigned."
    return replace(
        verdict, verdict="not_evidence", reason="mismatch", sentence=sentence, mismatch=evidence
    )


def _in_order(block: I64) -> I64:
    """Blocks numbered anew, in the order in which they end."""
    if not block.size:
        return block
    last = {int(b): i for i, b in enumerate(block.tolist())}
    rank = {b: n for n, b in enumerate(sorted(last, key=lambda b: last[b]))}
    return np.array([rank[b] for b in block.tolist()], np.int64)


# --- the strict test ----------------------------------------------------------------------------


def _strict(units: _Drawn, trades: _Trades) -> tuple[float, float]:
    """The highest evidence (for better, for worse) after any block that is complete: what somebody
    who looked after each would have stopped at."""
    if not trades.r.size:
        return 1.0, 1.0
    size = np.bincount(units.block)
    whole = size[units.block] == BLOCK_DAYS
    usable = (whole & units.drawn)[trades.unit]
    blocks = _in_order(units.block)
    by_block = np.argsort(blocks, kind="stable")
    number = np.empty(blocks.size, np.int64)
    place = np.arange(blocks.size)
    number[by_block] = place
    draw = Draw("", "day", units.on[by_block], blocks[by_block], place, np.zeros(0, np.int64))
    found = block_differences(number[trades.unit[usable]], trades.r[usable], draw)
    seen = [strict_evidence(found[: n + 1]) for n in range(found.size)]
    return max([1.0, *(a for a, _ in seen)]), max([1.0, *(b for _, b in seen)])


def _by_strict(
    planned: ArmsResult, strict: tuple[float, float], experiment: Experiment
) -> ArmsResult:
    """The verdict by the strict test alone; a mismatch blocks it as well."""
    level = experiment.plan["strict_level"]
    if planned.verdict in ("not_evidence", "too_early"):
        return planned
    better, worse = strict
    if max(better, worse) < level:
        sentence = "No evidence yet by the strict test."
        return replace(planned, verdict="no_evidence_yet", reason="strict", sentence=sentence)
    word = "helped" if better >= worse else "hurt"
    sentence = f"{word.capitalize()}, by the strict test."
    return replace(planned, verdict=word, reason="strict", sentence=sentence)


# --- before the experiment ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class _Before:
    r: F64
    weekday: I64


def _before(experiment: Experiment, found: AccountRows) -> _Before:
    """R of the trades in scope from before the first day, in order, and their weekday."""
    begins = utc_ns(days_of(experiment).start(experiment.starts_on))
    closed = (found.closed != NO_TIME) & (found.closed < begins)
    use = (found.opened < begins) & closed & np.isfinite(found.r)
    return _Before(found.r[use], _weekdays(found.opened[use], experiment))


def _weekdays(at: I64, experiment: Experiment) -> I64:
    """Monday 0, on the clock of the experiment."""
    return np.asarray((local_times(at, experiment.time_zone) // NS_PER_DAY + 3) % 7, np.int64)


def _balanced(experiment: Experiment, units: _Drawn, before: _Before) -> bool:
    """Whether both arms got weekdays that had been alike: False means a wrong draw or record."""
    n = np.bincount(before.weekday, minlength=7)
    total = np.bincount(before.weekday, before.r, 7)
    mean = np.divide(total, n, out=np.full(7, np.nan), where=n > 0)
    at = _weekdays(units.starts[units.drawn], experiment)
    known = np.isfinite(mean[at])
    on = units.on[units.drawn]
    return imbalance(on[known], mean[at][known]) >= IMBALANCED
