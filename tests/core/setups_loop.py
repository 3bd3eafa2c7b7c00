"""The definitions of setups written bar by bar, slow and plain, to check the fast ones against."""

from __future__ import annotations

import numpy as np

from post_mortem.core import setups
from post_mortem.core.setups import SetupEvents
from post_mortem.core.types import SETUPS
from trading.core.candles import Candles, mirror
from trading.core.indicators import atr

Event = tuple[str, int, int, int, float, int, int]


def listed(events: SetupEvents) -> list[Event]:
    return [
        (SETUPS[s], int(d), int(e), int(k), round(float(size), 9), int(low), int(high))
        for s, d, e, k, size, low, high in zip(
            events.setup,
            events.direction,
            events.event_bar,
            events.known_bar,
            events.size_atr,
            events.zone_low,
            events.zone_high,
            strict=True,
        )
    ]


class Loop:
    """The definitions written bar by bar; the bearish rules are the bullish ones mirrored."""

    def __init__(self, series: Candles) -> None:
        self.a = atr(series)
        self.n = len(series)
        self.turned = {1: self._bars(series), -1: self._bars(mirror(series))}
        self.found: list[Event] = []
        last: tuple[int, int] | None = None
        taken: set[tuple[int, int]] = set()
        for i in range(1, self.n):
            for way in (1, -1):
                kind = self._break(i, way, last, taken)
                if kind:
                    last = (i, way)
            for way in (1, -1):
                self._gap(i, way)
                self._breakout(i, way)
        order = {name: k for k, name in enumerate(SETUPS)}
        self.found.sort(key=lambda e: (e[3], order[e[0]], e[1]))

    @staticmethod
    def _bars(series: Candles) -> tuple[list[int], ...]:
        return tuple(getattr(series, x).tolist() for x in ("open", "high", "low", "close"))

    def add(
        self, name: str, way: int, event: int, known: int, size: float, zone: tuple[int, int]
    ) -> None:
        """`zone` as prices of the market, in any order."""
        if not np.isnan(self.a[known]):
            low, high = sorted(zone)
            self.found.append((name, way, event, known, round(size / self.a[known], 9), low, high))

    def swing(self, i: int, way: int) -> int:
        """The last swing high known by bar i - 1, -1 for none."""
        high = self.turned[way][1]
        for j in range(i - 4, max(2, i - setups.LEVEL_LIFE - 1), -1):
            if high[j] > max(high[j - 3 : j]) and high[j] >= max(high[j + 1 : j + 4]):
                return j
        return -1

    def _break(
        self, i: int, way: int, last: tuple[int, int] | None, taken: set[tuple[int, int]]
    ) -> bool:
        _, high, low, close = self.turned[way]
        j = self.swing(i, way)
        if j < 0:
            return False
        if (way, j) not in taken and high[i] > high[j] > close[i]:
            self.add("sweep", -way, j, i, high[i] - high[j], (way * high[j],) * 2)
        if not (close[i] > high[j] >= close[i - 1]) or (way, j) in taken:
            return False
        taken.add((way, j))
        turn = last is not None and last[1] == -way and i - last[0] <= setups.TREND_MEMORY
        zone = (way * high[j],) * 2
        self.add("choch" if turn else "bos", way, j, i, close[i] - high[j], zone)
        self._order_block(i, way, j)
        return True

    def displacement(self, i: int, way: int, j: int) -> tuple[int, int] | None:
        """(last falling bar before a break of swing j at i, how far closes rose above it)."""
        open_, high, _, close = self.turned[way]
        falling = [b for b in range(j + 1, i) if close[b] < open_[b]]
        if not falling or np.isnan(self.a[i]):
            return None
        return falling[-1], max(close[falling[-1] + 1 : i + 1]) - high[falling[-1]]

    def _order_block(self, i: int, way: int, j: int) -> None:
        _, high, low, _ = self.turned[way]
        block = self.displacement(i, way, j)
        if block is None:
            return
        b, size = block
        if size >= self.a[i] or any(self.gap_at(t, way) for t in range(b + 1, i + 1)):
            self.add("order_block", way, b, i, size, (way * low[b], way * high[b]))

    def gap_at(self, i: int, way: int) -> int:
        open_, high, low, close = self.turned[way]
        if i < 2 or np.isnan(self.a[i]) or close[i - 1] <= open_[i - 1]:
            return 0
        size = low[i] - high[i - 2]
        return size if size > 0 and size >= 0.1 * self.a[i] else 0

    def _gap(self, i: int, way: int) -> None:
        if self.gap_at(i, way):
            zone = (way * self.turned[way][1][i - 2], way * self.turned[way][2][i])
            self.add("fvg", way, i - 1, i, self.gap_at(i, way), zone)

    def _breakout(self, i: int, way: int) -> None:
        _, high, _, close = self.turned[way]
        if i < 21 or np.isnan(self.a[i]):
            return
        level, before = max(high[i - 20 : i]), max(high[i - 21 : i - 1])
        if close[i] > level + 0.1 * self.a[i] and close[i - 1] <= before:
            self.add("breakout", way, i, i, close[i] - level, (way * level,) * 2)

    def miss(self, name: str, way: int, i: int) -> float:
        """By how many half-points bar i failed the price rule of a setup, NaN where it did not
        fail or where another of its rules failed."""
        open_, high, low, close = self.turned[way]
        a, miss = float(self.a[i]), float("nan")
        j = self.swing(i, way)
        if name in ("bos", "choch") and j >= 0:
            broken = any(e[0] in ("bos", "choch") and e[1:3] == (way, j) for e in self.known(i - 1))
            miss = miss if broken else high[j] - close[i]
        elif name == "fvg" and close[i - 1] > open_[i - 1]:
            miss = max(0.1 * a, 1) - (low[i] - high[i - 2])
        elif name == "order_block" and any(
            e[0] in ("bos", "choch") and e[1] == way and e[3] == i for e in self.found
        ):
            block = self.displacement(i, way, j)
            miss = miss if block is None else a - block[1]
        elif name == "breakout" and close[i - 1] <= max(high[i - 21 : i - 1]):
            miss = max(high[i - 20 : i]) + 0.1 * a - close[i]
        elif name == "sweep":
            other = self.swing(i, -way)
            _, highs, _, closes = self.turned[-way]
            if other >= 0:
                miss = max(highs[other] - highs[i], closes[i] - highs[other], 0)
        return miss if miss >= 0 else float("nan")

    def known(self, by: int) -> list[Event]:
        return [event for event in self.found if event[3] <= by]
