"""Audits: the verdict on a signal or trade, its causes, and the rules it was judged by."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from post_mortem.core.types import CAUSE_LABELS, CAUSES
from trading.models import Account, CandleSeries, Desk, OwnedQuerySet, SharedQuerySet, Signal, Trade

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
    rule = models.ForeignKey(LabelingRule, on_delete=models.SET_NULL, null=True, db_index=False)
    rule_snapshot = models.ForeignKey(RuleSnapshot, on_delete=models.PROTECT, db_index=False)
    record = models.BinaryField()
    input_hash = models.CharField(max_length=64)
    evidence_hash = models.CharField(max_length=64)
    engine_version = models.SmallIntegerField()
    evaluated_at = models.DateTimeField()
    is_stale = models.BooleanField(default=False, help_text="Its rule or its bars changed since")

    needs_manual_review = models.BooleanField(default=False)
    reviewer = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, db_index=False
    )
    reviewed_at = models.DateTimeField(null=True, blank=True)
    reviewer_notes = models.TextField(blank=True)
    override_outcome = models.SmallIntegerField(choices=Outcome.choices, null=True, blank=True)
    override_reason = models.TextField(blank=True)

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
        indexes = [models.Index(fields=["account", "horizon", "-entry_time"])]

    def __str__(self) -> str:
        return f"{self.signal} {self.horizon}: {self.get_outcome_display()}"


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


class CauseReview(models.Model):
    """A person's word on one cause of one audit; the latest per person counts."""

    class Verdict(models.TextChoices):
        CONFIRMED = "confirmed"
        REJECTED = "rejected"

    audit = models.ForeignKey(InsightAudit, on_delete=models.CASCADE, related_name="reviews")
    cause = models.CharField(max_length=20, choices=CAUSE_CHOICES)
    verdict = models.CharField(max_length=10, choices=Verdict.choices)
    posterior = models.FloatField(help_text="The posterior that was shown")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    created_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["audit", "cause", "user"], name="review_once")
        ]

    def __str__(self) -> str:
        return f"{self.cause} {self.verdict}"
