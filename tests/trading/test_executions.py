"""Executions stored as trades: flips, overlaps, late fills, undo; order and repetition do not
matter."""

from __future__ import annotations

from decimal import Decimal
from itertools import permutations
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.trading.owners import an_account, contents, without_keys
from trading.core.errors import ConflictError, NotFoundError
from trading.importers.trades_contract import TradeOptions
from trading.models import Execution, ImportBatch, Instrument, Signal, Trade
from trading.services.imports import undo_import
from trading.services.trades import import_trades

D = Decimal
pytestmark = pytest.mark.django_db
HEADER = "time,symbol,side,quantity,price,fee,execution_id\n"


def line(minute: int, side: str, quantity: str, price: str, fee: str = "", id_: str = "") -> str:
    return f"2024-03-04T12:{minute:02d}:00Z,EURUSD,{side},{quantity},{price},{fee},{id_}\n"


def load(account: Any, *lines: str, **options: Any) -> dict[str, Any]:
    data = (HEADER + "".join(lines)).encode()
    result = import_trades(
        account=account, data=data, file_name="fills.csv", options=TradeOptions(**options)
    )
    return result.summary


def counts(summary: dict[str, Any]) -> tuple[int, int, int, int]:
    names = ("trades_new", "trades_updated", "executions_new", "executions_duplicate")
    return tuple(summary[name] for name in names)  # type: ignore[return-value]


def trades() -> list[tuple[Any, ...]]:
    rows = Trade.objects.order_by("opened_at", "pk")
    return [
        (t.get_side_display(), t.quantity, t.entry_price, t.exit_price, t.gross_pnl, t.commission)
        for t in rows
    ]


BUY = line(0, "buy", "2", "1.10", "1")
FLIP = line(1, "sell", "5", "1.20", "1")
COVER = line(2, "buy", "3", "1.15", "1")


def test_a_flip_is_one_fill_of_two_trades() -> None:
    load(an_account(), BUY, FLIP, COVER)
    assert trades() == [
        ("long", 2, D("1.10"), D("1.20"), D("0.2"), D("-1.4")),
        ("short", 3, D("1.20"), D("1.15"), D("0.15"), D("-1.6")),
    ]
    parts = Execution.objects.filter(side=-1).order_by("trade__opened_at")
    assert [(p.quantity, p.commission) for p in parts] == [(2, D("-0.4")), (3, D("-0.6"))]
    assert Execution.objects.filter(trade=None).count() == 0
    signals = Signal.objects.order_by("time").values_list("side", "entry_price", "source")
    assert list(signals) == [(1, D("1.10"), "trade"), (-1, D("1.20"), "trade")]


def test_partial_fills_are_one_trade_at_their_average() -> None:
    load(
        an_account(),
        line(0, "buy", "1", "1.10"),
        line(0, "buy", "3", "1.14"),
        line(5, "sell", "2", "1.20"),
        line(6, "sell", "2", "1.30"),
    )
    assert trades() == [("long", 4, D("1.13"), D("1.25"), D("0.48"), None)]


def test_a_second_import_adds_nothing() -> None:
    account = an_account()
    load(account, BUY, FLIP, COVER)
    before, batches = contents(), ImportBatch.objects.count()
    assert counts(load(account, BUY, FLIP, COVER)) == (0, 0, 0, 3)
    assert (contents(), ImportBatch.objects.count()) == (before, batches)


def test_identical_fills_are_counted() -> None:
    account = an_account()
    assert counts(load(account, BUY, BUY))[2:] == (2, 0)
    assert counts(load(account, BUY, BUY, BUY))[2:] == (1, 2)
    assert counts(load(account, BUY))[2:] == (0, 1)
    assert Trade.objects.get().quantity == 6


def test_a_number_written_otherwise_is_the_same_fill() -> None:
    account = an_account()
    load(account, line(0, "buy", "2", "1.10"))
    assert counts(load(account, line(0, "BOT", "2.0", "1.1000")))[2:] == (0, 1)


def test_execution_ids_decide_before_content() -> None:
    account = an_account()
    same = line(0, "buy", "1", "1.1", id_="a")
    assert counts(load(account, same, same, line(0, "buy", "1", "1.1", id_="b")))[2:] == (2, 1)
    assert counts(load(account, same))[2:] == (0, 1)
    summary = load(
        account, line(5, "buy", "1", "1.1", id_="c"), line(6, "buy", "9", "1.1", id_="c")
    )
    assert [(row["row"], row["code"]) for row in summary["skipped"]] == [
        (3, "conflicting_duplicate")
    ]


def test_an_overlapping_file_extends_the_open_trade() -> None:
    account = an_account()
    load(account, BUY)
    trade = Trade.objects.get()
    Trade.objects.update(notes="watch it", tags=["mine"])
    assert (trade.closed_at, trade.gross_pnl, trade.exit_price) == (None, None, None)
    summary = load(account, BUY, line(1, "sell", "2", "1.20", "1"))
    assert counts(summary) == (0, 1, 1, 1)
    closed = Trade.objects.get()
    assert (closed.pk, closed.gross_pnl, closed.net_pnl) == (trade.pk, D("0.2"), D("-1.8"))
    assert (closed.notes, closed.tags) == ("watch it", ["mine"])
    assert summary["pnl"] == {"USD": {"gross": "0.20", "net": "-1.80"}}


def test_an_older_fill_that_comes_late_rebuilds_what_follows() -> None:
    account = an_account()
    load(account, FLIP, COVER)
    Trade.objects.update(notes="kept")
    signal_ids = set(Signal.objects.values_list("pk", flat=True))
    load(account, BUY)
    assert [row[:5] for row in trades()] == [
        ("long", 2, D("1.10"), D("1.20"), D("0.2")),
        ("short", 3, D("1.20"), D("1.15"), D("0.15")),
    ]
    assert Trade.objects.filter(notes="kept").count() == 1
    assert signal_ids <= set(Signal.objects.values_list("pk", flat=True))
    for trade in Trade.objects.select_related("signal"):
        signal = trade.signal
        assert (signal.time, signal.side, signal.entry_price) == (
            trade.opened_at, trade.side, trade.entry_price,
        )  # fmt: skip


def test_a_signal_the_user_linked_is_left_alone() -> None:
    account = an_account()
    load(account, BUY)
    trade = Trade.objects.select_related("signal").get()
    own = trade.signal
    feed = Signal.objects.get(pk=own.pk)
    feed.pk, feed.dedupe_key, feed.source = None, "feed", Signal.Source.FEED
    feed.entry_price = D("1.09")
    feed.save()
    Trade.objects.update(signal=feed)
    load(account, line(0, "buy", "2", "1.30"))
    feed.refresh_from_db()
    assert (Trade.objects.get().entry_price, feed.entry_price) == (D("1.20"), D("1.09"))


def test_every_order_of_files_ends_the_same() -> None:
    lines = (BUY, FLIP, COVER, line(3, "buy", "1", "1.0"))
    ends = []
    for number, order in enumerate(permutations(lines)):
        account = an_account(f"u{number}")
        for one in order:
            load(account, one)
        rows = Trade.objects.filter(account=account).order_by("opened_at", "dedupe_key")
        ends.append(
            [
                (t.dedupe_key, t.side, t.quantity, t.entry_price, t.exit_price, t.net_pnl,
                 t.signal.dedupe_key, t.signal.entry_price, t.executions.count())
                for t in rows.select_related("signal")
            ]
        )  # fmt: skip
    assert all(end == ends[0] for end in ends)
    assert [end[2] for end in ends[0]] == [2, 3, 1]


# --- Undo -----------------------------------------------------------------------------------------
def batch_ids() -> list[int]:
    return list(ImportBatch.objects.order_by("pk").values_list("pk", flat=True))


def test_undo_takes_back_exactly_what_came() -> None:
    account = an_account()
    empty = contents()
    load(account, BUY)
    first = contents()
    load(account, BUY, FLIP, COVER)
    one, two = batch_ids()
    assert undo_import(batch_id=two, user=account.owner) == {
        "trades_removed": 1, "executions_removed": 3,
    }  # fmt: skip
    assert contents() == first
    undo_import(batch_id=one, user=account.owner)
    assert contents() == empty
    assert Instrument.objects.count() == 0


def test_undo_of_the_earlier_import_keeps_the_later_fills() -> None:
    account = an_account()
    load(account, BUY)
    load(account, FLIP, COVER)
    undo_import(batch_id=batch_ids()[0], user=account.owner)
    kept = without_keys()
    other = an_account("bob")
    Trade.objects.all().delete()
    Signal.objects.all().delete()
    Execution.objects.all().delete()
    load(other, FLIP, COVER)
    assert kept == without_keys()


def test_undo_once_and_only_by_who_may() -> None:
    account, stranger = an_account(), an_account("bob")
    load(account, BUY)
    (batch,) = batch_ids()
    with pytest.raises(NotFoundError):
        undo_import(batch_id=batch, user=stranger.owner)
    with pytest.raises(NotFoundError):
        undo_import(batch_id=batch + 1, user=account.owner)
    undo_import(batch_id=batch, user=account.owner)
    with pytest.raises(ConflictError):
        undo_import(batch_id=batch, user=account.owner)


def test_after_undo_the_file_can_be_imported_again() -> None:
    account = an_account()
    load(account, BUY, FLIP)
    before = without_keys()
    undo_import(batch_id=batch_ids()[0], user=account.owner)
    assert counts(load(account, BUY, FLIP)) == (2, 0, 2, 0)
    assert without_keys() == before


def test_an_instrument_that_something_else_uses_stays() -> None:
    account, other = an_account(), an_account("bob")
    load(account, BUY)
    load(other, BUY)
    undo_import(batch_id=batch_ids()[0], user=account.owner)
    assert Instrument.objects.get().symbol == "EURUSD"


def test_two_accounts_do_not_mix() -> None:
    load(an_account(), BUY)
    assert counts(load(an_account("bob"), FLIP)) == (1, 0, 1, 0)
    assert {trade[0] for trade in trades()} == {"long", "short"}


# --- Whatever comes -------------------------------------------------------------------------------
_lines = st.lists(
    st.builds(
        line,
        st.integers(0, 5),
        st.sampled_from(("buy", "sell")),
        st.sampled_from(("1", "2", "3")),
        st.sampled_from(("1.1", "1.2", "1.35")),
        st.sampled_from(("", "1")),
    ),
    min_size=1,
    max_size=6,
)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(_lines, min_size=1, max_size=3), st.data())
def test_imports_and_undo_are_exact(files: list[list[str]], data: st.DataObject) -> None:
    """After any imports and any undo every stored fill is in one trade, quantities and costs of
    the fills are what the files said, and undoing all leaves nothing."""
    with transaction.atomic():
        _import_and_undo(files, data)
        transaction.set_rollback(True)


def _import_and_undo(files: list[list[str]], data: st.DataObject) -> None:
    account = an_account()
    added = 0
    for lines in files:
        added += load(account, *lines)["executions_new"]
        _check(added)
    left = batch_ids()
    while left:
        batch = left.pop(data.draw(st.integers(0, len(left) - 1)))
        added -= ImportBatch.objects.get(pk=batch).counts["executions_new"]
        undo_import(batch_id=batch, user=account.owner)
        _check(added)
    assert Trade.objects.count() == Signal.objects.count() == Instrument.objects.count() == 0


def _check(expected: int) -> None:
    assert Execution.objects.exclude(dedupe_key__endswith="x").count() == expected
    assert not Execution.objects.filter(trade=None).exists()
    for trade in Trade.objects.select_related("signal").prefetch_related("executions"):
        fills = list(trade.executions.all())
        entered = sum(fill.quantity for fill in fills if fill.side == trade.side)
        left = sum(fill.side * trade.side * fill.quantity for fill in fills)
        assert trade.quantity == entered
        assert (left > 0) == (trade.closed_at is None)
        assert trade.signal.entry_price == trade.entry_price
        if trade.closed_at is not None:
            cash = sum(-fill.side * fill.quantity * fill.price for fill in fills)
            assert (left, trade.gross_pnl) == (0, cash)
