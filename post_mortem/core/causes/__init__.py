"""The causes, one file each. A cause gives `CAUSE`, `BAND` (confidence), `FACTS` (what it reports)
and `assess(context) -> Findings`; it knows no other cause. `NAMED` is the one list of them, in the
order of `types.CAUSES`; `unknown` comes last and reads the findings of the others.
"""

from __future__ import annotations

from typing import Protocol

from post_mortem.core.causes import (
    detector_misid,
    external_shock,
    false_positive,
    liquidity_event,
    model_error,
    news_shock,
    regime_drift,
    spread_slippage,
    unknown,
    user_psychology,
    volatility_spike,
)
from post_mortem.core.context import Context
from post_mortem.core.types import FactSpec, Findings


class Cause(Protocol):
    """What a module of this package offers."""

    @property
    def CAUSE(self) -> str: ...

    @property
    def BAND(self) -> tuple[int, int]: ...

    @property
    def FACTS(self) -> tuple[FactSpec, ...]: ...

    def assess(self, context: Context) -> Findings: ...


NAMED: tuple[Cause, ...] = (
    news_shock,
    regime_drift,
    volatility_spike,
    liquidity_event,
    external_shock,
    spread_slippage,
    model_error,
    detector_misid,
    false_positive,
    user_psychology,
)

# Facts of every cause, in the order of the evidence record.
FACTS: dict[str, tuple[FactSpec, ...]] = {
    **{cause.CAUSE: cause.FACTS for cause in NAMED},
    unknown.CAUSE: unknown.FACTS,
}
