"""The planted stories: for every cause, trades that fail because of it and would not without it.

Market stories take a candidate that was stopped during an event and reached its target (or at
least did not lose) on the same noise without the event. Execution stories take one that made money
at mid prices and lost it in the fills. Decision stories break a rule that would have avoided the
trade. Which candidate is taken follows a hash, never what the engine says of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from .deals import (
    Book,
    Deal,
    Planted,
    by_hash,
    disturbances,
    plain_deal,
    room_at,
    room_at_entry,
    touches,
)
from .events import GAP, NEWS, REGIME, SHOCK, STEPS_PER_BAR, STEPS_PER_HOUR, TURBULENCE, Event
from .feed import (
    BREAKOUT,
    FADE,
    IMBALANCE,
    STRUCTURE,
    Candidate,
    Chart,
    Strategy,
    bar_before,
    claims_of,
    make_plan,
    step_after,
    stop_points,
)
from .market import Market
from .paths import REACHED, STOPPED, bar_of, follow

OVERCONFIDENT_FROM = 42 * 24 * STEPS_PER_HOUR  # Monday of the seventh week
OVERCONFIDENT = "structure-2"
_LEAST_WITHOUT_R = 0.1
_STOPS = (1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0)  # in average ranges


@dataclass(frozen=True, slots=True)
class Scene:
    """What stories are made from."""

    market: Market
    charts: dict[str, Chart]
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True, slots=True)
class MarketStory:
    """`early`, `late`: entry in hours before (negative: after) the event begins; `soonest`,
    `latest`: the stop in minutes after it begins."""

    kind: str
    cause: str
    how: str
    early: float
    late: float
    soonest: int
    latest: int
    trades: int


_MARKET_STORIES = (
    MarketStory(NEWS, "news_shock", "open through a release that surprised",
                2.0, 0.1, 0, 10, 7),
    MarketStory(SHOCK, "external_shock", "the dollar jumped everywhere, without a release",
                2.0, 0.1, 0, 8, 3),
    MarketStory(GAP, "liquidity_event", "prices gapped through the stop after the close",
                5.0, 0.1, 0, 10, 3),
    MarketStory(REGIME, "regime_drift", "the trend it followed ended and turned",
                3.0, 0.0, 60, 330, 5),
    MarketStory(TURBULENCE, "volatility_spike", "noise grew fourfold and reached the stop",
                4.0, -0.5, 40, 240, 6),
)  # fmt: skip


def market_stories(scene: Scene, book: Book) -> None:
    """Trades that an event of the market stopped, at most two an event."""
    for story in _MARKET_STORIES:
        happening = [event for event in scene.market.events if event.kind == story.kind]
        taken = 0
        for event in happening + happening:
            if taken < story.trades and _take_hurt(scene, book, story, event):
                taken += 1


def _take_hurt(scene: Scene, book: Book, story: MarketStory, event: Event) -> bool:
    first = event.first - int(story.early * STEPS_PER_HOUR)
    last = event.first - int(story.late * STEPS_PER_HOUR)
    trend = (STRUCTURE, BREAKOUT, IMBALANCE)
    strategies = trend if story.kind == REGIME else (*trend, FADE)
    for candidate in by_hash(_around(scene, event, first, last, strategies), story.cause):
        free = book.is_free(candidate, candidate.ending.step)
        if free and _is_hurt(scene.market, story, event, candidate):
            planted = Planted(story.cause, story.how, event.key)
            book.take(plain_deal(scene.market, candidate, planted=planted))
            return True
    return False


def _around(
    scene: Scene, event: Event, first: int, last: int, strategies: Sequence[Strategy]
) -> list[Candidate]:
    """Signals on the markets an event touches, entered in steps [first, last), with every width
    of stop a trader might choose."""
    found = []
    for symbol, chart in scene.charts.items():
        # Bitcoin follows the dollar's shocks only loosely: it is no clear case of one.
        if not touches(event, symbol) or (symbol == "BTC/USD" and event.factor != "BTC"):
            continue
        for bar in range(bar_before(chart, first), bar_before(chart, last)):
            for strategy in strategies:
                found += _with_any_stop(scene.market, chart, strategy, bar)
    return found


def _with_any_stop(market: Market, chart: Chart, strategy: Strategy, bar: int) -> list[Candidate]:
    sides = [side for side in (1, -1) if chart.has(bar, strategy.setup, side)]
    step = step_after(int(chart.time[bar]))
    if len(sides) != 1 or not bool(market.open_steps(chart.symbol)[step]):
        return []
    found = []
    for multiple in _STOPS:
        distance = stop_points(chart.symbol, float(chart.atr[bar]), multiple)
        plan = make_plan(market, chart.symbol, sides[0], step, distance, strategy.reward)
        setups = claims_of(chart, strategy, bar, sides[0])
        found.append(Candidate(strategy, setups, bar, plan, follow(market, plan)))
    return found


def _is_hurt(market: Market, story: MarketStory, event: Event, candidate: Candidate) -> bool:
    plan, ending = candidate.plan, candidate.ending
    if _is_overconfident(candidate):
        return False
    minutes = (ending.step - event.first) / 2
    if ending.reason != STOPPED or not story.soonest <= minutes <= story.latest:
        return False
    # A wide spread is part of a gap in thin trading, and of no other event.
    if story.kind != GAP and not by_price_alone(market, candidate):
        return False
    around = disturbances(market.events, plan.symbol, plan.step, ending.step)
    if any(e.key != event.key and e.kind != "trend" for e in around) or event not in around:
        return False
    without = follow(market, plan, without=event.key)
    return without.reason != STOPPED and without.r >= _LEAST_WITHOUT_R


def _is_overconfident(candidate: Candidate) -> bool:
    return candidate.strategy is STRUCTURE and candidate.plan.step >= OVERCONFIDENT_FROM


# --- ordinary candidates ------------------------------------------------------------------------


def is_clean(market: Market, candidate: Candidate) -> bool:
    """Nothing happened to it but noise, and it ended after its first bar."""
    plan, ending = candidate.plan, candidate.ending
    lasted = ending.step >= plan.step + 2 * STEPS_PER_BAR
    return lasted and not disturbances(market.events, plan.symbol, plan.step, ending.step)


def by_price_alone(market: Market, candidate: Candidate) -> bool:
    """Stopped at mid prices too, in the same bar and by a point more: the spread had no part."""
    bar_ends = (bar_of(candidate.ending.step) + 1) * STEPS_PER_BAR - 1
    plan = replace(candidate.plan, stop=candidate.plan.stop - candidate.plan.side)
    at_mid = follow(market, plan, last=bar_ends, mid=True)
    return at_mid.reason == STOPPED


def clean_of(
    scene: Scene, strategies: Sequence[object], reason: str, first: int = 0, last: int = 1 << 40
) -> list[Candidate]:
    """Undisturbed candidates that end one way, entered in steps [first, last); those that were
    stopped, by prices alone."""
    return [
        c
        for c in scene.candidates
        if c.strategy in strategies
        and c.ending.reason == reason
        and first <= c.plan.step < last
        and is_clean(scene.market, c)
        and (reason != STOPPED or by_price_alone(scene.market, c))
    ]


# --- execution ----------------------------------------------------------------------------------


def cost_stories(scene: Scene, book: Book, trades: int = 4) -> None:
    """Closed by hand with a small gain at mid prices; the fills made a loss of it."""
    taken = 0
    pool = [c for c in scene.candidates if c.strategy in (BREAKOUT, FADE)]
    for candidate in by_hash(pool, "spread_slippage"):
        if taken == trades:
            return
        deal = _eaten_by_costs(scene.market, candidate)
        if deal is not None and book.is_free(candidate, deal.exit_step):
            book.take(deal)
            taken += 1


def _eaten_by_costs(market: Market, candidate: Candidate) -> Deal | None:
    """Fill at the worst price of the entry bar and of the exit bar, where that is far enough."""
    plan = candidate.plan
    entry_slip = room_at_entry(market, candidate)
    if plan.symbol == "BTC/USD" or not is_clean(market, candidate):
        return None
    if not 0.12 <= entry_slip / plan.risk <= 0.35:
        return None
    last = min(candidate.ending.step - STEPS_PER_BAR, plan.step + 3 * STEPS_PER_HOUR)
    mids = market.mid_steps(plan.symbol, plan.step + 1, max(last, plan.step + 2))
    for offset in range(STEPS_PER_HOUR // 2, mids.size, STEPS_PER_BAR):
        step, mid = plan.step + 1 + offset, int(mids[offset])
        room = room_at(market, plan.symbol, step, mid, plan.side)
        paper = plan.r_at(mid)
        real = paper - (room + entry_slip) / plan.risk
        if 0.06 <= paper <= 0.25 and room / plan.risk <= 0.4 and real <= -0.15:
            planted = Planted("spread_slippage", "a small gain at mid prices, lost in the fills")
            return Deal(
                candidate, step, mid - plan.side * room, "manual", entry_slip, requested_exit=mid,
                planted=planted, mistakes=("chased the entry",),
            )  # fmt: skip
    return None


def spread_stories(scene: Scene, book: Book, trades: int = 2) -> None:
    """Stopped by a wide spread alone: mid prices never touched the stop and went on to win."""
    taken = 0
    pool = [
        c
        for c in scene.candidates
        if c.strategy in (BREAKOUT, FADE)
        and c.ending.reason == STOPPED
        and is_clean(scene.market, c)
        and follow(scene.market, c.plan, mid=True).reason == REACHED
    ]
    for candidate in by_hash(pool, "spread"):
        if taken == trades:
            return
        if book.is_free(candidate, candidate.ending.step):
            planted = Planted("spread_slippage", "a wide spread reached the stop, mid prices not")
            book.take(plain_deal(scene.market, candidate, planted=planted))
            taken += 1


@dataclass(frozen=True, slots=True)
class PlatformOutage:
    """Steps first to last in which no order could be given."""

    first: int
    last: int
    what: str


def outage_story(scene: Scene, book: Book) -> PlatformOutage:
    """Ahead by most of its target, and no way to take it: the platform was down until the stop."""
    first, last = 30 * 24 * STEPS_PER_HOUR, 75 * 24 * STEPS_PER_HOUR
    for candidate in by_hash(clean_of(scene, (FADE, BREAKOUT), STOPPED, first, last), "outage"):
        ending = candidate.ending
        held = ending.step - ending.best_step
        if not (ending.best_r >= 0.6 and 20 <= held / 2 <= 80):
            continue
        if book.is_free(candidate, ending.step):
            planted = Planted("external_shock", "no order could be given while the platform failed")
            wanted = candidate.plan.entry + candidate.plan.side * int(
                ending.best_r * candidate.plan.risk
            )
            book.take(
                plain_deal(
                    scene.market,
                    candidate,
                    planted=planted,
                    requested_exit=wanted,
                    notes="Wanted to take the gain; the platform did not answer.",
                )  # fmt: skip
            )
            return PlatformOutage(
                ending.best_step - STEPS_PER_BAR, ending.step + 2 * STEPS_PER_BAR,
                "Trading platform unavailable (simulated)",
            )  # fmt: skip
    raise ValueError("no candidate fits the outage story")
