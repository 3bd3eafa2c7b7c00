"""Audits: verdicts with their causes and evidence, and a person's word on a cause."""

from __future__ import annotations

from typing import Any

from django.db.models import Q, QuerySet
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from post_mortem.core.types import CAUSES
from post_mortem.models import AuditRCA, CauseReview, InsightAudit
from post_mortem.models.audits import CAUSE_CHOICES
from post_mortem.selectors.access import readable
from post_mortem.selectors.case_export import portable_case
from post_mortem.services import reviews
from post_mortem.services.requests import request_rerun
from trading.core.errors import UserError
from trading.core.types import Horizon
from trading.models import Instrument, Signal

from .audit_rows import (
    AuditDetailSerializer,
    AuditReviewSerializer,
    AuditSerializer,
    with_evidence,
)
from .base import Endpoint, ListEndpoint, visible
from .fields import MomentField, Query, StrictSerializer, StrictTextField
from .idempotency import idempotent
from .jobs import AcceptedSerializer, NothingSerializer, accepted
from .schema import IDEMPOTENCY, answers

_OUTCOMES = {label: value for value, label in InsightAudit.Outcome.choices}


class AuditQuery(Query):
    symbol = serializers.CharField(max_length=30, required=False)
    strategy = serializers.CharField(max_length=80, required=False)
    horizon = serializers.ChoiceField([h.value for h in Horizon], required=False)
    outcome = serializers.ChoiceField(list(_OUTCOMES), required=False)
    cause = serializers.ChoiceField(CAUSES, required=False, help_text="Ranked at any place")
    stale = serializers.ChoiceField(["true", "false"], required=False)

    def get_fields(self) -> dict[str, Any]:
        # `from` cannot be the name of an attribute.
        ends = {"from": MomentField(required=False), "to": MomentField(is_end=True, required=False)}
        return {**super().get_fields(), **ends}

    def validate_symbol(self, value: str) -> str:
        if not Instrument.objects.filter(symbol=value).exists():
            raise serializers.ValidationError("No such symbol.", code="unknown_symbol")
        return value


def audits_matching(rows: QuerySet[InsightAudit], wanted: dict[str, Any]) -> QuerySet[InsightAudit]:
    columns = {"horizon": "horizon", "from": "entry_time__gte", "to": "entry_time__lt"}
    rows = rows.filter(**{columns[k]: v for k, v in wanted.items() if k in columns})
    if "outcome" in wanted:
        code = _OUTCOMES[wanted["outcome"]]
        rows = rows.filter(Q(override_outcome=code) | Q(override_outcome=None, outcome=code))
    if "stale" in wanted:
        rows = rows.filter(is_stale=wanted["stale"] == "true")
    # Subqueries, not joins: what only filters is not carried through the sort.
    if "cause" in wanted:
        named = AuditRCA.objects.filter(cause=wanted["cause"])
        rows = rows.filter(pk__in=named.values("audit"))
    if "symbol" in wanted:
        instrument = Instrument.objects.get(symbol=wanted["symbol"])
        rows = rows.filter(signal__in=Signal.objects.filter(instrument=instrument).values("pk"))
    if "strategy" in wanted:
        of_strategy = Signal.objects.filter(strategy=wanted["strategy"])
        rows = rows.filter(signal__in=of_strategy.values("pk"))
    return rows


class AuditList(ListEndpoint):
    query_class = AuditQuery
    row_class = AuditSerializer

    @extend_schema(
        operation_id="audits",
        parameters=[AuditQuery],
        responses=answers({200: AuditSerializer(many=True)}, 404),
    )
    def get(self, request: Request) -> Response:
        """Audits, latest entry first. `from` and `to` bound the entry time."""
        return super().get(request)

    def rows(self, request: Request) -> QuerySet[InsightAudit]:
        rows = visible(InsightAudit.objects.all(), request.user)
        return audits_matching(rows, self.wanted).order_by("-entry_time", "-pk")

    def whole(self, rows: QuerySet[InsightAudit]) -> QuerySet[InsightAudit]:
        joined = rows.select_related(
            *("signal__instrument", "trade", "series", "rule_snapshot", "reviewer")
        )
        return joined.prefetch_related("causes").defer("record")


class AuditDetail(Endpoint):
    @extend_schema(operation_id="audit", responses=answers({200: AuditDetailSerializer}, 404))
    def get(self, request: Request, audit_id: int) -> Response:
        """One audit with its numbered evidence."""
        rows = InsightAudit.objects.select_related(
            *("signal__instrument", "trade", "series__instrument", "rule_snapshot", "account"),
            *("reviewer", "overridden_by"),
        ).prefetch_related("causes", "reviews__user")
        audit = readable(rows, user=request.user, pk=audit_id)
        return Response(AuditDetailSerializer(with_evidence(audit)).data)


class StaleSerializer(serializers.Serializer[Any]):
    stale = serializers.IntegerField(help_text="Audits whose rule or inputs changed since")


class AuditStale(Endpoint):
    @extend_schema(operation_id="audits_stale", responses=answers({200: StaleSerializer}))
    def get(self, request: Request) -> Response:
        """How many of your audits are stale."""
        mine = visible(InsightAudit.objects.all(), request.user)
        return Response(StaleSerializer({"stale": mine.filter(is_stale=True).count()}).data)

    @extend_schema(
        operation_id="audits_rerun",
        parameters=[IDEMPOTENCY],
        request=NothingSerializer,
        responses=answers({202: AcceptedSerializer}, 403, 409, 415, 422),
    )
    @idempotent()
    def post(self, request: Request) -> Response:
        """Queue another run of the stale audits that you may change."""
        self.body(request, NothingSerializer)
        return accepted(request_rerun(user=request.user))


class AuditCase(Endpoint):
    @extend_schema(operation_id="audit_case", responses=answers({200: OpenApiTypes.OBJECT}, 404))
    def get(self, request: Request, audit_id: int) -> Response:
        """The audit's inputs as a portable case (`inquest.case/1`), for `diagnose`."""
        rows = InsightAudit.objects.select_related("signal", "calibration")
        return Response(portable_case(readable(rows, user=request.user, pk=audit_id)))


class ReviewInSerializer(StrictSerializer):
    cause = serializers.ChoiceField(CAUSE_CHOICES)
    verdict = StrictTextField(max_length=10, help_text=", ".join(CauseReview.Verdict.values))
    evidence_hash = StrictTextField(
        max_length=64,
        required=False,
        help_text="The evidence that was read: 412 if it is another one by now",
    )


class AuditReviews(Endpoint):
    @extend_schema(
        operation_id="audit_review",
        parameters=[IDEMPOTENCY],
        request=ReviewInSerializer,
        responses=answers({200: AuditReviewSerializer}, 403, 404, 409, 412, 415, 422),
    )
    @idempotent()
    def post(self, request: Request, audit_id: int) -> Response:
        """Confirm or reject a cause that this audit names, or name the one that it was (`unknown`
        for none of them). Your last word counts."""
        given = self.body(request, ReviewInSerializer)
        review = reviews.review_cause(
            audit_id=audit_id, user=request.user, now=timezone.now(), **given
        )
        return Response(AuditReviewSerializer(review).data)


class AuditReview(Endpoint):
    @extend_schema(
        operation_id="audit_review_undo",
        request=None,
        responses=answers({204: None}, 403, 404),
    )
    def delete(self, request: Request, audit_id: int, cause: str) -> Response:
        """Take back your word on a cause."""
        if cause not in CAUSES:
            raise UserError("unknown_cause", "No such cause.", field="cause")
        reviews.undo_review(audit_id=audit_id, cause=cause, user=request.user, now=timezone.now())
        return Response(status=204)
