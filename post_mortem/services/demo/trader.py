"""The simulated trader: planted stories, ordinary trades around them, and the feed both came from.

The result is modest on purpose: a little under half of the trades win. Ordinary trades are winners,
losers with nothing wrong, and a few that were closed flat; nothing but noise happened to them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache, partial

from . import noise
from .deals import Book, Deal, Planted, by_hash, plain_deal
from .decisions import DECISIONS, revenge_stories
from .events import STEPS_PER_BAR, STEPS_PER_HOUR
from .feed import (
    BLOCK,
    BREAKOUT,
    FADE,
    IMBALANCE,
    STRUCTURE,
    TIMEFRAME,
    Candidate,
    Strategy,
    candidates,
    read_chart,
    score,
)
from .market import PAIRS, Market, simulate
from .paths import REACHED, STOPPED, exit_quotes
from .rows import OutageRow, SignalRow, TradeRow, moment, price, trade_row
from .stories import (
    OVERCONFIDENT,
    OVERCONFIDENT_FROM,
    PlatformOutage,
    Scene,
    clean_of,
    cost_stories,
    market_stories,
    outage_story,
    spread_stories,
)

WINNERS, LOSERS, FLAT = 79, 22, 8
UNTRADED = 170
_SCALED_OUT_OF = 4  # one winner in so many is closed in two halves
_WEEK = 7 * 24 * STEPS_PER_HOUR


@dataclass(frozen=True, slots=True)
class Desk:
    """Everything the demo imports, in order of time. `planted`: trade id to what was planted."""

    market: Market
    signals: tuple[SignalRow, ...]
    trades: tuple[TradeRow, ...]
    outages: tuple[OutageRow, ...]

    @property
    def planted(self) -> dict[str, Planted]:
        return {t.external_id: t.planted for t in self.trades if t.planted is not None}


@lru_cache(maxsize=1)
def build_desk() -> Desk:
    """The whole simulation, built once a process (about two seconds)."""
    market = simulate()
    charts = {pair.symbol: read_chart(market, pair.symbol) for pair in PAIRS}
    scene = Scene(market, charts, candidates(market, charts))
    book = Book()
    market_stories(scene, book)
    for decision in DECISIONS:
        decision(scene, book)
    cost_stories(scene, book)
    spread_stories(scene, book)
    outage = outage_story(scene, book)
    _ordinary(scene, book, outage)
    revenge_stories(scene, book)
    deals = sorted(book.deals, key=lambda d: (d.entry_step, d.symbol))
    untraded = _untraded(scene, book)
    signals, ids = _signals(scene, deals, untraded)
    trades = tuple(
        trade_row(deal, f"SIM-T{number:03d}", ids[id(deal)]) for number, deal in enumerate(deals, 1)
    )
    outages = (OutageRow(moment(outage.first * 30), moment(outage.last * 30), outage.what),)
    return Desk(market, signals, trades, outages)


# --- ordinary trades ----------------------------------------------------------------------------


def _ordinary(scene: Scene, book: Book, outage: PlatformOutage) -> None:
    """Fill the rest of the book evenly over the weeks, apart from the outage."""
    strategies = (BREAKOUT, FADE, STRUCTURE, IMBALANCE)
    for reason, wanted, make in (
        (STOPPED, LOSERS, plain_deal), (REACHED, FLAT, _closed_flat), (REACHED, WINNERS, _won),
    ):  # fmt: skip
        pool = [
            c
            for c in clean_of(scene, strategies, reason)
            if not _is_new_model(c) and not outage.first - 600 <= c.plan.step <= outage.last
        ]
        _spread_evenly(book, pool, wanted, partial(make, scene.market))


def _is_new_model(candidate: Candidate) -> bool:
    return candidate.strategy is STRUCTURE and candidate.plan.step >= OVERCONFIDENT_FROM


def _spread_evenly(
    book: Book, pool: list[Candidate], wanted: int, make: Callable[[Candidate], Deal | None]
) -> None:
    """Take `wanted` of the pool in the order of their hash: half of them evenly over the weeks,
    half where the week has gone worst, so that no month is hopeless."""
    weeks: dict[int, list[Candidate]] = {}
    for candidate in by_hash(pool, f"ordinary {wanted}"):
        weeks.setdefault(candidate.plan.step // _WEEK, []).append(candidate)
    taken = 0
    while taken < wanted and weeks:
        order = sorted(weeks) if taken < wanted // 2 else sorted(weeks, key=_result(book))[:1]
        for week in order:
            if taken < wanted:
                taken += _take_first(book, weeks[week], make)
            if not weeks[week]:
                del weeks[week]


def _result(book: Book) -> Callable[[int], tuple[float, int]]:
    """Of a week: what its trades made, in R so far."""
    results: dict[int, float] = {}
    for deal in book.deals:
        week = deal.entry_step // _WEEK
        results[week] = results.get(week, 0.0) + deal.r
    return lambda week: (results.get(week, 0.0), week)


def _take_first(
    book: Book, pool: list[Candidate], make: Callable[[Candidate], Deal | None]
) -> bool:
    """Take the first of the pool that fits, and drop those before it."""
    while pool:
        candidate = pool.pop(0)
        deal = make(candidate)
        if deal is not None and book.is_free(candidate, deal.exit_step):
            book.take(deal)
            return True
    return False


def _won(market: Market, candidate: Candidate) -> Deal:
    deal, plan = plain_deal(market, candidate), candidate.plan
    # A broker's statement gives yen results in dollars, and only as whole round trips.
    if plan.symbol == "USDJPY" or noise.draw(f"scale out {candidate.key}", _SCALED_OUT_OF):
        return deal
    half_way = plan.entry + (plan.target - plan.entry) * 6 // 10
    quotes = exit_quotes(market, plan, candidate.ending.step)
    beyond = plan.side * (quotes - half_way) >= 0
    step = plan.step + 1 + int(beyond.argmax())
    return replace(deal, half_exit=(step, half_way), tags=("scaled out",))


def _closed_flat(market: Market, candidate: Candidate) -> Deal | None:
    """Closed by hand near the entry after an hour or more, before it went anywhere."""
    plan = candidate.plan
    quotes = exit_quotes(market, plan, candidate.ending.step - STEPS_PER_BAR)
    slip = plain_deal(market, candidate).entry_slip
    for offset in range(STEPS_PER_HOUR, quotes.size, STEPS_PER_BAR):
        price = int(quotes[offset])
        gained = plan.side * (price - plan.entry) - slip
        if -2 <= gained - 7 <= 2:  # seven points pay the commissions
            return Deal(
                candidate, plan.step + 1 + offset, price, "manual", slip, requested_exit=price,
                tags=("closed early",),
            )  # fmt: skip
    return None


# --- the feed -----------------------------------------------------------------------------------


def _untraded(scene: Scene, book: Book) -> list[Candidate]:
    """Signals nobody acted on. The failing setup and the new model get none: their histories are
    told by trades alone."""
    traded = {deal.candidate.key for deal in book.deals}
    pool = [
        c
        for c in scene.candidates
        if c.strategy is not BLOCK and not _is_new_model(c) and c.key not in traded
    ]
    return by_hash(pool, "untraded")[:UNTRADED]


def _signals(
    scene: Scene, deals: list[Deal], untraded: list[Candidate]
) -> tuple[tuple[SignalRow, ...], dict[int, str]]:
    """The feed in order of time, and the signal's id of every deal (by identity)."""
    both: list[tuple[Candidate, Deal | None]] = [(deal.candidate, deal) for deal in deals]
    both += [(candidate, None) for candidate in untraded]
    both.sort(key=lambda pair: (pair[0].plan.step, pair[0].key))
    rows, ids = [], {}
    for number, (candidate, deal) in enumerate(both, 1):
        name = f"SIM-S{number:03d}"
        rows.append(_signal(candidate, deal, name))
        if deal is not None:
            ids[id(deal)] = name
    return tuple(rows), ids


def _signal(candidate: Candidate, deal: Deal | None, name: str) -> SignalRow:
    plan, strategy = candidate.plan, candidate.strategy
    model = (deal.model if deal else "") or strategy.model
    given = deal.score if deal else None
    if given is None:
        given = score(strategy, candidate.key, inflated=model == OVERCONFIDENT)
        given = _sometimes_weak(strategy, candidate, given, traded=deal is not None)
    return SignalRow(
        name,
        moment(plan.step * 30),
        plan.symbol,
        TIMEFRAME,
        plan.side,
        price(plan.symbol, plan.entry),
        price(plan.symbol, plan.stop),
        price(plan.symbol, plan.target),
        given,
        strategy.min_score,
        strategy.semantics,
        strategy.name,
        strategy.kind,
        (deal.setups if deal and deal.setups is not None else candidate.setups),
        model,
    )


def _sometimes_weak(strategy: Strategy, candidate: Candidate, given: int, *, traded: bool) -> int:
    """One untraded signal in ten scores below the minimum, and was rightly left alone."""
    weak = not traded and noise.draw(f"weak {candidate.key}", 10) == 0
    return strategy.min_score - 1 - noise.draw(f"by {candidate.key}", 8) if weak else given
