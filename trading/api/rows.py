"""Signals and trades as JSON."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from trading.models import Signal, Trade

from .base import ExactField, SideField


class SignalSerializer(serializers.ModelSerializer[Signal]):
    # A text, not a choice: the schema has other enumerations called source.
    source = serializers.CharField(help_text="feed, or trade for one made for a trade")  # type: ignore[assignment]
    symbol = serializers.CharField(source="instrument.symbol")
    side = SideField()
    entry = ExactField(source="entry_price")
    stop_loss = ExactField(allow_null=True)
    take_profit = ExactField(allow_null=True)
    claimed_setups = serializers.ListField(child=serializers.CharField(), allow_null=True)

    class Meta:
        model = Signal
        fields = (
            "id", "account", "external_id", "source", "time", "symbol", "timeframe", "side",
            "entry", "entry_kind", "stop_loss", "take_profit", "score", "score_semantics",
            "min_score", "strategy", "strategy_kind", "claimed_setups", "model_version",
            "confidence", "truth_index", "indicators", "heads", "regime", "created_at",
        )  # fmt: skip
        read_only_fields = fields


class TradeSerializer(serializers.ModelSerializer[Trade]):
    symbol = serializers.CharField(source="instrument.symbol")
    side = SideField()
    quantity = ExactField()
    requested_entry = ExactField(allow_null=True)
    entry_price = ExactField()
    requested_exit = ExactField(allow_null=True)
    exit_price = ExactField(allow_null=True)
    stop_loss_initial = ExactField(allow_null=True)
    stop_loss_final = ExactField(allow_null=True)
    take_profit = ExactField(allow_null=True)
    commission = ExactField(allow_null=True)
    swap = ExactField(allow_null=True)
    gross_pnl = ExactField(allow_null=True)
    net_pnl = ExactField(allow_null=True)

    class Meta:
        model = Trade
        fields = (
            "id", "account", "signal", "external_id", "symbol", "side", "quantity",
            "requested_entry", "entry_price", "opened_at", "requested_exit", "exit_price",
            "closed_at", "exit_reason", "exit_reason_text", "stop_loss_initial", "stop_loss_final",
            "take_profit", "commission", "swap", "gross_pnl", "net_pnl", "pnl_currency", "strategy",
            "on_plan", "tags", "mistakes", "stars", "notes", "reviewed_at", "created_at",
        )  # fmt: skip
        read_only_fields = fields


class SummarySerializer(serializers.Serializer[Any]):
    """What an import did; `import_id` is null when it changed nothing."""

    import_id = serializers.IntegerField(allow_null=True)
    rows_read = serializers.IntegerField()
    trades_new = serializers.IntegerField()
    trades_updated = serializers.IntegerField()
    trades_duplicate = serializers.IntegerField()
    executions_new = serializers.IntegerField()
    executions_duplicate = serializers.IntegerField()
    rows_skipped = serializers.IntegerField()
    skipped = serializers.ListField(child=serializers.DictField())
    warnings = serializers.ListField(child=serializers.DictField())
    pnl = serializers.DictField()
    preview = serializers.ListField(child=serializers.DictField())
