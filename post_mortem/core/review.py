"""When a person should look at an audit: what the engine itself says it is unsure of.

Pure columns in, bits out; what people add to it (a flag by hand, a rejected cause) is not here.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntFlag

import numpy as np
from numpy.typing import NDArray

from post_mortem.core.types import CAUSES, Diagnosis, Flag, Labels, Outcome
from trading.core.candles import F64

LEAST_COVERAGE = 0.95
# A stop that holds costs 1 R: a loss well beyond it without any cause found is worth a look.
LARGE_LOSS_R = 1.5


class ReviewReason(IntFlag):
    NOT_JUDGED = 1  # outcome needs_review
    AMBIGUOUS = 2  # stop and target in one bar, and no finer candles to tell
    LOW_COVERAGE = 4
    UNEXPLAINED = 8  # a large loss, and `unknown` first


REASON_WORDS: Mapping[ReviewReason, str] = {
    ReviewReason.NOT_JUDGED: "could not be judged",
    ReviewReason.AMBIGUOUS: "stop and target in one bar",
    ReviewReason.LOW_COVERAGE: "candles missing",
    ReviewReason.UNEXPLAINED: "large loss without a cause",
}


def review_reasons(labels: Labels, diagnosis: Diagnosis) -> NDArray[np.int16]:
    """Bits of `ReviewReason`, one element a case."""
    unknown_first = diagnosis.rank[:, CAUSES.index("unknown")] == 1
    return reasons_of(labels.outcome, labels.flags, labels.coverage, labels.r, unknown_first)


def reasons_of(
    outcome: NDArray[np.integer],
    flags: NDArray[np.integer],
    coverage: F64,
    r: F64,
    unknown_first: NDArray[np.bool_],
) -> NDArray[np.int16]:
    """The same from columns; NaN is not known. Nothing is asked of what is still pending or was
    never taken."""
    settled = (outcome != Outcome.PENDING) & (outcome != Outcome.FILTERED_OUT)
    bits = np.zeros(outcome.shape, np.int16)
    for reason, there in (
        (ReviewReason.NOT_JUDGED, outcome == Outcome.NEEDS_REVIEW),
        (ReviewReason.AMBIGUOUS, (flags & Flag.AMBIGUOUS) != 0),
        (ReviewReason.LOW_COVERAGE, coverage < LEAST_COVERAGE),
        (ReviewReason.UNEXPLAINED, unknown_first & (r <= -LARGE_LOSS_R)),
    ):
        bits[there & settled] |= reason
    return bits


def reasons_in(bits: int) -> tuple[ReviewReason, ...]:
    return tuple(reason for reason in ReviewReason if bits & reason)
