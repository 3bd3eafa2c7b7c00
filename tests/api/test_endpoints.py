"""What the endpoints answer when all is well."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.urls import reverse

from post_mortem.api import analyses
from post_mortem.core.portable import parse_case
from post_mortem.models import AutopsyJob, CauseReview, InsightAudit, TradeAnalysis
from post_mortem.services import requests
from tests.api.world import NOW, World, make_audit
from tests.services.factories import MONDAY, make_instrument, make_signal, make_trade
from trading.models import Signal

pytestmark = pytest.mark.django_db


def get(world: World, name: str, *args: Any, role: str = "owner", **query: Any) -> Any:
    return world.client(role).get(reverse(name, args=args), query)


class TestAudits:
    def test_a_row(self, world: World) -> None:
        (row,) = get(world, "api-audits").json()["results"]
        expected = {
            "id": world.mine.audit.pk,
            "signal_id": world.mine.trade.signal_id,
            "trade_id": world.mine.trade.pk,
            "external_id": "owner-1",
            "symbol": "EURUSD",
            "strategy": "owner breakout",
            "side": "long",
            "horizon": "TRADE",
            "outcome": "failed",
            "shadow_outcome": None,
            "exit_reason": "sl",
            "entry_price": 1.1,
            "r_multiple": -1.0,
            "ambiguous": True,
            "flags": ["ambiguous"],
            "replay_hash": "a" * 64,
            "evidence_hash": "b" * 64,
        }
        assert {key: row[key] for key in expected} == expected
        assert row["causes"] == [
            {"rank": 1, "cause": "news_shock", "confidence": 85, "posterior": 0.85}
        ]

    def test_the_whole(self, world: World) -> None:
        audit = get(world, "api-audit", world.mine.audit.pk).json()
        assert [fact["id"] for fact in audit["facts"]] == [
            f"E{i}" for i in range(1, len(audit["facts"]) + 1)
        ]
        (finding,) = audit["findings"]
        assert (finding["cause"], finding["rank"], finding["status"]) == ("news_shock", 1, "fired")
        (abstained,) = audit["abstained"]
        assert (abstained["cause"], abstained["missing"]) == ("liquidity_event", ["spread"])
        texts = {fact["id"]: fact["text"] for fact in audit["facts"]}
        assert texts[abstained["mind"]] == "Import candles with spreads or quotes"
        assert texts[finding["mind"]].startswith("Would be ruled out if")
        assert {event["fact"] for event in audit["events"]} <= texts.keys()
        assert [event["time"] for event in audit["events"]] == sorted(
            event["time"] for event in audit["events"]
        )
        assert "Entry" in [event["title"] for event in audit["events"]]
        assert audit["bars"]["count"] == 61
        assert audit["bars"]["start"] == "2024-03-25T00:00:00Z"
        assert audit["reviews"] == []

    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ({"symbol": "EURUSD"}, True),
            ({"symbol": "GBPUSD"}, False),
            ({"strategy": "owner breakout"}, True),
            ({"strategy": "owner"}, False),
            ({"horizon": "TRADE"}, True),
            ({"horizon": "4H"}, False),
            ({"outcome": "failed"}, True),
            ({"outcome": "succeeded"}, False),
            ({"cause": "news_shock"}, True),
            ({"cause": "unknown"}, False),
            ({"from": "2024-03-25"}, True),
            ({"from": "2024-03-25T00:00:00.000001Z"}, False),
            ({"to": "2024-03-25"}, True),
            ({"to": "2024-03-24"}, False),
            ({"to": "2024-03-25T00:00:00Z"}, False),
            ({"from": "2024-03-25T05:30:00+05:30"}, True),
            ({"symbol": "EURUSD", "outcome": "failed", "cause": "news_shock"}, True),
            ({"symbol": "EURUSD", "outcome": "neutral", "cause": "news_shock"}, False),
        ],
    )
    def test_filters(self, world: World, query: dict[str, str], found: bool) -> None:
        assert world.mine.audit.entry_time == MONDAY + timedelta(days=21)
        make_instrument("GBPUSD")
        answer = get(world, "api-audits", **query)
        assert (answer.status_code, answer.json()["count"]) == (200, int(found))

    def test_pages_hold_every_row_once(self, world: World) -> None:
        for _ in range(6):
            make_audit(make_trade(make_signal(world.mine.account, make_instrument())))
        seen: list[int] = []
        url: str | None = reverse("api-audits") + "?page_size=3"
        while url:
            page = world.client("owner").get(url).json()
            seen += [row["id"] for row in page["results"]]
            url = page["next"]
        assert len(seen) == len(set(seen)) == 7
        # All entered at the same time: the order is still one.
        assert seen == sorted(seen, reverse=True)

    def test_queries_do_not_grow_with_the_page(
        self, world: World, django_assert_max_num_queries: Any
    ) -> None:
        for _ in range(20):
            make_audit(make_trade(make_signal(world.mine.account, make_instrument())))
        get(world, "api-audits")
        with django_assert_max_num_queries(6):
            assert len(get(world, "api-audits").json()["results"]) == 21


class TestReviews:
    def test_the_last_word_counts_and_can_be_taken_back(self, world: World) -> None:
        client, pk = world.client("owner"), world.mine.audit.pk
        for verdict in ("confirmed", "rejected"):
            body = {"cause": "news_shock", "verdict": verdict}
            answer = client.post(reverse("api-audit-reviews", args=[pk]), body, format="json")
            assert (answer.status_code, answer.json()["verdict"]) == (200, verdict)
        review = CauseReview.objects.get()
        assert (review.verdict, review.posterior, review.user) == ("rejected", 0.85, world.owner)
        assert get(world, "api-audit", pk).json()["reviews"][0]["verdict"] == "rejected"
        undo = reverse("api-audit-review", args=[pk, "news_shock"])
        assert [client.delete(undo).status_code for _ in range(2)] == [204, 404]

    def test_one_cannot_take_back_anothers_word(self, world: World) -> None:
        CauseReview.objects.create(
            audit=world.mine.audit,
            cause="news_shock",
            verdict="confirmed",
            posterior=0.85,
            user=world.lead,
        )
        undo = reverse("api-audit-review", args=[world.mine.audit.pk, "news_shock"])
        assert world.client("owner").delete(undo).status_code == 404
        assert CauseReview.objects.count() == 1


class TestAnalyses:
    def test_the_whole(self, world: World) -> None:
        analysis = get(world, "api-analysis", world.mine.trade.pk).json()
        assert analysis["analysis_data"] == world.mine.analysis.analysis_data
        assert (analysis["outcome"], analysis["success_score"]) == ("failed", 25)
        (advice,) = analysis["recommendations"]
        assert (advice["id"], advice["status"], advice["version"]) == (
            world.mine.recommendation.pk,
            "PENDING",
            1,
        )

    @pytest.mark.parametrize(
        ("source", "reason", "grounding"),
        [
            ("template", "", {"checked": 12, "violations": []}),
            ("template", "timeout", {"checked": 12, "violations": []}),
            ("llm", "", {"model": "m", "checked": 9, "numbers": 14, "matched": 14}),
            ("llm_repaired", "", {"model": "m", "violations": {"digit": 1}, "removed": 0}),
            ("llm_pruned", "", {"model": "m", "removed": 2, "replaced": ["exit_analysis"]}),
        ],
    )
    def test_whose_words_they_are(
        self, world: World, source: str, reason: str, grounding: dict[str, Any]
    ) -> None:
        TradeAnalysis.objects.filter(pk=world.mine.analysis.pk).update(
            source=source, source_reason=reason, grounding=grounding
        )
        analysis = get(world, "api-analysis", world.mine.trade.pk).json()
        assert analysis["source"] == source
        assert analysis["source_reason"] == reason
        assert analysis["grounding"] == grounding
        (row,) = get(world, "api-analyses").json()["results"]
        assert row["source"] == source

    def test_the_list_is_light(self, world: World) -> None:
        (row,) = get(world, "api-analyses").json()["results"]
        assert row["trade_id"] == world.mine.trade.pk
        assert "analysis_data" not in row

    def test_a_trade_without_one(self, world: World) -> None:
        answer = get(world, "api-analysis", world.mine.bare_trade.pk)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_analysed")

    def test_queued(self, world: World) -> None:
        pk = world.mine.bare_trade.pk
        url = reverse("api-analysis", args=[pk])
        answer = world.client("owner").post(url, {}, format="json")
        assert answer.status_code == 202
        assert answer["Location"] == answer.json()["status_url"]
        job = AutopsyJob.objects.get(job_id=answer.json()["job_id"])
        assert (job.kind, job.total, job.account) == ("analyses", 1, world.mine.account)
        assert job.params == {
            "horizons": ["1H", "4H", "24H", "7D", "TRADE"],
            "concurrency": 1,
        }
        assert [item.payload for item in job.items.all()] == [{"trades": [pk]}]

    def test_at_once(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        asked: list[int] = []

        class Service:
            async def analyze_trade(self, trade_id: int) -> None:
                asked.append(trade_id)

        monkeypatch.setattr(analyses, "PostMortemService", Service)
        url = reverse("api-analysis", args=[world.mine.trade.pk]) + "?wait=1"
        before = AutopsyJob.objects.count()
        answer = world.client("owner").post(url, {}, format="json")
        assert (answer.status_code, answer.json()["id"]) == (200, world.mine.analysis.pk)
        assert asked == [world.mine.trade.pk]
        assert AutopsyJob.objects.count() == before

    def test_at_once_by_the_engine(self, world: World) -> None:
        pk = world.mine.bare_trade.pk
        url = reverse("api-analysis", args=[pk]) + "?wait=1"
        keys = {"Idempotency-Key": "once"}
        client = world.client("owner")
        first = client.post(url, {}, format="json", headers=keys)
        assert (first.status_code, first.json()["trade_id"]) == (200, pk)
        # No candles are stored: nothing is judged, and nothing is made up.
        assert (first.json()["outcome"], first.json()["horizon"]) == ("needs_review", "TRADE")
        again = client.post(url, {}, format="json", headers=keys)
        assert (again.json(), again["Idempotent-Replayed"]) == (first.json(), "true")
        assert get(world, "api-analysis", pk).json() == first.json()


class TestBatch:
    def send(self, world: World, role: str = "owner", **body: Any) -> Any:
        client = world.client(role)
        return client.post(reverse("api-analyses-batch"), body, format="json")

    def test_groups_cover_every_trade_once(self, world: World) -> None:
        signal = world.mine.trade.signal
        ids = [make_trade(signal).pk for _ in range(requests.GROUP + 1)]
        answer = self.send(world, trade_ids=[*ids, ids[0]], horizons=["TRADE", "4H"])
        job = AutopsyJob.objects.get(job_id=answer.json()["job_id"])
        assert (job.total, job.failed, job.status) == (len(ids), 0, "pending")
        assert job.params == {"horizons": ["4H", "TRADE"], "concurrency": 3}
        payloads = [item.payload["trades"] for item in job.items.order_by("pk")]
        assert [pk for part in payloads for pk in part] == ids
        assert max(map(len, payloads)) == requests.GROUP

    def test_what_is_missing_fails_and_the_rest_waits(self, world: World) -> None:
        ids = [world.mine.trade.pk, world.stranger_desk.trade.pk, 999_999_999]
        started = self.send(world, trade_ids=ids).json()
        job = world.client("owner").get(started["status_url"]).json()
        assert (job["status"], job["total"], job["failed"], job["done"]) == ("pending", 3, 2, 0)
        assert job["progress"] == pytest.approx(2 / 3)
        assert [f["subject"] for f in job["failures"]] == [f"trade {pk}" for pk in ids[1:]]
        waiting = AutopsyJob.objects.get(job_id=started["job_id"]).items.filter(status="pending")
        assert [item.payload for item in waiting] == [{"trades": [world.mine.trade.pk]}]

    def test_a_reviewer_may_not(self, world: World) -> None:
        answer = self.send(world, "reviewer", trade_ids=[world.mine.trade.pk])
        assert (answer.status_code, answer.json()["code"]) == (403, "not_permitted")

    def test_ten_thousand(self, world: World, django_assert_max_num_queries: Any) -> None:
        ids = [world.mine.trade.pk, *range(10**9, 10**9 + 9_999)]
        with django_assert_max_num_queries(40):
            answer = self.send(world, trade_ids=ids)
        assert answer.status_code == 202


class TestJobs:
    def test_cancelled_once(self, world: World) -> None:
        url = reverse("api-job-cancel", args=[world.mine.job.job_id])
        client = world.client("owner")
        answers = [client.post(url, {}, format="json") for _ in range(2)]
        assert [a.status_code for a in answers] == [200, 200]
        assert answers[0].json()["status"] == "cancelled"
        assert answers[0].json() == answers[1].json()


class TestRecommendations:
    def test_list_and_filters(self, world: World) -> None:
        mine = world.mine.recommendation.pk
        rows = get(world, "api-recommendations").json()["results"]
        (row,) = [row for row in rows if row["id"] == mine]
        assert (row["status"], row["version"], row["occurrences"]) == ("PENDING", 1, 1)
        for query, found in (
            ({"status": "PENDING", "area": "news"}, 1),
            ({"status": "IGNORED"}, 0),
            ({"area": "exit"}, 0),
        ):
            assert get(world, "api-recommendations", **query).json()["count"] == found

    def test_track(self, world: World) -> None:
        body = {
            "recommendation_id": world.mine.recommendation.pk,
            "status": "IMPLEMENTED",
            "notes": "<b>from Monday</b> {{7*7}}",
            "version": 1,
        }
        answer = world.client("owner").post(
            reverse("api-recommendation-track"), body, format="json"
        )
        row = answer.json()
        assert (answer.status_code, row["version"], row["status"]) == (200, 2, "IMPLEMENTED")
        assert row["notes"] == body["notes"]
        assert row["implementation_date"] is not None


def test_an_untraded_signal_has_an_audit_too(world: World) -> None:
    signal = make_signal(world.mine.account, make_instrument(), external_id="s-7")
    audit = InsightAudit.objects.create(
        account=signal.account,
        signal=signal,
        horizon="4H",
        outcome=InsightAudit.Outcome.FILTERED_OUT,
        shadow_outcome=InsightAudit.Outcome.SUCCEEDED,
        exit_reason=InsightAudit.ExitReason.NONE,
        entry_time=signal.time,
        entry_price=1.1,
        rule_snapshot=world.mine.audit.rule_snapshot,
        record=world.mine.audit.record,
        input_hash="c" * 64,
        evidence_hash="d" * 64,
        engine_version=1,
        evaluated_at=NOW,
    )
    whole = get(world, "api-audit", audit.pk).json()
    assert (whole["trade_id"], whole["external_id"]) == (None, "s-7")
    assert (whole["outcome"], whole["shadow_outcome"]) == ("filtered_out", "succeeded")
    assert (whole["bars"]["start"], whole["causes"]) == (None, [])


def test_a_case_can_be_read_back(world: World) -> None:
    # Without candles the market's bars are hours, which a signal's timeframe is a multiple of.
    Signal.objects.update(timeframe="1h")
    case = get(world, "api-audit-case", world.mine.audit.pk).json()
    assert (case["schema"], case["id"]) == ("inquest.case/1", str(world.mine.audit.pk))
    assert (case["symbol"], case["horizon"]) == ("EURUSD", "TRADE")
    assert case["signal"]["entry"] == case["trade"]["entry"] == 1.1
    assert case["trade"]["stop_loss_initial"] == 1.099
    batch = parse_case(case)
    assert (len(batch), batch.horizon) == (1, ("TRADE",))


def test_a_case_of_a_signal_horizon(world: World) -> None:
    trade = world.mine.trade
    audit = make_audit(trade, trade=None, horizon="4H")
    case = get(world, "api-audit-case", audit.pk).json()
    assert (case["horizon"], case["strategy"]) == ("4H", "owner breakout")
    assert case["signal"]["stop_loss"] == 1.099
