"""Query results as columns: 100,000 rows without a model instance or a conversion a row.

Django compiles the query, the driver runs it, numpy converts whole columns. SQLite hands out times
without a zone, PostgreSQL with one; both are UTC here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from django.core.exceptions import EmptyResultSet
from django.db import connections
from django.db.models import DateTimeField, QuerySet, TextField
from django.db.models.functions import Cast
from numpy.typing import NDArray

from post_mortem.core.types import NO_TIME
from trading.core.candles import F64, I64

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_NS_PER_US = 1_000
_SEPARATOR = 10  # where ISO times have their T

Column = Sequence[Any]


def fetch(queryset: QuerySet[Any, Any], *fields: str) -> dict[str, Column]:
    """The named fields of a queryset as one sequence each, in the order of the query."""
    found, names = _times_as_text(queryset, fields)
    try:
        sql, params = found.values_list(*names).query.sql_with_params()
    except EmptyResultSet:
        return dict.fromkeys(fields, ())
    with connections[queryset.db].cursor() as cursor:
        cursor.execute(sql, params)
        rows = cursor.fetchall()
    if not rows:
        return dict.fromkeys(fields, ())
    return dict(zip(fields, zip(*rows, strict=True), strict=True))


def _times_as_text(
    queryset: QuerySet[Any, Any], fields: tuple[str, ...]
) -> tuple[QuerySet[Any, Any], tuple[str, ...]]:
    """SQLite keeps times as text; its driver would make an object of each, numpy reads the text."""
    if connections[queryset.db].vendor != "sqlite":
        return queryset, fields
    own = {field.name for field in queryset.model._meta.fields if isinstance(field, DateTimeField)}
    casts = {f"{name}_text": Cast(name, TextField()) for name in fields if name in own}
    names = tuple(f"{name}_text" if name in own else name for name in fields)
    return queryset.annotate(**casts), names


def coded(column: Sequence[Any]) -> tuple[list[Any], I64]:
    """(the different values, which of them each element is)."""
    values: dict[Any, int] = {}
    index = [values.setdefault(value, len(values)) for value in column]
    return list(values), np.array(index, np.int64)


def floats(column: Column) -> F64:
    """Numbers or decimal text as float64, None as NaN."""
    return np.array(column, dtype=np.float64)


def readable_floats(column: Column) -> F64:
    """As `floats`, but text that is no number is NaN: for rows that are only looked back on, where
    one damaged row may not stop the cases after it."""
    try:
        return floats(column)
    except ValueError:
        return np.array([_float(value) for value in column], np.float64)


def _float(value: Any) -> float:
    try:
        return float("nan") if value is None else float(value)
    except ValueError:
        return float("nan")


def integers(column: Column, none: int = -1) -> I64:
    """Whole numbers as int64, None as `none`."""
    if None in column:
        return np.array([none if value is None else value for value in column], np.int64)
    return np.array(column, np.int64)


def times(column: Column) -> I64:
    """Times as ns UTC, None as NO_TIME."""
    first = next((value for value in column if value is not None), None)
    if isinstance(first, datetime):
        column = [None if value is None else _naive(value) for value in column]
    parsed = np.array(column, dtype="datetime64[us]").astype(np.int64)
    known = parsed != np.iinfo(np.int64).min
    return np.where(known, parsed * _NS_PER_US, NO_TIME)


def _naive(moment: datetime) -> datetime:
    """The same moment as numpy wants it: UTC without saying so."""
    return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)


def codes(column: Column, meanings: Mapping[Any, int], default: int = 0) -> NDArray[np.int8]:
    """Each value's code, `default` for values (and None) without one."""
    get = meanings.get
    return np.array([get(value, default) for value in column], np.int8)


def time_texts(ns: I64) -> list[str | None]:
    """Times as the text Django's SQLite backend stores (UTC, microseconds), NO_TIME as None."""
    if not ns.size:
        return []
    whole = bool(np.all((ns % 1_000_000_000 == 0) | (ns == NO_TIME)))
    unit = "s" if whole else "us"
    stamps = np.datetime_as_string(ns.astype("datetime64[ns]").astype(f"datetime64[{unit}]"))
    letters = stamps.view(np.uint32).reshape(ns.size, -1)
    if letters.shape[1] > _SEPARATOR:
        letters[:, _SEPARATOR] = ord(" ")
    texts: list[str | None] = stamps.tolist()
    if not whole:
        # As Django writes them: no fraction where there is none.
        texts = [t[:-7] if t and t.endswith(".000000") else t for t in texts]
    for i in np.flatnonzero(ns == NO_TIME):
        texts[i] = None
    return texts


def time_objects(ns: I64) -> list[datetime | None]:
    """Times as aware datetimes, NO_TIME as None."""
    return [
        None if value == NO_TIME else _EPOCH + timedelta(microseconds=value // _NS_PER_US)
        for value in ns.tolist()
    ]


def utc_ns(moment: datetime) -> int:
    """An aware datetime as ns UTC."""
    return (moment - _EPOCH) // _MICROSECOND * _NS_PER_US


def from_ns(ns: int) -> datetime:
    return _EPOCH + timedelta(microseconds=ns // _NS_PER_US)


def nanoseconds(moment: datetime) -> int:
    """Exact ns of an aware datetime (floats would lose microseconds)."""
    return (moment - _EPOCH) // _MICROSECOND * _NS_PER_US
