"""Boundaries agree with published tables, spend what they should, and refuse nonsense."""

from __future__ import annotations

import numpy as np
import pytest

from post_mortem.core.impact import fractions_of
from post_mortem.core.measurement import ARM_LOOKS, LOOKS
from post_mortem.core.spending import FAMILIES, boundaries, overall_p, spent

# Lan-DeMets O'Brien-Fleming bounds for equally spaced looks, two-sided 0.05, 0.025 a side, as
# Reboussin, DeMets, Kim and Lan's program (2000) prints them.
PUBLISHED = [
    (1, [1.9600]),
    (2, [2.9626, 1.9686]),
    (3, [3.7103, 2.5114, 1.9930]),
    (4, [4.3326, 2.9631, 2.3590, 2.0141]),
    (5, [4.8769, 3.3569, 2.6803, 2.2898, 2.0310]),
]
# From 400,000 simulated paths, for this plan's looks; nan where too little is spent to simulate.
SIMULATED = [
    (fractions_of(360, LOOKS), [np.nan, 3.50, 2.84, 2.48, 2.30, 2.06]),
    (fractions_of(120, LOOKS), [3.69, 2.89, 2.49, 2.31, 2.23, 2.11]),
    (fractions_of(60, LOOKS), [3.09, 2.56, 2.33, 2.24, 2.21, 2.14]),
    (tuple(n / 300 for n in ARM_LOOKS), [np.nan, np.nan, 3.39, 2.79, 2.45, 2.02]),
]


@pytest.mark.parametrize(("looks", "expected"), PUBLISHED)
def test_bounds_are_those_of_the_published_tables(looks, expected):
    fractions = tuple((i + 1) / looks for i in range(looks))
    assert boundaries(fractions, 0.05, per_side=True) == pytest.approx(expected, abs=2e-4)


@pytest.mark.parametrize(("fractions", "expected"), SIMULATED)
def test_bounds_are_those_of_simulated_paths(fractions, expected):
    found = np.array(boundaries(fractions))
    known = np.isfinite(expected)
    assert found[known] == pytest.approx(np.array(expected)[known], abs=0.02)


@pytest.mark.parametrize("family", FAMILIES)
def test_fresh_paths_cross_as_often_as_is_spent(family):
    """The recursion against paths drawn one by one: a boundary 0.15 lower fails this."""
    fractions = fractions_of(120, LOOKS)
    rng = np.random.default_rng(7)
    steps = np.diff(np.append(0.0, fractions))
    z = np.cumsum(rng.normal(0, np.sqrt(steps), (200_000, 6)), axis=1) / np.sqrt(fractions)
    bounds = np.array(boundaries(fractions, 0.05, family))
    crossed = (np.abs(z) >= bounds).any(axis=1).mean()
    assert crossed == pytest.approx(0.05, abs=3 * np.sqrt(0.05 * 0.95 / 200_000))
    lower = (np.abs(z) >= bounds - 0.15).any(axis=1).mean()
    assert lower > 0.06


def test_many_looks_close_together_still_spend_alpha():
    fractions = tuple(np.linspace(0.02, 1, 99).tolist())
    rng = np.random.default_rng(8)
    steps = np.diff(np.append(0.0, fractions))
    z = np.cumsum(rng.normal(0, np.sqrt(steps), (40_000, 99)), axis=1) / np.sqrt(fractions)
    crossed = (np.abs(z) >= np.array(boundaries(fractions))).any(axis=1).mean()
    assert crossed == pytest.approx(0.05, abs=3 * np.sqrt(0.05 * 0.95 / 40_000))


def test_overall_p_at_the_boundary_is_what_is_spent():
    fractions = fractions_of(360, LOOKS)
    for look, bound in enumerate(boundaries(fractions)):
        expected = spent(fractions[look], 0.05)
        assert overall_p(fractions, look, bound) == pytest.approx(expected, rel=1e-6)
    assert overall_p(fractions, 5, 0.0) == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("fractions", [(), (0.5, 0.5), (0.6, 0.4), (0.0, 1.0), (0.5, 1.1)])
def test_fractions_that_do_not_rise_are_refused(fractions):
    with pytest.raises(ValueError, match="fractions"):
        boundaries(fractions)


def test_an_unknown_family_is_refused():
    with pytest.raises(ValueError, match="family"):
        boundaries((1.0,), 0.05, "pocock")
