"""Review meetings: one a period of an account, its decisions, its one action, its minutes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from post_mortem.core.meetings import Period, period_between
from post_mortem.models import MeetingDecision, ReviewMeeting
from post_mortem.selectors.access import readable
from post_mortem.selectors.agenda import sheet_of
from post_mortem.selectors.meetings import is_intact
from post_mortem.services import meetings
from trading.core.errors import NotFoundError

from .base import Endpoint, ListEndpoint, visible
from .fields import (
    IdField,
    Query,
    StrictIntegerField,
    StrictSerializer,
    StrictTextField,
)
from .idempotency import idempotent
from .recommendations import VersionRequired
from .schema import IDEMPOTENCY, answers

_CHANGED = (403, 404, 409, 412, 415, 422, 428)


class MeetingSerializer(serializers.ModelSerializer[ReviewMeeting]):
    account = serializers.IntegerField(source="account_id")

    class Meta:
        model = ReviewMeeting
        fields = (
            *("id", "account", "first_day", "last_day", "version"),
            *("opened_at", "closed_at", "minutes_sha256"),
        )
        read_only_fields = fields


class WholeMeetingSerializer(MeetingSerializer):
    """`sheet` is the agenda with decisions and action: as it is now, or the frozen minutes, whose
    sha256 is that of its canonical JSON (sorted keys, no spaces)."""

    sheet = serializers.SerializerMethodField()
    is_intact = serializers.SerializerMethodField(
        help_text="Whether closed minutes are what was frozen; null while open"
    )

    class Meta(MeetingSerializer.Meta):
        fields = (*MeetingSerializer.Meta.fields, "is_intact", "sheet")
        read_only_fields = fields

    def get_sheet(self, row: ReviewMeeting) -> dict[str, Any]:
        if row.minutes is not None:
            minutes: dict[str, Any] = row.minutes
            return minutes
        period = Period(row.first_day, row.last_day)
        return sheet_of(row.account, period, row, now=timezone.now())

    def get_is_intact(self, row: ReviewMeeting) -> bool | None:
        return None if row.minutes is None else is_intact(row)


class MeetingQuery(Query):
    account = serializers.IntegerField(required=False, min_value=1)


class OpenSerializer(StrictSerializer):
    account = IdField()
    first_day = serializers.DateField()
    last_day = serializers.DateField(help_text="Included; at most 366 days")


class MeetingVersionSerializer(StrictSerializer):
    version = IdField(required=False, help_text="The version that was read; without it 428")


class DecisionSerializer(MeetingVersionSerializer):
    kind = StrictTextField(max_length=10, help_text=", ".join(MeetingDecision.Kind.values))
    recommendation_id = IdField()
    recommendation_version = IdField(help_text="The recommendation's version that was read")
    owner = StrictTextField(required=False, max_length=150, help_text="Name; unless ignored")
    due_date = serializers.DateField(required=False, help_text="Unless ignored")
    reason = StrictTextField(
        required=False, allow_blank=True, max_length=meetings.MAX_REASON, help_text="To ignore"
    )


class ActionSerializer(MeetingVersionSerializer):
    action = StrictTextField(max_length=300)
    measure = StrictTextField(max_length=300, help_text="How it is counted")
    target = StrictTextField(max_length=100, help_text="With a number, like 5 of 5")
    owner = StrictTextField(max_length=150)
    due_date = serializers.DateField()


class ActionReportSerializer(MeetingVersionSerializer):
    kept = StrictIntegerField(min_value=0, max_value=meetings.MAX_TIMES)
    occasions = StrictIntegerField(min_value=1, max_value=meetings.MAX_TIMES)
    outcome = StrictTextField(required=False, allow_blank=True, max_length=meetings.MAX_OUTCOME)


def _whole(meeting_id: int, user: Any) -> Response:
    rows = ReviewMeeting.objects.select_related("account__owner", "opened_by")
    row = readable(rows, user=user, pk=meeting_id)
    return Response(WholeMeetingSerializer(row).data)


class MeetingList(ListEndpoint):
    query_class = MeetingQuery
    row_class = MeetingSerializer

    @extend_schema(
        operation_id="meetings",
        parameters=[MeetingQuery],
        responses=answers({200: MeetingSerializer(many=True)}, 404),
    )
    def get(self, request: Request) -> Response:
        """Review meetings, the newest period first."""
        return super().get(request)

    def rows(self, request: Request) -> QuerySet[ReviewMeeting]:
        rows = visible(ReviewMeeting.objects.all(), request.user).filter(**self.wanted)
        ordered: QuerySet[ReviewMeeting] = rows.order_by("-last_day", "-first_day", "-pk")
        return ordered

    @extend_schema(
        operation_id="meeting_open",
        parameters=[IDEMPOTENCY],
        request=OpenSerializer,
        responses=answers({200: WholeMeetingSerializer}, 403, 404, 409, 415, 422),
    )
    @idempotent()
    def post(self, request: Request) -> Response:
        """Open the meeting about a period, in whole days of the account's zone. There is one a
        period, however often it is opened."""
        given = self.body(request, OpenSerializer)
        meeting = meetings.open_meeting(
            account_id=given["account"],
            period=period_between(given["first_day"], given["last_day"]),
            user=request.user,
            now=timezone.now(),
        )
        return _whole(meeting.pk, request.user)


class MeetingDetail(Endpoint):
    @extend_schema(operation_id="meeting", responses=answers({200: WholeMeetingSerializer}, 404))
    def get(self, request: Request, meeting_id: int) -> Response:
        """One meeting with its sheet."""
        return _whole(meeting_id, request.user)


class _Change(Endpoint):
    def changed(
        self,
        request: Request,
        meeting_id: int,
        serializer: type[StrictSerializer],
        do: Callable[[dict[str, Any]], object],
    ) -> Response:
        """Do one thing with the body at the version that was read, and answer with the whole."""
        given = self.body(request, serializer)
        if "version" not in given:
            raise VersionRequired
        do(given)
        return _whole(meeting_id, request.user)


class MeetingDecisions(_Change):
    @extend_schema(
        operation_id="meeting_decide",
        parameters=[IDEMPOTENCY],
        request=DecisionSerializer,
        responses=answers({200: WholeMeetingSerializer}, *_CHANGED),
    )
    @idempotent()
    def post(self, request: Request, meeting_id: int) -> Response:
        """Accept advice (implemented, with owner and date), start an experiment on it, or ignore it
        with a reason."""

        def do(given: dict[str, Any]) -> object:
            version = given.pop("version")
            return meetings.decide(
                meeting_id=meeting_id,
                version=version,
                choice=meetings.Choice(**given),
                user=request.user,
                now=timezone.now(),
            )

        return self.changed(request, meeting_id, DecisionSerializer, do)


class MeetingDecisionUndo(_Change):
    @extend_schema(
        operation_id="meeting_decision_undo",
        parameters=[IDEMPOTENCY],
        request=MeetingVersionSerializer,
        responses=answers({200: WholeMeetingSerializer}, *_CHANGED),
    )
    @idempotent()
    def post(self, request: Request, meeting_id: int, decision_id: int) -> Response:
        """Take a decision back: the advice is as it was before, the decision stays listed."""
        mine = MeetingDecision.objects.filter(
            pk=decision_id,
            meeting=meeting_id,
            meeting__in=ReviewMeeting.objects.visible_to(request.user),
        )
        if not mine.exists():
            raise NotFoundError("not_found", "Not found.")

        def do(given: dict[str, Any]) -> object:
            return meetings.undo(
                decision_id=decision_id,
                version=given["version"],
                user=request.user,
                now=timezone.now(),
            )

        return self.changed(request, meeting_id, MeetingVersionSerializer, do)


class MeetingAction(_Change):
    @extend_schema(
        operation_id="meeting_action",
        parameters=[IDEMPOTENCY],
        request=ActionSerializer,
        responses=answers({200: WholeMeetingSerializer}, *_CHANGED),
    )
    @idempotent()
    def post(self, request: Request, meeting_id: int) -> Response:
        """Agree on the one action, in place of any before."""

        def do(given: dict[str, Any]) -> object:
            version = given.pop("version")
            return meetings.set_action(
                meeting_id=meeting_id,
                version=version,
                agreed=meetings.Agreed(**given),
                user=request.user,
            )

        return self.changed(request, meeting_id, ActionSerializer, do)


class MeetingReport(_Change):
    @extend_schema(
        operation_id="meeting_report",
        parameters=[IDEMPOTENCY],
        request=ActionReportSerializer,
        responses=answers({200: WholeMeetingSerializer}, *_CHANGED),
    )
    @idempotent()
    def post(self, request: Request, meeting_id: int) -> Response:
        """Say what came of the action: how often it was kept. Closed minutes stay as they are."""

        def do(given: dict[str, Any]) -> object:
            return meetings.report_action(
                meeting_id=meeting_id,
                **{"outcome": "", **given},
                user=request.user,
                now=timezone.now(),
            )

        return self.changed(request, meeting_id, ActionReportSerializer, do)


class MeetingClose(_Change):
    @extend_schema(
        operation_id="meeting_close",
        parameters=[IDEMPOTENCY],
        request=MeetingVersionSerializer,
        responses=answers({200: WholeMeetingSerializer}, *_CHANGED),
    )
    @idempotent()
    def post(self, request: Request, meeting_id: int) -> Response:
        """Freeze the minutes. Wants exactly one measurable action."""

        def do(given: dict[str, Any]) -> object:
            return meetings.close_meeting(
                meeting_id=meeting_id,
                version=given["version"],
                user=request.user,
                now=timezone.now(),
            )

        return self.changed(request, meeting_id, MeetingVersionSerializer, do)
