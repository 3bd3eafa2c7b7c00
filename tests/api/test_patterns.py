"""Patterns and improvement plans over the API."""

from __future__ import annotations

import pytest
from django.urls import reverse

from post_mortem.models import AnalysisPattern, AutopsyJob, ImprovementPlan
from tests.api.world import World
from tests.services.factories import make_pattern

pytestmark = pytest.mark.django_db

IDENTIFY = "/api/post-mortem/patterns/identify/"
PLANS = "/api/post-mortem/improvement-plans/"


def post(world: World, url: str, body: object, role: str = "owner", **headers: str):
    return world.client(role).post(url, body, format="json", headers=headers)


def test_a_pattern_is_told_with_its_figures_facts_and_trades(world: World) -> None:
    row = world.mine.pattern
    body = world.client("owner").get(reverse("api-pattern", args=[row.pk])).json()
    assert body["sentence"].startswith("Breakouts in Asia lose: 31 trades, −0.42 R each")
    assert (body["pattern_type"], body["n"], body["tried"], body["trend"]) == ("leak", 31, 40, "")
    assert body["trade_ids"] == [world.mine.trade.pk]
    assert body["facts"][0]["id"] == "E1"
    assert body["source"] == "template"
    assert body["statistics"]["parts"][0] == ["session", "in Asia"]


def test_the_list_filters_by_kind_and_by_what_is_still_found(world: World) -> None:
    lost = make_pattern(world.mine.account, n=50)
    AnalysisPattern.objects.filter(pk=lost.pk).update(lost_at=lost.found_at)
    client, url = world.client("owner"), reverse("api-patterns")
    assert client.get(url).json()["count"] == 3
    assert [row["id"] for row in client.get(f"{url}?current=0").json()["results"]] == [lost.pk]
    assert client.get(f"{url}?current=1").json()["count"] == 2
    assert client.get(f"{url}?type=edge").json()["count"] == 0
    assert client.get(f"{url}?type=lose").status_code == 400


def test_a_search_is_queued_once_and_has_a_status(world: World) -> None:
    first = post(world, IDENTIFY, {"min_trades": 12, "time_period": "90d"})
    again = post(world, IDENTIFY, {"min_trades": 12, "time_period": "90d"})
    assert first.status_code == again.status_code == 202
    assert first.json() == again.json()
    job = AutopsyJob.objects.get(job_id=first.json()["job_id"])
    assert job.params == {
        "time_period": "90d", "min_trades": 12, "accounts": [world.mine.account.pk]
    }  # fmt: skip
    status = world.client("owner").get(first.json()["status_url"]).json()
    assert (status["kind"], status["status"]) == ("patterns", "pending")


def test_a_search_can_be_waited_for(world: World) -> None:
    answer = post(world, f"{IDENTIFY}?wait=1", {})
    assert answer.status_code == 200
    assert answer.json() == []
    # What was stored by hand was not found among the one trade there is.
    world.mine.pattern.refresh_from_db()
    assert world.mine.pattern.lost_at is not None


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"min_trades": 4}, 400, "min_trades"),
        ({"min_trades": "10"}, 400, "min_trades"),
        ({"min_trades": 1001}, 400, "min_trades"),
        ({"time_period": "yesterday"}, 422, "time_period"),
        ({"time_period": 90}, 400, "time_period"),
        ({"period": "90d"}, 400, "period"),
        ({"account": 999_999_999}, 404, None),
    ],
)
def test_a_bad_search_is_refused_by_name(world: World, body, status, field) -> None:
    for url in (IDENTIFY, f"{IDENTIFY}?wait=1"):
        answer = post(world, url, body)
        assert answer.status_code == status
        assert answer.json().get("field") == field


def test_nobody_has_a_foreign_account_searched(world: World) -> None:
    theirs = world.stranger_desk.account.pk
    for url in (IDENTIFY, f"{IDENTIFY}?wait=1"):
        assert post(world, url, {"account": theirs}).status_code == 404
        mine = post(world, url, {"account": world.mine.account.pk}, role="reviewer")
        assert (mine.status_code, mine.json()["code"]) == (403, "not_permitted")


def test_a_plan_is_drafted_once_with_its_rules_in_order(world: World) -> None:
    pattern = world.mine.pattern
    hours = [{"pattern_id": pattern.pk, "hours": 2}]
    body = {"pattern_ids": [pattern.pk], "hours": hours}
    answer = post(world, PLANS, body)
    assert answer.status_code == 201
    plan = answer.json()
    (step,) = plan["improvements"]
    assert step["action"] == (
        "Take no new trade in Asia that claim breakout until its record is better than "
        "break-even [E1]."
    )
    assert (step["r_month"], step["hours"], step["roi_r_per_hour"]) == (1.2, 2.0, 0.6)
    assert plan["pattern_ids"] == [pattern.pk]
    assert post(world, PLANS, body).json()["id"] == plan["id"]
    listed = world.client("owner").get(PLANS).json()["results"]
    assert [row["id"] for row in listed][0] == plan["id"]
    assert "improvements" not in listed[0]


def test_a_repeated_request_gets_the_first_answer(world: World) -> None:
    body = {"pattern_ids": [world.mine.pattern.pk]}
    first = post(world, PLANS, body, **{"Idempotency-Key": "k1"})
    again = post(world, PLANS, body, **{"Idempotency-Key": "k1"})
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.json() == first.json()
    other = post(world, PLANS, {"pattern_ids": [999_999]}, **{"Idempotency-Key": "k1"})
    assert other.json()["code"] == "idempotency_mismatch"
    queued = [post(world, IDENTIFY, {}, **{"Idempotency-Key": "k2"}) for _ in range(2)]
    assert queued[0].json() == queued[1].json()
    assert queued[1].headers["Idempotent-Replayed"] == "true"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 400, "required"),
        ({"pattern_ids": []}, 400, "empty"),
        ({"pattern_ids": ["1"]}, 400, "invalid"),
        ({"pattern_ids": list(range(1, 22))}, 413, "too_many_ids"),
        ({"pattern_ids": [999_999_999]}, 404, "not_found"),
        ({"patterns": [1]}, 400, "unknown_field"),
    ],
)
def test_a_bad_draft_is_refused(world: World, body, status, code) -> None:
    before = ImprovementPlan.objects.count()
    answer = post(world, PLANS, body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert ImprovementPlan.objects.count() == before


@pytest.mark.parametrize("hours", [0, -1, 1001, "2", None])
def test_bad_hours_are_refused(world: World, hours) -> None:
    pk = world.mine.pattern.pk
    answer = post(
        world, PLANS, {"pattern_ids": [pk], "hours": [{"pattern_id": pk, "hours": hours}]}
    )
    assert answer.status_code in (400, 422)


def test_a_plan_of_two_owners_patterns_is_not_there(world: World) -> None:
    ids = [world.mine.pattern.pk, world.stranger_desk.pattern.pk]
    assert post(world, PLANS, {"pattern_ids": ids}).status_code == 404
