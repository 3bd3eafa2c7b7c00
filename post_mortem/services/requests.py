"""Work that a user asks for: checked against what the user may change, then queued."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from django.db import transaction
from django.db.models import F

from post_mortem.models import AutopsyJob, InsightAudit, JobItem
from post_mortem.selectors.access import writable
from post_mortem.selectors.stored import stale_signals
from post_mortem.services import jobs
from post_mortem.services.autopsy_jobs import AUTOPSY, request_autopsy
from post_mortem.services.autopsy_jobs import GROUP as GROUP_SIGNALS
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
_UNENDED: Final = (AutopsyJob.Status.PENDING, AutopsyJob.Status.RUNNING)


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


@transaction.atomic
def request_rerun(*, user: Any, audit_id: int | None = None) -> AutopsyJob:
    """Queue the signals of all stale audits that the user may change, or those of one audit, stale
    or not. A job over the stale ones that has not ended is given again.

    Raises `NotFoundError`, `UserError` `not_permitted`, `nothing_to_do` (no audit is stale).
    """
    if audit_id is not None:
        audit = writable(InsightAudit.objects.all(), user=user, pk=audit_id)
        return request_autopsy(account=audit.account, signal_ids=[audit.signal_id], user=user)
    rows = stale_signals(InsightAudit.objects.editable_by(user))
    if not rows:
        if InsightAudit.objects.visible_to(user).filter(is_stale=True).exists():
            raise UserError("not_permitted", "You may read these audits, not run them again.")
        raise UserError("nothing_to_do", "No audit is stale.")
    running = AutopsyJob.objects.filter(requested_by=user, kind=AUTOPSY, params__stale=True)
    same: AutopsyJob | None = running.filter(status__in=_UNENDED).order_by("pk").first()
    if same is not None:
        return same
    return jobs.enqueue(
        kind=AUTOPSY,
        account=_home({account for _, account in rows}, user),
        items=jobs.groups("signals", [signal for signal, _ in rows], GROUP_SIGNALS),
        params={"horizons": [], "force": False, "skip_rca": False, "stale": True},
        user=user,
    )


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
