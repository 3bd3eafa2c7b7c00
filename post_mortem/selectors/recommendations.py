"""Recommendations in the order in which they are worth doing."""

from __future__ import annotations

from typing import Any

from django.db.models import Case, Count, F, QuerySet, Value, When

from post_mortem.models import RecommendationTracking

Status = RecommendationTracking.Status


def prioritised(rows: Any) -> QuerySet[RecommendationTracking]:
    """Open ones first; then by measured effect, then by how often the advice came up."""
    rank = Case(
        When(implementation_status=Status.PENDING, then=Value(0)),
        When(implementation_status=Status.IMPLEMENTED, then=Value(1)),
        default=Value(2),
    )
    counted = rows.annotate(n_occurrences=Count("occurrences"), rank=rank)
    ordered: QuerySet[RecommendationTracking] = counted.select_related("owner").order_by(
        "rank", F("impact_score").desc(nulls_last=True), "-n_occurrences", "pk"
    )
    return ordered
