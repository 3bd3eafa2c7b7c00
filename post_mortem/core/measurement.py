"""What is measured and how, fixed before the first result: plans and histories.

A `MeasurementPlan` is frozen when advice is implemented; its hash proves that it was not changed
afterwards. A `History` is the trades it is judged on. Times are int64 ns UTC, R is profit over
initial risk, days are whole days since 1970-01-01 UTC.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trading.core.candles import F64, I64
from trading.core.errors import UserError
from trading.core.types import NS_PER_DAY

Bool = NDArray[np.bool_]

MOST_BASELINE = 360
LEAST_BASELINE = 60
LOOKS = (30, 60, 100, 150, 200, 300)
ARM_LOOKS = (25, 50, 100, 150, 200, 300)
ALPHA = 0.05
MDE_SD = 0.25
METRIC = "r_net"


@dataclass(frozen=True, slots=True)
class MeasurementPlan:
    """How one piece of advice is judged.

    `scope_id` names the trades covered, `implemented_at` is in ns, `baseline` is the most covered
    trades before that count (60-360), `looks` are counts of covered trades afterwards at which a
    verdict may fall, `arm_looks` the same per arm of an experiment, `alpha` the two-sided chance
    of a false verdict over all looks, `mde_sd` the smallest effect worth finding in standard
    deviations of R. Raises UserError `bad_plan` naming the field.
    """

    scope_id: str
    implemented_at: int
    metric: str = METRIC
    baseline: int = MOST_BASELINE
    looks: tuple[int, ...] = LOOKS
    arm_looks: tuple[int, ...] = ARM_LOOKS
    alpha: float = ALPHA
    mde_sd: float = MDE_SD
    version: int = 1

    def __post_init__(self) -> None:
        _must(LEAST_BASELINE <= self.baseline <= MOST_BASELINE, "baseline", "60 to 360 trades")
        for name, least in (("looks", 30), ("arm_looks", 20)):
            looks = getattr(self, name)
            rising = all(a < b for a, b in zip(looks, looks[1:], strict=False))
            _must(bool(looks) and rising, name, "rising counts of trades")
            _must(looks[0] >= least, name, f"no look before {least} trades")
        _must(0 < self.alpha <= 0.2, "alpha", "a chance above 0, at most 0.2")
        _must(0 < self.mde_sd <= 2, "mde_sd", "above 0, at most 2 standard deviations")
        _must(self.version >= 1, "version", "1 or more")

    def canonical(self) -> str:
        """The plan as JSON with sorted keys: the text that is hashed."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"), allow_nan=False)

    @property
    def plan_hash(self) -> str:
        """sha256 of the canonical JSON, in hex."""
        return hashlib.sha256(self.canonical().encode()).hexdigest()


def _must(good: bool, field: str, expected: str) -> None:
    if not good:
        raise UserError("bad_plan", f"{field}: expected {expected}", field=field)


@dataclass(frozen=True, slots=True)
class Trigger:
    """The rule that set the advice off: the mean of the last `window` R fell to `mean_r`."""

    window: int
    mean_r: float


@dataclass(frozen=True, slots=True, eq=False)
class Assignment:
    """Days of an experiment, rising, and whether the rule was on. Drawn before each day."""

    day: I64
    on: Bool


@dataclass(frozen=True, slots=True, eq=False)
class History:
    """N trades in one order whatever order they came in: by time, within one moment
    mixed by a hash of R.

    `covered`: the advice is about this trade. `cell` indexes `cells`, the kinds of trades (such as
    EURUSD/breakout). Make one with `make_history`.
    """

    time: I64
    r: F64
    covered: Bool
    cell: I64
    cells: tuple[str, ...]
    assignment: Assignment | None = None
    trigger: Trigger | None = None

    def __len__(self) -> int:
        return int(self.time.size)

    def until(self, now: int) -> History:
        """The trades that were there at `now` (ns)."""
        n = int(np.searchsorted(self.time, now, side="right"))
        cut = (self.time[:n], self.r[:n], self.covered[:n], self.cell[:n])
        return replace(self, time=cut[0], r=cut[1], covered=cut[2], cell=cut[3])


def make_history(
    time: ArrayLike,
    r: ArrayLike,
    covered: ArrayLike,
    cell: Sequence[str] | NDArray[np.str_],
    *,
    assignment: Assignment | None = None,
    trigger: Trigger | None = None,
) -> History:
    """A history from columns of equal length in any order. Raises UserError `bad_history`."""
    times, rs = np.asarray(time, np.int64), np.asarray(r, np.float64)
    covers = np.asarray(covered, np.bool_)
    names, codes = np.unique(np.asarray(cell, np.str_), return_inverse=True)
    if not times.size == rs.size == covers.size == codes.size:
        raise UserError("bad_history", "time, r, covered and cell: expected equal lengths")
    if not bool(np.isfinite(rs).all()):
        raise UserError("bad_history", "r: expected finite numbers", field="r")
    order = np.lexsort((covers, codes, rs, times))
    order = order[_within_moments(times[order], rs[order])]
    return History(
        times[order],
        rs[order],
        covers[order],
        codes[order].astype(np.int64),
        tuple(str(name) for name in names),
        None if assignment is None else _in_order(assignment),
        trigger,
    )


def _within_moments(time: I64, r: F64) -> I64:
    """An order of sorted trades in which those of one moment are mixed: it follows from their R
    alone, however they were given, and neither the worst nor the equal ones come together."""
    n = np.arange(time.size)
    same = np.append(False, (np.diff(time) == 0) & (np.diff(r) == 0))
    repeat = n - np.maximum.accumulate(np.where(same, 0, n))
    bits = (r + 0.0).view(np.uint64) + repeat.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        bits = (bits ^ (bits >> np.uint64(shift))) * np.uint64(factor)
    return np.lexsort((n, bits ^ (bits >> np.uint64(31)), time)).astype(np.int64)


def _in_order(assignment: Assignment) -> Assignment:
    order = np.argsort(assignment.day, kind="stable")
    day, on = assignment.day[order], assignment.on[order]
    if bool((np.diff(day) == 0).any()):
        raise UserError("bad_history", "assignment: a day is there twice", field="assignment")
    return Assignment(day, on)


def day_of(time: I64) -> I64:
    """Whole days since 1970-01-01 UTC."""
    return np.floor_divide(time, NS_PER_DAY)
