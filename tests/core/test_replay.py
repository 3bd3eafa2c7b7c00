"""The fast replay equals the slow loop, and labels keep the symmetries they must have."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from post_mortem.core import blocks
from post_mortem.core.labeler import label
from post_mortem.core.replay import replay
from post_mortem.core.types import CaseBatch, Labels, Market, Outcome, Paths, SetupView
from tests.core.cases import MINUTE, NAN, at, batch, market, signal, trade
from tests.core.oracle import Oracle, OraclePath
from tests.examples import examples
from trading.core.candles import Candles, Quotes, from_quotes, mirror
from trading.core.types import NS_PER_DAY

COMPARED = tuple(OraclePath.__dataclass_fields__)


def random_candles(rng: np.random.Generator, n: int, *, step: int, quotes: bool) -> Candles:
    """A walk with gaps, ties and missing bars, in half-points around price 1000."""
    moves = rng.integers(-step, step + 1, n) * 2
    gaps = rng.integers(-6 * step, 6 * step + 1, n) * 2 * (rng.random(n) < 0.03)
    close = 2000 + np.cumsum(moves + gaps)
    open_ = np.concatenate([[2000], close[:-1]]) + gaps
    high = np.maximum(open_, close) + rng.integers(0, step + 1, n) * 2
    low = np.minimum(open_, close) - rng.integers(0, step + 1, n) * 2
    time = at(0) + np.arange(n, dtype=np.int64) * MINUTE
    stored = rng.random(n) > 0.05
    if not quotes:
        return Candles(time, open_, high, low, close).rows(stored)
    spread = rng.integers(0, 3, (4, n)) * 2
    bid = (open_, high, low, close)
    ask = [side + extra for side, extra in zip(bid, spread, strict=True)]
    ask[1] = np.maximum(ask[1], np.maximum(ask[0], ask[3]))
    ask[2] = np.minimum(ask[2], np.minimum(ask[0], ask[3]))
    return from_quotes(time, Quotes(*bid, *ask)).rows(stored)


def random_row(rng: np.random.Generator, where: Market, n: int) -> dict[str, Any]:
    """A signal, an order or a trade, on the grid, between its prices or full of float dirt."""
    side = int(rng.choice([-1, 1]))
    minute = rng.integers(-5, n + 5) + (0.37 if rng.random() < 0.3 else 0.0)
    near = int(np.clip(minute, 0, len(where.candles) - 1))
    price = float(where.candles.close[near]) / 2 + float(rng.choice([0, 0, 0.5, 0.3, -2, 4]))
    distance = rng.integers(1, 25, 2) + rng.choice([0, 0, 0.5, 0.25, 1e-13])
    row: dict[str, Any] = {"side": side, "entry_time": at(minute), "entry_price": price}
    if rng.random() < 0.9:
        row["stop_price"] = price - side * float(distance[0])
    if rng.random() < 0.9:
        row["target_price"] = price + side * float(distance[1])
    if rng.random() < 0.05 and "stop_price" in row:
        row["stop_price"] = price + side * float(distance[0])
    length = int(rng.choice([1, 3, 20, 90, 700, 5000]))
    if rng.random() < 0.25:
        leave = price + float(rng.integers(-20, 20))
        wanted = price + float(rng.choice([NAN, 0, 1, -1]))
        ended = at(minute + rng.integers(0, length))
        return trade(exit=leave, exit_time=ended, requested_entry=wanted, **row)
    return signal(minutes=length, entry_kind=int(rng.choice([0, 0, 0, 1, 2])), **row)


@examples(250)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.sampled_from([1, 2, 7, 8, 9, 60, 64, 65, 300, 513, 1200, 4500]),
    step=st.sampled_from([0, 1, 3, 8]),
    quotes=st.booleans(),
)
def test_replay_equals_the_loop(seed: int, n: int, step: int, quotes: bool) -> None:
    rng = np.random.default_rng(seed)
    bars = random_candles(rng, n, step=step, quotes=quotes)
    if not len(bars):
        return
    where = market(bars)
    rows = [random_row(rng, where, n) for _ in range(12)]
    one = batch(where, *rows)
    paths = replay(one, compiled=False)
    same_paths(replay(one, compiled=True), paths)
    same_paths(replay(one), paths)
    for i, row in enumerate(rows):
        expected = Oracle(where, row).path()
        got = {name: getattr(paths, name)[i].item() for name in COMPARED}
        assert got == {name: getattr(expected, name) for name in COMPARED}, row


def test_replay_equals_the_loop_on_every_level_of_the_index() -> None:
    """Ten thousand quiet bars, so that cases climb to the largest groups and down again."""
    rng = np.random.default_rng(5)
    bars = random_candles(rng, 12_000, step=1, quotes=False)
    where = market(bars)
    rows = [
        signal(
            side=int(rng.choice([-1, 1])),
            entry_time=int(bars.time[rng.integers(0, len(bars))]),
            entry_price=1000.0 + float(rng.integers(-20, 20)),
            minutes=int(rng.integers(1, 11_000)),
        )
        for _ in range(60)
    ]
    for row in rows:
        row["stop_price"] = row["entry_price"] - row["side"] * float(rng.integers(20, 400))
        row["target_price"] = row["entry_price"] + row["side"] * float(rng.integers(20, 400))
    paths = replay(batch(where, *rows))
    assert (paths.exit - paths.first).max() > blocks._TOP
    assert set(paths.hit.tolist()) >= {0, 1, 2}
    for i, row in enumerate(rows):
        expected = Oracle(where, row).path()
        got = {name: getattr(paths, name)[i].item() for name in COMPARED}
        assert got == {name: getattr(expected, name) for name in COMPARED}, row


def test_prices_too_large_for_32_bits() -> None:
    rng = np.random.default_rng(9)
    small = random_candles(rng, 400, step=3, quotes=False)
    offset = 2**34
    columns = (getattr(small, name) + offset for name in ("open", "high", "low", "close"))
    large = Candles(small.time, *columns)
    assert blocks.build_index(large.high, large.low).high.dtype == np.int64
    row = {"entry_price": 1000.0, "stop_price": 990.0, "target_price": 1015.0}
    moved = {name: price + offset / 2 for name, price in row.items()}
    a = replay(batch(market(small), signal(minutes=300, **row)))
    b = replay(batch(market(large), signal(minutes=300, **moved)))
    same_paths(a, b, but=("entry",))


# --- metamorphic ---------------------------------------------------------------------------------

PATH_FIELDS = tuple(name for name in Paths.__slots__ if name != "resolved")
LABEL_FIELDS = tuple(Labels.__slots__)


def same_paths(a: Paths, b: Paths, *, but: tuple[str, ...] = ()) -> None:
    for name in PATH_FIELDS:
        if name not in but:
            assert getattr(a, name).tolist() == getattr(b, name).tolist(), name


def same_labels(a: Labels, b: Labels, *, but: tuple[str, ...] = ()) -> None:
    for name in LABEL_FIELDS:
        if name not in but:
            np.testing.assert_allclose(
                getattr(a, name), getattr(b, name), rtol=1e-9, atol=1e-9, err_msg=name
            )


def random_batch(seed: int, *, quotes: bool, n: int = 400) -> CaseBatch:
    rng = np.random.default_rng(seed)
    where = market(random_candles(rng, n, step=3, quotes=quotes))
    return batch(where, *(random_row(rng, where, n) for _ in range(20)))


def labelled(one: CaseBatch) -> Labels:
    return label(one, replay(one))


SEEDS = st.integers(0, 2**32 - 1)
PRICES = (
    "entry_price",
    "stop_price",
    "target_price",
    "requested_entry",
    "fill_entry",
    "requested_exit",
    "fill_exit",
    "stop_initial",
    "stop_final",
)


@examples(80)
@given(SEEDS, st.booleans())
def test_upside_down_a_long_is_a_short(seed: int, quotes: bool) -> None:
    one = random_batch(seed, quotes=quotes)
    prices = {name: -getattr(one, name) for name in PRICES}
    turned = replace(
        one,
        market=replace(one.market, candles=mirror(one.market.candles)),
        side=-one.side,
        stop=np.where(one.stop == np.iinfo(np.int64).min, one.stop, -one.stop),
        target=np.where(one.target == np.iinfo(np.int64).max, one.target, -one.target),
        **prices,
    )
    turned = replace(
        turned,
        setup_views=tuple(replace(v, candles=turned.market.candles) for v in one.setup_views),
    )
    a, b = labelled(one), labelled(turned)
    same_paths(replay(one), replay(turned), but=("entry",))
    np.testing.assert_array_equal(replay(one).entry, -replay(turned).entry)
    same_labels(a, b, but=("judged_entry", "exit_price", "pnl_pct"))
    np.testing.assert_allclose(a.exit_price, -b.exit_price)
    np.testing.assert_allclose(a.pnl_pct, -b.pnl_pct)  # per cent of a negated entry


@examples(80)
@given(SEEDS, st.booleans(), st.integers(-6, 4))
def test_other_units_same_labels(seed: int, quotes: bool, power: int) -> None:
    """Prices, point, pip and money times a power of ten: nothing else changes."""
    one = random_batch(seed, quotes=quotes)
    factor = 10.0**power
    names = [*PRICES, "commission", "swap", "neutral_price"]
    scaled = replace(
        one,
        market=replace(
            one.market,
            point=one.market.point * Decimal(10) ** power,
            pip=one.market.pip * Decimal(10) ** power,
        ),
        **{name: getattr(one, name) * factor for name in names},
    )
    same_paths(replay(one), replay(scaled), but=("entry",))
    np.testing.assert_allclose(replay(one).entry, replay(scaled).entry)
    a, b = labelled(one), labelled(scaled)
    same_labels(a, b, but=("judged_entry", "exit_price", "risk_price"))
    np.testing.assert_allclose(a.exit_price * factor, b.exit_price)
    np.testing.assert_allclose(a.risk_price * factor, b.risk_price)


@examples(60)
@given(SEEDS, st.integers(-200, 200))
def test_weeks_later_same_labels(seed: int, weeks: int) -> None:
    one = random_batch(seed, quotes=False)
    shift = weeks * 7 * NS_PER_DAY
    no_time = np.iinfo(np.int64).min

    def moved(times: np.ndarray) -> np.ndarray:
        return np.where(times == no_time, times, times + shift)

    candles = one.market.candles
    later_candles = replace(candles, time=candles.time + shift)
    later = replace(
        one,
        market=replace(one.market, candles=later_candles),
        setup_views=(SetupView(MINUTE, later_candles),),
        entry_time=moved(one.entry_time),
        end_time=moved(one.end_time),
        fill_entry_time=moved(one.fill_entry_time),
        fill_exit_time=moved(one.fill_exit_time),
    )
    a, b = labelled(one), labelled(later)
    same_labels(a, b, but=("exit_time",))
    assert moved(a.exit_time).tolist() == b.exit_time.tolist()


@examples(80)
@given(SEEDS, st.booleans(), st.sampled_from(["cut", "changed"]))
def test_candles_after_the_end_change_nothing(seed: int, quotes: bool, how: str) -> None:
    one = random_batch(seed, quotes=quotes)
    full = labelled(one)
    candles = one.market.candles
    for i in range(len(one)):
        end = one.fill_exit_time[i] if one.is_trade[i] else one.end_time[i]
        inside = int(np.searchsorted(candles.time, end, side="right"))
        known = candles.rows(slice(0, inside))
        if how == "changed":
            later = mirror(candles.rows(slice(inside, None)))
            known = _joined(known, later)
        other = replace(one, market=replace(one.market, candles=known))
        other = replace(
            other, setup_views=tuple(replace(v, candles=known) for v in one.setup_views)
        )
        again = labelled(other)
        if full.outcome[i] == Outcome.PENDING or again.outcome[i] == Outcome.PENDING:
            continue
        for name in LABEL_FIELDS:
            a, b = getattr(full, name)[i], getattr(again, name)[i]
            assert a == b or (np.isnan(a) and np.isnan(b)), name


def _joined(a: Candles, b: Candles) -> Candles:
    columns = (
        np.concatenate([getattr(a, name), getattr(b, name)])
        for name in ("time", "open", "high", "low", "close")
    )
    quotes = None
    if a.quotes is not None and b.quotes is not None:
        quotes = Quotes(
            *(
                np.concatenate([getattr(a.quotes, name), getattr(b.quotes, name)])
                for name in Quotes.__slots__
            )
        )
    return Candles(*columns, quotes=quotes)


@examples(60)
@given(SEEDS)
def test_a_batch_is_its_cases_one_by_one_in_any_order(seed: int) -> None:
    rng = np.random.default_rng(seed)
    where = market(random_candles(rng, 300, step=3, quotes=False))
    rows = [random_row(rng, where, 300) for _ in range(10)]
    together = labelled(batch(where, *rows))
    for i in rng.permutation(10):
        alone = labelled(batch(where, rows[i]))
        for name in LABEL_FIELDS:
            np.testing.assert_array_equal(getattr(together, name)[i], getattr(alone, name)[0], name)


@examples(60)
@given(SEEDS, st.sampled_from([5, 15]))
def test_finer_bars_never_contradict_a_clear_label_of_coarse_ones(seed: int, minutes: int) -> None:
    """Entries on a coarse open, exact aggregates, no missing bar."""
    rng = np.random.default_rng(seed)
    n = minutes * 60
    fine = random_candles(rng, n, step=2, quotes=False)
    full = np.arange(n)
    where = np.searchsorted(fine.time, at(0) + full * MINUTE)
    if len(fine) < n:  # fill holes with the bar before, so that both series are complete
        pick = np.clip(np.searchsorted(fine.time, at(0) + full * MINUTE, "right") - 1, 0, None)
        fine = replace(fine.rows(pick), time=at(0) + full * MINUTE)
    assert where.size == n
    table = {c: getattr(fine, c).reshape(-1, minutes) for c in ("open", "high", "low", "close")}
    coarse = Candles(
        fine.time[::minutes].copy(),
        table["open"][:, 0].copy(),
        table["high"].max(axis=1),
        table["low"].min(axis=1),
        table["close"][:, -1].copy(),
    )
    rows = []
    for _ in range(12):
        bar = int(rng.integers(0, 40))
        price = float(coarse.open[bar]) / 2
        side = int(rng.choice([-1, 1]))
        rows.append(
            signal(
                side=side,
                entry_time=int(coarse.time[bar]),
                entry_price=price,
                stop_price=price - side * float(rng.integers(3, 30)),
                target_price=price + side * float(rng.integers(3, 30)),
                minutes=minutes * int(rng.integers(1, 20)),
            )
        )
    low = labelled(batch(market(coarse, bar_ns=minutes * MINUTE), *rows))
    high = labelled(batch(market(fine), *rows))
    clear = (low.flags & 1) == 0
    assert low.outcome[clear].tolist() == high.outcome[clear].tolist()


@pytest.mark.parametrize("case", [{"minutes": 4}, {"minutes": 4, "entry_kind": 1}])
def test_a_case_far_from_the_data_raises_nothing(case: dict[str, Any]) -> None:
    rng = np.random.default_rng(1)
    where = market(random_candles(rng, 50, step=2, quotes=False))
    early, late = signal(entry_time=at(-10_000), **case), signal(entry_time=at(10_000), **case)
    labels = labelled(batch(where, early, late))
    assert labels.outcome.tolist() == [Outcome.NEEDS_REVIEW, Outcome.PENDING]
