"""What people do with an audit: flag it, give it to somebody, note, settle, override its label.

The engine's own label and evidence are never touched. Every change names the version that was read
and succeeds for one of those who read it; a run that changes what was read raises the version too.
Every change is a row of history, and an override can be taken back to what stood before it. Whoever
may see an audit may do all this.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.contrib.auth import get_user_model
from django.db import transaction
from django.db.models import Q

from post_mortem.models import AuditHistory, InsightAudit
from post_mortem.selectors.access import readable
from trading.core.errors import ConflictError, UserError
from trading.models import Membership, Role

Action = AuditHistory.Action
Outcome = InsightAudit.Outcome

MAX_NOTES: Final = 5_000
MAX_REASON: Final = 1_000
# What a person may say instead; pending and needs_review are states of the engine.
LABELS: Final[Mapping[str, int]] = {
    Outcome(value).label: value
    for value in (Outcome.SUCCEEDED, Outcome.FAILED, Outcome.NEUTRAL, Outcome.FILTERED_OUT)
}
_OVERRIDE = ("override_outcome", "override_reason", "override_input_hash", "overridden_by_id")


@dataclass(frozen=True, slots=True)
class _Change:
    action: str
    fields: Mapping[str, Any]
    before: Mapping[str, Any]
    after: Mapping[str, Any]


@transaction.atomic
def flag(*, audit_id: int, flagged: bool, version: int, user: Any, now: datetime) -> InsightAudit:
    """Put an audit into the queue by hand, or take the flag off."""

    def change(audit: InsightAudit) -> _Change:
        action = Action.FLAGGED if flagged else Action.UNFLAGGED
        fields = {"is_flagged": flagged} | ({"settled_hash": ""} if flagged else {})
        return _Change(action, fields, {"flagged": audit.is_flagged}, {"flagged": flagged})

    return _changed(audit_id, version, user, now, change)


@transaction.atomic
def assign(
    *, audit_id: int, reviewer: str | None, version: int, user: Any, now: datetime
) -> InsightAudit:
    """Give an audit to somebody by name (None: to nobody). Raises also `UserError` `bad_reviewer`
    for who may not see it."""

    def change(audit: InsightAudit) -> _Change:
        chosen = None if reviewer is None else _reviewer(audit, reviewer)
        before = audit.reviewer.get_username() if audit.reviewer else None
        return _Change(
            Action.ASSIGNED,
            {"reviewer_id": chosen},
            {"reviewer": before},
            {"reviewer": reviewer},
        )

    return _changed(audit_id, version, user, now, change)


@transaction.atomic
def note(*, audit_id: int, notes: str, version: int, user: Any, now: datetime) -> InsightAudit:
    """Replace the notes. Raises also `UserError` `bad_notes`."""
    if len(notes) > MAX_NOTES:
        raise UserError("bad_notes", f"Notes are at most {MAX_NOTES} characters.", field="notes")

    def change(audit: InsightAudit) -> _Change:
        return _Change(
            Action.NOTED,
            {"reviewer_notes": notes},
            {"notes": audit.reviewer_notes},
            {"notes": notes},
        )

    return _changed(audit_id, version, user, now, change)


@transaction.atomic
def settle(*, audit_id: int, settled: bool, version: int, user: Any, now: datetime) -> InsightAudit:
    """Say that somebody has looked at it, so it leaves the queue until its evidence changes; or
    take that back."""

    def change(audit: InsightAudit) -> _Change:
        before = {"settled": bool(audit.settled_hash), "flagged": audit.is_flagged}
        if not settled:
            opened = {"settled_hash": "", "reviewed_at": None}
            return _Change(Action.REOPENED, opened, before, {"settled": False})
        fields = {"settled_hash": audit.evidence_hash, "reviewed_at": now, "is_flagged": False}
        return _Change(Action.SETTLED, fields, before, {"settled": True, "flagged": False})

    return _changed(audit_id, version, user, now, change)


@transaction.atomic
def override(
    *, audit_id: int, outcome: str, reason: str, version: int, user: Any, now: datetime
) -> InsightAudit:
    """Put a person's label beside the engine's, with its reason. Statistics count it.

    Raises also `UserError` `bad_outcome`, `bad_reason`, `same_outcome`.
    """
    if outcome not in LABELS:
        raise UserError("bad_outcome", f"A label is one of {', '.join(LABELS)}.", field="outcome")
    why = reason.strip()
    if not 3 <= len(why) <= MAX_REASON:
        raise UserError("bad_reason", f"Say why, in 3 to {MAX_REASON} characters.", field="reason")

    def change(audit: InsightAudit) -> _Change:
        if audit.override_outcome is None and audit.outcome == LABELS[outcome]:
            raise UserError("same_outcome", f"The engine says {outcome} as well.", field="outcome")
        fields = {
            "override_outcome": LABELS[outcome],
            "override_reason": why,
            "override_input_hash": audit.input_hash,
            "overridden_by_id": user.pk,
            "overridden_at": now,
        }
        return _Change(Action.OVERRIDDEN, fields, _standing(audit), _written(fields))

    return _changed(audit_id, version, user, now, change)


@transaction.atomic
def undo_override(*, audit_id: int, version: int, user: Any, now: datetime) -> InsightAudit:
    """Put back the label from before the last override: an earlier override, or the engine's own.
    Undoing again brings it back. Raises also `ConflictError` `nothing_to_undo`."""

    def change(audit: InsightAudit) -> _Change:
        last = audit.history.filter(action__in=(Action.OVERRIDDEN, Action.OVERRIDE_UNDONE)).first()
        if last is None:
            raise ConflictError("nothing_to_undo", "This label was never overridden.")
        back = dict(last.before)
        at = back["overridden_at"]
        fields = back | {"overridden_at": None if at is None else datetime.fromisoformat(at)}
        if not get_user_model()._default_manager.filter(pk=back["overridden_by_id"]).exists():
            fields["overridden_by_id"] = None
        return _Change(Action.OVERRIDE_UNDONE, fields, _standing(audit), back)

    return _changed(audit_id, version, user, now, change)


def _standing(audit: InsightAudit) -> dict[str, Any]:
    return _written({name: getattr(audit, name) for name in (*_OVERRIDE, "overridden_at")})


def _written(fields: Mapping[str, Any]) -> dict[str, Any]:
    at = fields["overridden_at"]
    return {**fields, "overridden_at": None if at is None else at.isoformat()}


def _reviewer(audit: InsightAudit, name: str) -> int:
    for pk, username in reviewers_of(audit):
        if username == name:
            return pk
    raise UserError("bad_reviewer", "Nobody of this name reviews for this desk.", field="reviewer")


def reviewers_of(audit: InsightAudit) -> list[tuple[int, str]]:
    """(id, name) of everybody who may review an audit: its owner, and the desk's reviewers."""
    account = audit.account
    rows = Membership.objects.filter(
        Q(role__gte=Role.REVIEWER) | Q(user=account.owner_id),
        desk=account.desk_id,
        user__is_active=True,
    )
    found = dict(rows.values_list("user", "user__username"))
    found[account.owner_id] = account.owner.get_username()
    return sorted(found.items(), key=lambda each: each[1])


def _changed(
    audit_id: int,
    version: int,
    user: Any,
    now: datetime,
    change: Callable[[InsightAudit], _Change],
) -> InsightAudit:
    """Raises `NotFoundError` (absent or foreign), `ConflictError` `version_stale`."""
    audit: InsightAudit = readable(
        InsightAudit.objects.select_related("account__owner", "reviewer"), user=user, pk=audit_id
    )
    if audit.review_version != version:
        raise _stale()
    made = change(audit)
    # The condition is in the statement: of all who read this version, one changes the row.
    mine = InsightAudit.objects.filter(pk=audit.pk, review_version=version)
    if not mine.update(review_version=version + 1, **made.fields):
        raise _stale()
    AuditHistory.objects.create(
        audit=audit,
        action=made.action,
        before=dict(made.before),
        after=dict(made.after),
        user=user,
        created_at=now,
    )
    audit.refresh_from_db()
    return audit


def _stale() -> ConflictError:
    detail = "This audit was reviewed or judged again since it was read. Read it again."
    return ConflictError("version_stale", detail, field="version")
