"""The reason of a stored audit (`core/reasons.py`)."""

from __future__ import annotations

from post_mortem.core.reasons import Judged, Reason, reason_of
from post_mortem.models import InsightAudit


def reason_for(audit: InsightAudit) -> Reason | None:
    """Reads the audit's signal, instrument, series and rule snapshot: join them."""
    own = audit.signal.min_score
    return reason_of(
        Judged(
            symbol=audit.signal.instrument.symbol,
            horizon=audit.horizon,
            outcome=audit.outcome,
            flags=audit.flags,
            timeframe=audit.series.timeframe if audit.series else "",
            resolved_by=audit.resolved_by,
            coverage=audit.coverage,
            r=audit.r_multiple,
            shadow_outcome=audit.shadow_outcome,
            score=audit.signal.score,
            min_score=audit.rule_snapshot.data.get("min_score") if own is None else own,
        )
    )
