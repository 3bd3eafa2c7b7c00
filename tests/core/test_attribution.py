"""Fits, splits, verdicts, cohorts and lifts on data of which the truth is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform
from scipy.stats import fisher_exact, hypergeom, rankdata

from post_mortem.core.attribution.catalogue import REGISTRY
from post_mortem.core.attribution.cohorts import LEAST_OTHERS, cohorts_of
from post_mortem.core.attribution.importance import (
    _linked,
    linked_features,
    mean_ranks,
    permutation_importance,
)
from post_mortem.core.attribution.lift import _exact_surprise, lifts, step_up, wilson
from post_mortem.core.attribution.matrix import FeatureMatrix
from post_mortem.core.attribution.model import (
    certainty,
    contributions,
    design_of,
    fit_model,
    terms_of,
)
from post_mortem.core.attribution.report import attribute
from post_mortem.core.attribution.skill import predict_later
from post_mortem.core.attribution.split import walk_forward
from post_mortem.core.logistic import fit_logistic, log_loss, logistic
from tests.core.attribution_data import outcomes, random_matrix
from trading.core.types import NS_PER_DAY, NS_PER_HOUR

NAMES = [feature.name for feature in REGISTRY]


def _effect(matrix: FeatureMatrix, name: str, size: float) -> np.ndarray:
    values = matrix.column(name).values
    spread = (values - np.nanmean(values)) / np.nanstd(values)
    return size * np.nan_to_num(spread)


# --- the fit --------------------------------------------------------------------------------------


def test_the_fit_is_where_the_penalised_gradient_vanishes() -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(400, 5))
    y = (rng.random(400) < logistic(x @ np.array([1, -1, 0.5, 0, 2.0]))).astype(float)
    fit = fit_logistic(x, y, precision=[0.0] + [3.0] * 5)
    design = np.column_stack([np.ones(400), x])
    gradient = design.T @ (y - logistic(design @ fit.weights))
    np.testing.assert_allclose(gradient, np.r_[0, 3.0 * fit.slopes], atol=1e-7)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.floats(1e-3, 100), st.floats(0.1, 1e3))
def test_the_fit_ends_for_separable_and_badly_scaled_data(
    seed: int, ridge: float, scale: float
) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(60, 3)) * scale
    y = (x[:, 0] > 0).astype(float)
    y[0], y[1] = 0.0, 1.0
    fit = fit_logistic(x, y, precision=[0.0, ridge, ridge, ridge])
    assert np.isfinite(fit.weights).all()
    assert log_loss(fit.intercept + x @ fit.slopes, y).sum() <= 60 * np.log(2) + 1e-6


def test_the_fit_refuses_what_has_no_answer() -> None:
    with pytest.raises(ValueError, match="at least one row"):
        fit_logistic(np.zeros((0, 1)), np.zeros(0), precision=[0, 1])
    with pytest.raises(ValueError, match="finite"):
        fit_logistic(np.full((2, 1), np.nan), np.array([0.0, 1.0]), precision=[0, 1])
    with pytest.raises(ValueError, match="the same"):
        fit_logistic(np.zeros((2, 1)), np.ones(2), precision=[0, 1])


def test_few_rows_stay_at_the_prior() -> None:
    x, y = np.array([[1.0], [2.0]]), np.array([0.0, 1.0])
    held = fit_logistic(x, y, precision=[1e9, 1e9], prior=[-1.5, 4.0])
    np.testing.assert_allclose(held.weights, [-1.5, 4.0], atol=1e-6)
    free = fit_logistic(x, y, precision=[1e-3, 1e-3], prior=[-1.5, 4.0])
    assert abs(free.slopes[0] - 4.0) > 0.5


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(60, 400))
def test_contributions_and_intercept_are_the_log_odds(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    matrix = random_matrix(rng, n)
    won = rng.permutation(np.arange(n) % 2).astype(float)
    model = fit_model(matrix, won)
    design = design_of(model.terms, matrix)
    parts = contributions(model, design)
    total = model.fit.intercept + parts.sum(axis=1)
    np.testing.assert_allclose(total, model.log_odds(design), atol=1e-9)
    # beta * (x - mean): over the trades it was fitted on, each feature adds nothing on average.
    np.testing.assert_allclose(design.mean(axis=0), 0, atol=0.06)
    sure = certainty(model, design, parts)
    assert ((sure >= 0.5) & (sure <= 1)).all()
    assert (sure[parts == 0] == 0.5).all()


def test_a_constant_and_an_unknown_feature_have_no_weight() -> None:
    rng = np.random.default_rng(1)
    matrix = random_matrix(rng, 200)
    blank = [
        replace(c, values=np.full(200, {"score": 70.0, "size": np.nan}[c.feature.name]))
        if c.feature.name in ("score", "size")
        else c
        for c in matrix.columns
    ]
    used = {NAMES[term.feature] for term in terms_of(replace(matrix, columns=tuple(blank)))}
    assert {"score", "size"}.isdisjoint(used)
    assert "trend" in used


# --- the split ------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(10, 200), st.integers(0, 20))
def test_folds_never_train_on_what_was_not_over(seed: int, n: int, hours: int) -> None:
    rng = np.random.default_rng(seed)
    embargo = hours * NS_PER_HOUR
    entry = rng.integers(0, 500, n) * NS_PER_HOUR
    end = entry + rng.integers(0, 50, n) * NS_PER_HOUR
    group = rng.integers(0, max(2, n // 3), n)
    tested: list[int] = []
    for fold in walk_forward(entry, end, group, embargo=embargo):
        assert set(group[fold.train]).isdisjoint(group[fold.test])
        assert end[fold.train].max() + embargo <= entry[fold.test].min()
        tested += fold.test.tolist()
    assert len(tested) == len(set(tested))


def test_horizons_of_one_signal_never_lie_on_both_sides() -> None:
    """Four cases a signal that differ in their ends only: the short ones would train otherwise."""
    entry = np.repeat(np.arange(100) * 24 * NS_PER_HOUR, 4)
    end = entry + np.tile([1, 4, 24, 168], 100) * NS_PER_HOUR
    group = np.repeat(np.arange(100), 4)
    folds = walk_forward(entry, end, group, embargo=0)
    assert len(folds) == 4
    for fold in folds:
        assert set(group[fold.train]).isdisjoint(group[fold.test])
        assert np.bincount(group[fold.test], minlength=100).max() == 4


def test_no_case_gives_no_fold() -> None:
    nothing = np.zeros(0, np.int64)
    assert walk_forward(nothing, nothing, nothing, embargo=0) == []


# --- the verdict ----------------------------------------------------------------------------------


def test_a_planted_effect_is_found_and_ranked_first() -> None:
    rng = np.random.default_rng(11)
    matrix = random_matrix(rng, 1200)
    found = attribute(matrix, outcomes(rng, _effect(matrix, "stop_atr", 1.0)), seed=7)
    assert found.state == "signal"
    assert found.skill.log_loss < found.skill.base_log_loss
    assert found.importances[0].features == (NAMES.index("stop_atr"),)
    contributed = found.contributed[:, NAMES.index("stop_atr")]
    others = np.delete(found.contributed, NAMES.index("stop_atr"), axis=1)
    assert contributed.std() > 4 * others.std(axis=0).max()
    assert np.median(found.sure[:, NAMES.index("stop_atr")]) > 0.99


@pytest.mark.parametrize("day_effect", [0.0, 1.0])
def test_data_without_a_signal_say_so(day_effect: float) -> None:
    """Also where the trades of a day win and lose together."""
    wrong = 0
    for seed in range(60):
        rng = np.random.default_rng(1000 + seed)
        matrix = random_matrix(rng, 300)
        result = attribute(matrix, outcomes(rng, np.zeros(300), day_effect=day_effect), seed=seed)
        wrong += result.state == "signal"
        if result.state != "signal":
            assert result.state == "no_signal"
            assert result.contributed is None
            assert result.importances == ()
    assert wrong <= 3


def test_shuffled_outcomes_cannot_be_predicted() -> None:
    rng = np.random.default_rng(2)
    matrix = random_matrix(rng, 3000)
    truth = outcomes(rng, _effect(matrix, "trend", 1.5))
    assert abs(_auc(matrix, truth) - 0.5) > 0.2
    areas = []
    for _ in range(5):
        order = rng.permutation(3000)
        areas.append(_auc(matrix, replace(truth, won=truth.won[order])))
    assert abs(np.mean(areas) - 0.5) < 0.02


def _auc(matrix: FeatureMatrix, results) -> float:
    folds = walk_forward(results.entry, results.end, results.group, embargo=NS_PER_DAY)
    later = predict_later(matrix, results.won, folds)
    odds = np.concatenate([part.log_odds for part in later])
    won = np.concatenate([results.won[part.rows] for part in later]) > 0
    ranks = rankdata(odds)
    n = won.sum()
    return float((ranks[won].sum() - n * (n + 1) / 2) / (n * (won.size - n)))


def test_few_trades_are_called_few() -> None:
    rng = np.random.default_rng(4)
    for n in (0, 1, 40, 99):
        matrix = random_matrix(rng, n)
        result = attribute(matrix, outcomes(rng, np.zeros(n)) if n else _none(rng), seed=1)
        assert result.state == "too_few"
        assert result.skill is None
    # All won: nothing to tell apart.
    matrix = random_matrix(rng, 300)
    assert attribute(matrix, outcomes(rng, np.full(300, 50.0)), seed=1).state == "too_few"


def _none(rng: np.random.Generator):
    one = outcomes(rng, np.zeros(1))
    return replace(one, **{name: getattr(one, name)[:0] for name in one.__slots__})


def test_the_same_seed_gives_the_same_report() -> None:
    rng = np.random.default_rng(6)
    matrix = random_matrix(rng, 600)
    results = outcomes(rng, _effect(matrix, "score", 1.2))
    first, second, other = (attribute(matrix, results, seed=seed) for seed in (1, 1, 2))
    assert first.importances == second.importances != other.importances
    np.testing.assert_array_equal(first.contributed, second.contributed)


# --- importance -----------------------------------------------------------------------------------


def test_features_that_say_the_same_are_shuffled_together() -> None:
    rng = np.random.default_rng(8)
    matrix = random_matrix(rng, 2000)
    score = matrix.column("score").values
    twin = [
        replace(c, values=-(score**3)) if c.feature.name == "trend" else c for c in matrix.columns
    ]
    matrix = replace(matrix, columns=tuple(twin))
    results = outcomes(rng, _effect(matrix, "score", 1.2))
    later = predict_later(
        matrix, results.won, walk_forward(results.entry, results.end, results.group, embargo=0)
    )
    groups = linked_features(later[-1].model.terms, later[-1].design)
    pair = tuple(sorted((NAMES.index("score"), NAMES.index("trend"))))
    assert pair in groups
    assert all(len(group) == 1 for group in groups if group != pair)
    found = permutation_importance(later, results.won, groups, seed=3)
    assert found[0].features == pair
    assert found[0].rise > 0.1
    for one in found[1:]:
        assert abs(one.rise) < 0.01
        assert one.spread > 0


# --- lift -----------------------------------------------------------------------------------------


def test_lift_of_one_cell_by_hand() -> None:
    rng = np.random.default_rng(9)
    matrix = random_matrix(rng, 400)
    results = outcomes(rng, _effect(matrix, "side", 1.0))
    found = lifts(matrix, results.won, results.r, results.entry, stretch=NS_PER_DAY)
    long = next(one for one in found if (one.feature, one.cell) == ("side", 0))
    inside = matrix.column("side").values == 0
    assert (long.n, long.won) == (inside.sum(), results.won[inside].sum())
    assert long.words == "that are long"
    assert long.lift == pytest.approx(results.won[inside].mean() - results.won.mean())
    assert (long.low, long.high) == wilson(long.won, long.n)
    assert long.mean_r == pytest.approx(results.r[inside].mean())
    assert long.r_low < long.mean_r < long.r_high
    assert long.real


def test_chance_seldom_makes_a_cell_stand_out() -> None:
    """One of ten called real may be false; without anything true, a family seldom has one."""
    families = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        matrix = random_matrix(rng, 400)
        results = outcomes(rng, np.zeros(400), day_effect=1.0)
        found = lifts(matrix, results.won, results.r, results.entry, stretch=NS_PER_DAY)
        assert len(found) > 40
        families += any(one.real for one in found)
    assert families <= 8


def test_cells_are_fixed_before_any_outcome_is_seen() -> None:
    rng = np.random.default_rng(10)
    matrix = random_matrix(rng, 300)
    entry = outcomes(rng, np.zeros(300)).entry
    keys = []
    for won in (np.zeros(300), np.ones(300), (rng.random(300) < 0.5).astype(float)):
        found = lifts(matrix, won, np.full(300, np.nan), entry, stretch=NS_PER_DAY)
        keys.append([(one.feature, one.cell, one.n) for one in found])
        assert all(one.mean_r is None for one in found)
    assert keys[0] == keys[1] == keys[2]


@pytest.mark.parametrize(
    ("won", "n", "low", "high"),
    [
        (0, 10, 0.0, 0.2775),
        (5, 10, 0.2366, 0.7634),
        (10, 10, 0.7225, 1.0),
        (52, 100, 0.4231, 0.6154),
    ],
)
def test_wilson(won: int, n: int, low: float, high: float) -> None:
    assert wilson(won, n) == pytest.approx((low, high), abs=1e-4)


def test_step_up_by_hand() -> None:
    np.testing.assert_allclose(
        step_up(np.array([0.04, 0.01, 0.03, 0.9])), [0.16 / 3, 0.04, 0.16 / 3, 0.9]
    )
    assert step_up(np.zeros(0)).size == 0


@pytest.mark.parametrize(("n", "won", "k"), [(100, 50, 20), (60, 3, 10), (50, 47, 12), (9, 9, 4)])
def test_the_exact_test_doubles_the_smaller_tail(n: int, won: int, k: int) -> None:
    for wins in range(max(0, k - (n - won)), min(k, won) + 1):
        tails = hypergeom.cdf(wins, n, won, k), hypergeom.sf(wins - 1, n, won, k)
        assert _exact_surprise(n, won, k, wins) == pytest.approx(min(1, 2 * min(tails)), abs=1e-9)
    if (n, won, k) == (100, 50, 20):
        table = [[3, 17], [47, 33]]
        assert _exact_surprise(n, won, k, 3) == pytest.approx(fisher_exact(table).pvalue, rel=0.05)


@pytest.mark.parametrize("seed", range(8))
def test_groups_are_those_of_average_linkage(seed: int) -> None:
    rng = np.random.default_rng(seed)
    alike = np.abs(np.corrcoef(rng.normal(size=(9, 6)) + rng.normal(size=(1, 6))))
    tree = linkage(squareform(1 - alike, checks=False), "average")
    label = fcluster(tree, 0.5, "distance")
    expected = {tuple(np.flatnonzero(label == one).tolist()) for one in label}
    assert set(_linked([(i,) for i in range(9)], alike)) == expected


def test_ranks_are_those_of_spearman() -> None:
    values = np.array([3.0, 1.0, 3.0, -2.0, 7.0, 3.0])
    np.testing.assert_array_equal(mean_ranks(values), rankdata(values))


# --- cohorts --------------------------------------------------------------------------------------


def test_cohorts_are_the_closest_with_enough_others() -> None:
    rng = np.random.default_rng(12)
    matrix = random_matrix(rng, 500)
    results = outcomes(rng, np.zeros(500))
    found = cohorts_of(matrix, results.won, results.r)
    symbols = matrix.column("symbol")
    for row in range(500):
        if found.of[row] < 0:
            continue
        cohort = found.table[found.of[row]]
        assert cohort.words.startswith(symbols.levels[int(symbols.values[row])])
        assert cohort.n > LEAST_OTHERS
        assert 0 <= cohort.won <= cohort.n
    assert (found.of < 0).sum() <= np.isnan(symbols.values).sum()
    assert any(" in London" in one.words and "trades" in one.words for one in found.table)


def test_a_cohort_counts_all_of_its_kind() -> None:
    rng = np.random.default_rng(13)
    matrix = random_matrix(rng, 40)  # too few for anything closer than the symbol
    results = outcomes(rng, np.zeros(40))
    found = cohorts_of(matrix, results.won, results.r)
    column = matrix.column("symbol")
    for cohort in found.table:
        of = column.values == column.levels.index(cohort.words.split()[0])
        if cohort.words.split()[1:] == ["trades"]:
            assert (cohort.n, cohort.won) == (of.sum(), results.won[of].sum())


def test_cohorts_do_not_depend_on_outcomes() -> None:
    rng = np.random.default_rng(14)
    matrix = random_matrix(rng, 300)
    r = np.full(300, np.nan)
    first, second = (cohorts_of(matrix, won, r) for won in (np.zeros(300), np.ones(300)))
    np.testing.assert_array_equal(first.of, second.of)
    assert [c.words for c in first.table] == [c.words for c in second.table]
