"""The one bulk writer: columns in, upserted rows out, without a model instance a row.

SQLite: `executemany(insert ... on conflict ... do update)` on the driver's own connection.
PostgreSQL: COPY into a temporary table, then `insert ... select ... on conflict`. Everything runs
inside the caller's transaction. Callers that write the same keys take `lock` first.
"""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection
from django.db.models import Model

from post_mortem.selectors.columns import time_objects, time_texts
from trading.core.candles import F64, I64

# Distinguishes these locks from any other use of advisory locks on the same server.
_LOCK_SPACE = 0x1A0D17
_CACHE_KIB = 128 * 1024
# A statement holds the interpreter while it is given its values and lets go of it while it runs, so
# few long ones leave more to the thread that computes the next batch.
_VALUES_A_STATEMENT = 20_000
# Rows from which on it is worth looking for columns that hold the same value in all of them.
_MANY_ROWS = 1_000


@dataclass(frozen=True, slots=True)
class UniqueKey:
    """A unique constraint as a conflict target: columns and, for a partial one, its condition."""

    columns: tuple[str, ...]
    where: str = ""

    def sql(self) -> str:
        target = f"({', '.join(map(_quote, self.columns))})"
        return f"{target} where {self.where}" if self.where else target


def _quote(name: str) -> str:
    return connection.ops.quote_name(name)


def is_postgres() -> bool:
    return connection.vendor == "postgresql"


def lock(key: int) -> None:
    """Wait for and hold the right to write rows of `key` until the transaction ends.

    A SQLite transaction here is IMMEDIATE and already the only writer.
    """
    if is_postgres():
        with connection.cursor() as cursor:
            cursor.execute("select pg_advisory_xact_lock(%s, %s)", [_LOCK_SPACE, key])


def reserve_ids(model: type[Model], count: int) -> range | list[int]:
    """Primary keys nobody else will get, in rising order. Call with the lock held."""
    table = model._meta.db_table
    with connection.cursor() as cursor:
        if is_postgres():
            cursor.execute(
                "select nextval(pg_get_serial_sequence(%s, 'id')) from generate_series(1, %s)",
                [_quote(table), count],
            )
            return sorted(int(row[0]) for row in cursor.fetchall())
        cursor.execute("select seq from sqlite_sequence where name = %s", [table])
        row = cursor.fetchone()
    start = (int(row[0]) if row else 0) + 1
    return range(start, start + count)


def time_column(ns: I64) -> list[Any]:
    """Times ns UTC as this database's driver wants them."""
    return list(time_objects(ns) if is_postgres() else time_texts(ns))


def float_column(values: F64) -> list[Any]:
    """Numbers with NaN as null. SQLite stores a NaN as null by itself."""
    if not is_postgres():
        return list(values.tolist())
    return [None if number != number else number for number in values.tolist()]


def bool_column(values: Sequence[bool]) -> list[Any]:
    return list(values) if is_postgres() else [int(value) for value in values]


def upsert(
    model: type[Model],
    columns: Mapping[str, Sequence[Any]],
    *,
    key: UniqueKey | None,
    keep: frozenset[str] = frozenset(),
    constants: Mapping[str, Any] | None = None,
    raised: Mapping[str, str] | None = None,
) -> int:
    """Insert the rows; where `key` is taken, update every column but the key, `id` and `keep`.

    `columns` maps database column names to equally long sequences, `constants` those that hold
    one value in every row. `raised` maps counters to the SQL condition, of the rows {old} and
    {new}, under which an update adds one to what is stored. Without a key rows are only inserted.
    Returns the number of rows.
    """
    fixed = dict(constants or {})
    count = len(next(iter(columns.values())))
    if count == 0:
        return 0
    names = (*fixed, *columns)
    ending = _conflict_clause(model, names, key, keep, raised or {})
    if is_postgres():
        repeated = (itertools.repeat(value, count) for value in fixed.values())
        _copy(model, names, zip(*repeated, *columns.values(), strict=True), ending)
    else:
        _insert(model, fixed, columns, ending)
    return count


def _conflict_clause(
    model: type[Model],
    names: tuple[str, ...],
    key: UniqueKey | None,
    keep: frozenset[str],
    raised: Mapping[str, str],
) -> str:
    if key is None:
        return ""
    fixed = {"id", *key.columns, *keep, *raised}
    changes = [f"{_quote(n)} = excluded.{_quote(n)}" for n in names if n not in fixed]
    table = _quote(model._meta.db_table)
    for name, condition in raised.items():
        when = condition.format(old=table, new="excluded")
        counter = _quote(name)
        changes.append(f"{counter} = {table}.{counter} + case when {when} then 1 else 0 end")
    return f"on conflict {key.sql()} do update set {', '.join(changes)}"


def _constants_apart(
    constants: Mapping[str, Any], columns: Mapping[str, Sequence[Any]]
) -> tuple[dict[str, Any], dict[str, Sequence[Any]]]:
    """Columns that hold one value in all of many rows become constants; one column stays."""
    count = len(next(iter(columns.values())))
    many = count >= _MANY_ROWS
    same = {name for name, values in columns.items() if many and _is_one_value(values)}
    same.discard(next(iter(columns)))
    return (
        {**constants, **{name: columns[name][0] for name in same}},
        {name: values for name, values in columns.items() if name not in same},
    )


def _is_one_value(values: Sequence[Any]) -> bool:
    """Whether every row holds the very same value, of one type: 1 and 1.0 and True differ."""
    first = values[0]
    if values[-1] != first or values.count(first) != len(values):
        return False
    return len(set(map(type, values))) == 1


def _insert(
    model: type[Model],
    constants: Mapping[str, Any],
    columns: Mapping[str, Sequence[Any]],
    ending: str,
) -> None:
    """Many rows a statement, a constant bound once in each: half the work of a row a statement."""
    connection.ensure_connection()
    constants, columns = _constants_apart(constants, columns)
    names = ", ".join(map(_quote, (*constants, *columns)))
    shared = [f"?{i}" for i in range(1, len(constants) + 1)]
    one = f"({', '.join([*shared, *['?'] * len(columns)])})"
    into = f"insert into {_quote(model._meta.db_table)} ({names}) values"
    fixed, varied = list(constants.values()), list(columns.values())
    count = len(varied[0])
    with connection.wrap_database_errors:
        raw = connection.connection
        allowed = raw.getlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER) - len(fixed)
        together = max(1, min(allowed, _VALUES_A_STATEMENT) // len(varied))
        # With the small default cache a large transaction would write the same pages many times.
        raw.execute(f"pragma cache_size = {-_CACHE_KIB}")
        full = count - count % together
        many = f"{into} {', '.join([one] * together)} {ending}"
        raw.executemany(many, _bound(fixed, varied, range(0, full, together), together))
        rest = zip(*(column[full:] for column in varied), strict=True)
        raw.executemany(f"{into} {one} {ending}", ([*fixed, *row] for row in rest))


def _bound(
    fixed: list[Any], columns: list[Sequence[Any]], starts: range, rows: int
) -> Iterator[list[Any]]:
    """The values of each statement, row by row, put together column by column: that is quicker."""
    width = len(columns)
    for start in starts:
        values = [*fixed, *[None] * (width * rows)]
        for at, column in enumerate(columns, len(fixed)):
            values[at::width] = column[start : start + rows]
        yield values


def _copy(
    model: type[Model], names: tuple[str, ...], rows: Iterable[tuple[Any, ...]], ending: str
) -> None:
    table = _quote(model._meta.db_table)
    listed = ", ".join(map(_quote, names))
    with connection.cursor() as cursor:
        cursor.execute("drop table if exists bulk_rows")
        cursor.execute(
            f"create temporary table bulk_rows on commit drop as"  # noqa: S608
            f" select {listed} from {table} limit 0"
        )
        with cursor.copy(f"copy bulk_rows ({listed}) from stdin") as copy:
            for row in rows:
                copy.write_row(row)
        cursor.execute(
            f"insert into {table} ({listed}) select {listed} from bulk_rows {ending}"  # noqa: S608
        )
        cursor.execute("drop table bulk_rows")


def update(
    model: type[Model], fields: Sequence[str], rows: Iterable[tuple[int, Sequence[Any]]]
) -> None:
    """Set fields of rows given by primary key, to values as the model has them (no signals)."""
    known = {field.name: field for field in model._meta.concrete_fields}
    chosen = [known[name] for name in fields]
    changes = ", ".join(f"{_quote(str(field.column))} = %s" for field in chosen)
    table, key = _quote(model._meta.db_table), _quote(str(known["id"].column))
    prepared = [
        (
            *(f.get_db_prep_save(v, connection) for f, v in zip(chosen, values, strict=True)),
            pk,
        )
        for pk, values in rows
    ]
    with connection.cursor() as cursor:
        cursor.executemany(f"update {table} set {changes} where {key} = %s", prepared)  # noqa: S608


def delete_where(model: type[Model], column: str, values: Sequence[int]) -> None:
    """Delete the rows whose integer column holds one of the values (no cascades, no signals)."""
    if not values:
        return
    table = _quote(model._meta.db_table)
    if is_postgres():
        with connection.cursor() as cursor:
            cursor.execute(
                f"delete from {table} where {_quote(column)} = any(%s)",  # noqa: S608
                [list(values)],
            )
        return
    connection.ensure_connection()
    with connection.wrap_database_errors:
        connection.connection.executemany(
            f"delete from {table} where {_quote(column)} = ?",  # noqa: S608
            ((value,) for value in values),
        )
