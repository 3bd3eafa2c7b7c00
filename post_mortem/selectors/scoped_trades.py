"""The trades of an account as columns that a scope can be asked of."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
from django.db.models import FilteredRelation, Q

from post_mortem.core.scope import Releases, TradeColumns
from post_mortem.core.types import NO_TIME
from trading.core.candles import F64, I64
from trading.models import Account, NewsEvent, NewsFeed, Trade

from .columns import Column, coded, fetch, integers, readable_floats, times


@dataclass(frozen=True, slots=True, eq=False)
class AccountTrades:
    """N trades by opening time. `r` is net of costs, in R; NaN without an initial stop, without a
    judgement, or while open. `cell` indexes `cells`, pairs of
    market and strategy."""

    id: I64
    columns: TradeColumns
    r: F64
    cell: I64
    cells: tuple[tuple[str, str], ...]

    def __len__(self) -> int:
        return int(self.id.size)

    @property
    def is_closed(self) -> np.ndarray:
        return np.asarray(self.columns.closed != NO_TIME)


def account_trades(account: Account, *, with_releases: bool = True) -> AccountTrades:
    """Every trade of an account: one query, and two more for the calendar if it is asked for."""
    rows = fetch(
        Trade.objects.filter(account=account)
        .annotate(verdict=FilteredRelation("audits", condition=Q(audits__horizon="TRADE")))
        .order_by("opened_at", "pk"),
        *("id", "opened_at", "closed_at", "side", "instrument__symbol", "strategy"),
        *("signal__strategy", "signal__claimed_setups", "net_pnl", "entry_price", "exit_price"),
        *("stop_loss_initial", "stop_loss_final", "verdict__r_multiple"),
    )
    closed = times(rows["closed_at"])
    r = np.where(closed == NO_TIME, np.nan, readable_floats(rows["verdict__r_multiple"]))
    symbols, symbol = coded(rows["instrument__symbol"])
    strategies, strategy = coded(
        [a or b or "" for a, b in zip(rows["strategy"], rows["signal__strategy"], strict=True)]
    )
    setups, setup = coded([_text(value) for value in rows["signal__claimed_setups"]])
    columns = TradeColumns(
        opened=times(rows["opened_at"]),
        closed=closed,
        side=integers(rows["side"]).astype(np.int8),
        result=_result(rows, r),
        symbol=symbol,
        symbols=tuple(symbols),
        strategy=strategy,
        strategies=tuple(strategies),
        setups=setup,
        setup_lists=tuple(_setups(text) for text in setups),
        entry=readable_floats(rows["entry_price"]),
        stop_initial=readable_floats(rows["stop_loss_initial"]),
        stop_final=readable_floats(rows["stop_loss_final"]),
        releases=_releases(account) if with_releases else Releases({}, {}),
    )
    pairs = list(zip(symbol.tolist(), strategy.tolist(), strict=True))
    names, cell = coded(pairs)
    cells = tuple((symbols[s], strategies[t]) for s, t in names)
    return AccountTrades(integers(rows["id"]), columns, r, cell, cells)


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _setups(text: str) -> tuple[str, ...] | None:
    found = json.loads(text)
    return None if found is None else tuple(found)


def _result(rows: dict[str, Column], r: F64) -> F64:
    """Something with the sign of the result: R, else money, else the move of the price."""
    side, entry, left = (
        readable_floats(rows[name]) for name in ("side", "entry_price", "exit_price")
    )
    money = readable_floats(rows["net_pnl"])
    found: F64 = np.where(
        np.isfinite(r), r, np.where(np.isfinite(money), money, side * (left - entry))
    )
    return found


def _releases(account: Account) -> Releases:
    """High-impact releases that the account's desk may see, by currency."""
    spans: dict[str, list[tuple[int, int]]] = {}
    feeds = list(NewsFeed.objects.for_desk(account.desk).order_by("pk"))
    if not feeds:
        return Releases({}, {})
    events = fetch(
        NewsEvent.objects.for_desk(account.desk)
        .filter(impact=NewsEvent.Impact.HIGH)
        .order_by("time", "pk"),
        "time",
        "currency",
    )
    at, (names, code) = times(events["time"]), coded(events["currency"])
    everywhere = [feed for feed in feeds if not feed.currencies]
    named = {name for feed in feeds for name in feed.currencies} | set(names)
    for name in named:
        for feed in feeds:
            if feed in everywhere or name in feed.currencies:
                first, last = times([feed.covers_from, feed.covers_to]).tolist()
                spans.setdefault(name, []).append((first, last))
    return Releases(
        times={name: at[code == i] for i, name in enumerate(names)},
        spans={name: _pair(found) for name, found in spans.items()},
    )


def _pair(spans: list[tuple[int, int]]) -> tuple[I64, I64]:
    table = np.array(spans, np.int64).reshape(-1, 2)
    return table[:, 0].copy(), table[:, 1].copy()
