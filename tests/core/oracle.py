"""The replay written as a loop over bars, slow and plain, to check the fast one against."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from post_mortem.core.types import NO_TIME, Market


@dataclass
class OraclePath:
    first: int = -1
    last: int = -1
    exit: int = -1
    hit: int = 0
    gap: bool = False
    mfe: int = 0
    mae: int = 0
    drawdown: int = 0
    mfe_bar: int = -1
    mae_bar: int = -1
    reached_end: bool = False
    skipped_touch: bool = False
    exit_touch: int = 0
    entry: float = 0.0
    off_market: bool = False
    after_hole: bool = False


@dataclass
class _Bars:
    """Open, high, low of the side on which the position is left, and of the one it is entered."""

    time: list[int]
    leave: list[tuple[int, int, int]]
    enter: list[tuple[int, int, int]]


def _bars(market: Market, side: int) -> _Bars:
    candles = market.candles
    names = ("open", "high", "low")
    plain = [tuple(int(getattr(candles, n)[i]) for n in names) for i in range(len(candles))]
    if candles.quotes is None:
        return _Bars(candles.time.tolist(), plain, plain)  # type: ignore[arg-type]

    def book(which: str) -> list[Any]:
        columns = [getattr(candles.quotes, f"{which}_{n}") for n in names]
        return [tuple(int(c[i]) for c in columns) for i in range(len(candles))]

    leave, enter = ("bid", "ask") if side > 0 else ("ask", "bid")
    return _Bars(candles.time.tolist(), book(leave), book(enter))


def _level(price: float, point: Decimal) -> Decimal:
    """A price in half-points; float dirt away from the grid is on the grid."""
    level = Decimal(repr(price)) * 2 / point
    nearest = level.to_integral_value()
    return nearest if abs(level - nearest) <= Decimal("0.000001") else level


class Oracle:
    """Replays one row (a dictionary as in `cases.py`) on one market."""

    def __init__(self, market: Market, row: dict[str, Any]) -> None:
        self.market, self.row, self.side = market, row, row["side"]
        self.bars = _bars(market, self.side)
        self.entry = _level(row["entry_price"], market.point)
        planned = row["requested_entry"] if row["is_trade"] else float("nan")
        self.planned = self.entry if planned != planned else _level(planned, market.point)
        self.stop = self._barrier("stop_price", -1)
        self.target = self._barrier("target_price", 1)

    def _barrier(self, name: str, direction: int) -> Decimal | None:
        price = self.row[name]
        if price != price:
            return None
        level = _level(price, self.market.point)
        beyond = direction * self.side * (level - self.planned)
        return level if beyond > Decimal("0.000001") else None

    def touches_stop(self, bar: tuple[int, int, int]) -> bool:
        _, high, low = bar
        if self.stop is None:
            return False
        return low <= self.stop if self.side > 0 else high >= self.stop

    def touches_target(self, bar: tuple[int, int, int]) -> bool:
        _, high, low = bar
        if self.target is None:
            return False
        return high >= self.target if self.side > 0 else low <= self.target

    def beyond_stop(self, bar: tuple[int, int, int]) -> bool:
        if self.stop is None:
            return False
        return bar[0] < self.stop if self.side > 0 else bar[0] > self.stop

    def fills(self, price: int) -> bool:
        """Whether an order for the entry fills at a price of the entry side."""
        rising = (self.row["entry_kind"] == 1) != (self.side > 0)
        return price >= self.entry if rising else price <= self.entry

    def order_touched(self, bar: tuple[int, int, int]) -> bool:
        return self.fills(bar[1]) or self.fills(bar[2])

    def path(self) -> OraclePath:
        path = OraclePath(entry=float(self.entry))
        self._window(path)
        path.off_market = self._off_market(path)
        ordered = bool(self.row["entry_kind"]) and not self.row["is_trade"]
        if ordered and self._enter(path):
            return path
        self._walk(path)
        return path

    def _window(self, path: OraclePath) -> None:
        row, bar_ns, times = self.row, self.market.bar_ns, self.bars.time
        entry, is_trade = row["entry_time"], row["is_trade"]
        end = row["fill_exit_time"] if is_trade else row["end_time"]
        path.first = sum(t < entry for t in times)
        if end == NO_TIME:
            path.last = path.exit = path.first - 1
            return
        inside = sum(t <= end if is_trade else t + bar_ns <= end for t in times)
        path.last = path.exit = max(inside - 1, path.first - 1)
        if times:
            data_end = times[-1] + bar_ns
            path.reached_end = data_end > end if is_trade else data_end >= end
        before = path.first - 1
        cut = before >= 0 and times[before] + bar_ns > entry
        if cut and (path.first == len(times) or times[path.first] != entry):
            self._skip(path, before)

    def _off_market(self, path: OraclePath) -> bool:
        """Whether a market entry lies on the far side of a barrier from the bar it falls into."""
        row, times, i = self.row, self.bars.time, path.first
        if row["is_trade"] or row["entry_kind"]:
            return False
        if i < len(times) and times[i] == row["entry_time"]:
            seen = [self.bars.enter[i][0]]
        elif i > 0 and times[i - 1] + self.market.bar_ns > row["entry_time"]:
            seen = list(self.bars.enter[i - 1][1:])
        else:
            return False
        stop, target = self.stop, self.target
        at_stop = stop is not None and all(self.side * (p - stop) <= 0 for p in seen)
        return at_stop or (target is not None and all(self.side * (p - target) >= 0 for p in seen))

    def _skip(self, path: OraclePath, bar: int) -> None:
        if self.row["entry_kind"] and not self.row["is_trade"]:
            path.skipped_touch = self.order_touched(self.bars.enter[bar])
        else:
            leave = self.bars.leave[bar]
            path.skipped_touch = self.touches_stop(leave) or self.touches_target(leave)

    def _enter(self, path: OraclePath) -> bool:
        """Find the fill of an order. True when that already settled the path."""
        for i in range(path.first, path.last + 1):
            if not self.order_touched(self.bars.enter[i]):
                continue
            if self.fills(self.bars.enter[i][0]):
                path.first = i
                self._fill_gap(path, self.bars.enter[i][0])
                return False
            bar = self.bars.leave[i]
            if self.row["entry_kind"] == 1 and self.touches_stop(bar):
                self._stopped_at_fill(path, i)
                return True
            path.skipped_touch |= self.touches_stop(bar) or self.touches_target(bar)
            path.first = i + 1
            return False
        path.first = path.exit = -1
        return True

    def _fill_gap(self, path: OraclePath, opened: int) -> None:
        """A stop entry fills at an open beyond it; a target passed by then is none."""
        if self.row["entry_kind"] == 2 and opened != self.entry:
            self.entry, path.entry = Decimal(opened), float(opened)
            if self.target is not None and self.side * (self.target - opened) <= 0:
                self.target = None

    def _stopped_at_fill(self, path: OraclePath, i: int) -> None:
        path.first = path.exit = path.mfe_bar = path.mae_bar = i
        path.hit = 1
        _, high, low = self.bars.leave[i]
        worst = low if self.side > 0 else high
        path.mae = path.drawdown = int(self.side * (round(self.entry) - worst))

    def _counted(self, path: OraclePath, i: int) -> int:
        """Touches of a bar; of the bar of a trade's exit those that the fill shows."""
        bar = self.bars.leave[i]
        stopped, reached = self.touches_stop(bar), self.touches_target(bar)
        left = self.row["fill_exit_time"]
        opened = self.bars.time[i]
        if not self.row["is_trade"] or not opened <= left < opened + self.market.bar_ns:
            return stopped + 2 * reached
        fill = _level(self.row["fill_exit"], self.market.point)
        at_stop = self.stop is not None and self.side * (fill - self.stop) <= 1
        at_target = self.target is not None and self.side * (fill - self.target) >= -1
        both = stopped and reached and at_stop
        path.exit_touch = (stopped and not at_stop) + 2 * (
            reached and not both and (at_stop or not at_target)
        )
        return stopped + 2 * reached - path.exit_touch

    def _after_hole(self, hit: int, i: int) -> bool:
        """Whether the open touched and the bar before is not there; crypto trades all the time."""
        opened, times, bar_ns = self.bars.leave[i][0], self.bars.time, self.market.bar_ns
        left = self.row["fill_exit_time"]
        if self.row["is_trade"] and times[i] <= left < times[i] + bar_ns:
            return False
        if i == 0 or times[i] <= self.row["entry_time"] or times[i - 1] + bar_ns == times[i]:
            return False
        at_open = (opened, opened, opened)
        stopped, reached = self.touches_stop(at_open), self.touches_target(at_open)
        return bool(hit & 1 and stopped) or bool(hit & 2 and reached)

    def _walk(self, path: OraclePath) -> None:
        best: int | None = None
        worst: int | None = None
        for i in range(path.first, path.last + 1):
            path.hit = self._counted(path, i)
            if path.exit_touch:
                path.exit = i
                path.gap = path.hit & 1 > 0 and self.beyond_stop(self.bars.leave[i])
                break
            bar = self.bars.leave[i]
            up, down = (bar[1], bar[2]) if self.side > 0 else (-bar[2], -bar[1])
            if best is not None:
                path.drawdown = max(path.drawdown, best - down)
            if best is None or up > best:
                best, path.mfe_bar = up, i
            if worst is None or down < worst:
                worst, path.mae_bar = down, i
            if path.hit:
                path.exit = i
                path.after_hole = self._after_hole(path.hit, i)
                path.gap = self.touches_stop(bar) and self.beyond_stop(bar)
                break
        if best is not None and worst is not None:
            entry = self.side * round(self.entry)
            path.mfe, path.mae = max(best - entry, 0), max(entry - worst, 0)
