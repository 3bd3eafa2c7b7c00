"""Work that a user asks for: checked against what the user may change, then queued."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from django.db import transaction
from django.db.models import F

from post_mortem.models import AutopsyJob, JobItem
from post_mortem.services import jobs
from trading.core.errors import UserError
from trading.core.types import Horizon
from trading.models import Account, Trade, editable_accounts

ANALYSES: Final = "analyses"
"""The kind of job that audits and narrates trades. An item's payload is {"trades": [ids]}, the
job's params are {"horizons": [names], "concurrency": n}."""

# Some tenths of a second without a model, well within a lease with a slow one.
GROUP: Final = 25
MAX_CONCURRENCY: Final = 16
_REFUSED: Final = "refused"


@transaction.atomic
def request_analyses(
    *,
    trade_ids: Sequence[int],
    horizons: Sequence[str],
    concurrency: int,
    user: Any,
    now: datetime,
) -> AutopsyJob:
    """Queue the analysis of trades. Ids that are absent or foreign fail within the job, each with
    the same reason; `horizons` empty means all.

    Raises `UserError` `horizon` (422), `concurrency`, `not_permitted` (a trade that the user may
    read but not change, or no account at all), `nothing_to_do`.
    """
    checked = _horizons(horizons)
    if not 1 <= concurrency <= MAX_CONCURRENCY:
        detail = f"Concurrency is 1 to {MAX_CONCURRENCY}."
        raise UserError("concurrency", detail, field="concurrency")
    accounts = _accounts(trade_ids, user)
    known = [trade for trade in trade_ids if trade in accounts]
    refused = [trade for trade in trade_ids if trade not in accounts]
    items = jobs.groups("trades", known, GROUP)
    if refused:
        items.append(jobs.Item(_REFUSED, {}, len(refused)))
    job = jobs.enqueue(
        kind=ANALYSES,
        account=_home(set(accounts.values()), user),
        items=items,
        params={"horizons": checked, "concurrency": concurrency},
        user=user,
    )
    if refused:
        _refuse(job, refused, ended=not known, now=now)
    return job


def _horizons(horizons: Sequence[str]) -> list[str]:
    names = [horizon.value for horizon in Horizon]
    for name in horizons:
        if name not in names:
            detail = f"Unknown horizon {name[:20]!a}: one of {', '.join(names)}."
            raise UserError("horizon", detail, field="horizons")
    return [name for name in names if name in horizons or not horizons]


def _accounts(trade_ids: Sequence[int], user: Any) -> dict[int, int]:
    """The account of every trade that the user may change."""
    rows = dict(
        Trade.objects.visible_to(user).filter(pk__in=trade_ids).values_list("pk", "account_id")
    )
    editable = set(editable_accounts(user).values_list("pk", flat=True))
    if not editable.issuperset(rows.values()):
        raise UserError("not_permitted", "You may read these trades, not have them analysed.")
    return rows


def _home(accounts: set[int], user: Any) -> Account:
    """Whose job it is: the account that all trades belong to, else the user's own first."""
    if len(accounts) == 1:
        return Account.objects.get(pk=accounts.pop())
    editable = editable_accounts(user)
    home = editable.filter(owner=user).order_by("pk").first() or editable.order_by("pk").first()
    if home is None:
        raise UserError("not_permitted", "You have no account to work for.")
    return home


def _refuse(job: AutopsyJob, trade_ids: Sequence[int], *, ended: bool, now: datetime) -> None:
    failures = [
        jobs.Failure(f"trade {trade}", "not_found", "Not found.").as_dict() for trade in trade_ids
    ]
    JobItem.objects.filter(job=job, key=_REFUSED).update(
        status=JobItem.Status.FAILED,
        error_code="not_found",
        error_message="Not found.",
        result={"failures": failures},
    )
    counted = AutopsyJob.objects.filter(pk=job.pk)
    counted.update(failed=F("failed") + len(trade_ids))
    if ended:
        status = AutopsyJob.Status.COMPLETED_WITH_ERRORS
        counted.update(status=status, started_at=now, finished_at=now)
    job.refresh_from_db()
