"""Curves from strength to posterior."""

from __future__ import annotations

import numpy as np
import pytest

from post_mortem.core.calibration import FIRE_FROM, KNOWN_FROM, Curve, confidence, shares
from post_mortem.core.calibration_fit import (
    MIN_PER_CAUSE,
    MIN_REVIEWS,
    Known,
    Reviews,
    calibration_error,
    fit_cases,
    fit_curve,
    fit_reviews,
    fit_unknown,
    review_figures,
)
from post_mortem.core.calibration_table import DEFAULT
from post_mortem.core.causes import NAMED
from post_mortem.core.types import CAUSES
from trading.core.errors import UserError


@pytest.mark.parametrize("cause", NAMED, ids=lambda cause: cause.CAUSE)
def test_every_shipped_curve_rises_from_silence_to_an_answer(cause: object) -> None:
    strength = np.linspace(0, 1, 101)
    posterior = DEFAULT.posterior(cause.CAUSE, strength)  # type: ignore[attr-defined]
    assert posterior[0] == 0
    assert (np.diff(posterior) >= 0).all()
    assert posterior[1] < FIRE_FROM
    assert posterior[-1] > 3 * FIRE_FROM


@pytest.mark.parametrize(
    ("posterior", "expected"), [(0.0, 50), (0.25, 59), (0.5, 68), (0.99, 85), (1.0, 85)]
)
def test_confidence_is_the_posterior_in_the_band(posterior: float, expected: int) -> None:
    assert confidence((50, 85), np.array([posterior])).tolist() == [expected]


def test_a_cause_alone_keeps_its_posterior() -> None:
    alone = np.array([[0.3, 0.9, 1.0, 0.0], np.zeros(4)])
    assert shares(alone)[0] == pytest.approx([0.3, 0.9, 1.0, 0.0], abs=1e-5)


def test_causes_that_compete_share_by_their_odds() -> None:
    # Odds of 3, 1 and, for none, 1.
    assert shares(np.array([[0.75], [0.5]])).ravel().tolist() == [0.6, 0.2]
    sure = shares(np.array([[1.0], [1.0], [1.0]])).ravel()
    assert sure == pytest.approx([1 / 3] * 3, abs=1e-5)


def test_shares_keep_the_order_and_leave_something_for_none() -> None:
    alone = np.random.default_rng(4).random((10, 500)) * 0.999
    shared = shares(alone)
    assert (np.argmax(shared, axis=0) == np.argmax(alone, axis=0)).all()
    assert (shared <= alone + 1e-6).all()
    assert (shared.sum(axis=0) < 1).all()


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


def reviews(n: int, cause: str = "news_shock", rate: float = 0.2) -> Reviews:
    """Reviews of one cause that strength says nothing about."""
    rng = np.random.default_rng(8)
    return Reviews(
        ids=tuple(f"{k}/{cause}" for k in range(n)),
        cause=np.full(n, cause),
        strength=rng.uniform(0.3, 1, n),
        confirmed=rng.random(n) < rate,
    )


def joined(*parts: Reviews) -> Reviews:
    return Reviews(
        tuple(text for part in parts for text in part.ids),
        *(
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("cause", "strength", "confirmed")
        ),
    )


def test_too_few_reviews_say_how_many_are_missing() -> None:
    with pytest.raises(UserError, match="120 usable reviews: 80 more"):
        fit_reviews(reviews(120), DEFAULT, "x")
    spread = joined(*(reviews(MIN_PER_CAUSE - 5, cause) for cause in CAUSES[:9]))
    assert len(spread) >= MIN_REVIEWS
    with pytest.raises(UserError, match="needs 5 more"):
        fit_reviews(spread, DEFAULT, "x")


def test_reviews_move_only_the_causes_they_are_enough_for() -> None:
    words = joined(reviews(190), reviews(20, "model_error"))
    fit = fit_reviews(words, DEFAULT, "desk-1")
    assert fit.counts == {"news_shock": 190}
    assert fit.calibration.curves["model_error"] == DEFAULT.curves["model_error"]
    strong = np.array([0.9])
    believed = float(fit.calibration.posterior("news_shock", strong)[0])
    # People reject four of five where the shipped curve says nineteen of twenty are right.
    assert DEFAULT.posterior("news_shock", strong)[0] > 0.9
    assert 0.15 < believed < 0.5
    before, after = review_figures(words, DEFAULT)
    assert after.ece < before.ece / 3
    assert after.brier < before.brier


def test_few_words_move_a_curve_little() -> None:
    base = DEFAULT.curves["news_shock"]
    moved = []
    for n in (30, 1_000):
        words = reviews(n)
        curve = fit_curve(words.strength, words.confirmed, base)
        moved.append(abs(curve.intercept - base.intercept) + abs(curve.slope - base.slope))
    assert moved[0] < moved[1]


def test_reviews_that_agree_leave_the_curve_nearly_alone() -> None:
    rng = np.random.default_rng(9)
    strength = rng.uniform(0.2, 1, 3_000)
    confirmed = rng.random(3_000) < DEFAULT.posterior("news_shock", strength)
    curve = fit_curve(strength, confirmed, DEFAULT.curves["news_shock"])
    assert curve.intercept == pytest.approx(DEFAULT.curves["news_shock"].intercept, abs=0.4)
    assert curve.slope == pytest.approx(DEFAULT.curves["news_shock"].slope, abs=0.9)


def test_cases_teach_the_causes_that_showed() -> None:
    rng = np.random.default_rng(10)
    n = 400
    strength = np.zeros((n, len(CAUSES) - 1))
    strength[:, 0] = rng.uniform(0.01, 1, n)
    strength[: MIN_PER_CAUSE - 1, 1] = 0.5
    truth = np.where(rng.random(n) < strength[:, 0], CAUSES[0], "unknown")
    fit = fit_cases(Known(tuple(map(str, range(n))), strength, truth), DEFAULT, "v")
    assert fit.counts == {CAUSES[0]: n, "unknown": n}
    assert fit.calibration.curves[CAUSES[0]] != DEFAULT.curves[CAUSES[0]]
    assert fit.calibration.curves[CAUSES[1]] == DEFAULT.curves[CAUSES[1]]
    assert fit.calibration.unknown[1] < 0


def drawn(n: int, curves: list[Curve]) -> tuple[np.ndarray, np.ndarray]:
    """Strengths of the first causes, some of them none, and the reasons the curves would draw."""
    rng = np.random.default_rng(11)
    strength = np.zeros((n, len(CAUSES) - 1))
    shown = strength[:, : len(curves)]
    shown[:] = rng.uniform(0.01, 1, shown.shape) * (rng.random(shown.shape) < 0.7)
    alone = [
        np.where(x > 0, 1 / (1 + np.exp(-(c.intercept + c.slope * x))), 0.0)
        for c, x in zip(curves, shown.T, strict=True)
    ]
    below = np.cumsum(shares(np.stack(alone)), axis=0)
    place = (rng.random(n) >= below).sum(axis=0)
    names = np.array([*CAUSES[: len(curves)], "unknown"])
    return strength, names[place]


def test_curves_that_compete_are_found_together() -> None:
    """Fitted one by one, each cause would be blamed for the reasons of the others."""
    wanted = [Curve(-2.0, 5.0), Curve(-1.0, 4.0), Curve(-3.0, 7.0)]
    strength, truth = drawn(30_000, wanted)
    fit = fit_cases(Known(tuple(map(str, range(30_000))), strength, truth), DEFAULT, "v")
    for place, curve in enumerate(wanted):
        found = fit.calibration.curves[CAUSES[place]]
        assert found.intercept == pytest.approx(curve.intercept, abs=0.2)
        assert found.slope == pytest.approx(curve.slope, abs=0.35)
        one_by_one = fit_curve(strength[:, place], truth == CAUSES[place])
        assert one_by_one.slope < curve.slope - 0.5
    for cause in CAUSES[len(wanted) : -1]:
        assert fit.calibration.curves[cause] == DEFAULT.curves[cause]


def test_a_competing_curve_never_falls_with_strength() -> None:
    rng = np.random.default_rng(12)
    n = 2_000
    strength = np.zeros((n, len(CAUSES) - 1))
    strength[:, 0], strength[:, 1] = rng.uniform(0.01, 1, (2, n))
    truth = np.where(rng.random(n) < 1 - strength[:, 0], CAUSES[0], "unknown")
    truth = np.where(rng.random(n) < strength[:, 1] / 2, CAUSES[1], truth)
    fit = fit_cases(Known(tuple(map(str, range(n))), strength, truth), DEFAULT, "v")
    assert fit.calibration.curves[CAUSES[0]].slope == 0
    assert fit.calibration.curves[CAUSES[1]].slope > 1


def test_a_reason_that_did_not_show_teaches_its_curve_nothing() -> None:
    strength, truth = drawn(2_000, [Curve(-2.0, 5.0)])
    ids = tuple(map(str, range(2_000)))
    fit = fit_cases(Known(ids, strength, truth), DEFAULT, "v")
    hidden = np.where((truth == "unknown") & (np.arange(2_000) % 2 == 0), CAUSES[3], truth)
    again = fit_cases(Known(ids, strength, hidden), DEFAULT, "v")
    assert again.calibration.curves == fit.calibration.curves


def test_calibration_error_by_hand() -> None:
    posterior = np.array([0.95, 0.95, 0.15, 0.15])
    right = np.array([True, False, False, False])
    # Two bins of two: |0.5 - 0.95| and |0 - 0.15|, each half of the cases.
    assert calibration_error(posterior, right) == pytest.approx(0.3)
    assert calibration_error(np.ones(3), np.ones(3, bool)) == 0
    assert np.isnan(calibration_error(np.zeros(0), np.zeros(0, bool)))
