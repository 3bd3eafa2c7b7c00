"""What a case reads: series, histories, news, related markets, outages, fills and costs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import numpy as np
import pytest

from post_mortem.core.inputs import bars_read, input_hashes
from post_mortem.core.portable import dump_case, parse_case
from post_mortem.core.replay import replay
from post_mortem.core.types import SETUPS, Flag
from post_mortem.selectors import case_earlier, cases, histories, markets
from post_mortem.selectors.case_rows import Selection
from post_mortem.selectors.cases import CasesOf, case_batches
from post_mortem.selectors.columns import from_ns, time_texts, times, utc_ns
from trading.models import Account, Instrument, NewsEvent, NewsFeed, Outage, Signal

from .factories import (
    MONDAY,
    make_account,
    make_candles,
    make_instrument,
    make_signal,
    make_trade,
    price,
    walk,
)

pytestmark = pytest.mark.django_db

ENTRY = MONDAY + timedelta(days=21)  # a Monday, three weeks of bars before it
BARS = 30 * 1440


@pytest.fixture
def account() -> Account:
    return make_account()


@pytest.fixture
def instrument() -> Instrument:
    return make_instrument()


def only(**selection: Any) -> CasesOf:
    found = list(case_batches(Selection(**selection)))
    assert len(found) == 1
    return found[0]


def hashes(cases: CasesOf) -> list[str]:
    paths = replay(cases.batch)
    return input_hashes(cases.batch, paths, bars_read(cases.batch, paths), cases.rule_hashes())


def case_of(signal: Signal, horizon: str = "4H") -> CasesOf:
    return only(signal_ids=(signal.pk,), horizons=(horizon,), trades=False)


# --- which bars ---------------------------------------------------------------------------------


def test_the_finest_series_that_covers_the_window_judges(
    account: Account, instrument: Instrument
) -> None:
    fine = make_candles(instrument, walk(BARS))
    coarse = make_candles(instrument, walk(400 * 24, 2), timeframe="1h", start=MONDAY)
    early = make_signal(account, instrument, time=ENTRY)
    late = make_signal(account, instrument, time=MONDAY + timedelta(days=60))
    chosen = {
        signal: cases.series_id
        for cases in case_batches(Selection(horizons=("4H",), trades=False))
        for signal in cases.signal_id.tolist()
    }
    assert chosen == {early.pk: fine.pk, late.pk: coarse.pk}


def test_without_candles_there_is_a_case_without_bars(
    account: Account, instrument: Instrument
) -> None:
    make_signal(account, instrument)
    cases = only()
    assert cases.series_id is None
    assert len(cases.batch.market.candles) == 0
    assert cases.batch.horizon == ("1H", "4H", "24H", "7D")


def test_another_desks_candles_are_not_read(account: Account, instrument: Instrument) -> None:
    make_candles(instrument, walk(BARS), desk=make_account().desk)
    make_signal(account, instrument, time=ENTRY)
    assert only().series_id is None


def test_a_coarser_signal_sees_whole_bars_of_its_own_timeframe(
    account: Account, instrument: Instrument
) -> None:
    make_candles(instrument, walk(BARS))
    signal = make_signal(account, instrument, time=ENTRY, timeframe="15m", claimed_setups=["bos"])
    batch = case_of(signal).batch
    (view,) = batch.setup_views
    assert view.bar_ns == 15 * 60 * 10**9
    assert batch.claimed_setups.tolist() == [1 << SETUPS.index("bos")]
    assert set(np.diff(view.candles.time)) == {view.bar_ns}


@pytest.mark.parametrize(
    ("claims", "bits"), [(None, -1), ([], 0), (["fvg", "bos", "fvg"], 0b101), (["moon"], 0)]
)
def test_claims_become_bits(
    account: Account, instrument: Instrument, claims: list[str] | None, bits: int
) -> None:
    make_signal(account, instrument, claimed_setups=claims)
    assert set(only().batch.claimed_setups.tolist()) == {bits}


# --- inputs -------------------------------------------------------------------------------------


def test_bars_outside_what_a_case_reads_do_not_change_its_input(
    account: Account, instrument: Instrument
) -> None:
    closes = walk(BARS)
    make_candles(instrument, closes[: 25 * 1440])
    signal = make_signal(account, instrument, time=ENTRY)
    before = hashes(case_of(signal))
    make_candles(instrument, closes)  # five more days
    make_candles(instrument, walk(1440, 9), start=MONDAY - timedelta(days=3))
    assert hashes(case_of(signal)) == before
    closes[21 * 1440 + 100] += 1  # inside the four hours
    make_candles(instrument, closes)
    changed = hashes(case_of(signal))
    assert [a[:32] == b[:32] for a, b in zip(changed, before, strict=True)] == [False]
    assert [a[32:] == b[32:] for a, b in zip(changed, before, strict=True)] == [True]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("stop_loss", Decimal("1.09899")),
        ("take_profit", None),
        ("entry_price", Decimal("1.10001")),
        ("side", -1),
        ("score", 71.0),
        ("min_score", 10.0),
        ("claimed_setups", ["bos"]),
        ("strategy_kind", "trend"),
        ("entry_kind", "limit"),
    ],
)
def test_every_field_of_a_signal_is_part_of_its_input(
    account: Account, instrument: Instrument, field: str, value: Any
) -> None:
    make_candles(instrument, walk(BARS))
    signal = make_signal(account, instrument, time=ENTRY)
    before = hashes(case_of(signal))[0]
    setattr(signal, field, value)
    signal.save()
    assert hashes(case_of(signal))[0][:32] != before[:32]


# --- earlier results ----------------------------------------------------------------------------


def at(minutes: float) -> datetime:
    return ENTRY + timedelta(minutes=minutes)


def scored(account: Account, instrument: Instrument, minute: float, **fields: Any) -> Signal:
    defaults = {"score": 70.0, "model_version": "v1", "claimed_setups": ["bos"]}
    return make_signal(account, instrument, time=at(minute), **(defaults | fields))


def closed(signal: Signal, minute: float, net: str = "5", **fields: Any) -> None:
    make_trade(
        signal,
        opened_at=signal.time,
        closed_at=at(minute),
        exit_price=signal.entry_price + Decimal("0.0010") * (1 if float(net) > 0 else -1),
        net_pnl=Decimal(net),
        gross_pnl=Decimal(net),
        **fields,
    )


def test_a_case_sees_what_closed_before_its_entry_and_nothing_else(
    account: Account, instrument: Instrument
) -> None:
    make_candles(instrument, walk(BARS))
    closed(scored(account, instrument, -300, score=60.0), -200, "5")
    closed(scored(account, instrument, -290, score=61.0), -100, "-4")
    closed(scored(account, instrument, -280, score=62.0), 0, "5")  # at the entry: too late
    closed(scored(account, instrument, -270, score=63.0), 10, "5")
    closed(scored(account, instrument, -260, score=64.0, model_version="v2"), -90, "5")
    closed(scored(make_account(), instrument, -260, score=65.0), -90, "5")
    subject = scored(account, instrument, 0)
    batch = case_of(subject).batch
    pool = batch.model_history
    seen = slice(int(pool.start[0]), int(pool.stop[0]))
    assert pool.score[seen].tolist() == [60.0, 61.0]
    assert pool.won[seen].tolist() == [True, False]
    log = batch.trade_log
    assert log.stop[0] - log.start[0] == 3
    setups = batch.setup_history
    assert setups.won[int(setups.start[0]) : int(setups.stop[0])].tolist() == [True, False, True]


def test_later_rows_change_no_earlier_input_and_older_rows_do(
    account: Account, instrument: Instrument
) -> None:
    make_candles(instrument, walk(BARS))
    closed(scored(account, instrument, -300), -200)
    subject = scored(account, instrument, 0)
    before = hashes(case_of(subject))[0]
    closed(scored(account, instrument, -100), 30)
    scored(account, instrument, 5)
    assert hashes(case_of(subject))[0] == before
    closed(scored(account, instrument, -400), -350)
    after = hashes(case_of(subject))[0]
    assert after[:32] == before[:32]
    assert after[32:] != before[32:]


def test_untraded_signals_count_by_their_first_touch(
    account: Account, instrument: Instrument
) -> None:
    closes = np.full(BARS, 110_000)
    closes[21 * 1440 - 300 :] = 110_200  # up: longs with a target of 100 points reach it
    make_candles(instrument, closes)
    levels = {"stop_loss": price(109_900), "take_profit": price(110_100)}
    up = {"side": -1, "stop_loss": price(110_100), "take_profit": price(109_900)}
    for minute, fields in ((-400, levels), (-390, up), (-310, levels)):
        scored(account, instrument, minute, entry_price=price(110_000), **fields)
    # Touched, but its score is below its minimum: not taken, so no result.
    scored(account, instrument, -380, entry_price=price(110_000), min_score=80.0, **levels)
    # Not touched and not seven days old: no result yet.
    wide = {"stop_loss": price(100_000), "take_profit": price(120_000)}
    scored(account, instrument, -200, entry_price=price(110_200), **wide)
    # Seven days old: the close decides.
    old = MONDAY + timedelta(days=10)
    make_signal(
        account,
        instrument,
        time=old,
        score=66.0,
        model_version="v1",
        claimed_setups=["bos"],
        entry_price=price(112_000),
        **wide,
    )
    subject = scored(account, instrument, 0)
    pool = case_of(subject).batch.model_history
    seen = slice(int(pool.start[0]), int(pool.stop[0]))
    assert list(zip(pool.score[seen].tolist(), pool.won[seen].tolist(), strict=True)) == [
        (66.0, False),
        (70.0, True),
        (70.0, False),
        (70.0, True),
    ]


def test_only_the_last_results_count(
    account: Account, instrument: Instrument, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(histories, "LIMIT", 5)
    make_candles(instrument, walk(BARS, step=60.0))
    for i in range(14):
        closed(scored(account, instrument, -900 + i, score=50.0 + i), -500 + i)
    for i in range(40):
        levels = {"stop_loss": price(109_900), "take_profit": price(110_100)}
        scored(account, instrument, -20_000 + 400 * i, score=20.0 + i, **levels)
    subject = scored(account, instrument, 0)
    later = scored(account, instrument, 700)
    alone = case_of(subject).batch
    assert alone.model_history.stop[0] - alone.model_history.start[0] <= 5
    assert alone.trade_log.stop[0] - alone.trade_log.start[0] == 5
    both = only(signal_ids=(subject.pk, later.pk), horizons=("4H",), trades=False)
    assert hashes(both) == [*hashes(case_of(subject)), *hashes(case_of(later))]


def test_signals_without_a_result_push_none_out(
    account: Account, instrument: Instrument, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last results may lie behind any number of signals that were not taken."""
    monkeypatch.setattr(histories, "LIMIT", 3)
    # Up and down by 150 points every ten hours.
    make_candles(instrument, 110_150 - np.abs((np.arange(BARS) + 150) % 600 - 300))
    levels = {"stop_loss": price(109_900), "take_profit": price(110_100)}
    for i in range(3):
        scored(account, instrument, -29_000 + i, score=20.0 + i, **levels)
    for i in range(20):
        scored(account, instrument, -12_000 + 60 * i, min_score=80.0, **levels)
    pool = case_of(scored(account, instrument, 0)).batch.model_history
    seen = slice(int(pool.start[0]), int(pool.stop[0]))
    assert sorted(pool.score[seen].tolist()) == [20.0, 21.0, 22.0]


@pytest.mark.parametrize(("size", "many"), [(1, 500), (7, 500), (1, 0), (7, 0), (7, 3), (20, 20)])
def test_what_a_case_sees_does_not_depend_on_the_chunk_it_is_read_in(
    account: Account, instrument: Instrument, monkeypatch: pytest.MonkeyPatch, size: int, many: int
) -> None:
    """Nor on which earlier signals are taken from the chunk and which are read (`many`)."""
    monkeypatch.setattr(histories, "LIMIT", 4)
    make_candles(instrument, walk(BARS, step=60.0))
    rng = np.random.default_rng(5)
    levels = {"stop_loss": price(109_900), "take_profit": price(110_100)}
    minutes = np.sort(rng.choice(np.arange(-20_000, 8_000), 16, replace=False)).tolist()
    minutes[5] = minutes[6] = minutes[7]
    for i, minute in enumerate(minutes):
        low = {"min_score": 80.0} if i % 3 == 0 else {}
        signal = scored(account, instrument, minute, score=20.0 + i, **levels, **low)
        if i % 5 == 4:
            closed(signal, minute + 90)
    alone = {signal.pk: hashes(case_of(signal))[0] for signal in Signal.objects.all()}
    monkeypatch.setattr(cases, "signal_chunks", partial(cases.signal_chunks, size=size))
    monkeypatch.setattr(case_earlier, "_MANY", many)
    together = {}
    for found in case_batches(Selection(horizons=("4H",), trades=False)):
        together |= dict(zip(found.signal_id.tolist(), hashes(found), strict=True))
    assert together == alone


def test_histories_are_missing_where_nothing_could_be_compared(
    account: Account, instrument: Instrument
) -> None:
    make_candles(instrument, walk(BARS))
    make_signal(account, instrument, time=ENTRY)
    batch = case_of(Signal.objects.get()).batch
    assert batch.model_history.start.tolist() == [-1]
    assert batch.setup_history.start.tolist() == [-1]
    assert batch.trade_log.start.tolist() == [0]  # there, and empty


# --- surroundings -------------------------------------------------------------------------------


def feed(currencies: list[str], start: float, end: float) -> NewsFeed:
    return NewsFeed.objects.create(
        name="calendar", covers_from=at(start), covers_to=at(end), currencies=currencies
    )


def release(of: NewsFeed, currency: str, minute: float) -> None:
    NewsEvent.objects.create(
        feed=of,
        time=at(minute),
        currency=currency,
        title="x",
        impact=2,
        dedupe_key=f"{currency} {minute}",
    )


def test_news_is_covered_where_every_currency_is(account: Account, instrument: Instrument) -> None:
    make_candles(instrument, walk(BARS))
    signal = make_signal(account, instrument, time=ENTRY)
    assert case_of(signal).batch.market.news is None
    dollars, euros = feed(["USD"], -600, 600), feed(["EUR", "GBP"], -300, 900)
    for calendar, currency, minute in (
        (dollars, "USD", 30),
        (euros, "GBP", 40),
        (euros, "EUR", 50),
    ):
        release(calendar, currency, minute)
    news = case_of(signal).batch.market.news
    assert news is not None
    assert news.currency == ("USD", "EUR")
    assert news.covered_from.tolist() == [utc_ns(at(-300))]
    assert news.covered_to.tolist() == [utc_ns(at(600))]


def test_no_calendar_for_its_currencies_is_missing_not_empty(
    account: Account, instrument: Instrument
) -> None:
    make_candles(instrument, walk(BARS))
    feed(["JPY"], -600, 600)
    signal = make_signal(account, instrument, time=ENTRY)
    assert case_of(signal).batch.market.news is None
    feed([], -600, 600)
    news = case_of(signal).batch.market.news
    assert news is not None
    assert (news.time.size, news.covered_from.size) == (0, 1)


def test_a_release_near_the_case_is_part_of_its_surroundings(
    account: Account, instrument: Instrument
) -> None:
    make_candles(instrument, walk(BARS))
    calendar = feed([], -10_000, 10_000)
    signal = make_signal(account, instrument, time=ENTRY)
    before = hashes(case_of(signal))[0]
    release(calendar, "USD", 2 * 1440)  # far behind the four hours
    assert hashes(case_of(signal))[0] == before
    release(calendar, "USD", 60)
    after = hashes(case_of(signal))[0]
    assert (after[:32] == before[:32], after[32:] == before[32:]) == (True, False)


def test_related_markets_are_few_and_signed(
    account: Account, instrument: Instrument, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those with the most bars: one with a week of another year hides none with all of them."""
    monkeypatch.setattr(markets, "MAX_PEERS", 4)
    make_candles(instrument, walk(BARS))
    signal = make_signal(account, instrument, time=ENTRY)
    assert case_of(signal).batch.market.peers is None
    make_candles(make_instrument("AUDUSD"), walk(BARS, 3)[:100], start=MONDAY)
    for symbol in ("USDCHF", "GBPUSD", "EURGBP", "NZDUSD", "AUDCAD"):
        make_candles(make_instrument(symbol), walk(BARS, 3)[::2], start=MONDAY)
    peers = case_of(signal).batch.market.peers
    assert peers is not None
    assert [(p.symbol, p.sign) for p in peers] == [
        ("EURGBP", 1),
        ("GBPUSD", 1),
        ("NZDUSD", 1),
        ("USDCHF", -1),
    ]
    known = np.isfinite(peers[0].close)
    assert 0 < known.sum() < known.size


def test_an_outage_log_is_missing_until_something_is_in_it(
    account: Account, instrument: Instrument
) -> None:
    make_candles(instrument, walk(BARS))
    signal = make_signal(account, instrument, time=ENTRY)
    before = hashes(case_of(signal))[0]
    assert case_of(signal).batch.market.outages is None
    Outage.objects.create(start=at(10), end=at(20), what="feed down")
    outages = case_of(signal).batch.market.outages
    assert outages is not None
    assert outages.what == ("feed down",)
    assert hashes(case_of(signal))[0][32:] != before[32:]


# --- fills and costs ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "kind", "flags"),
    [
        ("1.10001", "market", Flag(0)),  # the very high
        ("1.1000100000000000001", "market", Flag.ENTRY_OUTSIDE_CANDLE),
        ("1.0999899999999999999", "market", Flag.ENTRY_OUTSIDE_CANDLE),
        ("1.10050", "limit", Flag(0)),  # an order waits for its price
    ],
)
def test_the_entry_of_a_signal_is_compared_with_its_candle(
    account: Account, instrument: Instrument, entry: str, kind: str, flags: Flag
) -> None:
    make_candles(instrument, [110_000] * BARS)
    make_signal(account, instrument, time=ENTRY, entry_price=Decimal(entry), entry_kind=kind)
    cases = only(horizons=("4H",))
    assert cases.batch.extra_flags[0] == flags
    if len(entry) < 9:  # JSON numbers are floats
        case = dump_case(cases.batch, 0, id="x") | {"flags": None}
        assert parse_case(case).extra_flags[0] == flags


def flags_of(account: Account, instrument: Instrument, entry: str, leave: str) -> Flag:
    signal = make_signal(account, instrument, time=ENTRY, entry_price=Decimal(entry))
    make_trade(
        signal,
        entry_price=Decimal(entry),
        exit_price=Decimal(leave),
        closed_at=ENTRY + timedelta(minutes=30),
    )
    cases = only(signal_ids=(signal.pk,), horizons=())
    assert cases.batch.horizon == ("TRADE",)
    return Flag(int(cases.batch.extra_flags[0]))


@pytest.mark.parametrize(
    ("entry", "leave", "flags"),
    [
        ("1.09999", "1.10001", Flag(0)),  # the very low and the very high
        ("1.0999899999999999999", "1.10000", Flag.ENTRY_OUTSIDE_CANDLE),
        ("1.09999", "1.1000100000000000001", Flag.EXIT_OUTSIDE_CANDLE),
        (
            "1.2",
            "0.9",
            Flag.ENTRY_OUTSIDE_CANDLE | Flag.EXIT_OUTSIDE_CANDLE | Flag.FAR_OUTSIDE_CANDLE,
        ),
        ("1.105", "1.095", Flag.ENTRY_OUTSIDE_CANDLE | Flag.EXIT_OUTSIDE_CANDLE),
    ],
)
def test_fills_are_compared_as_they_were_given(
    account: Account, instrument: Instrument, entry: str, leave: str, flags: Flag
) -> None:
    make_candles(instrument, np.full(BARS, 110_000))
    assert flags_of(account, instrument, entry, leave) == flags


@pytest.mark.parametrize(
    ("fields", "per_unit"),
    [
        # 0.1 lots: 10 pips made 10 USD, so a pip is a dollar and 0.70 USD are 0.7 pips.
        ({"gross_pnl": "10", "commission": "-0.50", "swap": "-0.20"}, 0.00007),
        ({"gross_pnl": "10", "commission": "-0.50", "swap": "0.50"}, 0.0),
        ({"gross_pnl": "10", "commission": "0", "swap": None}, 0.0),
        # Nothing tells what a pip is worth in the account's currency.
        ({"gross_pnl": None, "commission": "-0.50", "swap": None}, None),
    ],
)
def test_costs_become_price_per_unit(
    account: Account, instrument: Instrument, fields: dict[str, Any], per_unit: float | None
) -> None:
    make_candles(instrument, walk(BARS))
    signal = make_signal(account, instrument, time=ENTRY)
    make_trade(
        signal,
        quantity=Decimal("0.1"),
        exit_price=signal.entry_price + Decimal("0.0010"),
        pnl_currency="USD",
        **{k: None if v is None else Decimal(v) for k, v in fields.items()},
    )
    batch = only(horizons=()).batch
    costs = [c for c in (batch.commission[0], batch.swap[0]) if not np.isnan(c)]
    if per_unit is None:
        assert costs == []
    else:
        assert sum(costs) / batch.quantity[0] == pytest.approx(per_unit, abs=1e-12)


def test_trades_beside_a_signal_are_evidence_and_cases_of_their_own(
    account: Account, instrument: Instrument
) -> None:
    make_candles(instrument, walk(BARS))
    signal = make_signal(account, instrument, time=ENTRY)
    second = make_trade(signal, opened_at=ENTRY + timedelta(minutes=5))
    first = make_trade(signal, opened_at=ENTRY + timedelta(minutes=2))
    cases = only()
    assert cases.batch.horizon == ("1H", "4H", "24H", "7D", "TRADE", "TRADE")
    assert cases.trade_id.tolist() == [-1, -1, -1, -1, first.pk, second.pk]
    opened = utc_ns(first.opened_at)
    assert set(cases.batch.fill_entry_time[:4].tolist()) == {opened}
    one = only(trade_ids=(second.pk,), horizons=("1H",))
    assert one.trade_id.tolist() == [-1, second.pk]


# --- columns ------------------------------------------------------------------------------------


def moments() -> Iterator[datetime]:
    yield MONDAY
    yield MONDAY + timedelta(microseconds=1)
    yield datetime(1999, 12, 31, 23, 59, 59, 999999, tzinfo=MONDAY.tzinfo)


def test_times_survive_text_and_back() -> None:
    ns = np.array([utc_ns(moment) for moment in moments()] + [np.iinfo(np.int64).min])
    assert times(time_texts(ns)).tolist() == ns.tolist()
    assert time_texts(ns)[:2] == ["2024-03-04 00:00:00", "2024-03-04 00:00:00.000001"]
    assert [from_ns(int(n)) for n in ns[:3]] == list(moments())
