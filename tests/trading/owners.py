"""Accounts and the state of a database for tests of imports."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.core import serializers

from trading.models import Account, Execution, Instrument, Signal, Trade
from trading.services.accounts import ensure_personal_desk

_IMPORTED = (Instrument, Signal, Trade, Execution)
# Differ between two imports of the same rows without meaning anything.
_INCIDENTAL = frozenset(("created_at",))


def an_account(username: str = "ann") -> Account:
    user = get_user_model().objects.create_user(username=username)
    return ensure_personal_desk(user=user)


def contents() -> list[Any]:
    """Every imported row with its key, to compare before and after."""
    rows = []
    for model in _IMPORTED:
        for row in serializers.serialize("python", model._default_manager.order_by("pk")):
            fields = {k: v for k, v in row["fields"].items() if k not in _INCIDENTAL}
            rows.append((row["model"], row["pk"], fields))
    return rows


def without_keys() -> list[Any]:
    """What is stored, whatever primary keys and batches it got."""
    trades = Trade.objects.order_by("opened_at", "dedupe_key").values_list(
        "dedupe_key", "side", "quantity", "entry_price", "exit_price", "opened_at", "closed_at",
        "commission", "gross_pnl", "net_pnl", "signal__dedupe_key", "signal__entry_price",
    )  # fmt: skip
    fills = Execution.objects.order_by("dedupe_key").values_list(
        "dedupe_key", "quantity", "price", "commission", "trade__dedupe_key"
    )
    return [list(trades), list(fills)]
