"""Setups: against plain loops, without look-ahead, and silent where there is nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from post_mortem.core import setups
from post_mortem.core.setups import Verification, detect, verify
from post_mortem.core.types import SETUPS, SetupView
from tests.core.cases import MINUTE, Bar, at, candles
from tests.core.setups_loop import Loop, listed
from tests.core.test_replay import random_candles
from tests.examples import examples
from trading.core.candles import Candles, mirror
from trading.core.indicators import atr


@examples(80)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.sampled_from([0, 1, 6, 7, 8, 22, 60, 300, 700]),
    step=st.sampled_from([0, 1, 2, 6]),
)
def test_detect_equals_the_loop(seed: int, n: int, step: int) -> None:
    series = random_candles(np.random.default_rng(seed), n, step=step, quotes=False)
    assert listed(detect(series)) == Loop(series).found


def test_every_setup_occurs_both_ways() -> None:
    series = random_candles(np.random.default_rng(3), 700, step=6, quotes=False)
    seen = {(event[0], event[1]) for event in listed(detect(series))}
    assert seen == {(name, way) for name in SETUPS for way in (1, -1)}


@examples(60)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.sampled_from([30, 90, 250, 500]),
    step=st.sampled_from([1, 2, 4, 9]),
    quotes=st.booleans(),
)
def test_later_bars_rewrite_nothing(seed: int, n: int, step: int, quotes: bool) -> None:
    """Prefix replay: over the last 60 prefixes every emission is as it was when it was known."""
    series = random_candles(np.random.default_rng(seed), n, step=step, quotes=quotes)
    everything = listed(detect(series))
    rewritten = 0
    for end in range(max(0, len(series) - 60), len(series)):
        then = listed(detect(series.rows(slice(0, end))))
        rewritten += then != [event for event in everything if event[3] < end]
    assert rewritten == 0


@pytest.mark.parametrize("seed", range(4))
def test_a_piece_of_the_series_tells_the_same(seed: int) -> None:
    """With LOOKBACK_BARS before it, where the array begins does not matter."""
    series = random_candles(np.random.default_rng(seed), 3000, step=1 + seed, quotes=False)
    start = 1000
    whole = [e for e in listed(detect(series)) if e[3] >= start + setups.LOOKBACK_BARS]
    piece = [
        (name, way, event + start, known + start, *rest)
        for name, way, event, known, *rest in listed(detect(series.rows(slice(start, None))))
        if known >= setups.LOOKBACK_BARS
    ]
    assert len(whole) > 20
    assert piece == whole


@pytest.mark.parametrize("seed", range(3))
def test_upside_down(seed: int) -> None:
    series = random_candles(np.random.default_rng(seed), 600, step=4, quotes=False)
    here = set(listed(detect(series)))
    there = {(n, -w, e, k, s, -h, -low) for n, w, e, k, s, low, h in listed(detect(mirror(series)))}
    assert here == there


# --- silence -------------------------------------------------------------------------------------


def flat(n: int) -> list[Bar]:
    return [(100, 101, 99, 100)] * n


def test_a_flat_market_has_no_setup() -> None:
    assert listed(detect(candles(flat(300)))) == []


def test_a_market_without_any_range_has_no_setup() -> None:
    assert listed(detect(candles([(100, 100, 100, 100)] * 300))) == []


def test_a_gap_under_a_tenth_of_the_atr_is_none() -> None:
    # ATR 10: highs of 105, then a rising bar and a low half a point above the high: 0.05 ATR.
    bars: list[Bar] = [(100, 105, 95, 100)] * 20
    bars += [(100, 108, 100, 107), (107, 112, 105.5, 111)]
    assert all(event[0] != "fvg" for event in listed(detect(candles(bars))))
    bars[-1] = (107, 112, 106.5, 111)
    assert [e[:4] for e in listed(detect(candles(bars))) if e[0] == "fvg"] == [("fvg", 1, 20, 21)]


def test_no_gap_over_a_falling_middle_bar() -> None:
    bars: list[Bar] = [(100, 105, 95, 100)] * 20
    bars += [(110, 112, 100, 109), (109, 115, 107, 114)]
    assert all(event[0] != "fvg" for event in listed(detect(candles(bars))))


def swing_then(*rest: Bar) -> Candles:
    """Twenty quiet bars with a swing high of 110 at bar 12, then more."""
    bars: list[Bar] = [(100, 103, 97, 100)] * 20
    bars[12] = (100, 110, 97, 100)
    return candles([*bars, *rest])


@pytest.mark.parametrize(
    ("rest", "expected"),
    [
        ([(100, 110, 99, 110)], []),  # a close at the level does not break it
        ([(100, 111, 99, 110.5)], [("bos", 1, 12, 20)]),
        ([(100, 111, 99, 110.5), (110, 112, 100, 105), (105, 115, 105, 114)], [("bos", 1, 12, 20)]),
        ([(100, 111, 99, 109.5)], [("sweep", -1, 12, 20)]),
        ([(100, 111, 99, 110.5), (110, 112, 108, 109)], [("bos", 1, 12, 20)]),  # broken: no sweep
    ],
)
def test_breaks_and_sweeps(rest: list[Bar], expected: list[Any]) -> None:
    wanted = {"bos", "choch", "sweep"}
    got = [e[:4] for e in listed(detect(swing_then(*rest))) if e[0] in wanted]
    assert got == expected


def test_a_swing_is_usable_only_when_the_bars_after_it_are_known() -> None:
    bars: list[Bar] = [(100, 103, 97, 100)] * 20
    bars[18] = (100, 110, 97, 100)  # confirmed by bar 21, usable at 22
    early = [*bars, (100, 104, 99, 100), (100, 111, 99, 111)]
    assert all(e[0] != "bos" for e in listed(detect(candles(early))))


@pytest.mark.parametrize(("age", "breaks"), [(setups.LEVEL_LIFE, 1), (setups.LEVEL_LIFE + 1, 0)])
def test_a_level_is_forgotten(age: int, breaks: int) -> None:
    bars: list[Bar] = [(100, 103, 97, 100)] * (20 + age)
    bars[20] = (100, 110, 97, 100)
    series = candles([*bars, (100, 112, 99, 111)])
    assert len(series) - 1 - 20 == age
    assert sum(event[0] == "bos" for event in listed(detect(series))) == breaks


@pytest.mark.parametrize(
    ("between", "kind"), [(setups.TREND_MEMORY, "choch"), (setups.TREND_MEMORY + 1, "bos")]
)
def test_a_trend_is_forgotten(between: int, kind: str) -> None:
    """A break down, then so many bars later a break up."""
    bars: list[Bar] = [(100, 103, 97, 100)] * 30
    bars[10] = (100, 103, 90, 100)
    bars.append((100, 101, 85, 88))  # breaks the swing low of bar 10
    bars += [(88, 89, 87, 88)] * (between - 1)
    bars[-20] = (88, 95, 87, 88)
    bars.append((88, 97, 88, 96))  # breaks the swing high of twenty bars ago
    breaks = [e for e in listed(detect(candles(bars))) if e[0] in ("bos", "choch")]
    assert [(e[0], e[1], e[3]) for e in breaks] == [("bos", -1, 30), (kind, 1, 30 + between)]


# --- claims --------------------------------------------------------------------------------------


def claim(
    series: Candles, minute: float, *names: str, side: int = 1, until: float | None = None
) -> Verification:
    bits = sum(1 << SETUPS.index(name) for name in names)
    return verify(
        SetupView(MINUTE, series),
        np.array([side], np.int8),
        np.array([at(minute)], np.int64),
        np.array([bits], np.int32),
        None if until is None else np.array([at(until)], np.int64),
    )


def long_series(*rest: Bar) -> Candles:
    """200 quiet bars (ATR 6), a swing high of 110 at bar 192, then the given bars from 200 on."""
    bars: list[Bar] = [(100, 103, 97, 100)] * 200
    bars[192] = (100, 110, 97, 100)
    return candles([*bars, *rest])


BREAK: Bar = (100, 112, 99, 111)
QUIET: Bar = (100, 103, 97, 100)
_BOS = SETUPS.index("bos")


@pytest.mark.parametrize(
    ("minute", "found", "lag"),
    [
        (200, False, -1),  # the breaking bar has not closed
        (200.9, False, -1),
        (201, True, 0),
        (203.5, True, 2),
        (204, True, 3),
        (205, False, -1),  # too old
    ],
)
def test_the_window_of_a_claim(minute: float, found: bool, lag: int) -> None:
    checked = claim(long_series(BREAK, *[(111, 112, 110, 111)] * 10), minute, "bos")
    assert checked.enough.tolist() == [True]
    assert checked.checked[0].tolist() == [name == "bos" for name in SETUPS]
    assert checked.found[0, _BOS] == found
    assert checked.found_lag[0, _BOS] == lag


def test_the_wrong_side_and_the_look_ahead() -> None:
    series = long_series(BREAK, *[(111, 112, 110, 111)] * 10)
    short = claim(series, 201, "bos", side=-1)
    assert short.wrong_side[0, _BOS]
    assert not short.found[0, _BOS]
    early = claim(series, 200, "bos", until=210)
    assert early.repaint[0, _BOS]
    assert not claim(series, 200, "bos").repaint[0, _BOS]
    assert not claim(series, 200, "bos", until=200.5).repaint[0, _BOS]
    assert not claim(series, 196, "bos", until=210).repaint[0, _BOS]  # four bars ahead
    assert not claim(series, 201, "bos", until=210).repaint[0, _BOS]  # found is not a repaint


@pytest.mark.parametrize(
    ("close", "marginal"), [(110, True), (109.5, True), (109, True), (108, False)]
)
def test_near_misses(close: float, marginal: bool) -> None:
    """ATR at bar 200 is close to 6.5: one point, or 0.65, from the level is marginal."""
    checked = claim(long_series((100, 109, 99, close), *[QUIET] * 5), 201, "bos")
    assert not checked.found[0, _BOS]
    assert checked.marginal[0, _BOS] == marginal
    width = atr(long_series((100, 109, 99, close)))[200] / 2
    assert checked.miss[0, _BOS] == pytest.approx((110 - close) / width)


def test_nothing_near_is_neither_found_nor_marginal() -> None:
    checked = claim(long_series(*[QUIET] * 5), 203, *SETUPS)
    assert checked.checked.all()
    for field in ("found", "wrong_side", "marginal", "repaint"):
        assert not getattr(checked, field).any(), field


def test_the_other_kind_of_break_is_marginal() -> None:
    checked = claim(long_series(BREAK), 201, "choch")
    row = SETUPS.index("choch")
    assert not checked.found[0, row]
    assert checked.marginal[0, row]


def test_too_few_bars_or_unknown_claims_are_not_checked() -> None:
    series = long_series(BREAK)
    late = series.rows(slice(42, None))
    assert claim(late, 201, "bos").enough.tolist() == [False]
    assert not claim(late, 201, "bos").checked.any()
    assert claim(series.rows(slice(41, None)), 201, "bos").checked[0, _BOS]
    unknown = verify(
        SetupView(MINUTE, series),
        np.array([1], np.int8),
        np.array([at(201)]),
        np.array([-1], np.int32),
    )
    assert not unknown.checked.any()


@examples(40)
@given(st.integers(0, 2**32 - 1))
def test_verify_agrees_with_the_list_of_emissions(seed: int) -> None:
    rng = np.random.default_rng(seed)
    series = random_candles(rng, 500, step=4, quotes=False)
    t0 = rng.integers(160, len(series) - 1, 30)
    side = rng.choice([-1, 1], 30).astype(np.int8)
    entry = series.time[t0] + MINUTE
    everything = np.full(30, 63, np.int32)
    until = series.time[np.minimum(t0 + rng.integers(0, 6, 30), len(series) - 1)] + MINUTE
    checked = verify(SetupView(MINUTE, series), side, entry, everything, until)
    emitted = {(SETUPS.index(e[0]), e[1], e[3]) for e in listed(detect(series))}
    for i, last in enumerate(t0):
        for setup in range(len(SETUPS)):
            lags = [k for k in range(4) if (setup, int(side[i]), last - k) in emitted]
            wrong = [k for k in range(4) if (setup, -int(side[i]), last - k) in emitted]
            assert checked.found[i, setup] == bool(lags)
            assert checked.found_lag[i, setup] == (lags[0] if lags else -1)
            assert checked.wrong_side[i, setup] == (not lags and bool(wrong))
            ahead = [
                k
                for k in range(1, 4)
                if (setup, int(side[i]), last + k) in emitted
                and series.time[last + k] + MINUTE <= until[i]
            ]
            assert checked.repaint[i, setup] == (not lags and bool(ahead))


@examples(40)
@given(seed=st.integers(0, 2**32 - 1), step=st.sampled_from([1, 4, 9]))
def test_near_misses_agree_with_the_loop(seed: int, step: int) -> None:
    rng = np.random.default_rng(seed)
    series = random_candles(rng, 330, step=step, quotes=False)
    loop, width = Loop(series), atr(series)
    t0 = rng.integers(165, len(series), 12)
    side = rng.choice([-1, 1], 12).astype(np.int8)
    everything = np.full(12, 63, np.int32)
    checked = verify(SetupView(MINUTE, series), side, series.time[t0] + MINUTE, everything)
    for i, last in enumerate(t0.tolist()):
        for setup, name in enumerate(SETUPS):
            if checked.found[i, setup]:
                assert np.isnan(checked.miss[i, setup])
                assert not checked.marginal[i, setup]
                continue
            bars = range(last - 3, last + 1)
            misses = np.array([loop.miss(name, int(side[i]), bar) for bar in bars])
            in_atr = misses / width[last - 3 : last + 1]
            near = bool(((in_atr < 0.1) | (misses <= 2)).any())
            if name in ("bos", "choch"):
                other = {"bos": "choch", "choch": "bos"}[name]
                near |= any(e[0] == other and e[1] == side[i] and e[3] in bars for e in loop.found)
            expected = np.nan if np.isnan(in_atr).all() else np.nanmin(in_atr)
            np.testing.assert_allclose(checked.miss[i, setup], expected, err_msg=name)
            assert checked.marginal[i, setup] == near, name
