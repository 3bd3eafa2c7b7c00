"""Histories of another construction, so that nothing is tuned to one.

Returns are Student t noise with GARCH volatility, cut off at the stop; every cell and the market
switch between a good and a bad state (a Markov chain, days to months long); cells trade at Poisson
times of their own rates; the advice comes when covered trades have fallen 8 R below their peak, and
it helps by making losers smaller, not by moving every trade.
"""

from __future__ import annotations

import numpy as np

from post_mortem.core.experiments import assign
from post_mortem.core.measurement import (
    Assignment,
    History,
    MeasurementPlan,
    day_of,
    make_history,
)
from trading.core.types import NS_PER_DAY

from .worlds import FIRST_DAY

DRAWDOWN_R = 8.0
SD_R = 1.3
_WATCHED_DAYS = 250


def second_history(
    seed: int,
    effect_sd: float,
    *,
    before_days: int = 240,
    after_days: int = 190,
    cells: int = 3,
    experiment: bool = False,
) -> tuple[History, MeasurementPlan]:
    """One history; `effect_sd` is the mean gain of a covered trade in standard deviations."""
    rng = np.random.default_rng((9, seed))
    days = before_days + _WATCHED_DAYS + after_days
    market = _states(rng, days, 60.0)
    columns = [
        _cell(rng, days, market, rate=1.6 if c == 0 else 1.2 + 0.3 * c) for c in range(cells + 1)
    ]
    change = _change_day(*columns[0], before_days)
    start, end = change - before_days, change + after_days
    assignment = None
    if experiment:
        draw = assign(f"second {seed}", FIRST_DAY + change, after_days, weekdays=range(7))
        assignment = Assignment(draw.day, draw.on)
    times, rs, names = [], [], []
    for number, (time, r) in enumerate(columns):
        use = (time >= start) & (time < end)
        time, r = time[use], r[use].copy()
        if number == 0:
            r = _helped(r, time, change, effect_sd, assignment)
        times.append(((FIRST_DAY + time) * NS_PER_DAY).astype(np.int64))
        rs.append(r)
        names.append(np.full(r.size, f"cell {number}"))
    name = np.concatenate(names)
    history = make_history(
        np.concatenate(times), np.concatenate(rs), name == "cell 0", name, assignment=assignment
    )
    return history, MeasurementPlan(f"second {seed}", (FIRST_DAY + change) * NS_PER_DAY)


def _states(rng: np.random.Generator, days: int, mean_days: float) -> np.ndarray:
    """+1 or -1 a day, switching after `mean_days` on average."""
    flips = rng.random(days) < 1 / mean_days
    return rng.choice([-1, 1]) * np.where(np.cumsum(flips) % 2, -1, 1)


def _cell(
    rng: np.random.Generator, days: int, market: np.ndarray, rate: float
) -> tuple[np.ndarray, np.ndarray]:
    """(time in days, R), in time order."""
    own = _states(rng, days, 35.0)
    count = rng.poisson(rate, days)
    day = np.repeat(np.arange(days), count)
    time = np.sort(day + rng.random(day.size))
    noise = rng.standard_t(5, day.size) / np.sqrt(5 / 3)
    variance = np.empty(day.size)
    level = 1.0
    for i, z in enumerate(noise):
        variance[i] = level
        level = 0.05 + 0.12 * level * z * z + 0.83 * level
    mean = 0.10 + 0.12 * market[day] + 0.10 * own[day]
    r = mean + 1.4 * np.sqrt(variance) * noise
    stopped = r < -1
    # A stop takes most of what lies beyond it.
    r[stopped] = -1 + 0.1 * (r[stopped] + 1)
    return time, r


def _change_day(time: np.ndarray, r: np.ndarray, before_days: int) -> int:
    """The first day from `before_days` on that follows a drawdown of 8 R in the last 60 trades."""
    for i in np.flatnonzero((time >= before_days) & (time < before_days + _WATCHED_DAYS - 1)):
        path = np.cumsum(r[max(0, i - 60) : i + 1])
        if path.max() - path[-1] >= DRAWDOWN_R:
            return int(time[i]) + 1
    return before_days + _WATCHED_DAYS


def _helped(
    r: np.ndarray,
    time: np.ndarray,
    change: int,
    effect_sd: float,
    assignment: Assignment | None,
) -> np.ndarray:
    lost = r < 0
    treated = time >= change
    if assignment is not None:
        day = day_of(((FIRST_DAY + time) * NS_PER_DAY).astype(np.int64))
        treated &= np.isin(day, assignment.day[assignment.on])
    r[treated & lost] += effect_sd * SD_R / float(lost.mean())
    return r
