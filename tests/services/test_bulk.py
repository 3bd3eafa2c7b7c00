"""The bulk writer and writing behind: any number of rows, both databases, errors and order."""

from __future__ import annotations

import gc
import math
import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from django.db import IntegrityError, connection, connections, transaction

from post_mortem.models import AuditRCA, InsightAudit, RuleSnapshot
from post_mortem.services import audits, bulk
from post_mortem.services.audits import run_autopsy
from post_mortem.services.bulk import UniqueKey
from post_mortem.services.verification import verify_audits
from post_mortem.services.write_behind import WriteBehind, collector_at_rest

from .factories import make_account, make_candles, make_instrument, make_signal, price, walk

SHA = UniqueKey(("sha256",))


def snapshots(numbers: range, text: str = "{}") -> dict[str, Any]:
    return {"sha256": [f"{n:064}" for n in numbers], "data": [text] * len(numbers)}


@pytest.fixture(autouse=True)
def short_statements(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred rows of two columns, so that few rows are several statements and a rest."""
    monkeypatch.setattr(bulk, "_VALUES_A_STATEMENT", 200)
    monkeypatch.setattr(bulk, "_MANY_ROWS", 2)


@pytest.mark.django_db
@pytest.mark.parametrize("count", [0, 1, 99, 100, 101, 250])
def test_every_row_is_written_once(count: int) -> None:
    with transaction.atomic():
        assert bulk.upsert(RuleSnapshot, snapshots(range(count)), key=None) == count
    assert RuleSnapshot.objects.count() == count


@pytest.mark.django_db
@pytest.mark.skipif(connection.vendor != "sqlite", reason="a limit of SQLite")
@pytest.mark.parametrize("allowed", [3, 4, 9])
def test_a_database_that_takes_few_values_a_statement(allowed: int) -> None:
    connection.ensure_connection()
    which = sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER
    before = connection.connection.setlimit(which, allowed)
    try:
        columns = {"sha256": snapshots(range(25))["sha256"]}
        bulk.upsert(RuleSnapshot, columns, key=None, constants={"data": "{}"})
    finally:
        connection.connection.setlimit(which, before)
    assert RuleSnapshot.objects.count() == 25


@pytest.mark.django_db
@pytest.mark.parametrize("constant", [True, False])
def test_taken_keys_are_updated_and_the_rest_inserted(constant: bool) -> None:
    bulk.upsert(RuleSnapshot, snapshots(range(150)), key=None)
    ids = dict(RuleSnapshot.objects.values_list("sha256", "pk"))
    columns = snapshots(range(100, 260), '{"a": 1}')
    constants = {"data": columns.pop("data")[0]} if constant else None
    bulk.upsert(RuleSnapshot, columns, key=SHA, constants=constants)
    assert RuleSnapshot.objects.count() == 260
    assert RuleSnapshot.objects.filter(data={"a": 1}).count() == 160
    for row in RuleSnapshot.objects.filter(sha256__in=ids):
        assert row.pk == ids[row.sha256]


@pytest.mark.parametrize(
    "values",
    [
        ["", "", None],
        [None, "", None],
        [1, True, 1],
        [0, 0.0, 0],
        [math.nan] * 3,
        [0.1, 0.1, 0.2],
        [0.1, 0.2, 0.1],
    ],
)
def test_a_column_with_two_values_is_no_constant(values: list[Any]) -> None:
    columns = {"id": [1, 1, 1], "x": values, "y": ["a", "a", "a"]}
    constants, rest = bulk._constants_apart({"z": 1}, columns)
    assert constants == {"z": 1, "y": "a"}
    assert rest == {"id": [1, 1, 1], "x": values}


@pytest.mark.django_db
def test_without_a_key_a_taken_one_is_an_error_and_nothing_is_written() -> None:
    bulk.upsert(RuleSnapshot, snapshots(range(150)), key=None)
    with pytest.raises(IntegrityError), transaction.atomic():
        bulk.upsert(RuleSnapshot, snapshots(range(149, 400), '{"a": 1}'), key=None)
    assert RuleSnapshot.objects.filter(data={}).count() == RuleSnapshot.objects.count() == 150


@pytest.mark.django_db
def test_reserved_ids_are_never_given_twice() -> None:
    first = list(bulk.reserve_ids(RuleSnapshot, 5))
    columns = snapshots(range(5)) | {"id": first}
    bulk.upsert(RuleSnapshot, columns, key=None)
    RuleSnapshot.objects.filter(pk=first[-1]).delete()
    second = list(bulk.reserve_ids(RuleSnapshot, 3))
    made = RuleSnapshot.objects.create(sha256="x" * 64, data={})
    assert min(second) > max(first)
    assert connection.vendor != "postgresql" or made.pk > max(second)


@pytest.mark.django_db
def test_deleting_by_value_leaves_the_rest() -> None:
    bulk.upsert(RuleSnapshot, snapshots(range(10)), key=None)
    ids = sorted(RuleSnapshot.objects.values_list("pk", flat=True))
    bulk.delete_where(RuleSnapshot, "id", ids[:4])
    bulk.delete_where(RuleSnapshot, "id", [])
    assert sorted(RuleSnapshot.objects.values_list("pk", flat=True)) == ids[4:]


@pytest.mark.django_db
def test_unknown_numbers_are_null() -> None:
    column = bulk.float_column(np.array([1.5, np.nan]))
    with connection.cursor() as cursor:
        cursor.execute("select %s is null, %s is null", column)
        assert [bool(value) for value in cursor.fetchone()] == [False, True]


# --- writing behind -----------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize("active", [True, False])
def test_results_come_back_in_order_on_this_thread(active: bool) -> None:
    here, results, threads = threading.get_ident(), [], set()

    def work(number: int) -> Callable[[], int]:
        def call() -> int:
            threads.add(threading.get_ident())
            return number

        return call

    def done(number: int) -> None:
        assert threading.get_ident() == here
        results.append(number)

    with WriteBehind[int](active=active) as writer:
        for number in range(5):
            writer.submit(work(number), done)
    assert results == list(range(5))
    assert (threads == {here}) is not active


@pytest.mark.django_db
@pytest.mark.parametrize("active", [True, False])
def test_an_error_stops_the_run(active: bool) -> None:
    results: list[int] = []

    def fail() -> int:
        raise ZeroDivisionError

    def run() -> None:
        with WriteBehind[int](active=active) as writer:
            for call in (lambda: 1, fail, lambda: 3):
                writer.submit(call, results.append)

    with pytest.raises(ZeroDivisionError):
        run()
    assert results == [1]


@pytest.mark.django_db(transaction=True)
def test_the_threads_connection_is_closed_and_ours_is_not() -> None:
    opened: list[Any] = []

    def call() -> None:
        RuleSnapshot.objects.count()
        opened.append(connections["default"])

    RuleSnapshot.objects.count()
    with WriteBehind[None](active=True) as writer:
        writer.submit(call, lambda result: None)
    assert opened[0] is not connections["default"]
    # One in memory is never closed, or it would be gone.
    in_memory = getattr(opened[0], "is_in_memory_db", lambda: False)()
    assert in_memory or opened[0].connection is None
    assert connections["default"].connection is not None


@pytest.mark.django_db(transaction=True)
def test_a_large_run_gives_what_a_small_one_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    account, instrument = make_account(), make_instrument()
    closes = walk(30 * 1440)
    make_candles(instrument, closes)
    for i in range(20):
        entry = int(closes[21 * 1440 - 1])
        make_signal(
            account, instrument, entry_price=price(entry), side=1 if i % 2 else -1,
            stop_loss=None, take_profit=None, score=50.0 + i, model_version="v1",
        )  # fmt: skip
    run_autopsy()
    keys = ("signal_id", "horizon", "input_hash", "evidence_hash")
    before = set(InsightAudit.objects.values_list(*keys))
    causes = AuditRCA.objects.count()
    InsightAudit.objects.all().delete()
    monkeypatch.setattr(audits, "_LARGE_RUN", 0)
    monkeypatch.setattr("post_mortem.selectors.case_rows.signal_chunks.__defaults__", (3,))
    summary = run_autopsy()
    assert (summary.new, len(summary.audit_ids)) == (80, 80)
    assert set(InsightAudit.objects.values_list(*keys)) == before
    assert AuditRCA.objects.count() == causes
    assert verify_audits().verified == 80


@pytest.mark.parametrize("enabled", [True, False])
@pytest.mark.parametrize("active", [True, False])
def test_the_collector_is_left_as_it_was_found(active: bool, enabled: bool) -> None:
    before = gc.isenabled()
    try:
        (gc.enable if enabled else gc.disable)()
        with suppress(ZeroDivisionError), collector_at_rest(active=active):
            assert gc.isenabled() == (enabled and not active)
            raise ZeroDivisionError
        assert gc.isenabled() == enabled
    finally:
        (gc.enable if before else gc.disable)()
