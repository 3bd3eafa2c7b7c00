"""Every kind of bad candle file: the code it gives and the line it names."""

from __future__ import annotations

import tracemalloc
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.trading.candle_texts import (
    BAR,
    HEADER,
    MONDAY,
    gzipped,
    lines,
    problems,
    read,
    stamp,
    text,
    with_cell,
    with_row,
    with_times,
    zipped,
)
from trading.core.errors import FileError, UserError
from trading.core.instruments import clean_symbol
from trading.core.types import NS_PER_MINUTE

CLEAN = text()
NAIVE = text([line.replace("Z", "") for line in lines()])
SEMICOLONS = text(
    [line.replace(",", ";").replace(".", ",") for line in lines()], HEADER.replace(",", ";")
)


def at_local(day: str, clocks: list[str]) -> bytes:
    return with_times([f"{day} {clock}" for clock in clocks])


def hours(count: int) -> list[str]:
    return lines(count, minutes=60)


# number in the plan, file, declared, code, line named (None: the file as a whole)
REFUSED: list[tuple[str, bytes, dict[str, Any], str, int | None]] = [
    ("1 empty", b"", {}, "empty_file", None),
    ("2 header only", text([]), {}, "no_rows", None),
    ("3 no header", b"20120201 000000;1.3;1.3;1.3;1.3;0\n" * 3, {}, "missing_columns", 1),
    ("4 no close", text(header="time,open,high,low,kloze,volume"), {}, "missing_columns", 1),
    ("5 header twice", text(header="time,open,high,low,close,close"), {}, "duplicate_column", 1),
    ("6 extra cell", with_row(lines()[2] + ",7"), {}, "column_count", 4),
    ("7 short row", with_row(",".join(lines()[2].split(",")[:4])), {}, "column_count", 4),
    ("8 open quote", with_row('"' + lines()[2]), {}, "malformed_csv", 4),
    ("9 decimal comma", SEMICOLONS, {}, "dialect", 2),
    ("11 UTF-16", CLEAN.decode().encode("utf-16-le"), {}, "encoding", 1),
    ("11 UTF-16 with mark", CLEAN.decode().encode("utf-16"), {}, "encoding", 1),
    ("12 Latin-1", CLEAN.replace(b"volume", b"Gr\xf6\xdfe"), {}, "encoding", 1),
    ("12 Latin-1 in a row", with_cell("open", "1.1\xe9").decode().encode("latin-1"), {},
        "encoding", 4),
    ("13 NUL", with_row(lines()[2][:-1] + "\0"), {}, "binary_content", 4),
    ("14 zip as csv", zipped({"a.csv": CLEAN}), {}, "binary_content", None),
    ("15 gzip bomb", gzipped(b"0" * 40_000_000), {"name": "bars.csv.gz"},
        "decompressed_limit", None),
    ("15 zip bomb", zipped({"a.csv": b"0" * 40_000_000}), {"name": "a.zip"},
        "decompressed_limit", None),
    ("16 path out", zipped({"../../etc/x": CLEAN}), {"name": "a.zip"}, "unsafe_path", None),
    ("16 absolute path", zipped({"/etc/x": CLEAN}), {"name": "a.zip"}, "unsafe_path", None),
    ("17 zip in zip", zipped({"b.zip": zipped({"a.csv": CLEAN})}), {"name": "a.zip"},
        "archive_limit", None),
    ("17 many members", zipped({f"{i}.csv": b"" for i in range(10_000)}), {"name": "a.zip"},
        "archive_limit", None),
    ("17 gzip in gzip", gzipped(gzipped(CLEAN)), {"name": "a.gz"}, "archive_limit", None),
    ("18 long line", with_row("9" * 5_000_000), {}, "line_limit", 4),
    ("18 one long line", b"9" * 5_000_000, {}, "line_limit", 1),
    ("19 many columns", b",".join([b"c"] * 10_000_000), {}, "column_limit", 1),
    ("20 high below low", with_cell("high", "1.09990"), {}, "ohlc_inconsistent", 4),
    ("21 close above high", with_cell("close", "1.10031"), {}, "ohlc_inconsistent", 4),
    ("22 zero", with_row("2024-01-08T00:02:00Z,0,0,0,0,1"), {}, "non_positive_price", 4),
    ("23 negative", with_cell("low", "-1.1"), {}, "non_positive_price", 4),
    ("24 NaN", with_cell("open", "NaN"), {}, "not_finite", 4),
    ("24 empty cell", with_cell("close", ""), {}, "not_finite", 4),
    ("25 infinite", with_cell("high", "inf"), {}, "not_finite", 4),
    ("25 1e309", with_cell("high", "1e309"), {}, "not_finite", 4),
    ("26 hexadecimal", with_cell("open", "0x1F"), {}, "bad_number", 4),
    ("26 underscore", with_cell("open", "1_000"), {}, "bad_number", 4),
    ("26 full width", with_cell("open", "１.１"), {}, "bad_number", 4),
    ("26 Arabic digits", with_cell("open", "١.١"), {}, "bad_number", 4),
    ("27 nine decimals", with_cell("open", "1.100100001"), {}, "precision", 4),
    ("27 twenty decimals", with_cell("open", "1.10010000000000000001"), {}, "precision", 4),
    ("28 in points", text(["2024-01-08T00:00:00Z,103248.999,103248.999,103248,103248,1"] + [
        f"2024-01-08T00:0{i}:00Z,103248.999,103248.999,103248,103248,1" for i in (1, 2)]),
        {}, "scale_suspect", 2),
    ("29 no zone", NAIVE, {}, "timezone_required", 2),
    ("31 skipped hour", at_local("2024-03-31", ["01:30", "02:30", "03:30", "04:30"]),
        {"tz": "Europe/Berlin"}, "nonexistent_time", 3),
    ("32 repeated hour", at_local("2023-10-29", ["01:30", "02:30", "03:30", "04:30"]),
        {"tz": "Europe/Berlin"}, "ambiguous_time", 3),
    ("33 units mixed", with_times(["1704672000", "1704672060", "1704672120000", "1704672180"]),
        {}, "timestamp_unit", 4),
    ("33 seconds and text", with_times(["1704672000", "1704672060", "2024-01-08T00:02:00Z"]),
        {}, "timestamp_unit", 4),
    ("34 day or month", with_times(["01/02/2024 00:00", "01/02/2024 00:01"]), {"tz": "UTC"},
        "date_order", 2),
    ("35 year 1600", with_times(["1600-01-01T00:00:00Z", "1600-01-01T00:01:00Z"]), {},
        "out_of_range", 2),
    ("35 year 9999", with_times([*["2024-01-08T00:00:00Z"], "9999-01-01T00:01:00Z"]), {},
        "out_of_range", 3),
    ("35 no such day", with_times(["2024-02-29T00:00:00Z", "2024-02-30T00:00:00Z"]), {},
        "out_of_range", 3),
    ("36 future", with_times(["2024-05-31T23:59:00Z", "2024-06-01T00:00:00Z",
        "2024-06-01T00:01:00Z"]), {}, "future_timestamp", 4),
    ("39 conflict", text([*lines(), lines()[3].replace("1.10020", "1.10021")]), {},
        "conflicting_duplicate", 12),
    ("40 minutes lost", text([f"2024-01-08T0{i // 3}:00:00Z,1.1,1.2,1.0,1.1{i % 3},1"
        for i in range(27)]), {}, "timestamp_resolution_lost", 3),
    ("41 off the grid", with_cell("time", "2024-01-08T00:02:17Z"), {}, "off_grid", 4),
    ("43 hours as minutes", text(hours(10)), {"timeframe": "1m"}, "timeframe_mismatch", 2),
    ("43 minutes as hours", CLEAN, {"timeframe": "1h"}, "timeframe_mismatch", 2),
    ("46 negative volume", with_cell("volume", "-1"), {}, "bad_volume", 4),
    ("no clear timeframe", text(lines(1)), {}, "timeframe_required", None),
    ("not a time", with_cell("time", "yesterday"), {}, "bad_time", 4),
    ("two symbols", text([*(f"{line},EURUSD" for line in lines(3)), lines(4)[3] + ",GBPUSD"],
        HEADER + ",symbol"), {}, "mixed_symbols", 5),
    ("empty volume", with_cell("volume", ""), {}, "not_finite", 4),
]  # fmt: skip


@pytest.mark.parametrize(
    ("data", "declared", "code", "row"),
    [case[1:] for case in REFUSED],
    ids=[case[0] for case in REFUSED],
)
def test_refused_with_its_code_and_line(
    data: bytes, declared: dict[str, Any], code: str, row: int | None
) -> None:
    with pytest.raises(FileError) as caught:
        read(data, **declared)
    found = {problem.code: problem for problem in caught.value.problems}
    assert found[code].fatal
    assert (found[code].rows or (None,))[0] == row
    assert {problem.code for problem in caught.value.problems if problem.fatal} == {code}


def test_a_headerless_file_names_the_format_to_declare() -> None:
    with pytest.raises(FileError, match="--format histdata"):
        read(b"20120201 000000;1.306600;1.306600;1.306560;1.306560;0\n")


def clock_shifted_file() -> bytes:
    """A year of hourly bars from a server on European summer time, stamped with a fixed UTC+2."""
    rows = []
    for hour in range(361 * 24):
        moment = datetime(2023, 1, 2, tzinfo=UTC) + timedelta(hours=hour)
        york = moment.astimezone(ZoneInfo("America/New_York"))
        if not 4 * 24 + 17 <= york.weekday() * 24 + york.hour < 6 * 24 + 17:
            written = moment.astimezone(ZoneInfo("Europe/Athens")) - timedelta(hours=2)
            rows.append(",".join((stamp(written), *BAR)))
    return text(rows)


def test_30_a_wrong_daylight_saving_rule_is_suspected() -> None:
    parsed = read(clock_shifted_file())
    found = {problem.code: problem for problem in parsed.problems}
    suspect = found["tz_shift_suspect"]
    assert not suspect.fatal
    assert suspect.detail.startswith("+60 min in Mar, Apr, May, Jun, Jul, Aug, Sep, Oct")


ACCEPTED: list[tuple[str, bytes, dict[str, Any], str, int]] = [
    ("37 unsorted", text([*lines()[5:], *lines()[:5]]), {}, "unsorted", 1),
    ("38 sixty exact repeats", text([*lines(200), *lines(60)]), {}, "duplicates", 60),
    ("42 a gap in the session", text([*lines(5), *lines(5, start=MONDAY + timedelta(minutes=8))]),
        {}, "gaps", 3),
    ("42 a gap after the clocks were changed", with_times(["2024-03-08T18:00:00Z",
        "2024-03-10T21:00:00Z", "2024-03-11T01:00:00Z", "2024-03-11T09:00:00Z"]),
        {"timeframe": "4h"}, "gaps", 1),
    ("an unfinished bar", with_times(["2024-05-31T22:00:00Z", "2024-05-31T23:00:00Z",
        "2024-06-01T00:00:00Z"]), {"symbol": "ETH/BTC"}, "unfinished_bar", 1),
]  # fmt: skip


@pytest.mark.parametrize(
    ("data", "declared", "code", "count"),
    [case[1:] for case in ACCEPTED],
    ids=[case[0] for case in ACCEPTED],
)
def test_accepted_with_a_count(
    data: bytes, declared: dict[str, Any], code: str, count: int
) -> None:
    parsed = read(data, **declared)
    found = {problem.code: problem for problem in parsed.problems}
    assert not found[code].fatal
    assert found[code].count == count
    assert (parsed.time[1:] > parsed.time[:-1]).all()


def test_37_sorted_rows_keep_their_values() -> None:
    rows = [line.replace("1.10020", f"1.1002{i}") for i, line in enumerate(lines())]
    parsed = read(text(rows[::-1]))
    assert parsed.prices[3].tolist() == [110020 + i for i in range(10)]


def test_38_one_of_the_repeats_is_kept() -> None:
    parsed = read(text([*lines(200), *lines(60)]))
    assert (len(parsed), parsed.rows_read, parsed.duplicates) == (200, 260, 60)


QUOTES = "time,bid_open,bid_high,bid_low,bid_close,ask_open,ask_high,ask_low,ask_close"


def test_44_crossed_quotes_are_flagged_and_kept() -> None:
    good = "1.1,1.2,1.0,1.1,1.11,1.21,1.01,1.11"
    crossed = "1.1,1.2,1.0,1.1,1.11,1.21,1.01,1.09"
    rows = [f"2024-01-08T00:0{i}:00Z,{crossed if i in (2, 4) else good}" for i in range(6)]
    parsed = read(text(rows, QUOTES))
    assert parsed.kind == "bid_ask"
    assert len(parsed) == 6
    (found,) = parsed.problems
    assert (found.code, found.count, found.rows) == ("crossed_quotes", 2, (4, 6))


BAD_SYMBOLS = ["=cmd|'/c calc'!A1", "<script>", "A" * 5000, "EUR\u202eUSD", "", "EUR USD", "\0"]


@pytest.mark.parametrize("symbol", BAD_SYMBOLS, ids=range(len(BAD_SYMBOLS)))
def test_45_what_is_no_symbol_is_refused(symbol: str) -> None:
    with pytest.raises(UserError) as caught:
        clean_symbol(symbol)
    assert caught.value.code == "bad_symbol"
    assert len(caught.value.detail) < 200


# --- the same trouble, declared or within bounds, is no trouble ---------------------------------

SILENT: list[tuple[str, bytes, dict[str, Any]]] = [
    ("clean", CLEAN, {}),
    ("10 UTF-8 mark", b"\xef\xbb\xbf" + CLEAN, {}),
    ("11 UTF-16 declared", CLEAN.decode().encode("utf-16-le"), {"encoding": "utf-16le"}),
    ("11 UTF-16 with mark declared", CLEAN.decode().encode("utf-16"), {"encoding": "utf-16"}),
    ("12 Latin-1 declared", CLEAN.replace(b"volume", b"Gr\xf6\xdfe"), {"encoding": "latin-1"}),
    ("9 decimal comma declared", SEMICOLONS, {"decimal_comma": True}),
    ("29 zone declared", NAIVE, {"tz": "UTC"}),
    ("CRLF", CLEAN.replace(b"\n", b"\r\n"), {}),
    ("CR", CLEAN.replace(b"\n", b"\r"), {}),
    ("no last line end", CLEAN[:-1], {}),
    ("blank lines", CLEAN.replace(b"\n", b"\n\n"), {}),
    ("all quoted", b"\n".join(b'"' + line.replace(b",", b'","') + b'"'
        for line in CLEAN.split(b"\n")[:-1]), {}),
    ("spaces", CLEAN.replace(b",", b" , "), {}),
    ("tabs", CLEAN.replace(b",", b"\t"), {}),
    ("gzip", gzipped(CLEAN), {"name": "bars.csv.gz"}),
    ("zip", zipped({"bars.csv": CLEAN}), {"name": "bars.zip"}),
    ("27 trailing zeros", with_cell("open", "1.1001000000000000"), {}),
    ("exponent", with_cell("open", "110010e-5"), {}),
    ("31 the hours around", at_local("2024-03-31", ["00:00", "01:00", "03:00", "04:00"]),
        {"tz": "Europe/Berlin", "symbol": "ETH/BTC"}),
    ("34 order declared", with_times(["01/02/2024 00:00", "01/02/2024 00:01"]),
        {"tz": "UTC", "date_order": "dmy"}),
    ("34 order clear from the file", with_times(["12/02/2024 23:59", "13/02/2024 00:00"]),
        {"tz": "UTC"}),
    ("23 negative admitted", with_cell("low", "-1.1"),
        {"allow_non_positive": True, "symbol": "WTI"}),
    ("42 a weekend is no gap", with_times(["2024-01-05T20:00:00Z", "2024-01-05T21:00:00Z",
        "2024-01-07T22:00:00Z", "2024-01-07T23:00:00Z"]), {}),
    ("42 other hours after the clocks were changed", with_times(["2024-03-08T14:00:00Z",
        "2024-03-08T18:00:00Z", "2024-03-10T21:00:00Z", "2024-03-11T01:00:00Z",
        "2024-03-11T05:00:00Z"]), {"timeframe": "4h"}),
    ("43 the right timeframe", CLEAN, {"timeframe": "M1"}),
    ("43 gaps in minutes", text([*lines(3), *lines(3, start=MONDAY + timedelta(minutes=7))]),
        {"timeframe": "1m", "symbol": "NAS100"}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("data", "declared"), [case[1:] for case in SILENT], ids=[case[0] for case in SILENT]
)
def test_nothing_is_found_where_nothing_is_wrong(data: bytes, declared: dict[str, Any]) -> None:
    assert problems(data, **declared) == {}


def test_the_right_clock_is_not_suspected() -> None:
    rows = []
    for week in range(52):
        sunday = datetime(2023, 1, 1, 17, tzinfo=ZoneInfo("America/New_York"))
        opened = (sunday + timedelta(weeks=week)).astimezone(UTC)
        rows += [",".join((stamp(opened + timedelta(hours=i)), *BAR)) for i in range(120)]
    assert "tz_shift_suspect" not in problems(text(rows))


def test_many_problems_come_together_with_their_lines() -> None:
    rows = lines()
    rows[1] = rows[1].replace("1.10030", "abc")
    rows[3] = rows[3].replace("1.10030", "1.00000")
    rows[5] = rows[5] + ",1"
    found = problems(text(rows))
    assert {code: problem.rows for code, problem in found.items()} == {
        "bad_number": (3,),
        "ohlc_inconsistent": (5,),
        "column_count": (7,),
    }


def test_a_named_line_survives_blank_lines_and_block_borders() -> None:
    rows = lines(60_000)
    rows[50_000] += ",9"
    data = text(rows).replace(rows[10].encode(), b"\n\n" + rows[10].encode())
    assert problems(data)["column_count"].rows == (50_004,)


def test_15_a_bomb_costs_no_memory() -> None:
    bomb = gzipped(b"0" * 200_000_000)
    tracemalloc.start()
    try:
        with pytest.raises(FileError):
            read(bomb, name="bars.csv.gz")
        assert tracemalloc.get_traced_memory()[1] < 100_000_000
    finally:
        tracemalloc.stop()


def test_a_large_file_keeps_columns_not_text() -> None:
    count = 60_000
    data = text(lines(count))
    tracemalloc.start()
    try:
        parsed = read(data, symbol="ETH/BTC")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert parsed.time[-1] - parsed.time[0] == (count - 1) * NS_PER_MINUTE
    # Columns of a row are some 60 bytes, and a block of 2 MB costs some ten times its size.
    assert peak < 500 * count
