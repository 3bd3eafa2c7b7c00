"""The first JSON object in a text that has the shape asked for.

Models wrap answers in prose, fences and thoughts. The whole text is tried first, so that an answer
which merely mentions a fence or a tag stays whole.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Generic, NoReturn, TypeVar

from pydantic import BaseModel, ValidationError

T = TypeVar("T", bound=BaseModel)

_MOST_CANDIDATES: Final = 20
_MOST_PROBLEMS: Final = 6
_THOUGHT: Final = re.compile(r"<(think|thinking|reasoning)>.*?</\1>", re.DOTALL | re.IGNORECASE)
_THOUGHT_END: Final = re.compile(r"</(?:think|thinking|reasoning)>", re.IGNORECASE)
# An escaped null, unless its backslash is itself escaped.
_NULL: Final = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
_FENCE: Final = re.compile(r"```[a-zA-Z]*\s*\n(.*?)```", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Extracted(Generic[T]):
    """The value, or None and what is wrong with the best candidate, a line each."""

    value: T | None = field(repr=False)
    problems: tuple[str, ...] = field(default=(), repr=False)


def extract(text: str, shape: type[T]) -> Extracted[T]:
    """Look for a `shape` in `text`."""
    fewest: tuple[str, ...] | None = None
    for candidate in _candidates(text):
        try:
            return Extracted(shape.model_validate(candidate))
        except ValidationError as error:
            problems = _problems(error)
        if fewest is None or len(problems) < len(fewest):
            fewest = problems
    return Extracted(None, (fewest or ("there is no complete JSON object in it",))[:_MOST_PROBLEMS])


def _problems(error: ValidationError) -> tuple[str, ...]:
    """Where and what, without the input: it is long, and it is in the conversation already."""
    return tuple(
        f"{'.'.join(str(part)[:40] for part in found['loc']) or 'the object'}: {found['msg'][:200]}"
        for found in error.errors(include_input=False, include_url=False, include_context=False)
    )


def _candidates(text: str) -> Iterator[dict[str, Any]]:
    whole = _decoded(text.strip())
    if whole is not None:
        yield whole[0]
    spoken = _THOUGHT_END.split(_THOUGHT.sub(" ", text))[-1]
    fenced = _FENCE.findall(spoken)
    left = _MOST_CANDIDATES
    for part in (*fenced, spoken):
        start = part.find("{")
        while start >= 0 and left > 0:
            left -= 1
            found = _decoded(part, start)
            if found is not None:
                yield found[0]
            start = part.find("{", found[1] if found else start + 1)


def _decoded(text: str, start: int = 0) -> tuple[dict[str, Any], int] | None:
    """The object that begins at `start` and where it ends."""
    try:
        value, end = _DECODER.raw_decode(text, start)
        if not isinstance(value, dict):
            return None
        if not _can_be_stored(value):
            return None
    except (ValueError, RecursionError):
        return None
    return value, end


def _can_be_stored(value: dict[str, Any]) -> bool:
    """No database takes half a surrogate pair, and not every one a null character."""
    text = json.dumps(value, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return _NULL.search(text) is None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError("out of range")
    return value


_DECODER: Final = json.JSONDecoder(parse_constant=_no_constant, parse_float=_finite)
