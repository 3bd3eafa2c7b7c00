"""A trade in the making: a candidate, how it was really filled, and what was planted in it."""

from __future__ import annotations

from bisect import insort
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from . import noise
from .events import STEP_SECONDS, STEPS_PER_BAR, Event
from .feed import Candidate
from .market import PAIR_BY_SYMBOL, Market
from .paths import bar_of

ORDER_SECONDS = 5  # fills happen 5 to 24 s into their step
FX_LOT, BTC_LOT = 100_000, 1
HARMFUL = ("news", "turbulence", "regime", "trend", "gap", "shock")


@dataclass(frozen=True, slots=True)
class Planted:
    """What was planted in a trade, in words. `event` is the event without which the same plan does
    not lose; empty where the story is a decision (then the rule in `how` avoids the trade)."""

    cause: str
    how: str
    event: str = ""


@dataclass(frozen=True, slots=True)
class Deal:
    """One trade. Prices are points; `slip` is how much worse than the quote a fill was."""

    candidate: Candidate
    exit_step: int
    exit_price: int
    exit_reason: str
    entry_slip: int = 0
    requested_exit: int | None = None
    half_exit: tuple[int, int] | None = None  # step and price at which half was closed
    size: float = 1.0
    stop_final: int | None = None
    setups: tuple[str, ...] | None = None  # claimed, where not the candidate's own
    score: int | None = None
    model: str = ""
    planted: Planted | None = None
    tags: tuple[str, ...] = ()
    mistakes: tuple[str, ...] = ()
    notes: str = ""

    @property
    def symbol(self) -> str:
        return self.candidate.plan.symbol

    @property
    def entry_step(self) -> int:
        return self.candidate.plan.step

    @property
    def entry_price(self) -> int:
        plan = self.candidate.plan
        return plan.entry + plan.side * self.entry_slip

    @property
    def r(self) -> float:
        """Result in R of the fills, before commissions."""
        plan = self.candidate.plan
        exits = [self.exit_price] + ([self.half_exit[1]] if self.half_exit else [])
        average = sum(exits) / len(exits)
        return plan.side * (average - self.entry_price) / plan.risk


@dataclass(slots=True)
class Book:
    """What is taken: one position a symbol at a time, three at once, and no candidate twice."""

    deals: list[Deal] = field(default_factory=list)
    _spans: dict[str, list[tuple[int, int]]] = field(default_factory=lambda: defaultdict(list))
    _used: set[str] = field(default_factory=set)

    def is_free(self, candidate: Candidate, last: int) -> bool:
        """Whether a position from the candidate's entry to step `last` fits."""
        first, pad = candidate.plan.step, STEPS_PER_BAR
        if candidate.key in self._used:
            return False
        own = self._spans[candidate.plan.symbol]
        if any(a - pad <= last and first <= b + pad for a, b in own):
            return False
        crowd = sum(a <= last and first <= b for spans in self._spans.values() for a, b in spans)
        return crowd < 3

    def take(self, deal: Deal) -> None:
        self.deals.append(deal)
        self._used.add(deal.candidate.key)
        insort(self._spans[deal.symbol], (deal.entry_step, deal.exit_step))


def touches(event: Event, symbol: str) -> bool:
    """Whether an event moves a symbol's prices or its trading conditions."""
    pair = PAIR_BY_SYMBOL[symbol]
    names = {pair.base, pair.quote, symbol}
    return event.factor in names or any(effect.factor in names for effect in event.effects)


def disturbances(events: Iterable[Event], symbol: str, first: int, last: int) -> tuple[Event, ...]:
    """Events that can hurt a position in `symbol` held over steps first to last."""
    return tuple(
        event
        for event in events
        if event.kind in HARMFUL
        and event.first <= last
        and event.last >= first
        and touches(event, symbol)
    )


def plain_deal(market: Market, candidate: Candidate, **changes: object) -> Deal:
    """The candidate traded as planned: small slips at entry and stop, the target at its price."""
    plan, ending = candidate.plan, candidate.ending
    slip = min(noise.draw(f"entry slip {candidate.key}", 4), room_at_entry(market, candidate))
    price = ending.price
    if ending.reason == "tp":
        # A bar that opened beyond the target fills a limit at its own worst price, which is better.
        price += plan.side * max(-_beyond(market, plan.symbol, ending.step, price, plan.side), 0)
    else:
        worst = room_at(market, plan.symbol, ending.step, price, plan.side)
        price -= plan.side * min(noise.draw(f"exit slip {candidate.key}", 4), worst)
    fields: dict[str, object] = {"entry_slip": slip} | changes
    return Deal(candidate, ending.step, price, ending.reason, **fields)  # type: ignore[arg-type]


def room_at_entry(market: Market, candidate: Candidate) -> int:
    """How much worse than the plan the first bar lets an entry be filled, in points."""
    plan = candidate.plan
    return room_at(market, plan.symbol, plan.step, plan.entry, -plan.side)


def room_at(market: Market, symbol: str, step: int, price: int, side: int) -> int:
    """How far below `price` (above it for side -1) the bar of a step was quoted: to what a seller
    (side 1, at the bid) or a buyer (side -1, at the ask) could still be filled."""
    return max(_beyond(market, symbol, step, price, side), 0)


def _beyond(market: Market, symbol: str, step: int, price: int, side: int) -> int:
    """How far the worst quote of a step's bar lies below a price (above it for side -1)."""
    first = bar_of(step) * STEPS_PER_BAR
    bid, ask = market.quote_steps(symbol, first, first + STEPS_PER_BAR)
    worst = int(bid.min()) if side > 0 else int(ask.max())
    return side * (price - worst)


def by_hash(items: Iterable[Candidate], stream: str) -> list[Candidate]:
    """In an order of their own that has nothing to do with time or result."""
    return sorted(items, key=lambda c: (noise.draw(f"{stream} {c.key}", 1 << 30), c.key))


def fill_second(step: int, stream: str) -> int:
    """Seconds from the start of the simulation of a fill within a step."""
    return step * STEP_SECONDS + ORDER_SECONDS + noise.draw(f"second {stream}", 20)


Events = Mapping[str, Event]
