"""What other plans would have made of one audit's own candles, replayed when its page is read.

The case is rebuilt from its rows and the series that judged it. Where that no longer gives what
the audit says (candles, rule or trade changed since), nothing is said.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from post_mortem.core.alternatives import Alternative, wider_stop, without_slippage
from post_mortem.core.types import NO_TIME, ExitReason, Outcome
from post_mortem.models import InsightAudit
from trading.core.types import Horizon, horizon_ns
from trading.models import Desk

from .columns import nanoseconds
from .rebuilt import Rebuilt, rebuild

FACTORS = (1.5, 2.0)
_JUDGED = (Outcome.SUCCEEDED, Outcome.FAILED, Outcome.NEUTRAL)


@dataclass(frozen=True, slots=True)
class Wider:
    """A stop `factor` times as far away. `r` in R of the original risk; `hit` 0 none, 1 the wider
    stop, 2 the target; times ns UTC. `followed` names the signal's horizon to whose end a trade
    was followed, '' where it was judged at its own end; `r_at_exit` is then its R at its own
    exit."""

    factor: float
    distance_pips: float
    stop_price: float
    r: float
    hit: int
    exit_price: float
    exit_time: int
    followed: str = ""
    r_at_exit: float | None = None


@dataclass(frozen=True, slots=True)
class Alternatives:
    """`slippage_pips` and `r_without_slippage` are None where no better price was asked for."""

    wider: tuple[Wider, ...] = ()
    slippage_pips: float | None = None
    r_without_slippage: float | None = None


def alternatives_of(
    audit: InsightAudit,
    desk: Desk,
    siblings: Sequence[InsightAudit],
    rebuilt: Rebuilt | None = None,
) -> Alternatives:
    """Alternatives of a failed or neutral audit; of any other there are none. `siblings` are the
    audits of the same signal, whose horizons say how far a stopped trade may be followed; `rebuilt`
    is the case again, with bars up to `reach_of`."""
    if audit.outcome not in (Outcome.FAILED, Outcome.NEUTRAL) or audit.r_multiple is None:
        return Alternatives()
    if audit.horizon != Horizon.TRADE and audit.exit_reason != ExitReason.SL:
        return Alternatives()
    further = further_of(audit, siblings)
    if rebuilt is None:
        rebuilt = rebuild(audit, desk, until=reach_of(audit, siblings))
    if rebuilt is None:
        return Alternatives()
    slip = without_slippage(rebuilt.batch, rebuilt.paths, rebuilt.labels)
    known = bool(np.isfinite(slip.price[0])) and slip.price[0] > 0
    return Alternatives(
        wider=_wider(rebuilt, further),
        slippage_pips=float(slip.price[0]) / float(rebuilt.batch.market.pip) if known else None,
        r_without_slippage=float(slip.r[0]) if known else None,
    )


def reach_of(audit: InsightAudit, siblings: Sequence[InsightAudit]) -> int:
    """Until when (ns) bars are needed to follow a trade beyond its end."""
    further = further_of(audit, siblings)
    return NO_TIME if further is None else _end_ns(further)


def further_of(audit: InsightAudit, siblings: Sequence[InsightAudit]) -> InsightAudit | None:
    """The shortest judged horizon of the signal that ends after the trade did."""
    if audit.horizon != Horizon.TRADE or audit.exit_time is None:
        return None
    ends = [
        (_end_ns(other), other)
        for other in siblings
        if other.horizon != Horizon.TRADE and other.outcome in _JUDGED
    ]
    later = [(end, other) for end, other in ends if end > nanoseconds(audit.exit_time)]
    return min(later, key=lambda pair: pair[0])[1] if later else None


def _end_ns(audit: InsightAudit) -> int:
    return nanoseconds(audit.signal.time) + horizon_ns(audit.horizon)


# --- wider stops ----------------------------------------------------------------------------------
def _wider(rebuilt: Rebuilt, further: InsightAudit | None) -> tuple[Wider, ...]:
    found: list[Wider] = []
    for factor in FACTORS:
        one = _one(rebuilt, factor, further)
        # A stop that changes nothing any more is not worth a second line.
        if one is not None and not (found and found[-1].hit != 1 and one.r == found[-1].r):
            found.append(one)
    return tuple(found)


def _one(rebuilt: Rebuilt, factor: float, further: InsightAudit | None) -> Wider | None:
    own = wider_stop(rebuilt.batch, rebuilt.paths, rebuilt.labels, factor)
    if not np.isfinite(own.r[0]):
        return None
    if own.hit[0] == 0 and further is not None:
        until = np.array([_end_ns(further)], np.int64)
        longer = wider_stop(rebuilt.batch, rebuilt.paths, rebuilt.labels, factor, until=until)
        if np.isfinite(longer.r[0]):
            return _told(rebuilt, longer, factor, further.horizon, float(own.r[0]))
    return _told(rebuilt, own, factor, "", None)


def _told(
    rebuilt: Rebuilt, found: Alternative, factor: float, followed: str, r_at_exit: float | None
) -> Wider:
    risk = float(rebuilt.labels.risk_price[0])
    return Wider(
        factor=factor,
        distance_pips=(factor - 1) * risk / float(rebuilt.batch.market.pip),
        stop_price=float(found.stop_price[0]),
        r=float(found.r[0]),
        hit=int(found.hit[0]),
        exit_price=float(found.exit_price[0]),
        exit_time=int(found.exit_time[0]),
        followed=followed,
        r_at_exit=r_at_exit,
    )
