"""`PostMortemService`: the post-mortem of trades for callers in Python."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

from asgiref.sync import sync_to_async

from post_mortem.models import RecommendationTracking, TradeAnalysis
from post_mortem.services.audits import run_autopsy
from post_mortem.services.model_narratives import word_narratives
from post_mortem.services.narratives import narrate_audits
from post_mortem.services.recommendations import track
from trading.core.errors import NotFoundError
from trading.models import Trade


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
        others go on. At most `concurrency` are judged, or worded by a model, at a time."""
        slots = asyncio.Semaphore(max(1, concurrency))

        async def one(trade_id: int) -> TradeAnalysis:
            async with slots:
                return await sync_to_async(_analyze)(trade_id)

        results = await asyncio.gather(*(one(pk) for pk in trade_ids), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException) and not isinstance(result, Exception):
                raise result
        return [r for r in results if isinstance(r, TradeAnalysis | Exception)]

    async def track_recommendation_impact(
        self, recommendation_id: int, implementation_status: str
    ) -> RecommendationTracking:
        """Set the status of a recommendation as its account's owner."""
        return await sync_to_async(_track)(recommendation_id, implementation_status)


def _analyze(trade_id: int, *, interactive: bool = False) -> TradeAnalysis:
    trade = Trade.objects.filter(pk=trade_id).first()
    if trade is None:
        raise NotFoundError("not_found", f"There is no trade {trade_id}.", field="trade_id")
    summary = run_autopsy(trade_ids=[trade_id], now=datetime.now(tz=UTC))
    narrate_audits(audit_ids=summary.audit_ids)
    word_narratives(audit_ids=summary.audit_ids, now=datetime.now(tz=UTC), interactive=interactive)
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
