"""Histories of trades whose truth is known, in the ways that real ones mislead.

A trade loses about 1 R, with a gap now and then, or wins 1 R and a gamma; it wins 42 times of 100.
What changes is the edge: a latent log-odds that wanders (half of it with the market), a volatility
that wanders, a shock a day, and a market that breaks for everybody about when the advice is
implemented. The advice comes when the last ten covered trades averaged -0.45 R or less, or at a
time that has nothing to do with results. The effect is a shift of the covered trades afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from post_mortem.core.experiments import assign
from post_mortem.core.measurement import (
    Assignment,
    History,
    MeasurementPlan,
    Trigger,
)
from trading.core.types import NS_PER_DAY

TRIGGER = Trigger(10, -0.45)
SD_R = 1.55
FIRST_DAY = 17_000
_WATCHED = 240


@dataclass(frozen=True, slots=True)
class World:
    """`memory` of the own edge in trades (0: none), its standard deviation in log-odds with the
    market's share, the size of a common break, whether a streak sets the advice off."""

    name: str
    memory: float = 0.0
    edge: float = 0.0
    common: float = 0.5
    break_size: float = 0.0
    streak: bool = True
    wild: float = 0.25
    day_shock: float = 0.15


WORLDS = {
    world.name: world
    for world in (
        World("iid", wild=0.0, day_shock=0.0),
        World("drift", memory=33.0, edge=0.35),
        World("break", memory=33.0, edge=0.35, break_size=0.6),
        World("random", memory=33.0, edge=0.35, streak=False),
        World("hard", memory=66.0, edge=0.6, common=0.15, break_size=0.6),
    )
}


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """H histories: R (H, cells, T) without and effect on covered trades, day of every trade (T,),
    and where each change came (H,). Cell 0 is covered."""

    r: np.ndarray
    day: np.ndarray
    change: np.ndarray
    before: int
    after: int


def make_batch(
    world: World, histories: int, seed: int, *, before: int = 360, after: int = 300, cells: int = 3
) -> Batch:
    rng = np.random.default_rng(seed)
    length = before + _WATCHED + after
    parts, changes = [], []
    missing = histories
    while missing > 0:
        r, change = _draw(world, max(64, missing), rng, length, before, cells)
        good = np.flatnonzero(change >= 0)[:missing]
        parts.append(r[good])
        changes.append(change[good])
        missing -= good.size
    day = FIRST_DAY + np.arange(length) // 2
    return Batch(np.concatenate(parts), day, np.concatenate(changes), before, after)


def _draw(
    world: World, n: int, rng: np.random.Generator, length: int, before: int, cells: int
) -> tuple[np.ndarray, np.ndarray]:
    shape = (n, cells + 1, length)
    odds = np.full(shape, np.log(0.42 / 0.58))
    if world.edge:
        market = wander(rng, (n, 1, length), world.memory)
        own = wander(rng, shape, world.memory)
        odds += world.edge * (np.sqrt(world.common) * market + np.sqrt(1 - world.common) * own)
    days = (length + 1) // 2
    shock = rng.normal(0, world.day_shock, (n, 1, days)) + rng.normal(
        0, world.day_shock, (n, cells + 1, days)
    )
    odds += np.repeat(shock, 2, axis=2)[:, :, :length]
    luck = rng.random(shape)
    size = np.exp(world.wild * wander(rng, (n, 1, length), 40.0)) if world.wild else 1.0
    gap = 1 + 0.4 * np.abs(rng.standard_t(3, shape)) * (rng.random(shape) < 0.04)
    loss = -gap
    win = (0.6 + rng.gamma(1.2, 0.95, shape)) * size
    if world.streak:
        r = np.where(luck < 1 / (1 + np.exp(-odds[:, :1])), win[:, :1], loss[:, :1])
        change = first_streak(r[:, 0], before)
    else:
        change = rng.integers(before, before + _WATCHED, n)
    if world.break_size:
        at = np.maximum(change, 0) + rng.integers(0, 20, n)
        sign = rng.choice([-1.0, 1.0], n)
        later = np.arange(length) >= at[:, None]
        odds += (world.break_size * sign[:, None] * later)[:, None, :]
    return np.where(luck < 1 / (1 + np.exp(-odds)), win, loss), change


def wander(rng: np.random.Generator, shape: tuple[int, ...], memory: float) -> np.ndarray:
    """Stationary AR(1) of unit variance along the last axis."""
    rho = float(np.exp(-1 / memory))
    noise = rng.normal(0, 1, shape)
    noise[..., 1:] *= np.sqrt(1 - rho * rho)
    for i in range(1, shape[-1]):
        noise[..., i] += rho * noise[..., i - 1]
    return noise


def first_streak(r: np.ndarray, before: int) -> np.ndarray:
    """Per row the first place from `before` on after a streak of the trigger; -1 for none."""
    sums = np.concatenate([np.zeros((r.shape[0], 1)), np.cumsum(r, axis=1)], axis=1)
    window = TRIGGER.window
    mean = (sums[:, window:] - sums[:, :-window]) / window
    fires = mean[:, before - window : before - window + _WATCHED] <= TRIGGER.mean_r
    return np.where(fires.any(axis=1), before + fires.argmax(axis=1), -1)


def history_of(
    batch: Batch, i: int, effect_sd: float, *, cells: int | None = None, salt: str | None = None
) -> tuple[History, MeasurementPlan]:
    """History i with its effect, in standard deviations, on covered trades after the change (with
    a `salt`: on those of days that the experiment has on)."""
    change = int(batch.change[i])
    span = slice(change - batch.before, change + batch.after)
    r = batch.r[i, : None if cells is None else cells + 1, span].copy()
    day = batch.day[span]
    n_cells, n = r.shape
    # Cells take turns within the day; the second trade of a day comes later than the first.
    part = np.where(np.append(False, np.diff(day) == 0), 0.55, 0.05)
    offset = (part[None] + 0.4 * np.arange(n_cells)[:, None] / n_cells) * NS_PER_DAY
    time = day[None] * NS_PER_DAY + offset.astype(np.int64)
    at = int(time[0, batch.before])
    assignment = None
    on = np.arange(n) >= batch.before
    if salt is not None:
        first = int(day[batch.before])
        draw = assign(salt, first, (batch.after + 7) // 2, weekdays=range(7))
        assignment = Assignment(draw.day, draw.on)
        on = on & draw.on[np.clip(day - first, 0, None)]
    r[0, on] += effect_sd * SD_R
    order = np.argsort(time.ravel(), kind="stable")
    cell = np.repeat(np.arange(n_cells), n)[order]
    history = History(
        time.ravel()[order],
        r.ravel()[order],
        cell == 0,
        cell,
        tuple(f"cell {c}" for c in range(n_cells)),
        assignment,
        TRIGGER,
    )
    return history, MeasurementPlan(f"{i}", at)
