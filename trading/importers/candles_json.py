"""Candles from JSON: a list of objects, or of lists `[time, open, high, low, close, volume]`.

Numbers keep their text and go through the same strict readers as a delimited file. Problems name
the record (1 is the first), not a line.
"""

from __future__ import annotations

import json
import re
from typing import IO, Any

from .candle_table import TableReader
from .contract import ProblemLog, RawCandles, ReadOptions, refuse
from .layouts import BINANCE_COLUMNS, Layout, layout_of_header, of_columns
from .tables import UNQUOTED, records_block

MAX_JSON_BYTES = 256 * 1024**2
_CONTROL = re.compile(r"[\x00-\x1f]")
_LIST_LAYOUTS = {6: "time open high low close volume", 5: "time open high low close"}
_RECORDS_A_BLOCK = 20_000


class _DuplicateKeyError(ValueError):
    pass


def parse_json(stream: IO[bytes], file: str, options: ReadOptions) -> RawCandles:
    """Read a JSON candle file. Codes of its own: malformed_json, duplicate_key, json_layout."""
    records = _records(_loaded(stream, file), file)
    log = ProblemLog(file)
    layout = _layout(records[0], file)
    keys = list(records[0]) if isinstance(records[0], dict) else None
    reader = TableReader(layout, options, log, 1)
    for first in range(0, len(records), _RECORDS_A_BLOCK):
        part = records[first : first + _RECORDS_A_BLOCK]
        reader.add(records_block([_cells(r, keys, first + i, file) for i, r in enumerate(part, 1)]))
    return reader.finish("json", notes=("row numbers count records",))


def _loaded(stream: IO[bytes], file: str) -> Any:
    raw = stream.read(MAX_JSON_BYTES + 1)
    if len(raw) > MAX_JSON_BYTES:
        raise refuse(file, "decompressed_limit", "JSON files may have 256 MB: use CSV instead")
    try:
        return json.loads(
            raw.decode("utf-8-sig"),
            parse_float=str,
            parse_int=str,
            parse_constant=str,
            object_pairs_hook=_unique,
        )
    except UnicodeDecodeError as error:
        raise refuse(file, "encoding", "the file is not UTF-8") from error
    except _DuplicateKeyError as error:
        detail = f"the key {error} occurs twice in an object"
        raise refuse(file, "duplicate_key", detail) from error
    except json.JSONDecodeError as error:
        raise refuse(file, "malformed_json", error.msg, row=error.lineno) from error
    except RecursionError as error:
        raise refuse(file, "malformed_json", "the JSON is nested too deeply") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise _DuplicateKeyError(ascii(twice[:40]))
    return result


def _records(document: Any, file: str) -> list[Any]:
    if not isinstance(document, list):
        raise refuse(file, "json_layout", "expected a list of candles")
    if not document:
        raise refuse(file, "no_rows", "the list is empty")
    return document


def _layout(record: Any, file: str) -> Layout:
    if isinstance(record, dict):
        return layout_of_header(list(record), UNQUOTED, file)
    if isinstance(record, list):
        if len(record) == 12:
            return of_columns(UNQUOTED, BINANCE_COLUMNS)
        if len(record) in _LIST_LAYOUTS:
            return of_columns(UNQUOTED, _LIST_LAYOUTS[len(record)])
    detail = "expected objects, or lists of time, open, high, low, close, volume"
    raise refuse(file, "json_layout", detail, row=1)


def _cells(record: Any, keys: list[str] | None, number: int, file: str) -> list[str]:
    if keys is not None:
        if not isinstance(record, dict) or record.keys() != set(keys):
            detail = "the keys differ from the first record's"
            raise refuse(file, "column_count", detail, row=number)
        values = [record[key] for key in keys]
    elif isinstance(record, list):
        values = record
    else:
        raise refuse(file, "json_layout", "the record is no list", row=number)
    return [_text(value, number, file) for value in values]


def _text(value: Any, number: int, file: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, str) or _CONTROL.search(value) or '"' in value:
        raise refuse(file, "json_layout", "a value is neither number nor plain text", row=number)
    return value
