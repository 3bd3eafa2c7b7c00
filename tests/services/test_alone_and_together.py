"""What a case reads is decided by its own rows and times alone: judged alone, together with others
and elsewhere from its export, every audit is the same."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from post_mortem.core.diagnose import diagnose_case
from post_mortem.core.record import read_record
from post_mortem.core.types import Flag
from post_mortem.models import InsightAudit
from post_mortem.selectors.case_export import portable_case
from post_mortem.selectors.columns import utc_ns
from post_mortem.services.audits import run_autopsy
from post_mortem.services.verification import verify_audits
from trading.core.candles import I64, Candles
from trading.core.sessions import is_open
from trading.core.types import NS_PER_DAY, NS_PER_HOUR, SeriesKind, timeframe_ns
from trading.models import (
    Account,
    CandleSeries,
    ImportBatch,
    Instrument,
    NewsEvent,
    NewsFeed,
    Signal,
)
from trading.services.candles import SeriesKey, store_candles

from .factories import MONDAY, make_account, make_instrument, make_signal, make_trade

pytestmark = pytest.mark.django_db(transaction=True)

FRIDAY = MONDAY + timedelta(days=11)
LEVEL = 110_000


@pytest.fixture
def account() -> Account:
    return make_account()


@pytest.fixture
def instrument() -> Instrument:
    return make_instrument()


def opens(start: datetime, days: float, timeframe: str = "5m", kind: str = "fx") -> I64:
    """Opens of every bar of so many days in which the market trades."""
    step = timeframe_ns(timeframe)
    time = utc_ns(start) + np.arange(int(days * NS_PER_DAY) // step, dtype=np.int64) * step
    return time[is_open(kind, time)]


def quiet(time: I64) -> I64:
    """Closes, in points, that reach no level of a signal."""
    return LEVEL + np.arange(time.size) % 7


def store(
    instrument: Instrument,
    time: I64,
    closes: I64,
    timeframe: str = "5m",
    source: str = "test",
    **columns: Any,
) -> CandleSeries:
    close = 2 * np.asarray(closes, np.int64)
    opened = np.concatenate([close[:1], close[:-1]])
    high, low = np.maximum(opened, close) + 2, np.minimum(opened, close) - 2
    batch = ImportBatch.objects.create(
        kind="candles", file_name="test", file_sha256="", format="test"
    )
    key = SeriesKey(
        instrument=instrument,
        timeframe=timeframe,
        source=source,
        kind=SeriesKind.TRADE,
        desk=None,
    )
    candles = Candles(time, opened, high, low, close, **columns)
    return store_candles(key=key, candles=candles, batch=batch, revise=True)[0]


_STORED = ("outcome", "flags", "coverage", "r_multiple", "input_hash", "evidence_hash", "series_id")


def audits() -> dict[tuple[int, str], tuple[Any, ...]]:
    rows = InsightAudit.objects.order_by("signal_id", "horizon")
    return {row[:2]: row[2:] for row in rows.values_list("signal_id", "horizon", *_STORED)}


def same_everywhere() -> dict[tuple[int, str], InsightAudit]:
    """Every stored signal judged alone, then all of them together: the audits, which are equal,
    verify, and come out of their exports."""
    signals = list(Signal.objects.order_by("pk").values_list("pk", flat=True))
    for pk in signals:
        run_autopsy(signal_ids=[pk])
    alone = audits()
    run_autopsy(force=True)
    assert audits() == alone
    for pk in reversed(signals):
        run_autopsy(signal_ids=[pk], force=True)
    assert audits() == alone
    checked = verify_audits()
    assert checked.mismatches == []
    assert checked.verified == len(alone)
    found = {}
    for audit in InsightAudit.objects.select_related("signal", "series", "calibration"):
        assert diagnose_case(portable_case(audit))["evidence_hash"] == audit.evidence_hash
        found[audit.signal_id, audit.horizon] = audit
    return found


# --- where data end ----------------------------------------------------------------------------


def test_a_horizon_that_ends_in_the_weekend_is_judged_once_monday_is_there(
    account: Account, instrument: Instrument
) -> None:
    time = opens(MONDAY, 21)
    closes = quiet(time)
    closes[np.searchsorted(time, utc_ns(FRIDAY + timedelta(hours=20, minutes=30))) :] -= 300
    store(instrument, time, closes)
    friday = make_signal(account, instrument, time=FRIDAY + timedelta(hours=20), timeframe="5m")
    make_signal(account, instrument, time=FRIDAY + timedelta(days=3), timeframe="5m")
    found = same_everywhere()
    assert found[friday.pk, "4H"].get_outcome_display() == "failed"
    assert found[friday.pk, "24H"].get_outcome_display() == "failed"


def test_a_horizon_that_ends_in_the_weekend_waits_for_the_next_bar(
    account: Account, instrument: Instrument
) -> None:
    time = opens(MONDAY, 12.5)  # ends with Friday's last bar
    store(instrument, time, quiet(time))
    friday = make_signal(account, instrument, time=FRIDAY + timedelta(hours=20), timeframe="5m")
    assert same_everywhere()[friday.pk, "4H"].get_outcome_display() == "pending"
    monday = opens(MONDAY + timedelta(days=12.5), 2)
    store(instrument, monday, quiet(monday))
    run_autopsy(signal_ids=[friday.pk])
    assert same_everywhere()[friday.pk, "4H"].get_outcome_display() == "neutral"


def test_a_trade_that_ends_with_the_week_is_judged_once_monday_is_there(
    account: Account, instrument: Instrument
) -> None:
    time = opens(MONDAY, 21)
    store(instrument, time, quiet(time))
    close = FRIDAY + timedelta(hours=21)  # New York is in summer time already
    signal = make_signal(account, instrument, time=close - timedelta(hours=2), timeframe="5m")
    make_trade(signal, exit_price=Decimal("1.1005"), closed_at=close)
    make_signal(account, instrument, time=FRIDAY + timedelta(days=3), timeframe="5m")
    assert same_everywhere()[signal.pk, "TRADE"].get_outcome_display() == "succeeded"


def test_long_after_the_last_bar_a_case_waits_and_long_before_the_first_it_has_no_data(
    account: Account, instrument: Instrument
) -> None:
    time = opens(MONDAY, 14)
    store(instrument, time, quiet(time))
    early = make_signal(account, instrument, time=MONDAY - timedelta(days=200), timeframe="5m")
    make_signal(account, instrument, time=MONDAY + timedelta(days=7), timeframe="5m")
    late = make_signal(account, instrument, time=MONDAY + timedelta(days=200), timeframe="5m")
    found = same_everywhere()
    assert found[early.pk, "4H"].get_outcome_display() == "needs_review"
    assert found[late.pk, "4H"].get_outcome_display() == "pending"


def test_where_nothing_trades_in_a_window_the_series_is_chosen_by_what_it_spans(
    account: Account, instrument: Instrument
) -> None:
    """A window inside a weekend is spanned by the long coarse series only."""
    short, long = opens(MONDAY, 4, "1m"), opens(MONDAY, 28, "5m")
    store(instrument, short, quiet(short), "1m")
    coarse = store(instrument, long, quiet(long))
    saturday = make_signal(account, instrument, time=FRIDAY + timedelta(days=1), timeframe="5m")
    make_signal(account, instrument, time=FRIDAY + timedelta(hours=12), timeframe="5m")
    assert same_everywhere()[saturday.pk, "1H"].series_id == coarse.pk


def test_news_around_a_case_count_however_far_the_nearest_bars_are(
    account: Account, instrument: Instrument
) -> None:
    """A window in a hole that is longer than any lookback: its news are not those of its bars."""
    for start in (MONDAY, MONDAY + timedelta(days=70)):
        time = opens(start, 14)
        store(instrument, time, quiet(time))
    entry = MONDAY + timedelta(days=60)
    feed = NewsFeed.objects.create(
        name="news", covers_from=MONDAY, covers_to=entry + timedelta(days=30), currencies=[]
    )
    NewsEvent.objects.create(
        feed=feed, time=entry, currency="USD", impact=2, title="CPI", dedupe_key="cpi"
    )
    make_signal(account, instrument, time=entry, timeframe="5m")
    make_signal(account, instrument, time=MONDAY + timedelta(days=7), timeframe="5m")
    make_signal(account, instrument, time=MONDAY + timedelta(days=77), timeframe="5m")
    same_everywhere()


# --- bars that know more than others -------------------------------------------------------------


def test_weeks_without_volume_leave_the_others_theirs(account: Account) -> None:
    """Weeks with, without and again with volume, and in each a fall that takes the stop."""
    market = make_instrument("BTC/USDT", decimals=2)
    time = opens(MONDAY, 70, kind="crypto")
    closes = 1_000_000 + np.cumsum(np.random.default_rng(1).integers(-3, 4, time.size))
    days = (17, 23, 30, 45, 52, 66)
    signals = []
    for day in days:
        entry = MONDAY + timedelta(days=day)
        at = int(np.searchsorted(time, utc_ns(entry)))
        closes[at + 20 :] -= 400
        price = Decimal(int(closes[at])) / 100
        levels = {"stop_loss": price - 3, "take_profit": price + 50}
        signals.append(
            make_signal(account, market, time=entry, timeframe="5m", entry_price=price, **levels)
        )
    volume = 5.0 + np.arange(time.size) % 11
    for start, stop, known in ((0, 21, True), (21, 49, False), (49, 70, True)):
        some = slice(start * 288, stop * 288)
        columns = {"volume": volume[some]} if known else {}
        store(market, time[some], closes[some], **columns)
    found = same_everywhere()
    assert {found[s.pk, "4H"].get_outcome_display() for s in signals} == {"failed"}
    records = [read_record(bytes(found[s.pk, "4H"].record)) for s in signals]
    blind = [any("volume" in f.missing for f in record.findings) for record in records]
    assert blind == [False, True, True, True, False, False]


# --- bars that follow their market's clock -------------------------------------------------------


def server_hours(instrument: Instrument, missing: datetime | None = None) -> None:
    """Four-hour bars of a server whose day ends with New York's: an hour earlier from 10 March."""
    winter = opens(datetime(2024, 2, 4, 22, tzinfo=UTC), 34.5, "4h")
    time = np.append(winter, opens(datetime(2024, 3, 10, 21, tzinfo=UTC), 40, "4h"))
    if missing is not None:
        time = time[time != utc_ns(missing)]
    store(instrument, time, quiet(time), "4h")


def test_long_bars_are_complete_after_the_clocks_were_changed(
    account: Account, instrument: Instrument
) -> None:
    server_hours(instrument)
    entry = datetime(2024, 4, 3, 1, 30, tzinfo=UTC)
    fields: dict[str, Any] = {"timeframe": "4h", "stop_loss": None, "take_profit": None}
    signal = make_signal(account, instrument, time=entry, **fields)
    make_trade(signal, exit_price=Decimal("1.101"), closed_at=entry + timedelta(hours=5))
    make_signal(account, instrument, time=datetime(2024, 2, 6, 2, tzinfo=UTC), **fields)
    friday = make_signal(account, instrument, time=datetime(2024, 3, 8, 19, tzinfo=UTC), **fields)
    make_trade(friday, exit_price=Decimal("1.101"), closed_at=friday.time + timedelta(hours=2))
    found = same_everywhere()
    for horizon in ("24H", "7D", "TRADE"):
        assert found[signal.pk, horizon].coverage == 1.0
        assert found[signal.pk, horizon].get_outcome_display() in ("neutral", "succeeded")
    # Left before the next bar, which opens in summer: no bar was expected in between.
    assert found[friday.pk, "TRADE"].coverage is None
    assert found[friday.pk, "TRADE"].get_outcome_display() == "succeeded"


def test_a_bar_that_is_missing_after_the_clocks_were_changed_is_missed(
    account: Account, instrument: Instrument
) -> None:
    server_hours(instrument, missing=datetime(2024, 4, 3, 9, tzinfo=UTC))
    entry = datetime(2024, 4, 3, 1, tzinfo=UTC)
    signal = make_signal(account, instrument, time=entry, timeframe="4h")
    assert same_everywhere()[signal.pk, "24H"].coverage == pytest.approx(5 / 6)


# --- markets whose hours are not known -----------------------------------------------------------


def index_signal(account: Account, market: Instrument, day: int) -> Signal:
    levels = {
        "entry_price": Decimal(5000),
        "stop_loss": Decimal(4990),
        "take_profit": Decimal(5020),
    }
    entry = MONDAY + timedelta(days=day, hours=14)
    return make_signal(account, market, time=entry, timeframe="5m", **levels)


def cash_session(days: int, timeframe: str) -> I64:
    """Opens from 14:00 to 20:00 of every day, which nobody told of this market."""
    time = opens(MONDAY, days, timeframe, kind="other")
    hour = time % NS_PER_DAY // NS_PER_HOUR
    return time[(hour >= 14) & (hour < 20)]


def without(time: I64, start: datetime, hours: float) -> I64:
    begin = utc_ns(start)
    return time[(time < begin) | (time >= begin + int(hours * NS_PER_HOUR))]


def test_a_hole_counts_where_another_series_has_bars(account: Account) -> None:
    """Minutes lack three of four hours, in which five-minute bars show the stop."""
    market = make_instrument("US500", decimals=1)
    signal, other = index_signal(account, market, 19), index_signal(account, market, 21)
    five, one = cash_session(25, "5m"), cash_session(25, "1m")
    closes = np.full(five.size, 50_000)
    fall = utc_ns(signal.time + timedelta(hours=1))
    closes[(five >= fall) & (five < fall + NS_PER_HOUR)] = 49_800
    whole = store(market, five, closes)
    one = without(one, signal.time + timedelta(minutes=30), 3)
    fine = store(market, one, np.full(one.size, 50_000), "1m")
    found = same_everywhere()
    judged = found[signal.pk, "4H"]
    assert (judged.series_id, judged.get_outcome_display()) == (whole.pk, "failed")
    assert (judged.coverage, judged.r_multiple) == (1.0, -1.0)
    # Where the minutes are there they judge, and the closed night is nobody's hole.
    for horizon in ("4H", "24H"):
        judged = found[other.pk, horizon]
        assert (judged.series_id, judged.get_outcome_display()) == (fine.pk, "neutral")
        assert judged.coverage == 1.0


def test_a_hole_in_every_series_is_told_and_left_to_a_person(account: Account) -> None:
    market = make_instrument("US500", decimals=1)
    signal = index_signal(account, market, 19)
    first, second = signal.time + timedelta(minutes=30), signal.time + timedelta(minutes=90)
    five = without(cash_session(25, "5m"), second, 2.5)
    one = without(cash_session(25, "1m"), first, 0.5)
    store(market, five, np.full(five.size, 50_000))
    fine = store(market, one, np.full(one.size, 50_000), "1m")
    judged = same_everywhere()[signal.pk, "4H"]
    assert judged.series_id == fine.pk
    assert judged.coverage == pytest.approx(12 / 18)
    assert Flag.LOW_COVERAGE in Flag(judged.flags)
    assert judged.get_outcome_display() == "needs_review"


def test_with_one_series_nobody_knows_what_is_missing(account: Account) -> None:
    market = make_instrument("US500", decimals=1)
    signal = index_signal(account, market, 19)
    five = without(cash_session(25, "5m"), signal.time + timedelta(minutes=30), 1)
    store(market, five, np.full(five.size, 50_000))
    judged = same_everywhere()[signal.pk, "4H"]
    assert judged.coverage is None
    assert judged.get_outcome_display() == "neutral"


def test_a_trade_inside_one_bar_of_such_a_market_is_judged(account: Account) -> None:
    market = make_instrument("US500", decimals=1)
    signal = index_signal(account, market, 19)
    for timeframe in ("5m", "1h"):
        time = cash_session(25, timeframe)
        store(market, time, np.full(time.size, 50_000), timeframe)
    opened = signal.time + timedelta(minutes=1)
    closed = {"closed_at": opened + timedelta(minutes=2), "exit_price": Decimal("4995.5")}
    make_trade(signal, opened_at=opened, **closed)
    judged = same_everywhere()[signal.pk, "TRADE"]
    assert judged.get_outcome_display() == "failed"
    assert judged.coverage is None


def test_bars_of_another_series_that_come_later_make_an_audit_stale(account: Account) -> None:
    market = make_instrument("US500", decimals=1)
    signal = index_signal(account, market, 19)
    one = without(cash_session(25, "1m"), signal.time + timedelta(minutes=30), 3)
    store(market, one, np.full(one.size, 50_000), "1m")
    run_autopsy(horizons=["4H"])
    judged = InsightAudit.objects.get()
    assert (judged.get_outcome_display(), judged.is_stale) == ("neutral", False)
    late = without(cash_session(25, "5m"), signal.time + timedelta(hours=3), 2)
    store(market, late, np.full(late.size, 50_000))
    judged.refresh_from_db()
    assert judged.is_stale
    same_everywhere()
