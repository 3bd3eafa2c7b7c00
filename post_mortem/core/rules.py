"""Labelling rules: which one applies, and the barriers and band that follow from it.

A signal's own stop and target are its barriers; a rule only fills in what is missing. Under TRADE
no rule gives barriers: a trade is judged against its own initial stop and its signal's target.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from trading.core.candles import F64, I64
from trading.core.units import to_half_points

from .types import I8, NO_STOP, NO_TARGET

DEFAULT_NEUTRAL_R = 0.1


@dataclass(frozen=True, slots=True)
class Rule:
    """One labelling rule; a blank scope field matches everything, None means not given.

    Pips are pips of the instrument, `fail_adverse_pct` is per cent of the entry, the band is half
    the width: results from -band to +band are neutral. A band in pips replaces the one in R.
    """

    id: int
    strategy: str = ""
    symbol: str = ""
    timeframe: str = ""
    horizon: str = ""
    success_tp_pips: float | None = None
    success_rr_ratio: float | None = None
    fail_sl_pips: float | None = None
    fail_adverse_pct: float | None = None
    neutral_band_pips: float | None = None
    neutral_band_r: float | None = DEFAULT_NEUTRAL_R
    min_score: float | None = None
    priority: int = 0


DEFAULT_RULE = Rule(id=0)
DEFAULT_RULES: tuple[Rule, ...] = (DEFAULT_RULE,)


def choose_rule(
    rules: Iterable[Rule], strategy: str, symbol: str, timeframe: str, horizon: str
) -> Rule:
    """The rule with most scope fields given, then the highest priority, then the lowest id.

    Where none matches it is DEFAULT_RULE: barriers of the signal only, band 0.1 R.
    """
    wanted = (strategy, symbol, timeframe, horizon)
    best, best_key = DEFAULT_RULE, (-1, 0, 0)
    for rule in rules:
        scope = (rule.strategy, rule.symbol, rule.timeframe, rule.horizon)
        if any(given and given != value for given, value in zip(scope, wanted, strict=True)):
            continue
        key = (sum(map(bool, scope)), rule.priority, -rule.id)
        if key > best_key:
            best, best_key = rule, key
    return best


SCOPE = ("strategy", "symbol", "timeframe", "horizon")


def scope_words(rule: Rule) -> str:
    """What a rule applies to: 'every signal', or the fields that must match."""
    given = [f"{name} {getattr(rule, name)}" for name in SCOPE if getattr(rule, name)]
    return ", ".join(given) if given else "every signal"


def barriers(
    rule: Rule, side: I8, entry: F64, stop: F64, target: F64, pip: Decimal
) -> tuple[F64, F64]:
    """Stop and target prices of signals under one rule; NaN = none.

    All arrays have shape (n,), prices as given. Missing stop: `fail_sl_pips`, else
    `fail_adverse_pct`. Missing target: `success_tp_pips`, else `success_rr_ratio` times the risk.
    """
    size = float(pip)
    if rule.fail_sl_pips is not None:
        stop = np.where(np.isnan(stop), entry - side * rule.fail_sl_pips * size, stop)
    elif rule.fail_adverse_pct is not None:
        stop = np.where(np.isnan(stop), entry * (1 - side * rule.fail_adverse_pct / 100), stop)
    if rule.success_tp_pips is not None:
        target = np.where(np.isnan(target), entry + side * rule.success_tp_pips * size, target)
    elif rule.success_rr_ratio is not None:
        reward = rule.success_rr_ratio * np.abs(entry - stop)
        target = np.where(np.isnan(target), entry + side * reward, target)
    return stop, target


def neutral_band(rule: Rule, pip: Decimal) -> tuple[float, float]:
    """(band in R, band as a price distance); the one that does not apply is NaN."""
    if rule.neutral_band_pips is not None:
        return float("nan"), rule.neutral_band_pips * float(pip)
    band = DEFAULT_NEUTRAL_R if rule.neutral_band_r is None else rule.neutral_band_r
    return band, float("nan")


def minimum_score(rule: Rule, own: F64) -> F64:
    """The signal's own minimum, else the rule's, else NaN."""
    if rule.min_score is None:
        return own
    result: F64 = np.where(np.isnan(own), rule.min_score, own)
    return result


def barrier_half_points(price: F64, side: I8, point: Decimal, what: str) -> I64:
    """Integer barriers of stops or targets (`what`), rounded away from false touches.

    A long's stop and a short's target are touched from above and round down; the other two round
    up. NaN becomes NO_STOP or NO_TARGET.
    """
    is_stop = {"stop": True, "target": False}[what]
    exists = np.isfinite(price)
    level = to_half_points(np.where(exists, price, 0.0), point, (side > 0) == is_stop)
    result: I64 = np.where(exists, level, NO_STOP if is_stop else NO_TARGET)
    return result
