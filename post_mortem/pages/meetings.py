"""The review of a period: alone the weekly review, full screen the meeting."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode

from post_mortem.core.meetings import Period, canonical, month_of, period_between, week_of
from post_mortem.models import ReviewMeeting
from post_mortem.selectors import meetings as selectors
from post_mortem.selectors import trades
from post_mortem.selectors.access import readable
from post_mortem.selectors.agenda import sheet_of
from post_mortem.selectors.recommendations import people_of
from post_mortem.selectors.viewer import Viewer, can_edit
from post_mortem.services import meetings as services
from trading.core.errors import ConflictError, NotFoundError, UserError
from trading.models import Account

from . import minutes
from .shell import page, show

PAGE_SIZE = 50
_DUE = timedelta(days=7)  # the next review is a week later


@page()
def show_review(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    if not viewer.accounts or not trades.has_any(viewer):
        return show(request, viewer, "post_mortem/first_run.html", {})
    now = timezone.now()
    account = _account(request.GET, viewer)
    period = _period(request.GET, account, now)
    return show(request, viewer, "post_mortem/review.html", _context(viewer, account, period, now))


def _context(viewer: Viewer, account: Account, period: Period, now: datetime) -> dict[str, Any]:
    meeting = selectors.meeting_of(account, period)
    closed = meeting if meeting is not None and meeting.minutes is not None else None
    sheet = closed.minutes if closed else sheet_of(account, period, meeting, now=now)
    people = [user.get_username() for user in people_of(account)]
    me = viewer.user.get_username()
    return {
        "account": account,
        "period": period,
        "meeting": meeting,
        "version": meeting.version if meeting else 0,
        "closed": closed,
        "intact": closed is None or selectors.is_intact(closed),
        "may_edit": closed is None and can_edit(viewer.user, account.pk),
        "may_report": can_edit(viewer.user, account.pk),
        "sheet": sheet,
        "agenda": _drawn(sheet["agenda"]),
        "unit_of_time": minutes.unit_of_time(sheet),
        "sentence": minutes.sentence(sheet),
        "days": minutes.days(sheet),
        "last_meeting": _reportable(viewer, sheet),
        "people": people,
        "owner": me if me in people else account.owner.get_username(),
        "due": period.last + _DUE,
        "steps": minutes.STEPS,
        "earlier": _link(account, period.moved(-1)),
        "later": _link(account, period.moved(1)),
        "spans": [
            (name, _link(account, other), other == period)
            for name, other in (
                ("Day", Period(period.last, period.last)),
                ("Week", week_of(period.last)),
                ("Month", month_of(period.last)),
            )
        ],
        "held": selectors.meetings(viewer.user).count(),
        "listed_out": max(0, sheet["agenda"]["score"]["now"]["n"] - len(sheet["agenda"]["trades"])),
    }


def _drawn(agenda: Mapping[str, Any]) -> dict[str, Any]:
    """The agenda with the trades themselves where it names their ids: what ribbons need."""
    listed = {trade["id"]: trade for trade in agenda["trades"]}
    named = {
        part: [
            {**item, "drawn": [listed[pk] for pk in item["trades"] if pk in listed]}
            for item in agenda[part]
        ]
        for part in ("patterns", "leaks", "proposals")
    }
    return {**agenda, **named}


def _reportable(viewer: Viewer, sheet: Mapping[str, Any]) -> ReviewMeeting | None:
    """The meeting whose action is reported here, with the version to name."""
    last = sheet["agenda"]["last"]
    if last is None:
        return None
    found: ReviewMeeting | None = (
        ReviewMeeting.objects.visible_to(viewer.user).filter(pk=last["meeting"]).first()
    )
    return found


@page()
def show_past(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    number = request.GET.get("page", "1")
    paginator = Paginator(selectors.meetings(viewer.user), PAGE_SIZE)
    at = paginator.get_page(number if number.isascii() and len(number) < 6 else 1)
    rows = [(row, minutes.between(row.first_day, row.last_day), _told(row)) for row in at]
    return show(
        request,
        viewer,
        "post_mortem/review_past.html",
        {"rows": rows, "page": at, "total": paginator.count},
    )


def _told(row: ReviewMeeting) -> str:
    return minutes.sentence(row.minutes) if row.minutes else ""


@page()
def export(request: HttpRequest, viewer: Viewer, meeting_id: int, form: str) -> HttpResponse:
    """Closed minutes as a file. The JSON is the text whose sha256 the page shows."""
    meeting = readable(ReviewMeeting.objects.all(), user=viewer.user, pk=meeting_id)
    if meeting.minutes is None:
        raise ConflictError("not_closed", "Minutes are written when the meeting is closed.")
    if form == "json":
        body, kind = canonical(meeting.minutes), "application/json"
    else:
        intact = selectors.is_intact(meeting)
        body = minutes.markdown(meeting.minutes, meeting.minutes_sha256, intact=intact)
        kind = "text/markdown; charset=utf-8"
    name = f"review-{meeting.first_day}-{meeting.last_day}.{form}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return HttpResponse(body.encode(), content_type=kind, headers=headers)


# --- Which review -------------------------------------------------------------------------------
def _account(given: Mapping[str, str], viewer: Viewer) -> Account:
    asked = given.get("account", "")
    if asked:
        number = int(asked) if asked.isascii() and asked.isdecimal() and len(asked) < 18 else 0
        found = viewer.account(number)
        if found is None:
            raise NotFoundError("not_found", "Not found.")
        return found
    own = [account for account in viewer.accounts if account.owner_id == viewer.user.pk]
    return (own or list(viewer.accounts))[0]


def _period(given: Mapping[str, str], account: Account, now: datetime) -> Period:
    first, last = given.get("from", ""), given.get("to", "")
    if not first and not last:
        return selectors.due_period(account, now=now)
    return period_between(_day("from", first), _day("to", last or first))


def _day(field: str, text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UserError("bad_period", "A day is written like 2014-05-02.", field=field) from None


def _link(account: Account, period: Period) -> str:
    query = {"account": account.pk, "from": period.first, "to": period.last}
    return f"{reverse('pages:review')}?{urlencode(query)}"


# --- What people do -----------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class _Change:
    """One write, as it is done and as it is said."""

    do: Callable[[ReviewMeeting, int], object]
    said: str
    step: int


@page("POST")
def change(request: HttpRequest, viewer: Viewer, action: str) -> HttpResponse:
    """One change of the meeting of a period. The first one opens it."""
    given = {key: str(value) for key, value in request.POST.items()}
    account = _account(given, viewer)
    period = _period(given, account, timezone.now())
    wanted = _CHANGES[action](given, viewer)
    try:
        # A change that is refused opens no meeting.
        with transaction.atomic():
            meeting, version = _opened(account, period, given, viewer)
            wanted.do(meeting, version)
    except ConflictError as error:
        if error.code != "version_stale":
            raise
        return _stale(request, viewer, account, period, given)
    messages.success(request, wanted.said)
    return redirect(f"{_link(account, period)}#step-{wanted.step}")


def _opened(
    account: Account, period: Period, given: Mapping[str, str], viewer: Viewer
) -> tuple[ReviewMeeting, int]:
    """The meeting, and the version that was read: 0 is a meeting that nobody had opened."""
    version = _number(given, "version")
    before = selectors.meeting_of(account, period)
    if before is not None or version:
        if before is None:
            raise NotFoundError("not_found", "Not found.")
        return before, version
    meeting = services.open_meeting(
        account_id=account.pk, period=period, user=viewer.user, now=timezone.now()
    )
    return meeting, meeting.version


def _number(given: Mapping[str, str], name: str) -> int:
    text = given.get(name, "")
    if not (text.isascii() and text.isdecimal() and len(text) < 18):
        raise UserError("bad_number", f"{name.replace('_', ' ')}: a number is missing.", field=name)
    return int(text)


def _due(given: Mapping[str, str]) -> date | None:
    text = given.get("due_date", "")
    return _day("due_date", text) if text else None


def _decided(given: Mapping[str, str], viewer: Viewer) -> _Change:
    choice = services.Choice(
        kind=given.get("kind", ""),
        recommendation_id=_number(given, "recommendation"),
        recommendation_version=_number(given, "recommendation_version"),
        owner=given.get("owner", ""),
        due_date=_due(given),
        reason=given.get("reason", ""),
    )

    def do(meeting: ReviewMeeting, version: int) -> object:
        return services.decide(
            meeting_id=meeting.pk,
            version=version,
            choice=choice,
            user=viewer.user,
            now=timezone.now(),
        )

    return _Change(do, f"{minutes.KINDS.get(choice.kind, 'Decided')}.", 6)


def _undone(given: Mapping[str, str], viewer: Viewer) -> _Change:
    decision = _number(given, "decision")

    def do(meeting: ReviewMeeting, version: int) -> object:
        return services.undo(
            decision_id=decision, version=version, user=viewer.user, now=timezone.now()
        )

    return _Change(do, "Taken back.", 6)


def _agreed(given: Mapping[str, str], viewer: Viewer) -> _Change:
    names = ("action", "measure", "target", "owner")
    agreed = services.Agreed(**{name: given.get(name, "") for name in names}, due_date=_due(given))

    def do(meeting: ReviewMeeting, version: int) -> object:
        return services.set_action(
            meeting_id=meeting.pk, version=version, agreed=agreed, user=viewer.user
        )

    return _Change(do, "Agreed.", 7)


def _closed(given: Mapping[str, str], viewer: Viewer) -> _Change:
    def do(meeting: ReviewMeeting, version: int) -> object:
        return services.close_meeting(
            meeting_id=meeting.pk, version=version, user=viewer.user, now=timezone.now()
        )

    return _Change(do, "Closed.", 1)


_CHANGES: Mapping[str, Callable[[Mapping[str, str], Viewer], _Change]] = {
    "decide": _decided,
    "undo": _undone,
    "action": _agreed,
    "close": _closed,
}


@page("POST")
def report(request: HttpRequest, viewer: Viewer, meeting_id: int) -> HttpResponse:
    """Say what came of the action of an earlier meeting."""
    given = {key: str(value) for key, value in request.POST.items()}
    account = _account(given, viewer)
    period = _period(given, account, timezone.now())
    try:
        services.report_action(
            meeting_id=meeting_id,
            version=_number(given, "version"),
            kept=_number(given, "kept"),
            occasions=_number(given, "occasions"),
            outcome=given.get("outcome", ""),
            user=viewer.user,
            now=timezone.now(),
        )
    except ConflictError as error:
        if error.code != "version_stale":
            raise
        return _stale(request, viewer, account, period, given, reported=meeting_id)
    messages.success(request, "Reported.")
    return redirect(f"{_link(account, period)}#step-2")


def _stale(
    request: HttpRequest,
    viewer: Viewer,
    account: Account,
    period: Period,
    given: Mapping[str, str],
    *,
    reported: int | None = None,
) -> HttpResponse:
    """What somebody else did meanwhile, and the reader's own change to apply on top of it."""
    if reported is None:
        meeting = selectors.meeting_of(account, period)
    else:
        meeting = readable(ReviewMeeting.objects.all(), user=viewer.user, pk=reported)
    again = {k: v for k, v in given.items() if k != "csrfmiddlewaretoken"}
    again["version"] = str(meeting.version if meeting else 0)
    if "recommendation" in again:
        now = selectors.version_of_advice(account, int(again["recommendation"]))
        again["recommendation_version"] = str(now)
    made = selectors.decisions_of(meeting) if meeting else []
    latest = max(made, key=lambda d: d["undone_at"] or d["decided_at"], default=None)
    context = {
        "again": again,
        "latest": latest,
        "said": minutes.KINDS[latest["kind"]].lower() if latest else "",
        "back": _link(account, period),
    }
    return show(request, viewer, "post_mortem/review_meeting_stale.html", context, status=412)
