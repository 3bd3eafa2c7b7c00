"""Fills and entries against candles, and costs, from the decimal text they are stored as."""

from __future__ import annotations

from decimal import Decimal

import numpy as np

from post_mortem.core.replay import entry_bars
from post_mortem.core.types import FAR_OUTSIDE, I32, CaseBatch, Flag
from trading.core.candles import F64, I64, residue_sign
from trading.core.exact import product
from trading.models import Instrument

from .case_rows import SignalRows, TradeRows
from .columns import Column, floats
from .histories import size_measure

# Half-points. A float of a fill is wrong by far less, so only nearer fills need exact decimals.
_NEAR = 1e-3


def outside_candles(
    batch: CaseBatch, signals: SignalRows, signal: I64, trades: TradeRows, trade: I64
) -> I32:
    """Flag bits of cases whose entry or exit lies outside the candle it fell into.

    `signal` and `trade` index the rows, one a case. Looked at are the first opening and the last
    closing fill of a trade, because its own prices are averages where it was scaled, and the entry
    of a signal unless it is an order. A price is compared as the exact decimal it was given as,
    with the lowest bid and highest ask where the series has quotes, and with the candle as it was
    given: binary prices keep on which side of their decimal they lie. No candle, no flag.
    """
    flags = np.zeros(len(batch), np.int32)
    if not len(batch.market.candles):
        return flags
    rows = np.flatnonzero(batch.is_trade)
    for time, texts, flag in (
        (batch.fill_entry_time, trades.raw["first_fill"], Flag.ENTRY_OUTSIDE_CANDLE),
        (batch.fill_exit_time, trades.raw["last_fill"], Flag.EXIT_OUTSIDE_CANDLE),
    ):
        price = floats([texts[i] for i in trade[rows].tolist()])
        given = np.isfinite(price)
        known, price = rows[given], price[given]
        outside, far = _outside(batch, price, time[known], texts, trade[known])
        flags[known[outside]] |= int(flag)
        flags[known[far]] |= int(Flag.FAR_OUTSIDE_CANDLE)
    sent = np.flatnonzero(~batch.is_trade & (batch.entry_kind == 0))
    price, time = batch.entry_price[sent], batch.entry_time[sent]
    outside, far = _outside(batch, price, time, signals.raw["entry_price"], signal[sent])
    flags[sent[outside]] |= int(Flag.ENTRY_OUTSIDE_CANDLE)
    flags[sent[far]] |= int(Flag.FAR_OUTSIDE_CANDLE)
    return flags


def _outside(batch: CaseBatch, price: F64, time: I64, texts: Column, index: I64) -> tuple[I64, I64]:
    """Indices of the prices outside their candle, and of those far outside.

    A candle that was given in binary lies a hair beside its decimal price; at that very price the
    side of the hair decides, as if the candle had been compared as it was given.
    """
    market = batch.market
    candles, quotes = market.candles, market.candles.quotes
    lows = candles.low if quotes is None else quotes.bid_low
    highs = candles.high if quotes is None else quotes.ask_high
    _, bar = entry_bars(candles, market.bar_ns, time)
    at = np.maximum(bar, 0)
    low, high = lows[at], highs[at]
    low_sign, high_sign = (residue_sign(candles, name)[at] for name in ("low", "high"))
    place = price * 2 / float(market.point)
    outside = (place < low - _NEAR) | (place > high + _NEAR)
    for i in np.flatnonzero(~outside & ((place < low + _NEAR) | (place > high - _NEAR))):
        twice = product(Decimal(texts[int(index[i])]), Decimal(2))
        lowest = product(Decimal(int(low[i])), market.point)
        highest = product(Decimal(int(high[i])), market.point)
        # A candle given in binary may lie a hair inside its decimals; on equality that decides.
        below = twice < lowest or (twice == lowest and low_sign[i] > 0)
        above = twice > highest or (twice == highest and high_sign[i] < 0)
        outside[i] = below or above
    far = np.maximum(low - place, place - high) > FAR_OUTSIDE * np.abs(place)
    return np.flatnonzero(outside & (bar >= 0)), np.flatnonzero(far & (bar >= 0))


def costs(trades: TradeRows, instrument: Instrument) -> tuple[F64, F64, F64]:
    """(commission, swap, quantity) of every trade: costs positive, in price times quantity.

    Statements give costs in the account's currency and sizes in lots. What one unit of price is
    worth follows from the gross result; without one (or for a flat trade) amounts in the quote
    currency are taken as they are, others are unknown. `quantity` is the size that can be compared
    within the account's log (`histories.size_measure`).
    """
    size = size_measure(instrument.kind, trades.quantity, trades.entry)
    moved = trades.side * (trades.exit - trades.entry) * trades.quantity
    gross = floats(trades.raw["gross_pnl"])
    in_quote = np.array(
        [currency in ("", instrument.quote) for currency in trades.raw["pnl_currency"]], bool
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        worth = gross / moved
    known = np.isfinite(worth) & (worth > 0)
    plain = in_quote & (instrument.kind not in ("fx", "metal"))
    worth = np.where(known, worth, np.where(plain, 1.0, np.nan))
    per_unit = size / (worth * trades.quantity)
    commission, swap = (
        np.where(paid == 0, 0.0, -paid * per_unit) + 0.0
        for paid in (floats(trades.raw["commission"]), floats(trades.raw["swap"]))
    )
    return commission, swap, size
