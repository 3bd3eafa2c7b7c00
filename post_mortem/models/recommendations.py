"""Tracked advice. One row per account and advice; occurrences say where it came from."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from trading.models import Account, OwnedQuerySet

from .analyses import AnalysisPattern, ImprovementPlan, TradeAnalysis


class RecommendationTracking(models.Model):
    """A recommendation with its status. Changed only with the `version` that was read."""

    class Status(models.TextChoices):
        PENDING = "PENDING", "Pending"
        IMPLEMENTED = "IMPLEMENTED", "Implemented"
        IGNORED = "IGNORED", "Ignored"

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="recommendations")
    advice_key = models.CharField(
        max_length=64, help_text="sha256 of kind, area and canonical scope"
    )
    kind = models.CharField(max_length=40)
    area = models.CharField(max_length=100)
    scope = models.JSONField(default=dict, help_text="Which trades the advice covers")
    recommendation = models.TextField()
    expected_impact = models.TextField(blank=True)
    trade_analysis = models.ForeignKey(
        TradeAnalysis,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="recommendations",
        help_text="Where it came up first",
    )
    implementation_status = models.CharField(
        max_length=20, choices=Status.choices, default=Status.PENDING
    )
    implementation_date = models.DateTimeField(null=True, blank=True)
    impact_score = models.FloatField(
        null=True, blank=True, help_text="Shrunk effect in R per trade, null until a verdict"
    )
    covered_a_month = models.FloatField(
        null=True, blank=True, help_text="Trades its scope covers in a month; null: not counted yet"
    )
    notes = models.TextField(blank=True)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True
    )
    due_date = models.DateField(null=True, blank=True)
    effort_hours = models.FloatField(
        null=True, blank=True, help_text="Hours it takes to implement; null: nobody said"
    )
    claimed_effect_r = models.FloatField(
        null=True, blank=True, help_text="R per trade its writer claimed; never used as an effect"
    )
    claimed_by = models.CharField(
        max_length=100, blank=True, help_text="Who claimed the effect: a model's or a person's name"
    )
    merged_into = models.ForeignKey(
        "self",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="duplicates",
        help_text="The recommendation that goes on for this one",
    )
    version = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = OwnedQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["account", "advice_key"], name="advice_once")
        ]
        indexes = [models.Index(fields=["account", "implementation_status"])]

    def __str__(self) -> str:
        return self.recommendation[:80]


class RecommendationOccurrence(models.Model):
    """One place where the advice came up."""

    recommendation = models.ForeignKey(
        RecommendationTracking, on_delete=models.CASCADE, related_name="occurrences"
    )
    analysis = models.ForeignKey(
        TradeAnalysis,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="recommendation_occurrences",
    )
    pattern = models.ForeignKey(AnalysisPattern, on_delete=models.CASCADE, null=True, blank=True)
    plan = models.ForeignKey(ImprovementPlan, on_delete=models.CASCADE, null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["recommendation", "analysis"], name="occurrence_analysis_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.recommendation_id} from {self.analysis_id}"


class RecommendationHistory(models.Model):
    """Every change of a recommendation, append-only."""

    recommendation = models.ForeignKey(
        RecommendationTracking, on_delete=models.CASCADE, related_name="history"
    )
    version = models.PositiveIntegerField()
    from_status = models.CharField(max_length=20)
    to_status = models.CharField(max_length=20)
    notes = models.TextField(blank=True)
    changes = models.JSONField(
        default=dict, help_text="What changed: field -> [before, after]; an undo puts it back"
    )
    batch = models.CharField(
        max_length=32, blank=True, db_index=True, help_text="Changes made together share it"
    )
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at", "-id"]

    def __str__(self) -> str:
        return f"{self.from_status} -> {self.to_status}"
