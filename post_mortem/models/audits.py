"""Audits: the verdict on a signal or trade, its causes, and the rules it was judged by."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from post_mortem.core.inputs import same_case
from post_mortem.core.types import CAUSE_LABELS, CAUSES
from trading.models import Account, CandleSeries, Desk, OwnedQuerySet, SharedQuerySet, Signal, Trade

from .calibrations import CalibrationTable

CAUSE_CHOICES = [(name, CAUSE_LABELS[name]) for name in CAUSES]


class LabelingRule(models.Model):
    """What counts as success where a signal has no stop or target of its own, and the neutral
    band. Blank scope fields match everything; the most specific active rule wins, then the
    higher priority, then the lowest id."""

    desk = models.ForeignKey(Desk, on_delete=models.CASCADE, null=True, blank=True)
    strategy = models.CharField(max_length=80, blank=True)
    symbol = models.CharField(max_length=30, blank=True)
    timeframe = models.CharField(max_length=6, blank=True)
    horizon = models.CharField(max_length=6, blank=True)
    success_tp_pips = models.FloatField(null=True, blank=True)
    success_rr_ratio = models.FloatField(null=True, blank=True)
    fail_sl_pips = models.FloatField(null=True, blank=True)
    fail_adverse_pct = models.FloatField(null=True, blank=True)
    neutral_band_pips = models.FloatField(null=True, blank=True)
    neutral_band_r = models.FloatField(null=True, blank=True)
    min_score = models.FloatField(null=True, blank=True)
    is_active = models.BooleanField(default=True)
    priority = models.IntegerField(default=0)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True
    )
    notes = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = SharedQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["is_active", "-priority"]),
            models.Index(fields=["strategy", "symbol", "timeframe"]),
        ]

    def __str__(self) -> str:
        scope = [self.strategy, self.symbol, self.timeframe, self.horizon]
        return "/".join(part or "*" for part in scope)


class RuleChange(models.Model):
    """One change of a rule, append-only: what it was and what it became, None where it did not
    exist. Undoing a change is another change."""

    desk = models.ForeignKey(Desk, on_delete=models.CASCADE, related_name="rule_changes")
    rule_id = models.BigIntegerField(help_text="Id of the rule, which may be gone")
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)
    undoes = models.ForeignKey("self", on_delete=models.SET_NULL, null=True, related_name="undone")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = SharedQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["desk", "-created_at"])]

    def __str__(self) -> str:
        return f"rule {self.rule_id} at {self.created_at:%Y-%m-%d %H:%M}"


class RuleSnapshot(models.Model):
    """A rule as it was when an audit used it; shared by every audit with the same content."""

    sha256 = models.CharField(max_length=64, unique=True)
    data = models.JSONField()

    def __str__(self) -> str:
        return self.sha256[:12]


class InsightAudit(models.Model):
    """One verdict: a signal under one horizon, or an executed trade under TRADE.

    Written by the hundred thousand, so only what lists look up has an index: the account is the
    first column of one below; rules, series and reviewers are seldom searched by.

    `record` is the fixed-layout evidence record (`core/record.py`) whose sha256 is
    `evidence_hash`; everything shown about causes is rendered from it. `input_hash` covers all the
    engine read. Times are of the market, `evaluated_at` is of the wall clock.
    """

    class Outcome(models.IntegerChoices):
        SUCCEEDED = 1, "succeeded"
        FAILED = 2, "failed"
        NEUTRAL = 3, "neutral"
        FILTERED_OUT = 4, "filtered_out"
        PENDING = 5, "pending"
        NEEDS_REVIEW = 6, "needs_review"

    class ExitReason(models.IntegerChoices):
        NONE = 0, "none"
        SL = 1, "sl"
        TP = 2, "tp"
        TIME = 3, "time"
        MANUAL = 4, "manual"

    account = models.ForeignKey(
        Account, on_delete=models.CASCADE, related_name="audits", db_index=False
    )
    signal = models.ForeignKey(Signal, on_delete=models.CASCADE, related_name="audits")
    trade = models.ForeignKey(
        Trade, on_delete=models.CASCADE, null=True, blank=True, related_name="audits"
    )
    horizon = models.CharField(max_length=6)
    outcome = models.SmallIntegerField(choices=Outcome.choices)
    shadow_outcome = models.SmallIntegerField(choices=Outcome.choices, null=True, blank=True)
    exit_reason = models.SmallIntegerField(choices=ExitReason.choices)
    entry_time = models.DateTimeField()
    exit_time = models.DateTimeField(null=True)
    entry_price = models.FloatField()
    exit_price = models.FloatField(null=True)
    pips = models.FloatField(null=True)
    pnl_pct = models.FloatField(null=True)
    r_multiple = models.FloatField(null=True)
    mfe_r = models.FloatField(null=True)
    mae_r = models.FloatField(null=True)
    max_drawdown_r = models.FloatField(null=True)
    mfe_pips = models.FloatField(null=True)
    mae_pips = models.FloatField(null=True)
    coverage = models.FloatField(null=True)
    flags = models.IntegerField(default=0)
    top_cause = models.CharField(max_length=20, blank=True, choices=CAUSE_CHOICES)
    top_posterior = models.FloatField(null=True)
    top_confidence = models.SmallIntegerField(null=True)

    series = models.ForeignKey(CandleSeries, on_delete=models.SET_NULL, null=True, db_index=False)
    bars_from = models.BigIntegerField(null=True, help_text="ns UTC of the first bar read")
    bars_to = models.BigIntegerField(null=True, help_text="ns UTC of the last bar read")
    n_bars = models.IntegerField(default=0)
    bars_digest = models.CharField(max_length=32, blank=True)
    resolved_by = models.CharField(
        max_length=6, blank=True, help_text="Timeframe of the finer bars that decided, if any"
    )
    n_finer_bars = models.IntegerField(default=0, help_text="Finer bars read inside open ones")
    finer_digest = models.CharField(max_length=32, blank=True)
    rule = models.ForeignKey(LabelingRule, on_delete=models.SET_NULL, null=True, db_index=False)
    rule_snapshot = models.ForeignKey(RuleSnapshot, on_delete=models.PROTECT, db_index=False)
    # Null where no cause was asked for.
    calibration = models.ForeignKey(
        CalibrationTable, on_delete=models.PROTECT, null=True, db_index=False
    )
    record = models.BinaryField()
    input_hash = models.CharField(max_length=64)
    evidence_hash = models.CharField(max_length=64)
    engine_version = models.SmallIntegerField()
    evaluated_at = models.DateTimeField()
    is_stale = models.BooleanField(default=False, help_text="What it was made from changed since")

    # What the engine is unsure of (`core/review.py`) is written by every run; all that follows is
    # people's and survives it.
    review_reasons = models.SmallIntegerField(default=0)
    needs_manual_review = models.BooleanField(default=False)
    is_flagged = models.BooleanField(default=False, help_text="By a person")
    settled_hash = models.CharField(
        max_length=64, blank=True, help_text="The evidence that somebody has looked at"
    )
    review_version = models.PositiveIntegerField(default=0)
    reviewer = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, db_index=False
    )
    reviewed_at = models.DateTimeField(null=True, blank=True)
    reviewer_notes = models.TextField(blank=True)
    override_outcome = models.SmallIntegerField(choices=Outcome.choices, null=True, blank=True)
    override_reason = models.TextField(blank=True)
    override_input_hash = models.CharField(max_length=64, blank=True)
    overridden_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        db_index=False,
        related_name="+",
    )
    overridden_at = models.DateTimeField(null=True, blank=True)

    objects = OwnedQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["signal", "horizon"], condition=Q(trade=None), name="audit_signal_horizon"
            ),
            models.UniqueConstraint(
                fields=["trade"], condition=Q(horizon="TRADE"), name="audit_trade"
            ),
        ]
        indexes = [
            models.Index(fields=["account", "horizon", "-entry_time"]),
            models.Index(
                fields=["account"],
                condition=Q(needs_manual_review=True) | Q(is_flagged=True),
                name="audit_to_review",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.signal} {self.horizon}: {self.get_outcome_display()}"

    @property
    def final_outcome(self) -> str:
        """The label in force: a person's, else the engine's."""
        if self.override_outcome is None:
            return self.get_outcome_display()
        return self.get_override_outcome_display()

    @property
    def override_is_of_other_inputs(self) -> bool:
        """Whether the label was overridden on bars, levels or a rule that are not today's."""
        made_on = self.override_input_hash
        return self.override_outcome is not None and not same_case(made_on, self.input_hash)


class AuditRCA(models.Model):
    """A ranked cause of an audit: those that fired, and `unknown` where it ranks first."""

    # The unique key below begins with the audit.
    audit = models.ForeignKey(
        InsightAudit, on_delete=models.CASCADE, related_name="causes", db_index=False
    )
    cause = models.CharField(max_length=20, choices=CAUSE_CHOICES)
    rank = models.SmallIntegerField()
    confidence = models.SmallIntegerField()
    posterior = models.FloatField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["audit", "rank"], name="cause_rank_once")]
        indexes = [models.Index(fields=["cause", "audit"])]
        ordering = ["rank"]

    def __str__(self) -> str:
        return f"{self.rank}. {self.get_cause_display()}"


class AuditHistory(models.Model):
    """Who did what with an audit, append-only. `before` and `after` hold what changed."""

    class Action(models.TextChoices):
        FLAGGED = "flagged"
        UNFLAGGED = "unflagged"
        ASSIGNED = "assigned"
        NOTED = "noted"
        SETTLED = "settled"
        REOPENED = "reopened"
        OVERRIDDEN = "overridden"
        OVERRIDE_UNDONE = "override undone"
        REVIEWED = "cause reviewed"

    audit = models.ForeignKey(InsightAudit, on_delete=models.CASCADE, related_name="history")
    action = models.CharField(max_length=20, choices=Action.choices)
    before = models.JSONField(default=dict)
    after = models.JSONField(default=dict)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True)
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.action} {self.audit_id}"


class CauseReview(models.Model):
    """A person's word on one cause of one audit; the latest per person counts. `named` is a cause
    that the audit does not show, or `unknown` for none of those it shows."""

    class Verdict(models.TextChoices):
        CONFIRMED = "confirmed"
        REJECTED = "rejected"
        NAMED = "named"

    audit = models.ForeignKey(InsightAudit, on_delete=models.CASCADE, related_name="reviews")
    cause = models.CharField(max_length=20, choices=CAUSE_CHOICES)
    verdict = models.CharField(max_length=10, choices=Verdict.choices)
    posterior = models.FloatField(help_text="The posterior that was shown")
    evidence_hash = models.CharField(
        max_length=64, blank=True, help_text="The evidence that was read; empty: not known"
    )
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    created_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["audit", "cause", "user"], name="review_once")
        ]

    def __str__(self) -> str:
        return f"{self.cause} {self.verdict}"
