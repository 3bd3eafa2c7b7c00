"""Deals as the rows that are imported: signals, trades with their fills, outages."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from . import noise
from .deals import BTC_LOT, FX_LOT, Deal, Planted, fill_second
from .events import START, STEPS_PER_HOUR
from .market import PAIR_BY_SYMBOL
from .paths import REACHED, STOPPED

# Account currency, a side: for 100,000 units, and for a coin.
_FX_COMMISSION, _BTC_COMMISSION = Decimal("2.50"), Decimal("6.00")
_CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class SignalRow:
    """One signal of the feed. `setups` are those claimed; levels are prices."""

    external_id: str
    time: datetime
    symbol: str
    timeframe: str
    side: int
    entry: Decimal
    stop_loss: Decimal
    take_profit: Decimal
    score: int
    min_score: int
    semantics: str
    strategy: str
    strategy_kind: str
    setups: tuple[str, ...]
    model_version: str


@dataclass(frozen=True, slots=True)
class FillRow:
    """One execution; `side` +1 buy, -1 sell; `commission` in US dollars as a broker signs it."""

    external_id: str
    time: datetime
    side: int
    quantity: Decimal
    price: Decimal
    commission: Decimal


@dataclass(frozen=True, slots=True)
class TradeRow:
    """One round trip with its fills, and what the trader wrote beside it. `gross_pnl` is in US
    dollars, the account's currency."""

    external_id: str
    signal_id: str
    symbol: str
    side: int
    fills: tuple[FillRow, ...]
    requested_entry: Decimal
    requested_exit: Decimal | None
    stop_initial: Decimal
    stop_final: Decimal
    take_profit: Decimal
    exit_reason: str
    gross_pnl: Decimal
    strategy: str
    tags: tuple[str, ...]
    mistakes: tuple[str, ...]
    stars: int | None
    notes: str
    planted: Planted | None
    deal: Deal

    @property
    def commission(self) -> Decimal:
        return sum((fill.commission for fill in self.fills), Decimal(0))

    @property
    def quantity(self) -> Decimal:
        return self.fills[0].quantity

    @property
    def exit_price(self) -> Decimal:
        """The average of the closing fills, which are of equal size."""
        closing = self.fills[1:]
        return sum((fill.price for fill in closing), Decimal(0)) / len(closing)


@dataclass(frozen=True, slots=True)
class OutageRow:
    start: datetime
    end: datetime
    what: str


def price(symbol: str, points: int) -> Decimal:
    """Points as a price with the decimals of the symbol."""
    return Decimal(points) * PAIR_BY_SYMBOL[symbol].point


def moment(seconds: int) -> datetime:
    return START + timedelta(seconds=seconds)


def _fill(deal: Deal, name: str, step: int, side: int, quantity: Decimal, points: int) -> FillRow:
    fx = PAIR_BY_SYMBOL[deal.symbol].kind == "fx"
    each = _FX_COMMISSION / FX_LOT if fx else _BTC_COMMISSION
    cost = (-quantity * each).quantize(_CENT)
    when = moment(fill_second(step, f"{deal.candidate.key} {step}"))
    return FillRow(name, when, side, quantity, price(deal.symbol, points), cost)


def _fills(deal: Deal, name: str) -> tuple[FillRow, ...]:
    side = deal.candidate.plan.side
    lot = FX_LOT if PAIR_BY_SYMBOL[deal.symbol].kind == "fx" else BTC_LOT
    quantity = Decimal(lot) * Decimal(str(deal.size))
    fills = [_fill(deal, f"{name}-1", deal.entry_step, side, quantity, deal.entry_price)]
    if deal.half_exit is not None:
        half = quantity / 2
        step, points = deal.half_exit
        fills.append(_fill(deal, f"{name}-2", step, -side, half, points))
        quantity -= half
    last = f"{name}-{len(fills) + 1}"
    fills.append(_fill(deal, last, deal.exit_step, -side, quantity, deal.exit_price))
    return tuple(fills)


def trade_row(deal: Deal, name: str, signal_id: str) -> TradeRow:
    plan, strategy = deal.candidate.plan, deal.candidate.strategy
    fills = _fills(deal, name)
    final = plan.stop if deal.stop_final is None else deal.stop_final
    requested = deal.requested_exit
    if requested is None and deal.exit_reason == REACHED:
        requested = plan.target
    if requested is None and deal.exit_reason == STOPPED:
        requested = final
    return TradeRow(
        external_id=name,
        signal_id=signal_id,
        symbol=deal.symbol,
        side=plan.side,
        fills=fills,
        requested_entry=price(deal.symbol, plan.entry),
        requested_exit=None if requested is None else price(deal.symbol, requested),
        stop_initial=price(deal.symbol, plan.stop),
        stop_final=price(deal.symbol, final),
        take_profit=price(deal.symbol, plan.target),
        exit_reason=deal.exit_reason,
        gross_pnl=_gross(deal, fills),
        strategy=strategy.name,
        tags=(_session(deal), *deal.tags),
        mistakes=deal.mistakes,
        stars=_stars(deal),
        notes=deal.notes,
        planted=deal.planted,
        deal=deal,
    )


def _gross(deal: Deal, fills: tuple[FillRow, ...]) -> Decimal:
    """Result before commissions in dollars; yen are converted at the price of each exit."""
    total = Decimal(0)
    for fill in fills[1:]:
        gained = (fill.price - fills[0].price) * fill.quantity * deal.candidate.plan.side
        total += gained / fill.price if PAIR_BY_SYMBOL[deal.symbol].quote == "JPY" else gained
    return total.quantize(_CENT)


def _session(deal: Deal) -> str:
    hour = deal.entry_step // STEPS_PER_HOUR % 24
    return "asia" if hour < 7 else "london" if hour < 12 else "new york"


def _stars(deal: Deal) -> int | None:
    """A few are rated: for process, not for profit."""
    if deal.mistakes:
        return 1
    return 4 if noise.draw(f"stars {deal.candidate.key}", 8) == 0 else None
