"""Minute quotes of Lean's day files, for tests on real prices."""

from __future__ import annotations

import csv
import io
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from post_mortem.core.types import News
from trading.core.candles import Candles, Quotes, concatenate, from_quotes

HALF_POINTS_PER_PRICE = 2 / 0.00001
_IMPACT = {"low": 0, "medium": 1, "high": 2}


def minutes(folder: Path) -> Candles:
    """All days of a folder as one quote series; columns ms, bid OHLC, size, ask OHLC, size."""
    return concatenate([_day(path) for path in sorted(folder.glob("*_quote.zip"))])


def _day(path: Path) -> Candles:
    midnight = datetime.strptime(path.name[:8], "%Y%m%d").replace(tzinfo=UTC)
    with zipfile.ZipFile(path) as archive:
        text = archive.read(archive.namelist()[0]).decode()
    table = np.array(list(csv.reader(io.StringIO(text))), float)
    time = int(midnight.timestamp()) * 10**9 + table[:, 0].astype(np.int64) * 10**6
    prices = np.rint(table * HALF_POINTS_PER_PRICE).astype(np.int64)
    sides = [prices[:, column] for column in (1, 2, 3, 4, 6, 7, 8, 9)]
    return from_quotes(time, Quotes(*sides))


def calendar(path: Path, currencies: tuple[str, ...]) -> News:
    """Scheduled releases of these currencies; the file covers the whole of its days."""
    with path.open() as lines:
        rows = [row for row in csv.DictReader(lines) if row["currency"] in currencies]
    moments = [int(datetime.fromisoformat(row["time_utc"]).timestamp()) * 10**9 for row in rows]
    time = np.array(moments, np.int64)
    order = np.argsort(time, kind="stable")
    day = 86_400 * 10**9
    return News(
        time=time[order],
        impact=np.array([_IMPACT[rows[i]["impact"]] for i in order], np.int8),
        surprise_z=np.full(order.size, np.nan),
        currency=tuple(rows[i]["currency"] for i in order),
        title=tuple(rows[i]["event"] for i in order),
        key=np.arange(order.size, dtype=np.int64),
        covered_from=time[order][:1] // day * day,
        covered_to=(time[order][-1:] // day + 1) * day,
    )
