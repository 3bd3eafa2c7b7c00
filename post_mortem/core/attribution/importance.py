"""How much worse later predictions get when features are shuffled, correlated ones together.

Features that say the same hide each other when shuffled alone, so they are grouped first: average
linkage on 1 - |Spearman|, between two features the largest among their columns. The log-odds are a
sum over features, so shuffling a group costs one addition instead of one prediction.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from post_mortem.core.logistic import log_loss
from trading.core.candles import F64, I64

from .model import Design, Term, contributions
from .skill import Later

REPEATS = 10
MOST_ROWS = 10_000
LINKED_FROM = 0.5  # |Spearman| from which features are shuffled together


@dataclass(frozen=True, slots=True)
class Importance:
    """Mean rise of the log-loss when these features are shuffled, and its spread over repeats."""

    features: tuple[int, ...]
    rise: float
    spread: float


def linked_features(terms: tuple[Term, ...], design: Design) -> list[tuple[int, ...]]:
    """Groups of features that say much the same; a feature without a term is in none."""
    of = np.array([term.feature for term in terms], np.int64)
    features = np.unique(of)
    if features.size < 2:
        return [(int(f),) for f in features]
    ranks = np.apply_along_axis(mean_ranks, 0, design[_spread_rows(design.shape[0])])
    ranks -= ranks.mean(axis=0)
    norm = np.sqrt((ranks * ranks).sum(axis=0))
    ranks /= np.where(norm > 0, norm, 1.0)
    alike = np.abs(ranks.T @ ranks)
    close = np.array([[alike[np.ix_(of == a, of == b)].max() for b in features] for a in features])
    return _linked([(int(f),) for f in features], (close + close.T) / 2)


def _linked(groups: list[tuple[int, ...]], alike: NDArray[np.float64]) -> list[tuple[int, ...]]:
    """Join the two groups most alike on average until none are alike enough; `alike` is between
    the single features the groups begin as."""
    alike = alike.copy()
    np.fill_diagonal(alike, -1.0)
    while len(groups) > 1 and alike.max() >= LINKED_FROM:
        a, b = sorted(int(i) for i in np.unravel_index(int(alike.argmax()), alike.shape))
        sizes = len(groups[a]), len(groups[b])
        alike[a] = alike[:, a] = (alike[a] * sizes[0] + alike[b] * sizes[1]) / sum(sizes)
        alike[a, a] = -1.0
        alike = np.delete(np.delete(alike, b, axis=0), b, axis=1)
        groups = [*groups[:a], tuple(sorted(groups[a] + groups[b])), *groups[a + 1 :]]
        del groups[b]
    return groups


def mean_ranks(values: F64) -> F64:
    """Ranks from 1; equal values share the mean of theirs."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(count) - (count - 1) / 2)[place]


def permutation_importance(
    later: list[Later], won: F64, groups: list[tuple[int, ...]], *, seed: int
) -> list[Importance]:
    """One figure a group over at most MOST_ROWS later trades, largest first.

    Shuffled within a fold, so that each model is asked about its own time only."""
    rng = np.random.default_rng(seed)
    total = sum(part.rows.size for part in later)
    rises = np.zeros((len(groups), REPEATS))
    used = 0
    for part in later:
        rows = _spread_rows(part.rows.size, max(1, MOST_ROWS * part.rows.size // total))
        used += rows.size
        y, odds = won[part.rows[rows]], part.log_odds[rows]
        plain = log_loss(odds, y).sum()
        parts = _of_groups(contributions(part.model, part.design[rows]), groups)
        for repeat in range(REPEATS):
            order = rng.permutation(rows.size)
            for g in range(len(groups)):
                shuffled = odds - parts[:, g] + parts[order, g]
                rises[g, repeat] += log_loss(shuffled, y).sum() - plain
    rises /= max(used, 1)
    found = [
        Importance(group, float(row.mean()), float(row.std(ddof=1)))
        for group, row in zip(groups, rises, strict=True)
    ]
    return sorted(found, key=lambda one: (-one.rise, one.features))


def _of_groups(
    contributed: NDArray[np.float64], groups: list[tuple[int, ...]]
) -> NDArray[np.float64]:
    return np.column_stack([contributed[:, list(group)].sum(axis=1) for group in groups])


def _spread_rows(n: int, most: int = MOST_ROWS) -> I64:
    """At most so many row numbers, evenly over all."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).astype(np.int64))
