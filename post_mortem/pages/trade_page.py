"""The post-mortem of one trade: why did it end as it did?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone

from post_mortem.core.evidence import CauseView
from post_mortem.selectors import filters, trades
from post_mortem.selectors.patterns import patterns_of
from post_mortem.selectors.reasons import reason_for
from post_mortem.selectors.trade_page import Judged, TradePage, trade_page
from post_mortem.selectors.viewer import Viewer
from post_mortem.services.journal import mark_reviewed, write_journal
from trading.core.errors import UserError

from .attribution import said_of
from .causes import scale_of
from .changed import changes_of, like_it
from .coverage import coverage_of
from .reviews import review_part
from .rules import judged_by
from .scope import scope_of
from .shell import page, show
from .timeline import events_of


@page()
def show_trade(request: HttpRequest, viewer: Viewer, trade_id: int) -> HttpResponse:
    found = trade_page(
        viewer.user,
        trade_id,
        horizon=request.GET.get("h", ""),
        timeframe=request.GET.get("tf", ""),
    )
    wanted = filters.filter_from(request.GET, viewer)
    trade = found.trade
    context: dict[str, Any] = {"wanted": wanted, "back": _list_address(wanted.params)}
    if trade is not None:
        scope = scope_of(request.GET.get("scope", ""), wanted, viewer, trade)
        beside = trades.neighbours(viewer, scope.wanted, trade, now=timezone.now())
        context |= {"scope": scope, "beside": beside}
    return show_page(request, viewer, found, context)


def show_page(
    request: HttpRequest, viewer: Viewer, found: TradePage, context: Mapping[str, Any]
) -> HttpResponse:
    """The page of a trade or of an untraded signal; one template for both."""
    judged = found.judged
    if judged is not None and judged.chart is not None:
        judged.chart.data["zone"] = viewer.zone.key
    shared = {
        "found": found,
        "judged": judged,
        "ranked": []
        if judged is None
        else [_cause(judged, view) for view in judged.evidence.ranked],
        "events": ()
        if judged is None
        else events_of(judged.evidence.events, judged.audit.entry_time, viewer.zone),
        "ruled_out": []
        if judged is None
        else [_cause(judged, view) for view in judged.evidence.ruled_out],
        "coverage": None if judged is None else coverage_of(judged),
        "changes": () if judged is None else changes_of(judged, found.target_r),
        "rule": None if judged is None else judged_by(judged.audit),
        "reason": None if judged is None else reason_for(judged.audit),
        "job": trades.job(viewer, request.GET.get("job", "")),
        "review": None if judged is None else review_part(judged),
        "patterns": () if found.trade is None else patterns_of(viewer.user, found.trade.pk),
        "goes_with": said_of(judged.audit) if judged else None,
        "like_it": reverse("pages:trades", query=like_it(found, judged)) if judged else "",
    }
    return show(request, viewer, "post_mortem/trade.html", {**shared, **context})


def _cause(judged: Judged, view: CauseView) -> dict[str, Any]:
    return {
        "view": view,
        "for": [judged.facts[i] for i in view.for_ids if i in judged.facts],
        "against": [judged.facts[i] for i in view.against_ids if i in judged.facts],
        "mind": judged.facts.get(view.mind_id or ""),
        "verdict": judged.reviews.get(view.cause, ""),
        "scale": scale_of(view.cause, view.confidence),
    }


def _list_address(params: Mapping[str, str]) -> str:
    return reverse("pages:trades", query=dict(params) or None)


@page("POST")
def reviewed(request: HttpRequest, viewer: Viewer, trade_id: int) -> HttpResponse:
    mark_reviewed(
        trade_id=trade_id,
        reviewed=request.POST.get("reviewed") == "yes",
        user=viewer.user,
        now=timezone.now(),
    )
    return redirect(_page_address(request, trade_id))


@page("POST")
def journal(request: HttpRequest, viewer: Viewer, trade_id: int) -> HttpResponse:
    write_journal(
        trade_id=trade_id,
        tags=request.POST.get("tags", "").split(","),
        mistakes=request.POST.get("mistakes", "").split(","),
        stars=_stars(request.POST.get("stars", "")),
        notes=request.POST.get("notes", ""),
        user=viewer.user,
    )
    messages.success(request, "Saved.")
    return redirect(_page_address(request, trade_id))


def _stars(text: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) == 1):
        raise UserError("bad_stars", "Stars are 1 to 5, or none.", field="stars")
    return int(text)


def _page_address(request: HttpRequest, trade_id: int) -> str:
    """The trade again, within the filter it was opened from."""
    return reverse("pages:trade", args=[trade_id], query=request.GET or None)
