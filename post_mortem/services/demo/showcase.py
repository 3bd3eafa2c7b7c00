"""Which post-mortem of the simulated desk is shown first."""

from __future__ import annotations

from post_mortem.core.types import Outcome
from post_mortem.models import InsightAudit
from post_mortem.selectors.evidence import RELATED, render_audits
from trading.core.types import Horizon
from trading.models import Account

CAUSE = "news_shock"


def showcase(*, account: Account) -> InsightAudit | None:
    """The failed trade on a release for which most causes could be checked; of several the most
    certain, then the earliest. None where nothing was audited."""
    failed = InsightAudit.objects.filter(
        account=account, horizon=Horizon.TRADE, outcome=Outcome.FAILED
    ).select_related(*RELATED)
    audits = list(failed.filter(top_cause=CAUSE)) or list(failed)
    if not audits:
        return None
    best = min(
        render_audits(audits),
        key=lambda r: (
            len(r.evidence.unchecked), -(r.audit.top_posterior or 0.0), r.audit.entry_time,
        ),
    )  # fmt: skip
    return best.audit
