"""The one filter over trades: what the URL of a list, a dashboard or a neighbour link says.

Every page that shows "these trades" reads the same keys, so a clicked bar, day or cause on the
dashboard opens exactly its trades. A value that is not understood is a `UserError`, never ignored:
a list that silently shows more than was asked for is a wrong answer.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from django.db.models import (
    DurationField,
    ExpressionWrapper,
    F,
    FilteredRelation,
    FloatField,
    Q,
    TextField,
)
from django.db.models.functions import Cast, ExtractHour, ExtractIsoWeekDay

from post_mortem.core.types import CAUSES, SETUPS, Flag
from post_mortem.models import InsightAudit
from trading.core.errors import UserError
from trading.models import OwnedQuerySet, Trade

from .viewer import Viewer

# A person's labels that leave a trade out of the leaks.
EXCUSED = (InsightAudit.Outcome.SUCCEEDED, InsightAudit.Outcome.FILTERED_OUT)
PERIODS: Mapping[str, int] = {"7d": 7, "30d": 30, "90d": 90}
OUTCOMES: Mapping[str, int] = {label: value for value, label in InsightAudit.Outcome.choices} | {
    "unjudged": 0
}
OUTSIDE_CANDLE = int(Flag.ENTRY_OUTSIDE_CANDLE | Flag.EXIT_OUTSIDE_CANDLE)
# Upper bounds in minutes of the classes of holding time; the last has none.
DURATIONS: Mapping[str, tuple[int, int | None]] = {
    "15min": (0, 15),
    "1h": (15, 60),
    "4h": (60, 240),
    "1d": (240, 1440),
    "longer": (1440, None),
}
_MAX_TEXT = 80


@dataclass(frozen=True)
class TradeFilter:
    """Empty text means that a key does not filter."""

    account: str = ""
    period: str = ""
    day: str = ""
    symbol: str = ""
    side: str = ""
    setup: str = ""
    strategy: str = ""
    tag: str = ""
    mistake: str = ""
    outcome: str = ""
    cause: str = ""
    lost: str = ""
    weekday: str = ""
    hour: str = ""
    duration: str = ""
    read: str = ""
    flag: str = ""
    imported: str = ""
    pattern: str = ""

    @property
    def params(self) -> dict[str, str]:
        """The keys that filter, as they stand in a URL."""
        return {f.name: value for f in fields(self) if (value := getattr(self, f.name))}

    def __bool__(self) -> bool:
        return bool(self.params)


_CHOICES: Mapping[str, frozenset[str]] = {
    "side": frozenset(("long", "short")),
    "setup": frozenset(SETUPS),
    "outcome": frozenset(OUTCOMES),
    "cause": frozenset(CAUSES),
    "lost": frozenset(("r", "money", "percent")),
    "weekday": frozenset("1234567"),
    "hour": frozenset(str(hour) for hour in range(24)),
    "duration": frozenset(DURATIONS),
    "read": frozenset(("yes", "no")),
    "flag": frozenset(("outside", "ambiguous", "overridden")),
    "period": frozenset((*PERIODS, "ytd", "all")),
}


def filter_from(query: Mapping[str, str], viewer: Viewer) -> TradeFilter:
    """The filter in a URL's query. Unknown keys belong to the page (sort, page, unit)."""
    given = {f.name: query.get(f.name, "").strip() for f in fields(TradeFilter)}
    for key, value in given.items():
        _check(key, value, viewer)
    # "all" is how a link says that no period was wanted, which is also the default.
    given["period"] = "" if given["period"] == "all" else given["period"]
    return TradeFilter(**given)


def _check(key: str, value: str, viewer: Viewer) -> None:
    if not value:
        return
    allowed = _CHOICES.get(key)
    if allowed is not None and value not in allowed:
        raise UserError(
            "filter",
            f"unknown {key} {_short(value)}: one of {', '.join(sorted(allowed))}",
            field=key,
        )
    if len(value) > _MAX_TEXT or "\x00" in value:
        raise UserError("filter", f"this {key} is longer than any in store", field=key)
    if key == "account" and not (_is_id(value) and viewer.account(int(value))):
        raise UserError("filter", f"no account {_short(value)}", field=key)
    if key == "imported" and not _is_id(value):
        raise UserError("filter", f"no import {_short(value)}", field=key)
    if key == "pattern" and not _is_id(value):
        raise UserError("filter", f"no pattern {_short(value)}", field=key)
    if key == "day":
        _day(value)


def apply(
    trades: OwnedQuerySet, wanted: TradeFilter, *, zone: ZoneInfo, now: datetime
) -> OwnedQuerySet:
    """`trades`, with the TRADE audit of each joined as `verdict`, narrowed to the filter."""
    trades = trades.annotate(
        verdict=FilteredRelation("audits", condition=Q(audits__horizon="TRADE"))
    )
    trades = trades.filter(_of_trade(wanted) & _of_verdict(wanted))
    trades = _of_time(trades, wanted, zone, now)
    if wanted.lost:
        trades = _lost(trades, wanted.lost)
    for key, column in (
        ("setup", "signal__claimed_setups"),
        ("tag", "tags"),
        ("mistake", "mistakes"),
    ):
        if value := getattr(wanted, key):
            trades = _containing(trades, column, value)
    return trades


def _of_trade(wanted: TradeFilter) -> Q:
    condition = Q()
    if wanted.account:
        condition &= Q(account=int(wanted.account))
    if wanted.symbol:
        condition &= Q(instrument__symbol=wanted.symbol)
    if wanted.side:
        condition &= Q(side=1 if wanted.side == "long" else -1)
    if wanted.strategy:
        condition &= Q(strategy=wanted.strategy) | Q(strategy="", signal__strategy=wanted.strategy)
    if wanted.read:
        condition &= Q(reviewed_at__isnull=wanted.read == "no")
    if wanted.imported:
        condition &= Q(import_batch=int(wanted.imported))
    if wanted.pattern:
        condition &= Q(patterns=int(wanted.pattern))
    return condition


def _of_verdict(wanted: TradeFilter) -> Q:
    condition = Q()
    if wanted.outcome == "unjudged":
        condition &= Q(verdict__id=None)
    elif wanted.outcome:
        # A person's label counts before the engine's.
        wanted_code = OUTCOMES[wanted.outcome]
        condition &= Q(verdict__override_outcome=wanted_code) | Q(
            verdict__override_outcome=None, verdict__outcome=wanted_code
        )
    if wanted.cause:
        condition &= Q(verdict__top_cause=wanted.cause)
    return condition


def _lost(trades: OwnedQuerySet, unit: str) -> OwnedQuerySet:
    """Closed trades that lost in a unit, but for those of which a person said that they did not
    fail: what a leak of the dashboard counts."""
    result = {
        "r": F("verdict__r_multiple"),
        "money": Cast("net_pnl", FloatField()),
        "percent": F("verdict__pnl_pct"),
    }[unit]
    failed = Q(verdict__override_outcome=None) | ~Q(verdict__override_outcome__in=EXCUSED)
    return trades.alias(result_lost=result).filter(
        failed, closed_at__isnull=False, result_lost__lt=0
    )


def _of_time(
    trades: OwnedQuerySet, wanted: TradeFilter, zone: ZoneInfo, now: datetime
) -> OwnedQuerySet:
    start, end = time_span(wanted, zone, now)
    if start:
        trades = trades.filter(closed_at__gte=start)
    if end:
        trades = trades.filter(closed_at__lt=end)
    if wanted.weekday:
        trades = trades.annotate(on_weekday=ExtractIsoWeekDay("opened_at", tzinfo=zone))
        trades = trades.filter(on_weekday=int(wanted.weekday))
    if wanted.hour:
        trades = trades.annotate(at_hour=ExtractHour("opened_at", tzinfo=zone))
        trades = trades.filter(at_hour=int(wanted.hour))
    if wanted.duration:
        trades = _held(trades, *DURATIONS[wanted.duration])
    if wanted.flag == "overridden":
        trades = trades.filter(verdict__override_outcome__isnull=False)
    elif wanted.flag:
        bits = OUTSIDE_CANDLE if wanted.flag == "outside" else int(Flag.AMBIGUOUS)
        trades = trades.annotate(flagged=F("verdict__flags").bitand(bits)).filter(flagged__gt=0)
    return trades


def time_span(
    wanted: TradeFilter, zone: ZoneInfo, now: datetime
) -> tuple[datetime | None, datetime | None]:
    """Span of closing times in the zone of the reader, whole days: 7d is today and six before."""
    today = now.astimezone(zone).date()
    if wanted.day:
        day = _day(wanted.day)
        return _midnight(day, zone), _midnight(day + timedelta(days=1), zone)
    if wanted.period == "ytd":
        return _midnight(date(today.year, 1, 1), zone), None
    if wanted.period:
        return _midnight(today - timedelta(days=PERIODS[wanted.period] - 1), zone), None
    return None, None


def _held(trades: OwnedQuerySet, low: int, high: int | None) -> OwnedQuerySet:
    span = ExpressionWrapper(F("closed_at") - F("opened_at"), output_field=DurationField())
    trades = trades.annotate(held=span).filter(held__gte=timedelta(minutes=low))
    return trades if high is None else trades.filter(held__lt=timedelta(minutes=high))


def _containing(trades: OwnedQuerySet, column: str, value: str) -> OwnedQuerySet:
    # SQLite has no JSON containment: look for the quoted text. It stores escapes for what is not
    # ASCII, PostgreSQL prints the letters.
    alias = f"{column.rsplit('__', 1)[-1]}_text"
    trades = trades.annotate(**{alias: Cast(column, TextField())})
    plain, escaped = json.dumps(value, ensure_ascii=False), json.dumps(value)
    return trades.filter(Q(**{f"{alias}__contains": plain}) | Q(**{f"{alias}__contains": escaped}))


def trades_for(viewer: Viewer, wanted: TradeFilter, *, now: datetime) -> OwnedQuerySet:
    return apply(Trade.objects.visible_to(viewer.user), wanted, zone=viewer.zone, now=now)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UserError(
            "filter", f"{_short(text)} is not a day like 2014-05-02", field="day"
        ) from None


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), tzinfo=zone)


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 18


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:37] + "...")
