"""Fit a table: Platt's monotone curves from cases whose cause is known, or from people's reviews.

Cases teach every curve anew, from a plain one (`PLAIN`): where planted causes are told without
error, the cases alone would be certain at any strength, and no market is that clear. Reviews are
few, and only of causes that were shown, so their curves are pulled towards the ones they were shown
with (`PRIOR_SD`), and none is touched before `MIN_REVIEWS` in all and `MIN_PER_CAUSE` of its own.
Both pulls are normal priors. A fit that would fall with strength becomes flat. Curves of cases are
fitted together, as they compete (`calibration.shares`): a cause is not believed less for showing
beside another that was the reason. Folds for cross-validation follow a hash of the case's id, so
they are the same wherever and whenever they are drawn.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from post_mortem.core.calibration import Calibration, Curve, shares
from post_mortem.core.calibration_table import NAMED_CAUSES, Figures
from post_mortem.core.logistic import fit_competing, fit_logistic, logistic
from post_mortem.core.types import CAUSES
from trading.core.candles import F64
from trading.core.errors import UserError

Bool = NDArray[np.bool_]
Texts = NDArray[np.str_]

MIN_REVIEWS = 200
MIN_PER_CAUSE = 30
FOLDS = 5
BINS = 10
PRIOR_SD = (1.0, 2.0)  # of intercept and slope around the curve a review was shown with
PLAIN = Curve(-2.5, 6.0)  # full strength is likely, half of it even, none of it unlikely
# Cases without any strength cannot say that no strength is no evidence, so that is held firmly.
PLAIN_SD = (0.3, 4.0)

_RIDGE = 1e-3  # holds a fit that the cases alone would let run away


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """Cases whose cause is known: `strength` (N, named causes), `truth` one cause each."""

    ids: tuple[str, ...]
    strength: F64
    truth: Texts

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True, eq=False)
class Reviews:
    """People's words, one element each: the cause asked about, its strength, whether it was it."""

    ids: tuple[str, ...]
    cause: Texts
    strength: F64
    confirmed: Bool

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class Fit:
    """A calibration, and how many cases taught each curve that was fitted."""

    calibration: Calibration
    counts: Mapping[str, int]


def fit_cases(known: Known, base: Calibration, version: str) -> Fit:
    """Curves of all causes that showed in `MIN_PER_CAUSE` cases, and of `unknown`. The others keep
    the curve of `base`."""
    shown = {
        cause: int(n)
        for cause, n in zip(NAMED_CAUSES, (known.strength > 0).sum(axis=0), strict=True)
    }
    counts = {cause: n for cause, n in shown.items() if n >= MIN_PER_CAUSE}
    curves = _competing_curves(known, base, tuple(counts)) if counts else base.curves
    fitted = replace(base, version=version, curves=curves)
    if len(known) >= MIN_PER_CAUSE:
        posterior = [fitted.posterior(c, known.strength[:, k]) for k, c in enumerate(NAMED_CAUSES)]
        ranked = np.sort(shares(np.stack(posterior)), axis=0)
        unknown = fit_unknown(ranked[-1], ranked[-2], known.truth == "unknown")
        fitted = replace(fitted, unknown=unknown)
        counts["unknown"] = len(known)
    return Fit(rounded(fitted), counts)


def _competing_curves(known: Known, base: Calibration, taught: tuple[str, ...]) -> dict[str, Curve]:
    """Curves of all causes, fitted together; those not taught stay as in `base`."""
    free = np.array([[cause in taught] * 2 for cause in NAMED_CAUSES])
    start = [PLAIN if cause in taught else base.curves[cause] for cause in NAMED_CAUSES]
    prior = np.array([[curve.intercept, curve.slope] for curve in start])
    precision = np.tile(np.array(PLAIN_SD) ** -2, (len(NAMED_CAUSES), 1))
    places = {cause: place for place, cause in enumerate(NAMED_CAUSES)}
    truth = np.array([places.get(str(cause), len(places)) for cause in known.truth], np.int64)
    while True:
        weights = fit_competing(known.strength, truth, prior=prior, precision=precision, free=free)
        falls = weights[:, 1] < 0
        if not falls.any():
            break
        # A falling slope becomes flat and stays so.
        free[falls, 1], prior[falls, 1] = False, 0.0
    return {
        cause: Curve(float(weights[k, 0]), float(weights[k, 1]))
        for k, cause in enumerate(NAMED_CAUSES)
    }


def fit_reviews(reviews: Reviews, base: Calibration, version: str) -> Fit:
    """Curves of the causes with enough reviews, pulled towards `base`. Raises UserError
    `too_few_reviews` saying how many are missing."""
    require_enough(reviews)
    curves, counts = dict(base.curves), {}
    for cause, n in review_counts(reviews).items():
        if n >= MIN_PER_CAUSE:
            mine = reviews.cause == cause
            curves[cause] = fit_curve(
                reviews.strength[mine], reviews.confirmed[mine], base.curves[cause]
            )
            counts[cause] = n
    return Fit(rounded(replace(base, version=version, curves=curves)), counts)


def review_counts(reviews: Reviews) -> dict[str, int]:
    """Reviews that can teach a curve, by named cause."""
    used = reviews.strength > 0
    return {cause: int((used & (reviews.cause == cause)).sum()) for cause in NAMED_CAUSES}


def require_enough(reviews: Reviews) -> None:
    """Raises UserError `too_few_reviews` unless there are enough to fit at least one curve."""
    counts = review_counts(reviews)
    total = sum(counts.values())
    if total < MIN_REVIEWS:
        raise UserError(
            "too_few_reviews",
            f"{total} usable reviews: {MIN_REVIEWS - total} more are needed for {MIN_REVIEWS}",
        )
    most = max(counts, key=lambda cause: counts[cause])
    if counts[most] < MIN_PER_CAUSE:
        raise UserError(
            "too_few_reviews",
            f"no cause has {MIN_PER_CAUSE} reviews: {most} has the most and needs "
            f"{MIN_PER_CAUSE - counts[most]} more",
        )


def rounded(calibration: Calibration) -> Calibration:
    """Weights to four decimals: what a file shows is what is used."""
    return replace(
        calibration,
        curves={
            cause: Curve(round(curve.intercept, 4), round(curve.slope, 4))
            for cause, curve in calibration.curves.items()
        },
        unknown=tuple(round(weight, 4) for weight in calibration.unknown),  # type: ignore[arg-type]
    )


# --- how good it is -----------------------------------------------------------------------------


def fold_of(case_id: str) -> int:
    """The fold in which a case is left out, 0 to FOLDS - 1."""
    return hashlib.sha256(case_id.encode()).digest()[0] % FOLDS


def without_fold(known: Known, fold: int) -> Known:
    kept = np.array([fold_of(case_id) != fold for case_id in known.ids], bool)
    ids = tuple(case_id for case_id, keep in zip(known.ids, kept, strict=True) if keep)
    return Known(ids, known.strength[kept], known.truth[kept])


def review_figures(reviews: Reviews, base: Calibration) -> tuple[Figures, Figures]:
    """Figures of `base` and of curves fitted without the reviews they are asked about."""
    folds = np.array([fold_of(case_id) for case_id in reviews.ids], np.int64)
    enough = [cause for cause, n in review_counts(reviews).items() if n >= MIN_PER_CAUSE]
    before, after = np.zeros(len(reviews)), np.zeros(len(reviews))
    for cause in NAMED_CAUSES:
        mine = (reviews.cause == cause) & (reviews.strength > 0)
        before[mine] = after[mine] = base.posterior(cause, reviews.strength[mine])
        if cause not in enough:
            continue
        for fold in range(FOLDS):
            train, test = mine & (folds != fold), mine & (folds == fold)
            if train.any() and test.any():
                strength, confirmed = reviews.strength[train], reviews.confirmed[train]
                curve = fit_curve(strength, confirmed, base.curves[cause])
                after[test] = logistic(curve.intercept + curve.slope * reviews.strength[test])
    used = reviews.strength > 0
    hit = reviews.confirmed[used]
    return _believed(before[used], hit), _believed(after[used], hit)


def case_figures(posterior: F64, right: Bool) -> Figures:
    """Figures of first answers: their posteriors, and whether each was right."""
    return replace(_believed(posterior, right), ac1=round(float(right.mean()), 4))


def _believed(posterior: F64, right: Bool) -> Figures:
    brier = float(np.mean((posterior - right) ** 2))
    return Figures(round(calibration_error(posterior, right), 4), round(brier, 4))


def calibration_error(posterior: F64, right: Bool, bins: int = BINS) -> float:
    """Expected calibration error: |share right - mean posterior| over equal bins of the posterior,
    weighted by how many fall into each. NaN without cases."""
    if not posterior.size:
        return float("nan")
    place = np.minimum((posterior * bins).astype(np.int64), bins - 1)
    n = np.bincount(place, minlength=bins)
    gap = np.bincount(place, right.astype(np.float64) - posterior, minlength=bins)
    return float(np.abs(gap).sum() / n.sum())


# --- curves -------------------------------------------------------------------------------------


def fit_curve(
    strength: F64,
    is_cause: Bool,
    base: Curve | None = None,
    spread: tuple[float, float] = PRIOR_SD,
) -> Curve:
    """Platt's fit of one curve on the cases with strength > 0, pulled towards `base` if given: a
    normal prior around it, `spread` its standard deviations of intercept and slope.

    A fit that would fall with strength is replaced by the flat curve of the base rate."""
    used = strength > 0
    x, y = strength[used], is_cause[used].astype(np.float64)
    if not x.size:
        raise ValueError("a curve needs at least one case with strength above 0")
    if base is None:
        intercept, slope = fit_logistic(x[:, None], y, precision=[_RIDGE] * 2).weights
    else:
        prior, precision = (base.intercept, base.slope), [sd**-2 for sd in spread]
        fit = fit_logistic(x[:, None], y, precision=precision, prior=prior)
        intercept, slope = fit.weights
    if slope >= 0:
        return Curve(float(intercept), float(slope))
    flat = fit_logistic(np.zeros((x.size, 0)), y, precision=[_RIDGE])
    return Curve(flat.intercept, 0.0)


def fit_unknown(best: F64, second: F64, is_unknown: Bool) -> tuple[float, float, float]:
    """Logistic fit of P(no named cause) on the best and second best posterior."""
    x, y = np.column_stack([best, second]), is_unknown.astype(np.float64)
    a, b, c = fit_logistic(x, y, precision=[_RIDGE] * 3).weights
    return float(a), float(b), float(c)


def checked_truth(cause: object, case_id: str) -> str:
    """`cause` if it is one of the eleven. Raises UserError naming the case."""
    if cause not in CAUSES:
        raise UserError(
            "truth",
            f"{str(cause)[:40]!a} is no cause: expected one of {', '.join(CAUSES)}",
            field=case_id,
        )
    return str(cause)
