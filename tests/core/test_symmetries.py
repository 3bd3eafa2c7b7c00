"""What may not matter to a label or a setup: the level of prices, the length of a bar, the company
of other cases."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from post_mortem.core.replay import replay
from post_mortem.core.setups import SetupEvents, Verification, detect, verify
from post_mortem.core.types import NO_STOP, NO_TARGET, NO_TIME, SETUPS, CaseBatch, SetupView
from tests.core.cases import MINUTE, at
from tests.core.test_replay import (
    PRICES,
    SEEDS,
    labelled,
    random_batch,
    random_candles,
    same_labels,
    same_paths,
)
from tests.examples import examples
from trading.core.candles import I64, Candles, Quotes

COLUMNS = ("open", "high", "low", "close")


def moved(candles: Candles, by: int) -> Candles:
    """Every price so many half-points higher."""
    quotes = candles.quotes
    if quotes is not None:
        quotes = Quotes(*(getattr(quotes, name) + by for name in Quotes.__slots__))
    prices = {name: getattr(candles, name) + by for name in COLUMNS}
    return replace(candles, **prices, quotes=quotes)


def on(one: CaseBatch, candles: Candles, **changes: object) -> CaseBatch:
    market = replace(one.market, candles=candles)
    views = tuple(replace(view, candles=candles) for view in one.setup_views)
    return replace(one, market=market, setup_views=views, **changes)  # type: ignore[arg-type]


@examples(80)
@given(SEEDS, st.booleans(), st.integers(-900, 10**6))
# A target at the planned entry but for float dirt, between two half-points.
@example(46347833, True, 3099)
def test_higher_prices_same_labels(seed: int, quotes: bool, points: int) -> None:
    one = random_batch(seed, quotes=quotes)
    by = 2 * points
    higher = on(
        one,
        moved(one.market.candles, by),
        stop=np.where(one.stop == NO_STOP, NO_STOP, one.stop + by),
        target=np.where(one.target == NO_TARGET, NO_TARGET, one.target + by),
        **{name: getattr(one, name) + points for name in PRICES},
    )
    same_paths(replay(one), replay(higher), but=("entry",))
    np.testing.assert_allclose(replay(one).entry + by, replay(higher).entry)
    a, b = labelled(one), labelled(higher)
    same_labels(a, b, but=("judged_entry", "exit_price", "pnl_pct"))
    np.testing.assert_allclose(a.exit_price + points, b.exit_price)


@examples(80)
@given(SEEDS, st.booleans(), st.sampled_from([2, 5, 15, 60]))
def test_longer_bars_same_labels(seed: int, quotes: bool, times: int) -> None:
    """Every clock of the case runs so many times slower, and nothing but times changes."""
    one = random_batch(seed, quotes=quotes)

    def slower(moments: I64) -> I64:
        return np.where(moments == NO_TIME, NO_TIME, at(0) + times * (moments - at(0)))

    candles = replace(one.market.candles, time=slower(one.market.candles.time))
    long = on(
        one,
        candles,
        entry_time=slower(one.entry_time),
        end_time=slower(one.end_time),
        fill_entry_time=slower(one.fill_entry_time),
        fill_exit_time=slower(one.fill_exit_time),
        setup_bar_ns=one.setup_bar_ns * times,
    )
    long = replace(
        long,
        market=replace(long.market, bar_ns=times * MINUTE),
        setup_views=tuple(replace(view, bar_ns=times * MINUTE) for view in long.setup_views),
    )
    same_paths(replay(one), replay(long))
    a, b = labelled(one), labelled(long)
    same_labels(a, b, but=("exit_time",))
    assert slower(a.exit_time).tolist() == b.exit_time.tolist()


# --- setups -----------------------------------------------------------------------------------


def same_events(a: SetupEvents, b: SetupEvents, *, by: int = 0, times: int = 1) -> None:
    for field in fields(SetupEvents):
        expected = getattr(a, field.name)
        if field.name in ("zone_low", "zone_high"):
            expected = times * expected + by
        np.testing.assert_array_equal(expected, getattr(b, field.name), field.name)


@examples(60)
@given(SEEDS, st.integers(-900, 10**6), st.sampled_from([1, 4, 9]))
def test_higher_prices_same_setups(seed: int, points: int, step: int) -> None:
    series = random_candles(np.random.default_rng(seed), 400, step=step, quotes=False)
    same_events(detect(series), detect(moved(series, 2 * points)), by=2 * points)


@examples(60)
@given(SEEDS, st.sampled_from([2, 8, 64]), st.sampled_from([1, 4, 9]))
def test_larger_units_same_setups(seed: int, times: int, step: int) -> None:
    """Sizes are in ATR, so a setup is one whatever a point is worth."""
    series = random_candles(np.random.default_rng(seed), 400, step=step, quotes=False)
    larger = replace(series, **{name: times * getattr(series, name) for name in COLUMNS})
    same_events(detect(series), detect(larger), times=times)


@examples(60)
@given(SEEDS, st.integers(-200, 200), st.sampled_from([1, 5, 60]))
def test_claims_are_checked_alike_at_any_time_and_pace(seed: int, weeks: int, times: int) -> None:
    rng = np.random.default_rng(seed)
    series = random_candles(rng, 400, step=4, quotes=False)
    entry, side, bits = claims(rng, series)

    def elsewhere(moments: I64) -> I64:
        shift = weeks * 7 * 1440 * MINUTE
        return shift + at(0) + times * (moments - at(0))

    view = SetupView(times * MINUTE, replace(series, time=elsewhere(series.time)))
    here = verify(SetupView(MINUTE, series), side, entry, bits, entry + 2 * MINUTE)
    there = verify(view, side, elsewhere(entry), bits, elsewhere(entry + 2 * MINUTE))
    same_claims(here, there)


@examples(60)
@given(SEEDS)
def test_claims_are_checked_alike_alone_and_in_any_company(seed: int) -> None:
    rng = np.random.default_rng(seed)
    view = SetupView(MINUTE, random_candles(rng, 400, step=4, quotes=False))
    entry, side, bits = claims(rng, view.candles)
    together = verify(view, side, entry, bits, entry + 2 * MINUTE)
    for i in rng.permutation(entry.size).tolist():
        one = slice(i, i + 1)
        alone = verify(view, side[one], entry[one], bits[one], entry[one] + 2 * MINUTE)
        same_claims(
            Verification(*(getattr(together, f.name)[one] for f in fields(Verification))), alone
        )


def claims(rng: np.random.Generator, series: Candles) -> tuple[I64, np.ndarray, np.ndarray]:
    """Entries, sides and claims of a dozen cases, some too early to be checked."""
    at_bar = rng.integers(100, len(series), 12)
    side = rng.choice([-1, 1], 12).astype(np.int8)
    bits = rng.integers(-1, 1 << len(SETUPS), 12).astype(np.int32)
    return series.time[at_bar], side, bits


def same_claims(a: Verification, b: Verification) -> None:
    for field in fields(Verification):
        np.testing.assert_array_equal(getattr(a, field.name), getattr(b, field.name), field.name)
