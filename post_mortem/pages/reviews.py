"""Reviewing audits: the queue, and what a person does with one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone

from post_mortem.core.types import CAUSE_LABELS
from post_mortem.models import CauseReview, InsightAudit
from post_mortem.selectors import reviews as selectors
from post_mortem.selectors.access import readable
from post_mortem.selectors.trade_page import Judged
from post_mortem.selectors.viewer import Viewer
from post_mortem.services import audit_reviews, reviews
from trading.core.errors import ConflictError, UserError

from .shell import back_to, page, show

_NOBODY = ""


@page()
def show_queue(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    reason, assigned = request.GET.get("reason", ""), request.GET.get("assigned", "")
    mine = InsightAudit.objects.visible_to(viewer.user)
    found = selectors.to_review(mine, reason=reason, assigned=assigned, user=viewer.user)
    number = request.GET.get("page", "1")
    paginator = Paginator(range(found.count()), selectors.PAGE_SIZE)
    at = paginator.get_page(number if number.isascii() and len(number) < 6 else 1)
    start = (at.number - 1) * selectors.PAGE_SIZE
    return show(
        request,
        viewer,
        "post_mortem/review_queue.html",
        {
            "rows": selectors.queue_page(found, user=viewer.user, start=start),
            "total": paginator.count,
            "page": at,
            "reason": reason,
            "assigned": assigned,
            "reasons": selectors.REASONS,
            "tabs": (("", "All"), (selectors.MINE, "Yours"), (selectors.NOBODY, "Nobody’s")),
        },
    )


# --- the part of an audit's page ----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ReviewPart:
    """What the page of an audit shows of its review."""

    reasons: tuple[str, ...]
    settled: bool
    labels: tuple[str, ...]  # what the label may be set to
    reviewers: tuple[str, ...]
    named: str  # the cause this reader named
    offered: tuple[tuple[str, str], ...]  # causes that could be named, with their words
    history: tuple[selectors.Deed, ...]


def review_part(judged: Judged) -> ReviewPart:
    audit = judged.audit
    disputed = InsightAudit.objects.filter(selectors.disputed_audits(), pk=audit.pk).exists()
    said = [c for c, verdict in judged.reviews.items() if verdict == CauseReview.Verdict.NAMED]
    shown = {view.cause for view in judged.evidence.ranked}
    standing = audit.override_outcome or audit.outcome
    return ReviewPart(
        reasons=selectors.reasons_for(audit, disputed=disputed),
        settled=audit.settled_hash == audit.evidence_hash,
        labels=tuple(label for label, code in audit_reviews.LABELS.items() if code != standing),
        reviewers=tuple(name for _, name in audit_reviews.reviewers_of(audit)),
        named=said[0] if said else "",
        offered=tuple((c, w) for c, w in CAUSE_LABELS.items() if c not in {*shown, "unknown"}),
        history=selectors.history_of(audit),
    )


# --- what a person does -------------------------------------------------------------------------


@page("POST")
def change(request: HttpRequest, viewer: Viewer, audit_id: int) -> HttpResponse:
    """One change of an audit's review; `action` says which. Somebody who was faster is shown, and
    nothing is overwritten unseen."""
    given = {key: str(value) for key, value in request.POST.items()}
    action = given.get("action", "")
    if action not in _ACTIONS:
        raise UserError("action", f"one of {', '.join(_ACTIONS)}", field="action")
    do, done = _ACTIONS[action](given)
    try:
        do(audit_id=audit_id, version=_version(given), user=viewer.user, now=timezone.now())
    except ConflictError as error:
        if error.code != "version_stale":
            raise
        return not_saved(request, viewer, audit_id, given)
    messages.success(request, done)
    return redirect(back_to(request, reverse("pages:audit", args=[audit_id])))


def _version(given: Mapping[str, str]) -> int:
    text = given.get("version", "")
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise UserError("version", "The version that was read is missing.", field="version")
    return int(text)


Done = tuple[Callable[..., object], str]


def _assigned(given: Mapping[str, str]) -> Done:
    name = given.get("reviewer", _NOBODY) or None
    return partial(audit_reviews.assign, reviewer=name), f"Assigned to {name or 'nobody'}."


def _overridden(given: Mapping[str, str]) -> Done:
    outcome, reason = given.get("outcome", ""), given.get("reason", "")
    said = f"Label set to {outcome.replace('_', ' ')}."
    return partial(audit_reviews.override, outcome=outcome, reason=reason), said


_ACTIONS: Mapping[str, Callable[[Mapping[str, str]], Done]] = {
    "flag": lambda given: (partial(audit_reviews.flag, flagged=True), "Flagged."),
    "unflag": lambda given: (partial(audit_reviews.flag, flagged=False), "Flag taken off."),
    "settle": lambda given: (partial(audit_reviews.settle, settled=True), "Looked at."),
    "reopen": lambda given: (partial(audit_reviews.settle, settled=False), "Open again."),
    "assign": _assigned,
    "note": lambda given: (partial(audit_reviews.note, notes=given.get("notes", "")), "Saved."),
    "override": _overridden,
    "undo": lambda given: (audit_reviews.undo_override, "Label put back."),
}


def not_saved(
    request: HttpRequest, viewer: Viewer, audit_id: int, given: Mapping[str, str]
) -> HttpResponse:
    """What somebody else did meanwhile, and the reader's own change to apply on top of it. Where it
    was judged again there is other evidence to be read first."""
    audit = readable(InsightAudit.objects.all(), user=viewer.user, pk=audit_id)
    mine = ("csrfmiddlewaretoken", "version")
    last = next(iter(selectors.history_of(audit, limit=1)), None)
    read = given.get("evidence", audit.evidence_hash)
    context: dict[str, Any] = {
        "audit": audit,
        "again": {k: v for k, v in given.items() if k not in mine},
        "typed": given.get("reason") or given.get("notes") or "",
        "last": last,
        "judged_again": (
            read != audit.evidence_hash or last is None or last.at < audit.evaluated_at
        ),
        "back": back_to(request, reverse("pages:audit", args=[audit_id])),
    }
    return show(request, viewer, "post_mortem/review_stale.html", context, status=412)


def say(
    request: HttpRequest, viewer: Viewer, audit_id: int, cause: str, verdict: str
) -> HttpResponse | None:
    """Store the reader's word on a cause; a page where other evidence was read than there is."""
    given = {key: str(value) for key, value in request.POST.items()}
    try:
        reviews.review_cause(
            audit_id=audit_id,
            cause=cause,
            verdict=verdict,
            user=viewer.user,
            now=timezone.now(),
            evidence_hash=given.get("evidence"),
        )
    except ConflictError as error:
        if error.code != "version_stale":
            raise
        return not_saved(request, viewer, audit_id, given)
    return None


@page("POST")
def name_cause(request: HttpRequest, viewer: Viewer, audit_id: int) -> HttpResponse:
    """Say what the reason was instead; nothing chosen takes it back."""
    cause = request.POST.get("cause", "")
    mine = CauseReview.objects.filter(
        audit=audit_id, user=viewer.user, verdict=CauseReview.Verdict.NAMED
    )
    if cause:
        refused = say(request, viewer, audit_id, cause, CauseReview.Verdict.NAMED)
        if refused is not None:
            return refused
        messages.success(request, "Noted.")
    elif (said := mine.first()) is not None:
        reviews.undo_review(
            audit_id=audit_id, cause=said.cause, user=viewer.user, now=timezone.now()
        )
        messages.success(request, "Taken back.")
    else:
        readable(InsightAudit.objects.all(), user=viewer.user, pk=audit_id)
    return redirect(back_to(request, reverse("pages:audit", args=[audit_id])))
