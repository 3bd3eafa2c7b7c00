"""`PostMortemService`: the post-mortem of trades for callers in Python."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from asgiref.sync import sync_to_async

from post_mortem.models import (
    AnalysisPattern,
    ImprovementPlan,
    RecommendationTracking,
    TradeAnalysis,
)
from post_mortem.services.audits import run_autopsy
from post_mortem.services.model_narratives import word_narratives
from post_mortem.services.narratives import narrate_audits
from post_mortem.services.pattern_words import MOST_WORDED, word_patterns, word_plan
from post_mortem.services.patterns import checked_least, identify_patterns, period_of
from post_mortem.services.plans import create_improvement_plan
from post_mortem.services.recommendations import track
from trading.core.errors import InquestError, NotFoundError
from trading.models import Account, Trade

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

    async def identify_patterns(
        self,
        time_period: str | int | None = None,
        min_trades: int = 10,
        *,
        account_ids: Sequence[int] | None = None,
    ) -> list[AnalysisPattern]:
        """What repeats across the audited trades of each account (all of them unless named), the
        most costly or valuable first. `time_period`: None, days (90 or "90d") or UTC days
        ("2024-01-01/2024-06-30"). A model words the first of what is new, where one is
        configured. Raises UserError `time_period`, `min_trades`."""
        return await sync_to_async(_identify)(time_period, min_trades, account_ids)

    async def create_improvement_plan(
        self,
        patterns: Sequence[AnalysisPattern],
        *,
        hours: Mapping[int, float] | None = None,
    ) -> ImprovementPlan:
        """A plan of process rules from patterns of one account, in order of what they may be
        worth; the same patterns give the same plan. `hours`: what the rule of a pattern (by id)
        costs, where known. Raises UserError, as `services.plans` does."""
        return await sync_to_async(_plan)(patterns, hours)

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


def _identify(
    time_period: str | int | None, min_trades: int, account_ids: Sequence[int] | None
) -> list[AnalysisPattern]:
    now = datetime.now(tz=UTC)
    # Bad arguments are refused even where there is no account to search.
    period_of(time_period, now), checked_least(min_trades)
    accounts = Account.objects.order_by("pk")
    if account_ids is not None:
        accounts = accounts.filter(pk__in=account_ids)
    found: list[AnalysisPattern] = []
    for account in accounts:
        done = identify_patterns(
            account=account, time_period=time_period, min_trades=min_trades, now=now
        )
        found += done.found
    due = [row.pk for row in found if row.source == TradeAnalysis.Source.TEMPLATE][:MOST_WORDED]
    word_patterns(pattern_ids=due, now=datetime.now(tz=UTC), interactive=True)
    order = [row.pk for row in found]
    rows = AnalysisPattern.objects.in_bulk(order)
    return [rows[pk] for pk in order]


def _plan(
    patterns: Sequence[AnalysisPattern], hours: Mapping[int, float] | None
) -> ImprovementPlan:
    plan = create_improvement_plan(patterns=patterns, hours=hours)
    word_plan(plan_id=plan.pk, now=datetime.now(tz=UTC), interactive=True)
    return ImprovementPlan.objects.get(pk=plan.pk)


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
