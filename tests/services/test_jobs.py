"""The queue under two workers, dead workers, late workers and work that cannot be done."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import OperationalError

from post_mortem.jobs import isolate, work_once
from post_mortem.models import AutopsyJob, JobItem
from post_mortem.services import jobs
from post_mortem.services.jobs import Claim, Failure, Item, ItemResult, LostLeaseError
from trading.core.errors import ConflictError, RetryLaterError, UserError
from trading.models import Account

from .factories import make_account

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
Handler = Callable[[Claim, Callable[[], None]], ItemResult]


class Clock:
    """A database clock that a test moves."""

    def __init__(self) -> None:
        self.time = NOON

    def __call__(self) -> datetime:
        return self.time

    def advance(self, delta: timedelta) -> None:
        self.time += delta


@pytest.fixture
def account() -> Account:
    return make_account()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def queue(account: Account, *weights: int, kind: str = "test") -> AutopsyJob:
    items = [Item(f"item {i}", {"ids": list(range(w))}, w) for i, w in enumerate(weights)]
    return jobs.enqueue(kind=kind, account=account, items=items)


def succeed(claim: Claim, hold: Callable[[], None]) -> ItemResult:
    hold()
    return ItemResult()


def drain(clock: Clock, handler: Handler, limit: int = 100) -> int:
    """Run until nothing is due; the clock moves past every retry."""
    done = 0
    while jobs.work_is_left() and done < limit:
        done += work_once(worker="w", handlers={"test": handler}, now=clock)
        clock.advance(timedelta(seconds=1))
    return done


def test_a_job_runs_to_the_end_and_counts_what_it_did(account: Account, clock: Clock) -> None:
    job = queue(account, 25, 25, 7)
    assert (job.status, job.total) == ("pending", 57)
    work_once(worker="w", handlers={"test": succeed}, now=clock)
    job.refresh_from_db()
    assert (job.status, job.done, job.failed) == ("running", 25, 0)
    assert jobs.progress(job)["progress"] == pytest.approx(25 / 57)
    drain(clock, succeed)
    job.refresh_from_db()
    assert (job.status, job.done, job.failed) == ("completed", 57, 0)
    assert job.started_at == NOON
    assert job.finished_at is not None
    assert not work_once(worker="w", handlers={"test": succeed}, now=clock)


def test_nothing_to_do_is_refused(account: Account) -> None:
    with pytest.raises(UserError, match="nothing to do"):
        jobs.enqueue(kind="test", account=account, items=[])


def test_an_idempotency_key_gives_the_same_job(account: Account) -> None:
    items = [Item("a", {})]
    first = jobs.enqueue(kind="test", account=account, items=items, idempotency_key="k")
    again = jobs.enqueue(kind="test", account=account, items=items, idempotency_key="k")
    other = jobs.enqueue(kind="test", account=make_account(), items=items, idempotency_key="k")
    assert first.pk == again.pk != other.pk
    assert first.items.count() == 1
    with pytest.raises(ConflictError):
        jobs.enqueue(
            kind="test", account=account, items=items, params={"force": True}, idempotency_key="k"
        )


def test_small_jobs_do_not_wait_behind_large_ones(account: Account, clock: Clock) -> None:
    queue(account, *[25] * 4)
    small = queue(account, 1)
    claim = jobs.claim_next(worker="w", now=clock())
    assert claim is not None
    assert claim.job_pk == small.pk


def test_one_item_is_claimed_by_one_of_two_workers(account: Account) -> None:
    job = queue(account, *[1] * 200)
    for item in job.items.select_related("job"):
        # Both have read the row before either writes.
        mine, yours = item, JobItem.objects.get(pk=item.pk)
        assert [jobs._take(mine, "me", NOON), jobs._take(yours, "you", NOON)] == [True, False]
    assert set(job.items.values_list("lease_owner", "attempts", "fence")) == {("me", 1, 1)}


def test_a_dead_workers_item_is_claimed_again_after_its_lease(
    account: Account, clock: Clock
) -> None:
    job = queue(account, 1)
    first = jobs.claim_next(worker="dies", now=clock())
    assert first is not None
    clock.advance(jobs.LEASE - timedelta(seconds=1))
    assert jobs.claim_next(worker="w", now=clock()) is None
    clock.advance(timedelta(seconds=1))
    second = jobs.claim_next(worker="w", now=clock())
    assert second is not None
    assert (second.item_id, second.attempts, second.fence) == (first.item_id, 2, 2)
    jobs.finish(second, ItemResult(), now=clock())
    job.refresh_from_db()
    assert (job.status, job.done) == ("completed", 1)


def test_a_late_worker_can_change_nothing(account: Account, clock: Clock) -> None:
    job = queue(account, 1)
    late = jobs.claim_next(worker="late", now=clock())
    clock.advance(jobs.LEASE * 2)
    current = jobs.claim_next(worker="w", now=clock())
    assert late is not None
    assert current is not None
    writes: list[Callable[[], Any]] = [
        lambda: jobs.hold(late, now=clock()),
        lambda: jobs.finish(late, ItemResult(), now=clock()),
        lambda: jobs.fail(late, code="x", detail="x", permanent=True, now=clock()),
    ]
    for write in writes:
        with pytest.raises(LostLeaseError):
            write()
    jobs.release(late, now=clock())
    item = job.items.get()
    assert (item.status, item.lease_owner, item.attempts) == ("running", "w", 2)
    jobs.finish(current, ItemResult(), now=clock())
    for write in writes:
        with pytest.raises(LostLeaseError):
            write()
    job.refresh_from_db()
    assert (job.status, job.done, job.failed) == ("completed", 1, 0)


def test_holding_an_item_keeps_others_away(account: Account, clock: Clock) -> None:
    queue(account, 1)
    claim = jobs.claim_next(worker="slow", now=clock())
    assert claim is not None
    for _ in range(5):
        clock.advance(timedelta(seconds=50))
        jobs.hold(claim, now=clock())
        assert jobs.claim_next(worker="w", now=clock()) is None
    jobs.finish(claim, ItemResult(), now=clock())


def test_an_item_that_always_fails_is_poison_and_its_job_goes_on(
    account: Account, clock: Clock
) -> None:
    job = queue(account, 5, 5, 5)
    tries: list[int] = []

    def handler(claim: Claim, hold: Callable[[], None]) -> ItemResult:
        if claim.key == "item 1":
            tries.append(claim.attempts)
            raise ZeroDivisionError("bad day")
        return ItemResult()

    drain(clock, handler)
    job.refresh_from_db()
    assert tries == [1, 2, 3]
    assert (job.status, job.done, job.failed) == ("completed_with_errors", 10, 5)
    assert job.items.get(key="item 1").status == "poison"
    assert jobs.progress(job)["failures"] == [
        {"subject": "item 1", "code": "unexpected", "detail": "ZeroDivisionError: bad day"}
    ]


def test_an_item_that_kills_its_workers_is_poison(account: Account, clock: Clock) -> None:
    job = queue(account, 3)
    for _ in range(jobs.MAX_ATTEMPTS):
        assert jobs.claim_next(worker="dies", now=clock()) is not None
        clock.advance(jobs.LEASE)
    assert jobs.claim_next(worker="w", now=clock()) is None
    job.refresh_from_db()
    assert (job.status, job.done, job.failed) == ("completed_with_errors", 0, 3)
    assert job.items.get().status == "poison"


def test_bad_input_is_not_tried_again(account: Account, clock: Clock) -> None:
    job = queue(account, 2)

    def handler(claim: Claim, hold: Callable[[], None]) -> ItemResult:
        raise UserError("horizon", "unknown horizon")

    assert drain(clock, handler) == 1
    job.refresh_from_db()
    assert (job.status, job.failed) == ("completed_with_errors", 2)
    assert job.items.get().status == "failed"


def test_a_locked_database_costs_no_attempt(account: Account, clock: Clock) -> None:
    job = queue(account, 1)
    trouble = [OperationalError("database is locked"), RetryLaterError("locked", "later")] * 3

    def handler(claim: Claim, hold: Callable[[], None]) -> ItemResult:
        assert claim.attempts == 1
        if trouble:
            raise trouble.pop()
        return ItemResult()

    for _ in range(6):
        with pytest.raises((OperationalError, RetryLaterError)):
            work_once(worker="w", handlers={"test": handler}, now=clock)
        assert jobs.claim_next(worker="w", now=clock()) is None  # not at once
        clock.advance(timedelta(seconds=5))
    assert work_once(worker="w", handlers={"test": handler}, now=clock)
    job.refresh_from_db()
    assert job.status == "completed"


def test_an_unknown_kind_fails_with_a_reason(account: Account, clock: Clock) -> None:
    job = queue(account, 1, kind="brew_coffee")
    assert work_once(worker="w", handlers={}, now=clock)
    assert jobs.progress(AutopsyJob.objects.get(pk=job.pk))["failures"][0]["code"] == "unknown_kind"


def test_a_cancelled_job_stops_what_runs(account: Account, clock: Clock) -> None:
    job = queue(account, 1, 1)
    claim = jobs.claim_next(worker="w", now=clock())
    assert claim is not None
    assert jobs.cancel(job=job, now=clock())
    assert not jobs.cancel(job=job, now=clock())
    with pytest.raises(LostLeaseError):
        jobs.hold(claim, now=clock())
    assert jobs.claim_next(worker="w", now=clock()) is None
    job.refresh_from_db()
    assert (job.status, job.done, job.failed) == ("cancelled", 0, 0)
    assert not jobs.work_is_left()


def test_parts_that_fail_alone_are_counted_and_named(account: Account, clock: Clock) -> None:
    job = queue(account, 25)
    bad = {3, 4, 17}
    done: set[int] = set()

    def run(ids: Sequence[int]) -> None:
        if bad & set(ids):
            raise ValueError(f"cannot do {sorted(bad & set(ids))}")
        done.update(ids)

    def handler(claim: Claim, hold: Callable[[], None]) -> ItemResult:
        return ItemResult(isolate(claim.payload["ids"], run, "trade", hold))

    drain(clock, handler)
    job.refresh_from_db()
    assert done == set(range(25)) - bad
    assert (job.status, job.done, job.failed) == ("completed_with_errors", 22, 3)
    assert [f["subject"] for f in jobs.progress(job)["failures"]] == [
        "trade 3",
        "trade 4",
        "trade 17",
    ]


def test_isolation_pins_no_database_trouble_on_a_trade(account: Account) -> None:
    def run(ids: Sequence[int]) -> None:
        raise OperationalError("database is locked")

    with pytest.raises(OperationalError):
        isolate([1, 2, 3], run, "trade", lambda: None)


def test_isolation_stops_when_the_lease_is_lost() -> None:
    def hold() -> None:
        raise LostLeaseError("x")

    with pytest.raises(LostLeaseError):
        isolate([1, 2], lambda ids: None, "trade", hold)


def test_an_item_with_every_part_failed_is_failed(account: Account, clock: Clock) -> None:
    job = queue(account, 1)
    failure = Failure("trade 1", "no_data", "no candles")
    drain(clock, lambda claim, hold: ItemResult((failure,)))
    assert job.items.get().status == "failed"
    assert jobs.progress(AutopsyJob.objects.get(pk=job.pk))["failures"] == [failure.as_dict()]
