"""The queue: rows are the truth, a worker holds an item by a lease and a fencing token.

An item is claimed by a conditional update that raises its `fence`. Every later write for the item
names the fence it was claimed with, so a worker that slept through its lease can change nothing
any more. An item whose worker dies is claimed again once its lease has run out; after
`MAX_ATTEMPTS` it is poison and its job goes on without it. Leases use the database's time.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import connection, transaction
from django.db.models import F, Q
from django.utils import timezone

from post_mortem.models import AutopsyJob, JobItem
from trading.core.errors import ConflictError, RetryLaterError, UserError
from trading.models import Account

LEASE: Final = timedelta(seconds=60)
MAX_ATTEMPTS: Final = 3
RETRY_DELAY: Final = timedelta(seconds=2)  # doubled with every attempt
_CANDIDATES: Final = 16
_SHOWN_FAILURES: Final = 1000

_OPEN_JOBS: Final = (AutopsyJob.Status.PENDING, AutopsyJob.Status.RUNNING)
_OPEN_ITEMS: Final = (JobItem.Status.PENDING, JobItem.Status.RUNNING)


class LostLeaseError(RetryLaterError):
    """Somebody else has the item now, or its job was cancelled: nothing may be written for it."""

    def __init__(self, key: str) -> None:
        super().__init__("lost_lease", f"item {key} was taken over or cancelled")


@dataclass(frozen=True, slots=True)
class Item:
    """Work to enqueue. `key` is unique in its job, `weight` how many trades or signals it is."""

    key: str
    payload: Mapping[str, Any]
    weight: int = 1


@dataclass(frozen=True, slots=True)
class Claim:
    """An item held by one worker until its lease ends."""

    item_id: int
    job_pk: int
    account_id: int
    kind: str
    key: str
    params: Mapping[str, Any]
    payload: Mapping[str, Any]
    weight: int
    attempts: int
    fence: int


@dataclass(frozen=True, slots=True)
class Failure:
    """One trade or signal that could not be done, and why."""

    subject: str
    code: str
    detail: str

    def as_dict(self) -> dict[str, str]:
        return {"subject": self.subject, "code": self.code, "detail": self.detail}


@dataclass(frozen=True, slots=True)
class ItemResult:
    """What became of an item: `failures` are parts of its weight that failed alone."""

    failures: tuple[Failure, ...] = ()
    data: Mapping[str, Any] = field(default_factory=dict)


def database_now() -> datetime:
    """The database server's clock; a SQLite file is always on this machine."""
    if connection.vendor != "postgresql":
        return timezone.now()
    with connection.cursor() as cursor:
        cursor.execute("select clock_timestamp()")
        moment: datetime = cursor.fetchone()[0]
    return moment


# --- enqueue ------------------------------------------------------------------------------------


@transaction.atomic
def enqueue(
    *,
    kind: str,
    account: Account,
    items: Sequence[Item],
    params: Mapping[str, Any] | None = None,
    user: Any = None,
    idempotency_key: str | None = None,
) -> AutopsyJob:
    """Put a job and its items into the queue. The same idempotency key gives the same job again.

    Raises `UserError` `nothing_to_do` without items, `ConflictError` `idempotency_mismatch` when
    the key was used for another kind or other parameters.
    """
    if not items:
        raise UserError("nothing_to_do", "there is nothing to do: no trade or signal matches")
    job_id = _job_id(account, idempotency_key)
    job, created = AutopsyJob.objects.get_or_create(
        job_id=job_id,
        defaults={
            "account": account,
            "kind": kind,
            "params": dict(params or {}),
            "total": sum(item.weight for item in items),
            "requested_by": user,
        },
    )
    if not created:
        if job.kind != kind or job.params != dict(params or {}):
            raise ConflictError("idempotency_mismatch", "this key was used for another request")
        return job
    JobItem.objects.bulk_create(
        [
            JobItem(job=job, key=item.key, payload=dict(item.payload), weight=item.weight)
            for item in items
        ],
        batch_size=1000,
    )
    return job


def _job_id(account: Account, idempotency_key: str | None) -> str:
    if idempotency_key is None:
        return secrets.token_hex(16)
    return hashlib.sha256(f"{account.pk}\n{idempotency_key}".encode()).hexdigest()[:32]


def groups(kind: str, ids: Sequence[int], size: int) -> list[Item]:
    """Items of at most `size` ids each, in the given order; the payload is {kind: [ids]}."""
    parts = [list(ids[i : i + size]) for i in range(0, len(ids), size)]
    return [
        Item(f"{kind}:{part[0]}-{part[-1]}:{i}", {kind: part}, len(part))
        for i, part in enumerate(parts)
    ]


# --- claim and hold -----------------------------------------------------------------------------


def claim_next(*, worker: str, now: datetime | None = None) -> Claim | None:
    """Claim the next item, or None when nothing is due.

    Small jobs go first: one trade's analysis does not wait behind ten thousand.
    """
    now = now or database_now()
    due = Q(status=JobItem.Status.PENDING) & (Q(lease_until=None) | Q(lease_until__lte=now))
    abandoned = Q(status=JobItem.Status.RUNNING, lease_until__lte=now)
    candidates = (
        JobItem.objects.select_related("job")
        .filter(due | abandoned, job__status__in=_OPEN_JOBS)
        .order_by("job__total", "job_id", "pk")[:_CANDIDATES]
    )
    for item in candidates:
        if item.attempts >= MAX_ATTEMPTS:
            _poison_abandoned(item, now)
        elif _take(item, worker, now):
            return _claimed(item)
    return None


@transaction.atomic
def _take(item: JobItem, worker: str, now: datetime) -> bool:
    taken = JobItem.objects.filter(pk=item.pk, fence=item.fence, status=item.status).update(
        status=JobItem.Status.RUNNING,
        lease_owner=worker[:80],
        lease_until=now + LEASE,
        fence=F("fence") + 1,
        attempts=F("attempts") + 1,
    )
    if taken:
        AutopsyJob.objects.filter(pk=item.job_id, status=AutopsyJob.Status.PENDING).update(
            status=AutopsyJob.Status.RUNNING, started_at=now
        )
    return bool(taken)


def _claimed(item: JobItem) -> Claim:
    return Claim(
        item_id=item.pk,
        job_pk=item.job_id,
        account_id=item.job.account_id,
        kind=item.job.kind,
        key=item.key,
        params=item.job.params,
        payload=item.payload,
        weight=item.weight,
        attempts=item.attempts + 1,
        fence=item.fence + 1,
    )


@transaction.atomic
def _poison_abandoned(item: JobItem, now: datetime) -> None:
    changed = JobItem.objects.filter(pk=item.pk, fence=item.fence, status=item.status).update(
        status=JobItem.Status.POISON,
        fence=F("fence") + 1,
        lease_until=None,
        error_code="poison",
        error_message=f"its worker was lost {MAX_ATTEMPTS} times",
    )
    if changed:
        _count(item.job_id, done=0, failed=item.weight, now=now)


def hold(claim: Claim, *, now: datetime | None = None) -> None:
    """Extend the lease; raises `LostLeaseError` if the item is not ours any more.

    Called inside the transaction that writes results, it is the fence: a late write rolls back.
    """
    now = now or database_now()
    if not _held(claim).update(lease_until=now + LEASE):
        raise LostLeaseError(claim.key)


def _held(claim: Claim) -> Any:
    return JobItem.objects.filter(
        pk=claim.item_id, fence=claim.fence, status=JobItem.Status.RUNNING
    )


# --- the end of an item -------------------------------------------------------------------------


@transaction.atomic
def finish(claim: Claim, result: ItemResult, *, now: datetime | None = None) -> None:
    """Record an item as done, with those of its parts that failed alone."""
    now = now or database_now()
    failed = min(len(result.failures), claim.weight)
    stored = {**result.data, "failures": [failure.as_dict() for failure in result.failures]}
    first = result.failures[0] if result.failures else None
    changed = _held(claim).update(
        status=JobItem.Status.FAILED if failed == claim.weight else JobItem.Status.DONE,
        lease_until=None,
        result=stored,
        error_code=first.code[:60] if first else "",
        error_message=first.detail if first else "",
    )
    if not changed:
        raise LostLeaseError(claim.key)
    _count(claim.job_pk, done=claim.weight - failed, failed=failed, now=now)


@transaction.atomic
def fail(
    claim: Claim, *, code: str, detail: str, permanent: bool, now: datetime | None = None
) -> None:
    """Record a failed attempt: tried again later, or the end of it (`permanent`, or the last)."""
    now = now or database_now()
    last = claim.attempts >= MAX_ATTEMPTS
    if not permanent and not last:
        changes: dict[str, Any] = {
            "status": JobItem.Status.PENDING,
            "lease_until": now + RETRY_DELAY * 2 ** (claim.attempts - 1),
        }
    else:
        status = JobItem.Status.FAILED if permanent else JobItem.Status.POISON
        changes = {"status": status, "lease_until": None}
    changed = _held(claim).update(**changes, error_code=code[:60], error_message=detail)
    if not changed:
        raise LostLeaseError(claim.key)
    if permanent or last:
        _count(claim.job_pk, done=0, failed=claim.weight, now=now)


def release(claim: Claim, *, now: datetime | None = None) -> None:
    """Give an item back untouched (a locked database, a stopping worker): no attempt is counted."""
    now = now or database_now()
    _held(claim).update(
        status=JobItem.Status.PENDING,
        lease_until=now + RETRY_DELAY,
        attempts=F("attempts") - 1,
    )


def _count(job_pk: int, *, done: int, failed: int, now: datetime) -> None:
    """Add to the job's counts and end the job with its last item.

    The counts come first: on PostgreSQL that update makes two workers with the last two items
    wait for each other, so one of them sees that nothing is left.
    """
    AutopsyJob.objects.filter(pk=job_pk).update(done=F("done") + done, failed=F("failed") + failed)
    if JobItem.objects.filter(job=job_pk, status__in=_OPEN_ITEMS).exists():
        return
    job = AutopsyJob.objects.get(pk=job_pk)
    if job.status not in _OPEN_JOBS:
        return
    job.status = (
        AutopsyJob.Status.COMPLETED_WITH_ERRORS if job.failed else AutopsyJob.Status.COMPLETED
    )
    job.finished_at = now
    job.save(update_fields=["status", "finished_at"])


@transaction.atomic
def cancel(*, job: AutopsyJob, now: datetime | None = None) -> bool:
    """Stop a job; what runs cannot write any more. False if it had ended already."""
    now = now or database_now()
    changed = AutopsyJob.objects.filter(pk=job.pk, status__in=_OPEN_JOBS).update(
        status=AutopsyJob.Status.CANCELLED, finished_at=now
    )
    if changed:
        JobItem.objects.filter(job=job.pk, status__in=_OPEN_ITEMS).update(
            status=JobItem.Status.CANCELLED, lease_until=None, fence=F("fence") + 1
        )
    return bool(changed)


def has_ended(job_pk: int) -> bool:
    """Whether nothing of a job is left to do."""
    return not AutopsyJob.objects.filter(pk=job_pk, status__in=_OPEN_JOBS).exists()


def work_is_left() -> bool:
    """Whether any item of an open job is waiting or running."""
    return JobItem.objects.filter(status__in=_OPEN_ITEMS, job__status__in=_OPEN_JOBS).exists()


# --- progress -----------------------------------------------------------------------------------


def progress(job: AutopsyJob) -> dict[str, Any]:
    """A job as its owner sees it: status, counts, progress 0-1 and the failures with reasons."""
    failures: list[dict[str, str]] = []
    troubled = JobItem.objects.filter(job=job).exclude(error_code="").order_by("pk")
    for item in troubled.exclude(status__in=_OPEN_ITEMS)[:_SHOWN_FAILURES]:
        own = item.result.get("failures") or [
            {"subject": item.key, "code": item.error_code, "detail": item.error_message}
        ]
        failures.extend(own)
    ended = job.done + job.failed
    return {
        "job_id": job.job_id,
        "kind": job.kind,
        "status": job.status,
        "total": job.total,
        "done": job.done,
        "failed": job.failed,
        "failures": failures[:_SHOWN_FAILURES],
        "progress": ended / job.total if job.total else 1.0,
        "created_at": job.created_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
        "error": job.error_message,
    }
