"""Improvement plans: the list, one in full, and drafting one from patterns."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from post_mortem.core.pattern_facts import plan_facts
from post_mortem.models import ImprovementPlan
from post_mortem.selectors.access import readable
from post_mortem.services.pattern_words import request_words
from post_mortem.services.plans import MAX_HOURS, MAX_PATTERNS, request_plan

from .base import Endpoint, ListEndpoint, visible
from .fields import IdField, IdListField, StrictNumberField, StrictSerializer
from .idempotency import idempotent
from .patterns import FigureSerializer
from .schema import IDEMPOTENCY, answers


class StepSerializer(serializers.Serializer[Any]):
    """One rule. What it may be worth is null where that is not known, `unknown_because` says why;
    so is its return where nobody said what it costs."""

    priority = serializers.IntegerField()
    kind = serializers.CharField()
    area = serializers.CharField()
    scope = serializers.DictField(child=serializers.CharField(), help_text="Trades it covers")
    action = serializers.CharField()
    rationale = serializers.CharField()
    expected = serializers.CharField()
    criterion = serializers.CharField(help_text="What is measured")
    how = serializers.CharField(help_text="A model's words, empty without one")
    why = serializers.CharField(help_text="A model's words, empty without one")
    metric = serializers.CharField()
    effort = serializers.ChoiceField(["low", "medium", "high"])
    r_month = serializers.FloatField(allow_null=True, help_text="R a month it may save")
    r_month_low = serializers.FloatField(allow_null=True)
    r_month_high = serializers.FloatField(allow_null=True)
    helps = serializers.IntegerField(allow_null=True, help_text="Of 100")
    unknown_because = serializers.CharField()
    hours = serializers.FloatField(allow_null=True)
    roi_r_per_hour = serializers.FloatField(allow_null=True)
    pattern_ids = serializers.ListField(child=serializers.IntegerField())
    recommendation_id = serializers.IntegerField()


class PlanSerializer(serializers.ModelSerializer[ImprovementPlan]):
    class Meta:
        model = ImprovementPlan
        fields: tuple[str, ...] = (
            "id",
            "account_id",
            "focus_areas",
            "summary",
            "source",
            "created_at",
        )
        read_only_fields = fields


class PlanDetailSerializer(PlanSerializer):
    improvements = StepSerializer(many=True)
    facts = serializers.SerializerMethodField()
    pattern_ids = serializers.SerializerMethodField()

    class Meta(PlanSerializer.Meta):
        fields = (
            *PlanSerializer.Meta.fields,
            "improvements",
            "facts",
            "pattern_ids",
            "source_reason",
            "grounding",
        )
        read_only_fields = fields

    @extend_schema_field(FigureSerializer(many=True))
    def get_facts(self, plan: ImprovementPlan) -> list[FigureSerializer]:
        facts = [fact for group in plan_facts(plan.evidence) for fact in group]
        return FigureSerializer(facts, many=True).data  # type: ignore[return-value]

    def get_pattern_ids(self, plan: ImprovementPlan) -> list[int]:
        rows = plan.patterns.filter(account=plan.account_id).order_by("pk")
        return list(rows.values_list("pk", flat=True))


class CostSerializer(StrictSerializer):
    pattern_id = IdField()
    hours = StrictNumberField(min_value=0, max_value=MAX_HOURS)


class DraftSerializer(StrictSerializer):
    pattern_ids = IdListField(limit=MAX_PATTERNS, help_text="Of one account")
    hours = CostSerializer(
        many=True, required=False, help_text="What the rule of a pattern costs, where known"
    )


class PlanList(ListEndpoint):
    row_class = PlanSerializer

    @extend_schema(
        operation_id="improvement_plans", responses=answers({200: PlanSerializer(many=True)}, 404)
    )
    def get(self, request: Request) -> Response:
        """Plans, newest first."""
        return super().get(request)

    def rows(self, request: Request) -> QuerySet[ImprovementPlan]:
        return visible(ImprovementPlan.objects.all(), request.user).order_by("-created_at", "-pk")

    def whole(self, rows: QuerySet[ImprovementPlan]) -> QuerySet[ImprovementPlan]:
        return rows.defer("improvements", "evidence", "slot_data", "grounding")

    @extend_schema(
        operation_id="improvement_plan_create",
        parameters=[IDEMPOTENCY],
        request=DraftSerializer,
        responses=answers({201: PlanDetailSerializer}, 403, 404, 409, 413, 415, 422),
    )
    @idempotent()
    def post(self, request: Request) -> Response:
        """Draft a plan from patterns; the same patterns with the same figures give the same plan.
        A model words it afterwards, where one is configured."""
        given = self.body(request, DraftSerializer)
        hours = {cost["pattern_id"]: cost["hours"] for cost in given.get("hours", ())}
        plan = request_plan(pattern_ids=given["pattern_ids"], hours=hours, user=request.user)
        request_words(account=plan.account, plan=plan, user=request.user)
        return Response(PlanDetailSerializer(plan).data, status=201)


class PlanDetail(Endpoint):
    @extend_schema(
        operation_id="improvement_plan", responses=answers({200: PlanDetailSerializer}, 404)
    )
    def get(self, request: Request, plan_id: int) -> Response:
        """One plan with its rules in order, and the facts they rest on."""
        plan = readable(ImprovementPlan.objects.all(), user=request.user, pk=plan_id)
        return Response(PlanDetailSerializer(plan).data)
