"""Recommendations: the prioritised list, and changing their status."""

from __future__ import annotations

from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.response import Response

from post_mortem.models import RecommendationTracking
from post_mortem.selectors.recommendations import prioritised
from post_mortem.services import recommendations

from .base import Endpoint, ListEndpoint, visible
from .fields import IdField, Query, StrictSerializer, StrictTextField
from .idempotency import idempotent
from .schema import IDEMPOTENCY, answers

Status = RecommendationTracking.Status


class RecommendationSerializer(serializers.ModelSerializer[RecommendationTracking]):
    status = serializers.ChoiceField(Status.choices, source="implementation_status")
    owner = serializers.CharField(source="owner.username", default=None, allow_null=True)
    occurrences = serializers.IntegerField(
        source="n_occurrences", help_text="In how many analyses it came up"
    )

    class Meta:
        model = RecommendationTracking
        fields = (
            "id",
            "kind",
            "area",
            "scope",
            "recommendation",
            "expected_impact",
            "status",
            "implementation_date",
            "impact_score",
            "notes",
            "owner",
            "due_date",
            "occurrences",
            "version",
            "created_at",
            "updated_at",
        )
        read_only_fields = fields


class RecommendationQuery(Query):
    status = serializers.ChoiceField(Status.choices, required=False)
    area = serializers.CharField(max_length=100, required=False)


class TrackSerializer(StrictSerializer):
    recommendation_id = IdField()
    status = StrictTextField(max_length=20, help_text=", ".join(Status.values))
    notes = StrictTextField(
        required=False,
        allow_blank=True,
        max_length=recommendations.MAX_NOTES,
        help_text="Absent: the notes stay",
    )
    version = IdField(required=False, help_text="The version that was read; without it 428")


class VersionRequired(APIException):
    status_code = 428
    default_code = "version_required"
    default_detail = "Give the version that was read."


class RecommendationList(ListEndpoint):
    query_class = RecommendationQuery
    row_class = RecommendationSerializer

    @extend_schema(
        operation_id="recommendations",
        parameters=[RecommendationQuery],
        responses=answers({200: RecommendationSerializer(many=True)}, 404),
    )
    def get(self, request: Request) -> Response:
        """Recommendations, those most worth doing next first."""
        return super().get(request)

    def rows(self, request: Request) -> QuerySet[RecommendationTracking]:
        rows = visible(RecommendationTracking.objects.all(), request.user)
        if "status" in self.wanted:
            rows = rows.filter(implementation_status=self.wanted["status"])
        if "area" in self.wanted:
            rows = rows.filter(area=self.wanted["area"])
        return prioritised(rows)

    def whole(self, rows: QuerySet[RecommendationTracking]) -> QuerySet[RecommendationTracking]:
        return prioritised(rows)


class RecommendationTrack(Endpoint):
    @extend_schema(
        operation_id="recommendation_track",
        parameters=[IDEMPOTENCY],
        request=TrackSerializer,
        responses=answers({200: RecommendationSerializer}, 403, 404, 409, 412, 415, 422, 428),
    )
    @idempotent()
    def post(self, request: Request) -> Response:
        """Change the status of a recommendation that nobody changed since it was read."""
        given = self.body(request, TrackSerializer)
        if "version" not in given:
            raise VersionRequired
        row = recommendations.track(
            recommendation_id=given["recommendation_id"],
            status=given["status"],
            notes=given.get("notes"),
            version=given["version"],
            user=request.user,
            now=timezone.now(),
        )
        row = prioritised(RecommendationTracking.objects.filter(pk=row.pk)).get()
        return Response(RecommendationSerializer(row).data)
