"""The agenda of one period: everything a review looks at, as plain JSON, from columns in bulk.

The same mapping is shown while a meeting is open and frozen into its minutes when it is closed, so
minutes show what the people saw and nothing else. R is the measure throughout; money stands beside
it where all trades are in one currency.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
from django.db.models import Min

from post_mortem.core.meetings import EARLIER, Period, plain, score, usual
from post_mortem.models import (
    AnalysisPattern,
    Experiment,
    RecommendationOccurrence,
    RecommendationTracking,
    ReviewMeeting,
)
from trading.core.sessions import local_times
from trading.core.types import NS_PER_DAY
from trading.models import Account, OwnedQuerySet, Trade

from . import dashboard, meetings
from .columns import fetch, floats, integers, times, utc_ns
from .filters import TradeFilter, apply
from .patterns import told as told_pattern
from .recommendations import current, prioritised
from .trades import TradeRow
from .trades import rows as trade_rows

SCHEMA = "inquest.minutes/1"
MOST_TRADES = 200  # listed one by one; all are counted
MOST_LEAKS = 3
MOST_PATTERNS = 12
MOST_PROPOSALS = 8
MOST_RIBBONS = 12
_EDGES = ("setup", "strategy")


@dataclass(frozen=True, slots=True, eq=False)
class _Trades:
    """Closed trades of the periods before and of the period itself, which is the last."""

    all: dashboard.ClosedTrades
    edges: tuple[int, ...]  # where each period begins in the columns, and where the last ends

    def part(self, back: int) -> slice:
        """Rows of the period so many before: 0 is the period itself."""
        at = len(self.edges) - 2 - back
        return slice(self.edges[at], self.edges[at + 1])


def agenda(account: Account, period: Period, *, now: datetime) -> dict[str, Any]:
    """What a review of the period looks at. JSON-ready; numbers R unless they say otherwise."""
    zone = ZoneInfo(account.time_zone)
    found = _trades_of(account, now)
    columns = _load(found, period, zone)
    here = columns.all.part(columns.part(0))
    results = dict(zip(here.ids.tolist(), here.value.tolist(), strict=True))
    start, end = period.span(zone)
    mine = found.filter(closed_at__gte=start, closed_at__lt=end)
    listed = trade_rows(mine, sort="closed", stop=MOST_TRADES)
    marked = _marked(mine)
    sheet = {
        "score": _score(
            columns,
            period,
            zone,
            first_day=_first_day(account, zone),
            net=_net(marked, account),
        ),
        "last": meetings.last(account, period),
        "patterns": _patterns(account, found, period, zone),
        **_leaks(here, zone, results),
        "mistakes": _mistakes(marked, results),
        **proposals(account, period),
        "trades": [_trade(row) for row in listed],
    }
    done: dict[str, Any] = plain(sheet)
    return done


def _trades_of(account: Account, now: datetime) -> OwnedQuerySet:
    mine = Trade.objects.filter(account=account)
    return apply(mine, TradeFilter(), zone=ZoneInfo(account.time_zone), now=now)


def _load(found: OwnedQuerySet, period: Period, zone: ZoneInfo) -> _Trades:
    spans = [period.moved(-back).span(zone) for back in range(EARLIER, -1, -1)]
    within = found.filter(closed_at__gte=spans[0][0], closed_at__lt=spans[-1][1])
    closed = dashboard.closed_trades(within, "r")
    moments = [utc_ns(start) for start, _ in spans] + [utc_ns(spans[-1][1])]
    edges = tuple(np.searchsorted(closed.closed, moments).tolist())
    return _Trades(closed, edges)


def _first_day(account: Account, zone: ZoneInfo) -> date | None:
    closed = Trade.objects.filter(account=account, closed_at__isnull=False)
    first = closed.aggregate(first=Min("closed_at"))["first"]
    return None if first is None else first.astimezone(zone).date()


# --- 1 Score --------------------------------------------------------------------------------------
def _score(
    columns: _Trades,
    period: Period,
    zone: ZoneInfo,
    *,
    first_day: date | None,
    net: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Periods that ended before the first trade ever are no part of what is usual."""
    counted = [
        score(columns.all.value[columns.part(back)])
        for back in range(EARLIER, 0, -1)
        if first_day is not None and period.moved(-back).last >= first_day
    ]
    part = columns.all.part(columns.part(0))
    mean = usual(counted)
    return {
        "now": asdict(score(part.value)) | _days(part, zone),
        "prior": asdict(counted[-1]) if counted else None,
        "usual": asdict(mean) if mean else None,
        "net": net,
    }


def _days(part: dashboard.ClosedTrades, zone: ZoneInfo) -> dict[str, Any]:
    """The best and the worst day by their sums; None unless two days have results."""
    known = ~np.isnan(part.value)
    days = local_times(part.closed[known], zone.key) // NS_PER_DAY
    names, at = np.unique(days, return_inverse=True)
    if names.size < 2:
        return {"best_day": None, "worst_day": None}
    sums = np.bincount(at, weights=part.value[known])
    counts = np.bincount(at)

    def day(index: int) -> dict[str, Any]:
        name = date.fromordinal(date(1970, 1, 1).toordinal() + int(names[index]))
        return {"day": name, "r": float(sums[index]), "n": int(counts[index])}

    return {"best_day": day(int(np.argmax(sums))), "worst_day": day(int(np.argmin(sums)))}


def _net(marked: Sequence[_Marked], account: Account) -> dict[str, Any] | None:
    """Money as text, because no float is exact about cents; None where not all of it is known or
    where it is in several currencies."""
    currencies = {row.currency or account.currency for row in marked}
    amounts = [row.net for row in marked if row.net is not None]
    if len(currencies) != 1 or len(amounts) < len(marked):
        return None
    return {
        "amount": format(sum(amounts, Decimal()), ".2f"),
        "currency": currencies.pop(),
        "won": sum(amount > 0 for amount in amounts),
        "lost": sum(amount < 0 for amount in amounts),
    }


# --- 3 Patterns -----------------------------------------------------------------------------------
def _patterns(
    account: Account, found: OwnedQuerySet, period: Period, zone: ZoneInfo
) -> list[dict[str, Any]]:
    """Patterns with trades in the period, those that cost or brought most first. Two queries.

    `state` is new where the pattern was first found in the period or in the next, in which the
    period is reviewed; else stronger or weaker where its own statistics say that it changed by more
    than chance explains.
    """
    start, end = period.span(zone)
    _, reviewed = period.moved(1).span(zone)
    rows = AnalysisPattern.objects.filter(account=account, period="", lost_at=None)
    patterns = {row.pk: row for row in rows}
    known = found.filter(closed_at__lt=end, patterns__in=list(patterns)).order_by("closed_at", "pk")
    columns = fetch(known, "patterns__id", "id", "closed_at", "verdict__r_multiple")
    which, ids = integers(columns["patterns__id"]), integers(columns["id"])
    closed, r = times(columns["closed_at"]), floats(columns["verdict__r_multiple"])
    now, has = closed >= utc_ns(start), ~np.isnan(r)
    told = []
    for pk, pattern in patterns.items():
        mine = which == pk
        before, here = mine & has & ~now, mine & has & now
        if not here.any():
            continue
        before_r, here_r = float(r[before].sum()), float(r[here].sum())
        n = int(here.sum())
        told.append(
            {
                "id": pk,
                "text": _said(pattern),
                "category": pattern.category,
                "state": _state(pattern, start, reviewed),
                "n": n,
                "r": here_r,
                "before_n": int(before.sum()),
                "before_r": before_r,
                "trades": ids[here][:MOST_RIBBONS].tolist(),
            }
        )
    told.sort(key=lambda p: (-abs(p["r"]), p["id"]))
    return told[:MOST_PATTERNS]


def _said(pattern: AnalysisPattern) -> str:
    shown = told_pattern(pattern)
    return shown.sentence or shown.title or pattern.category


def _state(pattern: AnalysisPattern, start: datetime, reviewed: datetime) -> str:
    if start <= pattern.created_at < reviewed:
        return "new"
    return str(pattern.statistics.get("trend", ""))


# --- 4 Leaks, one edge, and what the trader marked ------------------------------------------------
def _leaks(
    here: dashboard.ClosedTrades, zone: ZoneInfo, results: Mapping[int, float]
) -> dict[str, Any]:
    counted = dashboard.dashboard(here, zone=zone)
    leaks = [
        {
            "cause": leak.cause,
            "n": leak.n,
            "r": leak.lost,
            "trades": _losers(here, leak.cause)[:MOST_RIBBONS],
        }
        for leak in counted.leaks[:MOST_LEAKS]
    ]
    cells = [(cut.key, s) for cut in counted.cuts if cut.key in _EDGES for s in cut.slices]
    best = max(cells, key=lambda cell: cell[1].total, default=None)
    edge = None
    if best is not None and best[1].total > 0:
        edge = {"key": best[0], "name": best[1].value, "n": best[1].n, "r": best[1].total}
    return {"leaks": leaks, "edge": edge, "looked_at": len(cells)}


def _losers(here: dashboard.ClosedTrades, cause: str) -> list[int]:
    of_cause = here.cause.codes == here.cause.names.index(cause)
    ids: list[int] = here.ids[of_cause & (here.value < 0)].tolist()
    return ids


class _Marked(NamedTuple):
    """What a trade carries that its columns do not."""

    pk: int
    mistakes: list[str] | None
    on_plan: bool | None
    net: Decimal | None
    currency: str


def _marked(mine: OwnedQuerySet) -> list[_Marked]:
    columns = ("pk", "mistakes", "on_plan", "net_pnl", "pnl_currency")
    return [_Marked(*values) for values in mine.values_list(*columns)]


def _mistakes(marked: Sequence[_Marked], results: Mapping[int, float]) -> list[dict[str, Any]]:
    """What the trader marked, with the sum of those trades; a trade with two counts under both."""
    of: dict[str, list[int]] = {}
    for row in marked:
        for name in [*(row.mistakes or ()), *(("off plan",) if row.on_plan is False else ())]:
            of.setdefault(name, []).append(row.pk)
    told = [{"name": name, **_sum_of(ids, results)} for name, ids in of.items()]
    return sorted(told, key=lambda m: (m["r"] if m["r"] is not None else 0.0, m["name"]))


def _sum_of(ids: Iterable[int], results: Mapping[int, float]) -> dict[str, Any]:
    """How many trades, and the sum of those with R (None where none has)."""
    all_ids = list(ids)
    known = [results[pk] for pk in all_ids if pk in results and not np.isnan(results[pk])]
    return {"n": len(all_ids), "r": sum(known) if known else None}


# --- 5 Proposals ----------------------------------------------------------------------------------
def proposals(account: Account, period: Period, *, only: int | None = None) -> dict[str, Any]:
    """Pending advice with the trades of the period that it came up on: what cost most in the period
    first, then what is most worth doing. `more` are pending and not listed."""
    pending = current(
        RecommendationTracking.objects.filter(account=account, implementation_status="PENDING")
    )
    if only is not None:
        pending = pending.filter(pk=only)
    else:
        # What is being tested was decided; the experiment's page says how it goes.
        tested = Experiment.objects.filter(account=account, status=Experiment.Status.RUNNING)
        pending = pending.exclude(
            pk__in=tested.exclude(recommendation=None).values("recommendation")
        )
    here = _came_up(account, period, pending)
    found = sorted(prioritised(pending), key=lambda row: _cost(here.get(row.pk, {})))
    told = [_proposal(row, here.get(row.pk, {})) for row in found[:MOST_PROPOSALS]]
    return {"proposals": plain(told), "more": max(0, len(found) - MOST_PROPOSALS)}


def _came_up(account: Account, period: Period, pending: Any) -> dict[int, dict[int, float]]:
    """Trades of the period by the advice that came up on them, with their R (NaN unknown)."""
    start, end = period.span(ZoneInfo(account.time_zone))
    found = RecommendationOccurrence.objects.filter(
        recommendation__in=pending,
        analysis__trade__closed_at__gte=start,
        analysis__trade__closed_at__lt=end,
        analysis__audit__horizon="TRADE",
    ).order_by("analysis__trade__closed_at", "pk")
    here: dict[int, dict[int, float]] = {}
    columns = ("recommendation", "analysis__trade", "analysis__audit__r_multiple")
    for pk, trade, r in found.values_list(*columns):
        here.setdefault(pk, {})[trade] = float("nan") if r is None else r
    return here


def _cost(came_up: Mapping[int, float]) -> float:
    known = [r for r in came_up.values() if not np.isnan(r)]
    return min(0.0, sum(known))


def _proposal(row: Any, came_up: Mapping[int, float]) -> dict[str, Any]:
    return {
        "id": row.pk,
        "version": row.version,
        "text": row.recommendation,
        "area": row.area,
        "scope": {k: v for k, v in row.scope.items() if v != "any"},
        "expected": row.expected_impact,
        "came_up": row.n_occurrences,
        **_sum_of(came_up, came_up),
        "trades": list(came_up)[:MOST_RIBBONS],
    }


# --- The trades themselves ------------------------------------------------------------------------
def _trade(row: TradeRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "closed_at": row.closed_at,
        "symbol": row.symbol,
        "side": row.side,
        "strategy": row.strategy,
        "r": row.r,
        "mae_r": row.mae_r,
        "mfe_r": row.mfe_r,
        "target_r": row.target_r,
        "net": None if row.net is None else format(row.net, "f"),
        "currency": row.currency,
        "outcome": row.outcome,
        "cause": row.cause,
    }


# --- All of it ------------------------------------------------------------------------------------
def sheet_of(
    account: Account,
    period: Period,
    meeting: ReviewMeeting | None,
    *,
    now: datetime,
    closed_by: str = "",
    closed_at: datetime | None = None,
) -> dict[str, Any]:
    """Agenda, decisions and action of a meeting that is not closed, as its minutes will read."""
    told: dict[str, Any] = plain(
        {
            "schema": SCHEMA,
            "account": {
                "id": account.pk,
                "name": account.name,
                "currency": account.currency,
                "time_zone": account.time_zone,
            },
            "period": {"first": period.first, "last": period.last, "kind": period.kind},
            "opened_by": meetings.name_of(meeting.opened_by) if meeting else "",
            "opened_at": meeting.opened_at if meeting else None,
            "closed_by": closed_by,
            "closed_at": closed_at,
            "agenda": agenda(account, period, now=now),
            "decisions": meetings.decisions_of(meeting) if meeting else [],
            "action": meetings.action_of(meeting) if meeting else None,
        }
    )
    return told
