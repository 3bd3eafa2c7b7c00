"""What goes with one audit's outcome, as the last report of its account has it."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from post_mortem.models import InsightAudit
from post_mortem.selectors.access import readable
from post_mortem.selectors.attribution import Told, attribution_of

from .base import Endpoint
from .schema import answers


class BaseRateSerializer(serializers.Serializer[Any]):
    n = serializers.IntegerField()
    won = serializers.IntegerField()


class OthersSerializer(BaseRateSerializer):
    words = serializers.CharField(help_text="Which trades, this one left out")
    mean_r = serializers.FloatField(allow_null=True)


class ContributionSerializer(serializers.Serializer[Any]):
    feature = serializers.CharField()
    meaning = serializers.CharField()
    words = serializers.CharField(help_text='Completes "trades ..."')
    direction = serializers.ChoiceField(["winning", "losing"])
    word = serializers.ChoiceField(["weak", "likely", "strong"])
    log_odds = serializers.FloatField(help_text="Added to the log-odds of the average trade")


class LaterSerializer(serializers.Serializer[Any]):
    """How later trades were predicted, by the model and by the base rate alone."""

    n = serializers.IntegerField()
    log_loss = serializers.FloatField()
    base_log_loss = serializers.FloatField()
    brier = serializers.FloatField()
    base_brier = serializers.FloatField()
    gain = serializers.FloatField(help_text="Log-loss saved a trade")
    gain_at_least = serializers.FloatField(allow_null=True, help_text="95 %, one-sided")


class ReportSerializer(serializers.Serializer[Any]):
    horizon = serializers.CharField()
    data_hash = serializers.CharField()
    registry_version = serializers.CharField()
    seed = serializers.IntegerField()
    fitted_at = serializers.DateTimeField()


class AttributionSerializer(serializers.Serializer[Told]):
    """Contributions are empty unless `state` is `signal`: without one there is nothing to say."""

    state = serializers.ChoiceField(
        ["not_judged", "not_fitted", "newer", "too_few", "no_signal", "signal"]
    )
    base = serializers.SerializerMethodField()
    cohort = OthersSerializer(allow_null=True)
    contributions = ContributionSerializer(many=True)
    later = LaterSerializer(source="skill", allow_null=True)
    report = ReportSerializer(allow_null=True)

    def get_base(self, told: Told) -> BaseRateSerializer:
        return BaseRateSerializer({"n": told.n, "won": told.won}).data  # type: ignore[return-value]


class AuditAttribution(Endpoint):
    @extend_schema(
        operation_id="audit_attribution", responses=answers({200: AttributionSerializer}, 404)
    )
    def get(self, request: Request, audit_id: int) -> Response:
        """What goes with this audit's outcome: the base rate, others like it, contributions."""
        audit = readable(InsightAudit.objects.all(), user=request.user, pk=audit_id)
        return Response(AttributionSerializer(attribution_of(audit)).data)
