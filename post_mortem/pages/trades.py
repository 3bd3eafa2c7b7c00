"""The list of trades: which should I look at?"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone

from post_mortem.models.audits import CAUSE_LABELS
from post_mortem.selectors import filters
from post_mortem.selectors import trades as selectors
from post_mortem.selectors.trades import TradeRow
from post_mortem.selectors.viewer import Viewer
from post_mortem.services.autopsy_jobs import request_autopsy

from .shell import page, show

# Columns of the list: key -> (title, sort key, shown by default).
COLUMNS: Mapping[str, tuple[str, str, bool]] = {
    "closed": ("Closed", "closed", True),
    "symbol": ("Symbol", "symbol", True),
    "side": ("Side", "side", True),
    "setup": ("Setup", "", True),
    "strategy": ("Strategy", "", False),
    "qty": ("Qty", "qty", True),
    "entry": ("Entry", "", True),
    "exit": ("Exit", "", True),
    "net": ("Net", "net", True),
    "pips": ("Pips", "", False),
    "r": ("R", "r", True),
    "mae": ("MAE R", "mae", True),
    "mfe": ("MFE R", "mfe", True),
    "ribbon": ("MAE to MFE", "", True),
    "label": ("Label", "label", True),
    "cause": ("Possible cause", "cause", True),
    "tags": ("Tags", "", True),
    "reviewed": ("Read", "reviewed", True),
}
_NUMBERS = frozenset(("qty", "entry", "exit", "net", "pips", "r", "mae", "mfe"))


@page()
def show_trades(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    wanted = filters.filter_from(request.GET, viewer)
    sort = request.GET.get("sort", "")
    found = filters.trades_for(viewer, wanted, now=timezone.now())
    counts = selectors.counts(found)
    paginator = Paginator(range(counts.total), selectors.PAGE_SIZE)
    at = paginator.get_page(request.GET.get("page"))
    start = max(0, at.start_index() - 1)
    rows = selectors.rows(found, sort=sort, start=start, stop=start + selectors.PAGE_SIZE)
    currencies = {row.currency for row in rows}
    return show(
        request,
        viewer,
        "post_mortem/trades.html",
        {
            "wanted": wanted,
            "sort": sort,
            "counts": counts,
            "page": at,
            "rows": rows,
            "one_currency": next(iter(currencies)) if len(currencies) == 1 else "",
            "columns": _heads(request, sort),
            "offers": selectors.offers(viewer),
            "causes": CAUSE_LABELS,
            "outcomes": filters.OUTCOMES,
            "job": selectors.job(viewer, request.GET.get("job", "")),
            "any": bool(counts.total) or selectors.has_any(viewer),
        },
    )


def _heads(request: HttpRequest, sort: str) -> list[dict[str, Any]]:
    shown = _shown(request)
    heads = []
    for key, (title, by, _) in COLUMNS.items():
        now = {by: "ascending", f"-{by}": "descending"}.get(sort, "none") if by else ""
        heads.append(
            {
                "key": key,
                "title": title,
                # The first click on a column shows its largest first, as one looks for extremes.
                "next": (by if sort == f"-{by}" else f"-{by}") if by else "",
                "aria": now,
                "number": key in _NUMBERS,
                "shown": key in shown,
            }
        )
    return heads


def _shown(request: HttpRequest) -> frozenset[str]:
    """Columns named in the URL, else remembered in a cookie, else the default ones."""
    named = request.GET.getlist("column") or request.COOKIES.get("columns", "").split(".")
    known = frozenset(named) & COLUMNS.keys()
    return known or frozenset(key for key, (_, _, default) in COLUMNS.items() if default)


@page("POST")
def judge(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Queue the audits of every trade without one, an account at a time."""
    unjudged = selectors.unjudged_signals(viewer)
    if not unjudged:
        messages.info(request, "Every trade has been judged.")
        return redirect("pages:trades")
    queued = [
        request_autopsy(account=account, signal_ids=signals, user=viewer.user)
        for account, signals in unjudged
    ]
    return redirect(reverse("pages:trades", query={"job": queued[0].job_id}))


_EXPORT: Mapping[str, Any] = {
    "id": lambda t: t.id,
    "opened_utc": lambda t: t.opened_at.isoformat(),
    "closed_utc": lambda t: t.closed_at.isoformat() if t.closed_at else "",
    "symbol": lambda t: t.symbol,
    "side": lambda t: t.side,
    "setups": lambda t: ";".join(t.setups),
    "strategy": lambda t: t.strategy,
    "quantity": lambda t: t.quantity,
    "entry": lambda t: t.entry,
    "exit": lambda t: t.exit,
    "net": lambda t: t.net,
    "currency": lambda t: t.currency,
    "r": lambda t: t.r,
    "mae_r": lambda t: t.mae_r,
    "mfe_r": lambda t: t.mfe_r,
    "outcome": lambda t: t.outcome,
    "engine_outcome": lambda t: t.machine_outcome,
    "override_reason": lambda t: t.override_reason,
    "overridden_by": lambda t: t.overridden_by,
    "cause": lambda t: t.cause,
    "cause_posterior": lambda t: t.posterior,
    "cause_confidence": lambda t: t.confidence,
    "tags": lambda t: ";".join(t.tags),
    "reviewed_utc": lambda t: t.reviewed_at.isoformat() if t.reviewed_at else "",
}


class _Echo:
    """A file that hands back what is written to it, so rows can be streamed."""

    def write(self, text: str) -> str:
        return text


def cell(value: object) -> object:
    """Text that a spreadsheet would run as a formula gets an apostrophe; numbers stay numbers."""
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r", "\n"):
        return f"'{value}"
    return value


def _lines(rows: Iterator[TradeRow]) -> Iterator[str]:
    writer = csv.writer(_Echo())
    yield writer.writerow(_EXPORT.keys())
    for row in rows:
        yield writer.writerow([cell(read(row)) for read in _EXPORT.values()])


@page()
def export(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """The filtered list as CSV, every row of it, in its order."""
    wanted = filters.filter_from(request.GET, viewer)
    found = filters.trades_for(viewer, wanted, now=timezone.now())
    rows = selectors.stream(found, sort=request.GET.get("sort", ""))
    answer = StreamingHttpResponse(_lines(rows), content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = 'attachment; filename="trades.csv"'
    return answer  # type: ignore[return-value]
