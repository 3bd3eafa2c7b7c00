"""What asking a language model cost and gave: the ledger, the budgets, the kept answers."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from trading.models import Account, OwnedQuerySet


class LLMCall(models.Model):
    """One logical call that reached for a model, append-only. Neither prompt nor answer is kept.

    `outcome` is `ok` or the kind of the failure (llm.errors.Kind); `requests` counts HTTP requests,
    each of which a provider may bill. Tokens are 0 and `cost` null where nothing is known."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, null=True, related_name="+")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True)
    purpose = models.CharField(max_length=40)
    model = models.CharField(max_length=120)
    host = models.CharField(max_length=255)
    prompt = models.CharField(max_length=60, help_text="name and version")
    prompt_sha256 = models.CharField(max_length=64)
    evidence_hash = models.CharField(max_length=64)
    tokens_in = models.PositiveIntegerField(default=0)
    tokens_cached = models.PositiveIntegerField(default=0)
    tokens_out = models.PositiveIntegerField(default=0)
    tokens_reasoning = models.PositiveIntegerField(default=0)
    tokens_estimated = models.BooleanField(default=False)
    cost = models.DecimalField(max_digits=14, decimal_places=6, null=True)
    ms = models.PositiveIntegerField(default=0)
    requests = models.PositiveSmallIntegerField(default=0)
    outcome = models.CharField(max_length=30)
    source = models.CharField(max_length=12, blank=True, help_text="What came of the answer")
    checked = models.PositiveIntegerField(default=0, help_text="Sentences looked at")
    violations = models.JSONField(default=dict, help_text="How many of each kind, at first answer")
    created_at = models.DateTimeField(auto_now_add=True)

    objects = OwnedQuerySet.as_manager()

    class Meta:
        verbose_name = "LLM call"
        indexes = [
            models.Index(fields=["account", "-created_at"]),
            models.Index(fields=["-created_at"]),
        ]

    def __str__(self) -> str:
        return f"{self.purpose} {self.model}: {self.outcome}"


class LLMAnswer(models.Model):
    """A grounded answer, kept under everything that could change it: template sources, schema,
    model, host, parameters and evidence. Failures are not kept."""

    key = models.CharField(max_length=64, unique=True)
    purpose = models.CharField(max_length=40)
    model = models.CharField(max_length=120)
    answer = models.JSONField(help_text="With slots, settled")
    source = models.CharField(max_length=12)
    grounding = models.JSONField(default=dict)
    hits = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)
    last_hit_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = "LLM answer"

    def __str__(self) -> str:
        return f"{self.purpose} {self.key[:12]}"


class LLMSpend(models.Model):
    """Tokens and money of one scope (`all`, `user:5`) in one period (`2026-11-21`, `2026-11`).

    A call reserves the most it could take before it is made and settles what it took after."""

    EVERYBODY = "all"

    scope = models.CharField(max_length=40)
    period = models.CharField(max_length=10)
    tokens_reserved = models.BigIntegerField(default=0)
    tokens_used = models.BigIntegerField(default=0)
    cost_reserved = models.DecimalField(max_digits=14, decimal_places=6, default=0)
    cost_used = models.DecimalField(max_digits=14, decimal_places=6, default=0)
    calls = models.PositiveIntegerField(default=0)

    class Meta:
        verbose_name = "LLM spend"
        constraints = [models.UniqueConstraint(fields=["scope", "period"], name="spend_once")]

    def __str__(self) -> str:
        return f"{self.scope} {self.period}"

    @staticmethod
    def scope_of(user_id: int | None) -> str:
        return f"user:{user_id or 0}"
