"""How a recommendation is changed: at the version that was read, with its history, and back.

Every change is one conditional update, one history row that says what was before and after, and
what follows for its measurement: becoming implemented freezes a plan, ceasing to be ends it, and
another scope while implemented does both.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, Final

from django.contrib.auth import get_user_model

from post_mortem.core.scope import check as checked_scope
from post_mortem.models import (
    MeasurementPlan,
    RecommendationHistory,
    RecommendationOccurrence,
    RecommendationTracking,
)
from post_mortem.selectors.recommendations import people_of
from trading.core.errors import ConflictError, UserError

from .impact_plans import end_plan, resume_plan, start_plan

Status = RecommendationTracking.Status
End = MeasurementPlan.End

MAX_NOTES: Final = 5_000
MAX_HOURS: Final = 10_000
MAX_CLAIM_R: Final = 20.0
MAX_NAME: Final = 100
# What a person may set, and the column it is kept in.
FIELDS: Final[Mapping[str, str]] = {
    "status": "implementation_status",
    "notes": "notes",
    "owner": "owner_id",
    "due_date": "due_date",
    "effort_hours": "effort_hours",
    "claimed_effect_r": "claimed_effect_r",
    "claimed_by": "claimed_by",
    "scope": "scope",
}
_OCCURRENCES = "occurrences"


def checked(changes: Mapping[str, Any]) -> dict[str, Any]:
    """The columns to set. Raises UserError naming the field: `bad_status`, `bad_notes`,
    `bad_due_date`, `bad_effort`, `bad_claim`, `bad_scope`, `unknown_field`."""
    result = {}
    for name, value in changes.items():
        if name not in FIELDS:
            raise UserError("unknown_field", f"A recommendation has no {name!r} to set.")
        test = _CHECKS.get(name)
        result[FIELDS[name]] = test(value) if test else value
    return result


def write(
    row: RecommendationTracking,
    version: int,
    values: Mapping[str, Any],
    *,
    user: Any,
    now: datetime,
    batch: str = "",
    moved: Mapping[str, Any] | None = None,
    undone: RecommendationHistory | None = None,
) -> RecommendationTracking:
    """Set columns of the row read at `version`. `moved` are occurrences that changed hands,
    `undone` is the change that this one takes back. Raises ConflictError `version_stale`."""
    if row.version != version:
        raise stale()
    before = {name: getattr(row, name) for name in values}
    values = _dated(row, _with_owner(row, values), now)
    was, scope = row.implementation_status, dict(row.scope)
    # The condition is in the statement: of all who read this version, one changes the row.
    changed = RecommendationTracking.objects.filter(pk=row.pk, version=version).update(
        **values, version=version + 1, updated_at=now
    )
    if not changed:
        raise stale()
    before["implementation_date"] = row.implementation_date
    row.refresh_from_db()
    _measure(row, was, scope, user=user, now=now, undone=undone)
    _record(row, was, before, moved or {}, user=user, now=now, batch=batch)
    return row


def stale() -> ConflictError:
    detail = "This recommendation was changed since it was read. Read it again."
    return ConflictError("version_stale", detail, field="version")


def values_before(change: RecommendationHistory) -> dict[str, Any]:
    """The columns as they were before a change, ready to be written."""
    return {
        name: _read(name, pair[0]) for name, pair in change.changes.items() if name != _OCCURRENCES
    }


def move_occurrences(change: RecommendationHistory) -> dict[str, Any]:
    """Give back what a change moved; returns what this in turn moved."""
    moved = change.changes.get(_OCCURRENCES)
    if not moved:
        return {}
    source, target, ids = moved["to"], moved["from"], moved["ids"]
    return move(ids, source, target)


def move(ids: list[int], source: int, target: int) -> dict[str, Any]:
    """Move occurrences from one recommendation to another. One that the target has from the same
    analysis stays where it is."""
    there = RecommendationOccurrence.objects.filter(recommendation=target)
    known = set(there.exclude(analysis=None).values_list("analysis", flat=True))
    mine = RecommendationOccurrence.objects.filter(pk__in=ids, recommendation=source)
    chosen = [o.pk for o in mine if o.analysis_id is None or o.analysis_id not in known]
    RecommendationOccurrence.objects.filter(pk__in=chosen).update(recommendation=target)
    return {_OCCURRENCES: {"from": source, "to": target, "ids": sorted(chosen)}}


# --- what follows from a change -------------------------------------------------------------------
def _dated(row: RecommendationTracking, values: dict[str, Any], now: datetime) -> dict[str, Any]:
    status = values.get("implementation_status", row.implementation_status)
    if status != Status.IMPLEMENTED:
        return {**values, "implementation_date": None}
    # A new note on what is already implemented does not move the day it is measured from.
    moved = "scope" in values and values["scope"] != row.scope
    kept = None if moved else row.implementation_date
    return {**values, "implementation_date": values.get("implementation_date") or kept or now}


def _measure(
    row: RecommendationTracking,
    was: str,
    scope: Mapping[str, Any],
    *,
    user: Any,
    now: datetime,
    undone: RecommendationHistory | None,
) -> None:
    is_on = row.implementation_status == Status.IMPLEMENTED and row.merged_into_id is None
    running = row.measurement_plans.filter(ended_at=None).exists()
    if not is_on:
        end_plan(row=row, reason=End.MERGED if row.merged_into_id else End.LEFT, now=now)
    elif not running or dict(row.scope) != scope:
        if undone and resume_plan(row=row, ended_at=undone.created_at, now=now):
            return
        start_plan(row=row, user=user, now=now)
        if row.implementation_date != now:
            # The clock runs from what is measured, not from a day that was left meanwhile.
            RecommendationTracking.objects.filter(pk=row.pk).update(implementation_date=now)
            row.implementation_date = now


def _record(
    row: RecommendationTracking,
    was: str,
    before: Mapping[str, Any],
    moved: Mapping[str, Any],
    *,
    user: Any,
    now: datetime,
    batch: str,
) -> None:
    pairs = {name: [_plain(value), _plain(getattr(row, name))] for name, value in before.items()}
    changes = {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
    made = RecommendationHistory.objects.create(
        recommendation=row,
        version=row.version,
        from_status=was,
        to_status=row.implementation_status,
        notes=row.notes,
        changes={**changes, **moved},
        batch=batch,
        user=user,
    )
    # The field takes the wall clock when a row is added; `now` is the time of this change.
    RecommendationHistory.objects.filter(pk=made.pk).update(created_at=now)


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date | datetime) else value


def _read(name: str, value: Any) -> Any:
    """A value of the history as its column takes it. Who is gone since stays gone."""
    if value is None:
        return None
    if name == "implementation_date":
        return datetime.fromisoformat(value)
    if name == "due_date":
        return date.fromisoformat(value)
    if name == "owner_id" and not get_user_model()._default_manager.filter(pk=value).exists():
        return None
    if name == "merged_into_id":
        rows = RecommendationTracking.objects.filter(pk=value, merged_into=None)
        return value if rows.exists() else None
    return value


# --- checks ---------------------------------------------------------------------------------------
def _status(value: Any) -> str:
    if value not in Status.values:
        allowed = ", ".join(Status.values)
        raise UserError("bad_status", f"A status is one of {allowed}.", field="status")
    return str(value)


def _notes(value: Any) -> str:
    if not isinstance(value, str) or len(value) > MAX_NOTES:
        raise UserError("bad_notes", f"Notes are at most {MAX_NOTES} characters.", field="notes")
    return value


def _due(value: Any) -> date | None:
    good = value is None or (isinstance(value, date) and 2000 <= value.year < 2100)
    if not good or isinstance(value, datetime):
        raise UserError("bad_due_date", "A due date is a day from 2000 to 2099.", field="due_date")
    return None if value is None else date(value.year, value.month, value.day)


def _number(name: str, code: str, least: float, most: float, said: str) -> Any:
    def check(value: Any) -> float | None:
        if value is None:
            return None
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not math.isfinite(value) or not least <= value <= most:
            raise UserError(code, said, field=name)
        # Adding zero makes the negative zero, which jsonb does not keep, a plain one.
        return float(value) + 0.0

    return check


def _claimed_by(value: Any) -> str:
    if not isinstance(value, str) or len(value) > MAX_NAME:
        raise UserError(
            "bad_claim", f"A name of at most {MAX_NAME} characters.", field="claimed_by"
        )
    return value


def _owner(value: Any) -> int | str | None:
    if value is None or isinstance(value, str):
        return value
    return int(value.pk)


def _with_owner(row: RecommendationTracking, values: Mapping[str, Any]) -> dict[str, Any]:
    """An owner, given by id or name, is somebody of the desk; a stranger and nobody get the same
    answer."""
    owner = values.get("owner_id")
    if owner is None or owner == row.owner_id:
        return dict(values)
    by = {"username": owner} if isinstance(owner, str) else {"pk": owner}
    found = people_of(row.account).filter(**by).values_list("pk", flat=True).first()
    if found is None:
        raise UserError("bad_owner", "An owner is somebody of this desk.", field="owner")
    return {**values, "owner_id": found}


_CHECKS: Final[Mapping[str, Any]] = {
    "status": _status,
    "notes": _notes,
    "owner": _owner,
    "due_date": _due,
    "effort_hours": _number(
        "effort_hours", "bad_effort", 0, MAX_HOURS, f"Hours of work: 0 to {MAX_HOURS:,}."
    ),
    "claimed_effect_r": _number(
        "claimed_effect_r", "bad_claim", -MAX_CLAIM_R, MAX_CLAIM_R,
        f"A claimed effect is R a trade, at most {MAX_CLAIM_R:g} either way.",
    ),
    "claimed_by": _claimed_by,
    "scope": checked_scope,
}  # fmt: skip
