"""Tracked advice: merged from narratives, changed only by people.

A change names the `version` it was read at and succeeds for exactly one of those who read the same
version. What people decided and wrote is never touched by a later analysis.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.db import transaction

from post_mortem.core.advice import advice_key
from post_mortem.models import (
    RecommendationHistory,
    RecommendationOccurrence,
    RecommendationTracking,
    TradeAnalysis,
)
from post_mortem.selectors.access import writable
from trading.core.errors import ConflictError, NotFoundError, UserError

Status = RecommendationTracking.Status

MAX_NOTES: Final = 5_000
MAX_BULK: Final = 500
# Marks that cite the evidence of one audit mean nothing in advice that outlives it.
_CITATIONS: Final = re.compile(r"\s*\[E\d+\](?:\s*\[E\d+\])*")


@dataclass(frozen=True, slots=True)
class BulkResult:
    """What became of every recommendation named in a bulk change."""

    changed: tuple[RecommendationTracking, ...]
    stale: tuple[int, ...]
    refused: tuple[int, ...]
    missing: tuple[int, ...]


@transaction.atomic
def track(
    *,
    recommendation_id: int,
    status: str,
    notes: str | None,
    version: int,
    user: Any,
    now: datetime,
) -> RecommendationTracking:
    """Set status and notes (None keeps them) of the recommendation read at `version`.

    Returns the row with its new version. Raises `NotFoundError` (absent or foreign),
    `ConflictError` `version_stale` (somebody else changed it), `UserError` `bad_status`,
    `bad_notes`, `not_permitted`.
    """
    _check(status, notes)
    row = writable(RecommendationTracking.objects.all(), user=user, pk=recommendation_id)
    text = row.notes if notes is None else notes
    date = _implementation_date(row, status, now)
    return _change(row, version, status=status, notes=text, date=date, user=user, now=now)


@transaction.atomic
def undo_last(
    *, recommendation_id: int, version: int, user: Any, now: datetime
) -> RecommendationTracking:
    """Put back status, notes and date from before the last change. Undoing is itself a change:
    it is recorded, and undoing again brings the change back.

    Raises as `track`, and `ConflictError` `nothing_to_undo`.
    """
    row = writable(RecommendationTracking.objects.all(), user=user, pk=recommendation_id)
    history = list(RecommendationHistory.objects.filter(recommendation=row).order_by("-version"))
    if not history:
        raise ConflictError("nothing_to_undo", "This recommendation was never changed.")
    last, earlier = history[0], history[1:]
    status = last.from_status
    date = _date_implemented(earlier) if status == Status.IMPLEMENTED else None
    text = earlier[0].notes if earlier else ""
    return _change(row, version, status=status, notes=text, date=date, user=user, now=now)


@transaction.atomic
def track_many(*, versions: Mapping[int, int], status: str, user: Any, now: datetime) -> BulkResult:
    """Set one status on many recommendations, given as id -> version read. Each one succeeds or
    not by itself; notes stay. Raises `UserError` `bad_status`, `too_many_ids`."""
    _check(status, None)
    if len(versions) > MAX_BULK:
        raise UserError("too_many_ids", f"At most {MAX_BULK} recommendations at once.")
    changed: list[RecommendationTracking] = []
    stale: list[int] = []
    refused: list[int] = []
    missing: list[int] = []
    # In one order for everybody, so that two bulk changes never wait for each other.
    for pk, version in sorted(versions.items()):
        try:
            row = track(
                recommendation_id=pk, status=status, notes=None, version=version, user=user, now=now
            )
        except NotFoundError:
            missing.append(pk)
        except ConflictError:
            stale.append(pk)
        except UserError:
            refused.append(pk)
        else:
            changed.append(row)
    return BulkResult(tuple(changed), tuple(stale), tuple(refused), tuple(missing))


def merge_opportunities(
    *, analysis: TradeAnalysis, opportunities: Sequence[Mapping[str, Any]]
) -> list[RecommendationTracking]:
    """Track the opportunities of one narrative; see `merge_many`. Returns them in given order."""
    return merge_many(found=[(analysis, opportunities)])[analysis.pk]


@transaction.atomic
def merge_many(
    *, found: Iterable[tuple[TradeAnalysis, Sequence[Mapping[str, Any]]]]
) -> dict[int, list[RecommendationTracking]]:
    """Track the opportunities of narratives: one recommendation an account and advice, one
    occurrence an analysis and recommendation. Running it again changes nothing. Occurrences that
    an analysis no longer names are dropped; recommendations, their status and notes stay as
    people left them.

    `found`: analyses with their opportunities (mappings with kind, area, scope, suggestion,
    expected_impact). Returns the recommendations of each analysis by its id, in given order.
    """
    pairs = [(a, {_key(o): o for o in opportunities}) for a, opportunities in found]
    existing = _existing(pairs)
    missing: dict[tuple[int, str], RecommendationTracking] = {}
    for analysis, by_key in pairs:
        for key, opportunity in by_key.items():
            place = (analysis.account_id, key)
            if place not in existing and place not in missing:
                missing[place] = _new(analysis, key, opportunity)
    if missing:
        # Another writer may have made the same ones since: both end up with one row.
        RecommendationTracking.objects.bulk_create(missing.values(), ignore_conflicts=True)
        existing = _existing(pairs)
    result = {a.pk: [existing[a.account_id, key] for key in by_key] for a, by_key in pairs}
    _link(result)
    return result


def _check(status: str, notes: str | None) -> None:
    if status not in Status.values:
        allowed = ", ".join(Status.values)
        raise UserError("bad_status", f"A status is one of {allowed}.", field="status")
    if notes is not None and len(notes) > MAX_NOTES:
        raise UserError("bad_notes", f"Notes are at most {MAX_NOTES} characters.", field="notes")


def _implementation_date(
    row: RecommendationTracking, status: str, now: datetime
) -> datetime | None:
    if status != Status.IMPLEMENTED:
        return None
    # A new note on what is already implemented does not move the day it is measured from.
    return row.implementation_date or now


def _date_implemented(history: Sequence[RecommendationHistory]) -> datetime | None:
    """When the newest unbroken run of IMPLEMENTED began. `history` is newest first."""
    date = None
    for change in history:
        if change.to_status != Status.IMPLEMENTED:
            break
        date = change.created_at
        if change.from_status != Status.IMPLEMENTED:
            break
    return date


def _change(
    row: RecommendationTracking,
    version: int,
    *,
    status: str,
    notes: str,
    date: datetime | None,
    user: Any,
    now: datetime,
) -> RecommendationTracking:
    before = row.implementation_status
    if row.version != version:
        raise _stale()
    # The condition is in the statement: of all who read this version, one changes the row.
    changed = RecommendationTracking.objects.filter(pk=row.pk, version=version).update(
        implementation_status=status,
        implementation_date=date,
        notes=notes,
        version=version + 1,
        updated_at=now,
    )
    if not changed:
        raise _stale()
    made = RecommendationHistory.objects.create(
        recommendation=row,
        version=version + 1,
        from_status=before,
        to_status=status,
        notes=notes,
        user=user,
    )
    # The field takes the wall clock when a row is added; `now` is the time of this change.
    RecommendationHistory.objects.filter(pk=made.pk).update(created_at=now)
    row.refresh_from_db()
    return row


def _stale() -> ConflictError:
    detail = "This recommendation was changed since it was read. Read it again."
    return ConflictError("version_stale", detail, field="version")


def _key(opportunity: Mapping[str, Any]) -> str:
    return advice_key(opportunity["kind"], opportunity["area"], opportunity["scope"])


def _existing(
    pairs: Iterable[tuple[TradeAnalysis, Mapping[str, Any]]],
) -> dict[tuple[int, str], RecommendationTracking]:
    accounts = {analysis.account_id for analysis, _ in pairs}
    keys = {key for _, by_key in pairs for key in by_key}
    rows = RecommendationTracking.objects.filter(account__in=accounts, advice_key__in=keys)
    return {(row.account_id, row.advice_key): row for row in rows}


def _new(
    analysis: TradeAnalysis, key: str, opportunity: Mapping[str, Any]
) -> RecommendationTracking:
    return RecommendationTracking(
        account_id=analysis.account_id,
        advice_key=key,
        kind=opportunity["kind"],
        area=opportunity["area"],
        scope=dict(opportunity["scope"]),
        recommendation=_CITATIONS.sub("", opportunity["suggestion"]),
        expected_impact=_CITATIONS.sub("", opportunity.get("expected_impact", "")),
        trade_analysis=analysis,
    )


def _link(wanted: Mapping[int, Sequence[RecommendationTracking]]) -> None:
    pairs = {(pk, row.pk) for pk, rows in wanted.items() for row in rows}
    linked = RecommendationOccurrence.objects.filter(analysis__in=wanted)
    there = {(o.analysis_id, o.recommendation_id): o.pk for o in linked}
    dropped = [pk for pair, pk in there.items() if pair not in pairs]
    if dropped:
        RecommendationOccurrence.objects.filter(pk__in=dropped).delete()
    RecommendationOccurrence.objects.bulk_create(
        [
            RecommendationOccurrence(analysis_id=analysis, recommendation_id=recommendation)
            for analysis, recommendation in sorted(pairs - set(there))
        ],
        ignore_conflicts=True,
    )
