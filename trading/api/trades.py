"""`/api/trading/trades/`: the trades a user may see, and posting executions."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from trading.importers.executions import read_executions
from trading.importers.trades_contract import TradeOptions
from trading.models import Trade
from trading.services.accounts import account_chosen
from trading.services.trades import store_trades

from .base import JSON_PARSERS, ListEndpoint, MomentField, Query, answers
from .rows import SummarySerializer, TradeSerializer
from .values import asked_account

_COLUMNS = {
    "account": "account",
    "symbol": "instrument__symbol",
    "strategy": "strategy",
    "from": "opened_at__gte",
    "to": "opened_at__lt",
}
_STATES = {"open": True, "closed": False}


class TradeQuery(Query):
    account = serializers.IntegerField(min_value=1, max_value=2**63 - 1, required=False)
    symbol = serializers.CharField(max_length=30, required=False)
    strategy = serializers.CharField(max_length=80, required=False)
    state = serializers.ChoiceField(list(_STATES), required=False)

    def get_fields(self) -> dict[str, Any]:
        # `from` cannot be the name of an attribute.
        ends = {"from": MomentField(required=False), "to": MomentField(is_end=True, required=False)}
        return {**super().get_fields(), **ends}


class ExecutionIn(serializers.Serializer[Any]):
    """One fill. Numbers may be numbers or, exact whatever their length, texts."""

    time = serializers.DateTimeField(help_text="With its offset")
    symbol = serializers.CharField(max_length=30)
    side = serializers.CharField(help_text="buy or sell")
    quantity = serializers.CharField()
    price = serializers.CharField()
    commission = serializers.CharField(
        required=False, allow_null=True, help_text="Signed: negative = paid"
    )
    external_id = serializers.CharField(
        max_length=120, required=False, help_text="The broker's id of the fill"
    )
    currency = serializers.CharField(max_length=12, required=False)
    strategy = serializers.CharField(max_length=80, required=False)
    timeframe = serializers.CharField(max_length=6, required=False)


class ExecutionsIn(serializers.Serializer[Any]):
    account = serializers.IntegerField(required=False, help_text="Default: your only account")
    executions = ExecutionIn(many=True)
    dry_run = serializers.BooleanField(required=False)


class TradeList(ListEndpoint):
    query_class = TradeQuery
    row_class = TradeSerializer
    parser_classes = JSON_PARSERS

    @extend_schema(
        operation_id="trades",
        parameters=[TradeQuery],
        responses=answers({200: TradeSerializer(many=True)}, 404),
    )
    def get(self, request: Request) -> Response:
        """Trades, latest opened first. `from` and `to` bound their opening."""
        return super().get(request)

    def rows(self, request: Request) -> QuerySet[Trade]:
        rows = Trade.objects.visible_to(request.user).select_related("instrument")
        rows = rows.filter(**{_COLUMNS[k]: v for k, v in self.wanted.items() if k in _COLUMNS})
        if "state" in self.wanted:
            rows = rows.filter(closed_at__isnull=_STATES[self.wanted["state"]])
        return rows.order_by("-opened_at", "-pk")

    @extend_schema(
        operation_id="executions_post",
        request=ExecutionsIn,
        responses=answers(
            {201: SummarySerializer, 200: SummarySerializer}, 403, 404, 413, 415, 422
        ),
    )
    def post(self, request: Request) -> Response:
        """Post executions; trades are built from all of the account's, by FIFO. Sending the same
        fills again adds nothing: 201 when something was added, else 200."""
        values = self.object_of(request)
        account = account_chosen(user=request.user, asked=asked_account(values))
        executions, dry_run = values.pop("executions", None), values.pop("dry_run", False)
        for name in values:
            raise ValidationError({name: ["Unknown."]}, code="unknown_field")
        if not isinstance(executions, list) or type(dry_run) is not bool:
            name = "dry_run" if isinstance(executions, list) else "executions"
            raise ValidationError({name: ["A list of objects, or true or false."]}, code="invalid")
        parsed = read_executions(executions, "executions")
        digest = hashlib.sha256(json.dumps(executions, sort_keys=True).encode()).hexdigest()
        result = store_trades(
            account=account,
            parsed=parsed,
            sha256=digest,
            declared=TradeOptions(),
            created_by=request.user,
            dry_run=dry_run,
        )
        code = status.HTTP_201_CREATED if result.batch else status.HTTP_200_OK
        return Response(result.summary, status=code)
