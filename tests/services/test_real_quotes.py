"""Minute quotes around the US payrolls of May 2014: bids and asks judge, the calendar explains."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.core.management import call_command

from post_mortem.core.types import Outcome
from post_mortem.models import InsightAudit
from post_mortem.selectors.case_rows import Selection
from post_mortem.selectors.cases import case_batches
from post_mortem.services.audits import run_autopsy
from post_mortem.services.verification import verify_audits
from trading.models import CandleSeries, Instrument

from .factories import make_account, make_signal, price

pytestmark = [pytest.mark.django_db, pytest.mark.realdata]

PAYROLLS = datetime(2014, 5, 2, 12, 30, tzinfo=UTC)


@pytest.fixture
def market(shared_data: Path) -> CandleSeries:
    days = sorted((shared_data / "lean" / "oanda-minute-eurusd").glob("*_quote.zip"))
    call_command("import_ohlcv", *map(str, days), "--symbol", "EURUSD", "--tz", "UTC", verbosity=0)
    events = shared_data / "economic_events_2014-05.csv"
    call_command("import_news", str(events), "--tz", "UTC", verbosity=0)
    return CandleSeries.objects.get()


def test_a_long_into_payrolls_is_stopped_by_the_news(market: CandleSeries) -> None:
    assert market.kind == "bid_ask"
    instrument = Instrument.objects.get(symbol="EURUSD")
    account = make_account()
    signals = [
        make_signal(
            account,
            instrument,
            time=PAYROLLS - timedelta(minutes=15),
            side=side,
            entry_price=price(138_660),
            stop_loss=price(138_660 - side * 250),
            take_profit=price(138_660 + side * 400),
        )
        for side in (1, -1)
    ]
    (cases,) = case_batches(Selection(signal_ids=(signals[0].pk,)))
    batch = cases.batch
    assert batch.market.candles.quotes is not None
    assert batch.market.news is not None
    assert batch.market.news.covered_from.size
    run_autopsy()
    long, short = (InsightAudit.objects.get(signal=s, horizon="1H") for s in signals)
    assert (long.outcome, long.top_cause) == (Outcome.FAILED, "news_shock")
    assert PAYROLLS <= long.exit_time <= PAYROLLS + timedelta(minutes=10)
    assert short.outcome == Outcome.SUCCEEDED
    assert verify_audits().mismatched == 0


def test_without_the_calendar_the_news_could_not_be_checked(market: CandleSeries) -> None:
    from trading.models import NewsFeed

    NewsFeed.objects.all().delete()
    signal = make_signal(
        make_account(),
        Instrument.objects.get(symbol="EURUSD"),
        time=PAYROLLS - timedelta(minutes=15),
        entry_price=price(138_660),
        stop_loss=price(138_410),
        take_profit=price(139_060),
    )
    run_autopsy(horizons=["1H"])
    audit = InsightAudit.objects.get(signal=signal)
    assert audit.outcome == Outcome.FAILED
    assert audit.top_cause == "unknown"
