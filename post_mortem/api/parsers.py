"""JSON bodies, read strictly: what another reader could take differently is refused."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Mapping
from typing import IO, Any, Final, NoReturn

from rest_framework.exceptions import ParseError, UnsupportedMediaType
from rest_framework.parsers import JSONParser

MAX_DEPTH: Final = 32
_BOM: Final = b"\xef\xbb\xbf"
_SURROGATE_OR_NUL: Final = re.compile("[\ud800-\udfff\x00]")


class StrictJSONParser(JSONParser):
    """UTF-8 JSON without byte order mark, duplicate keys, NaN, infinities, NUL characters, lone
    surrogates or more than `MAX_DEPTH` levels; anything else is 400, a compressed body 415. The
    size of a body is limited by `DATA_UPLOAD_MAX_MEMORY_SIZE` before it gets here (413)."""

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        encoding = (parser_context or {})["request"].headers.get("Content-Encoding", "identity")
        if encoding.strip().lower() != "identity":
            detail = "A compressed body is not accepted."
            raise UnsupportedMediaType(encoding, detail, code="unsupported_encoding")
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
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
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
    depth = 0
    while level:
        below: list[Any] = []
        nested = False
        for item in level:
            if isinstance(item, str):
                _check_text(item)
            elif isinstance(item, list):
                nested = True
                below.extend(item)
            elif isinstance(item, dict):
                nested = True
                below.extend(item)
                below.extend(item.values())
        depth += nested
        if depth > MAX_DEPTH:
            raise _too_deep()
        level = below


def _check_text(text: str) -> None:
    if _SURROGATE_OR_NUL.search(text):
        detail = "A text contains a NUL character or half of a surrogate pair."
        raise ParseError(detail, code="json_text")
