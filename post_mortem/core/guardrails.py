"""What stops an experiment early: the arm that is on does clear harm. One-sided, and proposals.

Three rails: mean R a trade (its own one-sided spending, at every look of the plan), the drawdown in
R of the trades that were on (against what the record before the change does by chance), and the
count of trades a day that was traded (a rule that halves it changes what is compared).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trading.core.candles import F64

from .arms import ArmDays, difference
from .spending import boundaries

HARM_ALPHA = 0.05
DRAWDOWN_TIMES = 1.5
_QUANTILE = 0.95
_BLOCK = 10
_PATHS = 2000
LEAST_BASELINE = 60
COUNT_RATIO = (0.5, 2.0)
_LEAST_DAYS = 10


@dataclass(frozen=True, slots=True)
class Rail:
    """`state`: fine, tripped, or unknown (not enough to say). `value` against `limit`, whose
    meaning `sentence` tells."""

    name: str
    state: str
    value: float | None
    limit: float | None
    sentence: str


def guardrails(
    days: ArmDays, looks: tuple[int, ...], on_r: F64, before_r: F64, *, seed: int
) -> tuple[Rail, Rail, Rail]:
    """`days` of the experiment, `looks` in trades per arm, `on_r` R of the trades that were on and
    `before_r` R from before the change, both in time order."""
    return (
        _mean_rail(days, looks),
        _drawdown_rail(on_r, before_r, seed),
        _count_rail(days),
    )


def _mean_rail(days: ArmDays, looks: tuple[int, ...]) -> Rail:
    both = np.cumsum(days.count)
    fractions = tuple(n / looks[-1] for n in looks)
    # Both sides at twice the level is one side at the level.
    bounds = boundaries(fractions, 2 * HARM_ALPHA)
    z, limit = None, None
    for n, bound in zip(looks, bounds, strict=True):
        at = int(np.searchsorted(both, 2 * n))
        if at >= both.size:
            break
        found = difference(days, at + 1)
        if found is None:  # a look within the first days: later ones can say more
            continue
        z, limit = found.z(), -bound
        if z <= limit:
            sentence = f"Days that were on did worse at {n} trades per arm: stop."
            return Rail("mean_r", "tripped", z, limit, sentence)
    if z is None:
        return Rail("mean_r", "unknown", None, None, "Too few trades to compare the arms.")
    return Rail("mean_r", "fine", z, limit, "No sign that days that were on did worse.")


def _drawdown_rail(on_r: F64, before_r: F64, seed: int) -> Rail:
    if before_r.size < LEAST_BASELINE or not on_r.size:
        return Rail("drawdown", "unknown", None, None, "Too few trades from before the change.")
    usual = usual_drawdown(before_r, on_r.size, seed=seed)
    value, limit = max_drawdown(on_r), DRAWDOWN_TIMES * usual
    if value > limit:
        return Rail("drawdown", "tripped", value, limit, "A deeper drawdown than chance: stop.")
    return Rail("drawdown", "fine", value, limit, "The drawdown is within what chance brings.")


def _count_rail(days: ArmDays) -> Rail:
    counts = [days.count[days.on], days.count[~days.on]]
    if min(c.size for c in counts) < _LEAST_DAYS:
        return Rail("trade_count", "unknown", None, None, "Too few days to compare counts.")
    ratio = float(counts[0].mean() / counts[1].mean())
    low, high = COUNT_RATIO
    if not low <= ratio <= high:
        limit = low if ratio < low else high
        sentence = "The rule changes how much is traded: compare R a day, not R a trade."
        return Rail("trade_count", "tripped", ratio, limit, sentence)
    return Rail("trade_count", "fine", ratio, None, "Both arms trade about as often.")


def max_drawdown(r: F64) -> float:
    """Deepest fall of the running sum of R below its highest point so far, from 0 on."""
    path = np.append(0.0, np.cumsum(r))
    return float((np.maximum.accumulate(path) - path).max())


def usual_drawdown(before: F64, n: int, *, seed: int) -> float:
    """95th percentile of the drawdown of `n` trades drawn from `before` in blocks of ten."""
    rng = np.random.default_rng(seed)
    block = min(_BLOCK, before.size)
    starts = rng.integers(0, before.size - block + 1, (_PATHS, -(-n // block)))
    index = (starts[:, :, None] + np.arange(block)).reshape(_PATHS, -1)[:, :n]
    path = np.cumsum(before[index], axis=1)
    path = np.concatenate([np.zeros((_PATHS, 1)), path], axis=1)
    falls = (np.maximum.accumulate(path, axis=1) - path).max(axis=1)
    return float(np.quantile(falls, _QUANTILE))
