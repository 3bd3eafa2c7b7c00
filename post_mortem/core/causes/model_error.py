"""Model error: the score that made the trade promises more than such scores ever delivered.

Earlier trades of the same model version within 10 points of the score: the claimed win rate is
their mean score, the realised one is bounded by Wilson's interval (z = 1.28). Over-confidence
counts only beyond the upper bound, so a calibrated 80 % model that loses one in five is no
evidence. A trade taken below the strategy's minimum score is its own subtype. Needs a score that is
a probability and 8 comparable trades, known before the entry; else it abstains.
Source: Wilson (1927); reliability of probability forecasts.
"""

from __future__ import annotations

import numpy as np

from post_mortem.core.context import Context
from post_mortem.core.measures import JUMP_EXPLAINS, ramp, when
from post_mortem.core.pools import wilson
from post_mortem.core.types import FactSpec, Findings, Missing, ScoreSemantics
from trading.core.candles import F64, I64

CAUSE = "model_error"
BAND = (60, 75)
NEAR = 10  # points of score, after rounding to whole points
LEAST_TRADES = 8
GAP_BEYOND_BOUND = (-0.02, 0.15)
GAP = (0.10, 0.25)
BELOW_THRESHOLD = 0.9
FACTS = (
    FactSpec("subtype", "code", "what is wrong", ("over_confident", "taken_below_threshold")),
    FactSpec("score", "score", "score of the signal"),
    FactSpec("min_score", "score", "least score the strategy takes"),
    FactSpec("claimed_p", "probability", "mean claimed win rate of comparable trades"),
    FactSpec("realised_p", "probability", "their realised win rate"),
    FactSpec("n_bin", "count", "comparable trades"),
    FactSpec("wilson_lo", "probability", "lower bound of the realised win rate"),
    FactSpec("wilson_hi", "probability", "upper bound of the realised win rate"),
)


def assess(context: Context) -> Findings:
    """Findings for every case."""
    batch = context.batch
    n, wins, claimed = _comparable(context)
    enough = n >= LEAST_TRADES
    probability = batch.score_semantics != ScoreSemantics.RANK
    claimed = np.where(enough, claimed, np.nan)
    realised = np.where(enough, wins / np.maximum(n, 1), np.nan)
    low, high = wilson(wins, n)
    over = ramp(claimed - high, *GAP_BEYOND_BOUND) * ramp(claimed - realised, *GAP)
    over = np.where(enough & probability, over, 0.0)
    below = batch.executed & (batch.score < batch.min_score)
    strength = np.where(below, np.maximum(BELOW_THRESHOLD, over), over)
    facts = {
        "subtype": np.where(strength > 0, below.astype(np.float64), np.nan),
        "score": batch.score,
        "min_score": batch.min_score,
        "claimed_p": claimed,
        "realised_p": realised,
        "n_bin": n.astype(np.float64),
        "wilson_lo": np.where(enough, low, np.nan),
        "wilson_hi": np.where(enough, high, np.nan),
    }
    scored = np.isfinite(batch.score)
    missing = when(~scored, Missing.SCORE)
    missing |= when(scored & probability & ~enough, Missing.MODEL_HISTORY)
    present = context.jump.strength < JUMP_EXPLAINS
    return context.findings(CAUSE, BAND, strength, facts, missing=missing, precondition=present)


def _comparable(context: Context) -> tuple[I64, I64, F64]:
    """Number, wins and mean claimed win rate of earlier trades with a near score."""
    batch, pool = context.batch, context.batch.model_history
    n, wins, claimed = (np.zeros(len(batch), np.int64) for _ in range(3))
    rows = np.flatnonzero((pool.start >= 0) & np.isfinite(batch.score))
    if not rows.size or not pool.score.size:
        return n, wins, np.full(len(batch), np.nan)
    # Rows grouped by whole score, in time order inside a group: a group's part of any window of
    # the pool is one slice, found by binary search.
    size = pool.score.size + 1
    group = np.rint(pool.score).astype(np.int64)
    order = np.argsort(group, kind="stable")
    keys = group[order] * size + order
    won = np.concatenate([[0], np.cumsum(pool.won[order].astype(np.int64))])
    cents = np.concatenate([[0], np.cumsum(np.rint(pool.score[order] * 100).astype(np.int64))])
    near = np.rint(batch.score[rows]).astype(np.int64)
    groups = (near + np.arange(-NEAR, NEAR + 1)[:, None]) * size
    lo = np.searchsorted(keys, groups + pool.start[rows])
    hi = np.searchsorted(keys, groups + pool.stop[rows])
    n[rows] = (hi - lo).sum(axis=0)
    wins[rows] = (won[hi] - won[lo]).sum(axis=0)
    claimed[rows] = (cents[hi] - cents[lo]).sum(axis=0)
    return n, wins, claimed / np.maximum(n, 1) / 1e4
