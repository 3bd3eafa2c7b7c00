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
    """A regularity across trades of one account, found again under the same key.

    `statistics` is what was found (`core/pattern_facts.py`); texts are worded from it, `words` as
    shown and `slot_data` with slots, as in TradeAnalysis. `lost_at` is set while a search that
    could have found it does not."""

    class Kind(models.TextChoices):
        LEAK = "leak", "leak"
        EDGE = "edge", "edge"
        CAUSE = "cause", "cause"

    account = models.ForeignKey(
        Account, on_delete=models.CASCADE, related_name="patterns", db_index=False
    )
    period = models.CharField(max_length=24, blank=True, help_text="As asked for; empty: all")
    key = models.CharField(max_length=64, blank=True, help_text="sha256 of its cells or its cause")
    pattern_type = models.CharField(max_length=100, choices=Kind.choices)
    category = models.CharField(max_length=50)
    title = models.CharField(max_length=200, blank=True)
    description = models.TextField()
    confidence = models.SmallIntegerField(help_text="0-100")
    affected_trades = models.ManyToManyField(Trade, related_name="patterns", blank=True)
    action_items = models.JSONField(default=list)
    statistics = models.JSONField(default=dict)
    evidence_hash = models.CharField(max_length=64, blank=True, help_text="sha256 of statistics")
    words = models.JSONField(default=dict)
    slot_data = models.JSONField(default=dict)
    source = models.CharField(
        max_length=12, choices=TradeAnalysis.Source.choices, default=TradeAnalysis.Source.TEMPLATE
    )
    source_reason = models.CharField(max_length=200, blank=True)
    grounding = models.JSONField(default=dict)
    found_at = models.DateTimeField(null=True, help_text="When it was last found")
    lost_at = models.DateTimeField(null=True, blank=True, help_text="No longer found since")
    created_at = models.DateTimeField(auto_now_add=True)

    objects = OwnedQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["account", "period", "key"], name="pattern_once")
        ]

    def __str__(self) -> str:
        return self.title or self.pattern_type


class PatternSearch(models.Model):
    """The latest search of an account and period: over which trades, and how many kinds it tried.
    The same trades and the same least number of them give the same patterns."""

    account = models.ForeignKey(
        Account, on_delete=models.CASCADE, related_name="pattern_searches", db_index=False
    )
    period = models.CharField(max_length=24, blank=True)
    min_trades = models.PositiveIntegerField()
    n_closed = models.PositiveIntegerField(help_text="Closed trades of the period, judged or not")
    n = models.PositiveIntegerField(help_text="Those whose outcome is known")
    tried = models.PositiveIntegerField()
    found = models.PositiveIntegerField()
    data_hash = models.CharField(max_length=64)
    searched_at = models.DateTimeField()

    objects = OwnedQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["account", "period"], name="pattern_search_once")
        ]

    def __str__(self) -> str:
        return f"{self.account} {self.period or 'all'}: {self.found} of {self.tried}"


class ImprovementPlan(models.Model):
    """Process rules drafted from patterns, with the evidence as it stood then.

    `improvements` are the steps in order of priority; `evidence` the statistics they rest on."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="plans")
    key = models.CharField(
        max_length=64, blank=True, help_text="sha256 of what it was drafted from"
    )
    focus_areas = models.JSONField(default=list)
    improvements = models.JSONField(default=list)
    summary = models.TextField(blank=True)
    evidence = models.JSONField(default=list)
    slot_data = models.JSONField(default=dict)
    source = models.CharField(
        max_length=12, choices=TradeAnalysis.Source.choices, default=TradeAnalysis.Source.TEMPLATE
    )
    source_reason = models.CharField(max_length=200, blank=True)
    grounding = models.JSONField(default=dict)
    patterns = models.ManyToManyField(AnalysisPattern, related_name="plans", blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = OwnedQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["account", "key"], name="plan_once")]

    def __str__(self) -> str:
        return f"Plan of {self.created_at:%Y-%m-%d}"
