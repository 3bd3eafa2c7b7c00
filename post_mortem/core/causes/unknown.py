"""Unknown: nothing found explains the loss, or what would explain it could not be checked.

A valid and frequent answer: with a win rate of 45 %, 55 % of trades lose with nothing wrong. Its
posterior falls with the best and the second best posterior of the others. It ranks first when the
best is weak, or when a shock could not be attributed because a feed was missing and nothing else
is strong; otherwise last. A neutral case without an adverse move has nothing to explain.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from post_mortem.core.calibration import confidence, shares
from post_mortem.core.context import Context
from post_mortem.core.types import CAUSES, Bool, FactSpec, Findings, Status
from trading.core.candles import F64

CAUSE = "unknown"
BAND = (10, 40)
FACTS = (
    FactSpec(
        "subtype",
        "code",
        "why it is unknown",
        ("nothing_found", "no_adverse_move", "insufficient_data"),
    ),
    FactSpec("n_checked", "count", "causes that could be checked"),
    FactSpec("n_abstained", "count", "causes that could not be checked"),
    FactSpec("best_cause", "code", "the strongest named cause", CAUSES),
    FactSpec("best_posterior", "probability", "its posterior, if nothing else showed"),
    FactSpec("second_posterior", "probability", "the same of the next"),
    FactSpec("expected_loss_rate", "probability", "share this setup loses anyway"),
)


def assess(context: Context, others: Sequence[Findings], quiet: Bool, blind: Bool) -> Findings:
    """Findings of `unknown` given those of all other causes, before they compete.

    `quiet`: neutral without an adverse move; `blind`: a shock that could not be attributed.
    """
    posteriors = np.stack([f.posterior for f in others])
    ranked = np.sort(posteriors, axis=0)
    best, second = ranked[-1], ranked[-2]
    abstained = np.stack([f.status == Status.ABSTAINED for f in others]).sum(axis=0)
    shared = np.sort(shares(posteriors), axis=0)
    posterior = context.calibration.posterior_unknown(shared[-1], shared[-2])
    posterior = np.where(quiet | blind, np.maximum(posterior, context.calibration.sure), posterior)
    subtype = np.where(quiet, 1.0, np.where(blind | (abstained >= 3), 2.0, 0.0))
    codes = np.array([CAUSES.index(f.cause) for f in others], np.float64)
    facts = {
        "subtype": subtype,
        "n_checked": (len(others) - abstained).astype(np.float64),
        "n_abstained": abstained.astype(np.float64),
        "best_cause": np.where(best > 0, codes[posteriors.argmax(axis=0)], np.nan),
        "best_posterior": best,
        "second_posterior": second,
        "expected_loss_rate": _expected_loss_rate(others),
    }
    status = np.full(len(context), Status.NOT_FIRED, np.int8)
    bits = np.zeros(len(context), np.int32)
    for finding in others:
        bits |= finding.missing * (finding.status == Status.ABSTAINED)
    return Findings(CAUSE, status, posterior, posterior, confidence(BAND, posterior), bits, facts)


def _expected_loss_rate(others: Sequence[Findings]) -> F64:
    for finding in others:
        if "fail_rate" in finding.facts:
            known = finding.facts["n"] >= 8
            return np.where(known, finding.facts["fail_rate"], np.nan)
    return np.full(len(others[0].status), np.nan)
