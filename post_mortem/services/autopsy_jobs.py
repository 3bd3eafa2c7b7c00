"""Queue an autopsy over many signals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from post_mortem.models import AutopsyJob
from post_mortem.services import jobs
from post_mortem.services.audits import checked_horizons
from trading.models import Account, Signal

AUTOPSY: Final = "autopsy"
"""The kind of job that audits signals and their trades. An item's payload is {"signals": [ids]},
the job's params are {"horizons": [names], "force": bool, "skip_rca": bool}."""

# With narratives some seconds; the audits alone would allow thousands.
GROUP: Final = 100


def request_autopsy(
    *,
    account: Account,
    signal_ids: Sequence[int] | None = None,
    horizons: Sequence[str] = (),
    force: bool = False,
    skip_rca: bool = False,
    user: Any = None,
    idempotency_key: str | None = None,
) -> AutopsyJob:
    """Queue the audits of an account's signals (None: all of them), grouped by market and time.

    Signals of other accounts are left out. Raises UserError `horizon`, `nothing_to_do`.
    """
    names = list(checked_horizons(horizons))
    found = Signal.objects.filter(account=account)
    if signal_ids is not None:
        found = found.filter(pk__in=signal_ids)
    ids = list(found.order_by("instrument_id", "time", "pk").values_list("pk", flat=True))
    return jobs.enqueue(
        kind=AUTOPSY,
        account=account,
        items=jobs.groups("signals", ids, GROUP),
        params={"horizons": names, "force": force, "skip_rca": skip_rca},
        user=user,
        idempotency_key=idempotency_key,
    )
