"""The dashboard: how am I doing, what needs me?"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from post_mortem.models import InsightAudit, RecommendationTracking
from post_mortem.models.audits import CAUSE_LABELS
from post_mortem.selectors import board, experiments, filters, reviews, trades
from post_mortem.selectors import dashboard as selectors
from post_mortem.selectors.viewer import Viewer
from trading.core.errors import UserError

from .equity import draw
from .experiment_words import line_of
from .experiments import draw_due
from .shell import page, show, unit_of
from .units import Unit
from .verdicts import NAMES


@page()
def show_dashboard(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    if not trades.has_any(viewer):
        return show(request, viewer, "post_mortem/first_run.html", {})
    wanted = filters.filter_from(request.GET, viewer)
    found = filters.trades_for(viewer, wanted, now=timezone.now())
    kind = unit_of(request)
    closed = selectors.closed_trades(found, kind)
    counted = selectors.dashboard(
        closed, zone=viewer.zone, month=_month(request.GET.get("month", ""))
    )
    unit = Unit.of(kind, counted.currencies)
    return show(
        request,
        viewer,
        "post_mortem/dashboard.html",
        {
            "wanted": wanted,
            "d": counted,
            "u": unit,
            "summary": counted.summary,
            "counts": trades.counts(found),
            "equity": draw(counted.equity),
            "needs": _needs(viewer, closed),
            "worked": _worked(viewer),
            "job": trades.job(viewer, request.GET.get("job", "")),
            "offers": trades.offers(viewer),
            "causes": CAUSE_LABELS,
            "outcomes": filters.OUTCOMES,
        },
    )


def _worked(viewer: Viewer) -> Mapping[str, Any]:
    """Implemented advice: how many stand at each verdict, and the pieces of which most is known."""
    counts, rows = board.did_it_work(viewer.user)
    named = [(NAMES[word], n) for word, n in sorted(counts.items(), key=lambda c: -c[1])]
    return {"counts": named, "rows": [(row, NAMES[row.word]) for row in rows]}


def _month(text: str) -> date | None:
    if not text:
        return None
    try:
        return date.fromisoformat(f"{text}-01")
    except ValueError:
        raise UserError("filter", "A month is written like 2014-05.", field="month") from None


def _needs(viewer: Viewer, closed: selectors.ClosedTrades) -> Mapping[str, Any]:
    audits = InsightAudit.objects.visible_to(viewer.user)
    advice = RecommendationTracking.objects.visible_to(viewer.user)
    return {
        "stale": audits.filter(is_stale=True).count(),
        "may_rerun": InsightAudit.objects.editable_by(viewer.user).filter(is_stale=True).exists(),
        "review": reviews.to_review(audits).count(),
        "advice": advice.filter(implementation_status="PENDING").count(),
        "candles": selectors.candles_behind(viewer.user, closed),
        "experiments": _experiments(viewer),
    }


def _experiments(viewer: Viewer) -> list[tuple[int, str, str]]:
    """(id, name, what is to be done now) of every running experiment."""
    now = timezone.now()
    draw_due(now)
    running = experiments.running_now(viewer.user, now)
    return [(row.pk, row.name, line_of(row, state)) for row, state in running]
