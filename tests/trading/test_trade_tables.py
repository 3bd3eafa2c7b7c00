"""Tables of executions and round trips: known headers, mapped ones, and every bad row."""

from decimal import Decimal
from typing import Any

import pytest

from tests.trading.owners import an_account, contents
from trading.core.errors import FileError, UserError
from trading.importers.trades import read_trades
from trading.importers.trades_columns import FIELDS, parse_mapping
from trading.importers.trades_contract import FillRow, ParsedTrades, TradeOptions, TripRow
from trading.importers.values import read_decimal, read_side, read_time
from trading.models import ImportBatch, Trade
from trading.services.imports import undo_import
from trading.services.trades import import_trades

D = Decimal
HOUR = 3600 * 10**9
NOON = 1709553600 * 10**9  # 2024-03-04 12:00 UTC

TRADERVUE = """Date,Time,Symbol,Quantity,Price,Side,Commission,TransFee,ECNFee
2024-03-04,07:00:00,EURUSD,1000,1.0850,B,2.5,,0.1
2024-03-04,08:00:00,EURUSD,1000,1.0860,S,2.5,,-0.2
"""
TRIPS = """Open time,Close time,Symbol,Side,Quantity,Entry,Exit,Stop,Target,PnL
2024-03-04T12:00:00Z,2024-03-04T13:00:00Z,EURUSD,long,1000,1.0850,1.0860,1.0840,1.0870,0.5
"""


def read(text: str, **options: Any) -> ParsedTrades:
    return read_trades(text.encode(), "t.csv", TradeOptions(**options))


def refused(text: str, **options: Any) -> FileError:
    with pytest.raises(FileError) as caught:
        read(text, **options)
    return caught.value


def fill(text: str, **options: Any) -> FillRow:
    (row,) = read(text, **options).fills
    return row


def trip(text: str, **options: Any) -> TripRow:
    (row,) = read(text, **options).trips
    return row


# --- Tradervue ------------------------------------------------------------------------------------
def test_tradervue_costs_are_positive_and_added_up() -> None:
    parsed = read(TRADERVUE, tz="America/New_York")
    assert (parsed.format, parsed.layout, parsed.time_zone) == (
        "tradervue", "executions", "America/New_York",
    )  # fmt: skip
    buy, sell = parsed.fills
    assert (buy.time, buy.side, buy.quantity, buy.price) == (NOON, 1, 1000, D("1.0850"))
    assert (buy.commission, sell.commission) == (D("-2.6"), D("-2.3"))
    assert (sell.time, sell.side) == (NOON + HOUR, -1)


def test_blank_costs_are_unknown() -> None:
    text = TRADERVUE.replace("B,2.5,,0.1", "B,,,")
    assert read(text, tz="UTC").fills[0].commission is None


@pytest.mark.parametrize(
    ("word", "side"),
    [
        *[(word, 1) for word in ("B", "buy", "BUY", "BC", "BOT", "Buy to Cover", " b ")],
        *[(word, -1) for word in ("S", "sell", "SS", "SLD", "Sell Short", "sell_short")],
    ],
)
def test_sides(word: str, side: int) -> None:
    assert read_side(word) == side


@pytest.mark.parametrize("word", ["", "LONGG", "1", "buysell", "none"])
def test_a_side_that_is_none_is_refused_with_its_row(word: str) -> None:
    error = refused(TRADERVUE.replace(",B,", f",{word},"), tz="UTC")
    assert (error.code, error.row, error.field) == ("choice", 2, "side")


# --- Rows ---------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("old", "new", "code", "field"),
    [
        ("1000,1.0850", "0,1.0850", "quantity", "quantity"),
        ("1000,1.0850", "-1,1.0850", "quantity", "quantity"),
        ("1000,1.0850", ",1.0850", "missing", "quantity"),
        ("1.0850", "", "missing", "price"),
        ("1.0850", "0", "non_positive_price", "price"),
        ("1.0850", "nan", "not_finite", "price"),
        ("1.0850", "-inf", "not_finite", "price"),
        ("1.0850", "0x1F", "bad_number", "price"),
        ("1.0850", "1_000", "bad_number", "price"),
        ("1.0850", "١٢", "bad_number", "price"),
        ("1.0850", '"1,085"', "dialect", "price"),
        ("1.0850", "1." + "1" * 41, "precision", "price"),
        ("1.0850", "1e99", "precision", "price"),
        ("EURUSD", "<script>", "bad_symbol", "symbol"),
        ("EURUSD", "", "bad_symbol", "symbol"),
        ("07:00:00", "25:00:00", "out_of_range", "date"),
        ("07:00:00", "", "timezone_required", "tz"),
        ("2024-03-04,07", "2024-02-30,07", "out_of_range", "date"),
        ("2024-03-04,07", "9999-03-04,07", "out_of_range", "date"),
        ("2024-03-04,07", "1600-03-04,07", "out_of_range", "date"),
        ("2024-03-04,07", "04/03/2024,07", "date_order", "date"),
        ("2024-03-04,07", "soon,07", "bad_time", "date"),
        ("B,2.5,,0.1", "B,2.5,0.1", "column_count", None),
        ("B,2.5,,0.1", "B,2.5,,0.1,1", "column_count", None),
    ],
)
def test_a_bad_row_names_line_and_field(old: str, new: str, code: str, field: str | None) -> None:
    text = TRADERVUE.replace(old, new, 1)
    zone = None if code == "timezone_required" else "UTC"
    error = refused(text, tz=zone)
    assert (error.code, error.row, error.field) == (code, 2, field)
    if zone:
        partial = read(text, tz=zone, partial=True)
        assert [row.line for row in partial.fills] == [3]
        assert [(row.line, row.code) for row in partial.skipped] == [(2, code)]
        assert partial.rows_read == 2


def test_every_bad_row_is_named() -> None:
    error = refused(TRADERVUE.replace(",B,", ",X,").replace("1.0860", "no"), tz="UTC")
    assert [(p.code, p.rows) for p in error.problems] == [("choice", (2,)), ("bad_number", (3,))]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "empty_file"),
        ("a\n", "missing_columns"),
        ("Symbol,Price\nEURUSD,1\n", "missing_columns"),
        (TRADERVUE.split("\n", 1)[0], "no_rows"),
        (TRADERVUE.replace("Time", "Date", 1), "duplicate_column"),
        (TRADERVUE.replace("EURUSD", '"EURUSD', 1), "malformed_csv"),
        (TRADERVUE.replace("EURUSD", "EUR\0USD", 1), "binary_content"),
    ],
)
def test_a_text_that_is_no_table_is_refused(text: str, code: str) -> None:
    assert refused(text, tz="UTC").code == code


def test_other_bytes() -> None:
    with pytest.raises(FileError) as caught:
        read_trades(TRADERVUE.encode("utf-16"), "t.csv", TradeOptions(tz="UTC"))
    assert caught.value.code == "encoding"
    with pytest.raises(FileError) as caught:
        read_trades(b"\x89PNG\r\n", "t.csv", TradeOptions(tz="UTC"))
    assert caught.value.code == "binary_content"
    bom = b"\xef\xbb\xbf" + TRADERVUE.replace("\n", "\r\n").encode()
    assert len(read_trades(bom, "t.csv", TradeOptions(tz="UTC")).fills) == 2
    with pytest.raises(UserError) as refusal:
        read(TRADERVUE, format="mt9")
    assert refusal.value.code == "format"
    assert refused(TRIPS, format="tradervue").code == "missing_columns"


# --- Times --------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "order", "expected", "zoned"),
    [
        ("2024-03-04 12:00:00", None, NOON, False),
        ("2024-03-04T12:00", None, NOON, False),
        ("2024.03.04 12:00:00", None, NOON, False),
        ("2024/3/4 12:00:00", None, NOON, False),
        ("2024-03-04T12:00:00Z", None, NOON, True),
        ("2024-03-04T13:00:00+01:00", None, NOON, True),
        ("2024-03-04 07:00:00-0500", None, NOON, True),
        ("2024-03-04 12:00:00.123456", None, NOON + 123456000, False),
        ("2024-03-04 12:00:00.123456000", None, NOON + 123456000, False),
        ("03/04/2024 12:00:00 PM", "mdy", NOON, False),
        ("04/03/2024 12:00", "dmy", NOON, False),
        ("04.03.2024 12:00:00", None, NOON, False),
        ("4/3/24 12:00", "dmy", NOON, False),
        ("12/31/2023 12:00", None, NOON - 64 * 24 * HOUR, False),
        ("31/12/2023 12:00", None, NOON - 64 * 24 * HOUR, False),
        ("1709553600", None, NOON, True),
        ("1709553600000", None, NOON, True),
        ("2024-03-04", None, NOON - 12 * HOUR, False),
    ],
)
def test_times(text: str, order: str | None, expected: int, zoned: bool) -> None:
    read_back = read_time(text, "time", date_order=order)
    assert (read_back.ns, read_back.zoned) == (expected, zoned)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("04/03/2024 12:00", "date_order"),
        ("2024-03-04 12:00:00.1234567", "precision"),
        ("2024-03-04 13:00 PM", "bad_time"),
        ("2024-03-04 12:00:00 CET", "bad_time"),
        ("12:00", "bad_time"),
        ("20240304", "bad_time"),
        ("٢٠٢٤-03-04", "bad_time"),
        ("", "missing"),
    ],
)
def test_times_that_are_none(text: str, code: str) -> None:
    with pytest.raises(UserError) as caught:
        read_time(text, "time")
    assert caught.value.code == code


def test_local_times_that_do_not_exist_or_were_twice() -> None:
    gap = TRADERVUE.replace("2024-03-04,07:00:00", "2024-03-31,02:30:00")
    twice = TRADERVUE.replace("2024-03-04,07:00:00", "2024-10-27,02:30:00")
    for text, code in ((gap, "nonexistent_time"), (twice, "ambiguous_time")):
        error = refused(text, tz="Europe/Berlin")
        assert (error.code, error.row) == (code, 2)
        partial = read(text, tz="Europe/Berlin", partial=True)
        assert [(row.line, row.code) for row in partial.skipped] == [(2, code)]
        # In a zone without clock changes both are ordinary times.
        assert len(read(text, tz="UTC").fills) == 2


def test_an_explicit_offset_wins_over_the_zone() -> None:
    text = "time,symbol,side,quantity,price\n2024-03-04T13:00:00+01:00,EURUSD,buy,1,1.1\n"
    assert fill(text, tz="America/New_York").time == NOON
    assert fill(text).time == NOON


# --- Numbers --------------------------------------------------------------------------------------
def test_numbers_are_taken_as_written() -> None:
    assert str(read_decimal("1.50", "x")) == "1.50"
    assert read_decimal("9.64e-05", "x") == D("0.0000964")
    assert read_decimal("1,5", "x", comma=True) == D("1.5")
    with pytest.raises(UserError):
        read_decimal("1.5", "x", comma=True)


def test_a_table_with_decimal_commas() -> None:
    text = "time;symbol;side;quantity;price\n2024-03-04 12:00;EURUSD;buy;1;1,0850\n"
    assert refused(text, tz="UTC").code == "dialect"
    assert fill(text, tz="UTC", decimal_comma=True).price == D("1.0850")


# --- Executions in order ------------------------------------------------------------------------
def test_a_list_with_the_newest_first_is_turned_round() -> None:
    rows = [
        "2024-03-04 12:02,EURUSD,sell,2,1.2",
        "2024-03-04 12:01,EURUSD,sell,1,1.1",  # the later of two in one minute
        "2024-03-04 12:01,EURUSD,buy,3,1.0",
    ]
    parsed = read("time,symbol,side,quantity,price\n" + "\n".join(rows), tz="UTC")
    assert [row.quantity for row in parsed.fills] == [3, 1, 2]


def test_signed_quantities_need_no_side() -> None:
    text = "time,symbol,Qty,price\n2024-03-04 12:00,EURUSD,-2,1.1\n"
    assert refused(text, tz="UTC").code == "missing_columns"
    row = fill(text, tz="UTC", mapping={"Qty": "signed_quantity"})
    assert (row.side, row.quantity) == (-1, 2)


# --- Round trips --------------------------------------------------------------------------------
def test_a_round_trip_by_known_headers() -> None:
    row = trip(TRIPS)
    assert (row.opened_at, row.closed_at) == (NOON, NOON + HOUR)
    assert (row.side, row.entry_price, row.exit_price) == (1, D("1.0850"), D("1.0860"))
    # When the stop stood there is not said.
    assert (row.stop_initial, row.stop_final) == (None, D("1.0840"))
    assert (row.take_profit, row.net_pnl) == (D("1.0870"), D("0.5"))


def test_a_declared_stop_is_the_initial_one() -> None:
    row = trip(TRIPS, mapping={"Stop": "stop_loss_initial"})
    assert (row.stop_initial, row.stop_final) == (D("1.0840"), None)


def test_a_stop_of_unknown_time_is_asked_about() -> None:
    (warning,) = read(TRIPS).problems
    assert (warning.code, warning.fatal, warning.rows) == ("stop_of_unknown_time", False, (2,))
    assert "--map Stop=stop_loss_initial" in warning.detail


@pytest.mark.parametrize(
    ("text", "mapping"),
    [
        (TRIPS, {"Stop": "stop_loss_initial"}),
        (TRIPS, {"Stop": "stop_loss_final"}),
        (TRIPS.replace("Stop", "stop_loss_final"), {}),
        (TRIPS.replace("Stop,Target", "Stop,initial_stop"), {}),
        (TRIPS.replace("1.0840", ""), {}),
        (TRIPS.replace("1.0840", "0"), {}),
    ],
)
def test_a_stop_whose_time_is_known_or_that_is_none_is_not(
    text: str, mapping: dict[str, str]
) -> None:
    assert read(text, mapping=mapping).problems == ()


def test_an_open_round_trip_has_neither_exit_nor_closing() -> None:
    text = TRIPS.replace("2024-03-04T13:00:00Z,", ",")
    assert refused(text).code == "missing"
    row = trip(text.replace("1.0860", "").replace(",0.5", ","))
    assert (row.closed_at, row.exit_price, row.net_pnl) == (None, None, None)


@pytest.mark.parametrize(
    ("old", "new", "code", "field"),
    [
        ("13:00:00Z", "11:00:00Z", "time_order", "closed_at"),
        ("long", "LONGG", "choice", "side"),
        ("1.0850", "-1", "non_positive_price", "entry_price"),
        ("1.0860", "0", "non_positive_price", "exit_price"),
        ("1.0840", "x", "bad_number", "stop_loss_final"),
        ("12:00:00Z,", "12:00:00Z trailing,", "bad_time", "opened_at"),
    ],
)
def test_a_bad_round_trip(old: str, new: str, code: str, field: str) -> None:
    error = refused(TRIPS.replace(old, new, 1))
    assert (error.code, error.row, error.field) == (code, 2, field)


@pytest.mark.parametrize(
    ("word", "reason"),
    [("SL", "sl"), ("Stop Loss", "sl"), ("target", "tp"), ("TIME", "time"), ("trail", "")],
)
def test_exit_words(word: str, reason: str) -> None:
    text = TRIPS.replace("PnL", "PnL,Reason").replace(",0.5", f",0.5,{word}")
    row = trip(text)
    assert (row.exit_reason, row.exit_reason_text) == (reason, word)


# --- Columns --------------------------------------------------------------------------------------
def test_unknown_columns_are_mapped_ignored_or_listed() -> None:
    text = "When,What,Way,Lots,Rate,Extra\n2024-03-04 12:00,EURUSD,buy,1,1.1,x\n"
    assert refused(text, tz="UTC").code == "missing_columns"
    mapping = parse_mapping(["When=time", "what=symbol", "Way=side", "Lots=quantity", "Rate=price"])
    parsed = read(text, tz="UTC", mapping=mapping)
    assert parsed.fills[0].price == D("1.1")
    assert parsed.notes == ("columns not read: Extra",)
    ignored = read(text, tz="UTC", mapping=mapping | {"Extra": "ignore"})
    assert ignored.notes == ()


@pytest.mark.parametrize(
    ("mapping", "code"),
    [
        ({"Nope": "time"}, "mapping"),
        ({"Side": "direction"}, "mapping"),
        ({"PnL": "price"}, "mapping"),  # a field of executions in a table of round trips
        ({"PnL": "side", "Side": "side"}, "duplicate_column"),
        ({"Entry": "ignore"}, "missing_columns"),
    ],
)
def test_mappings_that_cannot_be(mapping: dict[str, str], code: str) -> None:
    assert refused(TRIPS, mapping=mapping).code == code


@pytest.mark.parametrize("pair", ["x", "=time", ""])
def test_a_mapping_is_column_and_field(pair: str) -> None:
    with pytest.raises(UserError):
        parse_mapping([pair])


def test_two_aliases_of_one_field_are_asked_about() -> None:
    text = TRIPS.replace("Quantity", "Qty").replace("PnL", "Size")
    assert refused(text).code == "duplicate_column"
    # A column with the field's own name goes before an alias.
    assert trip(TRIPS.replace("PnL", "Size")).quantity == 1000


def test_the_sign_of_a_commission_is_asked_for_when_it_could_be_either() -> None:
    text = TRIPS.replace("PnL", "Commission")
    assert refused(text).code == "commission_sign"
    assert trip(text, mapping={"Commission": "fee"}).commission == D("-0.5")
    assert trip(text, mapping={"Commission": "commission"}).commission == D("0.5")
    assert trip(text.replace(",0.5", ",-0.5")).commission == D("-0.5")
    assert trip(text.replace(",0.5", ",0")).commission == 0


def test_a_table_without_symbols_asks_for_one() -> None:
    text = TRIPS.replace("Symbol", "Extra")
    assert refused(text).code == "symbol_required"
    assert trip(text, symbol="eur/usd").symbol == "EUR/USD"


def test_every_field_is_read_by_its_own_name() -> None:
    from trading.importers.trades_columns import EXECUTION_FIELDS, TRIP_FIELDS, find_columns

    apart = {"clock", "date", "signed_quantity"}
    for names in (TRIP_FIELDS, [f for f in EXECUTION_FIELDS if f not in apart]):
        assert set(find_columns(names, {}, "t.csv").at) == set(names)
    assert set(FIELDS) == set(TRIP_FIELDS) | set(EXECUTION_FIELDS)


# --- Stored ---------------------------------------------------------------------------------------
def stored(account: Any, text: str, **options: Any) -> dict[str, Any]:
    result = import_trades(
        account=account, data=text.encode(), file_name="t.csv", options=TradeOptions(**options)
    )
    return result.summary


@pytest.mark.django_db
def test_a_round_trip_is_stored_with_the_files_profit() -> None:
    summary = stored(an_account(), TRIPS)
    trade = Trade.objects.select_related("signal").get()
    # 1000 * 0.0010 would be 1; the file's figure is kept, and the difference reported.
    assert (trade.gross_pnl, trade.net_pnl, trade.pnl_currency) == (D("0.5"), D("0.5"), "USD")
    assert [problem["code"] for problem in summary["warnings"]] == [
        "stop_of_unknown_time", "pnl_differs",
    ]  # fmt: skip
    assert summary["preview"][0]["stop_loss_final"] == "1.0840"
    assert (trade.stop_loss_initial, trade.signal.stop_loss) == (None, None)
    assert trade.signal.take_profit == D("1.0870")
    plain = TRIPS.replace(",0.5", ",").replace("Stop", "stop_loss_final")
    assert stored(an_account("bob"), plain)["warnings"] == []
    assert Trade.objects.latest("pk").net_pnl == 1


@pytest.mark.django_db
def test_a_target_on_the_wrong_side_stays_with_the_trade_only() -> None:
    text = TRIPS.replace("1.0870", "1.0850").replace(",0.5", ",")
    summary = stored(an_account(), text, mapping={"Stop": "stop_loss_initial"})
    trade = Trade.objects.select_related("signal").get()
    assert (trade.take_profit, trade.signal.take_profit) == (D("1.0850"), None)
    assert [problem["code"] for problem in summary["warnings"]] == ["tp_side"]


@pytest.mark.django_db
def test_a_mapping_is_remembered_for_its_header_in_its_account() -> None:
    account = an_account()
    text = "When,What,Way,Lots,Rate\n01/02/2024 12:00,EURUSD,buy,1,1.1\n"
    more = text.replace("12:00", "13:00")
    mapping = {"When": "time", "What": "symbol", "Way": "side", "Lots": "quantity", "Rate": "price"}
    stored(account, text, tz="UTC", mapping=mapping, date_order="dmy")
    assert stored(account, more, tz="UTC")["executions_new"] == 1
    with pytest.raises(FileError) as caught:
        stored(an_account("bob"), more, tz="UTC")
    assert caught.value.code == "missing_columns"
    with pytest.raises(FileError) as caught:
        stored(account, more.replace("Rate", "Other"), tz="UTC")
    assert caught.value.code == "missing_columns"


@pytest.mark.django_db
def test_a_refused_file_leaves_nothing() -> None:
    account = an_account()
    stored(account, TRIPS)
    before, batches = contents(), ImportBatch.objects.count()
    with pytest.raises(FileError):
        stored(
            account, TRIPS + TRIPS.split("\n")[1].replace("EURUSD", "GBPUSD").replace("long", "?")
        )
    assert (contents(), ImportBatch.objects.count()) == (before, batches)


@pytest.mark.parametrize(
    ("text", "first", "second", "code"),
    [
        (TRADERVUE, {"tz": "UTC"}, {"tz": "America/New_York"}, "timezone_changed"),
        (TRIPS, {}, {"mapping": {"Stop": "stop_loss_initial"}}, "columns_changed"),
        (
            TRADERVUE.replace("2024-03-04", "03/04/2024"),
            {"tz": "UTC", "date_order": "mdy"},
            {"tz": "UTC", "date_order": "dmy"},
            "dates_changed",
        ),
    ],
)
@pytest.mark.django_db
def test_the_same_file_read_otherwise_is_refused_until_its_import_is_taken_back(
    text: str, first: dict[str, Any], second: dict[str, Any], code: str
) -> None:
    account = an_account()
    batch = stored(account, text, **first)["import_id"]
    with pytest.raises(UserError) as caught:
        stored(account, text, **second)
    assert (caught.value.code, f"undo_import {batch}" in caught.value.detail) == (code, True)
    undo_import(batch_id=batch, user=account.owner)
    assert stored(account, text, **second)["trades_new"] == 1


@pytest.mark.django_db
def test_a_zone_that_no_time_needs_was_not_used() -> None:
    account = an_account()
    assert stored(account, TRIPS, tz="Europe/Berlin")["time_zone"] == ""
    assert stored(account, TRIPS)["trades_duplicate"] == 1
    mixed = TRIPS.replace("13:00:00Z", "13:00:00")
    assert read(mixed, tz="UTC").time_zone == "UTC"


# --- The same id twice ----------------------------------------------------------------------------
BY_ID = """id,Open time,Close time,Symbol,Side,Quantity,Entry,Exit,Notes
7,2024-03-04T12:00:00Z,2024-03-04T13:00:00Z,EURUSD,long,1000,1.0850,1.0860,
7,2024-03-04T12:00:00Z,2024-03-04T13:00:00Z,EURUSD,long,1000,1.0850,1.0860,
"""


@pytest.mark.django_db
def test_a_row_that_repeats_another_with_its_id_is_counted_once() -> None:
    account = an_account()
    summary = stored(account, BY_ID)
    counts = ("rows_read", "trades_new", "trades_duplicate", "rows_skipped")
    assert [summary[name] for name in counts] == [2, 1, 1, 0]
    assert [(w["code"], w["row"]) for w in summary["warnings"]] == [("repeated_row", 3)]
    assert summary["pnl"] == {"USD": {"gross": "1.0000", "net": "1.0000"}}
    again = stored(account, BY_ID)
    assert [again[name] for name in counts] == [2, 0, 2, 0]
    assert Trade.objects.count() == 1


@pytest.mark.django_db
def test_a_row_with_the_id_entry_and_exit_of_another_and_other_notes_is_skipped() -> None:
    summary = stored(an_account(), BY_ID.removesuffix("\n") + "meant otherwise\n")
    assert (summary["trades_new"], summary["rows_skipped"]) == (1, 1)
    assert [(s["row"], s["code"]) for s in summary["skipped"]] == [(3, "conflicting_duplicate")]


@pytest.mark.django_db
def test_partial_exits_of_one_id_are_all_kept() -> None:
    header, first, second, _ = BY_ID.split("\n")
    summary = stored(an_account(), "\n".join((header, first, second.replace("13:00", "14:00"))))
    assert (summary["trades_new"], summary["trades_duplicate"], summary["warnings"]) == (2, 0, [])


@pytest.mark.django_db
def test_equal_rows_without_an_id_are_all_kept() -> None:
    text = BY_ID.replace("7,2024", ",2024")
    assert stored(an_account(), text)["trades_new"] == 2
