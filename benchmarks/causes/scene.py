"""One attempt at a case of the first generator: a market, a plan made on it, planted events."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .market import (
    BAR_SECONDS,
    HOURS,
    TAIL_BARS,
    Candles,
    Noise,
    Verdict,
    candles_of,
    judge,
)
from .plant import PRICE_CAUSES, Plant, plant, trend_before
from .structures import look

_LEAST_LIFE = 12


def _nothing() -> Candles:
    return Candles(*(np.zeros(0, np.int64) for _ in range(4)))


@dataclass
class Scene:
    """One attempt: the market, the plan, and what was planted."""

    forms: dict[str, str]
    noise: Noise
    horizon: str
    at: int
    end: int
    side: int
    risk: int
    reward: int
    plants: list[Plant]
    trend: np.ndarray
    claimed: tuple[str, ...] = ()
    candles: Candles = field(default_factory=_nothing)
    verdict: Verdict = Verdict(0, 0, 0.0)
    saved: dict[str, float] = field(default_factory=dict)
    strategy_kind: str = "trend"

    @property
    def is_trade(self) -> bool:
        return self.horizon == "TRADE"

    @property
    def ratio(self) -> float:
        return round(self.reward / self.risk, 2)

    def spread(self, bar: int) -> float:
        """The quoted spread in points with what was planted."""
        return float(self.noise.spread[bar] * np.prod([p.spread[bar] for p in self.plants]))

    def without(self, cause: str) -> Verdict:
        """What the same noise makes of the plan when one plant is left out."""
        kept = [p for p in self.plants if p.cause != cause]
        candles = self.world(kept)
        return judge(candles, self.at, self.end, self.side, self.risk, self.reward)

    def world(self, plants: list[Plant]) -> Candles:
        steps = self.noise.steps + self.trend + sum(p.steps for p in plants)
        return candles_of(self.noise, steps, self.noise.gap + sum(p.gap for p in plants))


def needs_trade(forms: dict[str, str]) -> bool:
    """Costs and a shut platform decide nothing but an executed trade's own life."""
    return "spread_slippage" in forms or "outage" in forms.values()


def planned_life(rng: np.random.Generator, timeframe: str, horizon: str) -> int:
    """Bars from the entry to the end of the horizon, or to when a trade is closed at the latest."""
    hours = HOURS.get(horizon)
    return int(rng.integers(30, 150)) if hours is None else hours * 3600 // BAR_SECONDS[timeframe]


def prepare(
    rng: np.random.Generator, forms: dict[str, str], noise: Noise, horizon: str, at: int
) -> Scene | None:
    """The plan of a trade entered at bar `at`; None where this market does not allow the case."""
    end = len(noise) - TAIL_BARS
    if horizon in HOURS:  # a horizon is wall-clock time, so a weekend inside shortens it
        limit = noise.time[at] + HOURS[horizon] * 3600 - noise.bar_s
        end = int(np.searchsorted(noise.time, limit, "right"))
    if end - at < _LEAST_LIFE:
        return None
    side = int(rng.choice([1, -1]))
    trend = np.zeros_like(noise.steps)
    reverting = rng.random() < 0.2
    if reverting:  # bets against moves: its regime ends when a range becomes a trend
        trending = "regime_drift" not in forms and rng.random() < 0.35
    else:
        trending = "regime_drift" in forms or rng.random() < 0.25
    if trending:
        trend = trend_before(rng, noise, at, -side if reverting else side)
    plants = [
        plant(rng, cause, form, noise, at, end, side)
        for cause, form in forms.items()
        if cause in PRICE_CAUSES and form != "outage"
    ]
    instrument = noise.instrument
    width = max(rng.uniform(0.4, 1.2) * np.sqrt(end - at), rng.uniform(3.0, 4.5))
    risk = max(int(width * noise.base * instrument.price / instrument.point), 10)
    ratio = float(rng.choice([1.0, 1.5, 2.0]))
    scene = Scene(
        *(forms, noise, horizon, at, end, side, risk, int(round(risk * ratio))),
        *(plants, trend),
    )
    known = "mean_reversion" if reverting else "trend"
    scene.strategy_kind = known if reverting or rng.random() < 0.85 else "unknown"
    scene.candles = scene.world(plants)
    claimed = _claims(rng, scene)
    if claimed is None:
        return None
    scene.claimed = claimed
    scene.verdict = judge(scene.candles, at, end, side, risk, scene.reward)
    return None if _gapped(scene) else scene


def _claims(rng: np.random.Generator, scene: Scene) -> tuple[str, ...] | None:
    """Setups the strategy says it saw; None where this market does not allow the case."""
    seen = look(scene.candles, scene.at, scene.side)
    if "detector_misid" in scene.forms:
        options = seen.absent
        if scene.forms["detector_misid"] == "wrong_side":
            other = look(scene.candles, scene.at, -scene.side).present
            options = tuple(name for name in options if name in other)
        return (str(rng.choice(options)),) if options else None
    if "false_positive" not in scene.forms and rng.random() < 0.2:
        return ()
    if not seen.present:
        return None
    count = int(rng.integers(1, len(seen.present) + 1))
    return tuple(str(name) for name in rng.permutation(list(seen.present))[:count])


def _gapped(scene: Scene) -> bool:
    """A gap of the weekend that decides the trade is a cause of its own: no such market is used."""
    life = slice(scene.at + 1, scene.verdict.bar + 1)
    adverse = -scene.side * scene.noise.gap[life] * scene.noise.instrument.price
    return bool((adverse > 0.2 * scene.risk * scene.noise.instrument.point).any())
