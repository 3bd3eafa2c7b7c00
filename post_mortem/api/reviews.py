"""Reviewing audits: the queue, what can be done with one, and who did what."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from post_mortem.models import AuditHistory, InsightAudit
from post_mortem.selectors import reviews as selectors
from post_mortem.selectors.access import readable
from post_mortem.services import audit_reviews

from .audit_rows import AuditSerializer
from .base import Endpoint, ListEndpoint, visible
from .fields import MAX_ID, Query, StrictIntegerField, StrictSerializer, StrictTextField
from .idempotency import idempotent
from .recommendations import VersionRequired
from .schema import IDEMPOTENCY, answers

_CHANGES = ("flagged", "reviewer", "notes", "settled")


class QueueQuery(Query):
    reason = serializers.ChoiceField(list(selectors.REASONS), required=False)
    assigned = serializers.ChoiceField([selectors.MINE, selectors.NOBODY], required=False)


class ReviewQueue(ListEndpoint):
    query_class = QueueQuery
    row_class = AuditSerializer

    @extend_schema(
        operation_id="review_queue",
        parameters=[QueueQuery],
        responses=answers({200: AuditSerializer(many=True)}, 404),
    )
    def get(self, request: Request) -> Response:
        """Audits that wait for a person, what could not be judged and the largest losses first."""
        return super().get(request)

    def rows(self, request: Request) -> QuerySet[InsightAudit]:
        rows: Any = visible(InsightAudit.objects.all(), request.user)
        return selectors.in_order(selectors.to_review(rows, user=request.user, **self.wanted))

    def whole(self, rows: QuerySet[InsightAudit]) -> QuerySet[InsightAudit]:
        joined = rows.select_related(
            *("signal__instrument", "trade", "series", "rule_snapshot", "reviewer")
        )
        return joined.prefetch_related("causes").defer("record")


class VersionedSerializer(StrictSerializer):
    version = StrictIntegerField(
        min_value=0,
        max_value=MAX_ID,
        required=False,
        help_text="The review_version that was read; without it 428",
    )


class ChangeSerializer(VersionedSerializer):
    """Exactly one of the four a request: each is a row of the history of its own."""

    flagged = serializers.BooleanField(required=False)
    reviewer = StrictTextField(required=False, allow_null=True, max_length=150)
    notes = StrictTextField(required=False, allow_blank=True, max_length=audit_reviews.MAX_NOTES)
    settled = serializers.BooleanField(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if len(set(attrs) & set(_CHANGES)) != 1:
            raise ValidationError(f"Give one of {', '.join(_CHANGES)}.", code="one_change")
        return attrs


class OverrideSerializer(VersionedSerializer):
    outcome = StrictTextField(max_length=20, help_text=", ".join(audit_reviews.LABELS))
    reason = StrictTextField(max_length=audit_reviews.MAX_REASON)


class HistorySerializer(serializers.ModelSerializer[AuditHistory]):
    user = serializers.CharField(source="user.username", default=None, allow_null=True)
    text = serializers.SerializerMethodField()

    class Meta:
        model = AuditHistory
        fields = ("action", "text", "before", "after", "user", "created_at")
        read_only_fields = fields

    def get_text(self, row: AuditHistory) -> str:
        return selectors.told(row)


class _Change(Endpoint):
    def changed(self, request: Request, given: dict[str, Any], **what: Any) -> Response:
        if "version" not in given:
            raise VersionRequired
        change = what.pop("change")
        row = change(version=given["version"], user=request.user, now=timezone.now(), **what)
        return Response(AuditSerializer(row).data)


class AuditChange(_Change):
    @extend_schema(
        operation_id="audit_change",
        parameters=[IDEMPOTENCY],
        request=ChangeSerializer,
        responses=answers({200: AuditSerializer}, 403, 404, 409, 412, 415, 422, 428),
    )
    @idempotent()
    def post(self, request: Request, audit_id: int) -> Response:
        """Flag, assign, note or settle an audit that nobody changed since it was read."""
        given = self.body(request, ChangeSerializer)
        (name,) = set(given) & set(_CHANGES)
        change: Any = {
            "flagged": audit_reviews.flag,
            "reviewer": audit_reviews.assign,
            "notes": audit_reviews.note,
            "settled": audit_reviews.settle,
        }[name]
        return self.changed(request, given, change=change, audit_id=audit_id, **{name: given[name]})


class AuditOverride(_Change):
    @extend_schema(
        operation_id="audit_override",
        parameters=[IDEMPOTENCY],
        request=OverrideSerializer,
        responses=answers({200: AuditSerializer}, 403, 404, 409, 412, 415, 422, 428),
    )
    @idempotent()
    def post(self, request: Request, audit_id: int) -> Response:
        """Put your label beside the engine's, with its reason; statistics count yours."""
        given = self.body(request, OverrideSerializer)
        return self.changed(
            request,
            given,
            change=audit_reviews.override,
            audit_id=audit_id,
            outcome=given["outcome"],
            reason=given["reason"],
        )


class AuditOverrideUndo(_Change):
    @extend_schema(
        operation_id="audit_override_undo",
        parameters=[IDEMPOTENCY],
        request=VersionedSerializer,
        responses=answers({200: AuditSerializer}, 403, 404, 409, 412, 415, 422, 428),
    )
    @idempotent()
    def post(self, request: Request, audit_id: int) -> Response:
        """Put back the label from before the last override."""
        given = self.body(request, VersionedSerializer)
        return self.changed(request, given, change=audit_reviews.undo_override, audit_id=audit_id)


class AuditHistoryList(Endpoint):
    @extend_schema(
        operation_id="audit_history", responses=answers({200: HistorySerializer(many=True)}, 404)
    )
    def get(self, request: Request, audit_id: int) -> Response:
        """Who did what with this audit, the newest first, at most 1,000 rows."""
        audit = readable(InsightAudit.objects.all(), user=request.user, pk=audit_id)
        rows = audit.history.select_related("user")[:1000]
        return Response(HistorySerializer(rows, many=True).data)
