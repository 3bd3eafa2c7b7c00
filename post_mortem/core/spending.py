"""Boundaries for looking at a growing sample several times without being wrong more often.

Lan and DeMets (1983): a function says how much of the chance of a false alarm may be spent by each
share of the information; the boundary at each look spends what was added since the look before.
Crossing chances follow from the recursion of Armitage, McPherson and Rowe (1969) for the values
W(t) = Z(t) sqrt(t), a Brownian motion, integrated by Gauss-Legendre quadrature.

Boundaries are symmetric and two-sided, on the scale of a standard normal Z. Fractions of the
information rise to at most 1. Everything is deterministic and cached.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri

from trading.core.candles import F64

OBRIEN_FLEMING = "obrien_fleming"
POWER = "power"
FAMILIES = (OBRIEN_FLEMING, POWER)
_POWER_OF_TIME = 3.0
# Beyond this a standard normal has no mass that matters (1e-15); less is never spent.
_FAR = 8.0
_LEAST_SPENT = 1e-13


def spent(fraction: float, alpha: float, family: str = OBRIEN_FLEMING) -> float:
    """Chance of a false alarm spent by `fraction` (0-1] of the information, of `alpha` in all.

    `obrien_fleming`: 2 - 2 Phi(z_{alpha/2} / sqrt t), which spends next to nothing early;
    `power`: alpha t^3 (Kim and DeMets 1987). Raises ValueError on another family.
    """
    if family == OBRIEN_FLEMING:
        return float(2 * ndtr(ndtri(alpha / 2) / np.sqrt(fraction)))
    if family == POWER:
        return float(alpha * fraction**_POWER_OF_TIME)
    raise ValueError(f"unknown spending family {family!r}, expected one of {FAMILIES}")


@dataclass(frozen=True, slots=True, eq=False)
class _Look:
    """One look: what W had reached before it without crossing (nodes and their mass), the scale,
    the chance spent before it, and its boundary on Z."""

    nodes: F64
    mass: F64
    root: float
    step: float
    before: float
    bound: float

    def beyond(self, z: float) -> float:
        """Chance to get here without having crossed and be beyond z now."""
        edge = z * self.root
        tails = ndtr((-edge - self.nodes) / self.step) + ndtr((self.nodes - edge) / self.step)
        return float(self.mass @ tails)


def boundaries(
    fractions: tuple[float, ...],
    alpha: float = 0.05,
    family: str = OBRIEN_FLEMING,
    *,
    per_side: bool = False,
) -> tuple[float, ...]:
    """|Z| to reach at each look; inf where nothing is spent yet.

    `per_side` spends alpha/2 on each side by the function of alpha/2, as most published tables do,
    instead of alpha on both together. Raises ValueError on fractions that do not rise in (0, 1].
    """
    return tuple(look.bound for look in _looks(tuple(fractions), alpha, family, per_side))


def overall_p(
    fractions: tuple[float, ...],
    look: int,
    z: float,
    alpha: float = 0.05,
    family: str = OBRIEN_FLEMING,
) -> float:
    """Two-sided p of |Z| = z at `look` (from 0), no earlier look having crossed: the chance under
    no effect to cross at an earlier look or to be at least as far now (stage-wise ordering)."""
    at = _looks(tuple(fractions), alpha, family, False)[look]
    return min(1.0, at.before + at.beyond(abs(z)))


@lru_cache(maxsize=4096)
def _looks(
    fractions: tuple[float, ...], alpha: float, family: str, per_side: bool
) -> tuple[_Look, ...]:
    _check(fractions, alpha)
    nodes, mass = np.zeros(1), np.ones(1)
    before, looks, last = 0.0, [], 0.0
    for fraction in fractions:
        total = (
            2 * spent(fraction, alpha / 2, family) if per_side else spent(fraction, alpha, family)
        )
        open_look = _Look(
            nodes, mass, float(np.sqrt(fraction)), float(np.sqrt(fraction - last)), before, np.inf
        )
        bound = _bound(open_look, total - before)
        look = _Look(open_look.nodes, open_look.mass, open_look.root, open_look.step, before, bound)
        looks.append(look)
        if np.isfinite(bound):
            before = total
        nodes, mass = _onwards(look)
        last = fraction
    return tuple(looks)


def _check(fractions: tuple[float, ...], alpha: float) -> None:
    rising = all(a < b for a, b in pairwise(fractions))
    if not fractions or not rising or fractions[0] <= 0 or fractions[-1] > 1 + 1e-12:
        raise ValueError(f"fractions must rise within (0, 1], got {fractions}")
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must lie within (0, 1), got {alpha}")


def _bound(look: _Look, to_spend: float) -> float:
    if to_spend < _LEAST_SPENT:
        return float("inf")
    if look.beyond(0.0) <= to_spend:
        return 0.0
    return float(brentq(lambda z: look.beyond(z) - to_spend, 0.0, _FAR + 1, xtol=1e-10))


def _onwards(look: _Look) -> tuple[F64, F64]:
    """Where W is after this look without having crossed: nodes of the quadrature and their mass."""
    edge = min(look.bound, _FAR) * look.root
    # Nodes closer together than a third of the step keep the kernel smooth between them.
    count = int(np.clip(6 * edge / look.step, 64, 2048))
    unit, weight = _legendre(count)
    nodes = edge * unit
    density = np.exp(-0.5 * ((nodes[:, None] - look.nodes) / look.step) ** 2) @ look.mass
    return nodes, weight * edge * density / (look.step * np.sqrt(2 * np.pi))


@lru_cache(maxsize=64)
def _legendre(count: int) -> tuple[F64, F64]:
    unit, weight = np.polynomial.legendre.leggauss(count)
    return unit, weight
