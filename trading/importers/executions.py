"""Executions that a program sends as JSON objects instead of a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from trading.core.errors import UserError
from trading.core.instruments import clean_symbol
from trading.core.types import timeframe_ns

from .trades_contract import FillRow, Layout, ParsedTrades
from .values import NO_ZONE, as_decimal, positive, read_side, read_time

FIELDS: Final = (
    "time", "symbol", "side", "quantity", "price", "commission", "external_id", "currency",
    "strategy", "timeframe",
)  # fmt: skip
MAX_EXECUTIONS: Final = 50_000
_LENGTHS: Final = {
    "time": 40, "symbol": 60, "side": 20, "external_id": 120, "currency": 12, "strategy": 80,
    "timeframe": 6,
}  # fmt: skip


def read_executions(values: Sequence[Any], source: str) -> ParsedTrades:
    """The fills in given order. The first wrong one is a UserError with its row, from 1 on."""
    if len(values) > MAX_EXECUTIONS:
        raise UserError("row_limit", f"at most {MAX_EXECUTIONS:,} executions at once")
    if not values:
        raise UserError("no_rows", "there are no executions", field="executions")
    fills = []
    for row, value in enumerate(values, 1):
        try:
            fills.append(fill_row(value, row))
        except UserError as error:
            raise UserError(error.code, error.detail, field=error.field, row=row) from None
    return ParsedTrades(
        file=source, format="json", layout=Layout.EXECUTIONS, fills=tuple(fills), time_zone=""
    )


def fill_row(values: Any, row: int) -> FillRow:
    """One fill. Numbers may be JSON numbers or, exact whatever their length, texts; the time
    carries its offset; `commission` is signed, negative = paid."""
    if not isinstance(values, Mapping):
        raise UserError("malformed_json", "an execution is an object", field="executions")
    unknown = sorted(set(values) - set(FIELDS))
    if unknown:
        raise UserError(
            "unknown_field", f"unknown field {unknown[0][:60]!a}", field=unknown[0][:60]
        )
    time = read_time(_text(values, "time"), "time")
    if not time.zoned:
        raise UserError("timezone_required", NO_ZONE.partition(":")[0], field="time")
    timeframe = _text(values, "timeframe")
    if timeframe:
        timeframe_ns(timeframe)
    commission = values.get("commission")
    return FillRow(
        line=row,
        symbol=clean_symbol(_text(values, "symbol")),
        time=time.ns,
        side=read_side(_text(values, "side")),
        quantity=positive(as_decimal(values.get("quantity"), "quantity"), "quantity", "quantity"),
        price=positive(as_decimal(values.get("price"), "price"), "price", "non_positive_price"),
        commission=None if commission is None else as_decimal(commission, "commission"),
        external_id=_text(values, "external_id"),
        currency=_text(values, "currency"),
        strategy=_text(values, "strategy"),
        timeframe=timeframe,
    )


def _text(values: Mapping[str, Any], name: str) -> str:
    value = values.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise UserError("bad_text", f"{name} is not a text", field=name)
    if len(value) > _LENGTHS[name]:
        raise UserError("too_long", f"{name} has over {_LENGTHS[name]} characters", field=name)
    return value.strip()
