"""Improvement plans: drafted once, in order of worth, tracked as the advice that is there."""

from __future__ import annotations

from copy import deepcopy

import pytest

from post_mortem.core.advice import advice_key
from post_mortem.core.answers import inspect
from post_mortem.core.claims import Ground
from post_mortem.core.pattern_facts import plan_facts
from post_mortem.models import (
    ImprovementPlan,
    RecommendationOccurrence,
    RecommendationTracking,
)
from post_mortem.services.plans import create_improvement_plan, request_plan
from tests.core.test_pattern_facts import CAUSE, EDGE, FEW
from trading.core.errors import NotFoundError, UserError
from trading.models import Account, Membership, Role

from .factories import make_account, make_pattern

pytestmark = pytest.mark.django_db

COOLDOWN = {"parts": [["since_loss", "entered within 15 min after a loss"]]}
FRIDAYS = {"parts": [["weekday", "on Fridays"]], "expected_r": -0.5, "expected_low": -0.8,
           "expected_high": -0.2}  # fmt: skip


@pytest.fixture
def account() -> Account:
    return make_account()


def test_the_same_patterns_are_drafted_once(account: Account) -> None:
    patterns = [make_pattern(account), make_pattern(account, **FRIDAYS)]
    plan = create_improvement_plan(patterns=patterns)
    again = create_improvement_plan(patterns=list(reversed(patterns)))
    assert again.pk == plan.pk
    assert ImprovementPlan.objects.count() == 1
    assert RecommendationOccurrence.objects.filter(plan=plan).count() == 2
    assert RecommendationTracking.objects.count() == 2
    assert set(plan.patterns.all()) == set(patterns)


def test_other_figures_are_another_plan_and_the_first_stays_as_it_was(account: Account) -> None:
    pattern = make_pattern(account)
    first = create_improvement_plan(patterns=[pattern])
    before = deepcopy([first.summary, first.improvements, first.evidence])
    pattern.statistics = {**pattern.statistics, "won": 8}
    pattern.evidence_hash = "changed"
    pattern.save()
    second = create_improvement_plan(patterns=[pattern])
    assert second.pk != first.pk
    first.refresh_from_db()
    assert [first.summary, first.improvements, first.evidence] == before
    # The rule is the same piece of advice.
    assert RecommendationTracking.objects.count() == 1


def test_steps_come_in_order_of_what_they_may_be_worth(account: Account) -> None:
    small, large = make_pattern(account), make_pattern(account, **FRIDAYS)
    plan = create_improvement_plan(patterns=[small, large])
    assert [step["pattern_ids"] for step in plan.improvements] == [[large.pk], [small.pk]]
    first = plan.improvements[0]
    assert (first["priority"], first["r_month"], first["kind"]) == (1, 3.0, "stand_aside")
    assert (first["r_month_low"], first["r_month_high"]) == (1.2, 4.8)
    assert first["scope"] == {"weekday": "5"}
    assert plan.summary == (
        "The rule to begin with may save +3.0 R a month (+1.2 R to +4.8 R), and it helps with a "
        "chance of 99 of 100 [E6]."
    )


def test_hours_put_a_rule_behind_a_smaller_one(account: Account) -> None:
    small, large = make_pattern(account), make_pattern(account, **FRIDAYS)
    plan = create_improvement_plan(patterns=[small, large], hours={large.pk: 40.0})
    assert [step["pattern_ids"] for step in plan.improvements] == [[small.pk], [large.pk]]


def test_what_a_rule_costs_is_known_only_where_somebody_said_it(account: Account) -> None:
    pattern = make_pattern(account)
    unknown = create_improvement_plan(patterns=[pattern]).improvements[0]
    assert (unknown["hours"], unknown["roi_r_per_hour"]) == (None, None)
    known = create_improvement_plan(patterns=[pattern], hours={pattern.pk: 2.0}).improvements[0]
    assert (known["hours"], known["roi_r_per_hour"]) == (2.0, pytest.approx(0.6))
    RecommendationTracking.objects.update(effort_hours=4.0)
    other = make_pattern(account, won=8)
    said = create_improvement_plan(patterns=[other]).improvements[0]
    assert (said["hours"], said["roi_r_per_hour"]) == (4.0, pytest.approx(0.3))


def test_a_rule_that_changes_how_trades_are_made_has_no_figure(account: Account) -> None:
    size = make_pattern(account, parts=[["size", "twice the usual size or more"]])
    (step,) = create_improvement_plan(patterns=[size]).improvements
    assert (step["kind"], step["r_month"], step["roi_r_per_hour"]) == ("usual_size", None, None)
    assert "changes how such trades are made" in step["unknown_because"]
    assert step["expected"] == "What it saves is measured once it is implemented."


def test_the_same_rule_from_two_patterns_is_one_step(account: Account) -> None:
    soon = make_pattern(account, **COOLDOWN)
    later = make_pattern(
        account, parts=[["since_loss", "entered 15 to 60 min after a loss"]], won=8
    )
    (step,) = create_improvement_plan(patterns=[soon, later]).improvements
    assert sorted(step["pattern_ids"]) == [soon.pk, later.pk]


def test_a_step_joins_the_advice_that_trades_suggested_and_leaves_what_people_decided(
    account: Account,
) -> None:
    there = RecommendationTracking.objects.create(
        account=account,
        advice_key=advice_key("loss_cooldown", "psychology", {}),
        kind="loss_cooldown",
        area="psychology",
        recommendation="After a loss, wait.",
        implementation_status="IGNORED",
        notes="tried",
    )
    plan = create_improvement_plan(patterns=[make_pattern(account, **COOLDOWN)])
    assert plan.improvements[0]["recommendation_id"] == there.pk
    there.refresh_from_db()
    assert (there.implementation_status, there.notes, there.version) == ("IGNORED", "tried", 1)


def test_advice_that_was_merged_goes_on_as_the_other(account: Account) -> None:
    first = create_improvement_plan(patterns=[make_pattern(account)])
    merged = RecommendationTracking.objects.get()
    other = RecommendationTracking.objects.create(
        account=account, advice_key="k", kind="k", area="entry", recommendation="x"
    )
    merged.merged_into = other
    merged.save()
    second = create_improvement_plan(patterns=[make_pattern(account, won=8)])
    assert first.improvements[0]["recommendation_id"] == merged.pk
    assert second.improvements[0]["recommendation_id"] == other.pk


@pytest.mark.parametrize(
    "changes",
    [{**EDGE}, {"expected_r": 0.02, "effect_r": -0.1}, CAUSE],
    ids=["edge", "ok", "cause"],
)
def test_no_rule_is_invented_where_none_follows(account: Account, changes) -> None:
    with pytest.raises(UserError, match="no rule to draft"):
        create_improvement_plan(patterns=[make_pattern(account, **changes)])
    assert not RecommendationTracking.objects.exists()


def test_every_text_of_a_plan_is_grounded(account: Account) -> None:
    changes = ({}, FRIDAYS, COOLDOWN, FEW, {"parts": [["symbol", "in US30"]], "per_month": None},
               {"parts": [["hour", "between 08:00 and 12:00 UTC"]]})  # fmt: skip
    patterns = [make_pattern(account, **one) for one in changes]
    plan = create_improvement_plan(patterns=patterns)
    facts = {fact.id: fact for group in plan_facts(plan.evidence) for fact in group}
    assert inspect(plan.slot_data, Ground(facts=facts)) == []
    for step in plan.improvements:
        row = RecommendationTracking.objects.get(pk=step["recommendation_id"])
        assert "{" not in row.recommendation
        assert row.scope == step["scope"]


def test_bad_drafts_are_refused(account: Account) -> None:
    mine, theirs = make_pattern(account), make_pattern(make_account("other"))
    for arguments, code in (
        ({"patterns": []}, "nothing_to_do"),
        ({"patterns": [mine, theirs]}, "several_accounts"),
        ({"patterns": [mine] * 21}, "too_many"),
        ({"patterns": [mine], "hours": {mine.pk: 0.0}}, "hours"),
        ({"patterns": [mine], "hours": {mine.pk: float("nan")}}, "hours"),
        ({"patterns": [mine], "hours": {theirs.pk: 1.0}}, "hours"),
    ):
        with pytest.raises(UserError) as error:
            create_improvement_plan(**arguments)
        assert error.value.code == code
    mine.lost_at = mine.found_at
    with pytest.raises(UserError, match="no longer found"):
        create_improvement_plan(patterns=[mine])
    assert not ImprovementPlan.objects.exists()


def test_a_foreign_pattern_is_not_there_and_a_readers_is_not_theirs_to_plan(
    account: Account,
) -> None:
    theirs = make_pattern(make_account("other"))
    with pytest.raises(NotFoundError):
        request_plan(pattern_ids=[theirs.pk], hours={}, user=account.owner)
    Membership.objects.create(user=account.owner, desk=theirs.account.desk, role=Role.REVIEWER)
    with pytest.raises(UserError, match="not change it"):
        request_plan(pattern_ids=[theirs.pk], hours={}, user=account.owner)
