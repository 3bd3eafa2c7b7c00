"""An index over bars that answers first-touch questions in few steps.

Bars are grouped by 8, 64, 512 and 4096. A group knows its highest high, its lowest low and its
largest run-down (best earlier high minus a later low). The three form a monoid, so skipping a
group that touches no barrier loses nothing: excursions and drawdown stay exact.

`walk` moves many cases forward in lockstep. A case skips the largest group that starts where it
stands, ends inside its window and touches nothing; a group that touches is entered instead. Where
numba is installed, a large batch is walked by `compiled.py` instead; a few cases are looked for in
their bars one by one, which takes less than an index. The answers are the same.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trading.core.candles import I64

from .types import I8

Prices = NDArray[Any]  # int32 where prices are small enough, else int64

FAN_BITS = 3
LEVELS = 4
_FAN = 1 << FAN_BITS
_TOP = 1 << (FAN_BITS * LEVELS)
_SHIFT = np.arange(LEVELS + 1, dtype=np.int64) * FAN_BITS
_SIZE = np.int64(1) << _SHIFT
_CHUNK = 1 << 13  # cases that move together: their working arrays stay in the cache
_COMPACT_EVERY = 6
# Loading numba and its cached machine code takes a second, as long as this many cases without it.
COMPILED_FROM = 2_000_000
# Up to so many cases, with so many bars in all their windows, an index costs more than it saves.
_SCANNED_CASES = 16
_SCANNED_BARS = 100_000


def _largest_group(up_to: int, starts: bool) -> I8:
    """Per number: the largest level whose groups start there, or that has at most as many bars."""
    number = np.arange(up_to)[:, None]
    sizes = _SIZE[None, 1:]
    groups = (number % sizes == 0) if starts else (number >= sizes)
    result: I8 = groups.sum(axis=1).astype(np.int8)
    return result


_STARTS = _largest_group(_TOP, starts=True)
_FITS = _largest_group(_TOP + 1, starts=False)


@dataclass(frozen=True, slots=True, eq=False)
class BlockIndex:
    """All levels in one array each; level k starts at `offset[k]`, level 0 are the bars."""

    high: Prices
    low: Prices
    fall: Prices
    offset: I64
    beyond: int  # larger than any price, either sign


@dataclass(frozen=True, eq=False)
class Bars:
    """Highs and lows of one series. The index over them is built when a walk first needs it."""

    high: I64
    low: I64

    @cached_property
    def index(self) -> BlockIndex:
        return build_index(self.high, self.low)


@dataclass(frozen=True, slots=True, eq=False)
class Walk:
    """Where each case ended. `bar` is the touching bar, -1 without a touch; `hit`: 0 none,
    1 stop, 2 target, 3 both. `high`, `low`, `fall` are taken up to and including the touching bar
    (or the whole window), `high_bar`/`low_bar` the first bars that reach them; for an empty window
    they are 0 and -1."""

    bar: I64
    hit: I8
    high: I64
    low: I64
    fall: I64
    high_bar: I64
    low_bar: I64


def build_index(high: I64, low: I64) -> BlockIndex:
    """Index of one series; O(n)."""
    largest = max(int(np.abs(high).max(initial=0)), int(np.abs(low).max(initial=0)))
    # Half as many bytes to fetch where the prices allow it.
    dtype, beyond = (np.int32, 2**29) if largest < 2**28 else (np.int64, 2**61)
    levels: list[tuple[Prices, Prices, Prices]] = [
        (high.astype(dtype), low.astype(dtype), np.zeros(high.size, dtype))
    ]
    for _ in range(LEVELS):
        levels.append(_grouped(*levels[-1], beyond))
    sizes = [level[0].size for level in levels]
    offset = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)
    high, low, fall = (np.concatenate([level[i] for level in levels]) for i in range(3))
    return BlockIndex(high, low, fall, offset, beyond)


def _grouped(
    high: Prices,
    low: Prices,
    fall: Prices,
    beyond: int,
) -> tuple[Prices, Prices, Prices]:
    size = -(-high.size // _FAN) * _FAN

    def rows(column: Prices, fill: int) -> Prices:
        filled = np.full(size, fill, column.dtype)
        filled[: column.size] = column
        return filled.reshape(-1, _FAN)

    highs, lows, falls = rows(high, -beyond), rows(low, beyond), rows(fall, 0)
    best = np.maximum.accumulate(highs, axis=1)
    across = (best[:, :-1] - lows[:, 1:]).max(axis=1)
    return highs.max(axis=1), lows.min(axis=1), np.maximum(across, falls.max(axis=1))


def worth_compiling(cases: int) -> bool:
    """Whether so many cases, in one batch or in many, are walked faster with numba, and can be."""
    if cases < COMPILED_FROM:
        return False
    try:
        from . import compiled  # noqa: F401
    except ImportError:
        return False
    return True


def walk(
    bars: Bars,
    first: I64,
    end: I64,
    stop: I64,
    target: I64,
    *,
    compiled: bool | None = None,
) -> Walk:
    """First touch of low <= stop or high >= target among bars [first, end), for every case.

    All arguments have shape (n,); `end` <= number of bars; a barrier beyond every price is none.
    `compiled`: whether to walk with numba (ImportError where it is not installed) or in lockstep;
    None: whichever is quickest for the batch.
    """
    n = first.size
    out = Walk(
        np.full(n, -1, np.int64),
        np.zeros(n, np.int8),
        np.zeros(n, np.int64),
        np.zeros(n, np.int64),
        np.zeros(n, np.int64),
        np.full(n, -1, np.int64),
        np.full(n, -1, np.int64),
    )
    if compiled is None and _worth_scanning(first, end):
        for row in np.flatnonzero(first < end).tolist():
            _scan(bars, row, int(first[row]), int(end[row]), stop[row], target[row], out)
        return out
    index = bars.index
    if worth_compiling(n) if compiled is None else compiled:
        from .compiled import walk_cases

        columns = (getattr(out, field.name) for field in fields(out))
        levels = (index.high, index.low, index.fall, index.offset)
        walk_cases(*levels, FAN_BITS, first, end, stop, target, *columns)
        return out
    todo = np.flatnonzero(first < end)
    for begin in range(0, todo.size, _CHUNK):
        _walk_chunk(index, todo[begin : begin + _CHUNK], first, end, stop, target, out)
    out.high_bar[todo] = _first_bar(index, index.high, out.high_bar[todo])
    out.low_bar[todo] = _first_bar(index, index.low, out.low_bar[todo])
    return out


def _worth_scanning(first: I64, end: I64) -> bool:
    if first.size > _SCANNED_CASES:
        return False
    return int(np.maximum(end - first, 0).sum()) <= _SCANNED_BARS


def _scan(bars: Bars, row: int, first: int, end: int, stop: Any, target: Any, out: Walk) -> None:
    """One case, bar by bar."""
    high, low = bars.high[first:end], bars.low[first:end]
    stopped, reached = low <= stop, high >= target
    touches = stopped | reached
    last = int(touches.argmax())
    if touches[last]:
        out.bar[row], out.hit[row] = first + last, stopped[last] + 2 * reached[last]
        high, low = high[: last + 1], low[: last + 1]
    top, bottom = int(high.argmax()), int(low.argmin())
    out.high[row], out.low[row] = high[top], low[bottom]
    out.high_bar[row], out.low_bar[row] = first + top, first + bottom
    out.fall[row] = (np.maximum.accumulate(high)[:-1] - low[1:]).max(initial=0)


def _walk_chunk(
    index: BlockIndex, rows: I64, first: I64, end: I64, stop: I64, target: I64, out: Walk
) -> None:
    dtype, beyond = index.high.dtype, index.beyond
    at, until = first[rows], end[rows]
    below = np.clip(stop[rows], -beyond, beyond).astype(dtype)
    above = np.clip(target[rows], -beyond, beyond).astype(dtype)
    state = _State(
        rows,
        at,
        until,
        below,
        above,
        np.minimum(_STARTS[at & (_TOP - 1)], _FITS[np.minimum(until - at, _TOP)]),
        np.full(rows.size, -beyond, dtype),
        np.full(rows.size, beyond, dtype),
        np.zeros(rows.size, dtype),
        np.full(rows.size, -1, np.int64),
        np.full(rows.size, -1, np.int64),
        np.zeros(rows.size, np.int8),
    )
    step = 0
    while state.rows.size:
        _advance(index, state)
        step += 1
        if step % _COMPACT_EVERY == 0:
            running = state.at < state.until
            if not running.all():
                _store(index, state.where(~running), out)
                state = state.where(running)


@dataclass(slots=True, eq=False)
class _State:
    """Cases under way. A case is done when `at` reaches `until`, which a touch makes it do."""

    rows: I64
    at: I64
    until: I64
    below: Prices
    above: Prices
    level: I8
    high: Prices
    low: Prices
    fall: Prices
    high_node: I64
    low_node: I64
    hit: I8

    def where(self, mask: NDArray[np.bool_]) -> _State:
        chosen = np.flatnonzero(mask)
        return _State(*(getattr(self, name)[chosen] for name in self.__slots__))


def _advance(index: BlockIndex, s: _State) -> None:
    # A case that is done stands at level 0, at most one bar behind the last: that node exists.
    node = index.offset[s.level] + (s.at >> _SHIFT[s.level])
    high, low = index.high[node], index.low[node]
    stopped, reached = low <= s.below, high >= s.above
    touches = stopped | reached
    running = s.at < s.until
    enter = touches & (s.level > 0) & running
    take = running & ~enter

    # Neutral values instead of masked writes: several times faster.
    high = np.where(take, high, -index.beyond)
    low = np.where(take, low, index.beyond)
    s.high_node = np.where(high > s.high, node, s.high_node)
    s.low_node = np.where(low < s.low, node, s.low_node)
    fall = np.maximum(s.high - low, index.fall[node] * take)
    s.fall = np.maximum(s.fall, fall)
    s.high = np.maximum(s.high, high)
    s.low = np.minimum(s.low, low)

    ends = take & touches
    s.hit |= ends * (stopped + 2 * reached.astype(np.int8))
    s.at = s.at + _SIZE[s.level] * take
    s.until = np.where(ends, s.at, s.until)
    ahead = np.minimum(_STARTS[s.at & (_TOP - 1)], _FITS[np.minimum(s.until - s.at, _TOP)])
    s.level = np.where(enter, s.level - 1, ahead)


def _store(index: BlockIndex, s: _State, out: Walk) -> None:
    out.hit[s.rows] = s.hit
    out.bar[s.rows] = np.where(s.hit > 0, s.at - 1, -1)
    out.high[s.rows] = s.high
    out.low[s.rows] = s.low
    out.fall[s.rows] = s.fall
    out.high_bar[s.rows] = s.high_node
    out.low_bar[s.rows] = s.low_node


def _first_bar(index: BlockIndex, column: Prices, node: I64) -> I64:
    """The first bar below each node that has the node's value."""
    node = node.copy()
    value = column[node]
    for level in range(LEVELS, 0, -1):
        inside = np.flatnonzero(node >= index.offset[level])
        if not inside.size:
            continue
        child = index.offset[level - 1] + (node[inside] - index.offset[level]) * _FAN
        children = child[:, None] + np.arange(_FAN)
        # The last group may be short; what follows it belongs to the next level.
        last = index.offset[level] - 1
        same = (column[np.minimum(children, last)] == value[inside][:, None]) & (children <= last)
        node[inside] = child + np.argmax(same, axis=1)
    return node
