"""Detector misidentification: the claimed setup was not there when the signal was given.

The claimed setups are looked for again on the signal's timeframe with bars closed by the entry
only. Absent, on the other side, or found only by a look at later bars (a repainting detector) is
strength 1; missed by a tenth of the average range or one tick is a marginal 0.4. Setups that cannot
be looked for (no claim recorded, too few bars) abstain; a signal that claims none is no case of it.
Source: definitions of the setups in `core/setups.py`.
"""

from __future__ import annotations

import numpy as np

from post_mortem.core.context import Context
from post_mortem.core.measures import JUMP_EXPLAINS
from post_mortem.core.surroundings import SETUP_SUBTYPES
from post_mortem.core.types import SETUPS, FactSpec, Findings

CAUSE = "detector_misid"
BAND = (65, 65)
FACTS = (
    FactSpec("subtype", "code", "what became of the worst claim", SETUP_SUBTYPES),
    FactSpec("setup", "code", "the claimed setup", SETUPS),
    FactSpec("found_lag", "bars", "bars from its detection to the entry, where it was found"),
    FactSpec("shortfall_atr", "ratio", "by how much its nearest rule failed, in ATR14"),
    FactSpec("n_claimed", "count", "setups claimed"),
    FactSpec("n_found", "count", "of which present"),
)


def assess(context: Context) -> Findings:
    """Findings for every case."""
    check = context.setups
    facts = {
        "subtype": check.subtype,
        "setup": check.setup,
        "found_lag": check.lag,
        "shortfall_atr": check.shortfall,
        "n_claimed": check.claimed.astype(np.float64),
        "n_found": check.present.astype(np.float64),
    }
    present = context.jump.strength < JUMP_EXPLAINS
    return context.findings(
        CAUSE, BAND, check.strength, facts, missing=check.missing, precondition=present
    )
