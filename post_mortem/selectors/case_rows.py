"""Signals and trades as columns, ready to become cases: no model instance, no query a row."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

import numpy as np
from django.db.models import Count, Q, QuerySet
from numpy.typing import NDArray

from post_mortem.core.types import SETUPS, ExitReason, ScoreSemantics, StrategyKind
from trading.core.candles import F64, I64
from trading.core.types import SIGNAL_HORIZONS, timeframe_ns
from trading.models import Execution, Signal, Trade

from .columns import Column, codes, fetch, floats, from_ns, integers, times

SIGNALS_PER_CHUNK = 12_500  # some 60,000 cases: a second or two of work, 200 MB

SIGNAL_FIELDS = (
    "id",
    "time",
    "timeframe",
    "side",
    "entry_price",
    "entry_kind",
    "stop_loss",
    "take_profit",
    "score",
    "score_semantics",
    "min_score",
    "strategy",
    "strategy_kind",
    "claimed_setups",
    "model_version",
)
TRADE_FIELDS = (
    "id",
    "signal_id",
    "side",
    "quantity",
    "requested_entry",
    "entry_price",
    "opened_at",
    "requested_exit",
    "exit_price",
    "closed_at",
    "exit_reason",
    "stop_loss_initial",
    "stop_loss_final",
    "take_profit",
    "commission",
    "swap",
    "gross_pnl",
    "pnl_currency",
    "on_plan",
)
_ENTRY_KINDS = {"market": 0, "limit": 1, "stop": 2}
_SEMANTICS = {"probability": ScoreSemantics.PROBABILITY, "rank": ScoreSemantics.RANK}
_STRATEGY_KINDS = {"trend": StrategyKind.TREND, "mean_reversion": StrategyKind.MEAN_REVERSION}
_EXIT_REASONS = {
    "sl": ExitReason.SL,
    "tp": ExitReason.TP,
    "time": ExitReason.TIME,
    "manual": ExitReason.MANUAL,
}
_ON_PLAN = {True: 1, False: 0}
_SETUP_BIT = {name: 1 << bit for bit, name in enumerate(SETUPS)}


@dataclass(frozen=True, slots=True)
class Selection:
    """Which signals to audit. None means no restriction; `end` is exclusive.

    Trades are audited with their signals; with `trade_ids` only those trades and their signals.
    """

    account_ids: tuple[int, ...] | None = None
    signal_ids: tuple[int, ...] | None = None
    trade_ids: tuple[int, ...] | None = None
    start: datetime | None = None
    end: datetime | None = None
    instrument_id: int | None = None
    strategy: str | None = None
    horizons: tuple[str, ...] = SIGNAL_HORIZONS
    trades: bool = True

    def signals(self) -> QuerySet[Signal, Signal]:
        found = Signal.objects.all()
        if self.account_ids is not None:
            found = found.filter(account__in=self.account_ids)
        if self.signal_ids is not None:
            found = found.filter(pk__in=self.signal_ids)
        if self.trade_ids is not None:
            found = found.filter(
                pk__in=Trade.objects.filter(pk__in=self.trade_ids).values("signal")
            )
        if self.start is not None:
            found = found.filter(time__gte=self.start)
        if self.end is not None:
            found = found.filter(time__lt=self.end)
        if self.instrument_id is not None:
            found = found.filter(instrument=self.instrument_id)
        if self.strategy is not None:
            found = found.filter(strategy=self.strategy)
        return found


@dataclass(frozen=True, slots=True)
class Group:
    """Signals of one account on one instrument."""

    account_id: int
    instrument_id: int
    signals: int


def groups(selection: Selection) -> list[Group]:
    rows = (
        selection.signals()
        .order_by("account_id", "instrument_id")
        .values_list("account_id", "instrument_id")
        .annotate(signals=Count("pk"))
    )
    return [Group(*row) for row in rows]


def count_cases(selection: Selection) -> int:
    """How many cases a run over the selection will judge."""
    signals = selection.signals()
    trades = 0
    if selection.trades:
        found = Trade.objects.filter(signal__in=signals.values("pk"))
        if selection.trade_ids is not None:
            found = found.filter(pk__in=selection.trade_ids)
        trades = found.count()
    return signals.count() * len(selection.horizons) + trades


@dataclass(frozen=True, slots=True, eq=False)
class SignalRows:
    """Columns of signals sorted by time and id; every array has one element a signal."""

    raw: dict[str, Column]
    id: I64
    time: I64
    side: I64
    entry: F64
    entry_kind: NDArray[np.int8]
    stop: F64
    target: F64
    score: F64
    min_score: F64
    semantics: NDArray[np.int8]
    strategy_kind: NDArray[np.int8]
    claimed: NDArray[np.int32]
    timeframe_ns: I64  # 0 = not given

    def __len__(self) -> int:
        return int(self.id.shape[0])


_ARRAYS = tuple(field.name for field in fields(SignalRows) if field.name != "raw")


@dataclass(frozen=True, slots=True, eq=False)
class TradeRows:
    """Columns of trades; `signal` is the index of its signal. Sorted by opening time and id."""

    raw: dict[str, Column]
    id: I64
    signal: I64
    side: I64
    quantity: F64
    requested_entry: F64
    entry: F64
    opened: I64
    requested_exit: F64
    exit: F64
    closed: I64
    exit_reason: NDArray[np.int8]
    stop_initial: F64
    stop_final: F64
    target: F64
    on_plan: NDArray[np.int8]

    def __len__(self) -> int:
        return int(self.id.shape[0])


def signal_chunks(
    selection: Selection, group: Group, size: int = SIGNALS_PER_CHUNK
) -> Iterator[SignalRows]:
    """The group's signals in pieces, by time; rows added meanwhile are seen or not, never twice."""
    found = (
        selection.signals()
        .filter(account=group.account_id, instrument=group.instrument_id)
        .order_by("time", "id")
    )
    after = Q()
    while True:
        rows = fetch(found.filter(after)[:size], *SIGNAL_FIELDS)
        if not rows["id"]:
            return
        chunk = signal_rows(rows)
        yield chunk
        if len(chunk) < size:
            return
        last = from_ns(int(chunk.time[-1]))
        after = Q(time__gt=last) | Q(time=last, id__gt=int(chunk.id[-1]))


def signal_rows(rows: dict[str, Column]) -> SignalRows:
    lengths = {name: timeframe_ns(name) if name else 0 for name in set(rows["timeframe"])}
    return SignalRows(
        raw=rows,
        id=integers(rows["id"]),
        time=times(rows["time"]),
        side=integers(rows["side"]),
        entry=floats(rows["entry_price"]),
        entry_kind=codes(rows["entry_kind"], _ENTRY_KINDS),
        stop=floats(rows["stop_loss"]),
        target=floats(rows["take_profit"]),
        score=floats(rows["score"]),
        min_score=floats(rows["min_score"]),
        semantics=codes(rows["score_semantics"], _SEMANTICS),
        strategy_kind=codes(rows["strategy_kind"], _STRATEGY_KINDS),
        claimed=claimed_bits(rows["claimed_setups"]),
        timeframe_ns=np.array([lengths[name] for name in rows["timeframe"]], np.int64),
    )


def picked(signals: SignalRows, index: I64) -> SignalRows:
    """Some of the signals, in the order of the index."""
    places = index.tolist()
    raw = {name: [column[i] for i in places] for name, column in signals.raw.items()}
    return SignalRows(raw=raw, **{name: getattr(signals, name)[index] for name in _ARRAYS})


def together(first: SignalRows, second: SignalRows) -> SignalRows:
    """Both, by time and id."""
    raw = {name: [*first.raw[name], *second.raw[name]] for name in SIGNAL_FIELDS}
    arrays = {
        name: np.concatenate([getattr(first, name), getattr(second, name)]) for name in _ARRAYS
    }
    both = SignalRows(raw=raw, **arrays)
    order = np.lexsort((both.id, both.time))
    return both if np.array_equal(order, np.arange(len(both))) else picked(both, order)


def claimed_bits(column: Column) -> NDArray[np.int32]:
    """Bit i = SETUPS[i] was claimed, -1 = unknown. Few different texts, so each is read once."""
    known: dict[Any, int] = {}
    result = np.empty(len(column), np.int32)
    for i, raw in enumerate(column):
        key = raw if raw is None or isinstance(raw, str) else json.dumps(raw)
        if key not in known:
            names = None if key is None else json.loads(key)
            known[key] = -1 if names is None else sum({_SETUP_BIT.get(n, 0) for n in names})
        result[i] = known[key]
    return result


def trade_rows(group: Group, signals: SignalRows) -> TradeRows:
    """Every trade of these signals."""
    window = Trade.objects.filter(
        account=group.account_id,
        signal__instrument=group.instrument_id,
        signal__time__gte=from_ns(int(signals.time[0])),
        signal__time__lte=from_ns(int(signals.time[-1])),
    )
    if len(signals) <= 500:
        window = window.filter(signal__in=signals.id.tolist())
    rows = fetch(window.order_by("opened_at", "id"), *TRADE_FIELDS)
    index = {pk: i for i, pk in enumerate(signals.id.tolist())}
    keep = [i for i, pk in enumerate(rows["signal_id"]) if pk in index]
    if len(keep) < len(rows["id"]):
        rows = {name: [column[i] for i in keep] for name, column in rows.items()}
    rows |= _end_fills(window, rows)
    return _trade_rows(rows, np.array([index[pk] for pk in rows["signal_id"]], np.int64))


def _end_fills(window: QuerySet[Trade, Trade], rows: dict[str, Column]) -> dict[str, Column]:
    """Price texts of the first opening and the last closing fill of each trade.

    The prices of a trade that was scaled are averages, at which nothing was ever filled.
    """
    found = Execution.objects.filter(trade__in=window.values("pk")).order_by("time", "id")
    fills = fetch(found, "trade_id", "side", "price")
    sides = dict(zip(rows["id"], rows["side"], strict=True))
    first: dict[int, str] = {}
    last: dict[int, str] = {}
    for trade, side, price in zip(fills["trade_id"], fills["side"], fills["price"], strict=True):
        if side == sides.get(trade):
            first.setdefault(trade, price)
        else:
            last[trade] = price
    ids = rows["id"]
    entry, leave = rows["entry_price"], rows["exit_price"]
    return {
        "first_fill": [first.get(pk, text) for pk, text in zip(ids, entry, strict=True)],
        "last_fill": [last.get(pk, text) for pk, text in zip(ids, leave, strict=True)],
    }


def no_trades() -> TradeRows:
    names = (*TRADE_FIELDS, "first_fill", "last_fill")
    return _trade_rows(dict.fromkeys(names, ()), np.zeros(0, np.int64))


def _trade_rows(rows: dict[str, Column], signal: I64) -> TradeRows:
    return TradeRows(
        raw=rows,
        id=integers(rows["id"]),
        signal=signal,
        side=integers(rows["side"]),
        quantity=floats(rows["quantity"]),
        requested_entry=floats(rows["requested_entry"]),
        entry=floats(rows["entry_price"]),
        opened=times(rows["opened_at"]),
        requested_exit=floats(rows["requested_exit"]),
        exit=floats(rows["exit_price"]),
        closed=times(rows["closed_at"]),
        exit_reason=codes(rows["exit_reason"], _EXIT_REASONS),
        stop_initial=floats(rows["stop_loss_initial"]),
        stop_final=floats(rows["stop_loss_final"]),
        target=floats(rows["take_profit"]),
        on_plan=codes(rows["on_plan"], _ON_PLAN, -1),
    )
