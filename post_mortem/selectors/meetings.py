"""Meetings as rows: which one a period has, what it decided, and what came of the one before."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import Exists, Max, OuterRef, Prefetch

from post_mortem.core.meetings import Period, due_week, fingerprint, plain, week_of
from post_mortem.models import (
    ActionItem,
    ImpactVerdict,
    MeasurementPlan,
    MeetingDecision,
    RecommendationTracking,
    ReviewMeeting,
)
from trading.models import Account, Trade


def due_period(account: Account, *, now: datetime) -> Period:
    """The week whose review is due."""
    zone = ZoneInfo(account.time_zone)
    today = now.astimezone(zone).date()
    start, _ = week_of(today).span(zone)
    before = Trade.objects.filter(account=account, closed_at__lt=start)
    last = before.aggregate(last=Max("closed_at"))["last"]
    return due_week(today, None if last is None else last.astimezone(zone).date())


def meeting_of(account: Account, period: Period) -> ReviewMeeting | None:
    found: ReviewMeeting | None = (
        ReviewMeeting.objects.filter(account=account, first_day=period.first, last_day=period.last)
        .select_related("account__owner", "opened_by", "closed_by")
        .first()
    )
    return found


def meetings(user: Any) -> Any:
    """Every meeting that the user may see, the newest first, with its action."""
    mine = ReviewMeeting.objects.visible_to(user).select_related("account", "action__owner")
    return mine.order_by("-last_day", "-first_day", "-pk")


def decisions_of(meeting: ReviewMeeting) -> list[dict[str, Any]]:
    """Every decision as it was made, in order; one that was taken back says when."""
    made = meeting.decisions.select_related("owner", "decided_by")
    return [_decision(row) for row in made]


def _decision(row: MeetingDecision) -> dict[str, Any]:
    told: dict[str, Any] = plain(
        {
            "id": row.pk,
            "kind": row.kind,
            "text": row.text,
            "reason": row.reason,
            "recommendation": row.recommendation_id,
            "experiment": row.experiment_id,
            "evidence": row.evidence,
            "owner": name_of(row.owner),
            "due_date": row.due_date,
            "decided_by": name_of(row.decided_by),
            "decided_at": row.decided_at,
            "undone_at": row.undone_at,
        }
    )
    return told


def action_of(meeting: ReviewMeeting) -> dict[str, Any] | None:
    row = ActionItem.objects.filter(meeting=meeting).select_related("owner").first()
    if row is None:
        return None
    told: dict[str, Any] = plain(
        {
            "action": row.action,
            "measure": row.measure,
            "target": row.target,
            "owner": name_of(row.owner),
            "due_date": row.due_date,
            "kept": row.kept,
            "occasions": row.occasions,
            "outcome": row.outcome,
            "reported_at": row.reported_at,
        }
    )
    return told


def name_of(user: Any) -> str:
    return user.get_username() if user is not None else ""


def is_intact(meeting: ReviewMeeting) -> bool:
    """Whether closed minutes are to the byte what was frozen."""
    return meeting.minutes is not None and fingerprint(meeting.minutes) == meeting.minutes_sha256


# --- What the last meeting decided, and what came of it -------------------------------------------
def last_meeting(account: Account, period: Period) -> ReviewMeeting | None:
    """The newest meeting about days before the period that decided something."""
    earlier = ReviewMeeting.objects.filter(account=account, last_day__lt=period.first)
    made = MeetingDecision.objects.filter(meeting=OuterRef("pk"), undone_at=None)
    agreed = ActionItem.objects.filter(meeting=OuterRef("pk"))
    decided = earlier.filter(Exists(made) | Exists(agreed))
    found: ReviewMeeting | None = decided.order_by("-last_day", "-pk").first()
    return found


def last(account: Account, period: Period) -> dict[str, Any] | None:
    meeting = last_meeting(account, period)
    if meeting is None:
        return None
    standing = decisions_of(meeting)
    named = [d["recommendation"] for d in standing if d["recommendation"] and not d["undone_at"]]
    came = what_came(named)
    return {
        "meeting": meeting.pk,
        "first_day": meeting.first_day,
        "last_day": meeting.last_day,
        "closed": meeting.closed_at is not None,
        "action": action_of(meeting),
        "decisions": [
            d | {"came": came.get(d["recommendation"])} for d in standing if not d["undone_at"]
        ],
    }


def what_came(recommendations: Sequence[int]) -> dict[int, dict[str, Any]]:
    """Status and newest verdict of each recommendation: two queries."""
    plans = MeasurementPlan.objects.order_by("-number").prefetch_related(
        Prefetch("verdicts", ImpactVerdict.objects.order_by("-number"))
    )
    found = RecommendationTracking.objects.filter(pk__in=recommendations)
    told = {}
    for row in found.prefetch_related(Prefetch("measurement_plans", plans)):
        plan = next(iter(row.measurement_plans.all()), None)
        verdict = next(iter(plan.verdicts.all()), None) if plan else None
        told[row.pk] = {
            "status": row.implementation_status,
            "verdict": verdict.verdict if verdict else "",
            "result": verdict.result if verdict else None,
        }
    return told


def version_of_advice(account: Account, pk: int) -> int:
    """The version of a piece of advice as it is now; 0 where it is gone."""
    mine = RecommendationTracking.objects.filter(account=account, pk=pk)
    return mine.values_list("version", flat=True).first() or 0
