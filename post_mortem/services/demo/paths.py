"""What becomes of a plan on the simulated market, step by step, with or without one event."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trading.core.candles import I64

from .events import STEP_SECONDS, STEPS_PER_BAR, STEPS_PER_HOUR
from .market import PAIR_BY_SYMBOL, STEPS, Market

STOPPED, REACHED, TIMED = "sl", "tp", "time"
LONGEST_STEPS = 24 * STEPS_PER_HOUR
_WEEK_STEPS = 7 * 24 * STEPS_PER_HOUR
# Friday 20:00 UTC, counted from the start, which is a Monday midnight.
_FRIDAY_CLOSE = (4 * 24 + 20) * STEPS_PER_HOUR


@dataclass(frozen=True, slots=True)
class Plan:
    """A position to be opened at the end of step `step`. Prices are points; `side` is +1 or -1."""

    symbol: str
    side: int
    step: int
    entry: int
    stop: int
    target: int

    @property
    def risk(self) -> int:
        return abs(self.entry - self.stop)

    def r_at(self, price: int) -> float:
        """Result in R of leaving at a price, before costs."""
        return self.side * (price - self.entry) / self.risk


@dataclass(frozen=True, slots=True)
class Ending:
    """How a plan ended: `step` is the step at whose end it did, `price` the quote then, in points.
    `best_step` and `best_r` are of the best quote up to there."""

    reason: str
    step: int
    price: int
    r: float
    best_step: int
    best_r: float


def last_step(plan: Plan) -> int:
    """The step by which a plan is closed whatever happens: a day on, or before the weekend."""
    limit = plan.step + LONGEST_STEPS
    if PAIR_BY_SYMBOL[plan.symbol].kind == "fx":
        week = plan.step // _WEEK_STEPS * _WEEK_STEPS
        limit = min(limit, week + _FRIDAY_CLOSE)
    return min(limit, STEPS - 1)


def exit_quotes(market: Market, plan: Plan, last: int, without: str = "") -> I64:
    """What the position can be closed at, at the end of steps (plan.step, last]."""
    bid, ask = market.quote_steps(plan.symbol, plan.step + 1, last + 1, without)
    return bid if plan.side > 0 else ask


def follow(
    market: Market, plan: Plan, *, last: int | None = None, without: str = "", mid: bool = False
) -> Ending:
    """The first touch of stop or target by the closing side of the book (or by mid prices)."""
    until = last_step(plan) if last is None else last
    if mid:
        quotes = market.mid_steps(plan.symbol, plan.step + 1, until + 1, without)
    else:
        quotes = exit_quotes(market, plan, until, without)
    gained = plan.side * (quotes - plan.entry)
    stopped = gained <= -plan.risk
    reached = gained >= plan.side * (plan.target - plan.entry)
    at = int(np.argmax(stopped | reached)) if bool((stopped | reached).any()) else gained.size - 1
    reason = STOPPED if stopped[at] else REACHED if reached[at] else TIMED
    best = int(np.argmax(gained[: at + 1]))
    price = int(quotes[at])
    return Ending(
        reason,
        plan.step + 1 + at,
        plan.target if reason == REACHED else price,
        float(gained[at]) / plan.risk,
        plan.step + 1 + best,
        float(gained[best]) / plan.risk,
    )


def bar_of(step: int) -> int:
    return step // STEPS_PER_BAR


def seconds_of(step: int) -> int:
    """Seconds from the start of the simulation to the end of a step."""
    return (step + 1) * STEP_SECONDS
