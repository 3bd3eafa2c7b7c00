"""False positive: the setup was there, but this setup loses money on this market.

Earlier results of the claimed setup (same symbol and timeframe, before the entry): the posterior
probability that its win rate lies more than 8 points under break-even, with a Beta prior centred a
little above break-even. A setup that was never there cannot be a false positive, so a detector
misidentification silences it. Under 8 results it abstains: a short streak is no evidence.
Source: Beta-binomial updating; break-even 1 / (1 + reward/risk).
"""

from __future__ import annotations

import numpy as np

from post_mortem.core.context import Context
from post_mortem.core.measures import JUMP_EXPLAINS, ramp, when
from post_mortem.core.pools import beta_below, wilson
from post_mortem.core.types import SETUPS, FactSpec, Findings, Missing
from trading.core.candles import F64, I64

CAUSE = "false_positive"
BAND = (40, 70)
LEAST_RESULTS = 8
UNDER_BREAK_EVEN = 0.08
PRIOR_ABOVE = 0.05
PRIOR_WINS = 2.0
SURE = (0.35, 0.95)
FACTS = (
    FactSpec("setup", "code", "the setup", SETUPS),
    FactSpec("n", "count", "earlier results of it"),
    FactSpec("wins", "count", "of which won"),
    FactSpec("fail_rate", "probability", "share lost"),
    FactSpec("breakeven_fail", "probability", "share that may be lost at break-even"),
    FactSpec("p_below_breakeven", "probability", "that its win rate is 8 points under break-even"),
    FactSpec("wilson_fail_lo", "probability", "lower bound of the share lost"),
    FactSpec("wilson_fail_hi", "probability", "upper bound of the share lost"),
)


def assess(context: Context) -> Findings:
    """Findings for every case: the worst of the claimed setups that were really there."""
    batch, pool = context.batch, context.batch.setup_history
    claimed = np.maximum(batch.claimed_setups, 0)
    best = {spec.key: np.full(len(context), np.nan) for spec in FACTS}
    for code in range(len(SETUPS)):
        rows = np.flatnonzero(
            (claimed >> code & 1 > 0) & (pool.start >= 0) & ~context.setups.misidentified
        )
        if rows.size:
            _keep_worst(best, rows, _results(context, code, rows), code)
    strength = ramp(best["p_below_breakeven"], *SURE)
    strength = np.where(best["n"] >= LEAST_RESULTS, strength, 0.0)
    has_claim = claimed > 0
    short = ~(best["n"] >= LEAST_RESULTS) & ~context.setups.misidentified
    missing = when(has_claim & short, Missing.SETUP_HISTORY)
    missing |= when(batch.claimed_setups < 0, Missing.CLAIMED_SETUPS)
    present = context.jump.strength < JUMP_EXPLAINS
    return context.findings(CAUSE, BAND, strength, best, missing=missing, precondition=present)


def _keep_worst(best: dict[str, F64], rows: I64, found: dict[str, F64], code: int) -> None:
    """Write the results of one setup where they are worse than what is kept so far."""
    found["setup"] = np.full(rows.size, float(code))
    worse = ~(found["p_below_breakeven"] <= best["p_below_breakeven"][rows])
    worse &= (found["n"] > 0) & ~(best["n"][rows] > 0) | (found["n"] >= LEAST_RESULTS)
    for key, values in found.items():
        best[key][rows[worse]] = values[worse]


def _results(context: Context, code: int, rows: I64) -> dict[str, F64]:
    pool = context.batch.setup_history
    same = pool.setup == code
    counted = np.concatenate([[0], np.cumsum(same)])
    won = np.concatenate([[0], np.cumsum(same & pool.won)])
    planned = np.concatenate(
        [[0], np.cumsum(np.where(same, np.rint(np.nan_to_num(pool.reward_risk) * 1e4), 0))]
    ).astype(np.int64)
    start, stop = pool.start[rows], pool.stop[rows]
    n, wins = counted[stop] - counted[start], won[stop] - won[start]
    ratio = (planned[stop] - planned[start]) / np.maximum(n, 1) / 1e4
    even = 1.0 / (1.0 + np.where(ratio > 0, ratio, 1.0))
    low, high = wilson(wins, n)
    total = PRIOR_WINS / np.minimum(even + PRIOR_ABOVE, 0.95)
    below = beta_below(
        np.maximum(even - UNDER_BREAK_EVEN, 0.0), PRIOR_WINS + wins, total - PRIOR_WINS + n - wins
    )
    return {
        "n": n.astype(np.float64),
        "wins": wins.astype(np.float64),
        "fail_rate": np.where(n > 0, 1 - wins / np.maximum(n, 1), np.nan),
        "breakeven_fail": np.where(n > 0, 1 - even, np.nan),
        "p_below_breakeven": np.where(n >= LEAST_RESULTS, below, np.nan),
        "wilson_fail_lo": np.where(n > 0, 1 - high, np.nan),
        "wilson_fail_hi": np.where(n > 0, 1 - low, np.nan),
    }
