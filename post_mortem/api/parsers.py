"""JSON bodies, read strictly: what another reader could take differently is refused."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import IO, Any, Final, NoReturn

from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser

MAX_DEPTH: Final = 32
_BOM: Final = b"\xef\xbb\xbf"
_SURROGATE_OR_NUL: Final = re.compile("[\ud800-\udfff\x00]")


class StrictJSONParser(JSONParser):
    """UTF-8 JSON without byte order mark, duplicate keys, NaN, infinities, NUL characters, lone
    surrogates or more than `MAX_DEPTH` levels; anything else is 400. The size of the body is
    limited by `DATA_UPLOAD_MAX_MEMORY_SIZE` before it gets here (413)."""

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        return loads(stream.read())


def loads(body: bytes) -> Any:
    """Decode one JSON document or raise `ParseError` with a stable code."""
    if body.startswith(_BOM):
        raise ParseError("The body starts with a byte order mark.", code="json_bom")
    try:
        value = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_constant=_refuse_constant,
            parse_float=_finite,
        )
    except UnicodeDecodeError:
        raise ParseError("The body is not UTF-8.", code="json_encoding") from None
    except RecursionError:
        raise _too_deep() from None
    except json.JSONDecodeError as error:
        detail = f"Not JSON: {error.msg} at line {error.lineno}, column {error.colno}."
        raise ParseError(detail, code="json_malformed") from None
    except ValueError:
        # The interpreter's own limit on the digits of an integer.
        raise ParseError("A number has too many digits.", code="json_number") from None
    _check_values(value)
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))
        raise ParseError(f"The key {twice[:80]!a} occurs twice.", code="json_duplicate_key")
    return result


def _refuse_constant(name: str) -> NoReturn:
    raise ParseError(f"{name} is not a JSON number.", code="json_number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ParseError(f"{text[:40]} is too large a number.", code="json_number")
    return value


def _too_deep() -> ParseError:
    return ParseError(f"The body is nested deeper than {MAX_DEPTH} levels.", code="json_depth")


def _check_values(value: Any) -> None:
    """Walk without recursion: depth, and text that a database could not store."""
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        below: list[Any] = []
        for item in level:
            if isinstance(item, str):
                _check_text(item)
            elif isinstance(item, list):
                below.extend(item)
            elif isinstance(item, dict):
                below.extend(item)
                below.extend(item.values())
        if not below:
            return
        level = below
    raise _too_deep()


def _check_text(text: str) -> None:
    if _SURROGATE_OR_NUL.search(text):
        detail = "A text contains a NUL character or half of a surrogate pair."
        raise ParseError(detail, code="json_text")
