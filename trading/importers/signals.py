"""Signals from CSV, JSONL or a JSON array, under exactly the names in `COLUMNS`.

`time, symbol, timeframe, side, entry` are needed. `claimed_setups` has three states: absent (no
column, no key, or null) says nothing and is None, empty claims none, and otherwise it lists
lower-case names separated by `;`. A stop or target on the wrong side of the entry refuses the
signal (`sl_side`, `tp_side`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, Final, NoReturn

from trading.core.errors import FileError, Problem, UserError
from trading.core.instruments import clean_symbol
from trading.core.types import timeframe_ns

from .contract import ProblemLog, refuse
from .trades import MAX_FILE_BYTES
from .trades_contract import MAX_ROWS, RowLog, Skipped, TradeOptions
from .trades_csv import read_table
from .trades_freqtrade import load_json
from .values import (
    NO_ZONE,
    WrittenTime,
    as_decimal,
    positive,
    read_decimal,
    read_position_side,
    read_time,
    times_utc,
)
from .zones import Zone, parse_zone

COLUMNS: Final = (
    "external_id", "time", "symbol", "timeframe", "side", "entry", "entry_kind", "stop_loss",
    "take_profit", "score", "score_semantics", "min_score", "strategy", "strategy_kind",
    "claimed_setups", "model_version", "confidence", "truth_index", "indicators", "heads", "regime",
)  # fmt: skip
REQUIRED: Final = ("time", "symbol", "timeframe", "side", "entry")
SETUP_NAMES: Final = ("bos", "choch", "fvg", "order_block", "breakout", "sweep")
_CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "entry_kind": ("market", "limit", "stop"),
    "score_semantics": ("probability", "rank"),
    "strategy_kind": ("trend", "mean_reversion", "unknown"),
}
_LENGTHS: Final = {
    "external_id": 120, "strategy": 80, "model_version": 60, "regime": 40, "timeframe": 6,
}  # fmt: skip
_SCORES: Final = ("score", "min_score")
_NUMBERS: Final = ("entry", "stop_loss", "take_profit", *_SCORES, "confidence", "truth_index")


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalRow:
    """One signal as given. `time` ns UTC, `side` +1 long or -1 short, scores 0 to 100."""

    line: int
    time: int
    symbol: str
    timeframe: str
    side: int
    entry: Decimal
    external_id: str = ""
    entry_kind: str = "market"
    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None
    score: float | None = None
    score_semantics: str = ""
    min_score: float | None = None
    strategy: str = ""
    strategy_kind: str = "unknown"
    claimed_setups: tuple[str, ...] | None = None
    model_version: str = ""
    confidence: float | None = None
    truth_index: float | None = None
    indicators: Mapping[str, Any] = field(default_factory=dict)
    heads: Mapping[str, Any] = field(default_factory=dict)
    regime: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedSignals:
    """What one file holds; `problems` are warnings."""

    file: str
    format: str
    signals: tuple[SignalRow, ...]
    skipped: tuple[Skipped, ...]
    problems: tuple[Problem, ...]
    time_zone: str


def read_signals(data: bytes, file: str, options: TradeOptions) -> ParsedSignals:
    """The signals of a file. Raises `FileError` with everything that is wrong in it."""
    if not data:
        raise refuse(file, "empty_file", "the file is empty")
    if len(data) > MAX_FILE_BYTES:
        raise refuse(file, "file_too_large", f"over {MAX_FILE_BYTES // 2**20} MB")
    start = data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    log = ProblemLog(file)
    rows = RowLog(log, options.partial)
    if start == b"[":
        format_, records = "json", _array(data, file)
    elif start == b"{":
        format_, records = "jsonl", list(_lines(data, file, rows))
    else:
        format_, records = "csv", _table(data, file, options)
    if not records and not rows.skipped and not log.fatal_count:
        raise refuse(file, "no_rows", "the file holds no signals")
    if len(records) > MAX_ROWS:
        raise refuse(file, "row_limit", f"more than {MAX_ROWS:,} signals")
    zone = parse_zone(options.tz) if options.tz else None
    signals, local = _read(records, zone, rows, options, file)
    log.raise_if_fatal()
    return ParsedSignals(
        file=file,
        format=format_,
        signals=tuple(signals),
        skipped=tuple(sorted(rows.skipped, key=lambda row: row.line)),
        problems=log.problems,
        time_zone=zone.name if zone and local else "",
    )


Record = tuple[int, Mapping[str, Any]]


def _table(data: bytes, file: str, options: TradeOptions) -> list[Record]:
    table = read_table(data, file, options.encoding)
    names = [cell.strip() for cell in table.header]
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        raise refuse(file, "duplicate_column", f"the column {repeated!a} occurs twice", row=1)
    unknown = [name for name in names if name not in COLUMNS]
    if unknown:
        detail = f"unknown columns {', '.join(unknown)[:200]!a}: expected {', '.join(COLUMNS)}"
        raise refuse(file, "unknown_column", detail, row=1)
    given = (*names, "timeframe") if options.timeframe else names
    missing = [name for name in REQUIRED if name not in given]
    if missing:
        detail = f"no column {', '.join(missing)}: every signal needs {', '.join(REQUIRED)}"
        if "timeframe" in missing:
            detail += "; one timeframe for all is given with --timeframe, like 1h"
        raise refuse(file, "missing_columns", detail, row=1)
    records: list[Record] = []
    for line, cells in table.rows:
        if len(cells) != len(names):
            detail = f"the line has {len(cells)} cells, {len(names)} are expected"
            raise refuse(file, "column_count", detail, row=line)
        values: dict[str, Any] = dict(zip(names, cells, strict=True))
        # An empty cell says nothing, but of the claims it says that there are none.
        records.append((line, {k: v for k, v in values.items() if v or k == "claimed_setups"}))
    return records


def _lines(data: bytes, file: str, rows: RowLog) -> Iterator[Record]:
    for number, line in enumerate(data.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            value = load_json(line.strip(), file)
        except FileError as error:
            rows.bad(number, UserError(error.code, error.problems[0].detail))
            continue
        if isinstance(value, dict):
            yield number, value
        else:
            rows.bad(number, UserError("malformed_json", "the line is not a JSON object"))


def _array(data: bytes, file: str) -> list[Record]:
    value = load_json(data, file)
    if not all(isinstance(item, dict) for item in value):
        raise refuse(file, "malformed_json", "an element of the array is not an object")
    return list(enumerate(value, 1))


def _read(
    records: Sequence[Record], zone: Zone | None, rows: RowLog, options: TradeOptions, file: str
) -> tuple[list[SignalRow], bool]:
    """The signals, and whether a time had no offset."""
    written: list[WrittenTime] = []
    read: list[SignalRow] = []
    for line, values in records:
        try:
            _check_names(values)
            values = _as_declared(values, options)
            time = read_time(str(_needed(values, "time")), "time", date_order=options.date_order)
            read.append(signal_row(values, line=line, time=time.ns))
            written.append(time)
        except UserError as error:
            rows.bad(line, error)
    if zone is None:
        for row, time in zip(read, written, strict=True):
            if not time.zoned:
                raise refuse(file, "timezone_required", NO_ZONE, row=row.line, field="tz")
    result = []
    for row, moment in zip(read, times_utc(written, zone), strict=True):
        if isinstance(moment, int):
            result.append(replace(row, time=moment))
        elif moment is not None:
            rows.bad(row.line, moment)
    return result, any(not time.zoned for time in written)


def signal_row(values: Mapping[str, Any], *, line: int, time: int) -> SignalRow:
    """One signal from its values by column name; texts, numbers or JSON values alike.

    Every value is checked; the first that is wrong is a UserError naming its field.
    """
    _check_names(values)
    timeframe = _text(_needed(values, "timeframe"), "timeframe")
    timeframe_ns(timeframe)
    row = SignalRow(
        line=line,
        time=time,
        symbol=clean_symbol(_text(_needed(values, "symbol"), "symbol")),
        timeframe=timeframe,
        side=read_position_side(_text(_needed(values, "side"), "side")),
        entry=positive(
            as_decimal(_needed(values, "entry"), "entry"), "entry", "non_positive_price"
        ),
        external_id=_text(values.get("external_id"), "external_id"),
        entry_kind=_choice(values, "entry_kind") or "market",
        stop_loss=_level(values, "stop_loss"),
        take_profit=_level(values, "take_profit"),
        score=_number(values, "score"),
        score_semantics=_choice(values, "score_semantics"),
        min_score=_number(values, "min_score"),
        strategy=_text(values.get("strategy"), "strategy"),
        strategy_kind=_choice(values, "strategy_kind") or "unknown",
        claimed_setups=_claims(values.get("claimed_setups")),
        model_version=_text(values.get("model_version"), "model_version"),
        confidence=_number(values, "confidence"),
        truth_index=_number(values, "truth_index"),
        indicators=_object(values, "indicators"),
        heads=_object(values, "heads"),
        regime=_text(values.get("regime"), "regime"),
    )
    check_sides(row.side, row.entry, row.stop_loss, row.take_profit)
    return row


def _check_names(values: Mapping[str, Any]) -> None:
    unknown = sorted(set(values) - set(COLUMNS))
    if unknown:
        name = unknown[0][:60]
        detail = f"unknown field {name!a}: expected {', '.join(COLUMNS)}"
        raise UserError("unknown_field", detail, field=name)


def _as_declared(values: Mapping[str, Any], options: TradeOptions) -> Mapping[str, Any]:
    """The values with the declared timeframe where they have none, and commas read as declared."""
    result = dict(values)
    if options.timeframe and result.get("timeframe") in (None, ""):
        result["timeframe"] = options.timeframe
    if options.decimal_comma:
        written = {n: v for n in _NUMBERS if isinstance(v := result.get(n), str) and v}
        result |= {n: read_decimal(v, n, comma=True) for n, v in written.items()}
    return result


def check_sides(side: int, entry: Decimal, stop: Decimal | None, target: Decimal | None) -> None:
    """Refuse a stop that is not on the losing side of the entry, a target not on the winning."""
    position = "long" if side > 0 else "short"
    if stop is not None and side * (entry.compare(stop)) <= 0:
        below = "below" if side > 0 else "above"
        detail = (
            f"the stop of a {position} lies {below} its entry; {stop} does not lie {below} {entry}"
        )
        raise UserError("sl_side", detail, field="stop_loss")
    if target is not None and side * (target.compare(entry)) <= 0:
        above = "above" if side > 0 else "below"
        detail = (
            f"the target of a {position} lies {above} its entry; "
            f"{target} does not lie {above} {entry}"
        )
        raise UserError("tp_side", detail, field="take_profit")


def _needed(values: Mapping[str, Any], name: str) -> Any:
    value = values.get(name)
    if value is None or value == "":
        raise UserError("missing", f"{name} is empty", field=name)
    return value


def _text(value: Any, name: str) -> str:
    if value is None:
        return ""
    if isinstance(value, bool | dict | list):
        raise UserError("bad_text", f"{name} is not a text", field=name)
    text = str(value).strip()
    if len(text) > _LENGTHS.get(name, 60):
        raise UserError(
            "too_long", f"{name} has over {_LENGTHS.get(name, 60)} characters", field=name
        )
    return text


def _choice(values: Mapping[str, Any], name: str) -> str:
    text = _text(values.get(name), name)
    if text and text not in _CHOICES[name]:
        raise UserError(
            "choice", f"{name} is {text!a}: expected one of {', '.join(_CHOICES[name])}", field=name
        )
    return text


def _level(values: Mapping[str, Any], name: str) -> Decimal | None:
    value = values.get(name)
    if value is None or value == "":
        return None
    return positive(as_decimal(value, name), name, "non_positive_price")


def _number(values: Mapping[str, Any], name: str) -> float | None:
    value = values.get(name)
    if value is None or value == "":
        return None
    number = float(as_decimal(value, name))
    if not math.isfinite(number) or (name in _SCORES and not 0 <= number <= 100):
        expected = "a score from 0 to 100" if name in _SCORES else "finite"
        raise UserError("out_of_range", f"{name} is {number}, expected {expected}", field=name)
    return number


def _claims(value: Any) -> tuple[str, ...] | None:
    if value is None:
        return None
    names = value if isinstance(value, list) else str(value).split(";")
    claims = tuple(str(name).strip() for name in names if str(name).strip())
    unknown = next((name for name in claims if name not in SETUP_NAMES), None)
    if unknown is not None:
        raise UserError(
            "choice",
            f"claimed_setups names {unknown[:40]!a}: expected {', '.join(SETUP_NAMES)}",
            field="claimed_setups",
        )
    return tuple(dict.fromkeys(claims))


def _object(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = values.get(name)
    if value is None or value == "":
        return {}
    if isinstance(value, str):
        try:
            value = json.loads(value, parse_constant=_no_constant)
        except (ValueError, RecursionError):
            raise UserError("malformed_json", f"{name} is no JSON object", field=name) from None
    if not isinstance(value, dict):
        raise UserError("malformed_json", f"{name} is no JSON object", field=name)
    return {key: _plain(item) for key, item in value.items()}


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _plain(value: Any) -> Any:
    """The same with floats for decimals, as a JSON column takes it."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value
