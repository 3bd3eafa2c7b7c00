"""Recommendations: the prioritised list, changing them one by one or together, and what came."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.response import Response

from post_mortem.core.scope import sentence
from post_mortem.models import RecommendationTracking
from post_mortem.selectors import worth
from post_mortem.selectors.impact import newest_verdicts
from post_mortem.selectors.recommendations import SORTS, current, narrowed, prioritised
from post_mortem.services import recommendations
from post_mortem.services.recommendations import BulkResult
from post_mortem.services.tracking import MAX_NOTES

from .base import Endpoint, ListEndpoint, visible
from .fields import IdField, Query, StrictSerializer, StrictTextField
from .idempotency import idempotent
from .pagination import Pages
from .schema import IDEMPOTENCY, answers

Status = RecommendationTracking.Status
CHANGES = (409, 412, 415, 422, 428)


class RecommendationSerializer(serializers.ModelSerializer[RecommendationTracking]):
    status = serializers.ChoiceField(Status.choices, source="implementation_status")
    owner = serializers.CharField(source="owner.username", default=None, allow_null=True)
    occurrences = serializers.IntegerField(
        source="n_occurrences", help_text="In how many analyses it came up"
    )
    covers = serializers.SerializerMethodField(help_text="The trades it is about, in words")

    class Meta:
        model = RecommendationTracking
        fields: tuple[str, ...] = (
            "id",
            "kind",
            "area",
            "scope",
            "covers",
            "recommendation",
            "expected_impact",
            "status",
            "implementation_date",
            "impact_score",
            "covered_a_month",
            "notes",
            "owner",
            "due_date",
            "effort_hours",
            "claimed_effect_r",
            "claimed_by",
            "merged_into",
            "occurrences",
            "version",
            "created_at",
            "updated_at",
        )
        read_only_fields = fields

    def get_covers(self, row: RecommendationTracking) -> str:
        return sentence(row.kind, row.scope)


class WorthSerializer(serializers.Serializer[Any]):
    score = serializers.FloatField(source="priority.score")
    r_a_month = serializers.FloatField(source="priority.r_a_month")
    low = serializers.FloatField(help_text="The 95 % range of R a month, from here")
    high = serializers.FloatField(help_text="to here")
    chance = serializers.FloatField(source="priority.chance", help_text="That it helps at all")
    confidence = serializers.IntegerField(source="priority.confidence", help_text="0-100")
    implemented = serializers.FloatField(
        source="priority.implemented", help_text="Chance that it is done"
    )
    effort_hours = serializers.FloatField(source="priority.effort_hours")
    ease = serializers.FloatField(help_text="implemented / (effort_hours + 1)")
    source = serializers.ChoiceField(
        ("plan", "verdicts", "claim"), help_text="Its newest plan, verdicts on its type, a claim"
    )


class RankedSerializer(RecommendationSerializer):
    """With what it is worth and what came of it, both read for the whole page at once."""

    worth = serializers.SerializerMethodField(help_text="null: nobody knows")
    worth_unknown_because = serializers.SerializerMethodField(help_text="Empty where it is known")
    verdict = serializers.SerializerMethodField(help_text="Of the newest plan; null without one")

    class Meta(RecommendationSerializer.Meta):
        fields = (
            *RecommendationSerializer.Meta.fields,
            "worth",
            "worth_unknown_because",
            "verdict",
        )
        read_only_fields = fields

    @extend_schema_field(WorthSerializer(allow_null=True))
    def get_worth(self, row: RecommendationTracking) -> Mapping[str, Any] | None:
        found = self.context["experience"].worth(row)
        return None if found is None else WorthSerializer(found).data

    def get_worth_unknown_because(self, row: RecommendationTracking) -> str:
        return str(self.context["experience"].why_unknown(row))

    def get_verdict(self, row: RecommendationTracking) -> str | None:
        found = self.context["verdicts"].get(row.pk)
        return None if found is None else found.verdict


class RecommendationQuery(Query):
    status = serializers.ChoiceField(Status.choices, required=False)
    area = serializers.CharField(max_length=100, required=False)
    kind = serializers.CharField(max_length=40, required=False)
    owner = serializers.CharField(max_length=150, required=False, help_text="A name, or none")
    overdue = serializers.ChoiceField(["yes", "no"], required=False)
    sort = serializers.ChoiceField(tuple(SORTS), required=False, help_text="Default: worth")


class TrackSerializer(StrictSerializer):
    recommendation_id = IdField()
    status = StrictTextField(max_length=20, help_text=", ".join(Status.values))
    notes = StrictTextField(
        required=False,
        allow_blank=True,
        max_length=MAX_NOTES,
        help_text="Absent: the notes stay",
    )
    version = IdField(required=False, help_text="The version that was read; without it 428")
    owner = StrictTextField(
        required=False, allow_null=True, max_length=150, help_text="A name of the desk"
    )
    due_date = serializers.DateField(required=False, allow_null=True, input_formats=["%Y-%m-%d"])
    effort_hours = serializers.FloatField(required=False, allow_null=True)
    claimed_effect_r = serializers.FloatField(required=False, allow_null=True)
    claimed_by = StrictTextField(required=False, allow_blank=True, max_length=100)
    scope = serializers.DictField(
        child=StrictTextField(), required=False, help_text="Another scope restarts the clock"
    )


class ReadSerializer(StrictSerializer):
    recommendation_id = IdField()
    version = IdField(required=False, help_text="The version that was read; without it 428")


class MergeSerializer(ReadSerializer):
    into = IdField(help_text="The recommendation that goes on for both")


class BulkSerializer(StrictSerializer):
    items = ReadSerializer(many=True, allow_empty=False)  # type: ignore[assignment]
    status = StrictTextField(required=False, max_length=20)
    owner = StrictTextField(required=False, allow_null=True, max_length=150)
    due_date = serializers.DateField(required=False, allow_null=True, input_formats=["%Y-%m-%d"])


class BulkUndoSerializer(StrictSerializer):
    batch = StrictTextField(max_length=32)


class BulkResultSerializer(serializers.Serializer[Any]):
    changed = serializers.DictField(
        child=serializers.IntegerField(), help_text="New versions by id"
    )
    stale = serializers.ListField(child=serializers.IntegerField())
    refused = serializers.ListField(child=serializers.IntegerField())
    missing = serializers.ListField(child=serializers.IntegerField())
    batch = serializers.CharField(help_text="Takes it back; empty if nothing changed")


class VersionRequired(APIException):
    status_code = 428
    default_code = "version_required"
    default_detail = "Give the version that was read."


class RecommendationList(ListEndpoint):
    query_class = RecommendationQuery
    row_class = RankedSerializer

    @extend_schema(
        operation_id="recommendations",
        parameters=[RecommendationQuery],
        responses=answers({200: RankedSerializer(many=True)}, 404),
    )
    def get(self, request: Request) -> Response:
        """Recommendations, those most worth doing next first."""
        pages = Pages()
        learned = worth.experience(request.user)
        rows = self.rows(request)
        chosen = self.wanted.get("sort", "worth")
        ids = worth.by_worth(rows, learned) if chosen == "worth" else rows.order_by(*SORTS[chosen])
        found = list(pages.paginate_queryset(ids, request, self) or [])  # type: ignore[arg-type]
        keys = [row if isinstance(row, int) else row.pk for row in found]
        whole = {row.pk: row for row in self.whole(visible_rows(request.user).filter(pk__in=keys))}
        page = [whole[pk] for pk in keys if pk in whole]
        return pages.get_paginated_response(ranked(page, learned, request))

    def rows(self, request: Request) -> QuerySet[RecommendationTracking]:
        narrow = narrowed(
            current(visible_rows(request.user)),
            today=timezone.localdate(),
            **{name: value for name, value in self.wanted.items() if name != "sort"},
        )
        return prioritised(narrow)

    def whole(self, rows: QuerySet[RecommendationTracking]) -> QuerySet[RecommendationTracking]:
        return prioritised(rows)


def visible_rows(user: Any) -> QuerySet[RecommendationTracking]:
    return visible(RecommendationTracking.objects.all(), user)


def ranked(
    rows: list[RecommendationTracking], learned: worth.Experience, request: Request
) -> list[Any]:
    verdicts = newest_verdicts(row.pk for row in rows)
    context = {"request": request, "experience": learned, "verdicts": verdicts}
    return list(RankedSerializer(rows, many=True, context=context).data)


def one(row: RecommendationTracking, request: Request) -> Response:
    found = prioritised(RecommendationTracking.objects.filter(pk=row.pk)).get()
    return Response(ranked([found], worth.experience(request.user), request)[0])


def version_of(given: dict[str, Any]) -> int:
    if "version" not in given:
        raise VersionRequired
    return int(given["version"])


class RecommendationTrack(Endpoint):
    @extend_schema(
        operation_id="recommendation_track",
        parameters=[IDEMPOTENCY],
        request=TrackSerializer,
        responses=answers({200: RankedSerializer}, 403, 404, *CHANGES),
    )
    @idempotent()
    def post(self, request: Request) -> Response:
        """Change a recommendation that nobody changed since it was read. What is absent stays."""
        given = self.body(request, TrackSerializer)
        version = version_of(given)
        fixed = ("recommendation_id", "status", "notes", "version")
        row = recommendations.track(
            recommendation_id=given["recommendation_id"],
            status=given["status"],
            notes=given.get("notes"),
            changes={name: value for name, value in given.items() if name not in fixed},
            version=version,
            user=request.user,
            now=timezone.now(),
        )
        return one(row, request)


class RecommendationUndo(Endpoint):
    @extend_schema(
        operation_id="recommendation_undo",
        parameters=[IDEMPOTENCY],
        request=ReadSerializer,
        responses=answers({200: RankedSerializer}, 403, 404, *CHANGES),
    )
    @idempotent()
    def post(self, request: Request) -> Response:
        """Take back the last change of a recommendation, whatever it set."""
        given = self.body(request, ReadSerializer)
        row = recommendations.undo_last(
            recommendation_id=given["recommendation_id"],
            version=version_of(given),
            user=request.user,
            now=timezone.now(),
        )
        return one(row, request)


class RecommendationMerge(Endpoint):
    @extend_schema(
        operation_id="recommendation_merge",
        parameters=[IDEMPOTENCY],
        request=MergeSerializer,
        responses=answers({200: RankedSerializer}, 403, 404, *CHANGES),
    )
    @idempotent()
    def post(self, request: Request) -> Response:
        """Let a recommendation go on as another; undo parts them again."""
        given = self.body(request, MergeSerializer)
        row = recommendations.merge_into(
            recommendation_id=given["recommendation_id"],
            into_id=given["into"],
            version=version_of(given),
            user=request.user,
            now=timezone.now(),
        )
        return one(row, request)


class RecommendationBulk(Endpoint):
    @extend_schema(
        operation_id="recommendations_bulk",
        parameters=[IDEMPOTENCY],
        request=BulkSerializer,
        responses=answers({200: BulkResultSerializer}, 415, 422, 428),
    )
    @idempotent()
    def post(self, request: Request) -> Response:
        """Set status, owner or due date of many. Each one succeeds or not by itself."""
        given = self.body(request, BulkSerializer)
        items = given.pop("items")
        done = recommendations.change_many(
            versions={item["recommendation_id"]: version_of(item) for item in items},
            changes=given,
            user=request.user,
            now=timezone.now(),
        )
        return Response(_bulk(done))


class RecommendationBulkUndo(Endpoint):
    @extend_schema(
        operation_id="recommendations_bulk_undo",
        parameters=[IDEMPOTENCY],
        request=BulkUndoSerializer,
        responses=answers({200: BulkResultSerializer}, 404, 415, 422),
    )
    @idempotent()
    def post(self, request: Request) -> Response:
        """Take back what was changed together, where nobody changed it since."""
        given = self.body(request, BulkUndoSerializer)
        done = recommendations.undo_many(
            batch=given["batch"], user=request.user, now=timezone.now()
        )
        return Response(_bulk(done))


def _bulk(done: BulkResult) -> dict[str, Any]:
    return {
        "changed": {str(row.pk): row.version for row in done.changed},
        "stale": list(done.stale),
        "refused": list(done.refused),
        "missing": list(done.missing),
        "batch": done.batch,
    }
