"""Patterns: what repeats among an account's trades, and one of them in full."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone

from post_mortem.core.patterns import LEAST_TRADES
from post_mortem.selectors import filters, trades
from post_mortem.selectors import patterns as selectors
from post_mortem.selectors.patterns import PatternList, ToldPattern
from post_mortem.selectors.viewer import Viewer, can_edit
from post_mortem.services.patterns import period_of, request_patterns
from trading.core.errors import NotFoundError
from trading.core.metrics import MIN_FOR_RATES
from trading.models import Account

from . import formats
from .shell import page, row_id, show
from .strength import draw

PERIODS: Mapping[str, str] = {"": "All trades", "365d": "Last year", "90d": "Last 90 days"}
_SHOWN_TRADES = 12
_TRENDS: Mapping[str, str] = {
    "stronger": "stronger of late",
    "weaker": "weaker of late",
    "steady": "steady",
}


@page()
def show_patterns(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    account = account_of(viewer, request.GET.get("account", ""))
    period = period_of(request.GET.get("period", ""), timezone.now()).text
    found = None if account is None else selectors.pattern_list(viewer.user, account, period)
    named = [] if account is None else selectors.periods(viewer.user, account)
    context = {
        "account": account,
        "found": found,
        "period": period,
        "periods": {**PERIODS, **{text: PERIODS.get(text, text) for text in [*named, period]}},
        "sentence": "Nothing to look for patterns in yet." if found is None else headline(found),
        "tested": [] if found is None else [_row(one) for one in found.tested],
        "least": LEAST_TRADES,
        "may_edit": account is not None and can_edit(viewer.user, account.pk),
        "job": trades.job(viewer, request.GET.get("job", "")),
    }
    return show(request, viewer, "post_mortem/patterns.html", context)


def account_of(viewer: Viewer, asked: str) -> Account | None:
    """The account asked for, else the reader's first with a search, else their first."""
    if asked:
        chosen = viewer.account(row_id(asked))
        if chosen is None:
            raise NotFoundError("not_found", "Not found.")
        return chosen
    searched = selectors.searched_accounts(viewer.user)
    first = next((one for one in viewer.accounts if one.pk in searched), None)
    return first or next(iter(viewer.accounts), None)


def headline(found: PatternList) -> str:
    """The answer in one sentence."""
    if found.tested:
        return found.tested[0].sentence
    if found.search is None:
        if found.closed < LEAST_TRADES:
            return f"Patterns need {LEAST_TRADES} closed trades. You have {found.closed}."
        return "Nobody has looked for patterns here yet."
    n, tried = found.search.n, found.search.tried
    if not tried:
        return (
            f"Too few trades to compare: {formats.plural(n, 'judged trade')}, and a pattern needs "
            f"{found.search.min_trades} of its kind and as many others."
        )
    return (
        f"No kind of trades differs from the others by more than chance explains: "
        f"{tried:,} kinds tried over {formats.plural(n, 'trade')}."
    )


def _row(one: ToldPattern) -> dict[str, Any]:
    s = one.statistics
    return {
        "told": one,
        "each": s["n"] >= MIN_FOR_RATES,
        "trend": _TRENDS.get(s["trend"], ""),
    }


@page("POST")
def start_search(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Queue a search of the account on show."""
    asked = request.POST.get("account", "")
    account = viewer.account(row_id(asked))
    if account is None:
        raise NotFoundError("not_found", "Not found.")
    job = request_patterns(
        user=viewer.user,
        time_period=request.POST.get("period", ""),
        account_id=account.pk,
        now=timezone.now(),
    )
    query = {"account": account.pk, "period": request.POST.get("period", ""), "job": job.job_id}
    return redirect(reverse("pages:patterns", query=query))


def _is_all_of(cohort: Mapping[str, Any], s: Mapping[str, Any]) -> bool:
    """The pattern's own trades need no second row."""
    return all(cohort[name] == s[name] for name in ("n", "won", "total_r"))


@page()
def show_pattern(request: HttpRequest, viewer: Viewer, pk: int) -> HttpResponse:
    one = selectors.pattern_page(viewer.user, pk)
    wanted = filters.TradeFilter(pattern=str(pk))
    among = filters.trades_for(viewer, wanted, now=timezone.now())
    s = one.statistics
    return show(
        request,
        viewer,
        "post_mortem/pattern.html",
        {
            "one": one,
            "s": s,
            "each": s["n"] >= MIN_FOR_RATES,
            "trend": _TRENDS.get(s["trend"], ""),
            "others": [c for c in s["cohorts"] if not _is_all_of(c, s)],
            "strength": draw(s["periods"]),
            "rows": trades.rows(among, sort="", start=0, stop=_SHOWN_TRADES),
            "more": max(0, s["n"] - _SHOWN_TRADES),
            "min_for_rates": MIN_FOR_RATES,
            "plans": selectors.plans_of(viewer.user, pk),
            "may_edit": can_edit(viewer.user, one.row.account_id),
            "draws_plan": one.row.pattern_type != "edge" and one.row.lost_at is None,
        },
    )
