"""Curves from strength to posterior."""

from __future__ import annotations

import numpy as np
import pytest

from post_mortem.core.calibration import (
    DEFAULT,
    FIRE_FROM,
    KNOWN_FROM,
    Curve,
    confidence,
    fit_curve,
    fit_unknown,
)
from post_mortem.core.causes import NAMED


@pytest.mark.parametrize("cause", NAMED, ids=lambda cause: cause.CAUSE)
def test_every_shipped_curve_rises_from_silence_to_an_answer(cause: object) -> None:
    strength = np.linspace(0, 1, 101)
    posterior = DEFAULT.posterior(cause.CAUSE, strength)  # type: ignore[attr-defined]
    assert posterior[0] == 0
    assert (np.diff(posterior) >= 0).all()
    assert posterior[1] < FIRE_FROM
    assert posterior[-1] > 0.9


@pytest.mark.parametrize(
    ("posterior", "expected"), [(0.0, 50), (0.25, 59), (0.5, 68), (0.99, 85), (1.0, 85)]
)
def test_confidence_is_the_posterior_in_the_band(posterior: float, expected: int) -> None:
    assert confidence((50, 85), np.array([posterior])).tolist() == [expected]


def test_unknown_is_believed_less_the_better_the_rest() -> None:
    best = np.linspace(0, 1, 11)
    posterior = DEFAULT.posterior_unknown(best, np.zeros(11))
    assert (np.diff(posterior) < 0).all()
    assert posterior[0] > 0.7 > KNOWN_FROM > posterior[-1]


def test_a_fit_finds_the_curve_it_was_drawn_from() -> None:
    rng = np.random.default_rng(5)
    strength = rng.uniform(0.01, 1, 20_000)
    truth = 1 / (1 + np.exp(-(-3 + 6 * strength)))
    curve = fit_curve(strength, rng.random(strength.size) < truth)
    assert curve.intercept == pytest.approx(-3, abs=0.15)
    assert curve.slope == pytest.approx(6, abs=0.25)


def test_a_fit_never_falls_with_strength() -> None:
    rng = np.random.default_rng(6)
    strength = rng.uniform(0.01, 1, 5_000)
    curve = fit_curve(strength, rng.random(strength.size) < 1 - strength)
    assert curve.slope == 0
    assert 1 / (1 + np.exp(-curve.intercept)) == pytest.approx(0.5, abs=0.03)


def test_perfectly_separated_reviews_still_have_a_finite_curve() -> None:
    strength = np.array([0.1, 0.2, 0.3, 0.8, 0.9, 1.0])
    curve = fit_curve(strength, strength > 0.5)
    assert isinstance(curve, Curve)
    assert np.isfinite([curve.intercept, curve.slope]).all()


def test_strength_zero_teaches_nothing() -> None:
    with pytest.raises(ValueError, match="at least one case"):
        fit_curve(np.zeros(5), np.ones(5, bool))


def test_the_fit_of_unknown_falls_with_the_best_posterior() -> None:
    rng = np.random.default_rng(7)
    best = rng.random(5_000)
    _, weight, _ = fit_unknown(best, best * rng.random(5_000), rng.random(5_000) > best)
    assert weight < 0
