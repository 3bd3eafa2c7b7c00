"""Tracking and verdicts over the API: fields, filters, many at once, and what is told of a plan."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from post_mortem.models import MeasurementPlan, RecommendationTracking
from post_mortem.services.impact import judge_recommendations
from tests.api.world import World
from tests.services.impact_data import END, add_advice, add_change, implement

pytestmark = pytest.mark.django_db


def post(world: World, route: str, body: dict[str, Any], role: str = "owner") -> Any:
    return world.client(role).post(reverse(route), body, format="json")


def get(world: World, route: str, *place: Any, **query: Any) -> Any:
    return world.client("owner").get(reverse(route, args=place), query)


def track(world: World, version: int, **changes: Any) -> Any:
    body = {
        "recommendation_id": world.mine.recommendation.pk,
        "status": "PENDING",
        "version": version,
    }
    return post(world, "api-recommendation-track", body | changes)


def listed(world: World, **query: Any) -> list[int]:
    return [row["id"] for row in get(world, "api-recommendations", **query).json()["results"]]


class TestTrack:
    def test_every_field_comes_back(self, world: World) -> None:
        wanted = {
            "owner": "lead",
            "due_date": "2026-12-24",
            "effort_hours": 1.5,
            "claimed_effect_r": 0.5,
            "claimed_by": "some model",
            "notes": "because",
        }
        answer = track(world, 1, **wanted)
        row = answer.json()
        assert answer.status_code == 200, row
        assert {name: row[name] for name in wanted} == wanted
        assert row["version"] == 2
        cleared = track(world, 2, owner=None, due_date=None, effort_hours=None).json()
        assert (cleared["owner"], cleared["due_date"], cleared["effort_hours"]) == (None,) * 3
        assert cleared["claimed_by"] == "some model"

    @pytest.mark.parametrize(
        ("changes", "status", "field"),
        [
            ({"owner": "other"}, 422, "owner"),
            ({"owner": "nobody at all"}, 422, "owner"),
            ({"due_date": "24.12.2026"}, 400, "due_date"),
            ({"due_date": "1999-01-01"}, 422, "due_date"),
            ({"effort_hours": -1}, 422, "effort_hours"),
            ({"claimed_effect_r": "much"}, 400, "claimed_effect_r"),
            ({"scope": {"moon": "full"}}, 422, "scope"),
            ({"scope": {"symbol": 3}}, 400, "scope.symbol"),
            ({"impact_score": 3}, 400, "impact_score"),
        ],
    )
    def test_a_bad_value_is_named_and_nothing_is_saved(
        self, world: World, changes: dict[str, Any], status: int, field: str
    ) -> None:
        answer = track(world, 1, **changes)
        assert (answer.status_code, answer.json().get("field")) == (status, field)
        world.mine.recommendation.refresh_from_db()
        assert world.mine.recommendation.version == 1

    def test_undo_needs_the_version_and_takes_everything_back(self, world: World) -> None:
        track(world, 1, owner="lead", status="IGNORED")
        body = {"recommendation_id": world.mine.recommendation.pk}
        assert post(world, "api-recommendation-undo", body).status_code == 428
        assert post(world, "api-recommendation-undo", body | {"version": 1}).status_code == 412
        row = post(world, "api-recommendation-undo", body | {"version": 2}).json()
        assert (row["owner"], row["status"], row["version"]) == (None, "PENDING", 3)


class TestMany:
    def test_change_and_take_back(self, world: World) -> None:
        second = add_advice(world.mine.account, "thin_market", {})
        mine, theirs = world.mine.recommendation.pk, world.stranger_desk.recommendation.pk
        items = [
            {"recommendation_id": mine, "version": 1},
            {"recommendation_id": second.pk, "version": 7},
            {"recommendation_id": theirs, "version": 1},
        ]
        body = {"items": items, "status": "IMPLEMENTED", "owner": "lead"}
        done = post(world, "api-recommendations-bulk", body).json()
        assert done["changed"] == {str(mine): 2}
        assert (done["stale"], done["missing"], done["refused"]) == ([second.pk], [theirs], [])
        back = post(world, "api-recommendations-bulk-undo", {"batch": done["batch"]}).json()
        assert back["changed"] == {str(mine): 3}
        assert listed(world, owner="lead") == []

    def test_each_item_needs_its_version(self, world: World) -> None:
        items = [{"recommendation_id": world.mine.recommendation.pk}]
        body = {"items": items, "status": "IGNORED"}
        assert post(world, "api-recommendations-bulk", body).status_code == 428
        empty = post(world, "api-recommendations-bulk", {"items": [], "status": "IGNORED"})
        assert empty.status_code == 400

    def test_merging_leaves_one(self, world: World) -> None:
        second = add_advice(world.mine.account, "thin_market", {})
        mine = world.mine.recommendation.pk
        body = {"recommendation_id": second.pk, "into": mine, "version": 1}
        assert post(world, "api-recommendation-merge", body).json()["merged_into"] == mine
        assert mine in listed(world)
        assert second.pk not in listed(world)


class TestList:
    def test_filters(self, world: World) -> None:
        mine = world.mine.recommendation.pk
        late = (timezone.localdate() - timedelta(days=1)).isoformat()
        track(world, 1, owner="lead", due_date=late)
        for query, found in (
            ({"owner": "lead"}, True),
            ({"owner": "none"}, False),
            ({"overdue": "yes"}, True),
            ({"overdue": "no"}, False),
            ({"kind": "news_blackout"}, True),
            ({"kind": "thin_market"}, False),
            ({"sort": "due"}, True),
        ):
            assert (mine in listed(world, **query)) is found, query
        assert get(world, "api-recommendations", sort="luck").status_code == 400
        # Done is not overdue.
        track(world, 2, status="IMPLEMENTED")
        assert mine not in listed(world, overdue="yes")

    def test_worth_orders_what_is_open(self, world: World) -> None:
        account = world.mine.account
        often, rarely = (add_advice(account, "volatility_stop", {}) for _ in range(2))
        for row, rate in ((often, 20.0), (rarely, 2.0)):
            RecommendationTracking.objects.filter(pk=row.pk).update(
                covered_a_month=rate, claimed_effect_r=0.5
            )
        rows = get(world, "api-recommendations").json()["results"]
        (planned,) = world.mine.plan.improvements
        # Of whom nobody knows comes last.
        assert [row["id"] for row in rows][:4] == [
            often.pk,
            planned["recommendation_id"],
            rarely.pk,
            world.mine.recommendation.pk,
        ]
        worth = rows[0]["worth"]
        assert worth["r_a_month"] == pytest.approx(0.3 * 0.5 * 20)
        assert worth["score"] == pytest.approx(worth["r_a_month"] * worth["chance"] * worth["ease"])
        assert worth["low"] < worth["r_a_month"] < worth["high"]
        assert (worth["source"], rows[0]["worth_unknown_because"]) == ("claim", "")
        assert rows[3]["worth"] is None

    def test_nobody_knows_is_null_and_stands_before_what_is_expected_to_cost(
        self, world: World
    ) -> None:
        mine = world.mine.recommendation.pk
        costs = add_advice(world.mine.account, "volatility_stop", {})
        RecommendationTracking.objects.update(covered_a_month=20.0)
        RecommendationTracking.objects.filter(pk=costs.pk).update(claimed_effect_r=-0.5)
        rows = get(world, "api-recommendations").json()["results"]
        places = {row["id"]: at for at, row in enumerate(rows)}
        assert places[mine] < places[costs.pk]
        assert rows[places[costs.pk]]["worth"]["r_a_month"] < 0
        assert rows[places[mine]]["worth"] is None
        why = rows[places[mine]]["worth_unknown_because"]
        assert why == "no advice of its kind was measured yet"

    def test_what_a_plan_knows_is_the_worth(self, world: World) -> None:
        (step,) = world.mine.plan.improvements
        row = get(world, "api-recommendations").json()["results"][0]
        worth = row["worth"]
        assert row["id"] == step["recommendation_id"]
        assert worth["source"] == "plan"
        assert (worth["r_a_month"], worth["confidence"]) == (step["r_month"], step["helps"])
        assert (worth["low"], worth["high"]) == (step["r_month_low"], step["r_month_high"])


class TestImpact:
    def test_advice_never_implemented_has_no_verdict(self, world: World) -> None:
        told = get(world, "api-recommendation-impact", world.mine.recommendation.pk).json()
        assert (told["verdict"], told["plan"], told["history"]) == (None, None, [])
        assert told["estimate_r"] is None

    def test_a_verdict_with_all_that_stands_behind_it(self, world: World) -> None:
        account = world.mine.account
        add_change(account, 0.9)
        row = add_advice(account, "volatility_stop", {"symbol": "EURUSD"})
        implement(row, claimed_effect_r=0.5, claimed_by="some model", effort_hours=2)
        judge_recommendations(account=account, now=END)
        told = get(world, "api-recommendation-impact", row.pk).json()
        assert told["verdict"] == "likely_helped"
        assert told["ci"][0] < told["estimate_r"] < told["ci"][1]
        # One more before: the trade that every world begins with.
        assert (told["n_before"], told["n_after"]) == (201, 200)
        assert told["look"][1] == 6
        assert told["expected_rebound_r"] is None
        assert told["roi"]["r_a_month"] == pytest.approx(
            told["shrunk_r"] * RecommendationTracking.objects.get(pk=row.pk).covered_a_month
        )
        assert told["roi"]["ratio"] is None
        plan = MeasurementPlan.objects.get()
        assert told["plan"]["sha256"] == plan.sha256
        assert (told["plan"]["fault"], told["plan"]["data"]["claimed_effect_r"]) == ("", 0.5)
        assert [v["verdict"] for v in told["history"]] == ["likely_helped"]
        types = get(world, "api-recommendation-types").json()
        assert [t["kind"] for t in types["types"]] == ["volatility_stop"]
        assert types["claims"][0]["writer"] == "some model"
        # Ten verdicts make a ratio; one is a coincidence.
        assert types["claims"][0]["ratio"] is None

    def test_judging_on_demand(self, world: World) -> None:
        track(world, 1, status="IMPLEMENTED")
        body = {"account": world.mine.account.pk}
        done = post(world, "api-recommendations-judge", body).json()
        assert (done["judged"], done["verdicts"]) == (1, {"too_early": 1})
        again = post(world, "api-recommendations-judge", body).json()
        assert again["written"] == 0
        told = get(world, "api-recommendation-impact", world.mine.recommendation.pk).json()
        assert told["verdict"] == "too_early"

    def test_a_changed_plan_says_so(self, world: World) -> None:
        track(world, 1, status="IMPLEMENTED")
        plan = MeasurementPlan.objects.get()
        plan.data["measurement"]["alpha"] = 0.2
        plan.save()
        told = get(world, "api-recommendation-impact", world.mine.recommendation.pk).json()
        assert told["plan"]["fault"] == "its data do not carry its hash"
