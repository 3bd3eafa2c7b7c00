"""Planted decisions: each breaks a rule that would have avoided the trade.

A setup claimed that was not there, a setup or a model that keeps failing, a score below the
minimum, size and stops changed in anger. The market did nothing unusual in any of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from .deals import Book, Deal, Planted, by_hash, disturbances, plain_deal
from .events import STEPS_PER_HOUR
from .feed import (
    BLOCK,
    BREAKOUT,
    FADE,
    IMBALANCE,
    STRUCTURE,
    Candidate,
    Strategy,
    make_plan,
    step_after,
    stop_points,
)
from .paths import REACHED, STOPPED, follow
from .stories import OVERCONFIDENT, OVERCONFIDENT_FROM, Scene, by_price_alone, clean_of, is_clean

LEAST_HISTORY = 9
_WEEK = 7 * 24 * STEPS_PER_HOUR


def misread_stories(scene: Scene, book: Book, trades: int = 5) -> None:
    """A setup is claimed that was not on the chart for two hours on either side."""
    taken = 0
    pool = [c for c in scene.candidates if c.strategy is FADE and c.ending.reason == STOPPED]
    for model in by_hash(pool, "misread"):
        if taken == trades:
            return
        candidate = _misread(scene, model)
        if candidate is not None and book.is_free(candidate, candidate.ending.step):
            planted = Planted("detector_misid", f"no {candidate.setups[0]} was there")
            book.take(plain_deal(scene.market, candidate, planted=planted))
            taken += 1


def _misread(scene: Scene, model: Candidate) -> Candidate | None:
    """A losing trade ten bars after another candidate, where no breakout was in sight."""
    chart, side, bar = scene.charts[model.plan.symbol], model.plan.side, model.bar + 10
    claims = ("breakout", "bos", "choch")
    around = [chart.has(bar + 4, setup, way, back=12) for setup in claims for way in (1, -1)]
    if bar + 5 >= chart.time.size or any(around):
        return None
    step = step_after(int(chart.time[bar]))
    if not bool(scene.market.open_steps(chart.symbol)[step]):
        return None
    distance = stop_points(chart.symbol, float(chart.atr[bar]), BREAKOUT.stop_atr)
    plan = make_plan(scene.market, chart.symbol, side, step, distance, BREAKOUT.reward)
    ending = follow(scene.market, plan)
    found = Candidate(BREAKOUT, ("breakout",), bar, plan, ending)
    lost = ending.reason == STOPPED and by_price_alone(scene.market, found)
    return found if lost and is_clean(scene.market, found) else None


def below_minimum_stories(scene: Scene, book: Book, trades: int = 2) -> None:
    """Taken although the score was below the strategy's minimum."""
    for candidate in _free(book, by_hash(clean_of(scene, (BREAKOUT,), STOPPED), "below"), trades):
        score = candidate.strategy.min_score - 6
        planted = Planted("model_error", f"score {score} is below the minimum")
        book.take(
            plain_deal(
                scene.market,
                candidate,
                planted=planted,
                score=score,
                mistakes=("below minimum score",),
            )  # fmt: skip
        )


def _free(book: Book, pool: Iterable[Candidate], count: int) -> Iterable[Candidate]:
    """Up to `count` of the pool that still fit; the caller takes each before asking for more."""
    given = 0
    for candidate in pool:
        if given == count:
            return
        if book.is_free(candidate, candidate.ending.step):
            given += 1
            yield candidate


# Results in order of time. Break-even of the setup is two in five.
_FAILING_SETUP = "LLWLLLLLLWLLLL"
_FAILING_MODEL = "LWLLWLLLWLLLWLLLWL"


def failing_setup_story(scene: Scene, book: Book) -> None:
    """Order blocks on one symbol keep failing: planted once there is a history of it."""
    _take_series(
        scene, book, BLOCK, _FAILING_SETUP, 0,
        Planted("false_positive", "this setup keeps failing on this market"), "", "",
    )  # fmt: skip


def failing_model_story(scene: Scene, book: Book) -> None:
    """A new model version claims much more than it keeps."""
    _take_series(
        scene, book, STRUCTURE, _FAILING_MODEL, OVERCONFIDENT_FROM,
        Planted("model_error", "the model claims far more than it keeps"), OVERCONFIDENT, "bos",
    )  # fmt: skip


def _take_series(
    scene: Scene,
    book: Book,
    strategy: Strategy,
    results: str,
    first: int,
    planted: Planted,
    model: str,
    setup: str,
) -> None:
    """Trades of one strategy spread evenly over the rest of the time, with given results."""
    room = (13 * _WEEK - 3 * STEPS_PER_HOUR * 24 - first) // len(results)
    for number, result in enumerate(results):
        lo = first + number * room
        reason = REACHED if result == "W" else STOPPED
        pool = clean_of(scene, (strategy,), reason, lo, lo + room)
        for candidate in _free(book, by_hash(pool, f"series {model}{setup}"), 1):
            lost = result == "L" and number >= LEAST_HISTORY
            book.take(
                plain_deal(scene.market, candidate, model=model, planted=planted if lost else None)
            )


def revenge_stories(scene: Scene, book: Book, trades: int = 4) -> None:
    """Two and a half times the usual size within half an hour of a loss, and another loss."""
    taken = 0
    for deal in sorted(book.deals, key=lambda d: d.exit_step)[30:]:
        if taken == trades:
            return
        if _loss_run(book, deal) < 2:
            continue
        first, last = deal.exit_step + 6, deal.exit_step + 56
        pool = clean_of(scene, (FADE, BREAKOUT, IMBALANCE), STOPPED, first, last)
        for candidate in _free(book, by_hash(pool, "revenge"), 1):
            if _closed_between(book, deal.exit_step, candidate.plan.step):
                continue
            planted = Planted("user_psychology", "far larger than usual, minutes after losses")
            book.take(
                plain_deal(
                    scene.market,
                    candidate,
                    planted=planted,
                    size=2.5,
                    mistakes=("revenge trade", "oversized"),
                    notes="Wanted it back at once. Not my plan.",
                )  # fmt: skip
            )
            taken += 1


def _loss_run(book: Book, deal: Deal) -> int:
    """Losses in a row up to and including a deal, by time of exit."""
    run = 0
    for other in sorted(book.deals, key=lambda d: d.exit_step):
        run = run + 1 if other.r < 0 else 0
        if other is deal:
            return run
    return 0


def _closed_between(book: Book, first: int, last: int) -> bool:
    return any(first < deal.exit_step <= last for deal in book.deals)


def widened_story(scene: Scene, book: Book) -> None:
    """The stop was moved away, and the loss grew to one and a half times the risk."""
    for candidate in by_hash(clean_of(scene, (FADE,), STOPPED), "widened"):
        plan = candidate.plan
        wide = plan.stop - plan.side * plan.risk // 2
        further = replace(plan, stop=wide)
        ending = follow(scene.market, further)
        if ending.reason != STOPPED or not book.is_free(candidate, ending.step):
            continue
        if disturbances(scene.market.events, plan.symbol, plan.step, ending.step):
            continue
        planted = Planted("user_psychology", "the stop was moved away while it was losing")
        book.take(
            Deal(
                candidate,
                ending.step,
                ending.price,
                STOPPED,
                stop_final=wide,
                planted=planted,
                mistakes=("moved the stop",),
                notes="Gave it more room. It took it.",
            )  # fmt: skip
        )
        return


DECISIONS: tuple[Callable[[Scene, Book], None], ...] = (
    failing_setup_story,
    failing_model_story,
    misread_stories,
    below_minimum_stories,
    widened_story,
)
