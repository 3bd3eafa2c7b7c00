"""Accounts with many simulated trades, written in bulk: for tests of verdicts."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np

from post_mortem.models import InsightAudit, RecommendationTracking, RuleSnapshot
from tests.services.factories import make_instrument
from trading.models import Account, Signal, Trade

FIRST = datetime(2025, 1, 6, tzinfo=UTC)
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
    step: timedelta = timedelta(hours=12),
    strategy: str = "",
    **changes: Any,
) -> list[Trade]:
    """One trade a step, each an hour long, judged at its R."""
    instrument = make_instrument(symbol)
    times = [first + i * step for i in range(len(r))]
    shared = {"account": account, "instrument": instrument, "strategy": strategy}
    entry = Decimal("1.10000")
    signals = Signal.objects.bulk_create(
        [
            Signal(
                **shared,
                dedupe_key=f"bulk{next(_numbers)}",
                time=at,
                timeframe="1h",
                side=1,
                entry_price=entry,
                stop_loss=Decimal("1.09900"),
            )
            for at in times
        ]
    )
    values = {"side": 1, "quantity": Decimal("1000"), "entry_price": entry} | changes
    trades = Trade.objects.bulk_create(
        [
            Trade(
                **shared,
                signal=signal,
                dedupe_key=f"bulk{next(_numbers)}",
                opened_at=signal.time,
                closed_at=signal.time + timedelta(hours=1),
                exit_price=entry,
                stop_loss_initial=Decimal("1.09900"),
                **values,
            )
            for signal in signals
        ]
    )
    snapshot, _ = RuleSnapshot.objects.get_or_create(sha256="0" * 64, defaults={"data": {"id": 0}})
    InsightAudit.objects.bulk_create(
        [
            InsightAudit(
                account=account,
                signal=trade.signal,
                trade=trade,
                horizon="TRADE",
                outcome=InsightAudit.Outcome.SUCCEEDED
                if value > 0
                else InsightAudit.Outcome.FAILED,
                exit_reason=InsightAudit.ExitReason.MANUAL,
                entry_time=trade.opened_at,
                exit_time=trade.closed_at,
                entry_price=1.1,
                r_multiple=float(value),
                rule_snapshot=snapshot,
                record=b"",
                input_hash="a" * 64,
                evidence_hash="b" * 64,
                engine_version=1,
                evaluated_at=trade.closed_at,
            )
            for trade, value in zip(trades, r, strict=True)
        ]
    )
    return trades


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
