"""Two desks with everything the API can show, and everybody who might ask for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from django.contrib.auth import get_user_model
from django.utils import timezone
from rest_framework.test import APIClient

from post_mortem.core.meetings import week_of
from post_mortem.core.record import COLUMNS, UNKNOWN
from post_mortem.core.types import CAUSES, Missing, Status
from post_mortem.models import (
    AnalysisPattern,
    ApiToken,
    AuditRCA,
    AutopsyJob,
    Experiment,
    ImprovementPlan,
    InsightAudit,
    RecommendationTracking,
    ReviewMeeting,
    RuleSnapshot,
    TradeAnalysis,
)
from post_mortem.services import experiments, jobs, meetings, recommendations, tokens
from post_mortem.services.plans import create_improvement_plan
from tests.services.factories import make_instrument, make_pattern, make_signal, make_trade
from trading.models import Account, Membership, Role, Trade
from trading.services.accounts import ensure_personal_desk

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
OPPORTUNITY = {
    "kind": "news_blackout",
    "area": "news",
    "scope": {"currency": "USD", "impact": "high"},
    "suggestion": "Open no new trade shortly before high-impact USD releases.",
    "expected_impact": "Addresses news shock [E4][E5]. Its effect is measured later.",
    "metric": "expectancy_r",
}


def record(
    outcome: int = 2, cause: str = "news_shock", abstained: str = "liquidity_event"
) -> bytes:
    """A record in which one cause fired and one could not be checked."""
    row = dict.fromkeys(COLUMNS, UNKNOWN)
    row |= {f"{c}.{name}": 0 for c in CAUSES for name in ("status", "rank", "missing")}
    row |= {f"{c}.{name}": 0 for c in CAUSES for name in ("strength", "posterior", "confidence")}
    row |= {"label.outcome": outcome, "label.shadow_outcome": 0, "label.exit_reason": 1}
    row |= {"label.flags": 1, "label.r": -10_000, "label.mfe_r": 3_000, "label.mae_r": 10_000}
    row |= {f"{cause}.status": Status.FIRED, f"{cause}.rank": 1}
    row |= {f"{cause}.strength": 9_000, f"{cause}.posterior": 8_500, f"{cause}.confidence": 85}
    row |= {f"{abstained}.status": Status.ABSTAINED, f"{abstained}.missing": Missing.SPREAD}
    return np.array([int(row[name]) for name in COLUMNS], "<i4").tobytes()


@dataclass
class Owned:
    """One account with a row of every kind."""

    account: Account
    trade: Trade
    bare_trade: Trade
    audit: InsightAudit
    analysis: TradeAnalysis
    recommendation: RecommendationTracking
    job: AutopsyJob
    pattern: AnalysisPattern
    plan: ImprovementPlan
    experiment: Experiment
    meeting: ReviewMeeting
    decision_id: int = 999_999_999  # until something is decided


@dataclass
class World:
    owner: Any
    other: Any
    reviewer: Any
    lead: Any
    stranger_desk: Owned
    mine: Owned
    secrets: dict[str, str] = field(default_factory=dict)

    def client(self, role: str, **options: Any) -> APIClient:
        client = APIClient(**options)
        if role in self.secrets:
            client.credentials(HTTP_AUTHORIZATION=f"Bearer {self.secrets[role]}")
        return client


def make_user(name: str) -> Any:
    user = get_user_model().objects.create_user(username=name, password="a long password")
    ensure_personal_desk(user=user)
    return user


def own_rows(user: Any) -> Owned:
    account = Account.objects.get(owner=user)
    signal = make_signal(account, make_instrument(), strategy=f"{user.username} breakout")
    trade = make_trade(signal, external_id=f"{user.username}-1")
    audit = make_audit(trade)
    analysis = TradeAnalysis.objects.create(
        account=account,
        audit=audit,
        trade=trade,
        analysis_data={"improvement_opportunities": [OPPORTUNITY]},
        success_score=25,
        primary_factors=[{"cause": "news_shock"}],
        evidence_hash=audit.evidence_hash,
        narrator_version="template",
    )
    (advice,) = recommendations.merge_opportunities(analysis=analysis, opportunities=[OPPORTUNITY])
    bare = make_trade(make_signal(account, make_instrument()))
    job = jobs.enqueue(
        kind="analyses", account=account, items=jobs.groups("trades", [trade.pk], 1), user=user
    )
    pattern = make_pattern(account, trades=[trade])
    plan = create_improvement_plan(patterns=[make_pattern(account, trades=[trade], n=41)])
    test = own_experiment(account)
    meeting = meetings.open_meeting(
        account_id=account.pk, period=week_of(NOW.date()), user=user, now=NOW
    )
    return Owned(account, trade, bare, audit, analysis, advice, job, pattern, plan, test, meeting)


def own_experiment(account: Account) -> Experiment:
    """One whose first day has begun."""
    make_instrument("GBPUSD")
    return experiments.start_experiment(
        account=account,
        recommendation=None,
        name="Wider stop",
        rule="Place the stop beyond the swing.",
        unit="day",
        scope={"symbol": "GBPUSD"},
        starts_on=None,
        shadow=False,
        strict=False,
        weekdays=range(7),
        user=account.owner,
        now=timezone.now() - timedelta(days=3),
    )


def make_audit(trade: Trade, /, **changes: Any) -> InsightAudit:
    snapshot, _ = RuleSnapshot.objects.get_or_create(sha256="0" * 64, defaults={"data": {"id": 0}})
    values: dict[str, Any] = {
        "account": trade.account,
        "signal": trade.signal,
        "trade": trade,
        "horizon": "TRADE",
        "outcome": InsightAudit.Outcome.FAILED,
        "exit_reason": InsightAudit.ExitReason.SL,
        "entry_time": trade.opened_at,
        "exit_time": trade.closed_at,
        "entry_price": float(trade.entry_price),
        "exit_price": 1.099,
        "r_multiple": -1.0,
        "flags": 1,
        "is_flagged": True,
        "top_cause": "news_shock",
        "top_posterior": 0.85,
        "top_confidence": 85,
        "bars_from": 1_711_324_800_000_000_000,
        "n_bars": 61,
        "rule_snapshot": snapshot,
        "record": record(),
        "input_hash": "a" * 64,
        "evidence_hash": "b" * 64,
        "engine_version": 1,
        "evaluated_at": NOW,
    }
    audit = InsightAudit.objects.create(**(values | changes))
    AuditRCA.objects.create(
        audit=audit, cause=audit.top_cause or "unknown", rank=1, confidence=85, posterior=0.85
    )
    return audit


def make_world() -> World:
    owner, other = make_user("owner"), make_user("other")
    reviewer, lead, gone = make_user("reviewer"), make_user("lead"), make_user("gone")
    mine, theirs = own_rows(owner), own_rows(other)
    for user, role in ((reviewer, Role.REVIEWER), (lead, Role.LEAD)):
        Membership.objects.create(user=user, desk=mine.account.desk, role=role)
    world = World(owner, other, reviewer, lead, theirs, mine)
    for user, name, scope in (
        (owner, "owner", "write"),
        (owner, "read-only", "read"),
        (owner, "expired", "write"),
        (owner, "revoked", "write"),
        (gone, "inactive", "write"),
        (other, "other", "write"),
        (reviewer, "reviewer", "write"),
        (lead, "lead", "write"),
    ):
        token, world.secrets[name] = tokens.create_token(
            user=user, name=name, scope=scope, expires_at=None, now=NOW
        )
        if name == "expired":
            ApiToken.objects.filter(pk=token.pk).update(expires_at=NOW - timedelta(days=900))
        if name == "revoked":
            tokens.revoke_token(token=token, now=NOW)
    gone.is_active = False
    gone.save()
    return world
