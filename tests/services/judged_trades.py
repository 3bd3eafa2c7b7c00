"""Many closed trades at once, each with the verdict a test wants of it."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from post_mortem.models import InsightAudit, RuleSnapshot
from trading.models import Account, Instrument, Signal, Trade

ENTRY, STOP = Decimal("1.10000"), Decimal("1.09900")
_numbers = itertools.count(1)


def judged_trades(
    account: Account,
    instrument: Instrument,
    results: Iterable[tuple[datetime, float | None]],
    *,
    strategy: str = "",
    **changes: Any,
) -> list[Trade]:
    """An hour long each, on a signal of its own, entered at a time and judged at an R; a result of
    None is not judged. `changes` are fields of the trades."""
    entered = [(at, None if r is None else float(r)) for at, r in results]
    shared = {"account": account, "instrument": instrument, "strategy": strategy}
    planned = {"side": 1, "entry_price": ENTRY}
    signals = Signal.objects.bulk_create(
        Signal(
            **shared,
            **planned,
            dedupe_key=f"judged signal {next(_numbers)}",
            time=at,
            timeframe="1h",
            stop_loss=STOP,
        )
        for at, _ in entered
    )
    values = planned | {"quantity": Decimal(1000), "exit_price": ENTRY, "stop_loss_initial": STOP}
    trades = Trade.objects.bulk_create(
        Trade(
            **{
                **shared,
                **values,
                "signal": signal,
                "dedupe_key": f"judged trade {next(_numbers)}",
                "opened_at": signal.time,
                "closed_at": signal.time + timedelta(hours=1),
                **changes,
            }
        )
        for signal in signals
    )
    _judge((trade, r) for trade, (_, r) in zip(trades, entered, strict=True) if r is not None)
    return trades


def _judge(results: Iterable[tuple[Trade, float]]) -> None:
    rules, _ = RuleSnapshot.objects.get_or_create(sha256="0" * 64, defaults={"data": {"id": 0}})
    outcomes = InsightAudit.Outcome
    InsightAudit.objects.bulk_create(
        InsightAudit(
            account=trade.account,
            signal=trade.signal,
            trade=trade,
            horizon="TRADE",
            outcome=outcomes.SUCCEEDED if r > 0 else outcomes.FAILED,
            exit_reason=InsightAudit.ExitReason.MANUAL,
            entry_time=trade.opened_at,
            exit_time=trade.closed_at,
            entry_price=float(trade.entry_price),
            r_multiple=r,
            rule_snapshot=rules,
            record=b"",
            input_hash="a" * 64,
            evidence_hash="b" * 64,
            engine_version=1,
            evaluated_at=trade.closed_at,
        )
        for trade, r in results
    )
