"""Holding a meeting: decisions and what they do, taking back, the one action, frozen minutes."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from django.db import connection

from post_mortem.core.meetings import canonical
from post_mortem.models import (
    ActionItem,
    Experiment,
    MeetingDecision,
    RecommendationHistory,
    RecommendationTracking,
    ReviewMeeting,
)
from post_mortem.selectors.agenda import agenda
from post_mortem.selectors.meetings import is_intact, last_meeting
from post_mortem.services import recommendations
from post_mortem.services.meetings import (
    Agreed,
    Choice,
    close_meeting,
    decide,
    open_meeting,
    report_action,
    set_action,
    undo,
)
from tests.api.world import make_user
from trading.core.errors import ConflictError, NotFoundError, UserError
from trading.models import Membership, Role

from .meeting_desk import NOW, WEEK, MeetingDesk, make_desk

DUE = date(2014, 6, 15)


@pytest.fixture
def desk(db: None) -> MeetingDesk:
    return make_desk()


@pytest.fixture
def meeting(desk: MeetingDesk) -> ReviewMeeting:
    return open_meeting(account_id=desk.account.pk, period=WEEK, user=desk.user, now=NOW)


def accept(desk: MeetingDesk, **changes: Any) -> Choice:
    made = Choice("accept", desk.news.pk, desk.news.version, desk.user.username, DUE)
    return replace(made, **changes)


def ignore(desk: MeetingDesk, **changes: Any) -> Choice:
    made = Choice("ignore", desk.stop.pk, desk.stop.version, reason="I use no stops on swaps.")
    return replace(made, **changes)


def agreed(desk: MeetingDesk, **changes: Any) -> Agreed:
    made = Agreed("No USD-news entries", "Times kept", "5 of 5", desk.user.username, DUE)
    return replace(made, **changes)


def decided(desk: MeetingDesk, meeting: ReviewMeeting, choice: Choice, **changes: Any) -> Any:
    meeting.refresh_from_db()
    values = {"version": meeting.version, "user": desk.user, "now": NOW}
    return decide(meeting_id=meeting.pk, choice=choice, **(values | changes))


# --- opening --------------------------------------------------------------------------------------
def test_a_period_has_one_meeting(desk: MeetingDesk, meeting: ReviewMeeting) -> None:
    again = open_meeting(
        account_id=desk.account.pk, period=WEEK, user=desk.user, now=NOW + timedelta(hours=1)
    )
    assert again == meeting
    assert (again.opened_at, again.version) == (NOW, 1)


# --- decisions ------------------------------------------------------------------------------------
def test_accepting_implements_the_advice_with_owner_and_date(
    desk: MeetingDesk, meeting: ReviewMeeting
) -> None:
    made = decided(desk, meeting, accept(desk))
    advice = desk.news
    assert (advice.implementation_status, advice.implementation_date) == ("IMPLEMENTED", NOW)
    assert (advice.owner, advice.due_date, advice.version) == (desk.user, DUE, 2)
    assert made.text == "Stay out around USD releases."
    assert made.evidence == {
        "came_up": 2,
        "n": 2,
        "r": -1.9,
        "trades": [desk.trades["news1"].pk, desk.trades["news2"].pk],
    }
    meeting.refresh_from_db()
    assert meeting.version == 2


def test_ignoring_keeps_the_reason_with_the_advice(
    desk: MeetingDesk, meeting: ReviewMeeting
) -> None:
    RecommendationTracking.objects.filter(pk=desk.stop.pk).update(notes="Seen before.")
    made = decided(desk, meeting, ignore(desk))
    assert desk.stop.implementation_status == "IGNORED"
    assert desk.stop.notes == "Seen before.\nIgnored in the review: I use no stops on swaps."
    assert (made.reason, made.owner, made.due_date) == ("I use no stops on swaps.", None, None)


def test_an_experiment_is_started_and_the_advice_waits_for_it(
    desk: MeetingDesk, meeting: ReviewMeeting
) -> None:
    made = decided(desk, meeting, accept(desk, kind="experiment"))
    started = Experiment.objects.get()
    assert made.experiment == started
    assert (started.recommendation, started.status, started.unit) == (desk.news, "running", "day")
    assert (desk.news.implementation_status, desk.news.owner) == ("PENDING", desk.user)
    shown = agenda(desk.account, WEEK, now=NOW)["proposals"]
    assert [p["id"] for p in shown] == [desk.stop.pk], "what is being tested is decided"
    undo(decision_id=made.pk, version=2, user=desk.user, now=NOW + timedelta(minutes=1))
    started.refresh_from_db()
    assert (started.status, started.ended_because) == (
        "stopped",
        "Taken back in the review that started it.",
    )
    assert (desk.news.owner, desk.news.due_date) == (None, None)


def test_two_experiments_on_the_same_trades_are_refused(
    desk: MeetingDesk, meeting: ReviewMeeting
) -> None:
    decided(desk, meeting, accept(desk, kind="experiment"))
    other = accept(desk, kind="experiment", recommendation_id=desk.stop.pk)
    with pytest.raises(UserError):
        decided(desk, meeting, other)
    assert Experiment.objects.count() == 1
    assert (desk.stop.version, desk.stop.owner) == (1, None)
    meeting.refresh_from_db()
    assert (meeting.version, meeting.decisions.count()) == (2, 1)


def test_the_same_decision_twice_is_one(desk: MeetingDesk, meeting: ReviewMeeting) -> None:
    choice = accept(desk)
    first = decided(desk, meeting, choice)
    # A repeated request still names the versions it read.
    again = decide(meeting_id=meeting.pk, version=1, choice=choice, user=desk.user, now=NOW)
    assert again == first
    assert MeetingDecision.objects.count() == 1
    assert RecommendationHistory.objects.count() == 1


def test_another_decision_on_the_same_advice_needs_the_first_taken_back(
    desk: MeetingDesk, meeting: ReviewMeeting
) -> None:
    decided(desk, meeting, accept(desk))
    other = replace(ignore(desk), recommendation_id=desk.news.pk, recommendation_version=2)
    with pytest.raises(ConflictError, match="Take that back first"):
        decided(desk, meeting, other)
    assert desk.news.implementation_status == "IMPLEMENTED"


def test_what_was_decided_elsewhere_is_not_decided_again(
    desk: MeetingDesk, meeting: ReviewMeeting
) -> None:
    recommendations.track(
        recommendation_id=desk.news.pk,
        status="IGNORED",
        notes=None,
        version=1,
        user=desk.user,
        now=NOW,
    )
    with pytest.raises(ConflictError) as caught:
        decided(desk, meeting, accept(desk))
    assert caught.value.code == "not_pending"


@pytest.mark.parametrize("kind", ["accept", "ignore", "experiment"])
def test_what_was_merged_is_decided_where_it_went(
    desk: MeetingDesk, meeting: ReviewMeeting, kind: str
) -> None:
    news, stop = desk.news, desk.stop
    recommendations.merge_into(
        recommendation_id=news.pk, into_id=stop.pk, version=1, user=desk.user, now=NOW
    )
    choice = accept(desk, kind=kind, reason="Not for us.")
    with pytest.raises(ConflictError) as caught:
        decided(desk, meeting, choice)
    assert (caught.value.code, caught.value.field) == ("merged", "recommendation_id")
    assert caught.value.detail == "This advice was merged into another. Decide on that one."
    meeting.refresh_from_db()
    assert (meeting.version, meeting.decisions.count()) == (1, 0)
    assert desk.news.implementation_status == "PENDING"
    assert not Experiment.objects.exists()


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"kind": "maybe"}, "bad_kind"),
        ({"kind": ""}, "bad_kind"),
        ({"owner": "nobody"}, "bad_owner"),
        ({"owner": ""}, "bad_owner"),
        ({"due_date": None}, "bad_due_date"),
        ({"reason": "x" * 1001}, "bad_reason"),
        ({"reason": "a\x00b"}, "bad_reason"),
        ({"kind": "ignore", "reason": ""}, "bad_reason"),
        ({"kind": "ignore", "reason": "  a "}, "bad_reason"),
    ],
)
def test_an_incomplete_decision_changes_nothing(
    desk: MeetingDesk, meeting: ReviewMeeting, changes: dict[str, Any], code: str
) -> None:
    with pytest.raises(UserError) as caught:
        decided(desk, meeting, accept(desk, **changes))
    assert caught.value.code == code
    meeting.refresh_from_db()
    assert (meeting.version, meeting.decisions.count()) == (1, 0)
    assert desk.news.implementation_status == "PENDING"


# --- versions -------------------------------------------------------------------------------------
def test_of_two_who_read_the_same_version_one_decides(
    desk: MeetingDesk, meeting: ReviewMeeting
) -> None:
    decided(desk, meeting, accept(desk))
    with pytest.raises(ConflictError) as caught:
        decide(meeting_id=meeting.pk, version=1, choice=ignore(desk), user=desk.user, now=NOW)
    assert (caught.value.code, caught.value.field) == ("version_stale", "version")
    assert desk.stop.implementation_status == "PENDING"


def test_advice_that_somebody_noted_since_is_stale(
    desk: MeetingDesk, meeting: ReviewMeeting
) -> None:
    choice = accept(desk)
    recommendations.track(
        recommendation_id=desk.news.pk,
        status="PENDING",
        notes="Wait for June.",
        version=1,
        user=desk.user,
        now=NOW,
    )
    with pytest.raises(ConflictError) as caught:
        decided(desk, meeting, choice)
    assert (caught.value.code, caught.value.field) == ("version_stale", "recommendation_version")
    meeting.refresh_from_db()
    # The whole change is taken back, the meeting's new version with it.
    assert (meeting.version, meeting.decisions.count()) == (1, 0)


# --- taking back ----------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", ["accept", "ignore", "experiment"])
def test_taking_back_restores_the_advice_and_keeps_the_row(
    desk: MeetingDesk, meeting: ReviewMeeting, kind: str
) -> None:
    choice = ignore(desk) if kind == "ignore" else accept(desk, kind=kind)
    mine = RecommendationTracking.objects.filter(pk=choice.recommendation_id)
    mine.update(notes="Before.", due_date=date(2014, 1, 1))
    keys = ("implementation_status", "implementation_date", "notes", "owner", "due_date")
    before = mine.values(*keys).get()
    made = decided(desk, meeting, choice)
    assert mine.values(*keys).get() != before
    meeting.refresh_from_db()
    for _ in range(2):  # the second time changes nothing
        undo(decision_id=made.pk, version=meeting.version, user=desk.user, now=NOW)
    assert mine.values(*keys).get() == before
    made.refresh_from_db()
    assert made.undone_at == NOW
    # And it may be decided again.
    advice = mine.get()
    again = decided(desk, meeting, replace(choice, recommendation_version=advice.version))
    assert again.pk != made.pk


def test_what_somebody_changed_since_is_not_taken_back(
    desk: MeetingDesk, meeting: ReviewMeeting
) -> None:
    made = decided(desk, meeting, accept(desk))
    recommendations.track(
        recommendation_id=desk.news.pk,
        status="IMPLEMENTED",
        notes="Works.",
        version=2,
        user=desk.user,
        now=NOW,
    )
    with pytest.raises(ConflictError) as caught:
        undo(decision_id=made.pk, version=2, user=desk.user, now=NOW)
    assert caught.value.code == "changed_since"
    made.refresh_from_db()
    assert (made.undone_at, desk.news.notes) == (None, "Works.")


# --- the one action -------------------------------------------------------------------------------
def test_there_is_one_action(desk: MeetingDesk, meeting: ReviewMeeting) -> None:
    for version, text in ((1, "No news entries"), (2, "Half size on Mondays")):
        set_action(
            meeting_id=meeting.pk,
            version=version,
            agreed=agreed(desk, action=text),
            user=desk.user,
        )
    assert ActionItem.objects.get().action == "Half size on Mondays"
    # The same again, even from a stale page, changes nothing.
    same = agreed(desk, action="Half size on Mondays")
    set_action(meeting_id=meeting.pk, version=1, agreed=same, user=desk.user)
    meeting.refresh_from_db()
    assert meeting.version == 3


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"action": " "}, "action"),
        ({"action": "x" * 301}, "action"),
        ({"measure": ""}, "measure"),
        ({"target": ""}, "target"),
        ({"target": "always"}, "target"),  # cannot be counted
        ({"owner": "stranger"}, "owner"),
        ({"due_date": None}, "due_date"),
    ],
)
def test_an_action_is_measurable(
    desk: MeetingDesk, meeting: ReviewMeeting, changes: dict[str, Any], field: str
) -> None:
    with pytest.raises(UserError) as caught:
        set_action(meeting_id=meeting.pk, version=1, agreed=agreed(desk, **changes), user=desk.user)
    assert caught.value.field == field
    assert not ActionItem.objects.exists()


# --- closing --------------------------------------------------------------------------------------
def closed_meeting(desk: MeetingDesk, meeting: ReviewMeeting) -> ReviewMeeting:
    meeting.refresh_from_db()
    set_action(meeting_id=meeting.pk, version=meeting.version, agreed=agreed(desk), user=desk.user)
    return close_meeting(
        meeting_id=meeting.pk, version=meeting.version + 1, user=desk.user, now=NOW
    )


def test_without_an_action_no_meeting_closes(desk: MeetingDesk, meeting: ReviewMeeting) -> None:
    decided(desk, meeting, accept(desk))
    with pytest.raises(UserError, match=r"^Choose exactly one action\.$"):
        close_meeting(meeting_id=meeting.pk, version=2, user=desk.user, now=NOW)
    meeting.refresh_from_db()
    assert (meeting.closed_at, meeting.minutes, meeting.version) == (None, None, 2)


def test_minutes_are_what_was_seen_and_stay_so(desk: MeetingDesk, meeting: ReviewMeeting) -> None:
    decided(desk, meeting, accept(desk))
    meeting = closed_meeting(desk, meeting)
    minutes = meeting.minutes
    assert minutes["agenda"]["score"]["now"]["total_r"] == 1.1
    assert [d["kind"] for d in minutes["decisions"]] == ["accept"]
    assert minutes["action"]["target"] == "5 of 5"
    assert (minutes["closed_by"], minutes["period"]["kind"]) == (desk.user.username, "week")
    # Whatever happens to the trades, the minutes stay.
    desk.trades["best"].delete()
    assert agenda(desk.account, WEEK, now=NOW)["score"]["now"]["total_r"] == -0.9
    meeting = ReviewMeeting.objects.get(pk=meeting.pk)
    assert meeting.minutes == minutes
    assert is_intact(meeting)


def test_closing_twice_closes_once(desk: MeetingDesk, meeting: ReviewMeeting) -> None:
    first = closed_meeting(desk, meeting)
    later = NOW + timedelta(days=1)
    again = close_meeting(meeting_id=meeting.pk, version=1, user=desk.user, now=later)
    assert (again.closed_at, again.minutes_sha256) == (NOW, first.minutes_sha256)


def test_closed_minutes_are_only_read(desk: MeetingDesk, meeting: ReviewMeeting) -> None:
    made = decided(desk, meeting, accept(desk))
    closed_meeting(desk, meeting)
    meeting.refresh_from_db()
    version = meeting.version
    attempts = (
        lambda: decided(desk, meeting, ignore(desk)),
        lambda: undo(decision_id=made.pk, version=version, user=desk.user, now=NOW),
        lambda: set_action(
            meeting_id=meeting.pk, version=version, agreed=agreed(desk), user=desk.user
        ),
    )
    for attempt in attempts:
        with pytest.raises(ConflictError) as caught:
            attempt()
        assert caught.value.code == "meeting_closed"
    meeting.refresh_from_db()
    assert (meeting.version, desk.news.implementation_status) == (version, "IMPLEMENTED")


def test_every_changed_byte_of_the_minutes_shows(desk: MeetingDesk, meeting: ReviewMeeting) -> None:
    decided(desk, meeting, accept(desk))
    meeting = closed_meeting(desk, meeting)
    text = canonical(meeting.minutes)
    changed = 0
    for at in range(0, len(text), 97):
        other = "1" if text[at] != "1" else "2"
        try:
            broken = json.loads(text[:at] + other + text[at + 1 :])
        except ValueError:
            continue  # no longer JSON, which the database refuses
        if canonical(broken) == text:
            continue
        changed += 1
        meeting.minutes = broken
        assert not is_intact(meeting), text[at - 20 : at + 20]
    assert changed > 10


def test_a_change_behind_the_models_back_shows(desk: MeetingDesk, meeting: ReviewMeeting) -> None:
    meeting = closed_meeting(desk, meeting)
    broken = canonical(meeting.minutes).replace('"total_r":1.1', '"total_r":2.1')
    assert broken != canonical(meeting.minutes)
    with connection.cursor() as cursor:
        cursor.execute("update post_mortem_reviewmeeting set minutes = %s", [broken])
    assert not is_intact(ReviewMeeting.objects.get(pk=meeting.pk))


# --- what came of it ------------------------------------------------------------------------------
def test_the_next_review_reads_what_the_last_one_decided(
    desk: MeetingDesk, meeting: ReviewMeeting
) -> None:
    decided(desk, meeting, accept(desk))
    second = decided(desk, meeting, ignore(desk))
    meeting.refresh_from_db()
    undo(decision_id=second.pk, version=meeting.version, user=desk.user, now=NOW)
    meeting = closed_meeting(desk, meeting)
    report = {"kept": 4, "occasions": 5, "outcome": "Missed payrolls.", "user": desk.user}
    frozen = meeting.minutes_sha256
    meeting.refresh_from_db()
    for _ in range(2):  # reporting the same twice is reporting once
        report_action(meeting_id=meeting.pk, version=meeting.version, now=NOW, **report)
    last = agenda(desk.account, WEEK.moved(1), now=NOW)["last"]
    assert (last["action"]["kept"], last["action"]["occasions"]) == (4, 5)
    assert [(d["text"], d["came"]["status"]) for d in last["decisions"]] == [
        ("Stay out around USD releases.", "IMPLEMENTED")
    ]
    meeting.refresh_from_db()
    assert (meeting.minutes_sha256, is_intact(meeting)) == (frozen, True)


def test_a_week_does_not_follow_itself_or_what_came_later(
    desk: MeetingDesk, meeting: ReviewMeeting
) -> None:
    closed_meeting(desk, meeting)
    assert last_meeting(desk.account, WEEK) is None
    assert last_meeting(desk.account, WEEK.moved(-1)) is None
    assert last_meeting(desk.account, WEEK.moved(5)) == meeting


def test_a_meeting_that_decided_nothing_is_not_the_last(
    desk: MeetingDesk, meeting: ReviewMeeting
) -> None:
    made = decided(desk, meeting, accept(desk))
    assert last_meeting(desk.account, WEEK.moved(1)) == meeting
    undo(decision_id=made.pk, version=2, user=desk.user, now=NOW)
    assert last_meeting(desk.account, WEEK.moved(1)) is None


@pytest.mark.parametrize(("kept", "occasions"), [(-1, 5), (6, 5), (0, 0), (1, 100_001)])
def test_a_report_adds_up(
    desk: MeetingDesk, meeting: ReviewMeeting, kept: int, occasions: int
) -> None:
    closed_meeting(desk, meeting)
    meeting.refresh_from_db()
    with pytest.raises(UserError) as caught:
        report_action(
            meeting_id=meeting.pk,
            version=meeting.version,
            kept=kept,
            occasions=occasions,
            outcome="",
            user=desk.user,
            now=NOW,
        )
    assert caught.value.code == "bad_report"


def test_nothing_is_reported_of_no_action(desk: MeetingDesk, meeting: ReviewMeeting) -> None:
    with pytest.raises(ConflictError) as caught:
        report_action(
            meeting_id=meeting.pk, version=1, kept=1, occasions=1, outcome="", user=desk.user,
            now=NOW,
        )  # fmt: skip
    assert caught.value.code == "no_action"


# --- whose it is ----------------------------------------------------------------------------------
def attempts(desk: MeetingDesk, meeting: ReviewMeeting, decision: int, user: Any) -> list[Any]:
    meeting.refresh_from_db()
    version, pk = meeting.version, meeting.pk
    return [
        lambda: open_meeting(account_id=desk.account.pk, period=WEEK, user=user, now=NOW),
        lambda: decide(meeting_id=pk, version=version, choice=ignore(desk), user=user, now=NOW),
        lambda: undo(decision_id=decision, version=version, user=user, now=NOW),
        lambda: set_action(meeting_id=pk, version=version, agreed=agreed(desk), user=user),
        lambda: report_action(
            meeting_id=pk, version=version, kept=1, occasions=1, outcome="", user=user, now=NOW
        ),
        lambda: close_meeting(meeting_id=pk, version=version, user=user, now=NOW),
    ]


def test_a_foreign_meeting_is_not_there(desk: MeetingDesk, meeting: ReviewMeeting) -> None:
    made = decided(desk, meeting, accept(desk))
    for attempt in attempts(desk, meeting, made.pk, make_user("bob")):
        with pytest.raises(NotFoundError):
            attempt()
    assert not ReviewMeeting.objects.visible_to(make_user("eve")).exists()


def test_a_reviewer_reads_and_a_lead_decides(desk: MeetingDesk, meeting: ReviewMeeting) -> None:
    made = decided(desk, meeting, accept(desk))
    rita, lee = make_user("rita"), make_user("lee")
    Membership.objects.create(user=rita, desk=desk.account.desk, role=Role.REVIEWER)
    Membership.objects.create(user=lee, desk=desk.account.desk, role=Role.LEAD)
    assert ReviewMeeting.objects.visible_to(rita).get() == meeting
    for attempt in attempts(desk, meeting, made.pk, rita):
        with pytest.raises(UserError) as caught:
            attempt()
        assert caught.value.code == "not_permitted"
    decided(desk, meeting, ignore(desk), user=lee)
    assert desk.stop.implementation_status == "IGNORED"


def test_advice_of_another_account_is_not_decided_here(
    desk: MeetingDesk, meeting: ReviewMeeting
) -> None:
    other = make_desk_of_another_kind(desk)
    with pytest.raises(NotFoundError):
        decided(desk, meeting, accept(desk, recommendation_id=other.pk))
    assert other.implementation_status == "PENDING"


def make_desk_of_another_kind(desk: MeetingDesk) -> RecommendationTracking:
    account = desk.user.accounts.create(desk=desk.account.desk, name="second")
    return RecommendationTracking.objects.create(
        account=account, advice_key="k", kind="k", area="a", recommendation="Another."
    )
