"""The market part of a portable case (see `portable.py`)."""

from __future__ import annotations

from decimal import Decimal

import numpy as np

from trading.core.aggregate import aggregate
from trading.core.candles import I64, QUOTE_COLUMNS, Candles, Quotes, from_quotes
from trading.core.errors import UserError
from trading.core.instruments import MAX_DECIMALS, canonical_symbol, describe, news_currencies
from trading.core.types import NS_PER_DAY, timeframe_ns
from trading.core.units import scaled

from .portable_words import IMPACTS, KINDS
from .reading import Fields, epoch_seconds, numbers, refuse, sequence, time_ns
from .types import FinerBars, Market, News, Outages, Peer, SetupView


def read_market(top: Fields) -> Market:
    """The market of a case: candles, news, related markets, outages."""
    symbol = canonical_symbol(top.text("symbol"))
    point, pip = top.positive("point"), top.positive("pip")
    bar_ns = timeframe_ns(top.text("timeframe"))
    candles = _candles(top.child("candles"), point)
    finer = _finer(top, candles, bar_ns)
    kind = top.get("kind")
    if kind is None:
        kind = describe(symbol, decimals=MAX_DECIMALS).kind
    elif kind not in KINDS:
        refuse("choice", f"{kind!r} is none of {', '.join(KINDS)}", "kind")
    return Market(
        symbol=symbol,
        kind=str(kind),
        point=point,
        pip=pip,
        bar_ns=bar_ns,
        candles=candles,
        currencies=_currencies(top, symbol),
        news=_news(top, candles),
        peers=_peers(top, symbol, len(candles)),
        outages=_outages(top),
        finer=finer,
    )


def _currencies(top: Fields, symbol: str) -> tuple[str, ...]:
    if top.get("currencies") is None:
        return news_currencies(symbol)
    return tuple(str(item) for item in sequence(top.get("currencies"), "currencies"))


def _candles(source: Fields, point: Decimal) -> Candles:
    time = epoch_seconds(source.must("time"), source.at("time"))
    n = time.size
    volume = source.get("volume")
    volumes = None if volume is None else numbers(volume, source.at("volume"), n, gaps=True)
    if volumes is not None and bool((volumes < 0).any()):
        refuse("bad_volume", "a volume is negative", source.at("volume"))
    if source.get("bid_open") is not None:
        sides = [_prices(source, name, point, n, step=2) for name in QUOTE_COLUMNS]
        _check_bars(source, "bid_", *sides[:4])
        _check_bars(source, "ask_", *sides[4:])
        return from_quotes(time, Quotes(*sides), volumes)
    columns = [_prices(source, name, point, n) for name in ("open", "high", "low", "close")]
    _check_bars(source, "", *columns)
    spread = source.get("spread")
    spreads = None
    if spread is not None:
        wide = scaled(numbers(spread, source.at("spread"), n), point)
        spreads = np.rint(wide).astype(np.int64)
    opened, high, low, close = columns
    return Candles(time, opened, high, low, close, volumes, spreads)


def _finer(top: Fields, candles: Candles, bar_ns: int) -> tuple[FinerBars, ...]:
    """Finer bars inside some of the candles (`finer`, optional)."""
    result: list[FinerBars] = []
    seen = np.zeros(0, np.int64)
    for row in top.children("finer") or []:
        length = timeframe_ns(row.text("timeframe"))
        if length >= bar_ns or bar_ns % length:
            detail = "must divide the timeframe of the candles and be shorter"
            refuse("timeframe", detail, row.at("timeframe"))
        point = row.positive("point")
        opens = epoch_seconds(row.must("bars"), row.at("bars"))
        bars = _candles(row.child("candles"), point)
        if not np.isin(opens, candles.time).all() or np.isin(opens, seen).any():
            refuse("bars", "not opens of candles, or given twice", row.at("bars"))
        at = np.searchsorted(opens, bars.time, side="right") - 1
        within = bars.time - opens[np.maximum(at, 0)] if opens.size else bars.time
        if (at < 0).any() or (within >= bar_ns).any() or (within % length != 0).any():
            refuse("bars", "a finer bar lies in none of these bars", row.at("candles.time"))
        if np.unique(at).size != opens.size:
            refuse("bars", "a bar without finer bars", row.at("bars"))
        if (bars.quotes is None) != (candles.quotes is None):
            refuse("quotes", "quotes in both or in neither", row.at("candles"))
        seen = np.append(seen, opens)
        result.append(FinerBars(length, point, bars, opens))
    return tuple(result)


def _prices(source: Fields, name: str, point: Decimal, n: int, step: int = 1) -> I64:
    """A column on the grid of `step` half-points."""
    path = source.at(name)
    value = scaled(numbers(source.must(name), path, n), point)
    whole = np.rint(value)
    off = np.flatnonzero((value != whole) | (whole % step != 0) | (np.abs(whole) >= 2.0**53))
    if off.size:
        i = int(off[0])
        what = "point" if step == 2 else "half a point"
        refuse("precision", f"not a multiple of {what}", f"{path}[{i}]")
    return whole.astype(np.int64)


def _check_bars(source: Fields, side: str, opened: I64, high: I64, low: I64, close: I64) -> None:
    wrong = (high < np.maximum(opened, close)) | (low > np.minimum(opened, close))
    if bool(wrong.any()):
        i = int(np.flatnonzero(wrong)[0])
        detail = "high and low do not enclose open and close"
        refuse("ohlc_inconsistent", detail, f"{source.at(side + 'high')}[{i}]")


def _news(top: Fields, candles: Candles) -> News | None:
    rows = top.children("news")
    if rows is None:
        return None
    rows = sorted(rows, key=lambda row: row.time("time"))
    covered_from, covered_to = _coverage(top, candles)
    keys = [row.get("key") for row in rows]
    return News(
        time=np.array([row.time("time") for row in rows], np.int64),
        impact=np.array([row.choice("impact", IMPACTS) for row in rows], np.int8),
        surprise_z=np.array([row.maybe_number("surprise_z") for row in rows], np.float64),
        currency=tuple(row.text("currency") for row in rows),
        title=tuple(row.maybe_text("title") for row in rows),
        key=np.array([i if key is None else key for i, key in enumerate(keys)], np.int64),
        covered_from=covered_from,
        covered_to=covered_to,
    )


def _coverage(top: Fields, candles: Candles) -> tuple[I64, I64]:
    given = top.get("news_coverage")
    if given is None:
        if not len(candles):
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        first, last = int(candles.time[0]), int(candles.time[-1])
        return np.array([first - NS_PER_DAY]), np.array([last + NS_PER_DAY])
    spans = []
    for i, span in enumerate(sequence(given, "news_coverage")):
        path = f"news_coverage[{i}]"
        start, end = sequence(span, path, 2)
        spans.append((time_ns(start, f"{path}[0]"), time_ns(end, f"{path}[1]")))
    table = np.array(sorted(spans), np.int64).reshape(-1, 2)
    return table[:, 0].copy(), table[:, 1].copy()


def _peers(top: Fields, symbol: str, n: int) -> tuple[Peer, ...] | None:
    rows = top.children("peers")
    if rows is None:
        return None
    peers = []
    for row in rows:
        name = _peer_name(row.text("symbol"))
        close = numbers(row.must("close"), row.at("close"), n, gaps=True)
        sign = row.maybe_number("sign")
        sign = peer_sign(symbol, name) if np.isnan(sign) else sign
        if sign not in (1, -1):
            refuse("choice", "a sign is 1 or -1", row.at("sign"))
        peers.append(Peer(name, close, int(sign)))
    return tuple(peers)


def _peer_name(text: str) -> str:
    """Canonical where it can be; any other name (`^VIX`) says as much of a related market."""
    try:
        return canonical_symbol(text)
    except UserError:
        return text.strip()


def peer_sign(symbol: str, peer: str) -> int:
    """How a related market moves with this one: -1 where they share a currency on opposite sides
    of their pairs, else +1."""
    here, there = (describe(name, decimals=MAX_DECIMALS) for name in (symbol, peer))
    if not here.base or not there.base:
        return 1
    opposite = here.base == there.quote or here.quote == there.base
    alike = here.base == there.base or here.quote == there.quote
    return -1 if opposite and not alike else 1


def _outages(top: Fields) -> Outages | None:
    rows = top.children("outages")
    if rows is None:
        return None
    rows = sorted(rows, key=lambda row: row.time("start"))
    for row in rows:
        if row.time("end") < row.time("start"):
            refuse("time_order", "an outage ends before it starts", row.at("end"))
    return Outages(
        np.array([row.time("start") for row in rows], np.int64),
        np.array([row.time("end") for row in rows], np.int64),
        tuple(row.maybe_text("what") for row in rows),
    )


def setup_view(top: Fields, market: Market) -> SetupView:
    """Bars of the signal's timeframe, aggregated where it is coarser than the candles."""
    if top.get("signal_timeframe") is None:
        return SetupView(market.bar_ns, market.candles)
    bar_ns = timeframe_ns(top.text("signal_timeframe"))
    if bar_ns % market.bar_ns:
        detail = "must be a multiple of the timeframe of the candles"
        refuse("timeframe", detail, "signal_timeframe")
    return SetupView(bar_ns, aggregate(market.candles, bar_ns, market.bar_ns))
