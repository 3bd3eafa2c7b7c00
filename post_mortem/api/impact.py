"""Did it work? The verdict on one recommendation, and what types of advice have brought."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from post_mortem.core.impact import VERDICTS
from post_mortem.models import ImpactVerdict, MeasurementPlan, RecommendationTracking
from post_mortem.selectors.access import readable
from post_mortem.selectors.impact_report import Report, report
from post_mortem.selectors.worth import experience
from post_mortem.services.impact import judge_recommendations
from post_mortem.services.impact_plans import fault
from trading.core.errors import NotFoundError, UserError
from trading.models import editable_accounts, visible_accounts

from .base import Endpoint
from .fields import IdField, StrictSerializer
from .schema import answers

# What a verdict says of an effect, by the name it has in an answer.
_TOLD = (
    *("sentence", "reason", "estimate_r", "ci", "se_r", "shrunk_r", "raw_before_after_r"),
    *("expected_rebound_r", "n_before", "n_after", "look", "more_trades_needed", "looks"),
    *("comparison_trades", "comparison_cells", "without_r", "untold", "straddling", "excluded"),
    *("overlaps", "hypothetical", "inflation", "sd_r"),
)


class FrozenPlanSerializer(serializers.ModelSerializer[MeasurementPlan]):
    made_by = serializers.CharField(source="made_by.username", default=None, allow_null=True)
    fault = serializers.SerializerMethodField(help_text="Empty: it is what was frozen")

    class Meta:
        model = MeasurementPlan
        fields = (
            *("number", "sha256", "implemented_at", "ended_at", "end_reason", "made_by"),
            *("fault", "data"),
        )
        read_only_fields = fields

    def get_fault(self, plan: MeasurementPlan) -> str:
        return fault(plan)


class PastVerdictSerializer(serializers.ModelSerializer[ImpactVerdict]):
    plan = serializers.IntegerField(source="plan.number")

    class Meta:
        model = ImpactVerdict
        fields = ("plan", "number", "verdict", "judged_at", "input_hash")
        read_only_fields = fields


class RoiSerializer(serializers.Serializer[Any]):
    r_a_month = serializers.FloatField()
    r_interval = serializers.ListField(child=serializers.FloatField())
    money_a_month = serializers.FloatField(allow_null=True)
    money_interval = serializers.ListField(child=serializers.FloatField(), allow_null=True)
    cost = serializers.FloatField(allow_null=True)
    ratio = serializers.FloatField(allow_null=True, help_text="null where nothing was spent")
    months = serializers.FloatField()


class ImpactSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    verdict = serializers.ChoiceField(VERDICTS, allow_null=True, help_text="null: never judged")
    judged_at = serializers.DateTimeField(allow_null=True)
    sentence = serializers.CharField(allow_null=True)
    reason = serializers.CharField(allow_null=True)
    estimate_r = serializers.FloatField(allow_null=True, help_text="R a trade")
    ci = serializers.ListField(
        child=serializers.FloatField(), allow_null=True, help_text="95 %, not a test"
    )
    se_r = serializers.FloatField(allow_null=True)
    shrunk_r = serializers.FloatField(allow_null=True)
    raw_before_after_r = serializers.FloatField(allow_null=True)
    expected_rebound_r = serializers.FloatField(
        allow_null=True, help_text="null without a losing run before it"
    )
    n_before = serializers.IntegerField(allow_null=True)
    n_after = serializers.IntegerField(allow_null=True)
    look = serializers.ListField(child=serializers.IntegerField(), allow_null=True)
    more_trades_needed = serializers.IntegerField(allow_null=True)
    looks = serializers.ListField(child=serializers.DictField(), allow_null=True)
    comparison_trades = serializers.IntegerField(allow_null=True)
    comparison_cells = serializers.IntegerField(allow_null=True)
    without_r = serializers.IntegerField(allow_null=True)
    untold = serializers.IntegerField(allow_null=True)
    straddling = serializers.IntegerField(allow_null=True)
    excluded = serializers.IntegerField(allow_null=True)
    overlaps = serializers.ListField(child=serializers.IntegerField(), allow_null=True)
    hypothetical = serializers.DictField(allow_null=True)
    inflation = serializers.FloatField(allow_null=True)
    sd_r = serializers.FloatField(allow_null=True)
    roi = RoiSerializer(allow_null=True)
    plan = FrozenPlanSerializer(allow_null=True)
    plans = FrozenPlanSerializer(many=True)
    history = PastVerdictSerializer(many=True)


class RecommendationImpact(Endpoint):
    @extend_schema(
        operation_id="recommendation_impact", responses=answers({200: ImpactSerializer}, 404)
    )
    def get(self, request: Request, recommendation_id: int) -> Response:
        """The newest verdict, the plan it follows, and all verdicts before it."""
        row = readable(
            RecommendationTracking.objects.all(), user=request.user, pk=recommendation_id
        )
        return Response(_told(report(row)))


def _told(found: Report) -> dict[str, Any]:
    result = {} if found.verdict is None else found.verdict.result
    plans = FrozenPlanSerializer(found.plans, many=True).data
    return {
        "id": found.row.pk,
        "verdict": None if found.verdict is None else found.verdict.verdict,
        "judged_at": None if found.verdict is None else found.verdict.judged_at,
        **{name: result.get(name) for name in _TOLD},
        "roi": None if found.roi is None else RoiSerializer(found.roi).data,
        "plan": plans[0] if plans else None,
        "plans": plans,
        "history": PastVerdictSerializer(found.history, many=True).data,
    }


class TypeSerializer(serializers.Serializer[Any]):
    kind = serializers.CharField()
    mean_r = serializers.FloatField(help_text="R a trade, over verified pieces of this type")
    interval = serializers.ListField(child=serializers.FloatField(), help_text="95 %")
    tau = serializers.FloatField(help_text="Spread of true effects between pieces")
    n = serializers.IntegerField()


class ClaimSerializer(serializers.Serializer[Any]):
    writer = serializers.CharField()
    n = serializers.IntegerField()
    claimed_r = serializers.FloatField()
    verified_r = serializers.FloatField()
    ratio = serializers.FloatField(allow_null=True, help_text="null below ten verdicts")


class TypesSerializer(serializers.Serializer[Any]):
    types = TypeSerializer(many=True)
    claims = ClaimSerializer(many=True)
    verdicts = serializers.IntegerField(help_text="With a measured effect")
    claim_slope = serializers.FloatField(help_text="What a claimed R is believed to be worth")


class RecommendationTypes(Endpoint):
    @extend_schema(operation_id="recommendation_types", responses=answers({200: TypesSerializer}))
    def get(self, request: Request) -> Response:
        """Effects by type of advice, and how writers' claims came out."""
        found = experience(request.user)
        types = [{"kind": k, **_fields(v)} for k, v in found.types.items()]
        claims = [{"writer": w, **_fields(v)} for w, v in found.claims.items()]
        return Response(
            {
                "types": TypeSerializer(types, many=True).data,
                "claims": ClaimSerializer(claims, many=True).data,
                "verdicts": found.learned.n,
                "claim_slope": found.learned.slope,
            }
        )


def _fields(value: Any) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__dataclass_fields__}


class JudgeBody(StrictSerializer):
    account = IdField()


class JudgeSerializer(serializers.Serializer[Any]):
    judged = serializers.IntegerField()
    written = serializers.IntegerField(help_text="With a new verdict")
    verdicts = serializers.DictField(child=serializers.IntegerField())
    faults = serializers.DictField(
        child=serializers.CharField(), help_text="Plans that are not what was frozen"
    )


class RecommendationJudge(Endpoint):
    @extend_schema(
        operation_id="recommendations_judge",
        request=JudgeBody,
        responses=answers({200: JudgeSerializer}, 403, 404, 415, 422),
    )
    def post(self, request: Request) -> Response:
        """Judge the implemented advice of an account now. Again changes nothing."""
        given = self.body(request, JudgeBody)
        account = visible_accounts(request.user).filter(pk=given["account"]).first()
        if account is None:
            raise NotFoundError("not_found", "Not found.")
        if not editable_accounts(request.user).filter(pk=account.pk).exists():
            raise UserError("not_permitted", "You may read this, not change it.")
        done = judge_recommendations(account=account, now=timezone.now())
        return Response({**done.as_dict(), "faults": {str(k): v for k, v in done.faults.items()}})
