"""Covered trades before and after a change, beside what other trades did in the same time.

Comparison trades are those that the advice does not cover. They are read in the same stretches of
time as the covered ones: blocks of neighbouring covered trades, counted from the change outward, so
a market that turns for everybody cancels even where trades come in bursts. Each cell is taken
around its own mean before the change, so a shift between cells is no effect. A cell counts as
comparison when it has at least half as many trades as the covered ones, before and after.

The covered trades before the change include the losing streak that may have caused it: leaving it
out would make every change look harmful, since what stays was selected for not having lost.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trading.core.candles import F64, I64

from .drift import BLOCK, beliefs
from .measurement import Bool, History, MeasurementPlan

# An own variance after the change counts from few trades on; until then the one before helps.
_BORROWED = 10.0
_LEAST_IN_BLOCK = 3


@dataclass(frozen=True, slots=True, eq=False)
class Sides:
    """Covered R before (oldest first, at most the plan's baseline) and after, and the comparison
    cells cut into the same stretches of time.

    `count`, `total`, `square` are (cells, blocks) sums of comparison trades; the first
    `blocks_before` blocks lie before the change. `size` counts the covered trades of each block,
    `ends` how many covered trades after the change the blocks up to each one hold.
    """

    before: F64
    after: F64
    size: I64
    blocks_before: int
    ends: I64
    count: F64
    total: F64
    square: F64
    first_after: int
    last_after: int


@dataclass(frozen=True, slots=True, eq=False)
class Contrast:
    """The adjusted difference after the first `n` covered trades.

    `estimate` in R a trade; `noise` its variance from the scatter of trades alone, with `freedom`
    degrees of freedom; `wander` (grid,) the variance that wandering edges add for every point of
    the drift grid. `cells` comparison cells were used; with none, the rest is empty.
    """

    n: int
    raw: float
    cells: int
    estimate: float
    noise: float
    freedom: float
    own_share: float
    apart: float


def sides_of(history: History, plan: MeasurementPlan) -> Sides:
    """Cut a history at the plan's change."""
    change, covered = plan.implemented_at, history.covered
    split = int(np.searchsorted(history.time, change, side="left"))
    mine = np.flatnonzero(covered)
    at = int(np.searchsorted(mine, split))
    before, after = mine[max(0, at - plan.baseline) : at], mine[at:]
    starts = np.arange(before.size, 0, -BLOCK)[::-1] - BLOCK
    starts = np.maximum(starts, 0)
    looks = [look for look in plan.looks if look < after.size]
    ends = np.unique(np.array([*range(BLOCK, after.size, BLOCK), *looks, after.size], np.int64))
    ends = ends[ends > 0]
    size = np.concatenate(
        [np.diff(np.append(starts, before.size)), np.diff(np.append(0, ends))]
    ).astype(np.int64)
    cells, blocks = len(history.cells), size.size
    if not before.size:
        empty = np.zeros((cells, blocks))
        return Sides(
            history.r[before], history.r[after], size, 0, ends, empty, empty, empty, split, split
        )
    first = int(np.searchsorted(history.time, history.time[before[0]], side="left"))
    last = (
        split
        if not after.size
        else int(np.searchsorted(history.time, history.time[after[-1]], side="right"))
    )
    others = first + np.flatnonzero(~covered[first:last])
    time = history.time[others]
    place = np.searchsorted(history.time[before[starts]], time, side="right") - 1
    if ends.size:
        later = starts.size + np.searchsorted(history.time[after[ends - 1]], time, side="left")
        place = np.where(others >= split, later, place)
    key = history.cell[others] * blocks + place
    r = history.r[others]
    count, total, square = (
        np.bincount(key, weight, cells * blocks).reshape(cells, blocks).astype(np.float64)
        for weight in (None, r, r * r)
    )
    return Sides(
        history.r[before],
        history.r[after],
        size,
        starts.size,
        ends,
        count,
        total,
        square,
        split,
        last,
    )


def comparison_cells(sides: Sides, n: int) -> Bool:
    """(cells,) whether a cell has half as many trades as the covered ones, before and after."""
    m = sides.blocks_before
    stop = m + int(np.searchsorted(sides.ends, n)) + 1
    enough = sides.count[:, :m].sum(axis=1) >= sides.before.size / 2
    return np.asarray(enough & (sides.count[:, m:stop].sum(axis=1) >= n / 2), np.bool_)


def contrast(sides: Sides, n: int) -> Contrast:
    """What the first `n` covered trades after the change show. `n` must end a block: it is a look
    of the plan or all trades there are."""
    use = comparison_cells(sides, n)
    before, after = sides.before, sides.after[:n]
    raw = float(after.mean() - before.mean())
    if not use.any():
        return Contrast(n, raw, 0, raw, np.inf, 1.0, 1.0, 1.0)
    m, stop = sides.blocks_before, sides.blocks_before + int(np.searchsorted(sides.ends, n)) + 1
    count, total = sides.count[use, :stop], sides.total[use, :stop]
    own_mean = total[:, :m].sum(axis=1) / count[:, :m].sum(axis=1)
    centred = (total - count * own_mean[:, None]).sum(axis=0)
    pooled = count.sum(axis=0)
    size = sides.size[:stop].astype(np.float64)
    size[:m] /= -before.size
    size[m:] /= n
    mean, pooled = _filled(centred, pooled, m)
    estimate = raw - float(size @ mean)
    spread = _variance(count.sum(), total.sum(axis=1), sides.square[use, :stop], count)
    parts = _own_parts(before, after)
    other = spread * float((size * size / pooled).sum())
    noise = sum(parts) + other
    freedom = noise**2 / (
        parts[0] ** 2 / (before.size - 1)
        + parts[1] ** 2 / (n - 1 + _BORROWED)
        + other**2 / max(1.0, float(count.sum()) - use.sum())
    )
    share = count.sum(axis=1) / count.sum()
    apart = float(1 + (share * share).sum())
    return Contrast(n, raw, int(use.sum()), estimate, noise, freedom, sum(parts) / noise, apart)


def _own_parts(before: F64, after: F64) -> tuple[float, float]:
    """Variances of the covered means before and after."""
    was = float(before.var(ddof=1))
    now = float(((after - after.mean()) ** 2).sum())
    now = (now + _BORROWED * was) / (after.size - 1 + _BORROWED)
    return was / before.size, now / after.size


def _variance(n: float, totals: F64, squares: F64, count: F64) -> float:
    """Variance of a comparison trade within its cell."""
    per_cell = count.sum(axis=1)
    inside = float(squares.sum() - (totals * totals / per_cell).sum())
    return max(0.0, inside) / max(1.0, n - float(per_cell.size))


def _filled(total: F64, count: F64, m: int) -> tuple[F64, F64]:
    """Block means of the comparison and their counts; a block with too few borrows from its
    neighbours on the same side of the change, nearest first."""
    thin = np.flatnonzero(count < _LEAST_IN_BLOCK)
    if not thin.size:
        return total / count, count
    mean, enough = total / np.maximum(count, 1), count.copy()
    for b in thin.tolist():
        low, high = (0, m) if b < m else (m, count.size)
        reach = 0
        while (
            count[max(low, b - reach) : b + reach + 1][: high - max(low, b - reach)].sum()
            < (_LEAST_IN_BLOCK)
            and reach < count.size
        ):
            reach += 1
        part = slice(max(low, b - reach), min(high, b + reach + 1))
        enough[b] = max(1.0, float(count[part].sum()))
        mean[b] = float(total[part].sum()) / enough[b]
    return mean, enough


def drift_beliefs(sides: Sides) -> F64:
    """What the blocks before the change say about wandering edges (`drift.beliefs`)."""
    m = sides.blocks_before
    use = sides.count[:, :m].sum(axis=1) >= sides.before.size / 2
    count = sides.count[use, :m]
    own = sides.before
    size = sides.size[:m].astype(np.float64)
    sums = np.add.reduceat(own, np.append(0, np.cumsum(sides.size[: m - 1]))) if m else own[:0]
    counts = np.vstack([size, count])
    totals = np.vstack([sums, sides.total[use, :m]])
    squares = np.append(float((own * own).sum()), sides.square[use, :m].sum(axis=1))
    whole = counts.sum(axis=1)
    variance = (squares - totals.sum(axis=1) ** 2 / whole) / np.maximum(whole - 1, 1)
    full = size == BLOCK
    counts, totals = counts[:, full], totals[:, full]
    empty = counts < 1
    mean = totals / np.maximum(counts, 1)
    common = np.where(empty, 0, mean).sum(axis=0) / (~empty).sum(axis=0)
    deviation = np.where(empty, 0.0, mean - common)
    units = counts.shape[0]
    rest = 1 - 1 / units
    white = rest * float((variance[:, None] / np.maximum(counts, 1)).mean(axis=1).sum())
    return beliefs(deviation, white, rest * float(variance.sum()))
