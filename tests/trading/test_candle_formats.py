"""Formats of candle files: what each says, read exactly."""

from __future__ import annotations

import io
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.trading.candle_texts import (
    NOW_NS,
    lines,
    problems,
    read,
    text,
    with_times,
    zipped,
)
from trading.core.candles import half_points_to_price
from trading.core.errors import FileError, UserError
from trading.core.types import NS_PER_MINUTE
from trading.importers.candle_files import read_candle_file
from trading.importers.contract import ReadOptions
from trading.importers.file_names import canonical_timeframe, parts_of_name
from trading.importers.freqtrade import exact_decimals

MONDAY_NS = 1_704_672_000 * 10**9

TIMES = [
    ("2024-01-08T00:00:00Z", {}),
    ("2024-01-08T00:00:00+00:00", {}),
    ("2024-01-08 00:00:00.000000000Z", {}),
    ("2024-01-08T01:00:00+01:00", {}),
    ("2024-01-07T19:00:00-0500", {}),
    ("2024-01-08 00:00 UTC", {}),
    ("1704672000", {}),
    ("1704672000000", {}),
    ("1704672000000000", {}),
    ("1704672000000000000", {}),
    ("2024-01-08", {"tz": "UTC"}),
    ("20240108 000000", {"tz": "UTC"}),
    ("20240108000000", {"tz": "UTC"}),
    ("2024.01.08 00:00", {"tz": "UTC"}),
    ("08.01.2024 00:00:00.000", {"tz": "UTC", "date_order": "dmy"}),
    ("1/8/2024 12:00:00 AM", {"tz": "UTC", "date_order": "mdy"}),
    ("2024-01-08 01:00:00", {"tz": "Europe/Berlin"}),
    ("2024-01-07 19:00:00", {"tz": "UTC-5"}),
    ("2024-01-08 05:30:00", {"tz": "+05:30"}),
]


@pytest.mark.parametrize(("written", "declared"), TIMES, ids=[written for written, _ in TIMES])
def test_one_moment_in_many_layouts(written: str, declared: dict[str, Any]) -> None:
    options = ReadOptions(now_ns=NOW_NS, **declared)
    raw = read_candle_file(io.BytesIO(with_times([written])), "x.csv", options)
    assert raw.time.tolist() == [MONDAY_NS]


def test_layouts_may_change_within_a_file() -> None:
    parsed = read(with_times(["2024-03-31T01:59:00+01:00", "2024-03-31T03:00:00+02:00"]))
    assert np.diff(parsed.time).tolist() == [NS_PER_MINUTE]


HEADERS = [
    "Open time,Open,High,Low,Close,Volume",
    "timestamp,o,h,l,c,v",
    "datetime,Open Price,High Price,Low Price,Close Price,Tick Volume",
    ",open,high,low,close,volume",
]


@pytest.mark.parametrize("header", HEADERS)
def test_header_aliases(header: str) -> None:
    parsed = read(text(header=header))
    assert parsed.prices[3].tolist() == [11002] * 10
    assert parsed.volume is not None
    assert parsed.volume.tolist() == [5.0] * 10


def test_terminal_bars_with_date_and_time_apart() -> None:
    header = "\t".join(
        f"<{name}>"
        for name in ("DATE", "TIME", "OPEN", "HIGH", "LOW", "CLOSE", "TICKVOL", "VOL", "SPREAD")
    )
    rows = [f"2024.01.08\t00:0{i}:00\t1.1\t1.2\t1.0\t1.1\t7\t0\t12" for i in range(3)]
    parsed = read(text(rows, header), tz="UTC+2")
    assert parsed.time[0] == MONDAY_NS - 120 * NS_PER_MINUTE
    assert parsed.volume is not None
    assert parsed.volume.tolist() == [7.0] * 3
    assert any("<VOL>" in note and "<SPREAD>" in note for note in parsed.notes)


def test_declared_headerless_formats() -> None:
    hist = b"20240108 000000;1.1;1.2;1.0;1.1;0\n20240108 000100;1.1;1.2;1.0;1.1;0\n"
    parsed = read(hist, format="histdata")
    assert parsed.tz_of_origin == "UTC-05:00"
    assert parsed.time[0] == MONDAY_NS + 300 * NS_PER_MINUTE
    assert parsed.volume is None
    mt4 = b"2024.01.08,00:00,1.1,1.2,1.0,1.1,3\n2024.01.08,00:01,1.1,1.2,1.0,1.1,3\n"
    assert read(mt4, format="mt4", tz="UTC").time[0] == MONDAY_NS
    line = "{},1.1,1.2,1.0,1.1,3,0,0,0,0,0,0\n"
    klines = (line.format(1704672000000000) + line.format(1704672060000000)).encode()
    assert read(klines, format="binance").time[0] == MONDAY_NS


def test_json_of_lists_and_of_objects_read_alike() -> None:
    lists = [[1704672000000 + 60000 * i, 1.1, "1.2", 1.00001, 1.1, 3.5] for i in range(3)]
    keys = ("timestamp", "open", "high", "low", "close", "volume")
    objects = [dict(zip(keys, row, strict=True)) for row in lists]
    for document in (lists, objects):
        parsed = read(json.dumps(document).encode(), name="ETH_BTC-1m.json", symbol="EURUSD")
        assert parsed.prices[2].tolist() == [100001] * 3
        assert parsed.decimals == 5
        assert parsed.timeframe.value == "1m"


JSON_TROUBLE = [
    ("[[1704672000000,NaN,1,1,1,1]]", "not_finite", 1),
    ("[[1704672000000,1,1,1,1,1],[1704672060000,1,1,1]]", "column_count", 2),
    ('[{"time":1,"time":2}]', "duplicate_key", None),
    ('{"candles":[]}', "json_layout", None),
    ("[]", "no_rows", None),
    ("[[1704672000000,1,1", "malformed_json", 1),
    ("[" * 100_000, "malformed_json", None),
    ("[[1704672000000,[1],1,1,1,1]]", "json_layout", 1),
    ('[[1704672000000,"1\\u001f2",1,1,1,1]]', "json_layout", 1),
    ('[[1704672000000,1,1,1,1,1],{"time":1}]', "json_layout", 2),
]


@pytest.mark.parametrize(("document", "code", "row"), JSON_TROUBLE)
def test_bad_json_names_the_record(document: str, code: str, row: int | None) -> None:
    found = problems(document.encode(), name="x.json")
    assert code in found
    assert (found[code].rows or (None,))[0] == row


def test_numbers_are_exact_to_the_last_digit() -> None:
    rng = np.random.default_rng(7)
    wanted = [
        Decimal(int(mantissa)).scaleb(-int(places))
        for mantissa, places in zip(
            rng.integers(1, 10**9, 3000), rng.integers(0, 9, 3000), strict=True
        )
    ]
    shapes = ["{:f}", "{:f}000", "0{:f}", "{:e}"]
    times = [line.split(",")[0] for line in lines(len(wanted))]
    rows = []
    for i, (time, value) in enumerate(zip(times, wanted, strict=True)):
        shape = shapes[i % len(shapes)]
        plain = shape.format(value) if "000" not in shape or value % 1 else f"{value:f}"
        rows.append(f"{time},{plain},{plain},{plain},{plain},1")
    parsed = read(text(rows), symbol="TEST/ONE")
    got = [Decimal(int(v)).scaleb(-parsed.decimals) for v in parsed.prices[0]]
    assert got == wanted


def test_prices_become_half_points_and_come_back() -> None:
    parsed = read(text())
    candles = parsed.to_candles(Decimal("0.00001"))
    assert half_points_to_price(int(candles.close[0]), Decimal("0.00001")) == Decimal("1.1002")
    with pytest.raises(UserError) as caught:
        parsed.to_candles(Decimal("0.001"))
    assert caught.value.code == "precision"


def test_binary_floats_denote_the_decimal_they_were_printed_from() -> None:
    values = np.array([0.1 + 0.2, 0.060929999999999994, 1e-8, 12345.678])
    nearest, off = exact_decimals(values)
    assert nearest.tolist() == [30_000_000, 6_093_000, 1, 1_234_567_800_000]
    assert not off.any()
    assert exact_decimals(np.array([0.060929994]))[1].tolist() == [True]


NAMES = [
    ("ETH_BTC-5m.feather", "ETH_BTC", "5m"),
    ("ETH_USDT_USDT-1h-futures.feather", "ETH_USDT", "1h"),
    ("DAT_ASCII_EURUSD_M1_2012.csv", "EURUSD", "1m"),
    ("BTCUSDT-1m-2024-01.csv", "BTCUSDT", "1m"),
    ("EURUSD_H4.csv", "EURUSD", "4h"),
    ("USDJPYh1.csv", "USDJPY", "1h"),
    ("eurusd.csv", "EURUSD", ""),
    ("export.csv", "", ""),
    ("candles-2024.csv", "", ""),
    ("my 5m data.csv", "", ""),
]


@pytest.mark.parametrize(("name", "symbol", "timeframe"), NAMES)
def test_known_file_names_and_silence_on_others(name: str, symbol: str, timeframe: str) -> None:
    parts = parts_of_name(name)
    assert (parts.symbol, parts.timeframe) == (symbol, timeframe)


def test_timeframes_have_one_name() -> None:
    spelled = {"M5": "5m", "5M": "5m", "H1": "1h", "60m": "1h", "D1": "1d", "24h": "1d"}
    assert {text: canonical_timeframe(text) for text in spelled} == spelled
    with pytest.raises(UserError):
        canonical_timeframe("fortnight")


def test_an_argument_beats_the_file_name_and_the_name_beats_nothing() -> None:
    options = ReadOptions(now_ns=NOW_NS)
    raw = read_candle_file(io.BytesIO(text()), "GBPUSD_M1.csv", options)
    assert raw.symbol is not None
    assert (raw.symbol.value, raw.symbol.origin) == ("GBPUSD", "file name")
    column = text([f"{line},EURUSD" for line in lines()], ",".join(["time", "open", "high", "low",
        "close", "volume", "symbol"]))  # fmt: skip
    raw = read_candle_file(io.BytesIO(column), "GBPUSD_M1.csv", options)
    assert raw.symbol is not None
    assert (raw.symbol.value, raw.symbol.origin) == ("EURUSD", "content")


# --- Lean ----------------------------------------------------------------------------------------

QUOTE = "{},1.1,1.2,1.0,1.1,0,1.11,1.21,1.01,1.11,0"


def lean_day(rows: list[str], member: str = "20240108_eurusd_minute_quote.csv") -> bytes:
    return zipped({member: "\n".join(rows).encode()})


def test_lean_minutes_count_from_the_midnight_of_their_zone() -> None:
    data = lean_day([QUOTE.format(0), QUOTE.format(60_000)])
    parsed = read(data, name="20240108_quote.zip", tz="UTC-5")
    assert parsed.time.tolist() == [MONDAY_NS + (300 + i) * NS_PER_MINUTE for i in range(2)]
    assert (parsed.kind, parsed.timeframe.value, parsed.volume) == ("bid_ask", "1m", None)
    assert [int(column[0]) for column in parsed.prices] == [110, 120, 100, 110, 111, 121, 101, 111]


def test_lean_asks_for_its_zone() -> None:
    found = problems(lean_day([QUOTE.format(0)]), name="20240108_quote.zip")
    assert found["timezone_required"].fatal


def test_lean_hours_carry_their_date() -> None:
    rows = [QUOTE.format("20240108 00:00"), QUOTE.format("20240108 01:00")]
    parsed = read(lean_day(rows, "eurusd.csv"), name="eurusd.zip", tz="UTC")
    assert parsed.time[0] == MONDAY_NS
    assert parsed.timeframe.value == "1h"


LEAN_TROUBLE = [
    (lean_day([QUOTE.format(86_400_000)]), "bad_time"),
    (lean_day([QUOTE.format(-1)]), "bad_time"),
    (lean_day(["0,1.1,1.2,1.0"]), "missing_columns"),
    (lean_day([QUOTE.format(0), "60000,1,1,1,1,0"]), "column_count"),
    (lean_day(["0,6470000,6480000,6460000,6470000,100", "60000,6470000,6480000,6460000,6470000,1"],
        "20240108_spy_minute_trade.csv"), "scale_suspect"),
    (zipped({"a.csv": b"1", "b.csv": b"1"}), "archive_limit"),
]  # fmt: skip


@pytest.mark.parametrize(("data", "code"), LEAN_TROUBLE)
def test_lean_trouble(data: bytes, code: str) -> None:
    assert code in problems(data, name="x.zip", tz="UTC")


# --- real files ----------------------------------------------------------------------------------


def parse_real(path: Path, symbol: str, **declared: Any) -> Any:
    return read(path.read_bytes(), name=path.name, symbol=symbol, **declared)


@pytest.mark.realdata
def test_real_feather_files_are_exact(shared_data: Path) -> None:
    pytest.importorskip("pyarrow")
    files = sorted((shared_data / "freqtrade").glob("*-5m.feather"))
    assert len(files) == 10
    total = 0
    for path in files:
        parsed = parse_real(path, path.name.split("-")[0])
        assert parsed.timeframe.value == "5m"
        assert parsed.decimals <= 8
        assert parsed.missing is not None
        total += len(parsed)
    assert total == 57_546


@pytest.mark.realdata
def test_real_lean_days_and_hours(shared_data: Path) -> None:
    oanda = sorted((shared_data / "lean" / "oanda-minute-eurusd").glob("*.zip"))
    parsed = [parse_real(path, "EURUSD", tz="UTC") for path in oanda]
    assert sum(map(len, parsed)) == 15_366
    assert {p.kind for p in parsed} == {"bid_ask"}
    fxcm = sorted((shared_data / "lean" / "fxcm-minute-eurusd").glob("*.zip"))
    crossed = 0
    for path in fxcm:
        found = {p.code: p.count for p in parse_real(path, "EURUSD", tz="UTC-5").problems}
        crossed += found.get("crossed_quotes", 0)
    assert crossed == 374
    hours = parse_real(shared_data / "lean" / "oanda-hour-eurusd.zip", "EURUSD", tz="UTC")
    assert (len(hours), hours.timeframe.value) == (74_439, "1h")
    assert "tz_shift_suspect" not in {p.code for p in hours.problems}


@pytest.mark.realdata
def test_real_prices_in_points_are_refused(shared_data: Path) -> None:
    path = shared_data / "ejtrader" / "USDJPYh1.csv"
    with pytest.raises(FileError) as caught:
        parse_real(path, "USDJPY", tz="UTC")
    assert caught.value.code == "scale_suspect"
