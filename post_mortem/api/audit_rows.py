"""How an audit looks from outside: as a row of a list, and whole."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from post_mortem.core.review import reasons_in
from post_mortem.core.types import Flag, Status
from post_mortem.models import AuditRCA, CauseReview, InsightAudit
from post_mortem.selectors.evidence import evidence_for
from post_mortem.selectors.reasons import reason_for

_MIND = "The fact that says what would have changed its mind"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def moment(ns: int | None) -> datetime | None:
    """A time of the core, to the microsecond."""
    return None if ns is None else _EPOCH + timedelta(microseconds=ns // 1000)


class NanosecondsField(serializers.DateTimeField):
    """A time that is stored as ns UTC."""

    def to_representation(self, value: Any) -> Any:
        return super().to_representation(moment(value))


class CauseSerializer(serializers.ModelSerializer[AuditRCA]):
    class Meta:
        model = AuditRCA
        fields = ("rank", "cause", "confidence", "posterior")
        read_only_fields = fields


class ReasonSerializer(serializers.Serializer[Any]):
    """Why there is no plain verdict, and the one thing that would help."""

    code = serializers.CharField()
    text = serializers.CharField()
    action = serializers.CharField(allow_blank=True)


class AuditSerializer(serializers.ModelSerializer[InsightAudit]):
    """Prices are in quote units, results in R, pips and percent; null is not known."""

    external_id = serializers.SerializerMethodField()
    symbol = serializers.CharField(source="signal.instrument.symbol")
    timeframe = serializers.CharField(source="signal.timeframe")
    strategy = serializers.CharField(source="signal.strategy")
    side = serializers.CharField(source="signal.get_side_display")
    outcome = serializers.CharField(source="get_outcome_display")
    shadow_outcome = serializers.SerializerMethodField(
        help_text="What a filtered_out signal would have been"
    )
    override_outcome = serializers.SerializerMethodField(help_text="A reviewer's word")
    final_outcome = serializers.CharField(help_text="The label in force: a person's, else ours")
    exit_reason = serializers.CharField(source="get_exit_reason_display")
    ambiguous = serializers.SerializerMethodField()
    flags = serializers.SerializerMethodField()
    reason = serializers.SerializerMethodField(
        help_text="Why it is filtered out, not judged or left open, and what would help"
    )
    review_reasons = serializers.SerializerMethodField(help_text="What the engine is unsure of")
    reviewer = serializers.CharField(source="reviewer.username", default=None, allow_null=True)
    causes = CauseSerializer(many=True)
    replay_hash = serializers.CharField(source="input_hash")

    class Meta:
        model = InsightAudit
        fields: tuple[str, ...] = (
            "id",
            "signal_id",
            "trade_id",
            "external_id",
            "symbol",
            "timeframe",
            "strategy",
            "side",
            "horizon",
            "outcome",
            "shadow_outcome",
            "override_outcome",
            "final_outcome",
            "exit_reason",
            "entry_time",
            "exit_time",
            "entry_price",
            "exit_price",
            "pips",
            "pnl_pct",
            "r_multiple",
            "mfe_r",
            "mae_r",
            "max_drawdown_r",
            "mfe_pips",
            "mae_pips",
            "ambiguous",
            "coverage",
            "flags",
            "resolved_by",
            "reason",
            "causes",
            "is_stale",
            "needs_manual_review",
            "review_reasons",
            "is_flagged",
            "reviewer",
            "review_version",
            "replay_hash",
            "evidence_hash",
            "engine_version",
            "evaluated_at",
        )
        read_only_fields = fields

    def get_external_id(self, audit: InsightAudit) -> str:
        of_trade = audit.trade.external_id if audit.trade else ""
        return of_trade or audit.signal.external_id

    def get_shadow_outcome(self, audit: InsightAudit) -> str | None:
        return audit.get_shadow_outcome_display() if audit.shadow_outcome else None

    def get_override_outcome(self, audit: InsightAudit) -> str | None:
        return audit.get_override_outcome_display() if audit.override_outcome else None

    @extend_schema_field(ReasonSerializer(allow_null=True))
    def get_reason(self, audit: InsightAudit) -> dict[str, str] | None:
        reason = reason_for(audit)
        return None if reason is None else dict(ReasonSerializer(reason).data)

    def get_ambiguous(self, audit: InsightAudit) -> bool:
        return bool(audit.flags & Flag.AMBIGUOUS)

    def get_flags(self, audit: InsightAudit) -> list[str]:
        return [(flag.name or "").lower() for flag in Flag if audit.flags & flag]

    def get_review_reasons(self, audit: InsightAudit) -> list[str]:
        return [str(reason.name).lower() for reason in reasons_in(audit.review_reasons)]


class FactSerializer(serializers.Serializer[Any]):
    id = serializers.CharField(help_text="E1 to En")
    kind = serializers.CharField()
    text = serializers.CharField()
    side = serializers.CharField(help_text="for, against, context or mind")
    cause = serializers.CharField(allow_null=True)
    bar_time = NanosecondsField(allow_null=True)


class FindingSerializer(serializers.Serializer[Any]):
    """A cause with the facts for and against it, by their numbers."""

    cause = serializers.CharField()
    label = serializers.CharField()
    rank = serializers.IntegerField(help_text="0 where it did not fire")
    status = serializers.SerializerMethodField()
    confidence = serializers.IntegerField()
    posterior = serializers.FloatField()
    summary = serializers.CharField(allow_blank=True)
    evidence_for = serializers.ListField(source="for_ids", child=serializers.CharField())
    evidence_against = serializers.ListField(source="against_ids", child=serializers.CharField())
    mind = serializers.CharField(source="mind_id", allow_null=True, help_text=_MIND)

    def get_status(self, view: Any) -> str:
        return Status(view.status).name.lower()


class AbstainedSerializer(serializers.Serializer[Any]):
    cause = serializers.CharField()
    missing = serializers.ListField(child=serializers.CharField())
    mind = serializers.CharField(source="mind_id", allow_null=True, help_text=_MIND)


class EventSerializer(serializers.Serializer[Any]):
    """A fact that happened at a moment."""

    fact = serializers.CharField(source="fact.id")
    title = serializers.CharField()
    time = NanosecondsField()
    offset = serializers.CharField(help_text="From the entry, in words")
    impact = serializers.IntegerField(help_text="1 to 3 of a release, 0 of anything else")
    cause = serializers.CharField(source="fact.cause", allow_null=True)


class BarsSerializer(serializers.Serializer[Any]):
    """The candles the audit read."""

    series = serializers.CharField(allow_null=True)
    start = NanosecondsField(allow_null=True)
    end = NanosecondsField(allow_null=True)
    count = serializers.IntegerField()
    digest = serializers.CharField(allow_blank=True)


class AuditReviewSerializer(serializers.ModelSerializer[CauseReview]):
    user = serializers.CharField(source="user.username")

    class Meta:
        model = CauseReview
        fields = ("cause", "verdict", "posterior", "user", "created_at")
        read_only_fields = fields


class AuditDetailSerializer(AuditSerializer):
    verdict = serializers.CharField()
    detail = serializers.CharField(allow_blank=True)
    facts = FactSerializer(many=True)
    findings = FindingSerializer(many=True)
    ruled_out = FindingSerializer(many=True)
    abstained = AbstainedSerializer(many=True)
    events = EventSerializer(many=True)
    bars = BarsSerializer()
    rule = serializers.JSONField(source="rule_snapshot.data", help_text="As it was then")
    reviews = AuditReviewSerializer(many=True)
    override_reason = serializers.CharField()
    overridden_by = serializers.CharField(
        source="overridden_by.username", default=None, allow_null=True
    )
    overridden_at = serializers.DateTimeField(allow_null=True)
    override_is_of_other_inputs = serializers.BooleanField()
    reviewer_notes = serializers.CharField()
    reviewed_at = serializers.DateTimeField(allow_null=True)

    class Meta(AuditSerializer.Meta):
        fields = (
            *AuditSerializer.Meta.fields,
            "verdict",
            "detail",
            "facts",
            "findings",
            "ruled_out",
            "abstained",
            "events",
            "bars",
            "rule",
            "reviews",
            "override_reason",
            "overridden_by",
            "overridden_at",
            "override_is_of_other_inputs",
            "reviewer_notes",
            "reviewed_at",
        )
        read_only_fields = fields


def with_evidence(audit: InsightAudit) -> InsightAudit:
    """The audit, carrying its rendered evidence for `AuditDetailSerializer`."""
    evidence = evidence_for(audit)
    shown = {
        "verdict": evidence.verdict,
        "detail": evidence.detail,
        "facts": evidence.facts,
        "findings": evidence.ranked,
        "ruled_out": evidence.ruled_out,
        "events": evidence.events,
        "abstained": [view for view in evidence.unchecked if view.status == Status.ABSTAINED],
        "bars": {
            "series": str(audit.series) if audit.series else None,
            "start": audit.bars_from,
            "end": audit.bars_to,
            "count": audit.n_bars,
            "digest": audit.bars_digest,
        },
    }
    for name, value in shown.items():
        setattr(audit, name, value)
    return audit
