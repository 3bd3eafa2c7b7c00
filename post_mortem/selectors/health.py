"""What readiness is judged by."""

from __future__ import annotations

from datetime import datetime

from django.db import OperationalError, connection
from django.db.models import Count, Min, Q

from post_mortem.models import JobItem

# How long readiness waits for another writer before it takes the database for writable.
_BUSY_MILLISECONDS = 200


def database_is_writable() -> bool:
    """False on a read-only database. Raises `DatabaseError` when it does not answer at all."""
    if connection.vendor == "sqlite":
        return _sqlite_is_writable()
    with connection.cursor() as cursor:
        cursor.execute("show transaction_read_only")
        return bool(cursor.fetchone()[0] == "off")


def _sqlite_is_writable() -> bool:
    if connection.in_atomic_block:
        return True
    with connection.cursor() as cursor:
        cursor.execute("pragma busy_timeout")
        before = cursor.fetchone()[0]
        cursor.execute(f"pragma busy_timeout = {_BUSY_MILLISECONDS}")
        try:
            cursor.execute("begin immediate")
            cursor.execute("rollback")
        except OperationalError as error:
            if "readonly" in str(error):
                return False
            if "locked" not in str(error):
                raise
        finally:
            cursor.execute(f"pragma busy_timeout = {int(before)}")
    return True


def backlog(*, now: datetime) -> dict[str, int | None]:
    """Items of work: `pending`, `running`, `stalled` (lease run out), `poison`, and the age in
    seconds of the oldest job with pending items (None without any)."""
    status = JobItem.Status
    unfinished = JobItem.objects.filter(status__in=[status.PENDING, status.RUNNING, status.POISON])
    counts = unfinished.aggregate(
        pending=Count("pk", filter=Q(status=status.PENDING)),
        running=Count("pk", filter=Q(status=status.RUNNING, lease_until__gt=now)),
        stalled=Count("pk", filter=Q(status=status.RUNNING, lease_until__lte=now)),
        poison=Count("pk", filter=Q(status=status.POISON)),
        oldest=Min("job__created_at", filter=Q(status=status.PENDING)),
    )
    oldest = counts.pop("oldest")
    age = None if oldest is None else int((now - oldest).total_seconds())
    counts["oldest_pending_seconds"] = age
    return counts
