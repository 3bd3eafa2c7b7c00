"""The Evidence document of stored audits, rendered on read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import numpy as np

from post_mortem.core.evidence import CauseNumbers, Evidence, LabelNumbers, Subject
from post_mortem.core.record import RecordView, read_record
from post_mortem.core.rules import Rule, barriers
from post_mortem.core.wording import build
from post_mortem.models import InsightAudit
from trading.core.types import Horizon, timeframe_ns
from trading.models import Desk, NewsEvent

from .columns import nanoseconds
from .rebuilt import Rebuilt, rebuild
from .seen import bars_of_life, seen_of

# What an audit needs along to be rendered without further queries.
RELATED = (
    "signal__instrument",
    "trade",
    "series",
    "rule_snapshot",
    "account",
)


@dataclass(frozen=True, slots=True)
class Rendered:
    """An audit with all that is said about it."""

    audit: InsightAudit
    subject: Subject
    label: LabelNumbers
    findings: tuple[CauseNumbers, ...]
    evidence: Evidence


def evidence_for(audit: InsightAudit) -> Evidence:
    """The whole document, as the page of the trade shows it."""
    return render_one(audit, audit.account.desk).evidence


def render_audits(audits: Sequence[InsightAudit]) -> list[Rendered]:
    """Render audits in the given order; one query for all their news."""
    views = [read_record(bytes(audit.record)) for audit in audits]
    news = _news(views)
    return [_rendered(audit, view, news) for audit, view in zip(audits, views, strict=True)]


def render_seen(audit: InsightAudit, desk: Desk, rebuilt: Rebuilt | None) -> Rendered:
    """The audit with the events of its time: the same facts, and after them those that its bars,
    the calendar and the log of outages show. `rebuilt` is its case again, where it can be had."""
    view = read_record(bytes(audit.record))
    subject = subject_of(audit, _news([view]))
    seen = seen_of(audit, desk, rebuilt, view.findings)
    subject = replace(subject, seen=seen, bars=() if rebuilt is None else bars_of_life(rebuilt))
    return Rendered(
        audit, subject, view.label, view.findings, build(subject, view.label, view.findings)
    )


def render_one(audit: InsightAudit, desk: Desk) -> Rendered:
    return render_seen(audit, desk, rebuild(audit, desk))


def _news(views: Iterable[RecordView]) -> dict[int, tuple[int, str, str]]:
    keys = {
        int(finding.facts["event_key"])
        for view in views
        for finding in view.findings
        if "event_key" in finding.facts
    }
    rows = NewsEvent.objects.filter(pk__in=keys).values_list("pk", "time", "currency", "title")
    return {pk: (nanoseconds(time), currency, title) for pk, time, currency, title in rows}


def _rendered(
    audit: InsightAudit, view: RecordView, news: dict[int, tuple[int, str, str]]
) -> Rendered:
    subject = subject_of(audit, news)
    evidence = build(subject, view.label, view.findings)
    return Rendered(audit, subject, view.label, view.findings, evidence)


def subject_of(audit: InsightAudit, news: dict[int, tuple[int, str, str]]) -> Subject:
    """What the audit is about: the trade's fills under TRADE, the signal's levels otherwise."""
    signal, trade = audit.signal, audit.trade
    instrument = signal.instrument
    as_trade = trade is not None and audit.horizon == Horizon.TRADE
    stop, target = _levels(audit)
    return Subject(
        symbol=instrument.symbol,
        side=signal.side,
        horizon=audit.horizon,
        timeframe=signal.timeframe,
        strategy=signal.strategy,
        point=instrument.point,
        pip=instrument.pip,
        has_pip=instrument.kind in ("fx", "metal"),
        entry_time=nanoseconds(audit.entry_time),
        entry_price=float(trade.entry_price) if as_trade and trade else audit.entry_price,
        stop_price=stop,
        target_price=target,
        stop_final=_float(trade.stop_loss_final) if as_trade and trade else None,
        quantity=_float(trade.quantity) if trade else None,
        net_pnl=_float(trade.net_pnl) if as_trade and trade else None,
        currency=trade.pnl_currency if trade else "",
        score=signal.score,
        min_score=_minimum(audit),
        claimed_setups=None if signal.claimed_setups is None else tuple(signal.claimed_setups),
        exit_text=trade.exit_reason_text if as_trade and trade else "",
        news=news,
        bar_ns=timeframe_ns(audit.series.timeframe) if audit.series else 0,
        signal_time=nanoseconds(signal.time),
        setup_bar_ns=timeframe_ns(signal.timeframe) if signal.timeframe else 0,
    )


def _minimum(audit: InsightAudit) -> float | None:
    """The signal's own minimum score, else that of the rule as it was used."""
    own: float | None = audit.signal.min_score
    return audit.rule_snapshot.data.get("min_score") if own is None else own


def _float(number: Decimal | None) -> float | None:
    return None if number is None else float(number)


def _levels(audit: InsightAudit) -> tuple[float | None, float | None]:
    """Stop and target the audit was judged against: own levels, else those of the stored rule."""
    signal, trade = audit.signal, audit.trade
    if trade is not None and audit.horizon == Horizon.TRADE:
        target = trade.take_profit if trade.take_profit is not None else signal.take_profit
        return _float(trade.stop_loss_initial), _float(target)
    rule = _rule(audit.rule_snapshot.data)
    stop, target_array = barriers(
        rule,
        np.array([signal.side], np.int8),
        np.array([float(signal.entry_price)]),
        np.array([np.nan if signal.stop_loss is None else float(signal.stop_loss)]),
        np.array([np.nan if signal.take_profit is None else float(signal.take_profit)]),
        signal.instrument.pip,
    )
    return _known(stop[0]), _known(target_array[0])


def _known(number: float) -> float | None:
    return float(number) if np.isfinite(number) else None


def _rule(data: dict[str, Any]) -> Rule:
    names = Rule.__dataclass_fields__
    return Rule(**{name: value for name, value in data.items() if name in names})
