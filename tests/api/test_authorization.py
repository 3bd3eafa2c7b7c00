"""Every route and method of the API against everybody who might call it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from rest_framework.test import APIClient

from post_mortem.models import (
    InsightAudit,
    RecommendationHistory,
    RecommendationTracking,
    ReviewMeeting,
)
from tests.api.world import World

pytestmark = pytest.mark.django_db

NOWHERE = "999999999"
SAFE = ("GET",)
# Signed in by nobody who may act.
REFUSED = ("anonymous", "expired", "revoked", "inactive")


@dataclass(frozen=True)
class Row:
    """Expected statuses. `place` is the address's values as paths among the owner's rows, or as
    they are; a callable in `body` takes the world. `other` is a user of another desk."""

    method: str
    route: str
    owner: int
    other: int
    place: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    upload: str | None = None  # sent as a file, with the body as the other fields of the form
    before: Callable[[World, APIClient], None] | None = None
    reviewer: int = 403  # what a reviewer of the desk gets who writes

    def url(self, world: World) -> str:
        return reverse(self.route, kwargs={k: find(world, v) for k, v in self.place.items()})

    def content(self, world: World) -> tuple[str | bytes, ...]:
        if self.body is None:
            return ()
        body = {k: v(world) if callable(v) else v for k, v in self.body.items()}
        if self.upload is None:
            return json.dumps(body), "application/json"
        file = SimpleUploadedFile("file.csv", self.upload.encode())
        return encode_multipart(BOUNDARY, {**body, "file": file}), MULTIPART_CONTENT


def find(world: World, path: str) -> Any:
    value: Any = world.mine
    for name in path.split("."):
        value = getattr(value, name, name)
    return value


TRADE = {"trade_id": "trade.pk"}
AUDIT = {"audit_id": "audit.pk"}
JOB = {"job_id": "job.job_id"}
PATTERN = {"pattern_id": "pattern.pk"}
PLAN = {"plan_id": "plan.pk"}
NEWS = {"cause": "news_shock", "verdict": "confirmed"}
NEUTRAL = {"outcome": "neutral", "reason": "the feed spiked", "version": 0}
ACCOUNT = {"account": lambda w: w.mine.account.pk}
DESK = {"desk": lambda w: w.mine.account.desk_id}
ONE_TEST = {"experiment_id": "experiment.pk"}
EXPERIMENT = {"name": "Fewer trades", "rule": "Two at most.", "scope": {"symbol": "EURUSD"}}
SIGNAL = {
    "time": "2024-03-04T12:00:00Z",
    "symbol": "EURUSD",
    "timeframe": "1h",
    "side": "long",
    "entry": "1.1",
}
FILL = {
    "time": "2024-03-04T12:00:00Z",
    "symbol": "EURUSD",
    "side": "buy",
    "quantity": "1",
    "price": "1.1",
}
FILLS = "time,symbol,side,quantity,price\n2024-03-04T12:00:00Z,EURUSD,buy,1,1.1\n"
CALENDAR = "time,currency,title,impact\n2024-03-08T13:30:00Z,USD,Payrolls,high\n"
CANDLES = "time,open,high,low,close\n" + "".join(
    f"2024-03-04T12:{minute:02d}:00Z,1.10000,1.10020,1.09990,1.10010\n" for minute in range(5)
)


MEETING = {"meeting_id": "meeting.pk"}
WEEK = {"first_day": "2026-03-09", "last_day": "2026-03-15"}
READ_AT = {"version": lambda w: meeting_version(w)}
DECISION = {
    "kind": "ignore",
    "recommendation_id": lambda w: w.mine.recommendation.pk,
    "recommendation_version": 1,
    "reason": "Not now.",
}
ACTION = {
    "action": "No USD-news entries",
    "measure": "Times kept",
    "target": "5 of 5",
    "owner": "owner",
    "due_date": "2026-03-16",
}


def meeting_version(world: World) -> int:
    return int(ReviewMeeting.objects.get(pk=world.mine.meeting.pk).version)


def decide_first(world: World, client: APIClient) -> None:
    body = {k: v(world) if callable(v) else v for k, v in {**READ_AT, **DECISION}.items()}
    url = reverse("api-meeting-decisions", args=[world.mine.meeting.pk])
    made = client.post(url, body, format="json").json()
    world.mine.decision_id = made["sheet"]["decisions"][0]["id"]


def agree_first(world: World, client: APIClient) -> None:
    url = reverse("api-meeting-action", args=[world.mine.meeting.pk])
    client.post(url, {**ACTION, "version": meeting_version(world)}, format="json")


def review_first(world: World, client: APIClient) -> None:
    url = reverse("api-audit-reviews", args=[world.mine.audit.pk])
    client.post(url, NEWS, format="json")


def first_day(world: World) -> str:
    return world.mine.experiment.starts_on.isoformat()


def make_stale(world: World, client: APIClient) -> None:
    InsightAudit.objects.filter(pk=world.mine.audit.pk).update(is_stale=True)


def override_first(world: World, client: APIClient) -> None:
    url = reverse("api-audit-override", args=[world.mine.audit.pk])
    client.post(url, NEUTRAL, format="json")


def track_first(world: World, client: APIClient) -> None:
    body = {"recommendation_id": world.mine.recommendation.pk, "status": "IGNORED", "version": 1}
    client.post(reverse("api-recommendation-track"), body, format="json")


def bulk_first(world: World, client: APIClient) -> None:
    items = [{"recommendation_id": world.mine.recommendation.pk, "version": 1}]
    url = reverse("api-recommendations-bulk")
    client.post(url, {"items": items, "status": "IGNORED"}, format="json")


def second_advice(world: World, client: APIClient) -> None:
    mine = world.mine.recommendation
    RecommendationTracking.objects.create(account=mine.account, advice_key="second", kind="k")


def second_of(world: World) -> int:
    rows = RecommendationTracking.objects.filter(advice_key="second")
    return rows.values_list("pk", flat=True).first() or 1


def last_batch(world: World) -> str:
    rows = RecommendationHistory.objects.exclude(batch="").order_by("pk")
    return rows.values_list("batch", flat=True).last() or "nothing"


def advice_of(world: World) -> int:
    return int(world.mine.recommendation.pk)


ROWS = (
    Row("GET", "api-analyses", 200, 200),
    Row("GET", "api-analysis", 200, 404, TRADE),
    Row("POST", "api-analysis", 202, 404, TRADE, {}),
    # Ids that are not visible fail within the job, which is the caller's own.
    Row("POST", "api-analyses-batch", 202, 202, {}, {"trade_ids": lambda w: [w.mine.trade.pk]}),
    Row("GET", "api-job", 200, 404, JOB),
    Row("POST", "api-job-cancel", 200, 404, JOB, {}),
    Row("GET", "api-audits", 200, 200),
    Row("GET", "api-audit", 200, 404, AUDIT),
    Row("GET", "api-audits-stale", 200, 200),
    # The other's own audits, none of which is stale.
    Row("POST", "api-audits-stale", 202, 422, {}, {}, before=make_stale),
    Row("GET", "api-audit-case", 200, 404, AUDIT),
    Row("POST", "api-audit-reviews", 200, 404, AUDIT, NEWS, reviewer=200),
    Row("GET", "api-review-queue", 200, 200),
    Row("GET", "api-audit-history", 200, 404, AUDIT),
    Row("POST", "api-audit-change", 200, 404, AUDIT, {"notes": "x", "version": 0}, reviewer=200),
    Row("POST", "api-audit-override", 200, 404, AUDIT, NEUTRAL, reviewer=200),
    Row(
        "POST",
        "api-audit-override-undo",
        200,
        404,
        AUDIT,
        {"version": 1},
        before=override_first,
        reviewer=200,
    ),
    Row("GET", "api-audit-attribution", 200, 404, AUDIT),
    Row(
        "DELETE",
        "api-audit-review",
        204,
        404,
        {**AUDIT, "cause": "news_shock"},
        before=review_first,
        reviewer=204,
    ),
    Row("GET", "api-patterns", 200, 200),
    Row("GET", "api-pattern", 200, 404, PATTERN),
    # Everybody searches their own accounts.
    Row("POST", "api-patterns-identify", 202, 202, {}, {"min_trades": 12}, reviewer=202),
    Row("GET", "api-plans", 200, 200),
    Row("POST", "api-plans", 201, 404, {}, {"pattern_ids": lambda w: [w.mine.pattern.pk]}),
    Row("GET", "api-plan", 200, 404, PLAN),
    Row("GET", "api-meetings", 200, 200),
    Row("POST", "api-meetings", 200, 404, {}, {**ACCOUNT, **WEEK}),
    Row("GET", "api-meeting", 200, 404, MEETING),
    Row("POST", "api-meeting-decisions", 200, 404, MEETING, {**READ_AT, **DECISION}),
    Row(
        "POST",
        "api-meeting-decision-undo",
        200,
        404,
        {**MEETING, "decision_id": "decision_id"},
        READ_AT,
        before=decide_first,
    ),
    Row("POST", "api-meeting-action", 200, 404, MEETING, {**READ_AT, **ACTION}),
    Row(
        "POST",
        "api-meeting-report",
        200,
        404,
        MEETING,
        {**READ_AT, "kept": 4, "occasions": 5},
        before=agree_first,
    ),
    Row("POST", "api-meeting-close", 200, 404, MEETING, READ_AT, before=agree_first),
    Row("GET", "api-recommendations", 200, 200),
    Row(
        "POST",
        "api-recommendation-track",
        200,
        404,
        {},
        {
            "recommendation_id": lambda w: w.mine.recommendation.pk,
            "status": "IGNORED",
            "version": 1,
        },
    ),
    Row("GET", "api-experiments", 200, 200),
    Row("POST", "api-experiments", 201, 404, {}, {**ACCOUNT, **EXPERIMENT}),
    Row("GET", "api-experiment", 200, 404, ONE_TEST),
    Row("GET", "api-experiment-arm", 200, 404, ONE_TEST),
    Row("POST", "api-experiment-stop", 200, 404, ONE_TEST, {"reason": "done", "version": 1}),
    Row("POST", "api-experiment-notes", 200, 404, ONE_TEST, {"unit": first_day, "kept": True}),
    Row(
        "POST",
        "api-recommendation-undo",
        200,
        404,
        {},
        {"recommendation_id": advice_of, "version": 2},
        before=track_first,
    ),
    Row(
        "POST",
        "api-recommendation-merge",
        200,
        404,
        {},
        {"recommendation_id": advice_of, "into": second_of, "version": 1},
        before=second_advice,
    ),
    # Rows that are not the caller's to change are named as missing or refused.
    Row(
        "POST",
        "api-recommendations-bulk",
        200,
        200,
        {},
        {
            "items": lambda w: [{"recommendation_id": advice_of(w), "version": 1}],
            "status": "IGNORED",
        },
        reviewer=200,
    ),
    Row(
        "POST",
        "api-recommendations-bulk-undo",
        200,
        404,
        {},
        {"batch": last_batch},
        before=bulk_first,
        reviewer=404,
    ),
    Row("POST", "api-recommendations-judge", 200, 404, {}, ACCOUNT),
    Row("GET", "api-recommendation-types", 200, 200),
    Row(
        "GET",
        "api-recommendation-impact",
        200,
        404,
        {"recommendation_id": "recommendation.pk"},
    ),
    Row("GET", "api-signals", 200, 200),
    Row("POST", "api-signals", 201, 404, {}, {**ACCOUNT, **SIGNAL}),
    Row("GET", "api-trades", 200, 200),
    Row("POST", "api-trades", 201, 404, {}, {**ACCOUNT, "executions": [FILL]}),
    Row("POST", "api-trades-import", 200, 404, {}, ACCOUNT, FILLS),
    Row("POST", "api-candles-import", 200, 404, {}, {**DESK, "symbol": "EURUSD"}, CANDLES),
    Row("POST", "api-news-import", 200, 404, {}, DESK, CALENDAR),
)
# What anybody may read: no row of anybody is in it.
PUBLIC = {"healthz", "readyz", "api-schema", "api-docs"}


def routes(patterns: Any = None, prefix: str = "") -> Iterator[tuple[str, URLPattern]]:
    for pattern in get_resolver().url_patterns if patterns is None else patterns:
        path = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from routes(pattern.url_patterns, path)
        elif path.startswith(("api/", "healthz", "readyz")):
            yield path, pattern


def methods(pattern: URLPattern) -> set[str]:
    view = getattr(pattern.callback, "cls", None) or getattr(pattern.callback, "view_class", None)
    names = ("get", "post", "put", "patch", "delete")
    return {name.upper() for name in names if view is None or hasattr(view, name)}


def call(client: APIClient, row: Row, world: World) -> Any:
    return client.generic(row.method, row.url(world), *row.content(world))


def test_every_route_and_method_has_a_row() -> None:
    listed = {(row.route, row.method) for row in ROWS}
    there = {
        (pattern.name, method)
        for _, pattern in routes()
        if pattern.name not in PUBLIC
        for method in methods(pattern)
    }
    assert there - listed == set()
    assert listed - there == set()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.method} {row.route}")
class TestMatrix:
    def test_nobody_in_particular(self, row: Row, world: World) -> None:
        for role in REFUSED:
            response = call(world.client(role), row, world)
            assert (role, response.status_code) == (role, 401)
            assert response["WWW-Authenticate"].startswith("Bearer")
            assert set(response.json()) == {"code", "detail"}

    def test_owner(self, row: Row, world: World) -> None:
        client = world.client("owner")
        if row.before:
            row.before(world, client)
        assert call(client, row, world).status_code == row.owner

    def test_lead_of_the_desk(self, row: Row, world: World) -> None:
        client = world.client("lead")
        if row.before:
            row.before(world, client)
        assert call(client, row, world).status_code == row.owner

    def test_other(self, row: Row, world: World) -> None:
        assert call(world.client("other"), row, world).status_code == row.other

    def test_read_only_token(self, row: Row, world: World) -> None:
        expected = row.owner if row.method in SAFE else 403
        assert call(world.client("read-only"), row, world).status_code == expected

    def test_reviewer_reads_and_reviews(self, row: Row, world: World) -> None:
        client = world.client("reviewer")
        if row.before:
            row.before(world, world.client("owner") if row.reviewer == 403 else client)
        expected = row.owner if row.method in SAFE else row.reviewer
        assert call(client, row, world).status_code == expected

    def test_session(self, row: Row, world: World) -> None:
        client = APIClient(enforce_csrf_checks=True)
        client.force_login(world.owner)
        if row.before:
            row.before(world, world.client("owner"))
        expected = row.owner if row.method in SAFE else 403
        assert call(client, row, world).status_code == expected

        client.cookies["csrftoken"] = "x" * 32
        client.credentials(HTTP_X_CSRFTOKEN="x" * 32)
        assert call(client, row, world).status_code == row.owner


@pytest.mark.parametrize(
    "row", [row for row in ROWS if row.other == 404], ids=lambda row: f"{row.method} {row.route}"
)
def test_foreign_and_absent_are_the_same(row: Row, world: World) -> None:
    client = world.client("other")
    foreign = call(client, row, world)
    absent_place = {k: NOWHERE if v.endswith("pk") else v for k, v in row.place.items()}
    absent_body = row.body and {
        k: {"recommendation_id": int(NOWHERE), "pattern_ids": [int(NOWHERE)]}.get(k, v)
        for k, v in row.body.items()
    }
    if "job_id" in row.place:
        absent_place["job_id"] = "0" * 32
    absent = call(client, replace(row, place=absent_place, body=absent_body), world)
    assert (absent.status_code, absent.content) == (foreign.status_code, foreign.content)


COUNTS = ("api-audits-stale", "api-recommendation-types")
LISTS = [r.route for r in ROWS if r.method == "GET" and not r.place and r.route not in COUNTS]


@pytest.mark.parametrize("route", LISTS)
def test_lists_hold_own_rows_only(route: str, world: World) -> None:
    def ids(role: str) -> set[int]:
        return {row["id"] for row in world.client(role).get(reverse(route)).json()["results"]}

    assert ids("owner")
    assert ids("other")
    assert ids("owner").isdisjoint(ids("other"))
    assert ids("reviewer") == ids("owner") == ids("lead")


def test_a_lead_of_one_desk_is_a_stranger_to_another(world: World) -> None:
    theirs = world.stranger_desk.audit.pk
    assert world.client("lead").get(reverse("api-audit", args=[theirs])).status_code == 404


def test_a_batch_does_not_tell_foreign_from_absent(world: World) -> None:
    client = world.client("other")
    ids = [world.mine.trade.pk, 999_999_999]
    url = reverse("api-analyses-batch")
    started = client.post(url, {"trade_ids": ids}, format="json").json()
    job = client.get(started["status_url"]).json()
    assert job["status"] == "completed_with_errors"
    assert (job["total"], job["done"], job["failed"], job["progress"]) == (2, 0, 2, 1.0)
    assert {(f["code"], f["detail"]) for f in job["failures"]} == {("not_found", "Not found.")}
    assert [f["subject"] for f in job["failures"]] == [f"trade {pk}" for pk in ids]


def test_the_public_routes_name_nobody(world: World) -> None:
    client = world.client("anonymous")
    for name in ("healthz", "readyz"):
        response = client.get(reverse(name))
        assert response.status_code == 200
        assert "owner" not in response.content.decode()
