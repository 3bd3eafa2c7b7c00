"""What the engine asks a person about, and what it leaves alone."""

from __future__ import annotations

import numpy as np
import pytest

from post_mortem.core.review import REASON_WORDS, ReviewReason, reasons_in, reasons_of
from post_mortem.core.types import Flag, Outcome

R = ReviewReason


@pytest.mark.parametrize(
    ("outcome", "flags", "coverage", "r", "unknown", "expected"),
    [
        (Outcome.FAILED, 0, 1.0, -1.0, True, 0),
        (Outcome.FAILED, 0, 1.0, -1.49, True, 0),
        (Outcome.FAILED, 0, 1.0, -1.5, True, R.UNEXPLAINED),
        (Outcome.FAILED, 0, 1.0, -3.0, False, 0),
        (Outcome.FAILED, 0, 1.0, np.nan, True, 0),
        (Outcome.FAILED, Flag.AMBIGUOUS, 1.0, -1.0, False, R.AMBIGUOUS),
        (Outcome.FAILED, Flag.ENTRY_OUTSIDE_CANDLE, 1.0, -1.0, False, 0),
        (Outcome.SUCCEEDED, 0, 0.95, 2.0, False, 0),
        (Outcome.SUCCEEDED, 0, 0.94, 2.0, False, R.LOW_COVERAGE),
        (Outcome.SUCCEEDED, 0, np.nan, 2.0, False, 0),
        (Outcome.NEEDS_REVIEW, 0, 0.2, np.nan, False, R.NOT_JUDGED | R.LOW_COVERAGE),
        (Outcome.PENDING, Flag.AMBIGUOUS, 0.1, -2.0, True, 0),
        (Outcome.FILTERED_OUT, Flag.AMBIGUOUS, 0.1, -2.0, True, 0),
        (Outcome.FAILED, Flag.AMBIGUOUS, 0.5, -2.0, True, 14),
    ],
)
def test_reasons(
    outcome: int, flags: int, coverage: float, r: float, unknown: bool, expected: int
) -> None:
    columns = (np.array([outcome]), np.array([int(flags)]), np.array([coverage]), np.array([r]))
    assert reasons_of(*columns, np.array([unknown])).tolist() == [int(expected)]


def test_every_reason_has_words() -> None:
    assert set(REASON_WORDS) == set(ReviewReason)
    assert reasons_in(0) == ()
    assert reasons_in(9) == (R.NOT_JUDGED, R.UNEXPLAINED)
