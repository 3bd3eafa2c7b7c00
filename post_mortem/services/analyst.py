"""`PostMortemService`: the post-mortem of trades for callers in Python."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime

from asgiref.sync import sync_to_async

from post_mortem.models import RecommendationTracking, TradeAnalysis
from post_mortem.services.audits import run_autopsy
from post_mortem.services.model_narratives import word_narratives
from post_mortem.services.narratives import narrate_audits
from post_mortem.services.recommendations import track
from trading.core.errors import InquestError, NotFoundError
from trading.models import Trade

logger = logging.getLogger(__name__)


class PostMortemService:
    """Analyses by trade id. Methods are async; synchronous callers use `async_to_sync`.

    It acts with the rights of the code that calls it: interfaces check what a user may see first.
    """

    async def analyze_trade(self, trade_id: int) -> TradeAnalysis:
        """Audit one trade, explain it and return its analysis. A model words it where one is
        configured and answers in time. Raises NotFoundError."""
        return await sync_to_async(_analyze)(trade_id, interactive=True)

    async def analyze_trade_batch(
        self, trade_ids: Sequence[int], concurrency: int = 3
    ) -> list[TradeAnalysis | Exception]:
        """One result a trade, in the order given; a trade that fails is its exception and the
        others go on. A model words at most `concurrency` at a time."""
        return await sync_to_async(_analyze_many)(trade_ids, max(1, concurrency))

    async def track_recommendation_impact(
        self, recommendation_id: int, implementation_status: str
    ) -> RecommendationTracking:
        """Set the status of a recommendation as its account's owner."""
        return await sync_to_async(_track)(recommendation_id, implementation_status)


def _analyze(trade_id: int, *, interactive: bool = False) -> TradeAnalysis:
    audit_ids = _judge(trade_id)
    word_narratives(audit_ids=audit_ids, now=datetime.now(tz=UTC), interactive=interactive)
    return _analysis(trade_id)


def _analyze_many(trade_ids: Sequence[int], concurrency: int) -> list[TradeAnalysis | Exception]:
    failed: dict[int, Exception] = {}
    audit_ids: list[int] = []
    for trade_id in dict.fromkeys(trade_ids):
        try:
            audit_ids += _judge(trade_id)
        except Exception as error:
            if not isinstance(error, InquestError):
                logger.exception("trade %s failed", trade_id)
            failed[trade_id] = error
    word_narratives(audit_ids=audit_ids, now=datetime.now(tz=UTC), concurrency=concurrency)
    return [failed.get(trade_id) or _analysis(trade_id) for trade_id in trade_ids]


def _judge(trade_id: int) -> list[int]:
    """Audit the trade and let the narrator explain it. Ids of its audits."""
    if not Trade.objects.filter(pk=trade_id).exists():
        raise NotFoundError("not_found", f"There is no trade {trade_id}.", field="trade_id")
    summary = run_autopsy(trade_ids=[trade_id], now=datetime.now(tz=UTC))
    narrate_audits(audit_ids=summary.audit_ids)
    return list(summary.audit_ids)


def _analysis(trade_id: int) -> TradeAnalysis:
    analysis: TradeAnalysis = TradeAnalysis.objects.select_related("audit", "trade").get(
        trade_id=trade_id
    )
    return analysis


def _track(recommendation_id: int, status: str) -> RecommendationTracking:
    row = (
        RecommendationTracking.objects.select_related("account__owner")
        .filter(pk=recommendation_id)
        .first()
    )
    if row is None:
        raise NotFoundError("not_found", f"There is no recommendation {recommendation_id}.")
    return track(
        recommendation_id=row.pk,
        status=status,
        notes=None,
        version=row.version,
        user=row.account.owner,
        now=datetime.now(tz=UTC),
    )
