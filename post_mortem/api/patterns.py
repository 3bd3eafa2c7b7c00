"""Patterns across trades: the list, one in full, and having them searched for."""

from __future__ import annotations

from typing import Any

from asgiref.sync import async_to_sync
from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from post_mortem.core.patterns import LEAST_TRADES
from post_mortem.models import AnalysisPattern
from post_mortem.selectors.access import readable
from post_mortem.selectors.patterns import told
from post_mortem.services.analyst import PostMortemService
from post_mortem.services.patterns import MIN_TRADES, request_patterns, searchable_accounts

from .analyses import WaitQuery
from .base import Endpoint, ListEndpoint, visible
from .fields import IdField, Query, StrictIntegerField, StrictSerializer, StrictTextField
from .idempotency import idempotent
from .jobs import AcceptedSerializer, accepted
from .schema import IDEMPOTENCY, answers


class PatternSerializer(serializers.ModelSerializer[AnalysisPattern]):
    n = serializers.IntegerField(source="statistics.n", help_text="Its trades")
    won = serializers.IntegerField(source="statistics.won")
    total_r = serializers.FloatField(source="statistics.total_r")
    tried = serializers.IntegerField(
        source="statistics.tried", help_text="How many kinds were tried, and corrected for"
    )
    trend = serializers.ChoiceField(
        ["", "stronger", "weaker", "steady"],
        source="statistics.trend",
        help_text="Empty where it cannot be told",
    )

    class Meta:
        model = AnalysisPattern
        fields: tuple[str, ...] = (
            "id",
            "account_id",
            "period",
            "pattern_type",
            "category",
            "title",
            "description",
            "confidence",
            "n",
            "won",
            "total_r",
            "tried",
            "trend",
            "action_items",
            "source",
            "found_at",
            "lost_at",
            "created_at",
        )
        read_only_fields = fields


class FigureSerializer(serializers.Serializer[Any]):
    id = serializers.CharField()
    text = serializers.CharField()


class PatternDetailSerializer(PatternSerializer):
    sentence = serializers.SerializerMethodField()
    facts = serializers.SerializerMethodField()
    trade_ids = serializers.SerializerMethodField()
    plan_ids = serializers.SerializerMethodField()

    class Meta(PatternSerializer.Meta):
        fields = (
            *PatternSerializer.Meta.fields,
            "sentence",
            "statistics",
            "facts",
            "trade_ids",
            "plan_ids",
            "evidence_hash",
            "source_reason",
            "grounding",
        )
        read_only_fields = fields

    def get_sentence(self, row: AnalysisPattern) -> str:
        return told(row).sentence

    @extend_schema_field(FigureSerializer(many=True))
    def get_facts(self, row: AnalysisPattern) -> list[FigureSerializer]:
        return FigureSerializer(told(row).facts, many=True).data  # type: ignore[return-value]

    def get_trade_ids(self, row: AnalysisPattern) -> list[int]:
        trades = row.affected_trades.filter(account=row.account_id).order_by("pk")
        return list(trades.values_list("pk", flat=True))

    def get_plan_ids(self, row: AnalysisPattern) -> list[int]:
        plans = row.plans.filter(account=row.account_id).order_by("pk")
        return list(plans.values_list("pk", flat=True))


class PatternQuery(Query):
    type = serializers.ChoiceField(AnalysisPattern.Kind.choices, required=False)
    current = serializers.ChoiceField(
        ["0", "1"], required=False, help_text="1: those still found, 0: those no longer found"
    )


class IdentifySerializer(StrictSerializer):
    time_period = StrictTextField(
        required=False,
        allow_null=True,
        allow_blank=True,
        max_length=24,
        help_text="Absent or null: all trades; `90d`, or UTC days `2024-01-01/2024-06-30`",
    )
    min_trades = StrictIntegerField(
        default=LEAST_TRADES, min_value=MIN_TRADES[0], max_value=MIN_TRADES[1]
    )
    account = IdField(required=False, help_text="Absent: every account you may change")


class PatternList(ListEndpoint):
    query_class = PatternQuery
    row_class = PatternSerializer

    @extend_schema(
        operation_id="patterns",
        parameters=[PatternQuery],
        responses=answers({200: PatternSerializer(many=True)}, 404),
    )
    def get(self, request: Request) -> Response:
        """Patterns, those found last first."""
        return super().get(request)

    def rows(self, request: Request) -> QuerySet[AnalysisPattern]:
        rows = visible(AnalysisPattern.objects.all(), request.user)
        if "type" in self.wanted:
            rows = rows.filter(pattern_type=self.wanted["type"])
        if "current" in self.wanted:
            rows = rows.filter(lost_at__isnull=self.wanted["current"] == "1")
        return rows.order_by("-found_at", "-pk")

    def whole(self, rows: QuerySet[AnalysisPattern]) -> QuerySet[AnalysisPattern]:
        return rows.defer("words", "slot_data", "grounding")


class PatternDetail(Endpoint):
    @extend_schema(operation_id="pattern", responses=answers({200: PatternDetailSerializer}, 404))
    def get(self, request: Request, pattern_id: int) -> Response:
        """One pattern with its figures, its facts and its trades."""
        row = readable(AnalysisPattern.objects.all(), user=request.user, pk=pattern_id)
        return Response(PatternDetailSerializer(row).data)


def _is_queued(view: Any) -> bool:
    # A model may take a minute to answer, which is too long for a transaction.
    return bool(view.wanted.get("wait") != "1")


class PatternSearch(Endpoint):
    post_query_class = WaitQuery

    @extend_schema(
        operation_id="patterns_identify",
        parameters=[WaitQuery, IDEMPOTENCY],
        request=IdentifySerializer,
        responses=answers(
            {200: PatternSerializer(many=True), 202: AcceptedSerializer}, 403, 404, 409, 415, 422
        ),
    )
    @idempotent(atomic=_is_queued)
    def post(self, request: Request) -> Response:
        """Search your audited trades for patterns: queued, or at once with `?wait=1`. The same
        trades give the same patterns; a repeat writes nothing."""
        given = self.body(request, IdentifySerializer)
        period, least = given.get("time_period"), given["min_trades"]
        if self.wanted.get("wait") == "1":
            accounts = searchable_accounts(request.user, given.get("account"))
            found = async_to_sync(PostMortemService().identify_patterns)(
                period, least, account_ids=[account.pk for account in accounts]
            )
            return Response(PatternSerializer(found, many=True).data)
        job = request_patterns(
            user=request.user,
            time_period=period,
            min_trades=least,
            account_id=given.get("account"),
            now=timezone.now(),
        )
        return accepted(job)
