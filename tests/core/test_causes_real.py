"""US payrolls of 2014-05-02 on real minute quotes: a long one minute before, stopped within one."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from post_mortem.core.evidence import CauseNumbers
from post_mortem.core.labeler import label
from post_mortem.core.rca import diagnose
from post_mortem.core.record import RecordView, read_record, records
from post_mortem.core.replay import replay
from post_mortem.core.types import ExitReason, Market, News, Outcome, Status
from tests.core import cases, lean
from trading.core.candles import Candles

pytestmark = pytest.mark.realdata
ENTRY = int(datetime(2014, 5, 2, 12, 29, tzinfo=UTC).timestamp()) * 10**9


@pytest.fixture(scope="module")
def bars(shared_data: Path) -> Candles:
    return lean.minutes(shared_data / "lean" / "oanda-minute-eurusd")


@pytest.fixture(scope="module")
def calendar(shared_data: Path) -> News:
    return lean.calendar(shared_data / "economic_events_2014-05.csv", ("EUR", "USD"))


def view(bars: Candles, news: News | None, entry_time: int = ENTRY) -> RecordView:
    where = Market(
        "EURUSD",
        "fx",
        Decimal("0.00001"),
        Decimal("0.0001"),
        cases.MINUTE,
        bars,
        ("EUR", "USD"),
        news,
    )
    signal = cases.signal(
        entry_time=entry_time, entry_price=1.38626, stop_price=1.38476, minutes=240
    )
    batch = cases.batch(where, signal)
    paths = replay(batch)
    labels = label(batch, paths)
    return read_record(records(labels, diagnose(batch, paths, labels))[0].tobytes())


def by_name(seen: RecordView) -> dict[str, CauseNumbers]:
    return {finding.cause: finding for finding in seen.findings}


def test_payrolls_are_the_first_cause(bars: Candles, calendar: News) -> None:
    seen = view(bars, calendar)
    assert (seen.label.outcome, seen.label.exit_reason) == (Outcome.FAILED, ExitReason.SL)
    assert seen.label.exit_time == ENTRY + cases.MINUTE
    news = by_name(seen)["news_shock"]
    assert news.rank == 1
    assert news.posterior >= 0.6
    assert calendar.title[int(news.facts["event_key"])] == "NFP"
    assert news.facts["dt_min"] == 0
    assert news.facts["jump_z"] > 10


def test_without_a_calendar_it_is_unknown(bars: Candles) -> None:
    found = by_name(view(bars, None))
    assert found["unknown"].rank == 1
    assert found["news_shock"].status == Status.ABSTAINED
    assert found["news_shock"].missing == ("news",)


def test_outside_what_the_calendar_covers_it_is_unknown_too(bars: Candles, calendar: News) -> None:
    known = calendar.time > ENTRY + 60 * cases.MINUTE
    later = News(
        calendar.time[known],
        calendar.impact[known],
        calendar.surprise_z[known],
        tuple(np.array(calendar.currency)[known]),
        tuple(np.array(calendar.title)[known]),
        calendar.key[known],
        calendar.time[known][:1],
        calendar.covered_to,
    )
    found = by_name(view(bars, later))
    assert found["unknown"].rank == 1
    assert found["news_shock"].status == Status.ABSTAINED
