"""Recommendations as they stand, and who may take care of them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from django.contrib.auth import get_user_model
from django.db.models import Case, Count, F, Q, QuerySet, Value, When

from post_mortem.models import RecommendationTracking
from trading.models import Account

Status = RecommendationTracking.Status
# Besides "worth", which is not a column.
SORTS: Mapping[str, tuple[Any, ...]] = {
    "worth": ("pk",),
    "often": ("-n_occurrences", "pk"),
    "new": ("-created_at", "pk"),
    "changed": ("-updated_at", "pk"),
    "due": (F("due_date").asc(nulls_last=True), "pk"),
}
NOBODY = "none"


def people_of(account: Account) -> QuerySet[Any, Any]:
    """Users who belong to the account's desk, by name."""
    users: QuerySet[Any, Any] = get_user_model()._default_manager.all()
    of_desk = Q(memberships__desk=account.desk_id) | Q(accounts=account)
    return users.filter(of_desk, is_active=True).order_by("username").distinct()


def current(rows: Any) -> Any:
    """Without those that were merged into others."""
    return rows.filter(merged_into=None)


def narrowed(
    rows: Any,
    *,
    today: date,
    status: str = "",
    area: str = "",
    kind: str = "",
    owner: str = "",
    overdue: str = "",
) -> Any:
    """Those with a status, an area, a kind, an owner (by name, or none), overdue or not. Overdue is
    what is still pending after the day it was due."""
    given = {"implementation_status": status, "area": area, "kind": kind}
    rows = rows.filter(**{name: value for name, value in given.items() if value})
    if owner:
        rows = rows.filter(owner=None) if owner == NOBODY else rows.filter(owner__username=owner)
    late = Q(due_date__lt=today, implementation_status=Status.PENDING)
    if overdue:
        rows = rows.filter(late) if overdue == "yes" else rows.exclude(late)
    return rows


def prioritised(rows: Any) -> QuerySet[RecommendationTracking]:
    """Open ones first; then by measured effect, then by how often the advice came up."""
    rank = Case(
        When(implementation_status=Status.PENDING, then=Value(0)),
        When(implementation_status=Status.IMPLEMENTED, then=Value(1)),
        default=Value(2),
    )
    counted = rows.annotate(n_occurrences=Count("occurrences", distinct=True), rank=rank)
    ordered: QuerySet[RecommendationTracking] = counted.select_related("owner").order_by(
        "rank", F("impact_score").desc(nulls_last=True), "-n_occurrences", "pk"
    )
    return ordered
