"""The same page for a signal that was not traded, and what can be done with any audit."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme

from post_mortem.models import CauseReview, InsightAudit
from post_mortem.selectors.access import readable
from post_mortem.selectors.trade_page import audit_page
from post_mortem.selectors.viewer import Viewer
from post_mortem.services.reviews import review_cause, undo_review
from post_mortem.services.verification import verify_audit

from .shell import page
from .trade_page import show_page


@page()
def show_audit(request: HttpRequest, viewer: Viewer, audit_id: int) -> HttpResponse:
    found = audit_page(viewer.user, audit_id, timeframe=request.GET.get("tf", ""))
    return show_page(request, viewer, found, {"beside": None, "back": reverse("pages:trades")})


@page("POST")
def review(request: HttpRequest, viewer: Viewer, audit_id: int, cause: str) -> HttpResponse:
    """Confirm or reject a cause; saying the same thing again takes it back."""
    verdict = request.POST.get("verdict", "")
    said = CauseReview.objects.filter(audit=audit_id, user=viewer.user, cause=cause)
    if said.filter(verdict=verdict).exists():
        undo_review(audit_id=audit_id, cause=cause, user=viewer.user)
        messages.success(request, "Taken back.")
    else:
        review_cause(audit_id=audit_id, cause=cause, verdict=verdict, user=viewer.user)
        messages.success(request, f"Noted: {verdict}.")
    return redirect(back_to(request, reverse("pages:audit", args=[audit_id])))


@page("POST")
def verify(request: HttpRequest, viewer: Viewer, audit_id: int) -> HttpResponse:
    """Run the audit again from what is stored now, and compare."""
    readable(InsightAudit.objects.all(), user=viewer.user, pk=audit_id)
    found = verify_audit(audit_id=audit_id)
    if found.mismatches:
        messages.error(request, f"Not the same: {found.mismatches[0]['reason']}.")
    elif found.verified:
        messages.success(request, "Verified: the same inputs give the same evidence.")
    elif found.stale:
        messages.warning(request, "Its rule or its candles changed since. Judge it again.")
    else:
        messages.warning(request, "Judged by another engine version, which cannot be compared.")
    return redirect(back_to(request, reverse("pages:audit", args=[audit_id])))


def back_to(request: HttpRequest, fallback: str) -> str:
    """Where a form asks to return to, if that is on this site."""
    target = request.POST.get("next", "")
    safe = url_has_allowed_host_and_scheme(
        target, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return target if safe else fallback
