"""Rows of the trade list, their neighbours, and what the list's filters offer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db.models import Count, Exists, F, FloatField, OrderBy, OuterRef, Q, QuerySet
from django.db.models.functions import Cast

from post_mortem.core.types import SETUPS
from post_mortem.models import AutopsyJob, InsightAudit
from trading.core.errors import UserError
from trading.models import Account, Instrument, OwnedQuerySet, Signal, Trade, editable_accounts

from .filters import OUTSIDE_CANDLE, TradeFilter, trades_for
from .reviews import final_outcome
from .viewer import Viewer

PAGE_SIZE = 50
_OUTCOME_NAMES: Mapping[int, str] = dict(InsightAudit.Outcome.choices)

_COLUMNS = (
    "id",
    "account_id",
    "opened_at",
    "closed_at",
    "side",
    "quantity",
    "entry_price",
    "exit_price",
    "requested_entry",
    "stop_loss_initial",
    "take_profit",
    "net_pnl",
    "pnl_currency",
    "strategy",
    "tags",
    "reviewed_at",
    "account__currency",
    "instrument__symbol",
    "instrument__point",
    "signal__claimed_setups",
    "signal__strategy",
    "verdict__outcome",
    "verdict__override_outcome",
    "verdict__override_reason",
    "verdict__overridden_by__username",
    "verdict__r_multiple",
    "verdict__mae_r",
    "verdict__mfe_r",
    "verdict__pips",
    "verdict__pnl_pct",
    "verdict__flags",
    "verdict__top_cause",
    "verdict__top_posterior",
    "verdict__top_confidence",
)


@dataclass(frozen=True, slots=True)
class TradeRow:
    """One trade of a list. R, MAE and MFE in R; `pnl_fraction` of the entry price."""

    id: int
    account_id: int
    opened_at: datetime
    closed_at: datetime | None
    symbol: str
    point: Decimal
    side: str
    setups: tuple[str, ...]
    strategy: str
    quantity: Decimal
    entry: Decimal
    exit: Decimal | None
    net: Decimal | None
    currency: str
    r: float | None
    mae_r: float | None
    mfe_r: float | None
    target_r: float | None
    pips: float | None
    pnl_fraction: float | None
    outcome: str  # the label in force
    machine_outcome: str
    override_reason: str
    overridden_by: str
    outside: bool
    cause: str
    posterior: float | None
    confidence: int | None
    tags: tuple[str, ...]
    reviewed_at: datetime | None


# Newest first: a result by its closing time, open trades before all closed ones.
_LATEST = (F("closed_at").desc(nulls_first=True), F("pk").desc())
# Decimals are stored as text; a float is exact enough to sort by and never shown.
_SORTS: Mapping[str, Any] = {
    "closed": F("closed_at"),
    "symbol": F("instrument__symbol"),
    "side": F("side"),
    "qty": Cast("quantity", FloatField()),
    "net": Cast("net_pnl", FloatField()),
    "r": F("verdict__r_multiple"),
    "mae": F("verdict__mae_r"),
    "mfe": F("verdict__mfe_r"),
    "label": final_outcome("verdict__"),
    "cause": F("verdict__top_cause"),
    "reviewed": F("reviewed_at"),
}
SORTS = tuple(_SORTS)


def order_by(sort: str) -> tuple[OrderBy, ...]:
    """'r' ascending, '-r' descending; unknown values last both ways, so that they never lead."""
    if not sort:
        return _LATEST
    key, falling = sort.removeprefix("-"), sort.startswith("-")
    if key not in _SORTS:
        raise UserError("sort", f"no column {sort[:40]!r} to sort by", field="sort")
    column = _SORTS[key]
    first = column.desc(nulls_last=True) if falling else column.asc(nulls_last=True)
    return (first, *_LATEST)


def rows(
    trades: OwnedQuerySet, *, sort: str, start: int = 0, stop: int | None = None
) -> list[TradeRow]:
    """Rows [start, stop) of an annotated queryset (`filters.apply`): two queries.

    The order is found on ids alone: a database that sorts whole rows of a long list moves far more
    than the page shows.
    """
    ids = list(trades.order_by(*order_by(sort)).values_list("pk", flat=True)[start:stop])
    found = {v["id"]: row_of(v) for v in trades.filter(pk__in=ids).values(*_COLUMNS)}
    return [found[pk] for pk in ids if pk in found]


def stream(trades: OwnedQuerySet, *, sort: str) -> Iterator[TradeRow]:
    """Every row, a chunk at a time, for an export."""
    found = trades.order_by(*order_by(sort)).values(*_COLUMNS)
    return (row_of(values) for values in found.iterator(chunk_size=1000))


def row_of(v: Mapping[str, Any]) -> TradeRow:
    return TradeRow(
        id=v["id"],
        account_id=v["account_id"],
        opened_at=v["opened_at"],
        closed_at=v["closed_at"],
        symbol=v["instrument__symbol"],
        point=v["instrument__point"],
        side="long" if v["side"] > 0 else "short",
        setups=tuple(v["signal__claimed_setups"] or ()),
        strategy=v["strategy"] or v["signal__strategy"],
        quantity=v["quantity"],
        entry=v["entry_price"],
        exit=v["exit_price"],
        net=v["net_pnl"],
        currency=v["pnl_currency"] or v["account__currency"],
        r=v["verdict__r_multiple"],
        mae_r=v["verdict__mae_r"],
        mfe_r=v["verdict__mfe_r"],
        target_r=planned_r(
            v["requested_entry"] or v["entry_price"], v["stop_loss_initial"], v["take_profit"]
        ),
        pips=v["verdict__pips"],
        pnl_fraction=None if v["verdict__pnl_pct"] is None else v["verdict__pnl_pct"] / 100,
        outcome=_OUTCOME_NAMES.get(v["verdict__override_outcome"] or v["verdict__outcome"], ""),
        machine_outcome=_OUTCOME_NAMES.get(v["verdict__outcome"], ""),
        override_reason=v["verdict__override_reason"] or "",
        overridden_by=v["verdict__overridden_by__username"] or "",
        outside=bool((v["verdict__flags"] or 0) & OUTSIDE_CANDLE),
        cause=v["verdict__top_cause"] or "",
        posterior=v["verdict__top_posterior"],
        confidence=v["verdict__top_confidence"],
        tags=tuple(v["tags"] or ()),
        reviewed_at=v["reviewed_at"],
    )


def planned_r(entry: Decimal, stop: Decimal | None, target: Decimal | None) -> float | None:
    """Distance to the target in units of the initial risk; None without both levels."""
    if stop is None or target is None or entry == stop:
        return None
    return float(abs(target - entry) / abs(entry - stop))


@dataclass(frozen=True, slots=True)
class Counts:
    total: int
    unread: int
    outside: int
    unjudged: int
    overridden: int


def counts(trades: OwnedQuerySet) -> Counts:
    """What the list's first sentence says: one query over the filtered trades."""
    flagged = trades.annotate(outside_bits=F("verdict__flags").bitand(OUTSIDE_CANDLE))
    found = flagged.aggregate(
        total=Count("pk"),
        unread=Count("pk", filter=Q(reviewed_at=None, verdict__id__isnull=False)),
        outside=Count("pk", filter=Q(outside_bits__gt=0)),
        unjudged=Count("pk", filter=Q(verdict__id=None)),
        overridden=Count("pk", filter=Q(verdict__override_outcome__isnull=False)),
    )
    return Counts(**found)


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Where a trade stands in its filtered list, newest first: 1-based, with ids beside it."""

    position: int
    total: int
    previous: int | None
    next: int | None


def neighbours(
    viewer: Viewer, wanted: TradeFilter, trade: Trade, *, now: datetime
) -> Neighbours | None:
    """Three queries whatever the list's length; None when the filter leaves the trade out."""
    trades = trades_for(viewer, wanted, now=now)
    newer = Q(closed_at=trade.closed_at, pk__gt=trade.pk)
    older = Q(closed_at=trade.closed_at, pk__lt=trade.pk)
    if trade.closed_at is None:
        older |= Q(closed_at__isnull=False)
    else:
        newer |= Q(closed_at=None) | Q(closed_at__gt=trade.closed_at)
        older |= Q(closed_at__lt=trade.closed_at)
    found = trades.aggregate(
        total=Count("pk"), before=Count("pk", filter=newer), here=Count("pk", filter=Q(pk=trade.pk))
    )
    if not found["here"]:
        return None
    rising = (F("closed_at").asc(nulls_last=True), F("pk").asc())
    return Neighbours(
        position=found["before"] + 1,
        total=found["total"],
        previous=trades.filter(newer).order_by(*rising).values_list("pk", flat=True).first(),
        next=trades.filter(older).order_by(*_LATEST).values_list("pk", flat=True).first(),
    )


@dataclass(frozen=True, slots=True)
class Offers:
    """Values that a filter's menus offer, from the trades in sight."""

    symbols: tuple[str, ...]
    strategies: tuple[str, ...]
    setups: tuple[str, ...]
    tags: tuple[str, ...]


def offers(viewer: Viewer) -> Offers:
    """Four queries; the long tables are joined only for trades without a strategy."""
    accounts = [account.pk for account in viewer.accounts]
    mine = Trade.objects.filter(account__in=accounts).order_by()
    traded = Exists(mine.filter(instrument=OuterRef("pk")))
    # A trade without a strategy of its own has that of its signal.
    nameless = mine.filter(strategy="")
    strategies = {*_distinct(mine, "strategy"), *_distinct(nameless, "signal__strategy")}
    tags = {tag for tagged in _distinct(mine, "tags") for tag in tagged}
    return Offers(
        symbols=tuple(
            Instrument.objects.filter(traded).order_by("symbol").values_list("symbol", flat=True)
        ),
        strategies=tuple(sorted(strategies - {""})),
        setups=SETUPS,
        tags=tuple(sorted(tags)),
    )


def _distinct(rows: QuerySet[Any], column: str) -> Iterable[Any]:
    return rows.values_list(column, flat=True).distinct()


def has_any(viewer: Viewer) -> bool:
    """Is there anything to examine: a trade or a signal?"""
    return (
        Trade.objects.visible_to(viewer.user).exists()
        or Signal.objects.visible_to(viewer.user).exists()
    )


def unjudged_signals(viewer: Viewer) -> list[tuple[Account, list[int]]]:
    """Signals of closed trades without an audit, by account that the user may change."""
    editable = {account.pk: account for account in editable_accounts(viewer.user)}
    found = Trade.objects.filter(account__in=editable, closed_at__isnull=False, audits=None)
    by_account: dict[int, list[int]] = {}
    for account, signal in found.order_by("pk").values_list("account", "signal"):
        by_account.setdefault(account, []).append(signal)
    return [(editable[pk], signals) for pk, signals in by_account.items()]


def job(viewer: Viewer, job_id: str) -> AutopsyJob | None:
    """The job that a page was opened for, if it is this user's to see."""
    if not job_id or len(job_id) > 40:
        return None
    found: AutopsyJob | None = (
        AutopsyJob.objects.visible_to(viewer.user).filter(job_id=job_id).first()
    )
    return found
