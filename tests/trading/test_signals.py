"""Signals from files: every column, every refusal, nothing twice."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from post_mortem.core.types import SETUPS
from tests.trading.owners import an_account, contents
from trading.core.errors import ConflictError, FileError, UserError
from trading.importers.signals import (
    COLUMNS,
    SETUP_NAMES,
    ParsedSignals,
    SignalRow,
    read_signals,
    signal_row,
)
from trading.importers.trades_contract import TradeOptions
from trading.models import Signal
from trading.services.imports import undo_import
from trading.services.signals import import_signals, post_signal

D = Decimal
NOON = 1709553600 * 10**9

FULL = {
    "external_id": "s-1",
    "time": "2024-03-04T12:00:00Z",
    "symbol": "EUR/USD",
    "timeframe": "1h",
    "side": "long",
    "entry": "1.08500",
    "entry_kind": "limit",
    "stop_loss": "1.0840",
    "take_profit": "1.0870",
    "score": 71.5,
    "score_semantics": "probability",
    "min_score": 60,
    "strategy": "breakout",
    "strategy_kind": "trend",
    "claimed_setups": ["bos", "fvg"],
    "model_version": "m3",
    "confidence": 0.8,
    "truth_index": 0.7,
    "indicators": {"rsi": 55.5},
    "heads": {"a": [1, 2.5]},
    "regime": "trending",
}
SHORT = {k: FULL[k] for k in ("time", "symbol", "timeframe", "side", "entry")}


def jsonl(*rows: dict[str, Any]) -> bytes:
    return "\n".join(json.dumps(row) for row in rows).encode()


def read(data: bytes, **options: Any) -> ParsedSignals:
    return read_signals(data, "signals", TradeOptions(**options))


def one(row: dict[str, Any]) -> SignalRow:
    (signal,) = read(jsonl(row)).signals
    return signal


def refused(data: bytes, **options: Any) -> FileError:
    with pytest.raises(FileError) as caught:
        read(data, **options)
    return caught.value


def csv_of(row: dict[str, Any], *more: str) -> bytes:
    cells = [json.dumps(v).replace('"', '""') if isinstance(v, dict) else v for v in row.values()]
    cells = [";".join(cell) if isinstance(cell, list) else cell for cell in cells]
    line = ",".join(f'"{cell}"' for cell in cells)
    return "\n".join([",".join(row), line, *more]).encode()


def test_the_names_of_setups_are_the_engines() -> None:
    assert SETUP_NAMES == SETUPS


@pytest.mark.parametrize("data", [jsonl(FULL), b"[" + jsonl(FULL) + b"]", csv_of(FULL)])
def test_every_column(data: bytes) -> None:
    (signal,) = read(data).signals
    assert set(FULL) == set(COLUMNS)
    assert (signal.external_id, signal.time, signal.symbol) == ("s-1", NOON, "EUR/USD")
    assert (signal.timeframe, signal.side, signal.entry) == ("1h", 1, D("1.08500"))
    assert (signal.entry_kind, signal.stop_loss, signal.take_profit) == (
        "limit", D("1.0840"), D("1.0870"),
    )  # fmt: skip
    assert (signal.score, signal.score_semantics, signal.min_score) == (71.5, "probability", 60.0)
    assert (signal.strategy, signal.strategy_kind, signal.model_version) == (
        "breakout", "trend", "m3",
    )  # fmt: skip
    assert signal.claimed_setups == ("bos", "fvg")
    assert (signal.confidence, signal.truth_index, signal.regime) == (0.8, 0.7, "trending")
    assert (signal.indicators, signal.heads) == ({"rsi": 55.5}, {"a": [1, 2.5]})


def test_only_five_columns_are_needed() -> None:
    signal = one(SHORT)
    assert (signal.stop_loss, signal.score, signal.external_id) == (None, None, "")
    assert (signal.entry_kind, signal.strategy_kind) == ("market", "unknown")
    for name in SHORT:
        error = refused(jsonl({k: v for k, v in SHORT.items() if k != name}))
        assert (error.code, error.field, error.row) == ("missing", name, 1)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ([], ()),
        ("", ()),
        ("bos", ("bos",)),
        ("bos;fvg", ("bos", "fvg")),
        (["bos", "bos"], ("bos",)),
    ],
)
def test_claims_absent_empty_and_listed(value: Any, expected: Any) -> None:
    assert one(SHORT | {"claimed_setups": value}).claimed_setups == expected


def test_claims_in_a_table() -> None:
    (without,) = read(csv_of(SHORT)).signals
    assert without.claimed_setups is None
    (none,) = read(csv_of(SHORT | {"claimed_setups": ""})).signals
    assert none.claimed_setups == ()


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"claimed_setups": ["BOS"]}, "choice", "claimed_setups"),
        ({"claimed_setups": "bos,fvg"}, "choice", "claimed_setups"),
        ({"stop_loss": "1.0850"}, "sl_side", "stop_loss"),
        ({"stop_loss": "1.0860"}, "sl_side", "stop_loss"),
        ({"side": "short", "stop_loss": "1.0840"}, "sl_side", "stop_loss"),
        ({"take_profit": "1.0850"}, "tp_side", "take_profit"),
        ({"take_profit": "1.0840"}, "tp_side", "take_profit"),
        ({"side": "short", "take_profit": "1.0860"}, "tp_side", "take_profit"),
        ({"side": "LONGG"}, "choice", "side"),
        ({"side": None}, "missing", "side"),
        ({"side": True}, "bad_text", "side"),
        ({"entry": 0}, "non_positive_price", "entry"),
        ({"entry": "x"}, "bad_number", "entry"),
        ({"entry": []}, "bad_number", "entry"),
        ({"entry_kind": "touch"}, "choice", "entry_kind"),
        ({"timeframe": "1x"}, "timeframe", "timeframe"),
        ({"symbol": "a b"}, "bad_symbol", "symbol"),
        ({"time": "04/03/2024 12:00"}, "date_order", "time"),
        ({"score": 101}, "out_of_range", "score"),
        ({"score": -1}, "out_of_range", "score"),
        ({"min_score": "high"}, "bad_number", "min_score"),
        ({"score_semantics": "odds"}, "choice", "score_semantics"),
        ({"strategy": "x" * 81}, "too_long", "strategy"),
        ({"indicators": "[1]"}, "malformed_json", "indicators"),
        ({"heads": [1]}, "malformed_json", "heads"),
        ({"heads": '{"a": NaN}'}, "malformed_json", "heads"),
        ({"owner": 1}, "unknown_field", "owner"),
    ],
)
def test_a_bad_signal_names_line_and_field(changes: dict[str, Any], code: str, field: str) -> None:
    data = jsonl(SHORT, SHORT | changes)
    error = refused(data)
    assert (error.code, error.row, error.field) == (code, 2, field)
    partial = read(data, partial=True)
    assert len(partial.signals) == 1
    assert [(row.line, row.code) for row in partial.skipped] == [(2, code)]


@pytest.mark.parametrize(
    ("data", "code", "row"),
    [
        (b"", "empty_file", None),
        (b"[]", "no_rows", None),
        (b"[1]", "malformed_json", None),
        (b'{"time": 1}\n{', "malformed_json", 2),
        (b"[1", "malformed_json", 1),
        (b"time,symbol,timeframe,side\n1,2,3,4\n", "missing_columns", 1),
        (b"time,symbol,timeframe,side,entry,Owner\n1,2,3,4,5,6\n", "unknown_column", 1),
        (b"time,time,symbol,timeframe,side,entry\n1,2,3,4,5,6\n", "duplicate_column", 1),
        (b"time,symbol,timeframe,side,entry\n1,2,3\n", "column_count", 2),
        (b"time,symbol,timeframe,side,entry\n", "no_rows", None),
    ],
)
def test_a_file_that_holds_no_signals(data: bytes, code: str, row: int | None) -> None:
    error = refused(data)
    codes = {problem.code: problem.rows for problem in error.problems}
    assert code in codes
    if row is not None:
        assert codes[code] == (row,)


def test_times_need_a_zone_and_an_offset_wins() -> None:
    naive = SHORT | {"time": "2024-03-04 13:00:00"}
    assert (refused(jsonl(SHORT, naive)).code, refused(jsonl(naive)).row) == (
        "timezone_required", 1,
    )  # fmt: skip
    with_zone = read(jsonl(SHORT, naive), tz="Europe/Berlin").signals
    assert [signal.time for signal in with_zone] == [NOON, NOON]
    gap = SHORT | {"time": "2024-03-31 02:30:00"}
    assert refused(jsonl(gap), tz="Europe/Berlin").code == "nonexistent_time"
    # A zone that no time needs was not used.
    assert read(jsonl(SHORT, naive), tz="Europe/Berlin").time_zone == "Europe/Berlin"
    assert read(jsonl(SHORT), tz="Europe/Berlin").time_zone == ""


# --- Stored ---------------------------------------------------------------------------------------
def load(account: Any, *rows: dict[str, Any], **options: Any) -> dict[str, Any]:
    result = import_signals(
        account=account, data=jsonl(*rows), file_name="s.jsonl", options=TradeOptions(), **options
    )
    return result.summary


@pytest.mark.django_db
def test_signals_are_stored_once() -> None:
    account = an_account()
    other = SHORT | {"entry": "1.09"}
    assert load(account, FULL, SHORT, SHORT, other)["signals_new"] == 3
    signal = Signal.objects.get(external_id="s-1")
    assert (signal.instrument.symbol, signal.source) == ("EURUSD", "feed")
    assert (signal.entry_price, signal.stop_loss, signal.side) == (D("1.085"), D("1.084"), 1)
    assert (signal.claimed_setups, signal.heads) == (["bos", "fvg"], {"a": [1, 2.5]})
    assert Signal.objects.exclude(external_id="s-1")[0].claimed_setups is None

    before = contents()
    again = load(account, FULL, SHORT, other)
    assert (again["signals_new"], again["signals_duplicate"], again["import_id"]) == (0, 3, None)
    assert contents() == before


@pytest.mark.django_db
def test_an_id_with_another_content_is_skipped_and_said() -> None:
    account = an_account()
    load(account, FULL)
    summary = load(account, FULL | {"stop_loss": "1.0830"})
    assert [(row["row"], row["code"]) for row in summary["skipped"]] == [
        (1, "conflicting_duplicate")
    ]
    assert Signal.objects.get().stop_loss == D("1.084")


@pytest.mark.django_db
def test_a_dry_run_keeps_nothing_and_undo_takes_all_back() -> None:
    account = an_account()
    before = contents()
    dry = load(account, FULL, dry_run=True)
    assert (dry["signals_new"], dry["preview"][0]["symbol"]) == (1, "EURUSD")
    assert contents() == before
    batch = load(account, FULL)["import_id"]
    assert undo_import(batch_id=batch, user=account.owner) == {"signals_removed": 1}
    assert contents() == before


@pytest.mark.django_db
def test_a_signal_that_was_traded_is_not_taken_back() -> None:
    from tests.services.factories import make_trade

    account = an_account()
    batch = load(account, FULL)["import_id"]
    make_trade(Signal.objects.get())
    with pytest.raises(ConflictError):
        undo_import(batch_id=batch, user=account.owner)
    assert Signal.objects.count() == 1


@pytest.mark.django_db
def test_a_posted_signal() -> None:
    account = an_account()
    row = signal_row(FULL, line=1, time=NOON)
    first, is_new = post_signal(account=account, row=row)
    again, new_again = post_signal(account=account, row=row)
    assert (is_new, new_again, first.pk) == (True, False, again.pk)
    with pytest.raises(ConflictError):
        post_signal(account=account, row=signal_row(FULL | {"score": 1}, line=1, time=NOON))
    with pytest.raises(UserError) as caught:
        signal_row(FULL | {"stop_loss": "1.09"}, line=1, time=NOON)
    assert caught.value.code == "sl_side"


def test_a_declared_timeframe_and_decimal_commas() -> None:
    plain = {k: v for k, v in FULL.items() if k != "timeframe"}
    assert "--timeframe" in refused(csv_of(plain)).detail
    comma = plain | {"entry": "1,08500", "stop_loss": "1,0840", "take_profit": "1,0870"}
    comma |= {"score": "71,5", "confidence": "0,8", "truth_index": "0,7"}
    for data in (jsonl(comma), csv_of(comma)):
        (signal,) = read(data, timeframe="1h", decimal_comma=True).signals
        assert (signal.timeframe, signal.entry, signal.stop_loss) == ("1h", D("1.085"), D("1.084"))
        assert refused(data, timeframe="1h").code == "dialect"
    (own,) = read(jsonl(FULL), timeframe="5m").signals
    assert own.timeframe == "1h"


def test_a_field_that_is_none_is_named_before_one_that_is_missing() -> None:
    row = {("timestamp" if k == "time" else k): v for k, v in SHORT.items()}
    error = refused(jsonl(row))
    assert (error.code, error.field) == ("unknown_field", "timestamp")
    assert "expected external_id, time, symbol" in error.detail
