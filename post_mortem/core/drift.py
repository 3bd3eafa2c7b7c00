"""How much more a difference of two periods varies because edges wander.

Returns of a strategy look independent from trade to trade, and yet its edge moves slowly, so two
long stretches differ by more than their trades' scatter says. What the market does to all cells
alike is gone once they are compared with each other; what is left of a cell is taken as white
noise plus an Ornstein-Uhlenbeck edge of relative variance q and memory T trades. Means of blocks of
20 trades before the change, as deviations from their common mean, are split into frequencies
(orthonormal cosines), whose sizes say which (q, T) are likely. The answer is the distribution over
a grid, not one estimate: few blocks leave it wide, and what is judged with it stays careful.

Before and after the change are split apart, so a constant effect of the change is no drift; across
it only cells are compared that nothing was done to.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.fft import dct

from trading.core.candles import F64

BLOCK = 20
# Variance of the edge over that of a trade: 0.01 is an edge that wanders 0.15 R at 1.5 R a trade.
SHARES = (0.0, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128)
MEMORIES = (20.0, 60.0, 180.0)
POINTS = len(SHARES) * len(MEMORIES)
# Belief before any block is seen: small shares are likelier, by halves.
_PRIOR = (0.32, 0.20, 0.18, 0.14, 0.09, 0.05, 0.02)


@lru_cache(maxsize=1)
def grid() -> tuple[F64, F64, F64]:
    """(share, memory, prior chance) of every point."""
    share, memory = (a.ravel() for a in np.meshgrid(SHARES, MEMORIES, indexing="ij"))
    prior = np.repeat(np.array(_PRIOR) / len(MEMORIES), len(MEMORIES))
    return share, memory, prior / prior.sum()


def beliefs(evidence: F64) -> F64:
    """(K, grid) chance of every point, given log-likelihoods."""
    fit = np.log(grid()[2]) + evidence
    weight = np.exp(fit - fit.max(axis=1, keepdims=True))
    return np.asarray(weight / weight.sum(axis=1, keepdims=True), np.float64)


def of_blocks(deviation: F64, white: F64, unit: float) -> F64:
    """(grid,) log-likelihood of neighbouring blocks on one side of the change.

    `deviation` (units, blocks): mean R of a block less the mean of all units in that block.
    `white` (blocks,): what their squares, summed over units, are worth without drift, NaN where a
    block says nothing; `unit`: the same for the variances of a trade, that a share of 1 would add.
    """
    told = np.isfinite(white)
    deviation, white = deviation[:, told], white[told]
    units, blocks = deviation.shape
    usual = float(white.mean()) if blocks else 0.0
    if blocks < 2 or units < 2 or usual <= 0:
        return np.zeros(POINTS)
    wave = deviation @ _cosines(blocks)
    size = (wave * wave).sum(axis=0) / usual
    level = 1 + _spectrum(blocks) * (unit / usual)
    return np.asarray(-0.5 * (units - 1) * (np.log(level) + size / level).sum(axis=1), np.float64)


def of_sides(change: F64, white: F64, unit: float, moved: F64) -> F64:
    """(K, grid) log-likelihood of how far cells that nothing was done to moved apart across the
    change: `change` (units, K) is each one's mean after less before, `white` (K,) and `unit` as
    above, `moved` (K, grid) what `added` says of the two sides."""
    units = change.shape[0]
    if units < 2 or not bool((white > 0).all()):
        return np.zeros(moved.shape)
    off = change - change.mean(axis=0)
    level = 1 + moved * (unit / white)[:, None]
    size = ((off * off).sum(axis=0) / white)[:, None]
    return np.asarray(-0.5 * (units - 1) * (np.log(level) + size / level), np.float64)


@lru_cache(maxsize=256)
def _cosines(blocks: int) -> F64:
    """(blocks, blocks - 1) orthonormal cosines without the constant one."""
    return np.asarray(dct(np.eye(blocks), type=2, norm="ortho", axis=0)[1:].T.copy(), np.float64)


@lru_cache(maxsize=256)
def _spectrum(blocks: int) -> F64:
    """(grid, blocks - 1): variance of each cosine of block means of the edge, for a trade of
    variance 1."""
    share, memory, _ = grid()
    index = np.arange(BLOCK)
    basis = _cosines(blocks).T
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
