"""How much more a difference of two periods varies because edges wander.

Returns of a strategy look independent from trade to trade, and yet its edge moves slowly, so two
long stretches differ by more than their trades' scatter says. What the market does to all cells
alike is gone once they are compared with each other; what is left of a cell is taken as white
noise plus an Ornstein-Uhlenbeck edge of relative variance q and memory T trades. Means of blocks of
20 trades before the change, as deviations from their common mean, are split into frequencies
(orthonormal cosines), whose sizes say which (q, T) are likely. The answer is the distribution over
a grid, not one estimate: few blocks leave it wide, and what is judged with it stays careful.

Only trades from before the change are read, so no effect can hide in it.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.fft import dct

from trading.core.candles import F64

BLOCK = 20
# Variance of the edge over that of a trade: 0.01 is an edge that wanders 0.15 R at 1.5 R a trade.
SHARES = (0.0, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128)
MEMORIES = (15.0, 40.0, 100.0, 300.0)
# Belief before any block is seen: small shares are likelier, by halves.
_PRIOR = (0.30, 0.20, 0.16, 0.13, 0.10, 0.07, 0.04)


def grid() -> tuple[F64, F64, F64]:
    """(share, memory, prior chance) of every point."""
    share, memory = (a.ravel() for a in np.meshgrid(SHARES, MEMORIES, indexing="ij"))
    prior = np.repeat(np.array(_PRIOR) / len(MEMORIES), len(MEMORIES))
    return share, memory, prior / prior.sum()


def beliefs(deviation: F64, white: float, unit: float) -> F64:
    """Chance of every point of the grid, given blocks before the change.

    `deviation` (units, blocks): mean R of a block less the mean of all units in that block.
    `white`: what the squared deviations of one block, summed over units, are worth without drift;
    `unit`: the same sum of the units' variances of a single trade, that a share of 1 would add.
    """
    units, blocks = deviation.shape
    _, _, prior = grid()
    if blocks < 2 or units < 2 or white <= 0:
        return prior
    size = (dct(deviation, type=2, norm="ortho", axis=1)[:, 1:] ** 2).sum(axis=0) / white
    level = 1 + _spectrum(blocks) * (unit / white)
    fit = -0.5 * ((units - 1) * np.log(level) + (units - 1) * size / level).sum(axis=1)
    weight = prior * np.exp(fit - fit.max())
    return np.asarray(weight / weight.sum(), np.float64)


@lru_cache(maxsize=256)
def _spectrum(blocks: int) -> F64:
    """(grid, blocks - 1): variance of each cosine of block means of the edge, for a trade of
    variance 1."""
    share, memory, _ = grid()
    index = np.arange(BLOCK)
    basis = dct(np.eye(blocks), type=2, norm="ortho", axis=0)[1:]
    lag = np.abs(np.subtract.outer(np.arange(blocks), np.arange(blocks)))
    rows = []
    for q, t in zip(share, memory, strict=True):
        rho = np.exp(-1 / t)
        inner = np.array(
            [(rho ** np.abs(d * BLOCK + index[:, None] - index)).mean() for d in range(blocks)]
        )
        rows.append(q * np.einsum("ki,ij,kj->k", basis, inner[lag], basis))
    return np.array(rows)


@lru_cache(maxsize=8192)
def added(before: int, after: int) -> F64:
    """(grid,) variance that the wandering edge adds to the difference of the means of `before` and
    `after` neighbouring trades, for a trade of variance 1."""
    share, memory, _ = grid()
    rho = np.exp(-1 / memory)
    both = rho * (1 - rho**before) * (1 - rho**after) / (1 - rho) ** 2 / (before * after)
    return np.asarray(share * (_of_mean(rho, before) + _of_mean(rho, after) - 2 * both), np.float64)


def _of_mean(rho: F64, n: int) -> F64:
    """Variance of the mean of n neighbouring values of a unit AR(1)."""
    return np.asarray(
        (1 + rho) / (1 - rho) / n - 2 * rho * (1 - rho**n) / (1 - rho) ** 2 / n**2, np.float64
    )
