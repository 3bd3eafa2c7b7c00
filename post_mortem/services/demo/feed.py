"""The simulated signal feed: what five strategies propose, on setups that really are there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from post_mortem.core.setups import detect
from post_mortem.core.types import SETUPS
from trading.core.aggregate import aggregate
from trading.core.candles import I64, Candles
from trading.core.indicators import atr

from . import noise
from .events import STEP_SECONDS, STEPS_PER_HOUR
from .market import BAR_NS, PAIR_BY_SYMBOL, START_NS, Market
from .paths import Ending, Plan, follow

TIMEFRAME = "15m"
SIGNAL_NS = 15 * 60 * 1_000_000_000
STEPS_PER_SIGNAL_BAR = 15 * 60 // STEP_SECONDS
FX = ("EURUSD", "GBPUSD", "USDJPY", "AUDUSD")
_WARM_UP_BARS = 200  # before that, too little is known to check a setup
_LEAST_STOP_PIPS = 8
_FIRST_SECONDS = 30  # an order is filled within the first step after its signal


@dataclass(frozen=True, slots=True)
class Strategy:
    """`hours`: of the day (UTC) in which it proposes; `stop_atr`: the stop's distance in average
    ranges; `reward`: the target's distance in risks; `scores`: lowest and highest of its model."""

    name: str
    kind: str
    setup: str
    symbols: tuple[str, ...]
    hours: tuple[int, int]
    stop_atr: float
    reward: float
    model: str
    semantics: str
    scores: tuple[int, int]
    min_score: int


BREAKOUT = Strategy(
    "london-breakout", "trend", "breakout", FX, (6, 17), 1.5, 1.3,
    "breakout-1", "probability", (40, 54), 40,
)  # fmt: skip
STRUCTURE = Strategy(
    "structure-trend", "trend", "bos", (*FX, "BTC/USD"), (4, 20), 3.0, 1.3,
    "structure-1", "probability", (40, 54), 40,
)  # fmt: skip
FADE = Strategy(
    "sweep-fade", "mean_reversion", "sweep", FX, (0, 21), 1.5, 1.1,
    "fade-1", "rank", (52, 90), 50,
)  # fmt: skip
BLOCK = Strategy(
    "block-return", "trend", "order_block", ("AUDUSD",), (0, 21), 1.5, 1.5,
    "block-1", "rank", (52, 90), 50,
)  # fmt: skip
IMBALANCE = Strategy(
    "imbalance", "trend", "fvg", ("EURUSD", "GBPUSD", "USDJPY"), (7, 18), 1.8, 1.2,
    "imbalance-1", "probability", (42, 56), 42,
)  # fmt: skip
STRATEGIES = (BREAKOUT, STRUCTURE, FADE, BLOCK, IMBALANCE)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A signal that could be given, with what would become of it. `bar` is the signal bar at whose
    close it is known; the plan is filled at the first step after that."""

    strategy: Strategy
    setups: tuple[str, ...]
    bar: int
    plan: Plan
    ending: Ending

    @property
    def key(self) -> str:
        plan = self.plan
        return f"{self.strategy.name} {plan.symbol} {self.bar} {plan.side} {plan.risk}"


def signal_bars(market: Market, symbol: str) -> Candles:
    """15-minute bars of the mid (or traded) prices."""
    return aggregate(market.candles(symbol), SIGNAL_NS, BAR_NS)


def make_plan(
    market: Market, symbol: str, side: int, step: int, stop_points: int, reward: float
) -> Plan:
    """A position at the quote of one step."""
    bid, ask = market.quote_steps(symbol, step, step + 1)
    entry = int(ask[0] if side > 0 else bid[0])
    return Plan(
        symbol, side, step, entry, entry - side * stop_points,
        entry + side * int(stop_points * reward),
    )  # fmt: skip


def step_after(bar_time: int) -> int:
    """The first step after the close of a signal bar."""
    return (bar_time + SIGNAL_NS - START_NS) // (STEP_SECONDS * 1_000_000_000)


def bar_before(chart: Chart, step: int) -> int:
    """Index of the first signal bar whose close comes at or after the beginning of a step."""
    closes = START_NS + step * STEP_SECONDS * 1_000_000_000 - SIGNAL_NS
    return int(np.searchsorted(chart.time, closes))


def stop_points(symbol: str, atr_half_points: float, multiple: float) -> int:
    pair = PAIR_BY_SYMBOL[symbol]
    least = _LEAST_STOP_PIPS * 10 if pair.kind == "fx" else pair.start // 400
    return max(int(atr_half_points * multiple / 2), least)


@dataclass(frozen=True, slots=True, eq=False)
class Chart:
    """One symbol's signal bars with what was detected on them: (n, setup, direction) is True at
    the bar at whose close a setup becomes known."""

    symbol: str
    time: I64
    atr: np.ndarray[tuple[int], np.dtype[np.float64]]
    known: np.ndarray[tuple[int, int, int], np.dtype[np.bool_]]

    def has(self, bar: int, setup: str, side: int, back: int = 0) -> bool:
        """Whether a setup became known on a side at a bar or up to `back` bars before."""
        found = self.known[max(bar - back, 0) : bar + 1, SETUPS.index(setup), int(side < 0)]
        return bool(found.any())


def read_chart(market: Market, symbol: str) -> Chart:
    bars = signal_bars(market, symbol)
    events = detect(bars)
    known = np.zeros((len(bars), len(SETUPS), 2), np.bool_)
    known[events.known_bar, events.setup, (events.direction < 0).astype(np.int64)] = True
    return Chart(symbol, bars.time, atr(bars), known)


def candidates(market: Market, charts: dict[str, Chart]) -> tuple[Candidate, ...]:
    """Every signal the strategies could give, in order of time."""
    found = [
        candidate
        for strategy in STRATEGIES
        for symbol in strategy.symbols
        for candidate in _of_strategy(market, charts[symbol], strategy)
    ]
    return tuple(sorted(found, key=lambda c: (c.plan.step, c.key)))


def _of_strategy(market: Market, chart: Chart, strategy: Strategy) -> list[Candidate]:
    found = []
    column = chart.known[:, SETUPS.index(strategy.setup), :]
    for bar, way in np.argwhere(column).tolist():
        side = 1 if way == 0 else -1
        step = step_after(int(chart.time[bar]))
        hour = step // STEPS_PER_HOUR % 24
        if bar < _WARM_UP_BARS or not strategy.hours[0] <= hour < strategy.hours[1]:
            continue
        if bool(column[bar, 1 - way]) or not _tradable(market, chart.symbol, step):
            continue
        distance = stop_points(chart.symbol, float(chart.atr[bar]), strategy.stop_atr)
        plan = make_plan(market, chart.symbol, side, step, distance, strategy.reward)
        ending = follow(market, plan)
        found.append(Candidate(strategy, claims_of(chart, strategy, bar, side), bar, plan, ending))
    return found


def claims_of(chart: Chart, strategy: Strategy, bar: int, side: int) -> tuple[str, ...]:
    """The strategy's setup, and a fair value gap where one came with it (structure only)."""
    if strategy is STRUCTURE and chart.has(bar, "fvg", side):
        return (strategy.setup, "fvg")
    return (strategy.setup,)


def _tradable(market: Market, symbol: str, step: int) -> bool:
    """Open now and for the next two hours: not on a Friday evening, not at the very end."""
    steps = market.open_steps(symbol)
    ahead = step + 6 * STEPS_PER_HOUR
    return ahead < steps.size and bool(steps[step]) and bool(steps[ahead])


def score(strategy: Strategy, key: str, *, inflated: bool) -> int:
    """What the model says. An over-confident version says 30 points more."""
    low, high = strategy.scores
    value = low + noise.draw(f"score {key}", high - low + 1)
    return value + 30 if inflated else value
