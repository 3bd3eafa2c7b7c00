"""Earlier results that a case may look back on: scored trades, setups, the trader's own log.

They are taken from rows, never from stored audits: which audits were run, by how many workers and
in which order cannot matter. What counts, for a case of some account and instrument:

- trades: the account's trades, by their net result, known when they closed;
- untraded signals of the account on this instrument: by the first touch of their own barriers
  within seven days, known when that bar closed, or at the end of the seven days by their label.

A case sees what was known strictly before its entry, at most the last `LIMIT` of it. So rows that
come later change no older case; a late import of older rows does, and makes it stale.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from django.db.models import QuerySet

from post_mortem.core.types import SETUPS, Bool, ModelHistory, SetupHistory, TradeLog
from trading.core.candles import F64, I64
from trading.core.types import HORIZON_NS, NS_PER_SECOND, Horizon
from trading.models import Signal, Trade

from .columns import Column, coded, fetch, from_ns, integers, readable_floats, times

LIMIT = 500
RESULT_HORIZON = Horizon.D7
RESULT_SPAN = HORIZON_NS[RESULT_HORIZON] + NS_PER_SECOND
_FAR_PAST = -(2**62)
# Quantities of these kinds are lots of a like size; others are only comparable in money.
_LOT_KINDS = ("fx", "metal")

TRADE_FIELDS = (
    "id",
    "instrument_id",
    "instrument__kind",
    "instrument__quote",
    "side",
    "quantity",
    "requested_entry",
    "entry_price",
    "exit_price",
    "closed_at",
    "stop_loss_initial",
    "take_profit",
    "gross_pnl",
    "net_pnl",
    "signal__score",
    "signal__model_version",
    "signal__strategy",
    "signal__timeframe",
    "signal__claimed_setups",
    "signal__take_profit",
)


@dataclass(frozen=True, slots=True, eq=False)
class SignalResults:
    """Results of untraded signals: `known` ns (NO result: not in the arrays)."""

    row: I64  # index into the signals asked about
    known: I64
    won: Bool


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """Results of one account, in the order in which they became known."""

    known: I64
    won: Bool
    decided: Bool  # False: neither won nor lost, counted but not used
    score: F64
    version: tuple[str, ...]
    here: Bool  # on the instrument of the cases
    timeframe: tuple[str, ...]
    setups: tuple[tuple[str, ...], ...]
    reward_risk: F64


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """What the cases look for: one element a case, `version` and `timeframe` one a signal."""

    signal: I64
    entry: I64
    version: Sequence[str]
    timeframe: Sequence[str]
    has_score: Bool
    has_claims: Bool


def version_key(version: str, strategy: str) -> str:
    """Scores are comparable within a model version, or a strategy that names none; "" unknown."""
    return version or (f"strategy {strategy}" if strategy else "")


def claims(column: Column) -> tuple[tuple[str, ...], ...]:
    """Known setups that each row claims. Few different texts, so each is read once."""
    values, index = coded([raw if isinstance(raw, str) else json.dumps(raw) for raw in column])
    read = [tuple(name for name in json.loads(text) or () if name in SETUPS) for text in values]
    return tuple(read[i] for i in index.tolist())


def size_measure(kind: str, quantity: F64, entry: F64) -> F64:
    """Sizes that can be compared across the account's log: lots, else money in the quote."""
    return quantity if kind in _LOT_KINDS else quantity * entry


# --- trades -------------------------------------------------------------------------------------


def closed_trades(account_id: int, entry: I64) -> dict[str, Column]:
    """Columns of the trades that any of the entries may look back on, by closing time."""
    first, last = from_ns(int(entry.min())), from_ns(int(entry.max()))
    mine = Trade.objects.filter(account=account_id, exit_price__isnull=False)
    earlier = mine.filter(closed_at__lt=first).order_by("-closed_at", "-id")
    threshold = earlier.values_list("closed_at", flat=True)[LIMIT - 1 : LIMIT].first()
    window = mine.filter(closed_at__lt=last)
    if threshold is not None:
        window = window.filter(closed_at__gte=threshold)
    return fetch(window.order_by("closed_at", "id"), *TRADE_FIELDS)


@dataclass(frozen=True, slots=True, eq=False)
class _TradeResults:
    net: F64  # sign is what counts
    r: F64
    reward_risk: F64


def _trade_results(rows: dict[str, Column]) -> _TradeResults:
    side, entry, left = (
        readable_floats(rows[name]) for name in ("side", "entry_price", "exit_price")
    )
    requested = readable_floats(rows["requested_entry"])
    planned = np.where(np.isnan(requested), entry, requested)
    stop, target = readable_floats(rows["stop_loss_initial"]), readable_floats(rows["take_profit"])
    target = np.where(np.isnan(target), readable_floats(rows["signal__take_profit"]), target)
    net, gross = readable_floats(rows["net_pnl"]), readable_floats(rows["gross_pnl"])
    move = side * (left - entry)
    risk = np.abs(planned - stop)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where((gross != 0) & np.isfinite(net / gross), net / gross, 1.0)
        # Without a risk the return on the entry still says won or lost.
        unit = np.where(risk > 0, risk, entry)
        r = move * share / unit
        ratio = np.abs(target - planned) / np.where(risk > 0, risk, np.nan)
    return _TradeResults(np.where(np.isnan(net), move, net), r, ratio)


def trade_log(rows: dict[str, Column], kind: str, quote: str, entry: I64) -> TradeLog:
    """The account's log as seen at each entry; sizes of other markets NaN where not comparable."""
    known = times(rows["closed_at"])
    results = _trade_results(rows)
    kinds, quotes = rows["instrument__kind"], rows["instrument__quote"]
    quantity, price = readable_floats(rows["quantity"]), readable_floats(rows["entry_price"])
    lots = kind in _LOT_KINDS
    comparable = [
        (k in _LOT_KINDS) if lots else (k not in _LOT_KINDS and q == quote)
        for k, q in zip(kinds, quotes, strict=True)
    ]
    size = np.where(np.array(comparable, bool), size_measure(kind, quantity, price), np.nan)
    stop = np.searchsorted(known, entry, side="left").astype(np.int64)
    return TradeLog(known, results.r, size, np.maximum(stop - LIMIT, 0), stop)


def pool_of_trades(rows: dict[str, Column], instrument_id: int) -> Pool:
    results = _trade_results(rows)
    return Pool(
        known=times(rows["closed_at"]),
        won=results.net > 0,
        decided=results.net != 0,
        score=readable_floats(rows["signal__score"]),
        version=tuple(map(version_key, rows["signal__model_version"], rows["signal__strategy"])),
        here=integers(rows["instrument_id"]) == instrument_id,
        timeframe=tuple(rows["signal__timeframe"]),
        setups=claims(rows["signal__claimed_setups"]),
        reward_risk=results.reward_risk,
    )


# --- untraded signals ---------------------------------------------------------------------------


def untraded_signals(
    account_id: int, instrument_id: int, since: int | None, before: int
) -> QuerySet[Signal, Signal]:
    """Untraded signals sent in [since, before), ns UTC, in the order in which they were sent."""
    found = Signal.objects.filter(account=account_id, instrument=instrument_id, trades=None)
    if since is not None:
        found = found.filter(time__gte=from_ns(since))
    return found.filter(time__lt=from_ns(before)).order_by("time", "id")


def sent_at_least(account_id: int, instrument_id: int, count: int, entry: int) -> int | None:
    """When the latest `count` untraded signals whose results were surely known by an entry began
    to be sent; None where there are fewer."""
    surely = untraded_signals(account_id, instrument_id, None, entry - RESULT_SPAN)
    latest = fetch(surely.order_by("-time", "-id")[count - 1 : count], "time")["time"]
    return int(times(list(latest))[0]) if latest else None


def pool_of_signals(rows: dict[str, Column], results: SignalResults) -> Pool:
    """`rows` as asked for by the case selector; `results` point into them."""
    at = results.row
    entry, stop, target = (
        readable_floats(rows[name])[at] for name in ("entry_price", "stop_loss", "take_profit")
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.abs(target - entry) / np.where(entry != stop, np.abs(entry - stop), np.nan)

    def pick(name: str) -> list[Any]:
        column = rows[name]
        return [column[i] for i in at.tolist()]

    return Pool(
        known=results.known,
        won=results.won,
        decided=np.ones(at.shape[0], bool),
        score=readable_floats(rows["score"])[at],
        version=tuple(map(version_key, pick("model_version"), pick("strategy"))),
        here=np.ones(at.shape[0], bool),
        timeframe=tuple(pick("timeframe")),
        setups=claims(pick("claimed_setups")),
        reward_risk=ratio,
    )


def kept_since(pool: Pool, entry: int) -> Pool:
    """What entries from that time on may see of a pool."""
    start = max(int(np.searchsorted(pool.known, entry)) - LIMIT, 0)
    return Pool(*(getattr(pool, field.name)[start:] for field in fields(Pool)))


def merged(first: Pool, second: Pool) -> Pool:
    """Both pools in the order of knowledge; at the same moment `first` comes first."""
    order = np.argsort(np.concatenate([first.known, second.known]), kind="stable")

    def arrays(name: str) -> Any:
        return np.concatenate([getattr(first, name), getattr(second, name)])[order]

    def tuples(name: str) -> tuple[Any, ...]:
        both = (*getattr(first, name), *getattr(second, name))
        return tuple(both[i] for i in order.tolist())

    return Pool(
        known=arrays("known"),
        won=arrays("won"),
        decided=arrays("decided"),
        score=arrays("score"),
        version=tuples("version"),
        here=arrays("here"),
        timeframe=tuples("timeframe"),
        setups=tuples("setups"),
        reward_risk=arrays("reward_risk"),
    )


# --- what the cases see -------------------------------------------------------------------------


def _windows(pool: Pool, asked: Asked) -> tuple[I64, I64]:
    """Positions [first, stop) of the pool that each case may use."""
    stop = np.searchsorted(pool.known, asked.entry, side="left").astype(np.int64)
    return np.maximum(stop - LIMIT, 0), stop


def _group(
    keys: Sequence[str],
    place: I64,
    asked: Asked,
    own: Sequence[str],
    window: tuple[I64, I64],
    wanted: Bool,
) -> tuple[I64, I64, I64]:
    """Group rows by key, each group in the order of the pool, and find each case's slice.

    `keys` and `place` (position in the pool) have one element a row, `own` (the key of each
    signal) one a signal. Returns (order of the rows,
    start, stop); start is -1 where the case is not `wanted`.
    """
    first, stop = window
    names = {name: code for code, name in enumerate(sorted(set(keys) | set(own)))}
    code = np.array([names[key] for key in keys], np.int64)
    order = np.argsort(code, kind="stable")
    # One sortable number a row: its group, then its place in the pool.
    width = max(int(stop.max(initial=0)), int(place.max(initial=0))) + 2
    ranked = (code * width + place)[order]
    mine = np.array([names[name] for name in own], np.int64)[asked.signal] * width
    start = np.searchsorted(ranked, mine + first).astype(np.int64)
    end = np.searchsorted(ranked, mine + stop).astype(np.int64)
    return order, np.where(wanted, start, -1), np.where(wanted, end, -1)


def model_history(pool: Pool, asked: Asked) -> ModelHistory:
    """Scored results of the same model version; missing without a score or a version."""
    place = np.flatnonzero(pool.decided & np.isfinite(pool.score))
    keys = [pool.version[i] for i in place.tolist()]
    named = np.array([bool(version) for version in asked.version], bool)[asked.signal]
    wanted = asked.has_score & named
    order, start, end = _group(keys, place, asked, asked.version, _windows(pool, asked), wanted)
    rows = place[order]
    return ModelHistory(pool.score[rows], pool.won[rows], start, end)


def setup_history(pool: Pool, asked: Asked) -> SetupHistory:
    """Results of every claimed setup on this instrument and timeframe; missing without claims."""
    usable = np.flatnonzero(pool.decided & pool.here)
    pairs = [(i, SETUPS.index(name)) for i in usable.tolist() for name in pool.setups[i]]
    place = np.array([i for i, _ in pairs], np.int64)
    setup = np.array([code for _, code in pairs], np.int8)
    keys = [pool.timeframe[i] for i, _ in pairs]
    window = _windows(pool, asked)
    order, start, end = _group(keys, place, asked, asked.timeframe, window, asked.has_claims)
    rows = place[order]
    return SetupHistory(setup[order], pool.won[rows], pool.reward_risk[rows], start, end)
