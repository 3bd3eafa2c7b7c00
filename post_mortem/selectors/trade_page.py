"""Everything the post-mortem page of one trade, or of one untraded signal, shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Prefetch, Q

from post_mortem.core.evidence import Evidence, Fact
from post_mortem.core.reasons import why_no_r
from post_mortem.core.types import Flag
from post_mortem.models import (
    CauseReview,
    InsightAudit,
    RecommendationOccurrence,
    RecommendationTracking,
    TradeAnalysis,
)
from trading.core.errors import NotFoundError
from trading.core.types import HORIZON_NS, NS_PER_SECOND, Horizon
from trading.models import Account, Execution, Instrument, Signal, Trade, editable_accounts

from .alternatives import Alternatives, alternatives_of, reach_of
from .chart import Chart, Life, chart_of
from .evidence import RELATED, Rendered, render_seen
from .narrative import Told, told
from .rebuilt import rebuild
from .trades import planned_r

_ORDER = [Horizon.TRADE, Horizon.H1, Horizon.H4, Horizon.H24, Horizon.D7]


@dataclass(frozen=True, slots=True)
class Tab:
    horizon: str
    name: str
    audit: InsightAudit
    current: bool


@dataclass(frozen=True, slots=True)
class Judged:
    """One audit with what is rendered from it."""

    audit: InsightAudit
    evidence: Evidence
    facts: Mapping[str, Fact]
    on_chart: frozenset[str]  # ids of facts that lie on a bar of the chart
    chart: Chart | None
    alternatives: Alternatives
    told: Told | None
    recommendations: tuple[RecommendationTracking, ...]
    reviews: Mapping[str, str]  # cause -> this user's verdict
    unlisted: int  # releases of its time that are not among its events
    why_no_r: str  # why its figures in R are empty, where they are

    @property
    def is_far(self) -> bool:
        """Whether a price lies so far outside its candle that it is wrong."""
        return bool(self.audit.flags & Flag.FAR_OUTSIDE_CANDLE)


@dataclass(frozen=True, slots=True)
class TradePage:
    """The page. `trade` is None for a signal that was not executed; `judged` is None while no
    audit exists."""

    signal: Signal
    trade: Trade | None
    account: Account
    instrument: Instrument
    side: str
    setups: tuple[str, ...] | None
    strategy: str
    opened_at: datetime
    closed_at: datetime | None
    target_r: float | None
    net: Decimal | None
    currency: str
    tabs: tuple[Tab, ...]
    judged: Judged | None
    executions: tuple[Execution, ...]
    may_edit: bool

    @property
    def fees_why(self) -> str:
        """Why an execution has no commission of its own; empty where all have one."""
        if all(fill.commission is not None for fill in self.executions):
            return ""
        whole = self.trade is not None and self.trade.commission is not None
        return "the file has one for the whole trade" if whole else "not in the file"

    @property
    def held(self) -> timedelta | None:
        return None if self.closed_at is None else self.closed_at - self.opened_at


def trade_page(user: Any, trade_id: int, *, horizon: str = "", timeframe: str = "") -> TradePage:
    """The page of an executed trade. Raises `NotFoundError`, foreign and absent alike."""
    found = Trade.objects.visible_to(user).select_related(
        "signal__account__desk", "account", "instrument"
    )
    trade = found.filter(pk=trade_id).first()
    if trade is None:
        raise NotFoundError("not_found", "Not found.")
    audits = _audits(user, Q(trade=trade) | Q(signal=trade.signal_id, trade=None))
    return _page(user, trade.signal, trade, audits, _named(audits, horizon), timeframe)


def audit_page(user: Any, audit_id: int, *, timeframe: str = "") -> TradePage:
    """The page of any audit; that of an executed trade shows its trade as well."""
    visible = InsightAudit.objects.visible_to(user)
    asked = visible.filter(pk=audit_id).values_list("signal", "horizon", "trade").first()
    if asked is None:
        raise NotFoundError("not_found", "Not found.")
    signal = Signal.objects.select_related("account__desk", "instrument").get(pk=asked[0])
    trades = signal.trades.select_related("signal", "account", "instrument").order_by("pk")
    trade = (trades.filter(pk=asked[2]) if asked[2] else trades).first()
    audits = _audits(user, Q(signal=signal))
    chosen = next(audit for audit in audits if audit.pk == audit_id)
    mine = [a for a in audits if a.trade_id in (None, trade and trade.pk)]
    return _page(user, signal, trade, mine, chosen, timeframe)


def _audits(user: Any, condition: Q) -> list[InsightAudit]:
    found = InsightAudit.objects.visible_to(user).filter(condition)
    rows = found.select_related(*RELATED, "series__instrument")
    return sorted(rows, key=lambda a: (_ORDER.index(Horizon(a.horizon)), a.pk))


def _named(audits: Sequence[InsightAudit], horizon: str) -> InsightAudit | None:
    if not horizon:
        return audits[0] if audits else None
    chosen = next((a for a in audits if a.horizon == horizon), None)
    if chosen is None:
        raise NotFoundError("not_found", "There is no audit of this horizon.")
    return chosen


def _page(
    user: Any,
    signal: Signal,
    trade: Trade | None,
    audits: Sequence[InsightAudit],
    chosen: InsightAudit | None,
    timeframe: str,
) -> TradePage:
    side = trade.side if trade else signal.side
    own = signal.claimed_setups
    return TradePage(
        signal=signal,
        trade=trade,
        account=trade.account if trade else signal.account,
        instrument=trade.instrument if trade else signal.instrument,
        side="long" if side > 0 else "short",
        setups=None if own is None else tuple(own),
        strategy=(trade.strategy if trade else "") or signal.strategy,
        opened_at=trade.opened_at if trade else signal.time,
        closed_at=trade.closed_at if trade else None,
        target_r=_target_r(signal, trade),
        net=trade.net_pnl if trade else None,
        currency=(trade.pnl_currency if trade else "") or signal.account.currency,
        tabs=tuple(_tab(audit, audit is chosen) for audit in audits),
        judged=None if chosen is None else _judged(user, signal, trade, chosen, audits, timeframe),
        executions=tuple(trade.executions.order_by("time", "pk")) if trade else (),
        may_edit=editable_accounts(user).filter(pk=signal.account_id).exists(),
    )


def _target_r(signal: Signal, trade: Trade | None) -> float | None:
    if trade is None:
        return planned_r(signal.entry_price, signal.stop_loss, signal.take_profit)
    entry = trade.requested_entry or trade.entry_price
    return planned_r(entry, trade.stop_loss_initial, trade.take_profit)


def _tab(audit: InsightAudit, current: bool) -> Tab:
    name = "Trade" if audit.horizon == Horizon.TRADE else audit.horizon
    return Tab(audit.horizon, name, audit, current)


def _judged(
    user: Any,
    signal: Signal,
    trade: Trade | None,
    audit: InsightAudit,
    siblings: Sequence[InsightAudit],
    timeframe: str,
) -> Judged:
    desk = signal.account.desk
    rebuilt = rebuild(audit, desk, until=reach_of(audit, siblings))
    rendered = render_seen(audit, desk, rebuilt)
    evidence = rendered.evidence
    facts = evidence.by_id()
    life = _life(signal, trade, rendered)
    others = Alternatives()
    if rebuilt is not None:
        others = alternatives_of(audit, desk, siblings, rebuilt)
    chart = chart_of(
        audit, life, evidence.facts, user=user, timeframe=timeframe, ghosts=others.wider
    )
    analysis = TradeAnalysis.objects.filter(audit=audit).first()
    reviews = CauseReview.objects.filter(audit=audit, user=user).values_list("cause", "verdict")
    return Judged(
        audit=audit,
        evidence=evidence,
        facts=facts,
        on_chart=frozenset(f["id"] for f in chart.data["facts"]) if chart else frozenset(),
        chart=chart,
        alternatives=others,
        told=None if analysis is None else told(analysis, facts, audit.evidence_hash),
        recommendations=() if analysis is None else _recommendations(analysis),
        reviews=dict(reviews),
        unlisted=rendered.subject.seen.unlisted,
        why_no_r=why_no_r(
            audit.outcome,
            audit.flags,
            has_stop=rendered.subject.stop_price is not None,
            has_final=rendered.subject.stop_final is not None,
        ),
    )


def _recommendations(analysis: TradeAnalysis) -> tuple[RecommendationTracking, ...]:
    latest = Prefetch("history")
    linked = RecommendationOccurrence.objects.filter(analysis=analysis)
    rows = RecommendationTracking.objects.filter(pk__in=linked.values("recommendation"))
    return tuple(rows.prefetch_related(latest).order_by("pk"))


def _life(signal: Signal, trade: Trade | None, rendered: Rendered) -> Life:
    """A TRADE audit is judged by the trade's fills and stops, any other by the signal's levels."""
    audit, subject = rendered.audit, rendered.subject
    if trade is not None and audit.horizon == Horizon.TRADE:
        return Life(
            side=trade.side,
            entry_time=trade.opened_at,
            entry_price=float(trade.entry_price),
            planned_entry=float(trade.requested_entry or trade.entry_price),
            exit_time=trade.closed_at,
            exit_price=None if trade.exit_price is None else float(trade.exit_price),
            end_time=trade.closed_at or audit.evaluated_at,
            stop=subject.stop_price,
            target=subject.target_price,
            stop_final=subject.stop_final,
            executed=True,
        )
    length = timedelta(seconds=HORIZON_NS.get(audit.horizon, 0) // NS_PER_SECOND)
    return Life(
        side=signal.side,
        entry_time=audit.entry_time,
        entry_price=audit.entry_price,
        planned_entry=audit.entry_price,
        exit_time=audit.exit_time,
        exit_price=audit.exit_price,
        end_time=audit.entry_time + length,
        stop=subject.stop_price,
        target=subject.target_price,
        stop_final=None,
        executed=False,
    )
