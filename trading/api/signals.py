"""`/api/trading/signals/`: the signals a user may see, and posting one."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from trading.core.errors import UserError
from trading.importers.signals import REQUIRED, signal_row
from trading.importers.values import NO_ZONE, read_time
from trading.models import Signal
from trading.services.accounts import account_chosen
from trading.services.signals import post_signal

from .base import JSON_PARSERS, ListEndpoint, MomentField, Query, answers
from .rows import SignalSerializer
from .values import asked_account

_COLUMNS = {
    "account": "account",
    "symbol": "instrument__symbol",
    "strategy": "strategy",
    "source": "source",
    "from": "time__gte",
    "to": "time__lt",
}


class SignalQuery(Query):
    account = serializers.IntegerField(min_value=1, max_value=2**63 - 1, required=False)
    symbol = serializers.CharField(max_length=30, required=False)
    strategy = serializers.CharField(max_length=80, required=False)
    source = serializers.ChoiceField(Signal.Source.values, required=False)  # type: ignore[assignment]

    def get_fields(self) -> dict[str, Any]:
        # `from` cannot be the name of an attribute.
        ends = {"from": MomentField(required=False), "to": MomentField(is_end=True, required=False)}
        return {**super().get_fields(), **ends}


class SignalIn(serializers.Serializer[Any]):
    """One signal. Prices may be numbers or, exact whatever their length, texts."""

    account = serializers.IntegerField(required=False, help_text="Default: your only account")
    external_id = serializers.CharField(max_length=120, required=False)
    time = serializers.DateTimeField(help_text="With its offset")
    symbol = serializers.CharField(max_length=30)
    timeframe = serializers.CharField(max_length=6)
    side = serializers.ChoiceField(["long", "short"])
    entry = serializers.CharField()
    entry_kind = serializers.ChoiceField(["market", "limit", "stop"], required=False)
    stop_loss = serializers.CharField(required=False, allow_null=True)
    take_profit = serializers.CharField(required=False, allow_null=True)
    score = serializers.FloatField(required=False, allow_null=True, min_value=0, max_value=100)
    score_semantics = serializers.ChoiceField(["probability", "rank"], required=False)
    min_score = serializers.FloatField(required=False, allow_null=True)
    strategy = serializers.CharField(max_length=80, required=False)
    strategy_kind = serializers.ChoiceField(["trend", "mean_reversion", "unknown"], required=False)
    claimed_setups = serializers.ListField(
        child=serializers.CharField(),
        required=False,
        allow_null=True,
        help_text="Null: not known; empty: none",
    )
    model_version = serializers.CharField(max_length=60, required=False)
    confidence = serializers.FloatField(required=False, allow_null=True)
    truth_index = serializers.FloatField(required=False, allow_null=True)
    indicators = serializers.DictField(required=False)
    heads = serializers.DictField(required=False)
    regime = serializers.CharField(max_length=40, required=False)


class SignalList(ListEndpoint):
    query_class = SignalQuery
    row_class = SignalSerializer
    parser_classes = JSON_PARSERS

    @extend_schema(
        operation_id="signals",
        parameters=[SignalQuery],
        responses=answers({200: SignalSerializer(many=True)}, 404),
    )
    def get(self, request: Request) -> Response:
        """Signals, latest first. `from` and `to` bound their time."""
        return super().get(request)

    def rows(self, request: Request) -> QuerySet[Signal]:
        rows = Signal.objects.visible_to(request.user).select_related("instrument")
        return rows.filter(**{_COLUMNS[k]: v for k, v in self.wanted.items()}).order_by(
            "-time", "-pk"
        )

    @extend_schema(
        operation_id="signal_post",
        request=SignalIn,
        responses=answers({201: SignalSerializer, 200: SignalSerializer}, 403, 404, 409, 415, 422),
    )
    def post(self, request: Request) -> Response:
        """Post a signal. 201 when it is new, 200 when it is stored already; a stop or target on
        the wrong side of the entry is refused."""
        values = self.object_of(request)
        account = account_chosen(user=request.user, asked=asked_account(values))
        missing = next((name for name in REQUIRED if values.get(name) in (None, "")), None)
        if missing:
            raise UserError("missing", f"{missing} is missing", field=missing)
        time = read_time(str(values["time"]), "time")
        if not time.zoned:
            raise UserError("timezone_required", NO_ZONE.partition(":")[0], field="time")
        row = signal_row(values, line=1, time=time.ns)
        signal, is_new = post_signal(account=account, row=row)
        code = status.HTTP_201_CREATED if is_new else status.HTTP_200_OK
        return Response(SignalSerializer(signal).data, status=code)
