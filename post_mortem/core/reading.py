"""Strict reading of JSON values: every refusal names the field by its path.

Numbers may be int, float or Decimal (a reader that keeps decimal text as Decimal loses nothing);
booleans are no numbers, NaN and infinities are refused.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from types import NoneType
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from trading.core.candles import F64, I64
from trading.core.errors import UserError
from trading.core.types import NS_PER_SECOND

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NS_PER_MICROSECOND = 1000
# int64 nanoseconds reach from 1677 to 2262.
_FIRST_YEAR, _LAST_YEAR = 1678, 2261
_NAN = float("nan")


def refuse(code: str, detail: str, path: str) -> NoReturn:
    raise UserError(code, f"{path}: {detail}", field=path)


def number(value: object, path: str) -> float:
    """A finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        refuse("bad_number", f"expected a number, got {_shown(value)}", path)
    try:
        result = float(value)
    except OverflowError:
        result = math.inf
    if not math.isfinite(result):
        refuse("not_finite", "NaN and infinity are not numbers here", path)
    return result


def numbers(value: object, path: str, length: int | None = None, *, gaps: bool = False) -> F64:
    """A list of finite numbers; with `gaps`, null becomes NaN."""
    items = sequence(value, path, length)
    if set(map(type, items)) <= ({float, int, NoneType} if gaps else {float, int}):
        plain = _plain(items)
        if plain is not None:
            return plain
    column = [
        _NAN if gaps and item is None else number(item, f"{path}[{i}]")
        for i, item in enumerate(items)
    ]
    return np.array(column, np.float64)


def _plain(items: Sequence[object]) -> F64 | None:
    """All at once where every number is finite, None becoming NaN; else None, so that the slow way
    says which is not."""
    try:
        column = np.array(items, np.float64)
    except OverflowError:
        return None
    return column if int(np.isfinite(column).sum()) + items.count(None) == column.size else None


def sequence(value: object, path: str, length: int | None = None) -> Sequence[object]:
    if isinstance(value, str | bytes) or not isinstance(value, Sequence):
        refuse("bad_type", f"expected a list, got {_shown(value)}", path)
    if length is not None and len(value) != length:
        refuse("length", f"expected {length} values, got {len(value)}", path)
    return value


def time_ns(value: object, path: str) -> int:
    """An ISO 8601 time in ns UTC; one without an offset is UTC, as all times of the format."""
    if not isinstance(value, str):
        refuse("bad_time", f"expected an ISO time, got {_shown(value)}", path)
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        refuse("bad_time", f"not an ISO time: {_shown(value)}", path)
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    if not _FIRST_YEAR <= moment.year <= _LAST_YEAR:
        refuse("out_of_range", f"year {moment.year} cannot be stored", path)
    span = moment - _EPOCH
    whole = span.days * 86_400 + span.seconds
    return whole * NS_PER_SECOND + span.microseconds * _NS_PER_MICROSECOND


def epoch_seconds(value: object, path: str) -> I64:
    """A strictly increasing list of whole epoch seconds, as ns."""
    seconds = numbers(value, path)
    whole = (seconds == np.floor(seconds)) & (np.abs(seconds) < 2.0**63 / NS_PER_SECOND - 1)
    if not bool(whole.all()):
        i = int(np.flatnonzero(~whole)[0])
        refuse("timestamp_unit", "not whole epoch seconds", f"{path}[{i}]")
    column = seconds.astype(np.int64) * NS_PER_SECOND
    falls = np.flatnonzero(np.diff(column) <= 0)
    if falls.size:
        refuse("time_order", "bar times must increase", f"{path}[{int(falls[0]) + 1}]")
    return column


def json_object(text: str | bytes) -> Mapping[str, object]:
    """Parse one JSON object. Fractions become Decimal; NaN and repeated keys are refused."""

    def constant(name: str) -> NoReturn:
        refuse("not_finite", f"{name} is not JSON", "case")

    def pairs(items: list[tuple[str, object]]) -> dict[str, object]:
        result = dict(items)
        if len(result) != len(items):
            names = [name for name, _ in items]
            twice = next(name for name in names if names.count(name) > 1)
            refuse("duplicate_key", "is there twice", twice)
        return result

    try:
        value = json.loads(
            text, parse_float=Decimal, parse_constant=constant, object_pairs_hook=pairs
        )
    except (ValueError, RecursionError) as error:
        raise UserError("malformed_json", f"not a JSON object: {error}") from error
    return Fields(value).value


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


class Fields:
    """One JSON object. `path` is its own place, empty for the outermost."""

    def __init__(self, value: object, path: str = "") -> None:
        if not isinstance(value, Mapping):
            refuse("bad_type", f"expected an object, got {_shown(value)}", path or "case")
        self.value: Mapping[str, object] = value
        self.path = path

    def at(self, name: str) -> str:
        return f"{self.path}.{name}" if self.path else name

    def get(self, name: str) -> object:
        """The value, None where it is null or absent."""
        return self.value.get(name)

    def must(self, name: str) -> object:
        value = self.value.get(name)
        if value is None:
            word = "is null" if name in self.value else "is missing"
            refuse("missing_field", word, self.at(name))
        return value

    def number(self, name: str) -> float:
        return number(self.must(name), self.at(name))

    def maybe_number(self, name: str) -> float:
        """NaN where null or absent."""
        value = self.get(name)
        return _NAN if value is None else number(value, self.at(name))

    def positive(self, name: str) -> Decimal:
        value = self.must(name)
        if number(value, self.at(name)) <= 0:
            refuse("not_positive", "must be above 0", self.at(name))
        # The shortest text of a float is what its writer meant.
        return Decimal(str(value))

    def text(self, name: str) -> str:
        value = self.must(name)
        if not isinstance(value, str):
            refuse("bad_type", f"expected text, got {_shown(value)}", self.at(name))
        return value

    def maybe_text(self, name: str) -> str:
        """Empty where null or absent."""
        return "" if self.get(name) is None else self.text(name)

    def choice(self, name: str, choices: Mapping[str, int], default: str | None = None) -> int:
        """The number of a named choice; `default` stands for null, without one null is refused."""
        value = self.get(name)
        if value is None and default is not None:
            value = default
        word = value if isinstance(value, str) else self.text(name)
        if word not in choices:
            refuse("choice", f"{_shown(word)} is none of {', '.join(choices)}", self.at(name))
        return choices[word]

    def time(self, name: str) -> int:
        return time_ns(self.must(name), self.at(name))

    def flag(self, name: str) -> bool:
        value = self.must(name)
        if not isinstance(value, bool):
            refuse("bad_type", f"expected true or false, got {_shown(value)}", self.at(name))
        return value

    def rows(self, name: str) -> Rows | None:
        """A list of objects to be read column by column, None where null or absent."""
        value = self.get(name)
        return None if value is None else Rows(value, self.at(name))

    def child(self, name: str) -> Fields:
        return Fields(self.must(name), self.at(name))

    def children(self, name: str) -> list[Fields] | None:
        """A list of objects, None where null or absent."""
        value = self.get(name)
        if value is None:
            return None
        items = sequence(value, self.at(name))
        return [Fields(item, f"{self.at(name)}[{i}]") for i, item in enumerate(items)]


class Rows:
    """A list of objects, read a column at a time. A column that is not plain is read again value by
    value, so that the refusal names the row and the field."""

    def __init__(self, value: object, path: str) -> None:
        self.path = path
        self.items = sequence(value, path)
        for i, item in enumerate(self.items):
            if type(item) is not dict:
                Fields(item, f"{path}[{i}]")

    def __len__(self) -> int:
        return len(self.items)

    def numbers(self, name: str, *, gaps: bool = False) -> F64:
        """Finite numbers; with `gaps`, null or absent becomes NaN."""
        found = self._column(name)
        if set(map(type, found)) <= ({float, int, NoneType} if gaps else {float, int}):
            plain = _plain(found)
            if plain is not None:
                return plain
        return np.array(
            [row.maybe_number(name) if gaps else row.number(name) for row in self._each()],
            np.float64,
        )

    def flags(self, name: str) -> NDArray[np.bool_]:
        found = self._column(name)
        if not set(map(type, found)) <= {bool}:
            found = [row.flag(name) for row in self._each()]
        return np.array(found, np.bool_)

    def choices(self, name: str, choices: Mapping[str, int]) -> list[int]:
        """The number of each named choice."""
        found = self._column(name)
        if all(type(word) is str and word in choices for word in found):
            return [choices[word] for word in found]  # type: ignore[index]
        return [row.choice(name, choices) for row in self._each()]

    def times(self, name: str) -> list[int]:
        return [row.time(name) for row in self._each()]

    def _column(self, name: str) -> list[object]:
        return [item.get(name) for item in self.items]  # type: ignore[attr-defined]

    def _each(self) -> Iterator[Fields]:
        return (Fields(item, f"{self.path}[{i}]") for i, item in enumerate(self.items))
