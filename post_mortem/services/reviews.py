"""A person's word on one cause of one audit, which can be taken back.

Whoever may see an audit may review it: its owner, and from reviewer up those of the desk.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction

from post_mortem.core.types import CAUSES
from post_mortem.models import AuditHistory, CauseReview, InsightAudit
from post_mortem.selectors.access import readable
from trading.core.errors import ConflictError, NotFoundError, UserError

Verdict = CauseReview.Verdict


@transaction.atomic
def review_cause(
    *,
    audit_id: int,
    cause: str,
    verdict: str,
    user: Any,
    now: datetime,
    evidence_hash: str | None = None,
) -> CauseReview:
    """Confirm or reject a cause that the audit shows, or name the one that it was: `named` takes
    any of the eleven, `unknown` meaning none of those shown. The newest word of a person counts,
    and a person names one cause. What was shown is kept with it. `evidence_hash` is
    of the evidence that was read, None for today's.

    Raises `NotFoundError` (absent or foreign audit), `ConflictError` `version_stale` (the evidence
    is another one by now), `UserError` `bad_verdict`, `unknown_cause`, `cause_not_shown`.
    """
    if verdict not in Verdict.values:
        allowed = " or ".join(Verdict.values)
        raise UserError("bad_verdict", f"A verdict is {allowed}.", field="verdict")
    if cause not in CAUSES:
        raise UserError("unknown_cause", "There is no such cause.", field="cause")
    # No run may write other evidence between this comparison and the review.
    rows = InsightAudit.objects.select_for_update(of=("self",))
    audit = readable(rows, user=user, pk=audit_id)
    if evidence_hash not in (None, audit.evidence_hash):
        detail = "This audit was judged again since it was read. Read it again."
        raise ConflictError("version_stale", detail, field="evidence_hash")
    shown = audit.causes.filter(cause=cause).first()
    if shown is None and verdict != Verdict.NAMED:
        raise UserError("cause_not_shown", "This audit does not name that cause.", field="cause")
    mine = CauseReview.objects.filter(audit=audit, user=user)
    before = mine.filter(cause=cause).first()
    if verdict == Verdict.NAMED:
        mine.filter(verdict=Verdict.NAMED).exclude(cause=cause).delete()
    review, _ = CauseReview.objects.update_or_create(
        audit=audit,
        cause=cause,
        user=user,
        defaults={
            "verdict": verdict,
            "posterior": shown.posterior if shown else 0.0,
            "evidence_hash": audit.evidence_hash,
        },
    )
    _remember(audit, cause, before, verdict, user, now)
    return review


@transaction.atomic
def undo_review(*, audit_id: int, cause: str, user: Any, now: datetime) -> None:
    """Take back this user's own word. Raises `NotFoundError` when there is none."""
    audit = readable(InsightAudit.objects.all(), user=user, pk=audit_id)
    before = CauseReview.objects.filter(audit=audit, cause=cause, user=user).first()
    if before is None:
        raise NotFoundError("not_found", "You have not reviewed this cause.")
    before.delete()
    _remember(audit, cause, before, None, user, now)


def _remember(
    audit: InsightAudit,
    cause: str,
    before: CauseReview | None,
    verdict: str | None,
    user: Any,
    now: datetime,
) -> None:
    AuditHistory.objects.create(
        audit=audit,
        action=AuditHistory.Action.REVIEWED,
        before={"cause": cause, "verdict": before.verdict if before else None},
        after={"cause": cause, "verdict": verdict},
        user=user,
        created_at=now,
    )
