"""Whether days were skipped by arm: evidence against "what was traded does not depend on the arm".

Within a block of an experiment some units are on and some off, in an order that chance chose. If
the trader traded without regard to the arm, those traded are any of them: how many of the t traded
units are on is hypergeometric. Each block bets that units of one arm are left out more often; the
average over bets of their products is 100 or more by chance at most once in a hundred, on whatever
day one looks (a test martingale). It uses what was drawn, so 38 of 40 against 21 of 40 days is
seen, where 38 of 59 alone would pass for a fair coin.
"""

from __future__ import annotations

import numpy as np
from scipy.special import betaln

from trading.core.candles import F64, I64

from .measurement import Bool

# Log odds at which a unit that is on is traded rather than one that is off.
_BETS = np.array((-3.0, -2.0, -1.0, -0.5, 0.5, 1.0, 2.0, 3.0))


def skipping_evidence(block: I64, on: Bool, traded: Bool) -> float:
    """The highest e-value after any block, 1 without blocks. One entry a unit: the block that it
    is in (numbered in the order in which blocks end), its arm, and whether it was traded."""
    if not block.size:
        return 1.0
    n = np.bincount(block)
    here = n > 0
    k = np.bincount(block, on)[here].astype(np.int64)
    t = np.bincount(block, traded)[here].astype(np.int64)
    j = np.bincount(block, on & traded)[here].astype(np.int64)
    n = n[here]
    log = np.zeros((n.size, _BETS.size))
    for i in range(n.size):
        log[i] = _BETS * j[i] - _log_expected(int(n[i]), int(k[i]), int(t[i]))
    path = np.logaddexp.reduce(np.cumsum(log, axis=0), axis=1) - np.log(_BETS.size)
    return float(np.exp(min(max(float(path.max()), 0.0), 700.0)))


def _log_expected(n: int, k: int, t: int) -> F64:
    """log E[exp(bet J)] of each bet, J of t drawn from n of which k are on."""
    j = np.arange(max(0, t - (n - k)), min(k, t) + 1)
    chance = _log_choose(k, j) + _log_choose(n - k, t - j) - _log_choose(n, np.array([t]))
    expected: F64 = np.logaddexp.reduce(chance + _BETS[:, None] * j, axis=1)
    return expected


def _log_choose(n: int, k: I64) -> F64:
    found: F64 = -np.log(n + 1.0) - betaln(n - k + 1.0, k + 1.0)
    return found
