"""Was it worth it? Plans frozen when advice is implemented, and the verdicts that followed."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from .recommendations import RecommendationTracking


class MeasurementPlan(models.Model):
    """How a recommendation will be judged, written down before its first covered trade.

    Never changed: another scope, date or metric is a new plan with the next number, and the clock
    starts again. `sha256` is that of the canonical JSON in `data`.
    """

    class End(models.TextChoices):
        LEFT = "left", "no longer implemented"
        REPLACED = "replaced", "replaced by the next plan"
        TAKEN_BACK = "taken_back", "taken back before any covered trade"
        MERGED = "merged", "merged into other advice"

    recommendation = models.ForeignKey(
        RecommendationTracking, on_delete=models.CASCADE, related_name="measurement_plans"
    )
    number = models.PositiveIntegerField(help_text="1, 2, 3 of the same recommendation")
    data = models.JSONField(help_text="Scope, metric, comparison, baseline, looks, levels")
    sha256 = models.CharField(max_length=64)
    implemented_at = models.DateTimeField()
    ended_at = models.DateTimeField(
        null=True, blank=True, help_text="When it stopped being implemented, or was replaced"
    )
    end_reason = models.CharField(max_length=12, choices=End.choices, blank=True)
    made_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["recommendation", "number"], name="plan_number_once")
        ]
        ordering = ["recommendation_id", "-number"]

    def __str__(self) -> str:
        return f"Plan {self.number} of recommendation {self.recommendation_id}"


class ImpactVerdict(models.Model):
    """One judgement of a plan. Append-only: the newest is shown, the others are its history. One
    is added only when what was read, or what it led to, differs from the newest."""

    plan = models.ForeignKey(MeasurementPlan, on_delete=models.CASCADE, related_name="verdicts")
    number = models.PositiveIntegerField(help_text="1, 2, 3 of the same plan")
    verdict = models.CharField(max_length=24)
    result = models.JSONField(help_text="Estimate, intervals, counts, looks; see core.impact")
    input_hash = models.CharField(max_length=64, help_text="Of the trades that were read")
    judged_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["plan", "number"], name="verdict_number_once")
        ]
        ordering = ["plan_id", "-number"]

    def __str__(self) -> str:
        return f"{self.verdict} at {self.judged_at:%Y-%m-%d}"
