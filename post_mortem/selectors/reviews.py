"""The queue of audits that a person should look at, and what people did with one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, F, Q
from django.db.models.functions import Coalesce

from post_mortem.core.review import REASON_WORDS, ReviewReason, reasons_in
from post_mortem.core.types import CAUSE_LABELS
from post_mortem.models import AuditHistory, CauseReview, InsightAudit
from trading.core.errors import UserError
from trading.models import OwnedQuerySet

Verdict = CauseReview.Verdict

PAGE_SIZE = 50
# A cause believed this much and rejected by a person says that the curves or the person are off.
DISPUTED_FROM = 0.8
# Reason in a URL -> what it says.
REASONS: Mapping[str, str] = {
    **{str(reason.name).lower(): REASON_WORDS[reason] for reason in ReviewReason},
    "disputed": "cause disputed",
    "flagged": "flagged by hand",
}
MINE, NOBODY = "me", "nobody"


def disputed_audits() -> Any:
    """Ids of audits with a strong cause that was rejected, or one that is both confirmed and
    rejected."""
    rejected = CauseReview.objects.filter(verdict=Verdict.REJECTED)
    torn = (
        CauseReview.objects.exclude(verdict=Verdict.NAMED)
        .order_by()
        .values("audit", "cause")
        .annotate(n=Count("verdict", distinct=True))
        .filter(n__gt=1)
    )
    return Q(pk__in=rejected.filter(posterior__gte=DISPUTED_FROM).values("audit")) | Q(
        pk__in=torn.values("audit")
    )


def to_review(
    rows: OwnedQuerySet, *, reason: str = "", assigned: str = "", user: Any = None
) -> OwnedQuerySet:
    """Those of `rows` that wait for a person: for one reason only, or of one reviewer (`me`,
    `nobody`). An audit that was settled comes back when its evidence changes."""
    unsettled = ~Q(settled_hash=F("evidence_hash"))
    waiting = Q(is_flagged=True) | (Q(needs_manual_review=True) | disputed_audits()) & unsettled
    rows = rows.filter(waiting)
    if reason:
        rows = rows.filter(_of_reason(reason))
    if assigned == MINE:
        rows = rows.filter(reviewer=user)
    elif assigned == NOBODY:
        rows = rows.filter(reviewer=None)
    elif assigned:
        raise UserError("filter", f"one of {MINE}, {NOBODY}", field="assigned")
    return rows


def _of_reason(reason: str) -> Q:
    if reason == "flagged":
        return Q(is_flagged=True)
    if reason == "disputed":
        return disputed_audits()
    if reason not in REASONS:
        raise UserError("filter", f"one of {', '.join(REASONS)}", field="reason")
    bits = int(ReviewReason[reason.upper()])
    marked = InsightAudit.objects.annotate(bits=F("review_reasons").bitand(bits))
    # Few rows are marked: they are found by the index of the queue.
    return Q(pk__in=marked.filter(needs_manual_review=True, bits__gt=0).values("pk"))


def in_order(rows: OwnedQuerySet) -> OwnedQuerySet:
    """What cannot be judged before what lost most; the latest first among equals."""
    return rows.order_by(F("r_multiple").asc(nulls_first=True), "-entry_time", "-pk")


@dataclass(frozen=True, slots=True)
class Waiting:
    """One row of the queue."""

    audit: InsightAudit
    reasons: tuple[str, ...]
    cause: Any  # the cause ranked first, None without one
    mine: str  # the reader's verdict on it


def queue_page(rows: OwnedQuerySet, *, user: Any, start: int) -> list[Waiting]:
    """PAGE_SIZE rows from `start`."""
    ids = list(in_order(rows).values_list("pk", flat=True)[start : start + PAGE_SIZE])
    found = InsightAudit.objects.filter(pk__in=ids).defer("record")
    found = found.select_related("signal__instrument", "trade", "account", "reviewer")
    audits = {audit.pk: audit for audit in found.prefetch_related("causes")}
    said = CauseReview.objects.filter(audit__in=ids, user=user)
    mine = {(r.audit_id, r.cause): r.verdict for r in said}
    disputed = set(
        InsightAudit.objects.filter(disputed_audits(), pk__in=ids).values_list("pk", flat=True)
    )
    return [_waiting(audits[pk], pk in disputed, mine) for pk in ids if pk in audits]


def _waiting(audit: InsightAudit, disputed: bool, mine: Mapping[tuple[int, str], str]) -> Waiting:
    cause = next(iter(audit.causes.all()), None)
    said = mine.get((audit.pk, cause.cause), "") if cause else ""
    return Waiting(audit, reasons_for(audit, disputed=disputed), cause, said)


def reasons_for(audit: InsightAudit, *, disputed: bool) -> tuple[str, ...]:
    """Why it waits, in words."""
    words = [REASON_WORDS[reason] for reason in reasons_in(audit.review_reasons)]
    words += [REASONS["disputed"]] * disputed + [REASONS["flagged"]] * audit.is_flagged
    return tuple(words)


def final_outcome(path: str = "") -> Coalesce:
    """The label in force as an expression: a person's, else the engine's."""
    return Coalesce(F(f"{path}override_outcome"), F(f"{path}outcome"))


# --- one audit ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Deed:
    """One row of history in words."""

    text: str
    who: str
    at: Any


def history_of(audit: InsightAudit, limit: int = 100) -> tuple[Deed, ...]:
    rows: Sequence[AuditHistory] = audit.history.select_related("user")[:limit]
    return tuple(
        Deed(told(row), row.user.get_username() if row.user else "somebody", row.created_at)
        for row in rows
    )


def told(row: AuditHistory) -> str:
    """'label set to neutral, was failed: the feed spiked'."""
    after, before = row.after, row.before
    action = AuditHistory.Action(row.action)
    if action in (AuditHistory.Action.OVERRIDDEN, AuditHistory.Action.OVERRIDE_UNDONE):
        return _label_told(row)
    if action == AuditHistory.Action.ASSIGNED:
        return f"assigned to {after['reviewer']}" if after["reviewer"] else "assigned to nobody"
    if action == AuditHistory.Action.NOTED:
        return "changed the notes"
    if action == AuditHistory.Action.REVIEWED:
        cause = CAUSE_LABELS.get(after["cause"], after["cause"]).lower()
        if after["verdict"] is None:
            return f"took back: {before['verdict']} {cause}"
        none = after["cause"] == "unknown" and after["verdict"] == Verdict.NAMED
        return "named none of these" if none else f"{after['verdict']} {cause}"
    return str(action.value)


def _label_told(row: AuditHistory) -> str:
    def name(values: Mapping[str, Any]) -> str:
        value = values["override_outcome"]
        return "the engine’s" if value is None else InsightAudit.Outcome(value).label

    change = f"label set to {name(row.after)}, was {name(row.before)}".replace("_", " ")
    reason = row.after["override_reason"]
    if row.action == AuditHistory.Action.OVERRIDE_UNDONE:
        return f"undid: {change}"
    return f"{change}: {reason}"
