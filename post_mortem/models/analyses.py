"""Narratives of audits, patterns across trades, and improvement plans."""

from __future__ import annotations

from django.db import models

from trading.models import Account, OwnedQuerySet, Trade

from .audits import InsightAudit


class TradeAnalysis(models.Model):
    """The narrative of one audit. Every number in `analysis_data` comes from its evidence."""

    class Source(models.TextChoices):
        TEMPLATE = "template", "built-in narrator"
        LLM = "llm", "language model"
        LLM_REPAIRED = "llm_repaired", "language model, repaired"
        LLM_PRUNED = "llm_pruned", "language model, sentences removed"

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="analyses")
    audit = models.OneToOneField(InsightAudit, on_delete=models.CASCADE, related_name="analysis")
    trade = models.OneToOneField(
        Trade, on_delete=models.CASCADE, null=True, blank=True, related_name="analysis"
    )
    analysis_data = models.JSONField(help_text="The narrative as shown, numbers filled in")
    slot_data = models.JSONField(
        default=dict, help_text="The same narrative with slots; shown text must re-render from it"
    )
    success_score = models.SmallIntegerField(
        null=True, help_text="round(50 + 25 * clip(R, -2, 2)); null without R"
    )
    primary_factors = models.JSONField(default=list)
    source = models.CharField(max_length=12, choices=Source.choices, default=Source.TEMPLATE)
    source_reason = models.CharField(max_length=200, blank=True)
    grounding = models.JSONField(default=dict)
    evidence_hash = models.CharField(max_length=64)
    narrator_version = models.CharField(max_length=64)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = OwnedQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "trade analyses"
        indexes = [models.Index(fields=["account", "-created_at"])]

    def __str__(self) -> str:
        return f"Analysis of {self.audit}"


class AnalysisPattern(models.Model):
    """A regularity across trades."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="patterns")
    pattern_type = models.CharField(max_length=100)
    category = models.CharField(max_length=50)
    description = models.TextField()
    confidence = models.SmallIntegerField(help_text="0-100")
    affected_trades = models.ManyToManyField(Trade, related_name="patterns", blank=True)
    action_items = models.JSONField(default=list)
    statistics = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = OwnedQuerySet.as_manager()

    def __str__(self) -> str:
        return self.pattern_type


class ImprovementPlan(models.Model):
    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="plans")
    focus_areas = models.JSONField(default=list)
    improvements = models.JSONField(default=list)
    patterns = models.ManyToManyField(AnalysisPattern, related_name="plans", blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = OwnedQuerySet.as_manager()

    def __str__(self) -> str:
        return f"Plan of {self.created_at:%Y-%m-%d}"
