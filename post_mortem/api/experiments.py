"""Experiments: all ever started, one with its results, today's arm; starting, noting, stopping."""

from __future__ import annotations

from datetime import date, datetime, time
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from post_mortem.models import Experiment, RecommendationTracking
from post_mortem.selectors import experiments as selectors
from post_mortem.selectors.access import readable
from post_mortem.selectors.experiment_results import Arm, Results, results_of
from post_mortem.services import experiment_draws, experiment_plans, experiments
from trading.core.errors import NotFoundError, UserError
from trading.models import Account, Signal, visible_accounts

from .base import Endpoint, ListEndpoint, visible
from .fields import MAX_ID, IdField, Query, StrictIntegerField, StrictSerializer, StrictTextField
from .idempotency import idempotent
from .recommendations import VersionRequired
from .schema import IDEMPOTENCY, answers

Status = Experiment.Status


class ExperimentSerializer(serializers.ModelSerializer[Experiment]):
    account = serializers.CharField(source="account.name")
    account_id = serializers.IntegerField()
    recommendation_id = serializers.IntegerField(allow_null=True)
    started_by = serializers.CharField(source="started_by.username", default=None, allow_null=True)
    salt = serializers.SerializerMethodField(
        help_text="Null while it runs; the plan has its sha256"
    )

    class Meta:
        model = Experiment
        fields = (
            *("id", "account", "account_id", "recommendation_id", "name", "rule", "scope"),
            *("unit", "shadow", "strict", "starts_on", "time_zone", "plan", "plan_sha256"),
            *("salt", "last_seal", "status", "started_by", "created_at"),
            *("ended_at", "ended_because", "version"),
        )
        read_only_fields = fields

    def get_salt(self, row: Experiment) -> str | None:
        return None if row.status == Status.RUNNING else row.salt


class ArmSerializer(serializers.Serializer[Any]):
    """What is to be done. `state`: on, off, undrawn, waiting, every, ended."""

    state = serializers.CharField()
    unit = serializers.CharField(allow_null=True)
    seal = serializers.CharField(allow_null=True)
    sealed_at = serializers.DateTimeField(allow_null=True)
    kept = serializers.BooleanField(allow_null=True)


class AssignmentSerializer(serializers.Serializer[Any]):
    day = serializers.DateField()
    unit = serializers.CharField(source="unit_key")
    arm = serializers.CharField()
    sealed_at = serializers.DateTimeField()
    seal = serializers.CharField()


class DetailSerializer(ExperimentSerializer):
    arm = serializers.SerializerMethodField()
    results = serializers.SerializerMethodField()
    assignments = serializers.SerializerMethodField()
    faults = serializers.SerializerMethodField()

    class Meta(ExperimentSerializer.Meta):
        fields = (*ExperimentSerializer.Meta.fields, "arm", "results", "assignments", "faults")
        read_only_fields = fields

    @extend_schema_field(ArmSerializer)
    def get_arm(self, row: Experiment) -> dict[str, Any]:
        return told(selectors.arm_now(row, self.context["now"]))

    @extend_schema_field({"type": "object", "additionalProperties": True})
    def get_results(self, row: Experiment) -> dict[str, Any]:
        return as_dict(results_of(row, now=self.context["now"]))

    @extend_schema_field(AssignmentSerializer(many=True))
    def get_assignments(self, row: Experiment) -> Any:
        rows = selectors.begun_rows(row, self.context["now"])
        return AssignmentSerializer(rows, many=True).data

    @extend_schema_field({"type": "array", "items": {"type": "string"}})
    def get_faults(self, row: Experiment) -> list[str]:
        return selectors.faults(row)


def told(found: selectors.Now) -> dict[str, Any]:
    drawn, note = found.drawn, found.note
    return {
        "state": found.state,
        "unit": found.unit.key if found.unit else drawn.unit_key if drawn else None,
        "seal": drawn.seal if drawn else None,
        "sealed_at": drawn.sealed_at if drawn else None,
        "kept": note.kept if note else None,
    }


def as_dict(found: Results) -> dict[str, Any]:
    verdict = found.verdict
    return {
        "verdict": verdict.verdict,
        "reason": verdict.reason,
        "sentence": verdict.sentence,
        "estimate_r": verdict.estimate_r,
        "ci": verdict.ci,
        "band": verdict.band,
        "more_trades_needed": verdict.more_trades_needed,
        "look": [len(verdict.looks), found.looks],
        "on": _arm(found.on),
        "off": _arm(found.off),
        "not_drawn": found.not_drawn,
        "left_out": found.left_out,
        "unjudged": found.unjudged,
        "open_trades": found.open_trades,
        "mismatch": verdict.mismatch,
        "per_protocol_r": found.compliance.per_protocol_r,
        "balanced_before": found.balanced,
        "guardrails": [{"name": r.name, "state": r.state, "text": r.sentence} for r in found.rails],
        "warnings": list(verdict.warnings),
    }


def _arm(arm: Arm) -> dict[str, Any]:
    return {
        "drawn": arm.drawn,
        "traded": arm.traded,
        "trades": arm.trades,
        "mean_r": arm.mean_r,
        "kept": arm.kept,
        "noted": arm.noted,
    }


# --- requests -----------------------------------------------------------------------------------


class ExperimentQuery(Query):
    status = serializers.ChoiceField(Status.choices, required=False)
    account = serializers.IntegerField(required=False, min_value=1, max_value=MAX_ID)


@extend_schema_field({"type": "object", "additionalProperties": {"type": "string"}})
class ScopeField(serializers.DictField):
    child = StrictTextField(max_length=80)


class StartSerializer(StrictSerializer):
    account = IdField(help_text="Account id")
    recommendation_id = IdField(required=False, allow_null=True)
    name = StrictTextField(max_length=experiment_plans.MAX_NAME)
    rule = StrictTextField(
        max_length=experiment_plans.MAX_RULE, help_text="Done on ON units, left undone on OFF ones"
    )
    unit = StrictTextField(max_length=10, required=False, help_text="day, session or signal")
    scope = ScopeField(required=False, help_text="symbol, strategy, side; absent: every trade")
    starts_on = StrictTextField(
        max_length=10, required=False, allow_null=True, help_text="A day; absent: the next one"
    )
    day_begins = StrictTextField(
        max_length=5, required=False, help_text="Clock time in the account's zone, 00:00 by default"
    )
    weekdays = serializers.ListField(
        child=StrictIntegerField(min_value=0, max_value=6),
        required=False,
        max_length=7,
        help_text="Trading days, Monday 0; absent: those that the account trades on",
    )
    shadow = serializers.BooleanField(required=False)
    strict = serializers.BooleanField(required=False)


class StopSerializer(StrictSerializer):
    reason = StrictTextField(max_length=experiments.MAX_REASON)
    version = IdField(required=False, help_text="The version that was read; without it 428")


class NoteSerializer(StrictSerializer):
    unit = StrictTextField(max_length=100, help_text="As drawn: a day, 2026-03-05/london, signal/7")
    kept = serializers.BooleanField(allow_null=True, help_text="Null takes it back")
    note = StrictTextField(required=False, allow_blank=True, max_length=experiments.MAX_NOTE)


class NoteRow(serializers.Serializer[Any]):
    unit = serializers.CharField(source="unit_key")
    kept = serializers.BooleanField(allow_null=True)
    note = serializers.CharField()
    user = serializers.CharField(source="user.username")
    created_at = serializers.DateTimeField()


class ArmQuery(Query):
    signal = serializers.IntegerField(
        required=False, min_value=1, max_value=MAX_ID, help_text="Of unit signal: its id"
    )


# --- endpoints ----------------------------------------------------------------------------------


class ExperimentList(ListEndpoint):
    query_class = ExperimentQuery
    row_class = ExperimentSerializer

    @extend_schema(
        operation_id="experiments",
        parameters=[ExperimentQuery],
        responses=answers({200: ExperimentSerializer(many=True)}, 404),
    )
    def get(self, request: Request) -> Response:
        """Every experiment ever started, running ones first, then the newest."""
        return super().get(request)

    def rows(self, request: Request) -> QuerySet[Experiment]:
        rows = visible(selectors.experiments(request.user), request.user)
        if "status" in self.wanted:
            rows = rows.filter(status=self.wanted["status"])
        if "account" in self.wanted:
            rows = rows.filter(account=self.wanted["account"])
        return rows

    def whole(self, rows: QuerySet[Experiment]) -> QuerySet[Experiment]:
        return rows.select_related("account", "started_by")

    @extend_schema(
        operation_id="experiment_start",
        parameters=[IDEMPOTENCY],
        request=StartSerializer,
        responses=answers({201: DetailSerializer}, 403, 404, 409, 415, 422),
    )
    @idempotent()
    def post(self, request: Request) -> Response:
        """Start an experiment: its plan is frozen and the arms of the first days are drawn."""
        given = self.body(request, StartSerializer)
        now = timezone.now()
        row = experiments.start_experiment(
            account=_account(request, given["account"]),
            recommendation=_recommendation(request, given.get("recommendation_id")),
            name=given["name"],
            rule=given["rule"],
            unit=given.get("unit", Experiment.Unit.DAY),
            scope=given.get("scope", {}),
            starts_on=_day(given.get("starts_on")),
            shadow=given.get("shadow", False),
            strict=given.get("strict", False),
            weekdays=given.get("weekdays"),
            day_begins=_clock(given.get("day_begins", "00:00")),
            user=request.user,
            now=now,
        )
        return _detail(row, now, status=201)


class ExperimentDetail(Endpoint):
    @extend_schema(operation_id="experiment", responses=answers({200: DetailSerializer}, 404))
    def get(self, request: Request, experiment_id: int) -> Response:
        """One experiment with today's arm, its results, and every arm that has begun."""
        now = timezone.now()
        return _detail(_row(request, experiment_id), now)


class ExperimentArm(Endpoint):
    query_class = ArmQuery

    @extend_schema(
        operation_id="experiment_arm",
        parameters=[ArmQuery],
        responses=answers({200: ArmSerializer}, 404, 422),
    )
    def get(self, request: Request, experiment_id: int) -> Response:
        """The arm of now, or of one signal: for programs that trade. What is due is drawn first."""
        row, now = _row(request, experiment_id), timezone.now()
        experiment_draws.draw_experiment(experiment_id=row.pk, now=now)
        if "signal" not in self.wanted:
            return Response(ArmSerializer(told(selectors.arm_now(row, now))).data)
        signal = readable(Signal.objects.all(), user=request.user, pk=self.wanted["signal"])
        found = selectors.arm_of_signal(row, signal.pk)
        return Response(ArmSerializer(told(found)).data)


class ExperimentStop(Endpoint):
    @extend_schema(
        operation_id="experiment_stop",
        parameters=[IDEMPOTENCY],
        request=StopSerializer,
        responses=answers({200: DetailSerializer}, 403, 404, 409, 412, 415, 422, 428),
    )
    @idempotent()
    def post(self, request: Request, experiment_id: int) -> Response:
        """End an experiment, with the reason. It stays listed, and its salt is shown."""
        given = self.body(request, StopSerializer)
        if "version" not in given:
            raise VersionRequired
        now = timezone.now()
        row = experiments.stop_experiment(
            experiment_id=experiment_id,
            reason=given["reason"],
            version=given["version"],
            user=request.user,
            now=now,
        )
        return _detail(row, now)


class ExperimentNotes(Endpoint):
    @extend_schema(
        operation_id="experiment_note",
        parameters=[IDEMPOTENCY],
        request=NoteSerializer,
        responses=answers({200: NoteRow}, 403, 404, 409, 415, 422),
    )
    @idempotent()
    def post(self, request: Request, experiment_id: int) -> Response:
        """Say whether the arm of a unit was kept to. Appended; the newest counts."""
        given = self.body(request, NoteSerializer)
        note = experiments.note_unit(
            experiment_id=experiment_id,
            unit_key=given["unit"],
            kept=given["kept"],
            note=given.get("note", ""),
            user=request.user,
            now=timezone.now(),
        )
        return Response(NoteRow(note).data)


def _detail(row: Experiment, now: datetime, status: int = 200) -> Response:
    return Response(DetailSerializer(row, context={"now": now}).data, status=status)


def _row(request: Request, experiment_id: int) -> Experiment:
    rows: Any = Experiment.objects.select_related("account", "started_by")
    found: Experiment = readable(rows, user=request.user, pk=experiment_id)
    return found


def _account(request: Request, pk: int) -> Account:
    found = visible_accounts(request.user).filter(pk=pk).first()
    if found is None:
        raise NotFoundError("not_found", "Not found.")
    return found


def _recommendation(request: Request, pk: int | None) -> RecommendationTracking | None:
    if pk is None:
        return None
    rows = RecommendationTracking.objects.all()
    found: RecommendationTracking = readable(rows, user=request.user, pk=pk)
    return found


def _day(text: str | None) -> date | None:
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError:
        detail = "A day is written like 2026-03-05."
        raise UserError("bad_day", detail, field="starts_on") from None


def _clock(text: str) -> time:
    try:
        found = time.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or len(text) != len("07:00"):
        raise UserError("bad_clock", "A clock time is written like 07:00.", field="day_begins")
    return found
