"""Volatility spike: prices became so much wilder after the entry that the stop lay inside noise.

v* compares the volatility of the run-up to the exit with what the hours and days before the entry
led to expect, deseasonalised and without single jumps, discounted for short run-ups. A market that
was wild already when the trade was entered has not become so. A jump explains the loss better and
discounts it, and so does an empty book, in which prices jump about. A life under 6 bars shows
nothing.
Source: ranges of Parkinson (1980); expectation after Corsi (2009), a blend of three horizons.
"""

from __future__ import annotations

import numpy as np

from post_mortem.core.context import Context
from post_mortem.core.features import RETURN_UNIT
from post_mortem.core.measures import JUMP_EXPLAINS, VOLATILITY_LEAST_LIFE, when
from post_mortem.core.types import FactSpec, Findings, Missing
from trading.core.candles import F64

CAUSE = "volatility_spike"
BAND = (35, 70)
JUMP_DISCOUNT = 0.85
FACTS = (
    FactSpec("v_star", "ratio", "volatility before the exit against the expected, less chance"),
    FactSpec("window_bars", "bars", "length of the run-up that shows it"),
    FactSpec("naive_ratio", "ratio", "volatility of the whole life against that before the entry"),
    FactSpec("sigma_pre_r", "R", "usual size of one bar's move before the entry"),
    FactSpec("stop_in_sigma", "ratio", "risk against the usual move over as many bars as the life"),
)


def assess(context: Context) -> Findings:
    """Findings for every case; without a volatility before the entry it cannot be checked."""
    life, volatility = context.life, context.volatility
    strength = volatility.strength * (1 - JUMP_DISCOUNT * context.jump.strength)
    strength *= 1 - context.thin.strength
    move = life.sigma * context.batch.entry_price / life.risk
    bars = np.where(life.bars > 0, life.bars, np.nan)
    facts = {
        "v_star": volatility.ratio,
        "window_bars": volatility.window,
        "naive_ratio": _whole_life(context),
        "sigma_pre_r": move,
        "stop_in_sigma": 1.0 / (move * np.sqrt(bars)),
    }
    known = np.isfinite(life.sigma)
    long_enough = life.bars >= VOLATILITY_LEAST_LIFE
    missing = when(~known, Missing.BARS_BEFORE) | when(~long_enough, Missing.BARS_IN_LIFE)
    present = ~known & long_enough & (context.jump.strength < JUMP_EXPLAINS)
    return context.findings(CAUSE, BAND, strength, facts, missing=missing, precondition=present)


def _whole_life(context: Context) -> F64:
    """Close-to-close volatility of the life, jumps and all, against sigma before the entry."""
    life, features = context.life, context.features
    path = (features.d_abs_sum[life.exit + 1] - features.d_abs_sum[life.first]) * RETURN_UNIT
    mean = path / np.maximum(life.bars, 1)
    return np.where(life.alive, mean * np.sqrt(np.pi / 2) / life.sigma, np.nan)
