"""The third suite: causes planted into real candles.

A piece of a real series becomes the noise of a case. Every candle is walked from its open over
its extremes to its close, so that without a plant the case shows exactly the real candles; what is
planted is added to the walk, and validated as in the first generator: the real candles alone do
not lose. A cause is planted only where its evidence exists: a market-wide jump needs related
markets, thin trading needs volumes. Losers with nothing wrong are real losses on quiet stretches
without any release. The splits are thirds of each series.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np

from post_mortem.core.types import CAUSES

from . import first
from .candles_on_disk import Series
from .market import BAR_SECONDS, SETTINGS, STEPS, TAIL_BARS, Noise
from .scene import needs_trade, planned_life
from .truth import NAMED, Sample

_SUITE = 97
_ATTEMPTS = 8000
_BEFORE = (640, 900)
_WEEKEND_S = (40 * 3600, 60 * 3600)
# A stretch is quiet where no bar stands out and the pace stays what it was.
_LARGEST_MOVE, _PACE = 4.0, (0.65, 1.4)


def make(series: Sequence[Series], split: str, kind: str, index: int) -> Sample:
    """Case number `index` of a split, of a cause or "unknown", on one of the series."""
    fit = [one for one in series if _can_show(one, kind)]
    key = (_SUITE, first.SPLITS.index(split), CAUSES.index(kind), index)
    rng = np.random.default_rng((*key, _ATTEMPTS))
    forms = first.draw_forms(rng, first.draw_causes(rng, kind))
    for attempt in range(_ATTEMPTS):
        rng = np.random.default_rng((*key, attempt))
        sample = _attempt(rng, fit[int(rng.integers(len(fit)))], split, forms)
        if sample is not None:
            return first.named(sample, key)
    raise RuntimeError(f"no valid {kind} case number {index} on real candles of {split}")


def suite(series: Sequence[Series], split: str, each: int) -> Iterator[Sample]:
    counts = {**dict.fromkeys(NAMED, each), "unknown": 2 * each}
    return (make(series, split, kind, i) for kind, count in counts.items() for i in range(count))


def _can_show(series: Series, kind: str) -> bool:
    if kind == "liquidity_event":
        return series.volume is not None
    return kind != "external_shock" or len(series.peers) > 0


def _attempt(
    rng: np.random.Generator, series: Series, split: str, forms: dict[str, str]
) -> Sample | None:
    options = [h for t, h in SETTINGS if t == series.timeframe]
    if needs_trade(forms):
        options = ["TRADE"]
    horizon = str(rng.choice(options))
    before = int(rng.integers(*_BEFORE))
    bars = before + planned_life(rng, series.timeframe, horizon) + TAIL_BARS
    third = len(series) // len(first.SPLITS)
    low = first.SPLITS.index(split) * third
    if third <= bars:
        return None
    start = low + int(rng.integers(third - bars))
    noise = _noise(series, slice(start, start + bars))
    if noise is None:
        return None
    quiet = _is_quiet(noise, before)
    if not forms and not quiet:
        return None
    events = _events(series, noise)
    if events and (not forms or _moved(noise, events)):
        return None
    sample = first.stage(rng, forms, noise, horizon, before)
    if sample is None:
        return None
    case = _with_events(sample.case, events)
    return replace(sample, case=case)


def _noise(series: Series, part: slice) -> Noise | None:
    """The real bars as a walk: gap, then the nearer extreme, the farther one, the close."""
    time, prices = series.time[part], series.prices[part]
    bar_s = BAR_SECONDS[series.timeframe]
    instrument = series.instrument
    if _has_holes(time, bar_s, instrument.closes):
        return None
    point = instrument.point
    points = np.rint(prices / point)
    opened, high, low, close = np.log(points.T)
    before = np.concatenate([opened[:1], close[:-1]])
    rising = close >= opened
    near, far = np.where(rising, low, high), np.where(rising, high, low)
    steps = np.zeros((time.size, STEPS))
    steps[:, 0], steps[:, 1], steps[:, 2] = near - opened, far - near, close - far
    moves = close - before
    sigma = _volatility(moves, time)
    spread = series.spread[part] / point
    peers = (
        np.diff(np.log(series.peers[:, part]), axis=1, prepend=np.nan)
        if len(series.peers)
        else series.peers.reshape(0, time.size)
    )
    day = float(sigma.mean() * np.sqrt(86_400 / bar_s))
    return Noise(
        replace(instrument, price=float(points[0, 0]) * point, day=day),
        *(series.timeframe, time, sigma, float(sigma.mean()), steps, opened - before),
        peers=np.nan_to_num(peers),
        volume=None if series.volume is None else series.volume[part].copy(),
        spread=np.maximum(spread, 1.0),
    )


def _has_holes(time: np.ndarray, bar_s: int, closes: bool) -> bool:
    """Whether bars are missing, weekends aside."""
    gaps = np.diff(time)
    gaps = gaps[gaps > bar_s]
    return bool(((gaps < _WEEKEND_S[0]) | (gaps > _WEEKEND_S[1]) | (not closes)).any())


def _volatility(moves: np.ndarray, time: np.ndarray) -> np.ndarray:
    """A usual move of each bar, by its hour of the day, robust to single large ones."""
    hours = time // 3600 % 24
    overall = 1.4826 * np.median(np.abs(moves)) + 1e-9
    by_hour = np.array(
        [
            1.4826 * np.median(np.abs(moves[hours == h])) if (hours == h).sum() > 20 else overall
            for h in range(24)
        ]
    )
    result: np.ndarray = np.maximum(0.5 * overall, by_hour)[hours]
    return result


def _is_quiet(noise: Noise, at: int) -> bool:
    """No bar of the life stands out, and its pace is that of the bars before."""
    moves = noise.steps.sum(axis=1) + noise.gap
    after, before = moves[at:-TAIL_BARS] / noise.sigma[at:-TAIL_BARS], moves[at - 150 : at]
    pace = np.sqrt(np.mean(after**2)) / np.sqrt(np.mean((before / noise.sigma[at - 150 : at]) ** 2))
    return bool(np.abs(after).max() < _LARGEST_MOVE and _PACE[0] < pace < _PACE[1])


def _events(series: Series, noise: Noise) -> list[dict[str, Any]]:
    """What was really scheduled within the bars of this case."""
    first_s, last_s = int(noise.time[0]), int(noise.time[-1])
    return [event for event in series.calendar if first_s <= _seconds(event) <= last_s]


def _seconds(event: dict[str, Any]) -> float:
    return datetime.fromisoformat(str(event["time"])).timestamp()


def _moved(noise: Noise, events: list[dict[str, Any]]) -> bool:
    """Whether prices really moved at one of the releases after the entry could have been."""
    moves = np.abs(noise.steps.sum(axis=1)) / noise.sigma
    for event in events:
        moment = _seconds(event)
        near = (noise.time > moment - noise.bar_s) & (noise.time < moment + 1200)
        if near.any() and moves[near].max() > 3:
            return True
    return False


def _with_events(case: dict[str, Any], events: list[dict[str, Any]]) -> dict[str, Any]:
    if not events:
        return case
    news = sorted([*case["news"], *events], key=lambda row: str(row["time"]))
    return {**case, "news": news}
