"""How often the engine names the planted cause. Floors lie well under what it reaches, so that a
regression shows and a lucky seed does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from post_mortem.core.labeler import label
from post_mortem.core.portable import parse_case
from post_mortem.core.rca import diagnose
from post_mortem.core.replay import replay
from post_mortem.core.types import CAUSES
from tests.core import simulate

# Seeds of no other use: constants were chosen on seeds below 1,000.
FIRST_SEED = 40_000
PER_CAUSE = 54
BINS = 10


@dataclass
class Answers:
    """Truth, first answer, whether the truth is among the first three, posterior of the first."""

    truth: np.ndarray
    first: np.ndarray
    in_three: np.ndarray
    posterior: np.ndarray

    @property
    def right(self) -> np.ndarray:
        return self.truth == self.first

    def recall(self, cause: str) -> float:
        return float(self.right[self.truth == cause].mean())

    @property
    def macro(self) -> float:
        return float(np.mean([self.recall(cause) for cause in np.unique(self.truth)]))

    @property
    def calibration_error(self) -> float:
        bins = np.minimum((self.posterior * BINS).astype(int), BINS - 1)
        return sum(
            float(np.mean(bins == k))
            * abs(float(self.right[bins == k].mean() - self.posterior[bins == k].mean()))
            for k in np.unique(bins)
        )


def answer(cases: list[tuple[str, dict[str, object]]]) -> Answers:
    rows = []
    for truth, case in cases:
        batch = parse_case(case)
        paths = replay(batch)
        found = diagnose(batch, paths, label(batch, paths))
        rank = found.rank[0]
        first = int(np.flatnonzero(rank == 1)[0])
        place = rank[CAUSES.index(truth)]
        rows.append((truth, CAUSES[first], 0 < place <= 3, found.findings[first].posterior[0]))
    return Answers(*(np.array(column) for column in zip(*rows, strict=True)))


def simulated(causes: tuple[str, ...], n: int, **kinds: bool) -> Answers:
    return answer(
        [
            (cause, simulate.make_case(FIRST_SEED + seed, cause, **kinds))
            for cause in causes
            for seed in range(n)
        ]
    )


@pytest.fixture(scope="module")
def plain() -> Answers:
    return simulated(simulate.CAUSES, PER_CAUSE)


def test_the_planted_cause_comes_first(
    plain: Answers, record_property: Callable[[str, object], None]
) -> None:
    top_one, top_three = float(plain.right.mean()), float(plain.in_three.mean())
    measured = (
        f"{plain.truth.size} cases: AC@1 {top_one:.3f}, AC@3 {top_three:.3f}, "
        f"macro {plain.macro:.3f}, ECE {plain.calibration_error:.3f}"
    )
    record_property("measured", measured)
    assert top_one >= 0.85, measured
    assert top_three >= 0.90, measured
    assert plain.macro >= 0.85, measured
    assert plain.calibration_error <= 0.12, measured


@pytest.mark.parametrize("cause", simulate.CAUSES)
def test_no_cause_is_neglected(plain: Answers, cause: str) -> None:
    hard = ("regime_drift", "volatility_spike", "unknown")
    assert plain.recall(cause) >= (0.50 if cause in hard else 0.85)


def test_what_is_believed_is_so(plain: Answers) -> None:
    sure = (plain.posterior >= 0.6) & (plain.first != "unknown")
    assert plain.right[sure].mean() >= 0.88


def test_without_the_decisive_feed_it_is_unknown() -> None:
    # A widened stop needs no log, so stress is left to its own test.
    causes = tuple(cause for cause in simulate.DECISIVE if cause != "user_psychology")
    blind = simulated(causes, 24, missing=True)
    assert (blind.first == "unknown").mean() >= 0.80


def test_a_feed_that_does_not_matter_may_be_gone(plain: Answers) -> None:
    without = simulated(simulate.CAUSES, 24, irrelevant=True)
    assert without.right.mean() >= plain.right.mean() - 0.06
