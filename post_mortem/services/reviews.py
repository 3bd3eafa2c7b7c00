"""A person's word on one cause of one audit, which can be taken back."""

from __future__ import annotations

from typing import Any

from django.db import transaction

from post_mortem.models import CauseReview, InsightAudit
from post_mortem.selectors.access import writable
from trading.core.errors import NotFoundError, UserError


@transaction.atomic
def review_cause(*, audit_id: int, cause: str, verdict: str, user: Any) -> CauseReview:
    """Confirm or reject a cause that the audit shows; the newest word of a person counts. The
    posterior that was shown is kept with it.

    Raises `NotFoundError` (absent or foreign audit), `UserError` `bad_verdict`, `cause_not_shown`,
    `not_permitted`.
    """
    if verdict not in CauseReview.Verdict.values:
        allowed = " or ".join(CauseReview.Verdict.values)
        raise UserError("bad_verdict", f"A verdict is {allowed}.", field="verdict")
    audit = writable(InsightAudit.objects.all(), user=user, pk=audit_id)
    shown = audit.causes.filter(cause=cause).first()
    if shown is None:
        raise UserError("cause_not_shown", "This audit does not name that cause.", field="cause")
    review, _ = CauseReview.objects.update_or_create(
        audit=audit,
        cause=cause,
        user=user,
        defaults={"verdict": verdict, "posterior": shown.posterior},
    )
    return review


@transaction.atomic
def undo_review(*, audit_id: int, cause: str, user: Any) -> None:
    """Take back this user's own word. Raises `NotFoundError` when there is none."""
    audit = writable(InsightAudit.objects.all(), user=user, pk=audit_id)
    deleted, _ = CauseReview.objects.filter(audit=audit, cause=cause, user=user).delete()
    if not deleted:
        raise NotFoundError("not_found", "You have not reviewed this cause.")
