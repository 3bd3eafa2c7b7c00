"""Which column of a table of trades means what: known headers, declared ones, required ones.

A column is named by its header as the file has it. A header is known when, in lower case and with
everything but letters and digits as `_`, it stands in the tables below; anything else is read only
if the user maps it, `COLUMN=FIELD`, and is listed as not read otherwise.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Final

from trading.core.errors import UserError

from .contract import refuse
from .trades_contract import Layout

IGNORE: Final = "ignore"
# Several columns may be costs: they are added up.
_REPEATABLE: Final = frozenset(("fee",))
_COMMON: Final = (
    "symbol", "side", "quantity", "commission", "fee", "currency", "strategy", "timeframe",
    "external_id",
)  # fmt: skip
EXECUTION_FIELDS: Final = (*_COMMON, "time", "date", "clock", "price", "signed_quantity")
TRIP_FIELDS: Final = (
    *_COMMON, "opened_at", "closed_at", "entry_price", "exit_price", "requested_entry",
    "requested_exit", "stop_loss_initial", "stop_loss_final", "take_profit", "swap", "gross_pnl",
    "net_pnl", "exit_reason", "tags", "notes",
)  # fmt: skip
FIELDS: Final = tuple(dict.fromkeys((*EXECUTION_FIELDS, *TRIP_FIELDS)))
_TRIP_ONLY: Final = frozenset(TRIP_FIELDS) - frozenset(EXECUTION_FIELDS)
_EXECUTION_ONLY: Final = frozenset(EXECUTION_FIELDS) - frozenset(TRIP_FIELDS)

TRADERVUE: Final = "tradervue"
GENERIC: Final = "csv"
_TRADERVUE_HEADERS: Final = frozenset(("date", "time", "symbol", "quantity", "price", "side"))
# Its costs are written as positive numbers.
_TRADERVUE: Final = {
    "date": "date", "time": "clock", "symbol": "symbol", "quantity": "quantity", "price": "price",
    "side": "side", "commission": "fee", "transfee": "fee", "ecnfee": "fee",
}  # fmt: skip
_KNOWN: Final = {
    **{name: name for name in FIELDS if name not in ("date", "clock")},
    "datetime": "time", "date_time": "time", "timestamp": "time", "executed_at": "time",
    "execution_time": "time",
    "instrument": "symbol", "pair": "symbol", "ticker": "symbol",
    "qty": "quantity", "volume": "quantity", "size": "quantity", "amount": "quantity",
    "direction": "side", "type": "side",
    "execution_id": "external_id", "exec_id": "external_id", "trade_id": "external_id",
    "id": "external_id", "ticket": "external_id",
    "open_time": "opened_at", "open_date": "opened_at", "entry_time": "opened_at",
    "entry_date": "opened_at",
    "close_time": "closed_at", "close_date": "closed_at", "exit_time": "closed_at",
    "exit_date": "closed_at",
    "entry": "entry_price", "open_price": "entry_price",
    "exit": "exit_price", "close_price": "exit_price",
    # Which stop a statement shows is not said: it is the last one until the user declares it.
    "stop": "stop_loss_final", "stop_loss": "stop_loss_final", "sl": "stop_loss_final",
    "s_l": "stop_loss_final", "initial_stop": "stop_loss_initial",
    "initial_stop_loss": "stop_loss_initial",
    "target": "take_profit", "tp": "take_profit", "t_p": "take_profit",
    "pnl": "net_pnl", "p_l": "net_pnl", "net_p_l": "net_pnl", "profit": "gross_pnl",
    "gross_p_l": "gross_pnl",
    "commissions": "commission", "fees": "fee", "tag": "tags", "note": "notes",
    "reason": "exit_reason",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Columns:
    """Where each field stands: `at[field]` are column indices. `mapping` is header to field,
    `unread` the headers that mean nothing here; `declared` are fields the user named."""

    format: str
    layout: Layout
    at: Mapping[str, tuple[int, ...]]
    mapping: Mapping[str, str]
    unread: tuple[str, ...]
    declared: frozenset[str]
    header_hash: str
    width: int

    def in_headers(self, error: UserError) -> UserError:
        """The error with the file's header in place of the field's name."""
        headers = [header for header, field in self.mapping.items() if field == error.field]
        rest = error.detail.removeprefix(f"{error.field} ")
        if len(headers) != 1 or rest == error.detail:
            return error
        return UserError(error.code, f"{headers[0]} {rest}", field=error.field, row=error.row)


def plain_header(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", text.strip().lower()).strip("_")


def header_hash(header: Sequence[str]) -> str:
    """Identifies a layout: the same columns in the same order."""
    return hashlib.sha256("\x1f".join(map(plain_header, header)).encode()).hexdigest()


def parse_mapping(pairs: Sequence[str]) -> dict[str, str]:
    """`["Open=opened_at"]` to {"Open": "opened_at"}; a field that is none is a UserError."""
    mapping = {}
    for pair in pairs:
        column, separator, field = pair.rpartition("=")
        if not separator or not column.strip():
            raise UserError("mapping", f"{pair[:60]!a} is not COLUMN=FIELD", field="map")
        mapping[column.strip()] = field.strip()
    return mapping


def find_columns(header: Sequence[str], mapping: Mapping[str, str], file: str) -> Columns:
    """The columns of a header line, declared ones first.

    Codes: duplicate_column, mapping, missing_columns.
    """
    plain = [plain_header(cell) for cell in header]
    repeated = next((name for name in plain if name and plain.count(name) > 1), None)
    if repeated is not None:
        raise refuse(file, "duplicate_column", f"the column {repeated} occurs twice", row=1)
    tradervue = set(plain) >= _TRADERVUE_HEADERS
    known = _TRADERVUE if tradervue else _KNOWN | _alone(plain)
    declared = _declared(mapping, plain, header, file)
    fields = [declared.get(name, known.get(name, "")) for name in plain]
    # A declared column goes before one that is named like the field, that before an alias.
    for stronger in (set(declared), {*declared, *FIELDS}):
        taken = {f for f, name in zip(fields, plain, strict=True) if name in stronger}
        fields = [
            "" if f in taken - _REPEATABLE and name not in stronger else f
            for f, name in zip(fields, plain, strict=True)
        ]
    layout = _layout(fields, header, file)
    foreign = _EXECUTION_ONLY if layout == Layout.ROUND_TRIPS else _TRIP_ONLY
    _check_declared(foreign & set(declared.values()), layout, file)
    fields = ["" if field in foreign else field for field in fields]
    at: dict[str, tuple[int, ...]] = {}
    for index, field in enumerate(fields):
        if field and field != IGNORE:
            at[field] = (*at.get(field, ()), index)
    _check_once(at, header, file)
    return Columns(
        format=TRADERVUE if tradervue else GENERIC,
        layout=layout,
        at=at,
        mapping={header[i]: field for i, field in enumerate(fields) if field},
        unread=tuple(header[i] for i, field in enumerate(fields) if not field and header[i]),
        declared=frozenset(declared.values()),
        header_hash=header_hash(header),
        width=len(header),
    )


def _alone(plain: Sequence[str]) -> dict[str, str]:
    """Date and time: two columns of one moment, or one column by either name."""
    if "date" in plain and "time" in plain:
        return {"date": "date", "time": "clock"}
    return {"date": "time"}


def _declared(
    mapping: Mapping[str, str], plain: Sequence[str], header: Sequence[str], file: str
) -> dict[str, str]:
    declared = {}
    for column, field in mapping.items():
        if plain_header(column) not in plain:
            shown = ", ".join(header)
            raise refuse(file, "mapping", f"there is no column {column[:60]!a} among {shown}")
        if field != IGNORE and field not in FIELDS:
            raise refuse(
                file, "mapping", f"there is no field {field[:60]!a}: one of {', '.join(FIELDS)}"
            )
        declared[plain_header(column)] = field
    return declared


def _check_once(at: Mapping[str, tuple[int, ...]], header: Sequence[str], file: str) -> None:
    for field, indices in at.items():
        if len(indices) > 1 and field not in _REPEATABLE:
            shown = " and ".join(header[i] for i in indices)
            raise refuse(
                file,
                "duplicate_column",
                f"{shown} both mean {field}: map one of them to another field or to {IGNORE}",
                row=1,
            )


def _layout(fields: Sequence[str], header: Sequence[str], file: str) -> Layout:
    """Round trips when a column says so, else executions; every needed column must be there."""
    trips = {"entry_price", "opened_at"} & set(fields)
    layout = Layout.ROUND_TRIPS if trips else Layout.EXECUTIONS
    missing = _missing(frozenset(fields), layout)
    if missing:
        raise refuse(
            file,
            "missing_columns",
            f"no column for {', '.join(missing)} among {', '.join(header)[:300]}: "
            "say which it is with --map COLUMN=FIELD",
            row=1,
        )
    return layout


def _check_declared(foreign: Set[str], layout: Layout, file: str) -> None:
    if foreign:
        shown = ", ".join(sorted(foreign))
        other = layout.value.replace("_", " ")
        raise refuse(file, "mapping", f"{shown}: no field of a table of {other}", row=1)


def _missing(at: Set[str], layout: Layout) -> list[str]:
    if layout == Layout.ROUND_TRIPS:
        return [n for n in ("opened_at", "entry_price", "side", "quantity") if n not in at]
    missing = [] if "price" in at else ["price"]
    if "signed_quantity" not in at:
        missing += [name for name in ("side", "quantity") if name not in at]
    if "time" not in at and not {"date", "clock"} <= set(at):
        missing.append("time")
    return missing
