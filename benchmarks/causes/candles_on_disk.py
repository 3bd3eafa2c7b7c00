"""Real candles for the third suite, from the folder of shared market data; see its README.

A series is held as arrays of equal length: opens of bars in s UTC, four prices, and what else its
source tells: volume, quoted spread, closes of related markets on the same bars, a calendar.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from .market import Instrument

_EURUSD = ("EURUSD", 5, 0.0001, ("EUR", "USD"))
_NEEDED = ("lean/oanda-minute-eurusd", "lean/oanda-hour-eurusd.zip", "ejtrader", "freqtrade")
_USDJPY = ("USDJPY", 3, 0.01, ("USD", "JPY"))
# The hours of USDJPY are those of its broker's server, which nothing states: its weeks begin at
# Monday 00:00 all year, and its moves mirror those of EURUSD (in UTC) an hour or two later, from
# this weekend on two or three.
_SERVER_MOVED = "2014-11-23"
_SERVER_CLOCKS = (ZoneInfo("Europe/Berlin"), ZoneInfo("Europe/Athens"))


@dataclass(frozen=True)
class Series:
    """`prices` has the columns open, high, low, close; `peers` one row of closes a market.
    `spread` is in prices; where the source tells none it is a usual one."""

    name: str
    instrument: Instrument
    timeframe: str
    time: np.ndarray
    prices: np.ndarray
    volume: np.ndarray | None
    spread: np.ndarray
    peers: np.ndarray
    calendar: tuple[dict[str, Any], ...]

    def __len__(self) -> int:
        return int(self.time.size)


def load(folder: Path) -> list[Series]:
    """Every series of the folder; raises FileNotFoundError where one is missing."""
    for name in _NEEDED:
        if not (folder / name).exists():
            raise FileNotFoundError(name)
    return [*_lean_minutes(folder), *_hours(folder), *_freqtrade(folder)]


def _instrument(
    base: tuple[str, int, float, tuple[str, ...]],
    price: float,
    spread: float,
    peers: Sequence[tuple[str, float, int]],
    closes: bool = True,
) -> Instrument:
    symbol, decimals, pip, currencies = base
    lot = 50_000.0 if closes else 10.0
    return Instrument(
        *(symbol, price, decimals, pip, 0.0, spread, lot, currencies, tuple(peers), closes)
    )


def _lean_minutes(folder: Path) -> list[Series]:
    """EURUSD quotes of two weeks in May 2014 as mids, on 1, 5 and 15 minutes, with what was
    scheduled then."""
    times, rows = [], []
    for path in sorted((folder / "lean/oanda-minute-eurusd").glob("*_quote.zip")):
        midnight = datetime.strptime(path.name[:8], "%Y%m%d").replace(tzinfo=UTC).timestamp()
        with zipfile.ZipFile(path) as archive:
            text = archive.read(archive.namelist()[0]).decode()
        table = np.array(list(csv.reader(io.StringIO(text))), float)
        times.append(int(midnight) + (table[:, 0] / 1000).astype(np.int64))
        rows.append(table[:, 1:])
    time, quotes = np.concatenate(times), np.concatenate(rows)
    mid = (quotes[:, :4] + quotes[:, 5:9]) / 2
    spread = quotes[:, 8] - quotes[:, 3]
    with (folder / "economic_events_2014-05.csv").open() as lines:
        events = tuple(
            {
                "time": row["time_utc"].replace("+00:00", "Z"),
                "currency": row["currency"],
                "impact": row["impact"],
                "title": row["event"],
                "surprise_z": None,
            }
            for row in csv.DictReader(lines)
        )
    instrument = _instrument(_EURUSD, float(mid[0, 0]), 11.0, ())
    none = np.zeros((0, 0))
    result = []
    for timeframe, step in (("1m", 60), ("5m", 300), ("15m", 900)):
        opens, bars, last = _aggregated(time, mid, step)
        result.append(
            Series(
                f"EURUSD {timeframe} 2014",
                *(instrument, timeframe, opens, bars, None, spread[last], none, events),
            )
        )
    return result


def _aggregated(
    time: np.ndarray, prices: np.ndarray, step: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Opens and prices of coarser bars, and the row that closes each."""
    opens, starts = np.unique(time // step * step, return_index=True)
    last = np.concatenate([starts[1:], [time.size]]) - 1
    columns = (
        prices[starts, 0],
        np.maximum.reduceat(prices[:, 1], starts),
        np.minimum.reduceat(prices[:, 2], starts),
        prices[last, 3],
    )
    return opens, np.column_stack(columns), last


def _hours(folder: Path) -> list[Series]:
    """EURUSD and USDJPY by the hour, each with the other as its related market."""
    with zipfile.ZipFile(folder / "lean/oanda-hour-eurusd.zip") as archive:
        rows = list(csv.reader(io.StringIO(archive.read(archive.namelist()[0]).decode())))
    euro_time = np.array([_utc(row[0], "%Y%m%d %H:%M") for row in rows])
    quotes = np.array([row[1:] for row in rows], float)
    euro = (quotes[:, :4] + quotes[:, 5:9]) / 2
    euro_spread = quotes[:, 8] - quotes[:, 3]
    with (folder / "ejtrader/USDJPYh1.csv").open() as lines:
        rows = list(csv.reader(lines))[1:]
    yen_time = np.array([_of_server(row[0]) for row in rows])
    table = np.array([row[1:] for row in rows], float)
    yen, volume = table[:, :4] / 1000, table[:, 4]
    both, left, right = np.intersect1d(euro_time, yen_time, return_indices=True)
    first = _instrument(_EURUSD, 1.0, 14.0, (("USDJPY", float(yen[0, 3]), -1),))
    second = _instrument(_USDJPY, 1.0, 15.0, (("EURUSD", float(euro[0, 3]), -1),))
    usual = np.full(both.size, 0.015)
    return [
        Series(
            "EURUSD 1h 2012-2018",
            *(first, "1h", both, euro[left], None, euro_spread[left]),
            *(yen[right, 3][None, :], ()),
        ),
        Series(
            "USDJPY 1h 2012-2018",
            *(second, "1h", both, yen[right], volume[right], usual, euro[left, 3][None, :], ()),
        ),
    ]


def _utc(text: str, form: str) -> int:
    return int(datetime.strptime(text, form).replace(tzinfo=UTC).timestamp())


def _of_server(text: str) -> int:
    clock = _SERVER_CLOCKS[text >= _SERVER_MOVED]
    return int(datetime.fromisoformat(text).replace(tzinfo=clock).timestamp())


def _freqtrade(folder: Path) -> list[Series]:
    """Some of the crypto pairs of January 2018 in five minutes, each with the others beside it."""
    try:
        import pyarrow.feather as feather
    except ImportError:
        return []
    names = ("ETH", "LTC", "XMR", "DASH", "ZEC")
    tables = {}
    for name in names:
        table = feather.read_table(folder / f"freqtrade/{name}_BTC-5m.feather").to_pydict()
        time = np.array([int(moment.timestamp()) for moment in table["date"]])
        columns = ("open", "high", "low", "close", "volume")
        tables[name] = time, np.array([table[column] for column in columns], float).T
    shared = tables[names[0]][0]
    for time, _ in tables.values():
        shared = np.intersect1d(shared, time)
    aligned = {name: rows[np.isin(time, shared)] for name, (time, rows) in tables.items()}
    result = []
    for name in ("ETH", "LTC", "XMR"):
        others = [other for other in names if other != name]
        peers = tuple((f"{other}/BTC", float(aligned[other][0, 3]), 1) for other in others)
        base = (f"{name}/BTC", 8, 0.00000001, ("USD",))
        rows = aligned[name]
        spread = 0.0006 * rows[:, 3]
        instrument = _instrument(base, 1.0, 1.0, peers, closes=False)
        closes = np.array([aligned[other][:, 3] for other in others])
        result.append(
            Series(
                f"{name}/BTC 5m 2018",
                *(instrument, "5m", shared, rows[:, :4], rows[:, 4], spread, closes, ()),
            )
        )
    return result
