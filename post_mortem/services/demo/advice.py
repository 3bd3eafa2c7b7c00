"""One decision of the simulated trader: advice that was implemented while there was still to trade.

Whatever verdict the simulated trades give is shown; nothing is made to come out well.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import numpy as np

from post_mortem.core.measurement import LEAST_BASELINE
from post_mortem.core.scope import YES, covers
from post_mortem.models import RecommendationTracking
from post_mortem.selectors.columns import from_ns
from post_mortem.selectors.scoped_trades import account_trades
from post_mortem.services.recommendations import track
from trading.models import Account

KIND: Final = "loss_cooldown"
NOTE: Final = "Decided after the July review: half an hour off after every loss."


def implement_one(*, account: Account) -> RecommendationTracking | None:
    """Implement the cooldown after losses from the moment on at which it had as many trades before
    it as a verdict needs. None where the advice never came up, was decided on already, or covers
    too few trades."""
    row = RecommendationTracking.objects.filter(account=account, kind=KIND, version=1).first()
    if row is None:
        return None
    trades = account_trades(account)
    covered = covers(row.kind, row.scope, trades.columns) == YES
    closed = np.sort(trades.columns.closed[covered & trades.is_closed & np.isfinite(trades.r)])
    if closed.size <= LEAST_BASELINE:
        return None
    return track(
        recommendation_id=row.pk,
        status=RecommendationTracking.Status.IMPLEMENTED,
        notes=NOTE,
        version=row.version,
        user=account.owner,
        now=from_ns(int(closed[LEAST_BASELINE - 1])) + timedelta(minutes=1),
        changes={"owner": account.owner, "effort_hours": 0},
    )
