"""Releases of May 2014 on real minute quotes: trades they stopped out, and quiet minutes beside."""

from __future__ import annotations

from collections.abc import Callable
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
from post_mortem.core.types import CAUSES, Diagnosis, ExitReason, Market, News, Outcome, Status
from tests.core import cases, lean
from trading.core.candles import Candles

pytestmark = pytest.mark.realdata
STOOD_OUT = 5  # a minute's range over the median of the hour before
NEWS = CAUSES.index("news_shock")
ENTRY = int(datetime(2014, 5, 2, 12, 29, tzinfo=UTC).timestamp()) * 10**9


@pytest.fixture(scope="module")
def bars(shared_data: Path) -> Candles:
    return lean.minutes(shared_data / "lean" / "oanda-minute-eurusd")


@pytest.fixture(scope="module")
def calendar(shared_data: Path) -> News:
    return lean.calendar(shared_data / "economic_events_2014-05.csv", ("EUR", "USD"))


def market(bars: Candles, news: News | None) -> Market:
    return Market(
        "EURUSD",
        "fx",
        Decimal("0.00001"),
        Decimal("0.0001"),
        cases.MINUTE,
        bars,
        ("EUR", "USD"),
        news,
    )


def view(bars: Candles, news: News | None, entry_time: int = ENTRY) -> RecordView:
    signal = cases.signal(
        entry_time=entry_time, entry_price=1.38626, stop_price=1.38476, minutes=240
    )
    batch = cases.batch(market(bars, news), signal)
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


# --- every release that moved prices, and none of the quiet minutes ---------------------------
PRICE = 0.000005  # of a half-point


def ranges(bars: Candles) -> np.ndarray:
    return (bars.high - bars.low).astype(float)


def moving(bars: Candles, calendar: News) -> list[int]:
    """Bars of the high-impact releases whose minute stood out."""
    width, found = ranges(bars), []
    for moment in calendar.time[calendar.impact == 2]:
        bar = int(np.searchsorted(bars.time, moment))
        if bar < len(bars) and width[bar] >= STOOD_OUT * np.median(width[bar - 60 : bar]):
            found.append(bar)
    return found


def judged(bars: Candles, news: News, signals: list[dict[str, object]]) -> Diagnosis:
    batch = cases.batch(market(bars, news), *signals)
    paths = replay(batch)
    return diagnose(batch, paths, label(batch, paths))


def stopped_by(bars: Candles, bar: int) -> dict[str, object]:
    """A trade entered a minute before, on the side that the release minute ran over, with a stop
    at half of how far it went."""
    start = int(bars.open[bar - 1])
    fell, rose = start - int(bars.low[bar]), int(bars.high[bar]) - start
    side, went = (1, fell) if fell > rose else (-1, rose)
    return cases.signal(
        entry_time=int(bars.time[bar - 1]),
        entry_price=start * PRICE,
        stop_price=(start - side * went // 2) * PRICE,
        side=side,
        minutes=240,
    )


def test_every_release_that_moved_prices_is_the_first_cause(bars: Candles, calendar: News) -> None:
    found = moving(bars, calendar)
    assert len(found) == 6
    answer = judged(bars, calendar, [stopped_by(bars, bar) for bar in found])
    assert answer.judged.all()
    assert answer.rank[:, NEWS].tolist() == [1] * len(found)


def quiet_losers(bars: Candles, calendar: News, n: int) -> list[dict[str, object]]:
    """Random trades of quiet minutes: away from releases and no wider than usual, with a stop of a
    few usual ranges that was reached within four hours. A release that did move prices meanwhile
    is no quiet market, so those lives are left out."""
    rng, width = np.random.default_rng(20_140_501), ranges(bars)
    loud = np.array(moving(bars, calendar))
    losers: list[dict[str, object]] = []
    while len(losers) < n:
        bar, side = int(rng.integers(500, len(bars) - 300)), int(rng.choice([1, -1]))
        usual = float(np.median(width[bar - 60 : bar]))
        near = np.abs(calendar.time - bars.time[bar]) < 30 * cases.MINUTE
        if near.any() or width[bar] > 2 * usual or usual <= 0:
            continue
        if ((loud >= bar) & (loud < bar + 240)).any():
            continue
        start, risk = int(bars.open[bar]), int(usual * rng.uniform(3, 10))
        life = slice(bar, bar + 240)
        worst = (start - bars.low[life]) if side == 1 else (bars.high[life] - start)
        best = (bars.high[life] - start) if side == 1 else (start - bars.low[life])
        lost, won = np.flatnonzero(worst >= risk), np.flatnonzero(best >= risk)
        if not lost.size or (won.size and won[0] <= lost[0]):
            continue
        losers.append(
            cases.signal(
                entry_time=int(bars.time[bar]),
                entry_price=start * PRICE,
                stop_price=(start - side * risk) * PRICE,
                target_price=(start + side * risk) * PRICE,
                side=side,
                minutes=240,
            )
        )
    return losers


def test_losers_of_quiet_minutes_are_not_blamed_on_news(
    bars: Candles, calendar: News, record_property: Callable[[str, object], None]
) -> None:
    answer = judged(bars, calendar, quiet_losers(bars, calendar, 300))
    ranks = answer.rank[answer.judged][:200]
    named = (ranks == 1).mean(axis=0)
    record_property("first", {c: float(x) for c, x in zip(CAUSES, named, strict=True) if x})
    assert len(ranks) == 200
    assert named[NEWS] <= 0.02, named
