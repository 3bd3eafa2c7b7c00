"""What advice brings a month, in R and in money, against what it costs.

Benefit a month = shrunk effect in R a trade x covered trades a month x risk a trade. Its interval
is that of the effect. A return is (benefit over the horizon - cost) / cost; without a cost there is
none, and the benefit alone is told.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from trading.core.candles import F64
from trading.core.errors import UserError

HORIZON_MONTHS = 3.0
DAYS_A_MONTH = 30.4375
_Z95 = float(-ndtri(0.025))

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Cost:
    """What advice takes: hours once, at a rate, money a month, and R a month forgone."""

    hours: float = 0.0
    hourly_rate: float = 0.0
    monthly: float = 0.0
    forgone_r_a_month: float = 0.0


@dataclass(frozen=True, slots=True)
class Roi:
    """R and money a month with 95 % intervals; `money_*`, `cost`, `ratio` are None without a risk
    a trade in money, `ratio` also where the cost is 0."""

    r_a_month: float
    r_interval: Interval
    money_a_month: float | None
    money_interval: Interval | None
    cost: float | None
    ratio: float | None
    ratio_interval: Interval | None
    months: float


def roi(
    effect_r: float,
    ci: Interval,
    trades_a_month: float,
    *,
    risk_a_trade: float | None = None,
    cost: Cost | None = None,
    months: float = HORIZON_MONTHS,
) -> Roi:
    """Benefit and return of an effect (R a trade, shrunk) with the interval `ci` of the estimate.

    `risk_a_trade` is the money behind 1 R. Raises UserError on a negative count, risk, cost or
    horizon.
    """
    spent = cost or Cost()
    given = (trades_a_month, months, spent.hours, spent.hourly_rate, spent.monthly)
    if min(given) < 0 or (risk_a_trade is not None and risk_a_trade <= 0) or not months:
        raise UserError("bad_roi", "counts, costs and the horizon cannot be negative")
    low, high = (trades_a_month * bound - spent.forgone_r_a_month for bound in ci)
    gain = trades_a_month * effect_r - spent.forgone_r_a_month
    if risk_a_trade is None:
        return Roi(gain, (low, high), None, None, None, None, None, months)
    money = (gain * risk_a_trade, (low * risk_a_trade, high * risk_a_trade))
    total = spent.hours * spent.hourly_rate + spent.monthly * months
    if total == 0:
        return Roi(gain, (low, high), *money, 0.0, None, None, months)

    def ratio(benefit: float) -> float:
        return (benefit * months - total) / total

    ends = (ratio(money[1][0]), ratio(money[1][1]))
    return Roi(gain, (low, high), *money, total, ratio(money[0]), ends, months)


@dataclass(frozen=True, slots=True)
class TypeEffect:
    """Mean effect of a type of advice in R a trade, over `n` verified pieces, with its 95 %
    interval and the spread of true effects between them (`tau`)."""

    mean_r: float
    interval: Interval
    tau: float
    n: int


def pooled_effect(effects: Sequence[tuple[float, float]]) -> TypeEffect | None:
    """Random-effects mean of (estimate, standard error); the spread between is DerSimonian and
    Laird's, the interval Hartung and Knapp's where it is wider. None without any."""
    if not effects:
        return None
    y = np.array([e for e, _ in effects], np.float64)
    v = np.array([s * s for _, s in effects], np.float64)
    if not bool((v > 0).all() and np.isfinite(y).all()):
        raise UserError("bad_effects", "effects: expected finite estimates and errors above 0")
    tau2 = _between(y, v)
    w = 1 / (v + tau2)
    mean = float((w * y).sum() / w.sum())
    error = math.sqrt(1 / float(w.sum()))
    if y.size > 2:
        spread = math.sqrt(float((w * (y - mean) ** 2).sum()) / (y.size - 1) / float(w.sum()))
        error = max(error, spread)
    half = _Z95 * error
    return TypeEffect(mean, (mean - half, mean + half), math.sqrt(tau2), int(y.size))


def _between(y: F64, v: F64) -> float:
    if y.size < 2:
        return 0.0
    w = 1 / v
    mean = (w * y).sum() / w.sum()
    q = float((w * (y - mean) ** 2).sum())
    scale = float(w.sum() - (w * w).sum() / w.sum())
    return max(0.0, (q - (y.size - 1)) / scale)


def roi_by_type(
    effects: Mapping[str, Sequence[tuple[float, float]]],
) -> dict[str, TypeEffect]:
    """`pooled_effect` of every type of advice that has a verified effect, by name."""
    found = {name: pooled_effect(each) for name, each in sorted(effects.items())}
    return {name: effect for name, effect in found.items() if effect is not None}
