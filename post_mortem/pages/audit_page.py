"""The same page for a signal that was not traded, and what can be done with any audit."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone

from post_mortem.models import CauseReview, InsightAudit
from post_mortem.selectors.access import readable
from post_mortem.selectors.trade_page import audit_page
from post_mortem.selectors.viewer import Viewer
from post_mortem.services.requests import request_rerun
from post_mortem.services.reviews import undo_review
from post_mortem.services.verification import verify_audit

from .reviews import say
from .shell import back_to, page
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
        undo_review(audit_id=audit_id, cause=cause, user=viewer.user, now=timezone.now())
        messages.success(request, "Taken back.")
    else:
        refused = say(request, viewer, audit_id, cause, verdict)
        if refused is not None:
            return refused
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
    elif found.other_engine:
        said = "It agrees with its own record. Another engine version judged it: not run again."
        messages.warning(request, said)
    else:
        said = (
            "Could not check: another engine version wrote its record, and this one cannot read it."
        )
        messages.warning(request, said)
    return redirect(back_to(request, reverse("pages:audit", args=[audit_id])))


@page("POST")
def rerun(request: HttpRequest, viewer: Viewer, audit_id: int) -> HttpResponse:
    """Judge the signal of this audit, and its trades, once more from what is stored now."""
    job = request_rerun(user=viewer.user, audit_id=audit_id)
    there = back_to(request, reverse("pages:audit", args=[audit_id]))
    return redirect(_with_job(there, job.job_id))


@page("POST")
def rerun_stale(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    job = request_rerun(user=viewer.user)
    return redirect(reverse("pages:dashboard", query={"job": job.job_id}))


def _with_job(address: str, job_id: str) -> str:
    parts = urlsplit(address)
    query = [(key, value) for key, value in parse_qsl(parts.query) if key != "job"]
    return urlunsplit(parts._replace(query=urlencode([*query, ("job", job_id)])))
