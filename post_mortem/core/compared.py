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

from .drift import BLOCK, POINTS, added, beliefs, grid, of_blocks, of_sides
from .measurement import Bool, History, MeasurementPlan

# An own variance after the change counts from few trades on; until then the one before helps.
_BORROWED = 10.0
_LEAST_IN_BLOCK = 3


@dataclass(frozen=True, slots=True, eq=False)
class Sides:
    """Covered R before (oldest first, at most the plan's baseline) and after the change, and the
    comparison trades cut into the same stretches of time.

    `size` counts the covered trades of each block; the first `blocks_before` lie before the change.
    `ends`: covered trades after the change up to the end of each later block. `count`, `total`,
    `square` are (cells, blocks) of comparison trades, their sum of R and of its square.
    """

    before: F64
    after: F64
    size: F64
    blocks_before: int
    ends: I64
    count: F64
    total: F64
    square: F64

    def stops(self, n: I64) -> I64:
        """Blocks up to and with the ones that end at the n-th trades after the change."""
        return self.blocks_before + np.searchsorted(self.ends, n) + 1


@dataclass(frozen=True, slots=True, eq=False)
class Contrasts:
    """The adjusted difference after the first `n` covered trades, for K values of n.

    `estimate` in R a trade; `noise` its variance from the scatter of trades alone, with `freedom`
    degrees of freedom; `wander` (K, grid) the variance that wandering edges add to it if they are
    those of a point of the drift grid, and `belief` (K, grid) how likely each point is. `cells`
    comparison cells were used; where there are none the estimate is the raw difference.
    """

    n: I64
    raw: F64
    cells: I64
    estimate: F64
    noise: F64
    freedom: F64
    wander: F64
    belief: F64


def sides_of(history: History, plan: MeasurementPlan) -> Sides:
    """Cut a history at the plan's change."""
    time, covered = history.time, history.covered
    split = int(np.searchsorted(time, plan.implemented_at, side="left"))
    mine = np.flatnonzero(covered)
    at = int(np.searchsorted(mine, split))
    before, after = mine[max(0, at - plan.baseline) : at], mine[at:]
    starts = np.maximum(np.arange(before.size, 0, -BLOCK)[::-1] - BLOCK, 0)
    looks = [look for look in plan.looks if look < after.size]
    whole = range(BLOCK, after.size + 1, BLOCK)
    ends = np.array(sorted({*whole, *looks, after.size} - {0}), np.int64)
    edges = np.concatenate([starts, [before.size], before.size + ends])
    blocks = edges.size - 1
    # What happened before the first covered trade or after the last one is compared with nothing.
    first = int(before[0]) if before.size else split
    last = split
    if after.size:
        last = int(np.searchsorted(time, time[after[-1]], side="right"))
    others = first + np.flatnonzero(~covered[first:last])
    place = np.searchsorted(time[before[starts]], time[others], side="right") - 1
    later = starts.size + np.searchsorted(time[after[ends - 1]], time[others], side="left")
    place = np.where(others < split, place, later)
    cells = len(history.cells)
    key, r = history.cell[others] * blocks + place, history.r[others]
    sums = (np.bincount(key, weight, cells * blocks) for weight in (np.ones(r.size), r, r * r))
    count, total, square = (np.asarray(each, np.float64).reshape(cells, blocks) for each in sums)
    return Sides(
        history.r[before],
        history.r[after],
        np.diff(edges).astype(np.float64),
        starts.size,
        ends,
        count,
        total,
        square,
    )


def contrasts(sides: Sides, n: I64) -> Contrasts:
    """What the first `n` (K,) covered trades after the change show, using no later one. Each n must
    end a block: it is a look of the plan or all trades there are."""
    m = sides.blocks_before
    before, after = sides.before, sides.after
    raw = np.cumsum(after)[n - 1] / n - before.mean()
    stops = sides.stops(n)
    early = sides.count[:, :m].sum(axis=1)
    late = np.cumsum(sides.count[:, m:], axis=1)[:, stops - m - 1]
    use = (early[:, None] >= before.size / 2) & (late >= n / 2)
    found = Contrasts(
        n,
        raw,
        use.sum(axis=0),
        raw.copy(),
        np.full(n.size, np.inf),
        np.ones(n.size),
        np.zeros((n.size, POINTS)),
        np.tile(grid()[2], (n.size, 1)),
    )
    thin = bool((sides.count[use[:, -1]].sum(axis=0) < _LEAST_IN_BLOCK).any())
    for group in _groups(use, thin):
        if found.cells[group[0]]:
            _measure(sides, found, use[:, group[0]], group, stops[group])
    return found


def _groups(use: Bool, apart: bool) -> list[I64]:
    """Columns with the same comparison cells, measured together; one by one where `apart`."""
    k = use.shape[1]
    if apart:
        return [np.array([i]) for i in range(k)]
    if bool((use == use[:, :1]).all()):
        return [np.arange(k)]
    _, kind = np.unique(use, axis=1, return_inverse=True)
    return [np.flatnonzero(kind == each) for each in range(int(kind.max()) + 1)]


def _measure(sides: Sides, found: Contrasts, use: Bool, at: I64, stops: I64) -> None:
    """Fill the columns `at` of `found`, whose comparison cells are `use`."""
    m, last, n = sides.blocks_before, int(stops[-1]), found.n[at]
    count, total = sides.count[use, :last], sides.total[use, :last]
    trades = np.cumsum(count, axis=1)
    sums = np.cumsum(total, axis=1)
    usual = sums[:, m - 1] / trades[:, m - 1]
    starts = _joined(count.sum(axis=0), m)
    pooled = np.add.reduceat(count.sum(axis=0), starts)
    mean = np.add.reduceat(total.sum(axis=0) - usual @ count, starts) / pooled
    later = np.arange(last) >= m
    weight = np.where(later, sides.size[:last] / n[:, None], -sides.size[:last] / sides.before.size)
    weight[np.arange(last) >= stops[:, None]] = 0.0
    weight = np.add.reduceat(weight, starts, axis=1)
    trades, sums = trades[:, stops - 1], sums[:, stops - 1]
    everything = trades.sum(axis=0)
    squares = np.cumsum(sides.square[use, :last].sum(axis=0))[stops - 1]
    scatter = np.maximum(squares - (sums * sums / trades).sum(axis=0), 0.0)
    spread = scatter / np.maximum(everything - trades.shape[0], 1.0)
    was, now = _own_variances(sides, n)
    other = spread * (weight * weight @ (1 / pooled))
    noise = was / sides.before.size + now / n + other
    found.estimate[at] = found.raw[at] - weight @ mean
    found.noise[at] = noise
    found.freedom[at] = noise**2 / (
        (was / sides.before.size) ** 2 / (sides.before.size - 1)
        + (now / n) ** 2 / (n - 1 + _BORROWED)
        + other**2 / np.maximum(everything - trades.shape[0], 1.0)
    )
    # Covered trades and their comparison drift apart further than one cell does by itself.
    apart = 1 + (trades * trades).sum(axis=0) / everything**2
    moved = np.array([added(sides.before.size, each) for each in n.tolist()])
    found.wander[at] = moved * (was * apart)[:, None]
    found.belief[at] = beliefs(_evidence(sides, use, n, stops))


def _own_variances(sides: Sides, n: I64) -> tuple[float, F64]:
    """Of a covered trade before, and after in the first n: few borrow from before."""
    was = float(sides.before.var()) * sides.before.size / (sides.before.size - 1)
    off = sides.after - sides.after[: int(n[-1])].mean()
    sums, squares = np.cumsum(off)[n - 1], np.cumsum(off * off)[n - 1]
    return was, (np.maximum(squares - sums * sums / n, 0) + _BORROWED * was) / (n - 1 + _BORROWED)


def _joined(count: F64, m: int) -> I64:
    """Where groups of neighbouring blocks begin, each on one side of the change and with enough
    comparison trades for a mean; blocks that have enough stay by themselves."""
    if bool((count >= _LEAST_IN_BLOCK).all()):
        return np.arange(count.size)
    starts: list[int] = []
    for low, high in ((0, m), (m, count.size)):
        side, have = [low], 0.0
        for b in range(low, high):
            if have >= _LEAST_IN_BLOCK:
                side.append(b)
                have = 0.0
            have += float(count[b])
        if have < _LEAST_IN_BLOCK and len(side) > 1:
            side.pop()
        starts += side
    return np.array(starts, np.int64)


def _evidence(sides: Sides, use: Bool, n: I64, stops: I64) -> F64:
    """(K, grid) log-likelihoods of wandering edges by the n-th covered trades after the change."""
    m, last = sides.blocks_before, int(stops[-1])
    own = np.concatenate([sides.before, sides.after[: int(n[-1])]])
    starts = np.append(0, np.cumsum(sides.size[: last - 1])).astype(np.int64)
    counts = np.vstack([sides.size[:last], sides.count[use, :last]])
    totals = np.vstack([np.add.reduceat(own, starts), sides.total[use, :last]])
    squares = float(sides.before @ sides.before), sides.square[use, :m].sum(axis=1)
    trades, sums = np.cumsum(counts, axis=1), np.cumsum(totals, axis=1)
    early, early_sum = trades[:, m - 1], sums[:, m - 1]
    variance = (np.append(*squares) - early_sum**2 / early) / (early - 1)
    # The oldest block may be short, and looks cut others.
    first = 0 if sides.size[0] == BLOCK else 1
    result = np.tile(
        of_blocks(*_deviation(counts[:, first:m], totals[:, first:m], variance)), (n.size, 1)
    )
    whole = m + np.searchsorted(sides.ends, np.arange(BLOCK, int(n[-1]) + 1, BLOCK))
    if whole.size > 1:
        edges = np.append(m, whole[:-1] + 1)
        wide, wide_sums = (
            np.add.reduceat(each[:, : whole[-1] + 1], edges, axis=1) for each in (counts, totals)
        )
        deviation, white, unit = _deviation(wide, wide_sums, variance)
        for k, blocks in enumerate((n // BLOCK).tolist()):
            result[k] += of_blocks(deviation[:, :blocks], white[:blocks], unit)
    late, late_sum = trades[1:, stops - 1] - early[1:, None], sums[1:, stops - 1]
    change = (late_sum - early_sum[1:, None]) / late - (early_sum[1:] / early[1:])[:, None]
    rest = 1 - 1 / change.shape[0]
    noise = rest * (variance[1:, None] * (1 / early[1:, None] + 1 / late)).sum(axis=0)
    moved = np.array([added(sides.before.size, each) for each in n.tolist()])
    return result + of_sides(change, noise, rest * float(variance[1:].sum()), moved)


def _deviation(counts: F64, totals: F64, variance: F64) -> tuple[F64, F64, float]:
    """Block means of every cell less their common mean, and what their squares, summed over cells,
    are worth in each block from the scatter of trades, and per unit of drift. Where a cell has no
    trade in a block, nothing is known of it: NaN."""
    known = np.maximum(counts, 1)
    mean = totals / known
    rest = 1 - 1 / counts.shape[0]
    white = np.where((counts > 0).all(axis=0), rest * (variance @ (1 / known)), np.nan)
    return mean - mean.mean(axis=0), white, rest * float(variance.sum())
