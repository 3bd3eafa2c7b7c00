"""Tracked advice: merged from narratives, changed only by people.

A change names the `version` it was read at and succeeds for exactly one of those who read the same
version. What people decided and wrote is never touched by a later analysis. Every change can be
taken back, changes made together can be taken back together.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
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
from post_mortem.selectors.access import readable, writable
from trading.core.errors import ConflictError, NotFoundError, UserError

from .impact import request_judgement
from .tracking import checked, move, move_occurrences, values_before, write

Status = RecommendationTracking.Status

MAX_BULK: Final = 500
_BATCH_BYTES: Final = 8
# Marks that cite the evidence of one audit mean nothing in advice that outlives it.
_CITATIONS: Final = re.compile(r"\s*\[E\d+\](?:\s*\[E\d+\])*")


@dataclass(frozen=True, slots=True)
class BulkResult:
    """What became of every recommendation named in a bulk change. `batch` takes it back."""

    changed: tuple[RecommendationTracking, ...]
    stale: tuple[int, ...]
    refused: tuple[int, ...]
    missing: tuple[int, ...]
    batch: str = ""


@transaction.atomic
def track(
    *,
    recommendation_id: int,
    status: str,
    notes: str | None,
    version: int,
    user: Any,
    now: datetime,
    changes: Mapping[str, Any] | None = None,
) -> RecommendationTracking:
    """Set status and notes (None keeps them) of the recommendation read at `version`, and what
    else `changes` names (see `change`).

    Returns the row with its new version. Raises `NotFoundError` (absent or foreign),
    `ConflictError` `version_stale` (somebody else changed it), `UserError` `bad_status`,
    `bad_notes`, `not_permitted` and those of `change`.
    """
    given: dict[str, Any] = {**(changes or {}), "status": status}
    if notes is not None:
        given["notes"] = notes
    return change(
        recommendation_id=recommendation_id, changes=given, version=version, user=user, now=now
    )


@transaction.atomic
def change(
    *,
    recommendation_id: int,
    changes: Mapping[str, Any],
    version: int,
    user: Any,
    now: datetime,
    batch: str = "",
) -> RecommendationTracking:
    """Set some of status, notes, owner (a user of the desk, by
    row or name, or None), due_date, effort_hours,
    claimed_effect_r (R a trade), claimed_by and scope; what is not named stays.

    Implementing freezes a measurement plan, leaving ends it, another scope starts the next one.
    Raises as `track`, and `UserError` `bad_owner`, `bad_due_date`, `bad_effort`, `bad_claim`,
    `bad_scope`, `unknown_field`, `ConflictError` `merged` for advice that goes on as another.
    """
    values = checked(changes)
    row = writable(RecommendationTracking.objects.all(), user=user, pk=recommendation_id)
    if row.merged_into_id is not None:
        raise ConflictError("merged", "This advice was merged into another. Undo that first.")
    row = write(row, version, values, user=user, now=now, batch=batch)
    _judge_when_implemented(row, user)
    return row


@transaction.atomic
def undo_last(
    *, recommendation_id: int, version: int, user: Any, now: datetime, batch: str = ""
) -> RecommendationTracking:
    """Put back everything that the last change set. Undoing is itself a change: it is recorded,
    and undoing again brings the change back.

    Raises as `track`, and `ConflictError` `nothing_to_undo`.
    """
    row = writable(RecommendationTracking.objects.all(), user=user, pk=recommendation_id)
    last = RecommendationHistory.objects.filter(recommendation=row).order_by("-version").first()
    if last is None:
        raise ConflictError("nothing_to_undo", "This recommendation was never changed.")
    row = write(
        row,
        version,
        values_before(last),
        user=user,
        now=now,
        batch=batch,
        moved=move_occurrences(last),
        undone=last,
    )
    _judge_when_implemented(row, user)
    return row


def track_many(*, versions: Mapping[int, int], status: str, user: Any, now: datetime) -> BulkResult:
    """Set one status on many recommendations; see `change_many`."""
    return change_many(versions=versions, changes={"status": status}, user=user, now=now)


def change_many(
    *, versions: Mapping[int, int], changes: Mapping[str, Any], user: Any, now: datetime
) -> BulkResult:
    """Make one change to many recommendations, given as id -> version read. Each one succeeds or
    not by itself. Raises `UserError` `too_many_ids` and those of `change`."""
    checked(changes)

    def one(pk: int, version: int, batch: str) -> RecommendationTracking:
        return change(
            recommendation_id=pk, changes=changes, version=version, user=user, now=now, batch=batch
        )

    return _each(versions, one)


def undo_many(*, batch: str, user: Any, now: datetime) -> BulkResult:
    """Take back what was changed together, where nobody changed it since. Taking back is itself a
    change of many. Raises `NotFoundError` for a batch that is not there or not this user's."""
    mine = RecommendationTracking.objects.visible_to(user)
    rows = RecommendationHistory.objects.filter(recommendation__in=mine, batch=batch or None)
    versions = dict(rows.values_list("recommendation", "version"))
    if not versions:
        raise NotFoundError("not_found", "Not found.")

    def one(pk: int, version: int, made: str) -> RecommendationTracking:
        return undo_last(recommendation_id=pk, version=version, user=user, now=now, batch=made)

    return _each(versions, one)


@transaction.atomic
def merge_into(
    *, recommendation_id: int, into_id: int, version: int, user: Any, now: datetime
) -> RecommendationTracking:
    """Let the recommendation read at `version` go on as another of its account. Where it came up
    counts for the other from now on; a plan that runs ends. `undo_last` parts them again.

    Raises as `track`, and `UserError` `bad_merge`, `ConflictError` `merged`.
    """
    row = writable(RecommendationTracking.objects.all(), user=user, pk=recommendation_id)
    into = readable(RecommendationTracking.objects.all(), user=user, pk=into_id)
    if into.pk == row.pk or into.account_id != row.account_id:
        raise UserError("bad_merge", "Merge it into other advice of its account.", field="into")
    if row.merged_into_id is not None or into.merged_into_id is not None:
        raise ConflictError("merged", "One of the two was merged already. Undo that first.")
    ids = list(row.occurrences.values_list("pk", flat=True))
    return write(
        row,
        version,
        {"merged_into_id": into.pk},
        user=user,
        now=now,
        moved=move(ids, row.pk, into.pk),
    )


def _judge_when_implemented(row: RecommendationTracking, user: Any) -> None:
    """What has just been implemented is shown with its counts soon, not after the next trade."""
    plans = row.measurement_plans.filter(ended_at=None, verdicts=None)
    if row.implementation_status == Status.IMPLEMENTED and plans.exists():
        request_judgement(account=row.account, user=user)


def _each(
    versions: Mapping[int, int], one: Callable[[int, int, str], RecommendationTracking]
) -> BulkResult:
    if len(versions) > MAX_BULK:
        raise UserError("too_many_ids", f"At most {MAX_BULK} recommendations at once.")
    batch = secrets.token_hex(_BATCH_BYTES)
    changed: list[RecommendationTracking] = []
    stale: list[int] = []
    refused: list[int] = []
    missing: list[int] = []
    # In one order for everybody, so that two bulk changes never wait for each other.
    for pk, version in sorted(versions.items()):
        try:
            changed.append(one(pk, version, batch))
        except NotFoundError:
            missing.append(pk)
        except ConflictError:
            stale.append(pk)
        except UserError:
            refused.append(pk)
    return BulkResult(
        tuple(changed), tuple(stale), tuple(refused), tuple(missing), batch if changed else ""
    )


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


def _key(opportunity: Mapping[str, Any]) -> str:
    return advice_key(opportunity["kind"], opportunity["area"], opportunity["scope"])


def _existing(
    pairs: Iterable[tuple[TradeAnalysis, Mapping[str, Any]]],
) -> dict[tuple[int, str], RecommendationTracking]:
    accounts = {analysis.account_id for analysis, _ in pairs}
    keys = {key for _, by_key in pairs for key in by_key}
    rows = RecommendationTracking.objects.filter(account__in=accounts, advice_key__in=keys)
    found = {(row.account_id, row.advice_key): row for row in rows}
    # What was merged by hand goes on as the other, however often it comes up again.
    while merged := {row.merged_into_id for row in found.values() if row.merged_into_id}:
        others = RecommendationTracking.objects.in_bulk(merged)
        found = {place: others.get(row.merged_into_id, row) for place, row in found.items()}
    return found


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
