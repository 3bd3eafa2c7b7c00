"""The simulated market: thirteen weeks of 5-minute bars of four currency pairs and bitcoin.

Each currency is a factor of its own; a pair is the difference of its two, so dollar pairs move
together. Noise follows the hour of the day, clusters from hour to hour and has fat tails. Prices
are whole points at every step of 30 seconds; a bar is the range of its ten steps. Nothing here
depends on a clock, a platform or the order of evaluation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cached_property, lru_cache

import numpy as np

from trading.core.candles import I64, Candles, Quotes, from_quotes
from trading.core.sessions import is_open
from trading.core.types import HALF_POINTS_PER_POINT, NS_PER_SECOND, SeriesKind

from . import noise
from .events import (
    BAR_SECONDS,
    END,
    START,
    STEP_SECONDS,
    STEPS_PER_BAR,
    STEPS_PER_HOUR,
    Effect,
    Event,
    events,
    step_of,
)

TIMEFRAME = "5m"
SOURCE = "simulated"
UNIT = 1_000_000_000  # factors move in units of 1e-9
STEPS = step_of(END)
BARS = STEPS // STEPS_PER_BAR
HOURS = STEPS // STEPS_PER_HOUR
START_NS = int(START.timestamp()) * NS_PER_SECOND
STEP_NS = STEP_SECONDS * NS_PER_SECOND
BAR_NS = BAR_SECONDS * NS_PER_SECOND


@dataclass(frozen=True, slots=True)
class Factor:
    """Noise of one currency: basis points a 5-minute bar at an ordinary hour, and the share of it
    by hour of the day (UTC, per cent)."""

    name: str
    size_bp: float
    hours: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Pair:
    """An instrument. `spread` and `ticks` are points and ticks a bar at an ordinary hour."""

    symbol: str
    base: str
    quote: str
    kind: str
    point: Decimal
    start: int  # first price, points
    spread: int
    ticks: int
    own_bp: float


_EUROPE = (45, 42, 42, 45, 50, 60, 85, 130, 125, 115, 105, 100,
           125, 130, 130, 120, 95, 70, 60, 55, 50, 40, 42, 45)  # fmt: skip
_ASIA = (110, 115, 105, 90, 80, 80, 90, 115, 110, 100, 90, 90,
         115, 120, 115, 100, 80, 65, 55, 50, 50, 50, 75, 95)  # fmt: skip
_AMERICA = (45, 45, 45, 45, 45, 50, 65, 90, 90, 85, 85, 100,
            140, 150, 150, 135, 105, 85, 75, 70, 60, 40, 40, 45)  # fmt: skip
_ROUND_THE_CLOCK = (95, 95, 90, 85, 85, 85, 90, 95, 95, 95, 95, 100,
                    110, 120, 125, 120, 110, 105, 100, 100, 100, 95, 95, 95)  # fmt: skip

FACTORS: tuple[Factor, ...] = (
    Factor("USD", 1.8, _AMERICA),
    Factor("EUR", 1.8, _EUROPE),
    Factor("GBP", 2.1, _EUROPE),
    Factor("JPY", 2.2, _ASIA),
    Factor("AUD", 2.4, _ASIA),
    Factor("BTC", 11.0, _ROUND_THE_CLOCK),
)
PAIRS: tuple[Pair, ...] = (
    Pair("EURUSD", "EUR", "USD", "fx", Decimal("0.00001"), 116_400, 7, 420, 0.4),
    Pair("GBPUSD", "GBP", "USD", "fx", Decimal("0.00001"), 134_900, 10, 380, 0.5),
    Pair("USDJPY", "USD", "JPY", "fx", Decimal("0.001"), 148_200, 9, 400, 0.5),
    Pair("AUDUSD", "AUD", "USD", "fx", Decimal("0.00001"), 65_300, 7, 300, 0.6),
    Pair("BTC/USD", "BTC", "", "crypto", Decimal("0.1"), 964_000, 0, 900, 0.0),
)
PAIR_BY_SYMBOL = {pair.symbol: pair for pair in PAIRS}

_CLUSTER = (60, 75, 90, 110, 135)  # noise of an hour, per cent, by the state of its factor
_FAT_TAIL = (90,) * 82 + (130,) * 13 + (190,) * 5  # noise of a bar, per cent
_WEEKEND_STEP = 12  # noise of the first step after a weekend, in ordinary steps
_ROLLOVER_HOURS = {20: 2, 21: 5, 22: 2}  # the spread of these hours (UTC), in ordinary spreads
_TICKS_PER_SPREAD_OF_RANGE = 0.02


class Market:
    """The whole simulation. `factor_steps` and `mid_steps` can leave out one event."""

    def __init__(self, happening: Sequence[Event]) -> None:
        self.events = tuple(happening)
        self._scales = {factor.name: _scale(factor) for factor in FACTORS}
        self._own = {pair.symbol: _own_scale(pair, self.open_steps(pair.symbol)) for pair in PAIRS}

    @cached_property
    def _fx_open(self) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        return is_open("fx", START_NS + np.arange(BARS, dtype=np.int64) * BAR_NS)

    def open_bars(self, symbol: str) -> I64:
        """Bars (counted from the start) in which a market trades."""
        if PAIR_BY_SYMBOL[symbol].kind != "fx":
            return np.arange(BARS, dtype=np.int64)
        return np.flatnonzero(self._fx_open).astype(np.int64)

    def open_steps(self, symbol: str) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        if PAIR_BY_SYMBOL[symbol].kind != "fx":
            return np.ones(STEPS, np.bool_)
        return np.repeat(self._fx_open, STEPS_PER_BAR)

    def factor_steps(self, name: str, first: int, last: int, without: str = "") -> I64:
        """Moves of a factor in steps [first, last), in units, leaving out the event `without`."""
        if name in self._scales:
            values = self._scales[name][first:last].copy()
        else:
            values = self._own[name][first:last].copy()
        moves = np.zeros(last - first, np.int64)
        for effect in self._effects(name, first, last, without):
            span = slice(max(effect.first, first) - first, min(effect.last, last) - first)
            values[span] *= effect.multiplier
            moves[span] += effect.move
        return np.rint(values).astype(np.int64) + moves

    def _effects(self, name: str, first: int, last: int, without: str) -> list[Effect]:
        return [
            effect
            for event in self.events
            if event.key != without
            for effect in event.effects
            if effect.factor == name and effect.first < last and effect.last > first
        ]

    def _moves(self, pair: Pair, first: int, last: int, without: str = "") -> I64:
        moves = self.factor_steps(pair.base, first, last, without)
        if pair.quote:
            moves = moves - self.factor_steps(pair.quote, first, last, without)
        moves += self.factor_steps(pair.symbol, first, last, without)
        return np.where(self.open_steps(pair.symbol)[first:last], moves, 0)

    @lru_cache(maxsize=16)  # noqa: B019 - one market a process, and it is the cache that is wanted
    def _levels(self, symbol: str) -> I64:
        return np.cumsum(self._moves(PAIR_BY_SYMBOL[symbol], 0, STEPS))

    def mid_steps(self, symbol: str, first: int, last: int, without: str = "") -> I64:
        """Mid prices, in points, at the end of steps [first, last).

        With `without`, prices up to `first` stay as they were and the event is left out after.
        """
        pair, levels = PAIR_BY_SYMBOL[symbol], self._levels(symbol)
        if not without:
            level = levels[first:last]
        else:
            before = int(levels[first - 1]) if first else 0
            level = before + np.cumsum(self._moves(pair, first, last, without))
        return pair.start + pair.start * level // UNIT

    @lru_cache(maxsize=16)  # noqa: B019
    def spread_steps(self, symbol: str) -> I64:
        """Ask minus bid, in points, at every step."""
        pair = PAIR_BY_SYMBOL[symbol]
        hour = np.arange(STEPS, dtype=np.int64) // STEPS_PER_HOUR % 24
        times = np.ones(24, np.int64)
        for at, wide in _ROLLOVER_HOURS.items():
            times[at] = wide
        wobble = noise.below(f"spread {symbol}", 41, STEPS) + 80
        spread = pair.spread * times[hour] * wobble / 100.0
        for event in self.events:
            if event.spread > 1 and event.factor in (pair.base, pair.quote, symbol):
                ends = min(event.last, event.first + 3 * STEPS_PER_BAR)
                spread[event.first : ends] *= event.spread
        return np.maximum(np.rint(spread).astype(np.int64), min(pair.spread, 1))

    def quote_steps(self, symbol: str, first: int, last: int, without: str = "") -> tuple[I64, I64]:
        """Bid and ask, in points, at the end of steps [first, last); both mid without quotes."""
        mid = self.mid_steps(symbol, first, last, without)
        spread = self.spread_steps(symbol)[first:last]
        bid = mid - spread // 2
        return bid, bid + spread

    def candles(self, symbol: str) -> Candles:
        """All bars of one symbol, prices in half-points."""
        pair, bars = PAIR_BY_SYMBOL[symbol], self.open_bars(symbol)
        bid, ask = self.quote_steps(symbol, 0, STEPS)
        time = START_NS + bars * BAR_NS
        volume = self._volume(pair, bars)
        sides = [_bars_of(side, bars) for side in (bid, ask)]
        if pair.spread:
            quotes = Quotes(*sides[0], *sides[1])
            return from_quotes(time, quotes, volume)
        return Candles(time, *sides[0], volume)

    def _volume(self, pair: Pair, bars: I64) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """Ticks a bar: the hour's usual number, more in a wide bar, scaled by events."""
        steps = self.mid_steps(pair.symbol, 0, STEPS).reshape(BARS, STEPS_PER_BAR)
        span = (steps.max(axis=1) - steps.min(axis=1)).astype(np.float64)
        hour = np.arange(BARS, dtype=np.int64) * BAR_SECONDS // 3600 % 24
        usual = np.array(_hours_of(pair), np.float64)[hour] / 100.0
        wobble = (noise.below(f"ticks {pair.symbol}", 61, BARS) + 70) / 100.0
        ticks = pair.ticks * usual * wobble
        ticks *= 1.0 + _TICKS_PER_SPREAD_OF_RANGE * span / max(pair.spread, pair.start // 20_000)
        for event in self.events:
            if event.volume != 1 and event.factor in (pair.base, pair.quote, pair.symbol):
                around = 2 if event.volume < 1 else 0
                first = event.first // STEPS_PER_BAR - around
                ticks[max(first, 0) : event.last // STEPS_PER_BAR + around] *= event.volume
        return np.maximum(np.rint(ticks[bars]), 1.0)

    def time_of(self, step: int) -> datetime:
        """The moment at which a step ends."""
        return START + timedelta(seconds=(step + 1) * STEP_SECONDS)


def series_kind(symbol: str) -> SeriesKind:
    return SeriesKind.BID_ASK if PAIR_BY_SYMBOL[symbol].spread else SeriesKind.TRADE


def _bars_of(steps: I64, bars: I64) -> tuple[I64, I64, I64, I64]:
    table = steps.reshape(BARS, STEPS_PER_BAR)[bars] * HALF_POINTS_PER_POINT
    return table[:, 0].copy(), table.max(axis=1), table.min(axis=1), table[:, -1].copy()


def _hours_of(pair: Pair) -> tuple[int, ...]:
    by_name = {factor.name: factor.hours for factor in FACTORS}
    quote = by_name.get(pair.quote, by_name[pair.base])
    return tuple((a + b) // 2 for a, b in zip(by_name[pair.base], quote, strict=True))


def _scale(factor: Factor) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Noise of a factor at every step, before any event, in units."""
    hour = np.arange(HOURS, dtype=np.int64)
    by_hour = np.array(factor.hours, np.float64)[hour % 24] * _clusters(factor.name) / 100.0
    fat = np.array(_FAT_TAIL, np.float64)[noise.below(f"tail {factor.name}", 100, BARS)] / 100.0
    # 0.316 = 1 / sqrt(10): ten steps make a bar.
    size = factor.size_bp * 0.316 * UNIT / 10_000
    scale = size * np.repeat(by_hour, STEPS_PER_HOUR) * np.repeat(fat, STEPS_PER_BAR)
    return scale * noise.bell(factor.name, STEPS)


def _own_scale(
    pair: Pair, trades: np.ndarray[tuple[int], np.dtype[np.bool_]]
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Noise of the pair itself, larger in the first step after a weekend."""
    own = pair.own_bp * 0.316 * UNIT / 10_000 * noise.bell(f"own {pair.symbol}", STEPS)
    reopens = np.flatnonzero(trades[1:] & ~trades[:-1]) + 1
    own[reopens] *= _WEEKEND_STEP
    return own


def _clusters(name: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """A walk over five states of unrest, one step at a time at the most, hour by hour."""
    moves = noise.below(f"cluster {name}", 10, HOURS).tolist()
    state, states = 2, []
    for move in moves:
        # Out of ten: two up, two down, else stay.
        state = min(max(state + (move < 2) - (move > 7), 0), len(_CLUSTER) - 1)
        states.append(_CLUSTER[state])
    return np.array(states, np.float64) / 100.0


@lru_cache(maxsize=1)
def simulate() -> Market:
    """The demo's market, built once a process."""
    return Market(events())
