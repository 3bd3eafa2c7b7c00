"""What chance alone gives: the results of the trades dealt to them anew, whole days together.

A kind of trades differs from the others by some R. How much such a difference scatters by chance is
not assumed but counted: results change places many times, those of one day staying together because
they share their market, and every time every kind is compared anew. The chance of a kind is the
share of deals in which *any* kind came out as far from zero as it did, so it is corrected for all
that were tried, however alike they are, and holds for small kinds and skewed results too (Westfall
and Young 1993, single step).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from trading.core.candles import F64, I64
from trading.core.types import NS_PER_DAY

Bool = NDArray[np.bool_]

DEALS = 499
_AT_ONCE = 256


@dataclass(frozen=True, slots=True, eq=False)
class Chances:
    """One value a kind: the difference of its mean R to that of the other trades, the standard
    error of that difference by chance (R), and the chance corrected for all kinds, 0-1."""

    effect: F64
    error: F64
    chance: F64


def chances(kinds: Iterable[Bool], r: F64, entry: I64, *, seed: int, deals: int = DEALS) -> Chances:
    """Judge kinds of trades, each a mask over the N trades with neither all nor none of them.

    `r` finite, `entry` ns; trades in order of entry. The same seed gives the same answer."""
    results = np.column_stack([r, *_deals(r, entry, deals, seed)]).astype(np.float32)
    total, n = float(r.sum()), r.size
    parts = []
    for masks in _batches(kinds):
        count = masks.sum(axis=1, keepdims=True)
        inside = masks.astype(np.float32) @ results
        parts.append(inside / count - (total - inside) / (n - count))
    if not parts:
        nothing = np.zeros(0)
        return Chances(nothing, nothing, nothing)
    found = np.concatenate(parts)
    effect, dealt = found[:, 0].astype(np.float64), found[:, 1:]
    error = np.maximum(dealt.std(axis=1, dtype=np.float64), 1e-9)
    furthest = (np.abs(dealt) / error[:, None]).max(axis=0)
    # A deal that equals what was found but for rounding counts as one that reached it.
    reached = furthest[None, :] >= (np.abs(effect) / error)[:, None] * (1 - 1e-5)
    return Chances(effect, error, (1 + reached.sum(axis=1)) / (deals + 1))


def _deals(r: F64, entry: I64, deals: int, seed: int) -> Iterator[F64]:
    """The results in the order of shuffled days."""
    _, day = np.unique(entry // NS_PER_DAY, return_inverse=True)
    days = int(day.max()) + 1 if day.size else 0
    rng = np.random.default_rng(seed)
    for _ in range(deals):
        yield r[np.argsort(rng.permutation(days)[day], kind="stable")]


def _batches(kinds: Iterable[Bool]) -> Iterator[Bool]:
    each = iter(kinds)
    while batch := list(islice(each, _AT_ONCE)):
        yield np.stack(batch)
