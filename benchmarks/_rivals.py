"""Other ways to label, each given the same cases as the engine: one outcome a case."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np

from post_mortem.core.types import CaseBatch, Outcome

PRICE = 200_000  # half-points of a price of the benchmark's market
DIRT = 1e-6  # half-points: what a float of a price is off by


def windows(batch: CaseBatch, rows: Any) -> tuple[Any, Any]:
    """First bar and the bar after the last of each case's window, by wall clock."""
    time = batch.market.candles.time
    ends = batch.end_time[rows] - batch.market.bar_ns + 1
    return np.searchsorted(time, batch.entry_time[rows]), np.searchsorted(time, ends)


def by_the_clock(side: int, entry: float, stop: float, close: float) -> Outcome:
    """What a case is that touched nothing: prices in any one unit."""
    result = side * (close - entry)
    if abs(result) <= 0.1 * abs(entry - stop) + DIRT * abs(entry) / PRICE:
        return Outcome.NEUTRAL
    return Outcome.SUCCEEDED if result > 0 else Outcome.FAILED


def slices(batch: CaseBatch, rows: Any) -> list[int]:
    """NumPy slices of the bars: masks, first touch, running extremes; a case at a time."""
    candles = batch.market.candles
    outcomes = []
    for i, first, end in zip(
        rows.tolist(), *map(np.ndarray.tolist, windows(batch, rows)), strict=True
    ):
        side, stop, target = int(batch.side[i]), batch.stop[i], batch.target[i]
        high, low = candles.high[first:end], candles.low[first:end]
        if side > 0:
            stopped, reached = low <= stop, high >= target
        else:
            stopped, reached = high >= stop, low <= target
        touched = stopped | reached
        at = int(touched.argmax()) if touched.any() else touched.size - 1
        best = np.maximum.accumulate(high[: at + 1])
        worst = np.minimum.accumulate(low[: at + 1])
        assert best.size == worst.size
        if touched.size and touched[at]:
            outcomes.append(Outcome.FAILED if stopped[at] else Outcome.SUCCEEDED)
        else:
            prices = (batch.entry_price[i] * PRICE, batch.stop_price[i] * PRICE)
            outcomes.append(by_the_clock(side, *prices, float(candles.close[end - 1])))
    return [int(outcome) for outcome in outcomes]


def pandas_loop(batch: CaseBatch, rows: Any) -> list[int]:
    """A frame of float prices, sliced by time, and a loop over its rows; a case at a time."""
    import pandas as pd

    candles = batch.market.candles
    columns = {name: getattr(candles, name) / PRICE for name in ("high", "low", "close")}
    frame = pd.DataFrame(columns, index=pd.to_datetime(candles.time, utc=True))
    last_opens = pd.to_datetime(batch.end_time[rows] - batch.market.bar_ns, utc=True)
    starts = pd.to_datetime(batch.entry_time[rows], utc=True)
    return [
        int(_loop(frame.loc[start:end], batch, i))
        for i, start, end in zip(rows.tolist(), starts, last_opens, strict=True)
    ]


def _loop(bars: Any, batch: CaseBatch, i: int) -> Outcome:
    side, entry = int(batch.side[i]), float(batch.entry_price[i])
    stop, target = float(batch.stop_price[i]), float(batch.target_price[i])
    best = worst = 0.0
    close = entry
    for bar in bars.itertuples():
        ahead, behind = (bar.high, bar.low) if side > 0 else (bar.low, bar.high)
        best, worst = max(best, side * (ahead - entry)), min(worst, side * (behind - entry))
        if side * (behind - stop) <= 0:
            return Outcome.FAILED
        if side * (ahead - target) >= 0:
            return Outcome.SUCCEEDED
        close = bar.close
    return by_the_clock(side, entry, stop, close)


def vectorbt_missing() -> str:
    """Why vectorbt cannot be compared with, empty if it can."""
    return "" if importlib.util.find_spec("vectorbt") else "vectorbt is not installed"


def vectorbt(batch: CaseBatch, rows: Any) -> list[int]:
    """`OHLCSTX`: exits at a stop or target, a column a case, all cases of one horizon at once.

    It finds exits and nothing else: no excursions, no drawdown. Levels are fractions of the entry
    in floats; the clock's end is the end of the column and judged by us. A column begins with a bar
    that holds the entry price alone, because exits are looked for from the bar after the entry on.
    """
    import vectorbt as vbt

    candles = batch.market.candles
    result = np.zeros(rows.size, np.int64)
    names = np.array(batch.horizon)[rows]
    first, end = windows(batch, rows)
    for name in np.unique(names):
        here = np.flatnonzero(names == name)
        cases = rows[here]
        entry = batch.entry_price[cases]
        bars = first[here] + np.arange((end - first)[here].max())[:, None]
        outside = bars >= end[here]
        bars = np.minimum(bars, len(candles) - 1)
        columns = {
            name: np.vstack(
                [entry, np.where(outside, np.nan, getattr(candles, name)[bars] / PRICE)]
            )
            for name in ("open", "high", "low", "close")
        }
        entries = np.zeros(columns["open"].shape, bool)
        entries[0] = True
        found = vbt.OHLCSTX.run(
            entries,
            **columns,
            sl_stop=[np.abs(entry - batch.stop_price[cases])[None] / entry],
            tp_stop=[np.abs(batch.target_price[cases] - entry)[None] / entry],
            reverse=[(batch.side[cases] < 0)[None]],
        )
        exits, kinds = found.exits.to_numpy(), found.stop_type.to_numpy()
        at = exits.argmax(axis=0)
        stops = int(vbt.signals.enums.StopType.StopLoss)
        for k, i in enumerate(cases.tolist()):
            if exits[at[k], k]:
                stopped = kinds[at[k], k] == stops
                outcome = Outcome.FAILED if stopped else Outcome.SUCCEEDED
            else:
                close = candles.close[end[here[k]] - 1] / PRICE
                prices = (float(entry[k]), float(batch.stop_price[i]), float(close))
                outcome = by_the_clock(int(batch.side[i]), *prices)
            result[here[k]] = outcome
    return [int(outcome) for outcome in result]
