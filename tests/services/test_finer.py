"""Bars that leave a case open, decided by a finer series of the same market: stored, hashed,
verified, carried by portable cases, and stale when finer bars come later."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from post_mortem.core.diagnose import diagnose_case
from post_mortem.core.types import Flag, Outcome
from post_mortem.models import InsightAudit
from post_mortem.selectors.case_export import portable_case
from post_mortem.selectors.columns import utc_ns
from post_mortem.services.audits import run_autopsy
from post_mortem.services.staleness import mark_stale
from post_mortem.services.verification import verify_audits
from trading.core.aggregate import aggregate
from trading.core.candles import Candles
from trading.core.types import NS_PER_MINUTE, SeriesKind, timeframe_ns
from trading.models import Account, CandleChunk, CandleSeries, Desk, ImportBatch, Instrument, Signal
from trading.services.candles import SeriesKey, store_candles

from .factories import MONDAY, make_account, make_instrument, make_signal, make_trade

pytestmark = pytest.mark.django_db

ENTRY = MONDAY + timedelta(days=8, hours=10)  # a Tuesday
DAYS = 9
OPEN_BAR = 60  # minutes after the entry: the bar that touches both


def minutes(target_first: bool = True) -> Candles:
    """Nine days of quiet minutes around 1.1; one five-minute bar reaches 1.102 and 1.099."""
    n = DAYS * 1440
    close = np.full(n, 2 * 110_000, np.int64)
    close[::2] += 4
    start = int((ENTRY - MONDAY).total_seconds()) // 60 + OPEN_BAR
    high, low = close + 10, close - 10
    up, down = (start + 1, start + 3) if target_first else (start + 3, start + 1)
    high[up], low[down] = 2 * 110_210, 2 * 109_890
    opened = np.append(close[:1], close[:-1])
    high, low = np.maximum(high, opened), np.minimum(low, opened)
    time = utc_ns(MONDAY) + np.arange(n, dtype=np.int64) * NS_PER_MINUTE
    return Candles(time, opened, high, low, close)


def store(
    instrument: Instrument, bars: Candles, timeframe: str, *, source: str = "test",
    desk: Desk | None = None,
) -> CandleSeries:  # fmt: skip
    batch = ImportBatch.objects.create(
        kind="candles", desk=desk, file_name="test", file_sha256="", format="test"
    )
    key = SeriesKey(
        instrument=instrument, timeframe=timeframe, source=source, kind=SeriesKind.TRADE, desk=desk
    )
    series, _ = store_candles(key=key, candles=bars, batch=batch, revise=True)
    return series


def hour(bars: Candles, start: datetime) -> Candles:
    """The hour of minutes from `start`: too few to judge a window of four."""
    begin = utc_ns(start)
    return bars.between(begin, begin + 60 * NS_PER_MINUTE)


def five(bars: Candles) -> Candles:
    return aggregate(bars, timeframe_ns("5m"), NS_PER_MINUTE)


@pytest.fixture
def account() -> Account:
    return make_account()


@pytest.fixture
def instrument() -> Instrument:
    return make_instrument()


@pytest.fixture
def signal(account: Account, instrument: Instrument) -> Signal:
    store(instrument, five(minutes()), "5m")
    return make_signal(account, instrument, time=ENTRY, timeframe="5m")


def audit_of(signal: Signal, horizon: str = "4H") -> InsightAudit:
    return InsightAudit.objects.get(signal=signal, horizon=horizon)


def test_a_finer_series_that_fills_the_bar_decides(signal: Signal, instrument: Instrument) -> None:
    run_autopsy()
    before = audit_of(signal)
    assert (before.outcome, before.resolved_by) == (Outcome.FAILED, "")
    assert before.flags & Flag.AMBIGUOUS
    store(instrument, hour(minutes(), ENTRY + timedelta(minutes=OPEN_BAR)), "1m")
    mark_stale()
    stale = set(InsightAudit.objects.filter(is_stale=True).values_list("horizon", flat=True))
    # The bar opens one hour on: beyond the first horizon, and inside the three others.
    assert stale == {"4H", "24H", "7D"} - pending(signal)
    assert verify_audits().stale == len(stale)
    run_autopsy()
    after = audit_of(signal)
    assert (after.outcome, after.resolved_by, after.n_finer_bars) == (Outcome.SUCCEEDED, "1m", 5)
    assert after.flags & (Flag.AMBIGUOUS | Flag.RESOLVED_FINER) == Flag.RESOLVED_FINER
    assert after.exit_time == ENTRY + timedelta(minutes=OPEN_BAR + 1)
    assert after.series == before.series
    result = verify_audits()
    assert (result.mismatched, result.stale, result.verified) == (0, 0, result.checked)


def pending(signal: Signal) -> set[str]:
    found = InsightAudit.objects.filter(signal=signal, outcome=Outcome.PENDING)
    return set(found.values_list("horizon", flat=True))


@pytest.mark.parametrize("target_first", [True, False])
def test_a_case_carries_the_finer_bars(
    account: Account, instrument: Instrument, target_first: bool
) -> None:
    bars = minutes(target_first)
    store(instrument, five(bars), "5m")
    store(instrument, hour(bars, ENTRY + timedelta(minutes=OPEN_BAR)), "1m")
    signal = make_signal(account, instrument, time=ENTRY, timeframe="5m")
    make_trade(signal, closed_at=ENTRY + timedelta(minutes=OPEN_BAR + 2, seconds=30))
    run_autopsy()
    assert audit_of(signal).outcome == (Outcome.SUCCEEDED if target_first else Outcome.FAILED)
    for audit in InsightAudit.objects.exclude(outcome=Outcome.PENDING):
        case = portable_case(audit)
        assert diagnose_case(case)["evidence_hash"] == audit.evidence_hash
        if audit.n_finer_bars:
            (finer,) = case["finer"]
            assert (finer["timeframe"], len(finer["candles"]["time"])) == ("1m", 5)
        else:
            assert "finer" not in case


def test_an_entry_inside_a_bar(account: Account, instrument: Instrument) -> None:
    bars = minutes()
    store(instrument, five(bars), "5m")
    sent = ENTRY + timedelta(minutes=OPEN_BAR + 2)  # between target and stop
    signal = make_signal(account, instrument, time=sent, timeframe="5m")
    run_autopsy(horizons=["4H"])
    assert audit_of(signal).flags & Flag.ENTRY_BAR_AMBIGUOUS
    assert audit_of(signal).outcome == Outcome.NEUTRAL
    store(instrument, hour(bars, ENTRY + timedelta(minutes=OPEN_BAR)), "1m")
    run_autopsy(horizons=["4H"])
    after = audit_of(signal)
    assert (after.outcome, after.resolved_by) == (Outcome.FAILED, "1m")
    assert not after.flags & Flag.ENTRY_BAR_AMBIGUOUS
    assert verify_audits().mismatched == 0


def test_a_bar_with_a_minute_missing_stays_open(signal: Signal, instrument: Instrument) -> None:
    bars = hour(minutes(), ENTRY + timedelta(minutes=OPEN_BAR))
    keep = np.ones(len(bars), bool)
    keep[4] = False
    store(instrument, bars.rows(keep), "1m")
    run_autopsy()
    assert audit_of(signal).flags & (Flag.AMBIGUOUS | Flag.RESOLVED_FINER) == Flag.AMBIGUOUS
    assert audit_of(signal).n_finer_bars == 0


def test_another_desks_minutes_decide_nothing(signal: Signal, instrument: Instrument) -> None:
    other = make_account().desk
    store(instrument, hour(minutes(), ENTRY + timedelta(minutes=OPEN_BAR)), "1m", desk=other)
    run_autopsy()
    assert audit_of(signal).resolved_by == ""


@pytest.mark.parametrize(("order", "outcome"), [(["a", "b"], "SUCCEEDED"), (["b", "a"], "FAILED")])
def test_the_desks_order_of_sources_chooses(
    account: Account, signal: Signal, instrument: Instrument, order: list[str], outcome: str
) -> None:
    start = ENTRY + timedelta(minutes=OPEN_BAR)
    store(instrument, hour(minutes(True), start), "1m", source="a")
    store(instrument, hour(minutes(False), start), "1m", source="b")
    Desk.objects.filter(pk=account.desk_id).update(source_order=order)
    run_autopsy()
    assert Outcome(audit_of(signal).outcome).name == outcome


def test_a_changed_byte_of_the_finer_bars_is_found(signal: Signal, instrument: Instrument) -> None:
    series = store(instrument, hour(minutes(), ENTRY + timedelta(minutes=OPEN_BAR)), "1m")
    run_autopsy()
    chunk = CandleChunk.objects.get(series=series)
    blob = bytearray(chunk.blob)
    blob[-1] ^= 1
    CandleChunk.objects.filter(pk=chunk.pk).update(blob=bytes(blob))
    found = {f["audit_id"] for f in verify_audits().mismatches}
    assert audit_of(signal).pk in found
    assert audit_of(signal, "1H").pk not in found


@pytest.mark.parametrize("field", ["resolved_by", "finer_digest"])
def test_what_the_row_says_of_finer_bars_is_compared(
    signal: Signal, instrument: Instrument, field: str
) -> None:
    store(instrument, hour(minutes(), ENTRY + timedelta(minutes=OPEN_BAR)), "1m")
    run_autopsy()
    InsightAudit.objects.filter(signal=signal, horizon="4H").update(**{field: "5m"})
    reasons: dict[int, Any] = {f["audit_id"]: f["reason"] for f in verify_audits().mismatches}
    assert field in reasons[audit_of(signal).pk]


def test_an_off_grid_point_of_the_finer_series(signal: Signal, instrument: Instrument) -> None:
    """A finer series may be quoted in tenths of the judged one's points."""
    bars = hour(minutes(), ENTRY + timedelta(minutes=OPEN_BAR))
    names = ("open", "high", "low", "close")
    tenths = Candles(bars.time, *(10 * getattr(bars, name) for name in names))
    Instrument.objects.filter(pk=instrument.pk).update(point=Decimal("0.000001"))
    series = store(Instrument.objects.get(pk=instrument.pk), tenths, "1m")
    assert series.point == Decimal("0.000001")
    run_autopsy()
    assert audit_of(signal).outcome == Outcome.SUCCEEDED
    assert verify_audits().mismatched == 0
