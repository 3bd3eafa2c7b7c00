"""Accounts with many simulated trades, written in bulk: for tests of verdicts."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from post_mortem.models import RecommendationTracking
from post_mortem.services import recommendations
from tests.services.factories import make_instrument
from tests.services.judged_trades import judged_trades
from trading.models import Account, Trade

FIRST = datetime(2025, 1, 6, tzinfo=UTC)
HALF = timedelta(hours=12)
CHANGE = FIRST + 200 * HALF
END = FIRST + 400 * HALF
_numbers = itertools.count(1)


def results(n: int, mean: float, *, seed: int) -> np.ndarray:
    """R-multiples like those of a trader: losses of one R, gains from one R on."""
    rng = np.random.default_rng(seed)
    won = rng.random(n) < 0.42
    r = np.where(won, 1 + rng.gamma(1.6, 0.7, n), -1 + rng.normal(0, 0.08, n))
    return np.asarray(r - r.mean() + mean + 0.3 * rng.normal(0, 1, n) / np.sqrt(n))


def add_trades(
    account: Account,
    symbol: str,
    r: Sequence[float] | np.ndarray,
    *,
    first: datetime = FIRST,
    step: timedelta = HALF,
    **changes: Any,
) -> list[Trade]:
    """One trade a step, judged at its R."""
    times = [first + i * step for i in range(len(r))]
    entered = zip(times, r, strict=True)
    return judged_trades(account, make_instrument(symbol), entered, **changes)


def add_advice(account: Account, kind: str, scope: dict[str, str]) -> RecommendationTracking:
    n = next(_numbers)
    return RecommendationTracking.objects.create(
        account=account,
        advice_key=f"{n:064x}",
        kind=kind,
        area="risk",
        scope=scope,
        recommendation=f"Advice {n}.",
    )


def add_change(account: Account, after: float, *, comparison: bool = True, n: int = 200) -> None:
    """Four hundred trades of EURUSD, better or worse by `after` from CHANGE on, and others."""
    add_trades(account, "EURUSD", results(200, 0.0, seed=5))
    add_trades(account, "EURUSD", results(n, after, seed=55), first=CHANGE)
    if comparison:
        for k, symbol in enumerate(("GBPUSD", "USDJPY")):
            add_trades(account, symbol, results(400, 0.0, seed=12 + k))


def implement(
    row: RecommendationTracking,
    now: datetime = CHANGE,
    *,
    status: str = "IMPLEMENTED",
    **changes: Any,
) -> RecommendationTracking:
    """The account's owner says so at `now`."""
    row.refresh_from_db()
    return recommendations.track(
        recommendation_id=row.pk,
        status=status,
        notes=None,
        version=row.version,
        user=row.account.owner,
        now=now,
        changes=changes,
    )
