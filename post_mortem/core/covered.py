"""From an account's trades to the history that one plan is judged on.

A trade counts when its result became known, so a history only ever grows at its end. Left out are
trades without R, trades of which nobody can say whether the advice covers them, and those that were
open when the advice was implemented: they were entered without it and ended with it. Comparison
trades that other advice changed in the same time are no comparison. Where other advice changed the
covered trades themselves, the two cannot be told apart: that is an overlap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trading.core.candles import F64, I64
from trading.core.types import NS_PER_DAY

from .measurement import History, MeasurementPlan, Trigger, make_history
from .roi import DAYS_A_MONTH
from .scope import NO, UNTOLD, YES
from .types import I8, NO_TIME, Bool

# More than this share of the covered trades also under other advice: whose effect was it?
MOST_SHARED = 0.10
# How far back "a month" is counted, from the last trade.
RATE_WINDOW_NS = 183 * NS_PER_DAY
_POOL = "other trades"


@dataclass(frozen=True, slots=True, eq=False)
class Trades:
    """N trades of one account: times in ns UTC (`closed` NO_TIME while open), R net of costs (NaN
    unknown), and the kind of trade: `cell` indexes `cells`, pairs of market and strategy."""

    opened: I64
    closed: I64
    r: F64
    cell: I64
    cells: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, eq=False)
class OtherAdvice:
    """Advice that was implemented from `start` to `end` (ns), and which trades it covers."""

    name: int
    start: int
    end: int
    covered: I8


@dataclass(frozen=True, slots=True, eq=False)
class Covered:
    """`before` and `after` index the covered trades in order of closing (before: at most the plan's
    baseline); `overlaps` name other advice that cannot be told apart."""

    history: History
    before: I64
    after: I64
    without_r: int
    untold: int
    straddling: int
    excluded: int
    overlaps: tuple[int, ...]


def covered_history(
    trades: Trades,
    covered: I8,
    plan: MeasurementPlan,
    others: Sequence[OtherAdvice] = (),
    trigger: Trigger | None = None,
    now: int | None = None,
) -> Covered:
    """What `plan` is judged on by `now` (ns). `covered` is the answer of the plan's scope."""
    there = trades.closed != NO_TIME
    if now is not None:
        there &= trades.closed <= now
    known = np.isfinite(trades.r)
    told = covered != UNTOLD
    change = plan.implemented_at
    straddling = (trades.opened < change) & (trades.closed >= change)
    usable = there & known & told & ~straddling
    mine = np.flatnonzero(usable & (covered == YES))
    mine = mine[np.lexsort((mine, trades.closed[mine]))]
    is_after = trades.opened[mine] >= change
    before, after = mine[~is_after][-plan.baseline :], mine[is_after]
    first = int(trades.closed[before[0]]) if before.size else change
    last = int(trades.closed[after[-1]]) if after.size else change
    meanwhile = [other for other in others if _within(other, first, last)]
    mixed = np.zeros(trades.r.size, np.bool_)
    for other in meanwhile:
        mixed |= other.covered == YES
    excluded = usable & (covered == NO) & mixed
    use = usable & ~excluded
    # What lies before the baseline is no part of the measurement.
    use &= (trades.closed >= first) | (covered == NO)
    chosen = np.flatnonzero(use)
    old = use & (covered == NO) & (trades.closed >= first) & (trades.closed < change)
    names = _cell_names(trades, old, before.size)
    history = make_history(
        trades.closed[chosen],
        trades.r[chosen],
        covered[chosen] == YES,
        np.array(names, np.str_)[chosen],
        trigger=trigger,
    )
    return Covered(
        history,
        before,
        after,
        int((there & told & ~known & (covered == YES)).sum()),
        int((there & ~told).sum()),
        int((there & straddling & (covered == YES)).sum()),
        int(excluded.sum()),
        tuple(sorted({o.name for o in meanwhile if _shares(o, trades, before, after)})),
    )


def _within(other: OtherAdvice, first: int, last: int) -> bool:
    """Whether advice began or ended within a stretch of time: then it changed something there."""
    return first < other.start <= last or first < other.end <= last


def _shares(other: OtherAdvice, trades: Trades, before: I64, after: I64) -> bool:
    """Whether one side of the change was traded under the other advice and the other was not."""

    def share(rows: I64) -> float:
        if not rows.size:
            return 0.0
        on = (trades.opened[rows] >= other.start) & (trades.opened[rows] < other.end)
        return float((on & (other.covered[rows] == YES)).mean())

    return max(share(before), share(after)) > MOST_SHARED


def _cell_names(trades: Trades, old: Bool, baseline: int) -> list[str]:
    """Each trade's cell: its market and strategy where the comparison has enough of them before the
    change (`old`), else its market, else all that is left. Nothing after the change decides it."""
    enough = max(baseline, 1) / 2
    pairs = np.bincount(trades.cell[old], minlength=len(trades.cells)).tolist()
    rest: dict[str, int] = {}
    for (market, _), n in zip(trades.cells, pairs, strict=True):
        rest[market] = rest.get(market, 0) + (0 if n >= enough else n)
    names = [
        f"{market} {strategy}".strip()
        if n >= enough
        else f"{market} otherwise"
        if rest[market] >= enough
        else _POOL
        for (market, strategy), n in zip(trades.cells, pairs, strict=True)
    ]
    return [names[i] for i in trades.cell.tolist()]


def a_month(opened: I64, covered: I8) -> float | None:
    """Covered trades a month over the last half year of trading; None without trades."""
    if not opened.size:
        return None
    last = int(opened.max())
    recent = opened > last - RATE_WINDOW_NS
    span = max((last - int(opened[recent].min())) / NS_PER_DAY, DAYS_A_MONTH)
    return float((recent & (covered == YES)).sum() / (span / DAYS_A_MONTH))
