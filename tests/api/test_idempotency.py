"""A request repeated after a lost answer: the same answer, one effect."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError
from django.urls import reverse
from django.utils import timezone

from post_mortem.api import idempotency
from post_mortem.models import AutopsyJob, IdempotencyKey
from post_mortem.services import jobs
from tests.api.world import World

pytestmark = pytest.mark.django_db

KEY = "Idempotency-Key"


def send(world: World, key: str | None = "k1", role: str = "owner", **changes: Any) -> Any:
    body = {"trade_ids": [world.mine.trade.pk]} | changes
    headers = {} if key is None else {KEY: key}
    return world.client(role).post(
        reverse("api-analyses-batch"), body, format="json", headers=headers
    )


def n_jobs() -> int:
    return AutopsyJob.objects.count()


def test_the_first_answer_is_repeated(world: World) -> None:
    before = n_jobs()
    first = send(world)
    second = send(world)
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json() == second.json()
    assert "Idempotent-Replayed" not in first
    assert second["Idempotent-Replayed"] == "true"
    assert n_jobs() == before + 1


def test_without_a_key_every_request_counts(world: World) -> None:
    before = n_jobs()
    assert send(world, None).json() != send(world, None).json()
    assert n_jobs() == before + 2


def test_a_key_belongs_to_one_user_and_one_address(world: World) -> None:
    first, others = send(world), send(world, role="lead")
    assert "Idempotent-Replayed" not in others
    assert first.json() != others.json()
    cancel = reverse("api-job-cancel", args=[world.mine.job.job_id])
    answer = world.client("owner").post(cancel, {}, format="json", headers={KEY: "k1"})
    assert (answer.status_code, "Idempotent-Replayed" in answer) == (200, False)


@pytest.mark.parametrize("changes", [{"concurrency": 4}, {"trade_ids": [1, 2]}])
def test_another_body_is_refused(world: World, changes: dict[str, Any]) -> None:
    send(world)
    before = n_jobs()
    answer = send(world, **changes)
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_mismatch")
    assert n_jobs() == before


def test_a_refused_request_may_be_corrected(world: World) -> None:
    assert send(world, horizons=["1h"]).status_code == 422
    assert not IdempotencyKey.objects.exists()
    answer = send(world, horizons=["1H"])
    assert (answer.status_code, "Idempotent-Replayed" in answer) == (202, False)


def test_a_lost_answer_to_a_toggle_is_not_a_conflict(world: World) -> None:
    body = {"recommendation_id": world.mine.recommendation.pk, "status": "IGNORED", "version": 1}
    url = reverse("api-recommendation-track")
    client = world.client("owner")
    answers = [client.post(url, body, format="json", headers={KEY: "t"}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json() == answers[1].json()
    assert client.post(url, body, format="json").status_code == 412


def claim(world: World, age: timedelta) -> IdempotencyKey:
    """What a request leaves behind that has not answered yet."""
    send(world)
    AutopsyJob.objects.exclude(pk__in=[world.mine.job.pk, world.stranger_desk.job.pk]).delete()
    rows = IdempotencyKey.objects.all()
    rows.update(status_code=None, response=None, created_at=timezone.now() - age)
    return rows.get()


def test_at_work(world: World) -> None:
    claim(world, timedelta(seconds=1))
    before = n_jobs()
    answer = send(world)
    assert (answer.status_code, answer.json()["code"]) == (409, "idempotency_in_flight")
    assert n_jobs() == before


def test_a_claim_of_a_dead_process_is_taken_over(world: World) -> None:
    claim(world, idempotency.ABANDONED + timedelta(seconds=1))
    before = n_jobs()
    assert send(world).status_code == 202
    assert send(world)["Idempotent-Replayed"] == "true"
    assert n_jobs() == before + 1


def test_who_was_overtaken_has_no_effect(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    before = n_jobs()
    real = jobs.enqueue

    def slow(**arguments: Any) -> AutopsyJob:
        IdempotencyKey.objects.update(created_at=timezone.now())
        return real(**arguments)

    monkeypatch.setattr(jobs, "enqueue", slow)
    answer = send(world)
    assert (answer.status_code, answer.json()["code"]) == (409, "idempotency_in_flight")
    assert n_jobs() == before


def test_after_a_day_the_key_is_new(world: World) -> None:
    first = send(world)
    IdempotencyKey.objects.update(created_at=timezone.now() - idempotency.KEPT)
    second = send(world, concurrency=2)
    assert second.status_code == 202
    assert "Idempotent-Replayed" not in second
    assert first.json() != second.json()


def test_a_failure_of_ours_is_not_kept(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(**arguments: Any) -> AutopsyJob:
        raise DatabaseError("the server went away")

    before = n_jobs()
    with monkeypatch.context() as patched:
        patched.setattr(jobs, "enqueue", broken)
        assert send(world).status_code == 500
    assert not IdempotencyKey.objects.exists()
    assert send(world).status_code == 202
    assert n_jobs() == before + 1


def test_a_key_of_the_greatest_length(world: World) -> None:
    assert send(world, "k" * 255).status_code == 202
    assert send(world, "k" * 255)["Idempotent-Replayed"] == "true"


def test_a_read_only_token_gets_no_answer_repeated(world: World) -> None:
    send(world)
    answer = send(world, role="read-only")
    assert (answer.status_code, "Idempotent-Replayed" in answer) == (403, False)
