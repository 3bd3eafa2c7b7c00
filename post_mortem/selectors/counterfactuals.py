"""What a rule would have made of the trades before it was implemented: hypothetical, in pairs.

Every trade is its own comparison. A rule against trades is read from the trades it forbids, without
replaying anything; a wider stop and fills without slippage are replayed on the candles that judged
the trades. None of it says what a trader will do with the rule, so none of it is a verdict.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from post_mortem.core.alternatives import wider_stop, without_slippage
from post_mortem.core.labeler import label
from post_mortem.core.paired import paired_effect
from post_mortem.core.resolution import first_touches
from post_mortem.core.scope import SKIPS, YES, breaks, broken_sentence
from trading.core.candles import F64, I64

from .case_rows import Selection
from .cases import CasesOf, case_batches
from .scoped_trades import AccountTrades

WIDER: Final = 1.5
REPLAYED: Final = ("volatility_stop", "execution_cost")


@dataclass(frozen=True, slots=True)
class Hypothetical:
    """`how` says what was changed, `effect` the paired difference in R a trade (`core.paired`);
    `left_out` trades could not be replayed."""

    how: str
    effect: Mapping[str, Any]
    left_out: int


def hypothetical(
    kind: str, scope: Mapping[str, str], trades: AccountTrades, rows: I64
) -> Hypothetical | None:
    """For the trades at `rows`, in time order; None where nothing can be said."""
    if not rows.size:
        return None
    if kind in SKIPS:
        return _skipped(kind, scope, trades, rows)
    if kind in REPLAYED:
        return _replayed(kind, trades, rows)
    return None


def _skipped(
    kind: str, scope: Mapping[str, str], trades: AccountTrades, rows: I64
) -> Hypothetical | None:
    found = breaks(kind, scope, trades.columns)
    if found is None:
        return None
    told = rows[found[rows] >= 0]
    if not told.size:
        return None
    r = trades.r[told]
    effect = paired_effect(r, r, found[told] == YES)
    words = f"Without the trades {broken_sentence(kind, scope)}"
    return Hypothetical(words, asdict(effect), int(rows.size - told.size))


def _replayed(kind: str, trades: AccountTrades, rows: I64) -> Hypothetical | None:
    ids = trades.id[rows]
    replayed: dict[int, float] = {}
    wanted = tuple(int(pk) for pk in ids)
    for cases in case_batches(Selection(trade_ids=wanted, horizons=())):
        for pk, r in zip(cases.trade_id.tolist(), _again(kind, cases).tolist(), strict=True):
            replayed[pk] = r
    other = np.array([replayed.get(pk, np.nan) for pk in ids.tolist()], np.float64)
    known = np.isfinite(other)
    if not known.any():
        return None
    effect = paired_effect(trades.r[rows][known], other[known])
    words = (
        "With the stop half as far again and the size cut to the same risk"
        if kind == "volatility_stop"
        else "At the prices that were asked for"
    )
    return Hypothetical(words, asdict(effect), int((~known).sum()))


def _again(kind: str, cases: CasesOf) -> F64:
    """R of each case under the rule, NaN where it cannot be replayed."""
    paths = first_touches(cases.batch)
    labels = label(cases.batch, paths)
    if kind == "execution_cost":
        return without_slippage(cases.batch, paths, labels).r
    wider = wider_stop(cases.batch, paths, labels, WIDER).r
    # A trade that its stop did not end would have ended as it did, on a smaller size.
    ended: F64 = np.where(np.isfinite(wider), wider, labels.r) / WIDER
    return ended
