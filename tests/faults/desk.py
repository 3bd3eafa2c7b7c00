"""A small desk in a database of its own, for workers that are killed: made and fingerprinted by
`python -m tests.faults.desk make|print`."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from datetime import timedelta

TRADES = 150
GROUP = 5


def make() -> None:
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    from post_mortem.services import jobs
    from post_mortem.services.requests import ANALYSES
    from tests.services.factories import (
        make_account,
        make_candles,
        make_instrument,
        make_signal_at,
        make_trade,
        price,
        walk,
    )

    account, instrument = make_account(), make_instrument()
    closes = walk(32 * 1440)
    make_candles(instrument, closes)
    trades = []
    for i in range(TRADES):
        minute = 18 * 1440 + 50 * i
        claims = {"score": 60.0, "model_version": "v1"}
        claims |= {"claimed_setups": ["bos"] if i % 3 else None}
        side = 1 if i % 2 else -1
        signal = make_signal_at(account, instrument, closes, minute, side, **claims)
        closed = signal.time + timedelta(minutes=90)
        leave = price(int(closes[minute + 89]))
        trades.append(make_trade(signal, exit_price=leave, closed_at=closed).pk)
    jobs.enqueue(
        kind=ANALYSES,
        account=account,
        items=jobs.groups("trades", trades, GROUP),
        params={"horizons": []},
    )


def fingerprint() -> dict[str, object]:
    """Digests of what the workers wrote, without ids and wall-clock times."""
    from post_mortem.models import (
        AuditRCA,
        AutopsyJob,
        InsightAudit,
        JobItem,
        RecommendationTracking,
        TradeAnalysis,
    )

    audits = InsightAudit.objects.order_by("signal_id", "trade_id", "horizon").values_list(
        "signal_id", "trade_id", "horizon", "outcome", "input_hash", "evidence_hash", "is_stale"
    )
    causes = AuditRCA.objects.order_by("audit__signal_id", "audit__horizon", "rank").values_list(
        "audit__signal_id", "audit__horizon", "rank", "cause", "confidence"
    )
    analyses = TradeAnalysis.objects.order_by("trade_id").values_list("trade_id", "evidence_hash")
    advice = RecommendationTracking.objects.order_by("advice_key").values_list("advice_key", "kind")
    job = AutopsyJob.objects.get()
    return {
        "audits": _digest(audits),
        "causes": _digest(causes),
        "analyses": _digest(analyses),
        "advice": _digest(advice),
        "counts": [InsightAudit.objects.count(), TradeAnalysis.objects.count()],
        "job": [job.status, job.done, job.failed],
        "unfinished": JobItem.objects.exclude(status="done").count(),
        "attempts": sum(JobItem.objects.values_list("attempts", flat=True)),
    }


def _digest(rows: object) -> str:
    return hashlib.sha256(repr(list(rows)).encode()).hexdigest()  # type: ignore[call-overload]


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    import django

    django.setup()
    if sys.argv[1] == "make":
        make()
    else:
        sys.stdout.write(json.dumps(fingerprint()))
