"""freqtrade backtest results: every field, old and new spellings, and what is refused."""

import io
import json
import zipfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from tests.trading.owners import an_account, contents
from trading.core.errors import FileError
from trading.fields import MAX_PLACES
from trading.importers.trades import read_trades
from trading.importers.trades_contract import ParsedTrades, TradeOptions
from trading.models import Execution, ImportBatch, Signal, Trade
from trading.services.imports import undo_import
from trading.services.trades import import_trades

D = Decimal

TRADE = {
    "pair": "ETH/BTC",
    "amount": 2,
    "open_date": "2024-01-10 07:15:00+00:00",
    "close_date": "2024-01-10 07:20:00+00:00",
    "open_rate": 0.05,
    "close_rate": 0.051,
    "fee_open": 0.001,
    "fee_close": 0.002,
    "exit_reason": "roi",
    "initial_stop_loss_abs": 0.045,
    "stop_loss_abs": 0.045,
    "is_open": False,
    "is_short": False,
    "open_timestamp": 1704870900000,
    "close_timestamp": 1704871200000.0,
    "enter_tag": "dip",
}


def result_of(*trades: dict[str, Any], **strategy: Any) -> bytes:
    document = {"strategy": {"Dip": {"trades": list(trades), "timeframe": "5m"} | strategy}}
    return json.dumps(document).encode()


def read(data: bytes, **options: Any) -> ParsedTrades:
    return read_trades(data, "result.json", TradeOptions(**options))


def refused(data: bytes, **options: Any) -> FileError:
    with pytest.raises(FileError) as caught:
        read(data, **options)
    return caught.value


def trade_with(**changes: Any) -> dict[str, Any]:
    return {k: v for k, v in (TRADE | changes).items() if v != "drop"}


def test_one_trade_in_full() -> None:
    (trip,) = read(result_of(TRADE)).trips
    assert (trip.symbol, trip.side, trip.quantity) == ("ETH/BTC", 1, 2)
    assert (trip.opened_at, trip.closed_at) == (1704870900 * 10**9, 1704871200 * 10**9)
    assert (trip.entry_price, trip.exit_price) == (D("0.05"), D("0.051"))
    assert (trip.stop_initial, trip.stop_final) == (D("0.045"), D("0.045"))
    # 0.001 * 2 * 0.05 + 0.002 * 2 * 0.051, paid.
    assert trip.commission == D("-0.000304")
    assert (trip.strategy, trip.timeframe, trip.tags) == ("Dip", "5m", ("dip",))
    assert trip.take_profit is None


@pytest.mark.parametrize(
    ("reason", "final", "expected"),
    [
        ("stop_loss", 0.045, "sl"),
        ("stoploss_on_exchange", 0.045, "sl"),
        ("stop_loss", 0.049, "manual"),
        ("trailing_stop_loss", 0.049, "manual"),
        ("trailing_stop_loss", 0.045, "manual"),
        ("roi", 0.045, "manual"),
        ("exit_signal", 0.045, "manual"),
        ("force_exit", 0.045, "manual"),
        ("liquidation", 0.045, "manual"),
    ],
)
def test_only_the_initial_stop_is_a_stop(reason: str, final: float, expected: str) -> None:
    data = result_of(trade_with(exit_reason=reason, stop_loss_abs=final))
    (trip,) = read(data).trips
    assert (trip.exit_reason, trip.exit_reason_text) == (expected, reason)


def test_older_names_mean_the_same() -> None:
    old = trade_with(
        exit_reason="drop", enter_tag="drop", sell_reason="stop_loss", buy_tag="dip",
        is_short="drop", open_date="2024-01-10 07:15:00",
    )  # fmt: skip
    (trip,) = read(result_of(old, timeframe="drop", ticker_interval="15m")).trips
    assert (trip.exit_reason, trip.tags, trip.side) == ("sl", ("dip",), 1)


def test_a_short_and_an_open_trade() -> None:
    short, still_open = read(
        result_of(
            trade_with(is_short=True),
            trade_with(is_open=True, close_rate=None, close_date=None, close_timestamp=None),
        )
    ).trips
    assert short.side == -1
    assert (still_open.closed_at, still_open.exit_price, still_open.exit_reason) == (None, None, "")
    assert still_open.commission == D("-0.0001")  # of the entry alone


def test_several_strategies_in_a_zip() -> None:
    document = {
        "strategy": {"A": {"trades": [TRADE]}, "B": {"trades": [TRADE, TRADE]}},
        "metadata": {},
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("backtest-result-1.json", json.dumps(document))
        archive.writestr("backtest-result-1_config.json", '{"strategy": "A"}')
        archive.writestr("backtest-result-1.meta.json", "{}")
    parsed = read(buffer.getvalue())
    assert [trip.strategy for trip in parsed.trips] == ["A", "B", "B"]


def test_numbers_keep_every_digit() -> None:
    text = result_of(TRADE).replace(b'"close_rate": 0.051', b'"close_rate": 3.2859000000000005e-05')
    (trip,) = read(text).trips
    assert format(trip.exit_price or D(0), "f") == "0.000032859000000000005"


def test_a_longer_number_is_refused_not_rounded() -> None:
    number = b"0." + b"1" * (MAX_PLACES + 1)
    error = refused(result_of(TRADE, TRADE).replace(b"0.051", number, 1))
    assert (error.code, error.row, error.field) == ("precision", 1, "close_rate")


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"pair": None}, "missing", "pair"),
        ({"pair": "=cmd|'/c calc'!A1"}, "bad_symbol", "symbol"),
        ({"amount": 0}, "quantity", "amount"),
        ({"amount": -1}, "quantity", "amount"),
        ({"amount": True}, "bad_number", "amount"),
        ({"amount": "x"}, "bad_number", "amount"),
        ({"open_rate": None}, "missing", "open_rate"),
        ({"open_rate": 0}, "non_positive_price", "open_rate"),
        ({"close_rate": None}, "missing", "close_rate"),
        ({"open_date": None, "open_timestamp": None}, "missing", "open_date"),
        ({"open_date": "yesterday"}, "bad_time", "open_date"),
        ({"open_timestamp": 1704870901000}, "time_conflict", "open_date"),
        ({"open_timestamp": 1704870900000.5}, "bad_time", "open_timestamp"),
        (
            {"close_date": "2024-01-10 07:10:00+00:00", "close_timestamp": None},
            "time_order",
            "close_date",
        ),
        ({"is_short": "LONGG"}, "choice", "is_short"),
    ],
)
def test_a_bad_trade_names_its_place(changes: dict[str, Any], code: str, field: str) -> None:
    data = result_of(TRADE, trade_with(**changes))
    error = refused(data)
    assert (error.code, error.row, error.field) == (code, 2, field)
    partial = read(data, partial=True)
    assert len(partial.trips) == 1
    assert [(s.line, s.code) for s in partial.skipped] == [(2, code)]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "empty_file"),
        (b"{", "malformed_json"),
        (b"{}", "unknown_format"),
        (b'{"strategy": {}}', "unknown_format"),
        (b'{"strategy": {"A": {}}}', "unknown_format"),
        (b'{"strategy": {"A": {"trades": []}}}', "no_rows"),
        (b'{"strategy": {"A": {"trades": [1]}}}', "malformed_json"),
        (b'{"strategy": {"A": {"trades": [{"amount": NaN}]}}}', "not_finite"),
        (b'{"strategy": {}, "strategy": {}}', "malformed_json"),
        (b'{"strategy": "\xff"}', "encoding"),
        (b'{"a": ' * 100_000, "malformed_json"),
        (b"PK\x03\x04broken", "malformed_archive"),
    ],
)
def test_a_file_that_is_no_result_is_refused(data: bytes, code: str) -> None:
    assert refused(data).code == code


# --- Stored ---------------------------------------------------------------------------------------
@pytest.mark.django_db
def test_a_trade_brings_its_signal() -> None:
    import_trades(account=an_account(), data=result_of(TRADE), file_name="r.json")
    trade = Trade.objects.select_related("signal").get()
    signal = trade.signal
    assert (trade.gross_pnl, trade.net_pnl) == (D("0.002"), D("0.001696"))
    assert (trade.pnl_currency, trade.tags) == ("BTC", ["dip"])
    assert (signal.source, signal.timeframe, signal.strategy) == ("trade", "5m", "Dip")
    assert (signal.entry_price, signal.stop_loss, signal.take_profit) == (
        trade.entry_price, trade.stop_loss_initial, None,
    )  # fmt: skip
    assert signal.time == trade.opened_at
    legs = Execution.objects.order_by("time").values_list("side", "quantity", "price", "trade")
    assert list(legs) == [(1, D(2), D("0.05"), trade.pk), (-1, D(2), D("0.051"), trade.pk)]


@pytest.mark.django_db
def test_a_stop_on_the_wrong_side_is_kept() -> None:
    account = an_account()
    data = result_of(trade_with(initial_stop_loss_abs=0.06, stop_loss_abs=0.06))
    result = import_trades(account=account, data=data, file_name="r.json")
    trade = Trade.objects.get()
    assert trade.stop_loss_initial == trade.signal.stop_loss == D("0.06")
    assert "stop_side" in [problem["code"] for problem in result.summary["warnings"]]


@pytest.mark.django_db
def test_an_open_trade_is_closed_by_a_later_file_and_reopened_by_undo() -> None:
    account = an_account()
    still_open = trade_with(is_open=True, close_rate=None, close_date=None, close_timestamp=None)
    first = import_trades(account=account, data=result_of(still_open), file_name="a.json")
    before = contents()
    later = import_trades(account=account, data=result_of(TRADE), file_name="b.json")
    trade = Trade.objects.get()
    assert (later.summary["trades_new"], later.summary["trades_updated"]) == (0, 1)
    assert (trade.exit_price, trade.net_pnl) == (D("0.051"), D("0.001696"))
    assert first.batch is not None
    assert later.batch is not None

    # The old file knows less: it adds nothing and reopens nothing.
    again = import_trades(account=account, data=result_of(still_open), file_name="a.json")
    assert (again.summary["trades_duplicate"], again.batch) == (1, None)
    with pytest.raises(Exception, match="undo it first"):
        undo_import(batch_id=first.batch.pk, user=account.owner)
    undo_import(batch_id=later.batch.pk, user=account.owner)
    assert contents() == before
    undo_import(batch_id=first.batch.pk, user=account.owner)
    assert Trade.objects.count() == Signal.objects.count() == Execution.objects.count() == 0


@pytest.mark.django_db
def test_identical_trades_are_counted_not_merged() -> None:
    account = an_account()
    import_trades(account=account, data=result_of(TRADE, TRADE), file_name="r.json")
    assert Trade.objects.count() == 2
    more = import_trades(account=account, data=result_of(TRADE, TRADE, TRADE), file_name="r.json")
    assert (more.summary["trades_new"], more.summary["trades_duplicate"]) == (1, 2)
    other = trade_with(close_rate=0.052)  # the same entry, another exit
    fewer = import_trades(account=account, data=result_of(other), file_name="r.json")
    assert (fewer.summary["trades_new"], Trade.objects.count()) == (1, 4)


@pytest.mark.django_db
def test_what_a_user_edits_does_not_make_a_trade_new() -> None:
    account = an_account()
    import_trades(account=account, data=result_of(TRADE), file_name="r.json")
    Trade.objects.update(strategy="renamed", notes="mine", tags=[], exit_reason="tp")
    again = import_trades(account=account, data=result_of(TRADE), file_name="r.json")
    assert again.summary["trades_new"] == 0
    assert Trade.objects.get().notes == "mine"


# --- The real file --------------------------------------------------------------------------------
@pytest.mark.realdata
@pytest.mark.django_db
def test_the_real_result_imports_once_and_goes_without_a_trace(shared_data: Path) -> None:
    data = (shared_data / "freqtrade" / "backtest-result.json").read_bytes()
    account = an_account()
    import_trades(account=account, data=result_of(TRADE), file_name="other.json")
    before = contents()

    dry = import_trades(account=account, data=data, file_name="r.json", dry_run=True)
    assert contents() == before
    first = import_trades(account=account, data=data, file_name="r.json")
    assert first.summary["trades_new"] == dry.summary["trades_new"] == 179
    assert first.summary["pnl"] == dry.summary["pnl"]
    assert len(first.summary["preview"]) == 5
    assert Trade.objects.count() == Signal.objects.count() == 180
    reasons = Trade.objects.values_list("exit_reason_text", "exit_reason")
    stops = [pair for pair in reasons if pair[0] == "stop_loss"]
    assert stops == [("stop_loss", "sl")] * 6

    after = contents()
    second = import_trades(account=account, data=data, file_name="renamed.json")
    assert (second.summary["trades_new"], second.summary["trades_duplicate"]) == (0, 179)
    assert contents() == after
    assert first.batch is not None
    undo_import(batch_id=first.batch.pk, user=account.owner)
    assert contents() == before
    assert ImportBatch.objects.get(pk=first.batch.pk).status == "undone"


@pytest.mark.realdata
@pytest.mark.django_db
def test_every_rate_of_the_real_result_is_stored_as_it_was_written(shared_data: Path) -> None:
    path = shared_data / "freqtrade" / "backtest-result.json"
    call_command("import_trades", str(path), "--account", "Backtest")
    document = json.loads(path.read_bytes(), parse_float=lambda text: Decimal(text))
    (strategy,) = document["strategy"].values()
    written = sorted(
        (t["amount"], t["open_rate"], t["close_rate"], t["initial_stop_loss_abs"])
        for t in strategy["trades"]
    )
    stored = sorted(
        Trade.objects.values_list("quantity", "entry_price", "exit_price", "stop_loss_initial")
    )
    assert stored == written


@pytest.mark.realdata
@pytest.mark.django_db
def test_fills_outside_their_candles_in_the_real_result(shared_data: Path) -> None:
    """Seventeen trades have a fill outside its candle when both are taken exactly as they are
    written, which is also what binary floats say. Four of them touch the candle's price in all
    eight decimals of its grid: the candle was stored as 0.00004919000000000001."""
    import pyarrow.feather

    data = (shared_data / "freqtrade" / "backtest-result.json").read_bytes()
    trips = read_trades(data, "r.json", TradeOptions()).trips
    grid = D("0.00000001")
    bars: dict[str, dict[int, tuple[float, float]]] = {}
    on_grid, as_written, binary = set(), set(), set()
    for trip in trips:
        if trip.symbol not in bars:
            name = f"{trip.symbol.replace('/', '_')}-5m.feather"
            table = pyarrow.feather.read_table(shared_data / "freqtrade" / name)
            times = table["date"].cast("int64").to_pylist()
            unit = 10**9 // {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[table["date"].type.unit]
            highs_lows = zip(table["low"].to_pylist(), table["high"].to_pylist(), strict=True)
            keys = [time * unit for time in times]
            bars[trip.symbol] = dict(zip(keys, highs_lows, strict=True))
        assert trip.closed_at is not None
        assert trip.exit_price is not None
        for which, time, price in (
            ("entry", trip.opened_at, trip.entry_price),
            ("exit", trip.closed_at, trip.exit_price),
        ):
            low, high = bars[trip.symbol][time]
            if not low <= float(price) <= high:
                binary.add((trip.line, which))
            if not D(repr(low)) <= price <= D(repr(high)):
                as_written.add((trip.line, which))
            if not D(low).quantize(grid) <= price <= D(high).quantize(grid):
                on_grid.add((trip.line, which))
    assert on_grid < as_written == binary
    assert (len(on_grid), {which for _, which in on_grid}) == (13, {"exit"})
    assert len({line for line, _ in as_written}) == len(as_written) == 17
