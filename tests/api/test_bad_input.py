"""Requests that must be refused: with the right status and code, as JSON, changing nothing."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.apps import apps

from post_mortem.models import RecommendationTracking
from tests.api.world import World

pytestmark = pytest.mark.django_db

API = "/api/post-mortem"
BATCH = f"{API}/analyses/batch/"
TRACK = f"{API}/recommendations/track/"
AUDITS = f"{API}/audits/"
REVIEWS = f"{AUDITS}AUDIT/reviews/"
CHANGE = f"{AUDITS}AUDIT/review/"
OVERRIDE = f"{AUDITS}AUDIT/override/"
RECOMMENDATIONS = f"{API}/recommendations/"


@dataclass(frozen=True)
class Case:
    name: str
    status: int
    code: str
    path: str
    body: Any = None
    where: str | None = None
    method: str = "POST"
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def content(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


def get(name: str, status: int, code: str, path: str, where: str | None = None) -> Case:
    return Case(name, status, code, path, None, where, "GET")


def track(case: str, expected: int, code: str, where: str | None = None, **body: Any) -> Case:
    given = {"recommendation_id": "MINE", "status": "IGNORED", "version": 1} | body
    return Case(case, expected, code, TRACK, _given(given), where)


def batch(case: str, expected: int, code: str, where: str | None = None, **body: Any) -> Case:
    return Case(case, expected, code, BATCH, {"trade_ids": [1]} | body, where)


def review(case: str, expected: int, code: str, where: str, **body: Any) -> Case:
    given = {"cause": "news_shock", "verdict": "confirmed"} | body
    return Case(case, expected, code, REVIEWS, given, where)


def change(case: str, expected: int, code: str, where: str | None = None, **body: Any) -> Case:
    return Case(case, expected, code, CHANGE, _given({"notes": "x", "version": 0} | body), where)


def override(case: str, expected: int, code: str, where: str | None = None, **body: Any) -> Case:
    given = {"outcome": "neutral", "reason": "the feed spiked", "version": 0} | body
    return Case(case, expected, code, OVERRIDE, _given(given), where)


def _given(body: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if value is not ABSENT}


ABSENT = object()
KEY = "Idempotency-Key"
CASES = (
    # Bodies
    Case("55 nested too deep", 400, "json_depth", BATCH, b"[" * 100_000),
    Case("56 a key twice", 400, "json_duplicate_key", BATCH, b'{"trade_ids":[1],"trade_ids":[2]}'),
    Case("57 NaN", 400, "json_number", BATCH, b'{"trade_ids": [NaN]}'),
    Case("58 a byte order mark", 400, "json_bom", BATCH, b'\xef\xbb\xbf{"trade_ids":[1]}'),
    Case("59 half a surrogate pair", 400, "json_text", TRACK, rb'{"notes": "\ud800"}'),
    Case("not an object", 400, "invalid", BATCH, [1, 2]),
    Case("no body", 400, "required", BATCH, b"", "trade_ids"),
    Case("too large", 413, "body_too_large", BATCH, b" " * (16 * 1024 * 1024 + 1)),
    # Batches
    batch("60 not a list", 400, "not_a_list", "trade_ids", trade_ids="1,2"),
    batch("60 an object", 400, "not_a_list", "trade_ids", trade_ids={"1": 2}),
    batch("60 too many", 413, "too_many_ids", "trade_ids", trade_ids=[1] * 10_001),
    batch("60 far too many", 413, "too_many_ids", "trade_ids", trade_ids=[1] * 100_001),
    batch("60 texts", 400, "invalid", "trade_ids[1]", trade_ids=[1, "2"]),
    batch("60 a boolean", 400, "invalid", "trade_ids[0]", trade_ids=[True]),
    batch("60 a fraction", 400, "invalid", "trade_ids[0]", trade_ids=[1.0]),
    batch("60 null", 400, "null", "trade_ids[0]", trade_ids=[None]),
    batch("60 none", 400, "empty", "trade_ids", trade_ids=[]),
    batch("60 negative", 400, "min_value", "trade_ids[0]", trade_ids=[-1]),
    batch("60 beyond a row id", 400, "max_value", "trade_ids[0]", trade_ids=[10**20]),
    batch("61 lower case", 422, "horizon", "horizons", horizons=["1h"]),
    batch("61 negative", 422, "horizon", "horizons", horizons=["-4H"]),
    batch("61 too long", 422, "horizon", "horizons", horizons=["4H", "9999D"]),
    batch("61 not texts", 400, "invalid", "horizons[0]", horizons=[4]),
    batch("concurrency 0", 400, "min_value", "concurrency", concurrency=0),
    batch("concurrency 1000", 400, "max_value", "concurrency", concurrency=1000),
    batch("62 account", 400, "unknown_field", "account", account=1),
    # Recommendations
    *(
        track(f"62 {name}", 400, "unknown_field", name, **{name: 1})
        for name in ("user", "id", "success_score", "impact_score", "implementation_date")
    ),
    track("62 owner", 400, "invalid", "owner", owner=1),
    track("63 another status", 422, "bad_status", "status", status="DONE"),
    track("63 lower case", 422, "bad_status", "status", status="ignored"),
    track("63 not a text", 400, "invalid", "status", status=1),
    track("63 no status", 400, "required", "status", status=ABSENT),
    track("64 stale", 412, "version_stale", "version", version=7),
    track("64 no version", 428, "version_required", version=ABSENT),
    track("64 a text", 400, "invalid", "version", version="1"),
    track("64 null", 400, "null", "version", version=None),
    track("notes too long", 400, "max_length", "notes", notes="x" * 5_001),
    track("notes not a text", 400, "invalid", "notes", notes=["x"]),
    track("absent", 404, "not_found", recommendation_id=999_999_999),
    # Keys
    Case(
        "65 a key too long", 400, "idempotency_key_invalid", BATCH, {"trade_ids": [1]}, KEY,
        headers={KEY: "k" * 256},
    ),
    Case(
        "65 an empty key", 400, "idempotency_key_invalid", BATCH, {"trade_ids": [1]}, KEY,
        headers={KEY: ""},
    ),
    Case(
        "65 not ASCII", 400, "idempotency_key_invalid", BATCH, {"trade_ids": [1]}, KEY,
        headers={KEY: "schlüssel"},
    ),
    # Parameters
    get("66 ordering", 400, "unknown_parameter", f"{AUDITS}?ordering=user__password", "ordering"),
    get("66 lookup", 400, "unknown_parameter", f"{AUDITS}?symbol__regex=(a%2B)%2B$", None),
    get("66 page -1", 400, "bad_page", f"{AUDITS}?page=-1", "page"),
    get("66 page 0", 400, "bad_page", f"{AUDITS}?page=0", "page"),
    get("66 page last", 400, "bad_page", f"{AUDITS}?page=last", "page"),
    get("66 page_size text", 400, "bad_page", f"{AUDITS}?page_size=1e9", "page_size"),
    get("66 huge page", 400, "bad_page", f"{AUDITS}?page={'9' * 5000}", "page"),
    get("66 past the end", 404, "not_found", f"{AUDITS}?page=99"),
    get("66 twice", 400, "repeated_parameter", f"{AUDITS}?page=1&page=2", "page"),
    get("outcome", 400, "invalid_choice", f"{AUDITS}?outcome=won", "outcome"),
    get("outcome number", 400, "invalid_choice", f"{AUDITS}?outcome=2", "outcome"),
    get("cause", 400, "invalid_choice", f"{AUDITS}?cause=luck", "cause"),
    get("horizon", 400, "invalid_choice", f"{AUDITS}?horizon=1h", "horizon"),
    get("symbol", 400, "unknown_symbol", f"{AUDITS}?symbol=EURUSDX", "symbol"),
    get("NUL", 400, "null_characters_not_allowed", f"{AUDITS}?strategy=%00", "strategy"),
    get("empty", 400, "blank", f"{AUDITS}?strategy=", "strategy"),
    get("naive time", 400, "naive", f"{AUDITS}?from=2024-01-01T00:00:00", "from"),
    get("no such day", 400, "invalid", f"{AUDITS}?to=2024-02-30", "to"),
    get("year 9999", 400, "range", f"{AUDITS}?to=9999-12-31", "to"),
    get("year 1", 400, "range", f"{AUDITS}?from=0001-01-01T00:00:00%2B14:00", "from"),
    get("Arabic digits", 400, "invalid", f"{AUDITS}?from=٢٠٢٤-01-01", "from"),
    get("status", 400, "invalid_choice", f"{RECOMMENDATIONS}?status=DONE", "status"),
    get("a list takes no wait", 400, "unknown_parameter", f"{AUDITS}?wait=1", "wait"),
    Case("wait 2", 400, "invalid_choice", f"{API}/analyses/TRADE/?wait=2", {}, "wait"),
    Case("a body of fields", 400, "unknown_field", f"{API}/analyses/TRADE/", {"user": 1}, "user"),
    # Addresses
    get("67 batch by GET", 405, "method_not_allowed", BATCH),
    get("67 up", 404, "not_found", f"{API}/analyses/..%2f../"),
    get("67 NUL", 404, "not_found", f"{API}/analyses/%00/"),
    get("67 zero", 404, "not_found", f"{API}/analyses/0/"),
    get("67 beyond a row id", 404, "not_found", f"{API}/analyses/{10**20}/"),
    get("67 other digits", 404, "not_found", f"{API}/analyses/١/"),
    get("no such address", 404, "not_found", f"{API}/nothing/"),
    get("no such address above", 404, "not_found", "/api/nothing/"),
    # Media
    Case("68 XML", 415, "unsupported_media_type", BATCH, b"<a/>", content_type="application/xml"),
    Case("68 text", 415, "unsupported_media_type", BATCH, b"{}", content_type="text/plain"),
    Case(
        "68 a form", 415, "unsupported_media_type", TRACK, b"status=IGNORED",
        content_type="application/x-www-form-urlencoded",
    ),
    Case("69 wrong method", 405, "method_not_allowed", AUDITS, {}, method="DELETE"),
    Case("69 PUT", 405, "method_not_allowed", TRACK, {}, method="PUT"),
    Case(
        "70 compressed", 415, "unsupported_encoding", BATCH, gzip.compress(b'{"trade_ids":[1]}'),
        headers={"Content-Encoding": "gzip"},
    ),
    # Reviews
    review("a cause not shown", 422, "cause_not_shown", "cause", cause="regime_drift"),
    review("no such cause", 400, "invalid_choice", "cause", cause="luck"),
    review("another verdict", 422, "bad_verdict", "verdict", verdict="maybe"),
    review(
        "other evidence", 412, "version_stale", "evidence_hash", cause="news_shock",
        evidence_hash="0" * 64,
    ),
    review("a posterior", 400, "unknown_field", "posterior", posterior=1),
    review("a cause not in the list", 422, "bad_verdict", "verdict", verdict="Named"),
    change("no version", 428, "version_required", version=ABSENT),
    change("stale", 412, "version_stale", "version", version=7),
    change("a version in text", 400, "invalid", "version", version="0"),
    change("a negative version", 400, "min_value", "version", version=-1),
    change("two changes at once", 400, "one_change", flagged=True),
    change("no change", 400, "one_change", notes=ABSENT),
    change("notes too long", 400, "max_length", "notes", notes="x" * 5_001),
    change("notes not a text", 400, "invalid", "notes", notes=1),
    change("a stranger", 422, "bad_reviewer", "reviewer", notes=ABSENT, reviewer="other"),
    change("nobody of the name", 422, "bad_reviewer", "reviewer", notes=ABSENT, reviewer="x"),
    change("an outcome", 400, "unknown_field", "outcome", outcome="neutral"),
    override("no reason", 400, "required", "reason", reason=ABSENT),
    override("a blank reason", 422, "bad_reason", "reason", reason="  . "),
    override("a long reason", 400, "max_length", "reason", reason="x" * 1_001),
    override("no such label", 422, "bad_outcome", "outcome", outcome="won"),
    override("a state of the engine", 422, "bad_outcome", "outcome", outcome="pending"),
    override("the same label", 422, "same_outcome", "outcome", outcome="failed"),
    override("stale label", 412, "version_stale", "version", version=3),
    override("label without version", 428, "version_required", version=ABSENT),
    override("as somebody else", 400, "unknown_field", "overridden_by", overridden_by="lead"),
    Case("nothing overridden", 409, "nothing_to_undo", f"{OVERRIDE}undo/", {"version": 0}),
    get("a reason", 400, "invalid_choice", f"{AUDITS}review/?reason=bored", "reason"),
    get("assigned", 400, "invalid_choice", f"{AUDITS}review/?assigned=anna", "assigned"),
    Case("nothing to undo", 404, "not_found", f"{REVIEWS}news_shock/", None, None, "DELETE"),
)  # fmt: skip


def counts() -> dict[str, int]:
    return {
        model.__name__: model._default_manager.count()
        for label in ("post_mortem", "trading")
        for model in apps.get_app_config(label).get_models()
    }


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_refused(case: Case, world: World) -> None:
    client = world.client("owner")
    before = counts()
    path = case.path.replace("AUDIT", str(world.mine.audit.pk))
    path = path.replace("TRADE", str(world.mine.trade.pk))
    content = case.content.replace(b'"MINE"', str(world.mine.recommendation.pk).encode())
    sent = () if case.body is None else (content, case.content_type)
    response = client.generic(case.method, path, *sent, headers=case.headers)
    assert response["Content-Type"] == "application/json", response.content[:300]
    answer = response.json()
    assert (response.status_code, answer["code"]) == (case.status, case.code), answer
    assert isinstance(answer["detail"], str)
    assert answer["detail"]
    assert set(answer) <= {"code", "detail", "field", "row"}
    if case.where is not None:
        assert answer["field"] == case.where
    assert counts() == before
    row = RecommendationTracking.objects.get(pk=world.mine.recommendation.pk)
    assert (row.version, row.implementation_status, row.notes) == (1, "PENDING", "")


def test_a_page_is_clamped(world: World) -> None:
    page = world.client("owner").get(f"{AUDITS}?page_size=999999999").json()
    assert (page["count"], len(page["results"])) == (1, 1)


def test_the_address_without_its_slash_is_answered(world: World) -> None:
    response = world.client("owner").get(AUDITS.rstrip("/"), follow=True)
    assert response.status_code == 200
