"""Candles from Lean's zip files: bid and ask bars, or trades, of one day or of many years.

Minute files hold milliseconds since midnight, so their date comes from the member's name
(`20140502_eurusd_minute_quote.csv`). Hour and day files hold `20070101 21:00`. Both are on the
clock of the data's zone (Oanda: UTC, FXCM: a fixed UTC-5), which the file does not name: it is
asked for (`timezone_required`).
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from trading.core.candles import QUOTE_COLUMNS
from trading.core.types import NS_PER_DAY, SeriesKind

from .candle_table import MAX_FATAL, TableReader, clock_since
from .contract import Hint, ProblemLog, RawCandles, ReadOptions, refuse
from .file_names import lean_member
from .layouts import Layout, of_columns

_BID = " ".join(QUOTE_COLUMNS[:4])
_ASK = " ".join(QUOTE_COLUMNS[4:])
_LAYOUTS = {
    11: of_columns(",", f"time {_BID} ignored {_ASK} ignored"),
    6: of_columns(",", "time open high low close volume"),
}
_DATED = re.compile(rb"\d{8} \d\d:\d\d,")
_EPOCH = dt.date(1970, 1, 1)
# Lean multiplies equity prices by 10,000 and nothing in the file says so.
_SCALED_FROM = 10_000


def is_lean(member: str, head: bytes) -> bool:
    """Whether an archive's member holds Lean rows."""
    columns = head.partition(b"\n")[0].count(b",") + 1
    return columns in _LAYOUTS and (lean_member(member) is not None or bool(_DATED.match(head)))


def parse_lean(blocks: Iterable[bytes], member: str, file: str, options: ReadOptions) -> RawCandles:
    """Read the rows of one member of a Lean archive."""
    log = ProblemLog(file)
    named = lean_member(member)
    reader: TableReader | None = None
    layout: Layout | None = None
    for block in blocks:
        if reader is None:
            layout = _layout(block, member, file)
            dated = bool(_DATED.match(block))
            if not dated and named is None:
                raise refuse(file, "unknown_date", f"{member} does not say its date", row=1)
            midnight = 0 if dated or named is None else (named.date - _EPOCH).days * NS_PER_DAY
            read_time = None if dated else clock_since(midnight)
            reader = TableReader(layout, options, log, 1, read_time)
        reader.add(block)
        if log.fatal_count > MAX_FATAL:
            break
    if reader is None:
        raise refuse(file, "empty_file", f"{member} is empty")
    symbol, timeframe = _hints(member)
    raw = reader.finish("lean", symbol=symbol, timeframe=timeframe)
    if raw.kind == SeriesKind.TRADE and raw.decimals == 0:
        _refuse_scaled(raw, file)
    return replace(raw, notes=(f"member {member}", *raw.notes))


def _layout(block: bytes, member: str, file: str) -> Layout:
    columns = block.partition(b"\n")[0].count(b",") + 1
    if columns not in _LAYOUTS:
        detail = f"{member} has {columns} columns: Lean's quotes have 11, its trades 6"
        raise refuse(file, "column_count", detail, row=1)
    return _LAYOUTS[columns]


def _hints(member: str) -> tuple[Hint | None, Hint | None]:
    """Symbol and timeframe by the member's name."""
    named = lean_member(member)
    if named is not None:
        return Hint(named.symbol, "file name"), Hint(named.timeframe, "file name")
    stem = member.rpartition("/")[2].removesuffix(".csv")
    return (Hint(stem.upper(), "file name") if stem.isalnum() else None), None


def _refuse_scaled(raw: RawCandles, file: str) -> None:
    if float(np.median(raw.prices[3])) >= _SCALED_FROM:
        raise refuse(
            file,
            "scale_suspect",
            "all prices are whole and large: Lean multiplies equity prices by 10,000; "
            "convert them to prices first",
        )
