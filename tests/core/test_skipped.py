"""Skipping days by arm is seen, trading without regard to it is not."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from post_mortem.core.experiments import assign
from post_mortem.core.skipped import skipping_evidence

FOUND = 100.0


def drawn(seed: int, days: int) -> tuple[np.ndarray, np.ndarray]:
    draw = assign(f"salt {seed}", 20_000, days)
    return draw.block, draw.on


def evidence(seed: int, days: int, on: float, off: float) -> float:
    """Days traded with these chances."""
    block, arm = drawn(seed, days)
    chance = np.where(arm, on, off)
    traded = np.random.default_rng(seed).random(days) < chance
    return skipping_evidence(block, arm, traded)


def test_the_example_of_eighty_days() -> None:
    block, on = drawn(1, 80)
    traded = np.ones(80, bool)
    traded[np.flatnonzero(on)[:2]] = False
    traded[np.flatnonzero(~on)[:19]] = False
    assert (int((on & traded).sum()), int((~on & traded).sum())) == (38, 21)
    assert skipping_evidence(block, on, traded) >= FOUND


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_skipping_without_regard_to_the_arm_is_silent(share: float) -> None:
    # One in a hundred histories may, at whatever block one looks; the seeds are fixed.
    assert sum(evidence(seed, 160, share, share) >= FOUND for seed in range(200)) <= 4


def test_skipping_one_arm_is_found_in_either_direction() -> None:
    for on, off in ((0.95, 0.55), (0.55, 0.95)):
        assert sum(evidence(seed, 100, on, off) >= FOUND for seed in range(50)) >= 40


def test_what_says_nothing_is_one() -> None:
    none = np.zeros(0, np.int64)
    assert skipping_evidence(none, none.astype(bool), none.astype(bool)) == 1.0
    block, on = drawn(3, 40)
    for traded in (np.ones(40, bool), np.zeros(40, bool)):
        assert skipping_evidence(block, on, traded) == pytest.approx(1.0)


def test_the_mean_under_chance_is_one() -> None:
    """An e-value: over every order of one block, equally likely, it is 1 on average. Only the last
    value, not the highest, so blocks of one each."""
    traded = np.array([True, True, True, False])
    block = np.zeros(4, np.int64)
    values = []
    for chosen in itertools.combinations(range(4), 2):
        on = np.isin(np.arange(4), chosen)
        values.append(_last(block, on, traded))
    assert np.mean(values) == pytest.approx(1.0)


def _last(block: np.ndarray, on: np.ndarray, traded: np.ndarray) -> float:
    """The value of one block without the floor of 1."""
    from post_mortem.core import skipped

    k, t, j = int(on.sum()), int(traded.sum()), int((on & traded).sum())
    expected = skipped._log_expected(on.size, k, t)
    return float(np.exp(skipped._BETS * j - expected).mean())
