"""Analyses: the narrative of a trade's post-mortem, and asking for new ones."""

from __future__ import annotations

from typing import Any

from asgiref.sync import async_to_sync
from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from post_mortem.models import RecommendationTracking, TradeAnalysis
from post_mortem.selectors.access import readable, writable
from post_mortem.services.analyst import PostMortemService
from post_mortem.services.requests import MAX_CONCURRENCY, request_analyses
from trading.core.errors import NotFoundError
from trading.models import Trade

from .base import Endpoint, ListEndpoint, visible
from .fields import IdListField, Query, StrictIntegerField, StrictSerializer, StrictTextField
from .idempotency import idempotent
from .jobs import AcceptedSerializer, NothingSerializer, accepted
from .schema import IDEMPOTENCY, answers

MAX_TRADES = 10_000


class AnalysisSerializer(serializers.ModelSerializer[TradeAnalysis]):
    symbol = serializers.CharField(source="audit.signal.instrument.symbol")
    horizon = serializers.CharField(source="audit.horizon")
    outcome = serializers.CharField(source="audit.get_outcome_display")
    r_multiple = serializers.FloatField(source="audit.r_multiple", allow_null=True)

    class Meta:
        model = TradeAnalysis
        fields: tuple[str, ...] = (
            "id",
            "trade_id",
            "audit_id",
            "symbol",
            "horizon",
            "outcome",
            "r_multiple",
            "success_score",
            "primary_factors",
            "source",
            "created_at",
            "updated_at",
        )
        read_only_fields = fields


class TrackedSerializer(serializers.ModelSerializer[RecommendationTracking]):
    status = serializers.CharField(source="implementation_status")

    class Meta:
        model = RecommendationTracking
        fields = ("id", "area", "recommendation", "expected_impact", "status", "version")
        read_only_fields = fields


class AnalysisDetailSerializer(AnalysisSerializer):
    recommendations = serializers.SerializerMethodField()

    class Meta(AnalysisSerializer.Meta):
        fields = (
            *AnalysisSerializer.Meta.fields,
            "analysis_data",
            "recommendations",
            "source_reason",
            "grounding",
            "evidence_hash",
            "narrator_version",
        )
        read_only_fields = fields

    def get_recommendations(self, analysis: TradeAnalysis) -> list[dict[str, Any]]:
        rows = RecommendationTracking.objects.filter(occurrences__analysis=analysis)
        own = rows.filter(account=analysis.account_id).order_by("pk")
        return list(TrackedSerializer(own, many=True).data)


class WaitQuery(Query):
    wait = serializers.ChoiceField(
        ["0", "1"], required=False, help_text="1: answer when it is done"
    )


class BatchSerializer(StrictSerializer):
    trade_ids = IdListField(limit=MAX_TRADES, help_text=f"At most {MAX_TRADES:,}")
    concurrency = StrictIntegerField(default=3, min_value=1, max_value=MAX_CONCURRENCY)
    horizons = serializers.ListField(
        child=StrictTextField(max_length=40), max_length=20, default=list, help_text="Empty: all"
    )


def _narrated() -> QuerySet[TradeAnalysis]:
    rows: QuerySet[TradeAnalysis] = TradeAnalysis.objects.select_related(
        "audit__signal__instrument"
    )
    return rows.defer("audit__record", "slot_data")


class AnalysisList(ListEndpoint):
    row_class = AnalysisSerializer

    @extend_schema(
        operation_id="analyses", responses=answers({200: AnalysisSerializer(many=True)}, 404)
    )
    def get(self, request: Request) -> Response:
        """Analyses, newest first."""
        return super().get(request)

    def rows(self, request: Request) -> QuerySet[TradeAnalysis]:
        return visible(TradeAnalysis.objects.all(), request.user).order_by("-created_at", "-pk")

    def whole(self, rows: QuerySet[TradeAnalysis]) -> QuerySet[TradeAnalysis]:
        joined = rows.select_related("audit__signal__instrument")
        return joined.defer("audit__record", "slot_data", "analysis_data", "grounding")


def _is_queued(view: Any) -> bool:
    # A model may take a minute to answer, which is too long for a transaction.
    return bool(view.wanted.get("wait") != "1")


class Analysis(Endpoint):
    post_query_class = WaitQuery

    @extend_schema(operation_id="analysis", responses=answers({200: AnalysisDetailSerializer}, 404))
    def get(self, request: Request, trade_id: int) -> Response:
        """The analysis of a trade."""
        trade = readable(Trade.objects.all(), user=request.user, pk=trade_id)
        return Response(AnalysisDetailSerializer(_of(trade)).data)

    @extend_schema(
        operation_id="analysis_create",
        parameters=[WaitQuery, IDEMPOTENCY],
        request=NothingSerializer,
        responses=answers(
            {200: AnalysisDetailSerializer, 202: AcceptedSerializer}, 403, 404, 409, 415, 422
        ),
    )
    @idempotent(atomic=_is_queued)
    def post(self, request: Request, trade_id: int) -> Response:
        """Analyse a trade again, or for the first time: queued, or at once with `?wait=1`."""
        self.body(request, NothingSerializer)
        trade = writable(Trade.objects.all(), user=request.user, pk=trade_id)
        if self.wanted.get("wait") == "1":
            async_to_sync(PostMortemService().analyze_trade)(trade.pk)
            return Response(AnalysisDetailSerializer(_of(trade)).data)
        job = request_analyses(
            trade_ids=[trade.pk], horizons=(), concurrency=1, user=request.user, now=timezone.now()
        )
        return accepted(job)


def _of(trade: Trade) -> TradeAnalysis:
    analysis = _narrated().filter(trade=trade).first()
    if analysis is None:
        raise NotFoundError("not_analysed", "This trade was not analysed yet.")
    return analysis


class AnalysisBatch(Endpoint):
    @extend_schema(
        operation_id="analysis_batch",
        parameters=[IDEMPOTENCY],
        request=BatchSerializer,
        responses=answers({202: AcceptedSerializer}, 403, 409, 413, 415, 422),
    )
    @idempotent()
    def post(self, request: Request) -> Response:
        """Queue the analysis of many trades. What cannot be found fails within the job."""
        given = self.body(request, BatchSerializer)
        return accepted(request_analyses(**given, user=request.user, now=timezone.now()))
