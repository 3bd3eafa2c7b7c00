"""The one model of attribution: a logistic with a normal prior, and its exact contributions.

Numbers are clipped to their 1st and 99th percentile, centred and divided by two standard
deviations, categories are 0 or 1 per level, centred: one prior then suits both (Gelman 2008). An
unknown number stands at the mean and has an indicator of its own where that is common enough. All
of this is decided without looking at outcomes.

The log-odds of a case are the intercept, which is those of the average case, plus
sum(beta * (x - mean)), so contributions need no sampling and add up exactly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from post_mortem.core.logistic import LogisticFit, fit_logistic
from trading.core.candles import F64, I64

from .matrix import FeatureColumn, FeatureMatrix

PRIOR_SD = 0.5  # of a slope, in log-odds for two standard deviations of a number or for a level
LEAST_OF_LEVEL = 20
MOST_LEVELS = 12
CLIP = (0.01, 0.99)
NUMBER, LEVEL, ABSENT = range(3)
Design = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Term:
    """One column of the design: of which feature, and how it is made of its values.

    `kind` NUMBER: (clipped value - centre) / scale; LEVEL: (value == level) - centre; ABSENT:
    (value unknown) - centre."""

    feature: int
    kind: int
    centre: float
    scale: float = 1.0
    low: float = 0.0
    high: float = 0.0
    level: int = -1


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """`terms` are ordered by feature; `fit.slopes` has one weight a term."""

    terms: tuple[Term, ...]
    features: int
    fit: LogisticFit

    def log_odds(self, design: Design) -> F64:
        result: F64 = self.fit.intercept + design @ self.fit.slopes
        return result


def terms_of(matrix: FeatureMatrix) -> tuple[Term, ...]:
    """How to encode matrices like this one."""
    terms: list[Term] = []
    for place, column in enumerate(matrix.columns):
        terms += _levels(place, column) if column.feature.is_category else _number(place, column)
    return tuple(terms)


def _number(place: int, column: FeatureColumn) -> list[Term]:
    known = column.values[np.isfinite(column.values)]
    terms = []
    if known.size >= LEAST_OF_LEVEL:
        low, high = (float(q) for q in np.quantile(known, CLIP))
        clipped = np.clip(known, low, high)
        spread = float(clipped.std())
        if spread > 1e-12 * max(1.0, abs(low), abs(high)):
            terms.append(Term(place, NUMBER, float(clipped.mean()), 2 * spread, low, high))
    absent = column.values.size - known.size
    if min(absent, known.size) >= LEAST_OF_LEVEL:
        terms.append(Term(place, ABSENT, absent / column.values.size))
    return terms


def _levels(place: int, column: FeatureColumn) -> list[Term]:
    n = column.values.size
    codes = column.values[np.isfinite(column.values)].astype(np.int64)
    count = np.bincount(codes, minlength=len(column.levels))
    most = np.argsort(-count, kind="stable")[:MOST_LEVELS]
    chosen = sorted(code for code in most.tolist() if LEAST_OF_LEVEL <= count[code] < n)
    return [Term(place, LEVEL, float(count[code]) / n, level=code) for code in chosen]


def design_of(terms: tuple[Term, ...], matrix: FeatureMatrix) -> Design:
    """(N, terms), finite."""
    design = np.empty((len(matrix), len(terms)))
    for i, term in enumerate(terms):
        values = matrix.columns[term.feature].values
        if term.kind == NUMBER:
            scaled = (np.clip(values, term.low, term.high) - term.centre) / term.scale
            design[:, i] = np.where(np.isfinite(values), scaled, 0.0)
        elif term.kind == LEVEL:
            design[:, i] = (values == term.level) - term.centre
        else:
            design[:, i] = np.isnan(values) - term.centre
    return design


def fit_model(matrix: FeatureMatrix, won: F64) -> Model:
    """Fit to outcomes of 0 and 1, both of which must occur (ValueError)."""
    terms = terms_of(matrix)
    precision = [0.0, *[PRIOR_SD**-2] * len(terms)]
    fit = fit_logistic(design_of(terms, matrix), won, precision=precision)
    return Model(terms, len(matrix.columns), fit)


def contributions(model: Model, design: Design) -> NDArray[np.float64]:
    """(N, features): what each feature adds to the log-odds of each case. Rows sum to the log-odds
    less the intercept."""
    result = np.zeros((design.shape[0], model.features))
    for feature, columns in _blocks(model):
        result[:, feature] = design[:, columns] @ model.fit.slopes[columns]
    return result


def certainty(model: Model, design: Design, contributed: NDArray[np.float64]) -> Design:
    """(N, features): probability, given the data and the prior, that a contribution has the sign
    it has; 0.5 where there is none."""
    result = np.full(contributed.shape, 0.5)
    covariance = model.fit.covariance[1:, 1:]
    for feature, columns in _blocks(model):
        block = design[:, columns]
        variance = ((block @ covariance[np.ix_(columns, columns)]) * block).sum(axis=1)
        deviation = np.sqrt(np.maximum(variance, 0.0))
        known = deviation > 0
        z = np.abs(contributed[known, feature]) / deviation[known]
        result[known, feature] = ndtr(z)
    return result


def _blocks(model: Model) -> list[tuple[int, I64]]:
    of = np.array([term.feature for term in model.terms], np.int64)
    return [(feature, np.flatnonzero(of == feature)) for feature in np.unique(of).tolist()]
