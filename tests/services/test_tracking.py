"""Changing recommendations: fields, history, undo, many at once, merging, and frozen plans."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model

from post_mortem.models import (
    InsightAudit,
    MeasurementPlan,
    RecommendationHistory,
    RecommendationOccurrence,
    RecommendationTracking,
)
from post_mortem.services import recommendations
from post_mortem.services.impact_plans import data_hash, fault
from post_mortem.services.tracking import checked
from tests.api.test_recommendations import OTHER_ADVICE, another_analysis
from tests.api.world import NOW, OPPORTUNITY, World, make_audit, make_world
from tests.services.factories import make_instrument, make_signal, make_trade
from trading.core.errors import ConflictError, NotFoundError, UserError
from trading.models import Trade

pytestmark = pytest.mark.django_db

LATER = NOW + timedelta(hours=3)
AGAIN = NOW + timedelta(hours=4)


@pytest.fixture
def world(db: None) -> World:
    return make_world()


@pytest.fixture
def advice(world: World) -> RecommendationTracking:
    return world.mine.recommendation


def change(
    world: World, row: RecommendationTracking, now: datetime = NOW, **changes: Any
) -> RecommendationTracking:
    row.refresh_from_db()
    return recommendations.change(
        recommendation_id=row.pk, changes=changes, version=row.version, user=world.owner, now=now
    )


def undo(
    world: World, row: RecommendationTracking, now: datetime = LATER
) -> RecommendationTracking:
    row.refresh_from_db()
    return recommendations.undo_last(
        recommendation_id=row.pk, version=row.version, user=world.owner, now=now
    )


def traded(world: World, opened: datetime, r: float = 1.0, **changes: Any) -> Trade:
    """A trade of the owner in a market that USD news moves."""
    signal = make_signal(world.mine.account, make_instrument(), time=opened)
    trade = make_trade(signal, closed_at=opened + timedelta(minutes=20), **changes)
    make_audit(trade, r_multiple=r, outcome=InsightAudit.Outcome.SUCCEEDED)
    return trade


def plans(row: RecommendationTracking) -> list[tuple[int, datetime | None, str]]:
    found = MeasurementPlan.objects.filter(recommendation=row).order_by("number")
    return [(plan.number, plan.ended_at, plan.end_reason) for plan in found]


class TestFields:
    def test_each_is_set_recorded_and_taken_back(
        self, world: World, advice: RecommendationTracking
    ) -> None:
        wanted = {
            "owner": world.lead,
            "due_date": date(2026, 3, 20),
            "effort_hours": 2.5,
            "claimed_effect_r": 0.5,
            "claimed_by": "some model",
        }
        row = change(world, advice, **wanted)
        assert {name: getattr(row, name) for name in wanted} == wanted
        history = RecommendationHistory.objects.get()
        assert history.changes["due_date"] == [None, "2026-03-20"]
        assert history.changes["owner_id"] == [None, world.lead.pk]
        back = undo(world, row)
        assert (back.owner, back.due_date, back.effort_hours) == (None, None, None)
        assert (back.claimed_effect_r, back.claimed_by) == (None, "")
        assert undo(world, row, AGAIN).owner == world.lead

    @pytest.mark.parametrize(
        ("changes", "code"),
        [
            ({"status": "DONE"}, "bad_status"),
            ({"notes": "x" * 5001}, "bad_notes"),
            ({"due_date": date(1999, 1, 1)}, "bad_due_date"),
            ({"due_date": datetime(2026, 1, 1, tzinfo=UTC)}, "bad_due_date"),
            ({"due_date": "2026-01-01"}, "bad_due_date"),
            ({"effort_hours": -1}, "bad_effort"),
            ({"effort_hours": float("nan")}, "bad_effort"),
            ({"effort_hours": True}, "bad_effort"),
            ({"claimed_effect_r": float("inf")}, "bad_claim"),
            ({"claimed_by": "x" * 101}, "bad_claim"),
            ({"scope": {"moon": "full"}}, "bad_scope"),
            ({"impact_score": 3.0}, "unknown_field"),
        ],
    )
    def test_a_bad_value_changes_nothing(
        self, world: World, advice: RecommendationTracking, changes: dict[str, Any], code: str
    ) -> None:
        with pytest.raises(UserError) as caught:
            change(world, advice, **changes)
        assert caught.value.code == code
        assert not RecommendationHistory.objects.exists()

    def test_a_zero_has_no_sign(self, world: World, advice: RecommendationTracking) -> None:
        """PostgreSQL keeps it in a column and not in JSON, SQLite in neither."""
        given = {"effort_hours": -0.0, "claimed_effect_r": -0.0}
        assert {name: str(value) for name, value in checked(given).items()} == dict.fromkeys(
            given, "0.0"
        )
        change(world, advice, **given, status="IMPLEMENTED")
        plan = MeasurementPlan.objects.get()
        assert str(plan.data["claimed_effect_r"]) == "0.0"
        assert data_hash(plan.data) == plan.sha256

    def test_an_owner_is_somebody_of_the_desk(
        self, world: World, advice: RecommendationTracking
    ) -> None:
        stranger = world.other
        with pytest.raises(UserError) as foreign:
            change(world, advice, owner=stranger)
        absent = get_user_model()(pk=999_999)
        with pytest.raises(UserError) as nobody:
            change(world, advice, owner=absent)
        assert (foreign.value.code, foreign.value.detail) == (
            nobody.value.code,
            nobody.value.detail,
        )
        assert change(world, advice, owner=world.reviewer).owner == world.reviewer

    def test_an_owner_who_left_stays_gone_when_undone(
        self, world: World, advice: RecommendationTracking
    ) -> None:
        change(world, advice, owner=world.lead)
        change(world, advice, owner=None, now=LATER)
        world.lead.delete()
        assert undo(world, advice, AGAIN).owner is None


class TestPlans:
    def test_implementing_freezes_one_and_leaving_ends_it(
        self, world: World, advice: RecommendationTracking
    ) -> None:
        change(world, advice, status="IMPLEMENTED")
        plan = MeasurementPlan.objects.get()
        assert (plan.number, plan.implemented_at, plan.ended_at) == (1, NOW, None)
        assert plan.sha256 == data_hash(plan.data)
        assert plan.data["scope"] == {"currency": "USD", "impact": "high"}
        assert plan.data["covers"] == "Trades in markets that USD news moves."
        assert plan.data["measurement"]["looks"] == [30, 60, 100, 150, 200, 300]
        assert plan.made_by == world.owner
        traded(world, NOW + timedelta(hours=1))
        change(world, advice, status="IGNORED", now=LATER)
        assert plans(advice) == [(1, LATER, "left")]
        change(world, advice, status="IMPLEMENTED", now=AGAIN)
        assert plans(advice) == [(1, LATER, "left"), (2, None, "")]

    def test_a_note_leaves_the_clock_alone(
        self, world: World, advice: RecommendationTracking
    ) -> None:
        change(world, advice, status="IMPLEMENTED")
        row = change(world, advice, now=LATER, notes="still", due_date=date(2026, 4, 1))
        assert plans(advice) == [(1, None, "")]
        assert row.implementation_date == NOW

    def test_another_scope_restarts_the_clock(
        self, world: World, advice: RecommendationTracking
    ) -> None:
        change(world, advice, status="IMPLEMENTED")
        row = change(world, advice, now=LATER, scope={"symbol": "EURUSD"})
        assert plans(advice) == [(1, LATER, "replaced"), (2, None, "")]
        assert row.implementation_date == LATER
        newest = advice.measurement_plans.get(number=2)
        assert newest.data["scope"] == {"symbol": "EURUSD"}
        assert newest.implemented_at == LATER
        # Nothing was traded under it: the first plan runs on as if it had never been left.
        row = undo(world, advice, AGAIN)
        assert plans(advice) == [(1, None, ""), (2, AGAIN, "taken_back")]
        assert row.implementation_date == NOW

    def test_a_scope_of_pending_advice_starts_nothing(
        self, world: World, advice: RecommendationTracking
    ) -> None:
        row = change(world, advice, scope={"symbol": "EURUSD"})
        assert (row.scope, plans(advice)) == ({"symbol": "EURUSD"}, [])

    def test_a_mistaken_toggle_leaves_no_clock_running(
        self, world: World, advice: RecommendationTracking
    ) -> None:
        change(world, advice, status="IMPLEMENTED")
        row = undo(world, advice, NOW + timedelta(seconds=5))
        assert plans(advice) == [(1, NOW + timedelta(seconds=5), "taken_back")]
        assert (row.implementation_status, row.implementation_date) == ("PENDING", None)

    def test_what_was_traded_under_it_is_not_taken_back(
        self, world: World, advice: RecommendationTracking
    ) -> None:
        change(world, advice, status="IMPLEMENTED")
        traded(world, NOW + timedelta(hours=1))
        undo(world, advice)
        assert plans(advice) == [(1, LATER, "left")]

    def test_a_trade_it_does_not_cover_does_not_count(
        self, world: World, advice: RecommendationTracking
    ) -> None:
        change(world, advice, status="IMPLEMENTED")
        signal = make_signal(
            world.mine.account, make_instrument("EURGBP"), time=NOW + timedelta(hours=1)
        )
        make_trade(signal)
        undo(world, advice)
        assert plans(advice) == [(1, LATER, "taken_back")]

    def test_a_mistaken_leave_lets_the_plan_run_on(
        self, world: World, advice: RecommendationTracking
    ) -> None:
        change(world, advice, status="IMPLEMENTED")
        traded(world, NOW + timedelta(hours=1))
        change(world, advice, status="IGNORED", now=LATER)
        row = undo(world, advice, LATER + timedelta(seconds=5))
        assert plans(advice) == [(1, None, "")]
        assert row.implementation_date == NOW

    def test_trades_without_the_rule_restart_the_clock(
        self, world: World, advice: RecommendationTracking
    ) -> None:
        change(world, advice, status="IMPLEMENTED")
        change(world, advice, status="IGNORED", now=LATER)
        traded(world, LATER + timedelta(minutes=10))
        row = undo(world, advice, AGAIN)
        assert plans(advice) == [(1, LATER, "taken_back"), (2, None, "")]
        assert row.implementation_date == AGAIN

    def test_a_losing_run_before_is_its_trigger(
        self, world: World, advice: RecommendationTracking
    ) -> None:
        for n in range(12):
            traded(world, NOW - timedelta(days=12 - n), r=-0.5)
        change(world, advice, status="IMPLEMENTED")
        plan = MeasurementPlan.objects.get()
        assert plan.data["trigger"] == {"window": 10, "mean_r": -0.5}

    def test_ordinary_results_before_are_none(
        self, world: World, advice: RecommendationTracking
    ) -> None:
        for n in range(12):
            traded(world, NOW - timedelta(days=12 - n), r=-0.4)
        change(world, advice, status="IMPLEMENTED")
        assert MeasurementPlan.objects.get().data["trigger"] is None

    @pytest.mark.parametrize(
        "damage",
        [
            lambda plan: plan.data["scope"].update(currency="EUR"),
            lambda plan: plan.data["measurement"].update(alpha=0.2),
            lambda plan: plan.data.pop("measurement"),
            lambda plan: setattr(plan, "implemented_at", LATER),
            lambda plan: setattr(plan, "sha256", "0" * 64),
        ],
    )
    def test_a_changed_plan_shows(
        self, world: World, advice: RecommendationTracking, damage: Any
    ) -> None:
        change(world, advice, status="IMPLEMENTED")
        plan = MeasurementPlan.objects.get()
        assert fault(plan) == ""
        damage(plan)
        plan.save()
        assert fault(MeasurementPlan.objects.get()) != ""

    def test_a_plan_changed_with_its_hash_still_shows_its_measurement(
        self, world: World, advice: RecommendationTracking
    ) -> None:
        change(world, advice, status="IMPLEMENTED")
        plan = MeasurementPlan.objects.get()
        plan.data["measurement"]["alpha"] = 0.1
        plan.sha256 = data_hash(plan.data)
        assert fault(plan) == "its measurement does not carry its hash"


class TestMany:
    def rows(self, world: World) -> list[RecommendationTracking]:
        return recommendations.merge_opportunities(
            analysis=world.mine.analysis, opportunities=[OPPORTUNITY, OTHER_ADVICE]
        )

    def test_one_undo_takes_back_what_was_changed_together(self, world: World) -> None:
        rows = self.rows(world)
        done = recommendations.change_many(
            versions={row.pk: 1 for row in rows},
            changes={"status": "IGNORED", "owner": world.owner, "due_date": date(2026, 5, 1)},
            user=world.owner,
            now=NOW,
        )
        assert len(done.changed) == 2
        change(world, rows[1], now=LATER, notes="mine since")
        back = recommendations.undo_many(batch=done.batch, user=world.owner, now=AGAIN)
        assert [row.pk for row in back.changed] == [rows[0].pk]
        assert back.stale == (rows[1].pk,)
        for row in rows:
            row.refresh_from_db()
        assert (rows[0].implementation_status, rows[0].owner, rows[0].due_date) == (
            "PENDING",
            None,
            None,
        )
        assert (rows[1].implementation_status, rows[1].notes) == ("IGNORED", "mine since")
        recommendations.undo_many(batch=back.batch, user=world.owner, now=AGAIN)
        rows[0].refresh_from_db()
        assert rows[0].implementation_status == "IGNORED"

    def test_a_bad_change_changes_none(self, world: World) -> None:
        rows = self.rows(world)
        with pytest.raises(UserError):
            recommendations.change_many(
                versions={row.pk: 1 for row in rows},
                changes={"status": "IGNORED", "effort_hours": -1},
                user=world.owner,
                now=NOW,
            )
        assert not RecommendationHistory.objects.exists()

    @pytest.mark.parametrize("batch", ["", "nothing"])
    def test_an_unknown_batch_is_not_there(self, world: World, batch: str) -> None:
        change(world, world.mine.recommendation, notes="alone")
        with pytest.raises(NotFoundError):
            recommendations.undo_many(batch=batch, user=world.owner, now=NOW)

    def test_a_foreign_batch_is_not_there(self, world: World) -> None:
        done = recommendations.track_many(
            versions={world.mine.recommendation.pk: 1},
            status="IGNORED",
            user=world.owner,
            now=NOW,
        )
        with pytest.raises(NotFoundError):
            recommendations.undo_many(batch=done.batch, user=world.other, now=LATER)


class TestMergeByHand:
    def pair(self, world: World) -> tuple[RecommendationTracking, RecommendationTracking]:
        one, other = recommendations.merge_opportunities(
            analysis=world.mine.analysis, opportunities=[OPPORTUNITY, OTHER_ADVICE]
        )
        recommendations.merge_opportunities(
            analysis=another_analysis(world), opportunities=[OTHER_ADVICE]
        )
        return one, other

    def merge(
        self, world: World, row: RecommendationTracking, into: RecommendationTracking
    ) -> RecommendationTracking:
        row.refresh_from_db()
        return recommendations.merge_into(
            recommendation_id=row.pk,
            into_id=into.pk,
            version=row.version,
            user=world.owner,
            now=NOW,
        )

    def test_occurrences_move_and_come_back(self, world: World) -> None:
        one, other = self.pair(world)
        merged = self.merge(world, other, one)
        assert merged.merged_into == one
        # Both came up in the first analysis: it counts once.
        assert (one.occurrences.count(), other.occurrences.count()) == (2, 1)
        undo(world, other)
        other.refresh_from_db()
        assert (one.occurrences.count(), other.occurrences.count()) == (1, 2)
        assert other.merged_into is None

    def test_what_comes_up_again_goes_to_the_other(self, world: World) -> None:
        one, other = self.pair(world)
        self.merge(world, other, one)
        (row,) = recommendations.merge_opportunities(
            analysis=another_analysis(world), opportunities=[OTHER_ADVICE]
        )
        assert row.pk == one.pk
        assert one.occurrences.count() == 3

    def test_a_running_plan_ends_and_runs_on(self, world: World) -> None:
        one, other = self.pair(world)
        change(world, other, status="IMPLEMENTED")
        self.merge(world, other, one)
        assert plans(other) == [(1, NOW, "merged")]
        undo(world, other)
        assert plans(other) == [(1, None, "")]

    def test_what_was_merged_is_changed_no_more(self, world: World) -> None:
        one, other = self.pair(world)
        self.merge(world, other, one)
        with pytest.raises(ConflictError) as caught:
            change(world, other, status="IGNORED")
        assert caught.value.code == "merged"
        with pytest.raises(ConflictError):
            self.merge(world, one, other)

    def test_only_within_an_account_and_never_with_itself(self, world: World) -> None:
        one, _ = self.pair(world)
        with pytest.raises(UserError) as itself:
            self.merge(world, one, one)
        assert itself.value.code == "bad_merge"
        with pytest.raises(NotFoundError):
            self.merge(world, one, world.stranger_desk.recommendation)
        assert RecommendationOccurrence.objects.filter(recommendation=one).count() == 1
