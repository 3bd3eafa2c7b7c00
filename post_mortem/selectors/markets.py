"""What surrounds a market: news, related markets, outages."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import numpy as np
from django.db.models import Q

from post_mortem.core.types import Market, News, Outages, Peer
from trading.core.candles import F64, I64, Candles
from trading.core.instruments import news_currencies
from trading.core.units import to_prices
from trading.models import CandleSeries, Desk, Instrument, NewsEvent, NewsFeed, Outage
from trading.selectors.candles import load_candles, series_for

from .columns import codes, fetch, floats, from_ns, integers, times

MAX_PEERS = 8
_IMPACTS = {0: 0, 1: 1, 2: 2}


@dataclass(frozen=True, slots=True, eq=False)
class Surroundings:
    """All feeds of one market, for bars and cases between two moments."""

    news: News | None
    peers: tuple[Peer, ...] | None
    outages: Outages | None


def surroundings(
    instrument: Instrument,
    desk: Desk,
    series: CandleSeries,
    candles: Candles,
    start_ns: int,
    end_ns: int,
) -> Surroundings:
    """The feeds around these bars; of news at least what lies in [start, end]."""
    if not len(candles):
        return Surroundings(None, None, None)
    start_ns = min(start_ns, int(candles.time[0]))
    return Surroundings(
        news=_news(instrument, desk, start_ns, end_ns),
        peers=_peers(instrument, desk, series, candles),
        outages=_outages(desk),
    )


def market(
    instrument: Instrument, point: Decimal, bar_ns: int, candles: Candles, around: Surroundings
) -> Market:
    return Market(
        symbol=instrument.symbol,
        kind=instrument.kind,
        point=point,
        pip=instrument.pip,
        bar_ns=bar_ns,
        candles=candles,
        currencies=news_currencies(instrument.symbol),
        news=around.news,
        peers=around.peers,
        outages=around.outages,
    )


# --- news ---------------------------------------------------------------------------------------


def _news(instrument: Instrument, desk: Desk, start_ns: int, end_ns: int) -> News | None:
    """Releases of the market's currencies, and the spans in which all of them are covered.

    None where the market's currencies are unknown or no calendar was ever imported for them.
    """
    currencies = news_currencies(instrument.symbol)
    feeds = [
        feed
        for feed in NewsFeed.objects.for_desk(desk).order_by("covers_from", "pk")
        if not feed.currencies or set(feed.currencies) & set(currencies)
    ]
    if not currencies or not feeds:
        return None
    covered = _covered_by_all(feeds, currencies)
    rows = fetch(
        NewsEvent.objects.for_desk(desk)
        .filter(currency__in=currencies, time__gte=from_ns(start_ns), time__lte=from_ns(end_ns))
        .order_by("time", "id"),
        "id",
        "time",
        "impact",
        "surprise_z",
        "currency",
        "title",
    )
    return News(
        time=times(rows["time"]),
        impact=codes(rows["impact"], _IMPACTS),
        surprise_z=floats(rows["surprise_z"]),
        currency=tuple(rows["currency"]),
        title=tuple(rows["title"]),
        key=integers(rows["id"]),
        covered_from=covered[0],
        covered_to=covered[1],
    )


def _covered_by_all(feeds: list[NewsFeed], currencies: tuple[str, ...]) -> tuple[I64, I64]:
    """Spans [from, to] in which every currency is covered by some feed."""
    spans = [(-(2**62), 2**62)]
    for currency in currencies:
        own = _union(
            [
                tuple(times([feed.covers_from, feed.covers_to]).tolist())
                for feed in feeds
                if not feed.currencies or currency in feed.currencies
            ]
        )
        spans = [(max(a, c), min(b, d)) for a, b in spans for c, d in own if max(a, c) <= min(b, d)]
    table = np.array(spans, np.int64).reshape(-1, 2)
    return table[:, 0].copy(), table[:, 1].copy()


def _union(spans: list[tuple[int, ...]]) -> list[tuple[int, int]]:
    """The same time as spans that do not overlap."""
    joined: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return joined


# --- related markets ----------------------------------------------------------------------------


def _relation(instrument: Instrument, other: Instrument) -> int:
    """+1 when they share a currency on the same side, -1 on opposite sides, 0 unrelated."""
    if not (instrument.base and instrument.quote and other.base and other.quote):
        return 0
    if instrument.base == other.base or instrument.quote == other.quote:
        return 1
    if instrument.base == other.quote or instrument.quote == other.base:
        return -1
    return 0


def related_to(instrument: Instrument) -> list[int]:
    """Ids of the instruments whose related market this one may be."""
    if not (instrument.base and instrument.quote):
        return []
    others = Instrument.objects.exclude(pk=instrument.pk)
    return [other.pk for other in others if _relation(instrument, other)]


def _peers(
    instrument: Instrument, desk: Desk, series: CandleSeries, candles: Candles
) -> tuple[Peer, ...] | None:
    """The MAX_PEERS related markets with the most bars of the same timeframe, by symbol; None when
    none is stored.

    Of several series of one market the same source goes first, then the desk's order.
    """
    stored = (
        CandleSeries.objects.for_desk(desk)
        .filter(timeframe=series.timeframe, n_bars__gt=0)
        .exclude(instrument=instrument)
        .select_related("instrument")
    )
    related: dict[str, Instrument] = {}
    bars: dict[str, int] = {}
    for other in stored:
        symbol = other.instrument.symbol
        if _relation(instrument, other.instrument):
            related[symbol] = other.instrument
            bars[symbol] = max(bars.get(symbol, 0), other.n_bars)
    if not related:
        return None
    peers = []
    for symbol in sorted(sorted(related, key=lambda name: (-bars[name], name))[:MAX_PEERS]):
        same = [s for s in series_for(related[symbol], desk) if s.timeframe == series.timeframe]
        chosen = min(same, key=lambda s: s.source != series.source)
        sign = _relation(instrument, related[symbol])
        peers.append(Peer(symbol, _aligned_closes(chosen, candles), sign))
    return tuple(peers)


def _aligned_closes(series: CandleSeries, candles: Candles) -> F64:
    """Closes of another series at the opens of these candles, NaN where it has no bar."""
    other = load_candles(series, int(candles.time[0]), int(candles.time[-1]) + 1)
    result = np.full(len(candles), np.nan)
    if len(other):
        at = np.minimum(np.searchsorted(other.time, candles.time), len(other) - 1)
        same = other.time[at] == candles.time
        result[same] = to_prices(other.close, series.point)[at[same]]
    return result


# --- outages ------------------------------------------------------------------------------------


def _outages(desk: Desk) -> Outages | None:
    """The whole log, because an outage is known by its place in it; None where none is kept."""
    rows = fetch(
        Outage.objects.filter(Q(desk=None) | Q(desk=desk)).order_by("start", "id"),
        "start",
        "end",
        "what",
    )
    if not rows["start"]:
        return None
    return Outages(times(rows["start"]), times(rows["end"]), tuple(rows["what"]))
