"""A meeting held over the API: every step with its version, refusals with their status."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from django.urls import reverse

from post_mortem.models import RecommendationTracking, ReviewMeeting
from tests.api.world import World

pytestmark = pytest.mark.django_db
ACTION = {
    "action": "No USD-news entries",
    "measure": "Times kept",
    "target": "5 of 5",
    "owner": "owner",
    "due_date": "2026-03-16",
}


@pytest.fixture
def meeting(world: World) -> dict[str, Any]:
    url = reverse("api-meeting", args=[world.mine.meeting.pk])
    found: dict[str, Any] = world.client("owner").get(url).json()
    return found


def post(world: World, meeting: dict[str, Any], what: str, **body: Any) -> Any:
    url = f"/api/post-mortem/meetings/{meeting['id']}/{what}/"
    return world.client("owner").post(url, body, format="json")


def accepting(world: World, **changes: Any) -> dict[str, Any]:
    body = {
        "kind": "accept",
        "recommendation_id": world.mine.recommendation.pk,
        "recommendation_version": 1,
        "owner": "owner",
        "due_date": "2026-03-16",
        "version": 1,
    }
    return body | changes


def test_a_whole_meeting(world: World, meeting: dict[str, Any]) -> None:
    assert (meeting["version"], meeting["closed_at"], meeting["is_intact"]) == (1, None, None)
    decided = post(world, meeting, "decisions", **accepting(world)).json()
    assert decided["version"] == 2
    assert [d["kind"] for d in decided["sheet"]["decisions"]] == ["accept"]
    agreed = post(world, meeting, "action", **ACTION, version=2).json()
    assert agreed["sheet"]["action"]["target"] == "5 of 5"
    closed = post(world, meeting, "close", version=3).json()
    assert closed["is_intact"] is True
    text = json.dumps(closed["sheet"], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert hashlib.sha256(text.encode()).hexdigest() == closed["minutes_sha256"]
    reported = post(world, meeting, "report", kept=4, occasions=5, version=4).json()
    assert reported["minutes_sha256"] == closed["minutes_sha256"]
    ReviewMeeting.objects.filter(pk=meeting["id"]).update(minutes={**closed["sheet"], "x": 1})
    url = reverse("api-meeting", args=[meeting["id"]])
    assert world.client("owner").get(url).json()["is_intact"] is False


def test_opening_twice_is_opening_once(world: World, meeting: dict[str, Any]) -> None:
    body = {name: meeting[name] for name in ("account", "first_day", "last_day")}
    again = world.client("owner").post(reverse("api-meetings"), body, format="json")
    assert (again.status_code, again.json()["id"]) == (200, meeting["id"])


def test_taking_back(world: World, meeting: dict[str, Any]) -> None:
    made = post(world, meeting, "decisions", **accepting(world)).json()
    decision = made["sheet"]["decisions"][0]["id"]
    back = post(world, meeting, f"decisions/{decision}/undo", version=2).json()
    assert back["sheet"]["decisions"][0]["undone_at"] is not None
    row = RecommendationTracking.objects.get(pk=world.mine.recommendation.pk)
    assert (row.implementation_status, row.owner) == ("PENDING", None)


@pytest.mark.parametrize(
    ("what", "body", "status", "code"),
    [
        ("decisions", {"version": None}, 428, "version_required"),
        ("decisions", {"version": 7}, 412, "version_stale"),
        ("decisions", {"recommendation_version": 7}, 412, "version_stale"),
        ("decisions", {"kind": "maybe"}, 422, "bad_kind"),
        ("decisions", {"owner": "other"}, 422, "bad_owner"),
        ("decisions", {"kind": "ignore"}, 422, "bad_reason"),
        ("decisions", {"surprise": 1}, 400, "unknown_field"),
        ("decisions/999999999/undo", {}, 404, "not_found"),
        ("close", {}, 422, "one_action"),
        ("report", {"kept": 1, "occasions": 1}, 409, "no_action"),
    ],
)
def test_refusals(
    world: World, meeting: dict[str, Any], what: str, body: dict[str, Any], status: int, code: str
) -> None:
    given = accepting(world) if what == "decisions" else {"version": 1}
    given = {k: v for k, v in (given | body).items() if v is not None}
    answer = post(world, meeting, what, **given)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert ReviewMeeting.objects.get(pk=meeting["id"]).version == 1


def test_closed_is_closed(world: World, meeting: dict[str, Any]) -> None:
    post(world, meeting, "action", **ACTION, version=1)
    post(world, meeting, "close", version=2)
    answer = post(world, meeting, "decisions", **accepting(world, version=3))
    assert (answer.status_code, answer.json()["code"]) == (409, "meeting_closed")


@pytest.mark.parametrize(
    ("first", "last"), [("2026-03-15", "2026-03-09"), ("2024-01-01", "2026-01-01")]
)
def test_a_period_that_is_none(world: World, first: str, last: str) -> None:
    body = {"account": world.mine.account.pk, "first_day": first, "last_day": last}
    answer = world.client("owner").post(reverse("api-meetings"), body, format="json")
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_period")
