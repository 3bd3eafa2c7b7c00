"""The recommendations board: advice by status and area, how often it came up, its history."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, F, Prefetch, QuerySet

from post_mortem.models import RecommendationHistory, RecommendationTracking
from trading.core.errors import NotFoundError, UserError

Status = RecommendationTracking.Status
SORTS: Mapping[str, tuple[str, Any]] = {
    "often": ("came up most", F("came_up").desc()),
    "new": ("newest", F("created_at").desc()),
    "changed": ("last changed", F("updated_at").desc()),
}
PAGE_SIZE = 50


@dataclass(frozen=True, slots=True)
class Board:
    rows: tuple[RecommendationTracking, ...]
    by_status: Mapping[str, int]
    areas: tuple[str, ...]
    total: int


def _mine(user: Any) -> QuerySet[RecommendationTracking]:
    history = RecommendationHistory.objects.select_related("user")
    found: QuerySet[RecommendationTracking] = RecommendationTracking.objects.visible_to(user)
    return (
        found.select_related("account", "owner")
        .prefetch_related(Prefetch("history", history))
        .annotate(came_up=Count("occurrences", distinct=True))
    )


def board(user: Any, *, status: str, area: str, sort: str, start: int) -> Board:
    """One page of the board. Raises `UserError` for a status or a sort that does not exist."""
    if status not in Status.values:
        raise UserError("filter", f"A status is one of {', '.join(Status.values)}.", field="status")
    if sort not in SORTS:
        raise UserError("sort", f"Sort by one of {', '.join(SORTS)}.", field="sort")
    every = RecommendationTracking.objects.visible_to(user)
    counted = every.order_by().values_list("implementation_status", "area").annotate(n=Count("pk"))
    by_status = dict.fromkeys(Status.values, 0)
    areas = set()
    for of_status, of_area, n in counted:
        areas.add(of_area)
        if area in ("", of_area):
            by_status[of_status] += n
    rows = _mine(user).filter(implementation_status=status)
    if area:
        rows = rows.filter(area=area)
    page = rows.order_by(SORTS[sort][1], "pk")[start : start + PAGE_SIZE]
    return Board(tuple(page), by_status, tuple(sorted(areas)), sum(by_status.values()))


def recommendation(user: Any, pk: int) -> RecommendationTracking:
    row = _mine(user).filter(pk=pk).first()
    if row is None:
        raise NotFoundError("not_found", "Not found.")
    return row


def last_change(row: RecommendationTracking) -> RecommendationHistory | None:
    return next(iter(row.history.all()), None)
