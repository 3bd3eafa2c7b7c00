"""JSON as it was meant: no NaN, no key twice, an object at the top."""

from __future__ import annotations

import json
from collections import Counter
from typing import NoReturn

from trading.core.errors import UserError


def json_object(text: str) -> dict[str, object]:
    """The one object in `text`. Raises UserError `bad_json`, `not_finite`, `duplicate_key`."""
    try:
        value = json.loads(text, parse_constant=_no_constant, object_pairs_hook=_no_duplicates)
    except (json.JSONDecodeError, RecursionError) as error:
        raise UserError("bad_json", f"not JSON: {error}") from error
    if not isinstance(value, dict):
        raise UserError("bad_json", "expected one JSON object")
    return value


def _no_constant(name: str) -> NoReturn:
    raise UserError("not_finite", f"{name} is no JSON number")


def _no_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    result = dict(pairs)
    if len(result) < len(pairs):
        twice = next(key for key, n in Counter(key for key, _ in pairs).items() if n > 1)
        raise UserError("duplicate_key", f"the key {twice!r} is there twice", field=twice)
    return result
