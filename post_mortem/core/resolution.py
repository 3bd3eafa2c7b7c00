"""Bars that leave a case open, read on the finer bars inside them.

A bar of the judged series leaves something open where it touches both stop and target, where it
touches what the fill of a trade that was left inside it contradicts, and where a part of it was
skipped (the entry lies inside it, or an order filled inside it) that could have touched. Where
finer bars fill that bar completely (`Market.finer`), the same replay runs on them:

- the entry's bar from the entry on, under TRADE up to the finer bar of the exit;
- the bar of an order's fill, from its open on (of a stop entry always: its fill may be a gap);
- the bar that touches both, or that a trade was left in, likewise: the first finer bar that
  touches decides, and of the finer bar of the exit what the fill agrees with.

Finer bars decide only where they agree with the judged bar about which of stop and target (and of
an order's level) lay inside it; another feed that disagrees leaves the case as it was, with its
flag. A finer bar that leaves the same thing open is treated as a bar is: pessimistic and flagged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from trading.core.candles import F64, I64, Candles, mirror
from trading.core.units import scaled, to_half_points

from .batches import take
from .replay import (
    LIMIT,
    STOP_ENTRY,
    entry_bars,
    entry_gapped,
    judged_entry,
    reference_entry,
    replay,
    turned_barriers,
)
from .rules import barrier_half_points
from .trade_exits import believed, left_inside
from .types import I8, NO_TIME, Bool, CaseBatch, FinerBars, Paths, Resolved

AT_ENTRY, AT_FILL, AT_EXIT = 0, 1, 2
_ASKED = 3
_BOTH = 3
_DIRT = 1e-6  # half-points: of the same level on two grids
_STOP, _TARGET, _LEVEL = 0, 1, 2
_COPIED = (
    *("first", "exit", "hit", "gap", "entry", "exit_touch", "after_hole"),
    *("mfe", "mae", "drawdown", "mfe_bar", "mae_bar"),
)


def first_touches(batch: CaseBatch, *, compiled: bool | None = None) -> Paths:
    """`replay`, and what finer bars of the market say about the bars that it leaves open."""
    paths = replay(batch, compiled=compiled)
    return resolve(batch, paths) if batch.market.finer else paths


def resolve(batch: CaseBatch, paths: Paths) -> Paths:
    """The same paths, read on finer bars where they leave something open and such bars are there.

    `Paths.resolved.asked` names the bars in question, whether or not finer bars fill them.
    """
    work = _Work(batch, paths)
    work.entries()
    work.fills()
    work.exits()
    return work.done()


def asked_opens(batch: CaseBatch, paths: Paths) -> I64:
    """Opens (ns, rising) of the bars that `resolve` would read finer bars of."""
    resolved = paths.resolved
    if resolved is None:
        return np.zeros(0, np.int64)
    opens: I64 = batch.market.candles.time[np.unique(resolved.asked[resolved.asked >= 0])]
    return opens


def places(finer: FinerBars, opens: I64) -> I64:
    """Which bar of `finer.opens` each open is, -1 where its inside is not there."""
    if not finer.opens.size:
        return np.full(opens.shape, -1, np.int64)
    at = np.minimum(np.searchsorted(finer.opens, opens), finer.opens.size - 1)
    return np.where(finer.opens[at] == opens, at, -1)


def inside(finer: FinerBars) -> tuple[I64, I64]:
    """[start, stop) in `finer.candles` of each of `finer.opens`."""
    start = np.searchsorted(finer.candles.time, finer.opens).astype(np.int64)
    return start, np.append(start[1:], len(finer.candles)).astype(np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class _Turned:
    """Extremes on the side of the book of the exit and of the entry, for a long position."""

    high: I64
    low: I64
    entry_high: I64
    entry_low: I64


def _turned(candles: Candles, side: int) -> _Turned:
    seen = candles if side > 0 else mirror(candles)
    if seen.quotes is None:
        return _Turned(seen.high, seen.low, seen.high, seen.low)
    quotes = seen.quotes
    return _Turned(quotes.bid_high, quotes.bid_low, quotes.ask_high, quotes.ask_low)


@dataclass(slots=True)
class _Work:
    """The paths while they are being resolved. `rows` below are always indices of cases."""

    batch: CaseBatch
    paths: Paths
    kind: I8 = field(init=False)  # 0 from the moment an order is filled
    asked: I64 = field(init=False)
    by_ns: I64 = field(init=False)
    exit_time: I64 = field(init=False)
    gap_open: F64 = field(init=False)
    open_at_entry: Bool = field(init=False)  # the entry's bar still hides something
    open_at_fill: Bool = field(init=False)  # the bar of an order's fill does
    decided: Bool = field(init=False)  # a finer bar is the last one of the path
    pieces: dict[int, list[tuple[F64, F64]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n = len(self.batch)
        changing = (*_COPIED, "skipped_touch", "off_market")
        copies = {name: getattr(self.paths, name).copy() for name in changing}
        self.paths = replace(self.paths, **copies)
        self.kind = np.where(self.batch.is_trade, 0, self.batch.entry_kind).astype(np.int8)
        self.asked = np.full((n, _ASKED), -1, np.int64)
        self.by_ns, self.exit_time = np.zeros(n, np.int64), np.full(n, NO_TIME)
        self.gap_open = np.full(n, np.nan)
        self.open_at_entry, self.decided = np.zeros(n, np.bool_), np.zeros(n, np.bool_)
        self.open_at_fill = self.paths.skipped_touch.copy()

    # --- the three questions ----------------------------------------------------------------

    def entries(self) -> None:
        """Entries inside a bar whose skipped part could have touched or filled."""
        batch, paths = self.batch, self.paths
        after, container = entry_bars(batch.market.candles, batch.market.bar_ns, batch.entry_time)
        bar = np.where(container == after, -1, container)
        rows = np.flatnonzero(paths.reached_end & paths.skipped_touch & (bar >= 0))
        # A waiting order that could not fill in this bar was skipped in the bar of its fill.
        rows = rows[(self.kind[rows] == 0) | self._reached(rows, bar[rows])[_LEVEL]]
        self.open_at_entry[rows] = True
        self.open_at_fill[rows] = False
        for finer, mine in self._covered(rows, bar[rows], AT_ENTRY):
            found = self._replayed(finer, mine, bar[mine], batch.entry_time[mine])
            filled = found.first >= 0
            self._fill(finer, mine[filled], found.entry[filled])
            self._continue(mine, bar[mine])
            self.open_at_fill[mine] = paths.skipped_touch[mine] & ~filled
            self.open_at_entry[mine] = found.skipped_touch
            paths.off_market[mine] = found.off_market & ~batch.is_trade[mine]
            paths.skipped_touch[mine] = found.skipped_touch | self.open_at_fill[mine]
            self._adopt(finer, mine, bar[mine], found)

    def fills(self) -> None:
        """Orders filled inside a bar whose other part could have touched, and stop entries filled
        inside a bar: finer bars know whether their level was gapped over."""
        paths = self.paths
        waiting = (self.kind > 0) & (paths.first > 0)
        bar = paths.first - 1
        rows = np.flatnonzero(paths.reached_end & waiting)
        asked = self.open_at_fill[rows]
        stops = np.flatnonzero(~asked & (self.kind[rows] == STOP_ENTRY))
        asked[stops] = self._filled_inside(rows[stops], bar[rows[stops]])
        rows = rows[asked]
        for finer, mine in self._covered(rows, bar[rows], AT_FILL):
            opened = self.batch.market.candles.time[bar[mine]]
            found = self._replayed(finer, mine, bar[mine], opened)
            filled = found.first >= 0
            mine, found = mine[filled], take(found, np.flatnonzero(filled))
            self._fill(finer, mine, found.entry)
            gapped = entry_gapped(take(self.batch, mine), take(paths, mine))
            self._continue(mine[gapped], bar[mine[gapped]])
            paths.skipped_touch[mine] = found.skipped_touch | self.open_at_entry[mine]
            self._adopt(finer, mine, bar[mine], found)

    def exits(self) -> None:
        """Bars that touch both stop and target, or what the fill of a trade contradicts."""
        paths = self.paths
        doubtful = (paths.hit == _BOTH) | (paths.exit_touch > 0)
        rows = np.flatnonzero(paths.reached_end & doubtful & ~self.decided)
        bar = paths.exit.copy()
        self.kind[rows] = 0
        for finer, mine in self._covered(rows, bar[rows], AT_EXIT):
            opened = self.batch.market.candles.time[bar[mine]]
            found = self._replayed(finer, mine, bar[mine], opened)
            first, after_hole = paths.first[mine].copy(), paths.after_hole[mine].copy()
            self._before(mine, first, bar[mine])
            paths.hit[mine], paths.gap[mine], paths.exit_touch[mine] = 0, False, 0
            self._adopt(finer, mine, bar[mine], found)
            # A trade that was closed before the finer bars touch anything left in this bar.
            self.decided[mine] = True
            paths.first[mine], paths.exit[mine] = first, bar[mine]
            paths.after_hole[mine] = after_hole & (paths.hit[mine] > 0)

    def done(self) -> Paths:
        n = len(self.batch)
        best, worst, fall = (np.full(n, np.nan) for _ in range(3))
        used = np.flatnonzero(self.by_ns > 0)
        going_on = used[~self.decided[used]]
        self._before(going_on, self.paths.first[going_on], self.paths.exit[going_on] + 1)
        for row in used.tolist():
            parts = self.pieces.get(row, [])
            high = np.concatenate([part[0] for part in parts]) if parts else np.zeros(0)
            low = np.concatenate([part[1] for part in parts]) if parts else np.zeros(0)
            if high.size:
                best[row], worst[row] = high.max(), low.min()
                earlier = np.maximum.accumulate(high)[:-1]
                fall[row] = max(float((earlier - low[1:]).max(initial=0.0)), 0.0)
        self._excursions(best, worst, fall)
        return replace(
            self.paths,
            resolved=Resolved(
                asked=self.asked,
                by_ns=self.by_ns,
                exit_time=self.exit_time,
                gap_open=self.gap_open,
                best=best,
                worst=worst,
                fall=fall,
            ),
        )

    # --- one question -----------------------------------------------------------------------

    def _covered(self, rows: I64, bar: I64, which: int) -> Iterator[tuple[FinerBars, I64]]:
        """Finer bars, with the rows whose bar they fill and agree with."""
        if not rows.size:
            return
        self.asked[rows, which] = bar
        opens = self.batch.market.candles.time[bar]
        for finer in self.batch.market.finer:
            at = places(finer, opens)
            agreed = at >= 0
            agreed[agreed] = self._agrees(finer, rows[agreed], bar[agreed], at[agreed])
            if agreed.any():
                yield finer, rows[agreed]

    def _reached(self, rows: I64, bar: I64) -> Bool:
        """Shape (3, n): whether the judged bar of each row reaches stop, target and level."""
        candles = self.batch.market.candles
        return _reached(
            self._cases(rows), bar, self.kind[rows], lambda side: _turned(candles, side)
        )

    def _filled_inside(self, rows: I64, bar: I64) -> Bool:
        """Whether the bar lies in the window and reaches the level of the order."""
        inside_window = self.batch.market.candles.time[bar] >= self.batch.entry_time[rows]
        result: Bool = inside_window & self._reached(rows, bar)[_LEVEL]
        return result

    def _agrees(self, finer: FinerBars, rows: I64, bar: I64, at: I64) -> Bool:
        """Whether stop, target and level lie inside both the judged bar and its finer bars."""
        start, _ = inside(finer)

        def grouped(side: int) -> _Turned:
            parts = _turned(finer.candles, side)
            return _Turned(
                np.maximum.reduceat(parts.high, start),
                np.minimum.reduceat(parts.low, start),
                np.maximum.reduceat(parts.entry_high, start),
                np.minimum.reduceat(parts.entry_low, start),
            )

        fine = _reached(self._on(finer, rows), at, self.kind[rows], grouped)
        result: Bool = (self._reached(rows, bar) == fine).all(axis=0)
        return result

    def _cases(self, rows: I64) -> CaseBatch:
        """These cases with the entry that they are judged from, once they are filled."""
        batch = take(self.batch, rows)
        judged = judged_entry(batch, take(self.paths, rows))
        return replace(batch, entry_price=np.where(self.kind[rows] > 0, batch.entry_price, judged))

    def _fill(self, finer: FinerBars, rows: I64, entry: F64) -> None:
        """Remember orders as filled, stop entries at these half-points of the finer bars where
        those lie beyond the level."""
        stops = self.kind[rows] == STOP_ENTRY
        self.kind[rows] = 0
        rows, price = rows[stops], entry[stops] * float(finer.point / self.batch.market.point)
        level = scaled(self.batch.entry_price[rows], self.batch.market.point)
        worse = self.batch.side[rows] * (price - level) > _DIRT
        self.paths.entry[rows] = np.where(worse, price, level)

    def _on(self, finer: FinerBars, rows: I64) -> CaseBatch:
        """The cases on the finer bars: what is planned stays, whatever was filled."""
        batch = self._cases(rows)
        market = replace(
            batch.market,
            candles=finer.candles,
            bar_ns=finer.bar_ns,
            point=finer.point,
            finer=(),
        )
        return replace(
            batch,
            market=market,
            is_trade=np.zeros(rows.size, np.bool_),
            entry_price=reference_entry(batch),
            entry_kind=self.kind[rows],
            stop=barrier_half_points(batch.stop_price, batch.side, finer.point, "stop"),
            target=barrier_half_points(batch.target_price, batch.side, finer.point, "target"),
        )

    def _inside(self, finer: FinerBars, rows: I64, bar: I64, start: I64) -> CaseBatch:
        """The cases from `start` to the end of their bar, under TRADE to the finer bar of the
        exit."""
        market = self.batch.market
        opened = market.candles.time[bar]
        end = opened + market.bar_ns
        left = self.batch.fill_exit_time[rows]
        ends_here = self.batch.is_trade[rows] & (left != NO_TIME) & (left < end)
        of_exit = opened + ((left - opened) // finer.bar_ns + 1) * finer.bar_ns
        end = np.where(ends_here, of_exit, end)
        return replace(self._on(finer, rows), entry_time=start, end_time=end)

    def _replayed(self, finer: FinerBars, rows: I64, bar: I64, start: I64) -> Paths:
        """`_inside` replayed; of the finer bar of a trade's exit its fill says what counts."""
        found = replay(self._inside(finer, rows, bar, start))
        opened = finer.candles.time[np.maximum(found.exit, 0)]
        cases = take(self.batch, rows)
        in_exit_bar = left_inside(cases, opened, finer.bar_ns)
        hit, doubted = believed(cases, turned_barriers(cases), found.hit, in_exit_bar)
        return replace(found, hit=hit, gap=found.gap & ((hit & 1) > 0), exit_touch=doubted)

    def _continue(self, rows: I64, bar: I64) -> None:
        """What follows the bars of these entries, now that the bars themselves are read."""
        market = self.batch.market
        later = replace(
            self._cases(rows),
            entry_time=market.candles.time[bar] + market.bar_ns,
            entry_kind=self.kind[rows],
        )
        rest = replay(later)
        for name in (*_COPIED, "skipped_touch"):
            getattr(self.paths, name)[rows] = getattr(rest, name)

    def _adopt(self, finer: FinerBars, rows: I64, bar: I64, found: Paths) -> None:
        """Take over what the replay inside these bars found."""
        self.by_ns[rows] = np.maximum(self.by_ns[rows], finer.bar_ns)
        self._keep(finer, rows, found)
        self.paths.exit_touch[rows] |= found.exit_touch
        over = np.flatnonzero(found.hit > 0)
        where, at = rows[over], found.exit[over]
        self.decided[where] = True
        self.exit_time[where] = finer.candles.time[at]
        paths = self.paths
        paths.hit[where], paths.gap[where] = found.hit[over], found.gap[over]
        paths.after_hole[where] = found.after_hole[over]
        for column in (paths.first, paths.exit, paths.mfe_bar, paths.mae_bar):
            column[where] = bar[over]
        gaps = np.flatnonzero(found.gap[over])
        scale = float(finer.point / self.batch.market.point)
        for k in gaps.tolist():
            row = int(where[k])
            self.gap_open[row] = scale * _exit_open(finer.candles, self._side(row), int(at[k]))

    def _side(self, row: int) -> int:
        return int(self.batch.side[row])

    def _keep(self, finer: FinerBars, rows: I64, found: Paths) -> None:
        """Remember the extremes of the finer bars that belong to the path."""
        scale = float(finer.point / self.batch.market.point)
        for k, row in enumerate(rows.tolist()):
            first, last = int(found.first[k]), int(found.exit[k]) - bool(found.exit_touch[k])
            if first < 0 or last < first:
                continue
            view = _turned(finer.candles.rows(slice(first, last + 1)), self._side(row))
            high = view.high
            # A limit stopped in the bar of its fill saw its highs before the fill.
            if self.batch.entry_kind[row] == LIMIT and not found.mfe[k] and first == last:
                high = np.minimum(high, view.low)
            piece = (np.float64(scale) * high, np.float64(scale) * view.low)
            self.pieces.setdefault(row, []).append(piece)

    def _before(self, rows: I64, first: I64, stop: I64) -> None:
        """Remember the judged bars [first, stop) of the paths, one pair a row."""
        for row, start, end in zip(rows.tolist(), first.tolist(), stop.tolist(), strict=True):
            if 0 <= start < end:
                bars = self.batch.market.candles.rows(slice(start, end))
                view = _turned(bars, self._side(row))
                piece = (view.high.astype(np.float64), view.low.astype(np.float64))
                self.pieces.setdefault(row, []).append(piece)

    def _excursions(self, best: F64, worst: F64, fall: F64) -> None:
        """The whole half-points of the paths, from the same extremes."""
        rows = np.flatnonzero(np.isfinite(best))
        half_points = np.rint(self.batch.side[rows] * self.paths.entry[rows])
        paths = self.paths
        paths.mfe[rows] = np.rint(np.maximum(best[rows] - half_points, 0)).astype(np.int64)
        paths.mae[rows] = np.rint(np.maximum(half_points - worst[rows], 0)).astype(np.int64)
        paths.drawdown[rows] = np.rint(fall[rows]).astype(np.int64)


def _reached(batch: CaseBatch, at: I64, kind: I8, view: Callable[[int], _Turned]) -> Bool:
    """Shape (3, n): whether bar `at` reaches the stop, the target, and a waiting order's level."""
    stop, target = turned_barriers(batch)
    limit = kind == LIMIT
    level = to_half_points(batch.side * reference_entry(batch), batch.market.point, limit)
    result = np.zeros((3, at.size), np.bool_)
    for side in (1, -1):
        rows = np.flatnonzero(batch.side == side)
        if not rows.size:
            continue
        bars, where = view(side), at[rows]
        below, above = bars.entry_low[where] <= level[rows], bars.entry_high[where] >= level[rows]
        result[_STOP, rows] = bars.low[where] <= stop[rows]
        result[_TARGET, rows] = bars.high[where] >= target[rows]
        result[_LEVEL, rows] = (kind[rows] > 0) & np.where(limit[rows], below, above)
    return result


def _exit_open(candles: Candles, side: int, bar: int) -> int:
    """Open of a bar on the side of the book of the exit, turned so that the position is long."""
    if candles.quotes is None:
        return side * int(candles.open[bar])
    book = candles.quotes.bid_open if side > 0 else candles.quotes.ask_open
    return side * int(book[bar])
