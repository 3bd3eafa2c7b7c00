"""Holding a review meeting: decide, take back, agree on one action, close.

Every write names the version of the meeting that was read and succeeds for one of those who read
it; the same decision sent twice is one decision. A decision changes the advice it is about in the
same transaction, and taking it back restores the advice unless somebody changed it since. Closing
freezes the minutes; after that only what came of the action is written.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any, Final

from django.db import transaction

from post_mortem.core.meetings import Period, fingerprint
from post_mortem.models import (
    ActionItem,
    Experiment,
    MeetingDecision,
    RecommendationTracking,
    ReviewMeeting,
)
from post_mortem.selectors.access import writable
from post_mortem.selectors.agenda import proposals, sheet_of
from post_mortem.selectors.recommendations import people_of
from trading.core.errors import ConflictError, NotFoundError, UserError
from trading.models import Account, editable_accounts, visible_accounts

from . import experiments, recommendations
from .experiment_plans import MAX_NAME, MAX_RULE, SCOPE

Kind = MeetingDecision.Kind
Status = RecommendationTracking.Status

MAX_REASON: Final = 1_000
MAX_OUTCOME: Final = 2_000
MAX_TIMES: Final = 100_000
ONE_ACTION: Final = "Choose exactly one action."
TAKEN_BACK: Final = "Taken back in the review that started it."


@dataclass(frozen=True, slots=True)
class Choice:
    """What was decided about one piece of advice, read at `recommendation_version`."""

    kind: str
    recommendation_id: int
    recommendation_version: int
    owner: str = ""
    due_date: date | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Agreed:
    """The one action: what is done, how it is counted, how often, by whom and until when."""

    action: str
    measure: str
    target: str
    owner: str
    due_date: date | None


@transaction.atomic
def open_meeting(*, account_id: int, period: Period, user: Any, now: datetime) -> ReviewMeeting:
    """The meeting about a period of an account: one, however often it is opened.

    Raises `NotFoundError` (absent or foreign account), `UserError` `not_permitted`.
    """
    account = visible_accounts(user).filter(pk=account_id).first()
    if account is None:
        raise NotFoundError("not_found", "Not found.")
    if not editable_accounts(user).filter(pk=account_id).exists():
        raise UserError("not_permitted", "You may read this, not change it.")
    meeting, _ = ReviewMeeting.objects.get_or_create(
        account=account,
        first_day=period.first,
        last_day=period.last,
        defaults={"opened_by": user, "opened_at": now},
    )
    return meeting


@transaction.atomic
def decide(
    *, meeting_id: int, version: int, choice: Choice, user: Any, now: datetime
) -> MeetingDecision:
    """Save a decision and do what it says: accepted advice is implemented with an owner and a date,
    an experiment on it is started, ignored advice keeps the reason.

    Raises `NotFoundError`, `ConflictError` `version_stale` (of the meeting or of the advice),
    `meeting_closed`, `already_decided`, `not_pending`, `UserError` `bad_kind`, `bad_owner`,
    `bad_due_date`, `bad_reason`, `not_permitted`, and what `start_experiment` raises.
    """
    meeting = _writable(meeting_id, user)
    advice = _advice(meeting, choice.recommendation_id)
    owner, choice = _checked(meeting, choice)
    before = meeting.decisions.filter(recommendation=advice, undone_at=None).first()
    if before is not None:
        if _same(before, choice, owner):
            return before
        detail = "This was decided in this meeting already. Take that back first."
        raise ConflictError("already_decided", detail, field="recommendation_id")
    if advice.merged_into_id is not None:
        detail = "This advice was merged into another. Decide on that one."
        raise ConflictError("merged", detail, field="recommendation_id")
    if advice.implementation_status != Status.PENDING:
        detail = f"This advice is {advice.get_implementation_status_display().lower()} already."
        raise ConflictError("not_pending", detail, field="recommendation_id")
    _next_version(meeting, version)
    seen = _seen(meeting, advice)
    done = _DO[choice.kind](advice, choice, owner, user, now)
    return MeetingDecision.objects.create(
        **done,
        meeting=meeting,
        kind=choice.kind,
        text=advice.recommendation,
        reason=choice.reason,
        recommendation=advice,
        evidence=seen,
        owner=owner,
        due_date=choice.due_date,
        decided_by=user,
        decided_at=now,
    )


@transaction.atomic
def undo(*, decision_id: int, version: int, user: Any, now: datetime) -> MeetingDecision:
    """Take a decision back: the advice is what it was before, the row stays and says when.

    Raises as `decide`, and `ConflictError` `changed_since` where somebody changed the advice after
    the decision. Taking back twice changes nothing.
    """
    found = MeetingDecision.objects.filter(
        pk=decision_id, meeting__in=ReviewMeeting.objects.visible_to(user)
    ).first()
    if found is None:
        raise NotFoundError("not_found", "Not found.")
    meeting = _writable(found.meeting_id, user)
    if found.undone_at is not None:
        return found
    _next_version(meeting, version)
    _take_back(found, user, now)
    found.undone_at = now
    found.save(update_fields=["undone_at"])
    return found


@transaction.atomic
def set_action(*, meeting_id: int, version: int, agreed: Agreed, user: Any) -> ActionItem:
    """Agree on the one action, in place of any before.

    Raises `NotFoundError`, `ConflictError` `version_stale`, `meeting_closed`, `UserError`
    `bad_action` naming the field, `bad_owner`, `not_permitted`.
    """
    meeting = _writable(meeting_id, user)
    values = _agreed(meeting, agreed)
    before = ActionItem.objects.filter(meeting=meeting).first()
    if before is not None and all(getattr(before, name) == v for name, v in values.items()):
        return before
    _next_version(meeting, version)
    item, _ = ActionItem.objects.update_or_create(meeting=meeting, defaults=values)
    return item


@transaction.atomic
def report_action(
    *,
    meeting_id: int,
    version: int,
    kept: int,
    occasions: int,
    outcome: str,
    user: Any,
    now: datetime,
) -> ActionItem:
    """Say what came of the action: kept `kept` of `occasions` times. Minutes stay as they are.

    Raises `NotFoundError`, `ConflictError` `version_stale`, `no_action`, `UserError` `bad_report`,
    `not_permitted`.
    """
    meeting = writable(ReviewMeeting.objects.all(), user=user, pk=meeting_id)
    item = ActionItem.objects.filter(meeting=meeting).first()
    if item is None:
        raise ConflictError("no_action", "This meeting agreed on no action.")
    if not 0 <= kept <= occasions or not 0 < occasions <= MAX_TIMES:
        detail = f"Kept times of all times, like 4 of 5; at most {MAX_TIMES:,}."
        raise UserError("bad_report", detail, field="kept")
    values = {"kept": kept, "occasions": occasions, "outcome": _text(outcome, MAX_OUTCOME)}
    if all(getattr(item, name) == value for name, value in values.items()):
        return item
    _next_version(meeting, version)
    ActionItem.objects.filter(pk=item.pk).update(**values, reported_at=now)
    item.refresh_from_db()
    return item


@transaction.atomic
def close_meeting(*, meeting_id: int, version: int, user: Any, now: datetime) -> ReviewMeeting:
    """Freeze the minutes with their fingerprint. Closing a closed meeting changes nothing.

    Raises `NotFoundError`, `ConflictError` `version_stale`, `UserError` `one_action`,
    `not_permitted`.
    """
    meeting: ReviewMeeting = writable(
        ReviewMeeting.objects.select_related("account__owner", "opened_by"),
        user=user,
        pk=meeting_id,
    )
    if meeting.closed_at is not None:
        return meeting
    if not ActionItem.objects.filter(meeting=meeting).exists():
        raise UserError("one_action", ONE_ACTION, field="action")
    _next_version(meeting, version)
    minutes = sheet_of(
        meeting.account,
        Period(meeting.first_day, meeting.last_day),
        meeting,
        now=now,
        closed_by=user.get_username(),
        closed_at=now,
    )
    meeting.minutes, meeting.minutes_sha256 = minutes, fingerprint(minutes)
    meeting.closed_by, meeting.closed_at = user, now
    meeting.save(update_fields=["minutes", "minutes_sha256", "closed_by", "closed_at"])
    return meeting


# --- What a decision does to the advice -----------------------------------------------------------
def _accept(
    advice: RecommendationTracking, choice: Choice, owner: Any, user: Any, now: datetime
) -> dict[str, Any]:
    changes = {"status": Status.IMPLEMENTED, "owner": owner, "due_date": choice.due_date}
    return _changed(advice, choice, changes, user, now)


def _ignore(
    advice: RecommendationTracking, choice: Choice, owner: Any, user: Any, now: datetime
) -> dict[str, Any]:
    reason = f"Ignored in the review: {choice.reason}"
    notes = f"{advice.notes}\n{reason}" if advice.notes else reason
    return _changed(advice, choice, {"status": Status.IGNORED, "notes": notes}, user, now)


def _experiment(
    advice: RecommendationTracking, choice: Choice, owner: Any, user: Any, now: datetime
) -> dict[str, Any]:
    """Test it on one's own trading days; the advice stays pending until that has decided."""
    changes = {"owner": owner, "due_date": choice.due_date}
    changed = _changed(advice, choice, changes, user, now)
    scope = {k: v for k, v in advice.scope.items() if k in SCOPE and v != "any"}
    started = experiments.start_experiment(
        account=advice.account,
        recommendation=advice,
        name=advice.recommendation[:MAX_NAME],
        rule=advice.recommendation[:MAX_RULE],
        unit=Experiment.Unit.DAY,
        scope=scope,
        starts_on=None,
        shadow=False,
        strict=False,
        user=user,
        now=now,
    )
    return {**changed, "experiment": started}


_DO: Final[Mapping[str, Callable[..., dict[str, Any]]]] = {
    Kind.ACCEPT: _accept,
    Kind.EXPERIMENT: _experiment,
    Kind.IGNORE: _ignore,
}


def _changed(
    advice: RecommendationTracking,
    choice: Choice,
    changes: Mapping[str, Any],
    user: Any,
    now: datetime,
) -> dict[str, Any]:
    try:
        row = recommendations.change(
            recommendation_id=advice.pk,
            changes=changes,
            version=choice.recommendation_version,
            user=user,
            now=now,
        )
    except ConflictError as error:
        raise ConflictError(error.code, error.detail, field="recommendation_version") from error
    return {"advice_version": row.version}


def _take_back(decision: MeetingDecision, user: Any, now: datetime) -> None:
    advice, experiment = decision.recommendation, decision.experiment
    if experiment is not None and experiment.status == Experiment.Status.RUNNING:
        experiments.stop_experiment(
            experiment_id=experiment.pk,
            reason=TAKEN_BACK,
            version=experiment.version,
            user=user,
            now=now,
        )
    if advice is None:
        return
    if advice.version != decision.advice_version:
        detail = "The advice was changed since. Change it on the board."
        raise ConflictError("changed_since", detail)
    recommendations.undo_last(
        recommendation_id=advice.pk, version=advice.version, user=user, now=now
    )


# --- Checks ---------------------------------------------------------------------------------------
def _writable(meeting_id: int, user: Any) -> ReviewMeeting:
    meeting: ReviewMeeting = writable(
        ReviewMeeting.objects.select_related("account__owner"), user=user, pk=meeting_id
    )
    if meeting.closed_at is not None:
        raise ConflictError("meeting_closed", "These minutes are closed: they are only read.")
    return meeting


def _advice(meeting: ReviewMeeting, pk: int) -> RecommendationTracking:
    found: RecommendationTracking | None = RecommendationTracking.objects.filter(
        account=meeting.account_id, pk=pk
    ).first()
    if found is None:
        raise NotFoundError("not_found", "Not found.")
    return found


def _checked(meeting: ReviewMeeting, choice: Choice) -> tuple[Any, Choice]:
    """The owner (None where a decision has none), and the choice with only what it takes."""
    if choice.kind not in _DO:
        raise UserError("bad_kind", f"A decision is one of {', '.join(_DO)}.", field="kind")
    if choice.kind == Kind.IGNORE:
        why = _text(choice.reason, MAX_REASON, field="reason", least=3)
        return None, replace(choice, owner="", due_date=None, reason=why)
    if choice.due_date is None:
        raise UserError("bad_due_date", "Say until when.", field="due_date")
    said = replace(choice, reason=_text(choice.reason, MAX_REASON, field="reason"))
    return _owner(meeting.account, choice.owner), said


def _owner(account: Account, name: str) -> Any:
    found = people_of(account).filter(username=name).first()
    if found is None:
        raise UserError("bad_owner", "An owner is somebody of this desk.", field="owner")
    return found


def _same(before: MeetingDecision, choice: Choice, owner: Any) -> bool:
    return (before.kind, before.owner, before.due_date, before.reason) == (
        choice.kind,
        owner,
        choice.due_date,
        choice.reason,
    )


def _agreed(meeting: ReviewMeeting, agreed: Agreed) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, limit in (("action", 300), ("measure", 300), ("target", 100)):
        values[name] = _text(getattr(agreed, name), limit, field=name, least=1)
    if not re.search(r"\d", values["target"]):
        detail = "A target is counted: a number, like 5 of 5."
        raise UserError("bad_action", detail, field="target")
    if agreed.due_date is None:
        raise UserError("bad_action", "Say until when.", field="due_date")
    owner = _owner(meeting.account, agreed.owner)
    return values | {"owner": owner, "due_date": agreed.due_date}


def _text(text: str, limit: int, *, field: str = "outcome", least: int = 0) -> str:
    """One line of a person's words. What no text has, a database may not take."""
    kept = " ".join(text.split())
    if not least <= len(kept) <= limit or not kept.isprintable():
        what = f"{least} to {limit}" if least else f"at most {limit}"
        code = "bad_reason" if field == "reason" else "bad_action"
        raise UserError(code, f"{field.capitalize()}: {what} printable characters.", field=field)
    return kept


def _seen(meeting: ReviewMeeting, advice: RecommendationTracking) -> dict[str, Any]:
    """The figures it was decided on."""
    period = Period(meeting.first_day, meeting.last_day)
    (shown,) = proposals(meeting.account, period, only=advice.pk)["proposals"]
    return {name: shown[name] for name in ("came_up", "n", "r", "trades")}


def _next_version(meeting: ReviewMeeting, version: int) -> None:
    # The condition is in the statement: of all who read this version, one changes the meeting.
    mine = ReviewMeeting.objects.filter(pk=meeting.pk, version=version)
    if meeting.version != version or not mine.update(version=version + 1):
        detail = "This meeting was changed since it was read. Read it again."
        raise ConflictError("version_stale", detail, field="version")
    meeting.version = version + 1
