"""Tracking: one of many wins, nothing is lost, and a new analysis changes nothing people did."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from post_mortem.models import (
    RecommendationHistory,
    RecommendationOccurrence,
    RecommendationTracking,
    TradeAnalysis,
)
from post_mortem.services import recommendations
from tests.api.world import NOW, OPPORTUNITY, World, make_audit
from tests.services.factories import make_instrument, make_signal, make_trade
from trading.core.errors import ConflictError, NotFoundError, UserError

pytestmark = pytest.mark.django_db

LATER = NOW + timedelta(hours=3)
OTHER_ADVICE = {**OPPORTUNITY, "kind": "loss_cooldown", "area": "psychology", "scope": {}}


def track(world: World, status: str, version: int, **changes: Any) -> RecommendationTracking:
    arguments: dict[str, Any] = {
        "recommendation_id": world.mine.recommendation.pk,
        "notes": None,
        "user": world.owner,
        "now": NOW,
    }
    return recommendations.track(status=status, version=version, **(arguments | changes))


def undo(world: World, version: int) -> RecommendationTracking:
    return recommendations.undo_last(
        recommendation_id=world.mine.recommendation.pk,
        version=version,
        user=world.owner,
        now=LATER,
    )


def state(row: RecommendationTracking) -> tuple[Any, ...]:
    return (row.implementation_status, row.implementation_date, row.notes, row.version)


class TestTrack:
    def test_implementing_sets_the_date_and_leaving_clears_it(self, world: World) -> None:
        row = track(world, "IMPLEMENTED", 1, notes="from today")
        assert state(row) == ("IMPLEMENTED", NOW, "from today", 2)
        row = track(world, "IMPLEMENTED", 2, notes="still", now=LATER)
        assert state(row) == ("IMPLEMENTED", NOW, "still", 3)
        row = track(world, "IGNORED", 3, now=LATER)
        assert state(row) == ("IGNORED", None, "still", 4)
        row = track(world, "IMPLEMENTED", 4, notes="", now=LATER)
        assert state(row) == ("IMPLEMENTED", LATER, "", 5)

    def test_every_change_is_in_the_history(self, world: World) -> None:
        track(world, "IMPLEMENTED", 1, notes="a")
        track(world, "IGNORED", 2, user=world.lead, now=LATER)
        rows = RecommendationHistory.objects.order_by("version").values_list(
            "version", "from_status", "to_status", "notes", "user", "created_at"
        )
        assert list(rows) == [
            (2, "PENDING", "IMPLEMENTED", "a", world.owner.pk, NOW),
            (3, "IMPLEMENTED", "IGNORED", "a", world.lead.pk, LATER),
        ]

    @pytest.mark.parametrize("version", [0, 2, 99])
    def test_another_version_changes_nothing(self, world: World, version: int) -> None:
        with pytest.raises(ConflictError) as caught:
            track(world, "IGNORED", version)
        assert caught.value.code == "version_stale"
        world.mine.recommendation.refresh_from_db()
        assert state(world.mine.recommendation) == ("PENDING", None, "", 1)
        assert not RecommendationHistory.objects.exists()

    def test_a_write_between_reading_and_writing_is_noticed(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = recommendations.writable

        def overtaken(*args: Any, **lookup: Any) -> Any:
            row = real(*args, **lookup)
            RecommendationTracking.objects.filter(pk=row.pk).update(version=2, notes="theirs")
            return row

        monkeypatch.setattr(recommendations, "writable", overtaken)
        with pytest.raises(ConflictError):
            track(world, "IGNORED", 1, notes="mine")
        assert not RecommendationHistory.objects.exists()

    def test_foreign_is_absent_and_a_reviewer_only_reads(self, world: World) -> None:
        with pytest.raises(NotFoundError):
            track(world, "IGNORED", 1, user=world.other)
        with pytest.raises(UserError) as caught:
            track(world, "IGNORED", 1, user=world.reviewer)
        assert caught.value.code == "not_permitted"


class TestUndo:
    def test_status_notes_and_date_come_back(self, world: World) -> None:
        track(world, "IMPLEMENTED", 1, notes="first")
        track(world, "IGNORED", 2, notes="second", now=LATER)
        assert state(undo(world, 3)) == ("IMPLEMENTED", NOW, "first", 4)
        assert RecommendationHistory.objects.count() == 3

    def test_undoing_the_first_change(self, world: World) -> None:
        track(world, "IMPLEMENTED", 1, notes="first")
        assert state(undo(world, 2)) == ("PENDING", None, "", 3)

    def test_undoing_again_brings_it_back(self, world: World) -> None:
        track(world, "IGNORED", 1, notes="no")
        undo(world, 2)
        assert state(undo(world, 3)) == ("IGNORED", None, "no", 4)

    def test_a_new_note_does_not_move_the_restored_date(self, world: World) -> None:
        track(world, "IMPLEMENTED", 1)
        track(world, "IMPLEMENTED", 2, notes="a note", now=NOW + timedelta(hours=1))
        track(world, "PENDING", 3, now=LATER)
        assert state(undo(world, 4)) == ("IMPLEMENTED", NOW, "a note", 5)

    def test_nothing_to_undo_and_stale(self, world: World) -> None:
        with pytest.raises(ConflictError) as caught:
            undo(world, 1)
        assert caught.value.code == "nothing_to_undo"
        track(world, "IGNORED", 1)
        with pytest.raises(ConflictError) as caught:
            undo(world, 1)
        assert caught.value.code == "version_stale"


def test_a_bulk_change_says_what_became_of_each(world: World) -> None:
    mine, theirs = world.mine.recommendation, world.stranger_desk.recommendation
    second = recommendations.merge_opportunities(
        analysis=world.mine.analysis, opportunities=[OPPORTUNITY, OTHER_ADVICE]
    )[1]
    result = recommendations.track_many(
        versions={mine.pk: 1, second.pk: 5, theirs.pk: 1},
        status="IGNORED",
        user=world.owner,
        now=NOW,
    )
    assert [row.pk for row in result.changed] == [mine.pk]
    assert (result.stale, result.refused, result.missing) == ((second.pk,), (), (theirs.pk,))
    refused = recommendations.track_many(
        versions={mine.pk: 2}, status="PENDING", user=world.reviewer, now=NOW
    )
    assert (refused.changed, refused.refused) == ((), (mine.pk,))
    with pytest.raises(UserError):
        recommendations.track_many(versions={mine.pk: 2}, status="DONE", user=world.owner, now=NOW)
    with pytest.raises(UserError):
        recommendations.track_many(
            versions=dict.fromkeys(range(501), 1), status="IGNORED", user=world.owner, now=NOW
        )


class TestMerge:
    def test_again_changes_nothing_people_did(self, world: World) -> None:
        before = state(track(world, "IMPLEMENTED", 1, notes="mine"))
        changed = {**OPPORTUNITY, "suggestion": "Other words.", "expected_impact": "Other."}
        for _ in range(2):
            rows = recommendations.merge_opportunities(
                analysis=world.mine.analysis, opportunities=[changed]
            )
        assert [state(row) for row in rows] == [before]
        assert rows[0].recommendation == OPPORTUNITY["suggestion"]
        same = RecommendationTracking.objects.filter(advice_key=rows[0].advice_key)
        assert same.filter(account=world.mine.account).count() == 1
        assert RecommendationOccurrence.objects.filter(recommendation=rows[0]).count() == 1

    def test_citations_of_one_audit_are_left_out(self, world: World) -> None:
        text = world.mine.recommendation.expected_impact
        assert text == "Addresses news shock. Its effect is measured later."

    def test_the_same_advice_from_two_trades_is_one(self, world: World) -> None:
        analysis = another_analysis(world)
        (row,) = recommendations.merge_opportunities(
            analysis=analysis, opportunities=[{**OPPORTUNITY, "scope": SAME_SCOPE}]
        )
        assert row.pk == world.mine.recommendation.pk
        assert row.occurrences.count() == 2

    def test_another_scope_or_account_is_another(self, world: World) -> None:
        wider = {**OPPORTUNITY, "scope": {"currency": "EUR", "impact": "high"}}
        (row,) = recommendations.merge_opportunities(
            analysis=another_analysis(world), opportunities=[wider]
        )
        keys = {row.pk, world.mine.recommendation.pk, world.stranger_desk.recommendation.pk}
        assert len(keys) == 3
        assert world.stranger_desk.recommendation.advice_key == world.mine.recommendation.advice_key

    def test_what_an_analysis_no_longer_says_does_not_count(self, world: World) -> None:
        track(world, "IGNORED", 1, notes="kept")
        recommendations.merge_opportunities(
            analysis=world.mine.analysis, opportunities=[OTHER_ADVICE]
        )
        row = RecommendationTracking.objects.get(pk=world.mine.recommendation.pk)
        assert row.occurrences.count() == 0
        assert state(row) == ("IGNORED", None, "kept", 2)

    def test_many_at_once_cost_the_same_queries(
        self, world: World, django_assert_max_num_queries: Any
    ) -> None:
        found = [(another_analysis(world), [OPPORTUNITY, OTHER_ADVICE]) for _ in range(20)]
        mine = RecommendationTracking.objects.filter(account=world.mine.account)
        before = mine.count()
        with django_assert_max_num_queries(10):
            result = recommendations.merge_many(found=found)
        assert {len(rows) for rows in result.values()} == {2}
        assert mine.count() == before + 1


SAME_SCOPE = {"impact": "high", "currency": "USD"}


def another_analysis(world: World) -> TradeAnalysis:
    trade = make_trade(make_signal(world.mine.account, make_instrument()))
    audit = make_audit(trade)
    return TradeAnalysis.objects.create(
        account=world.mine.account,
        audit=audit,
        trade=trade,
        analysis_data={},
        evidence_hash=audit.evidence_hash,
        narrator_version="template",
    )
