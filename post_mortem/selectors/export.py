"""Audits as flat objects for other programs: one a row, in the order of their ids."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from post_mortem.core.evidence import flag_names
from post_mortem.core.reasons import Reason
from post_mortem.core.record import read_record
from post_mortem.core.types import Status
from post_mortem.models import InsightAudit
from trading.models import OwnedQuerySet

from .reasons import reason_for
from .stored import causes_of

FIELDS = (
    "signal_id",
    "trade_id",
    "external_id",
    "symbol",
    "side",
    "horizon",
    "outcome",
    "override_outcome",
    "override_reason",
    "overridden_by",
    "exit_reason",
    "entry_time",
    "exit_time",
    "entry_price",
    "exit_price",
    "pips",
    "pnl_pct",
    "r_multiple",
    "mfe_r",
    "mae_r",
    "max_drawdown_r",
    "ambiguous",
    "coverage",
    "flags",
    "causes",
    "abstained",
    "replay_hash",
    "shadow_outcome",
    "resolved_by",
    "reason",
)
_CHUNK = 2000
_OUTCOMES = dict(InsightAudit.Outcome.choices)
_EXIT_REASONS = dict(InsightAudit.ExitReason.choices)
_NUMBERS = (
    "pips",
    "pnl_pct",
    "r_multiple",
    "mfe_r",
    "mae_r",
    "max_drawdown_r",
    "coverage",
)
_AMBIGUOUS = 1


def exported(audits: OwnedQuerySet) -> Iterator[dict[str, Any]]:
    """The audits as objects with the keys FIELDS, a few thousand in memory at a time."""
    last = 0
    found = audits.select_related(
        "signal__instrument", "trade", "series", "rule_snapshot", "overridden_by"
    ).order_by("pk")
    while chunk := list(found.filter(pk__gt=last)[:_CHUNK]):
        last = chunk[-1].pk
        causes = causes_of([audit.pk for audit in chunk])
        for audit in chunk:
            yield _exported(audit, causes.get(audit.pk, []))


def _exported(audit: InsightAudit, causes: list[tuple[Any, ...]]) -> dict[str, Any]:
    signal, trade = audit.signal, audit.trade
    numbers = {name: getattr(audit, name) for name in _NUMBERS}
    record = read_record(bytes(audit.record))
    reason = reason_for(audit)
    values = {
        **numbers,
        "signal_id": audit.signal_id,
        "trade_id": audit.trade_id,
        "external_id": (trade.external_id if trade else "") or signal.external_id or None,
        "symbol": signal.instrument.symbol,
        "side": "long" if signal.side > 0 else "short",
        "horizon": audit.horizon,
        "outcome": _OUTCOMES[audit.outcome],
        "override_outcome": _OUTCOMES[code] if (code := audit.override_outcome) else None,
        "override_reason": audit.override_reason or None,
        "overridden_by": audit.overridden_by.get_username() if audit.overridden_by else None,
        "exit_reason": _EXIT_REASONS[audit.exit_reason],
        "entry_time": _iso(audit.entry_time),
        "exit_time": None if audit.exit_time is None else _iso(audit.exit_time),
        "entry_price": audit.entry_price,
        "exit_price": audit.exit_price,
        "ambiguous": bool(audit.flags & _AMBIGUOUS),
        "flags": flag_names(audit.flags),
        "causes": [
            {"rank": rank, "cause": cause, "confidence": confidence, "posterior": posterior}
            for rank, cause, confidence, posterior in causes
        ],
        "abstained": [
            {"cause": finding.cause, "missing": list(finding.missing)}
            for finding in record.findings
            if finding.status == Status.ABSTAINED
        ],
        "replay_hash": audit.input_hash,
        "shadow_outcome": _OUTCOMES[audit.shadow_outcome] if audit.shadow_outcome else None,
        "resolved_by": audit.resolved_by or None,
        "reason": None if reason is None else _sentence(reason),
    }
    return {name: values[name] for name in FIELDS}


def _sentence(reason: Reason) -> str:
    return f"{reason.text} {reason.action}." if reason.action else reason.text


def _iso(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
