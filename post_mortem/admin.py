"""The admin of rules, tokens and jobs; what the engine wrote can be read, not edited."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from unfold.admin import TabularInline

from post_mortem.models import (
    AnalysisPattern,
    ApiToken,
    AuditRCA,
    AutopsyJob,
    CauseReview,
    ImprovementPlan,
    InsightAudit,
    JobItem,
    LabelingRule,
    ModelVersion,
    RecommendationHistory,
    RecommendationTracking,
    RetrainRequest,
    RuleSnapshot,
    TradeAnalysis,
)
from post_mortem.services import jobs, rules, tokens
from trading.admin import DeskScopedAdmin, ReadOnly, ReadOnlyAdmin, SharedAdmin
from trading.core.errors import UserError


# --- Rules --------------------------------------------------------------------------------------
class RuleForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = LabelingRule
        fields = (
            "desk",
            "strategy",
            "symbol",
            "timeframe",
            "horizon",
            "success_tp_pips",
            "success_rr_ratio",
            "fail_sl_pips",
            "fail_adverse_pct",
            "neutral_band_pips",
            "neutral_band_r",
            "min_score",
            "is_active",
            "priority",
            "notes",
        )

    def _post_clean(self) -> None:
        super()._post_clean()
        if self.errors:
            return
        try:
            rules.check_rule(self.instance)
        except UserError as error:
            field = error.field if error.field in self.fields else None
            self.add_error(field, ValidationError(error.detail, code=error.code))


@admin.register(LabelingRule)
class LabelingRuleAdmin(SharedAdmin):
    form = RuleForm
    list_display = ("__str__", "desk", "is_active", "priority", "updated_at")
    list_select_related = ("desk",)
    list_filter = ("is_active", "horizon")
    search_fields = ("strategy", "symbol")

    def save_model(self, request: HttpRequest, obj: LabelingRule, form: Any, change: bool) -> None:
        if not change:
            obj.created_by = request.user  # type: ignore[assignment]
        self._tell(request, rules.save_rule(rule=obj))

    def delete_model(self, request: HttpRequest, obj: LabelingRule) -> None:
        self._tell(request, rules.delete_rule(rule=obj))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[LabelingRule]) -> None:
        self._tell(request, sum(rules.delete_rule(rule=rule) for rule in queryset))

    def _tell(self, request: HttpRequest, marked: int) -> None:
        if marked:
            text = f"{marked:,} audits are stale: the next run judges them again."
            self.message_user(request, text, messages.WARNING)


@admin.register(RuleSnapshot)
class RuleSnapshotAdmin(ReadOnlyAdmin):
    list_display = ("sha256",)


# --- What the engine wrote ----------------------------------------------------------------------
class CauseInline(ReadOnly, TabularInline):
    model = AuditRCA
    fields = ("rank", "cause", "confidence", "posterior")
    readonly_fields = fields


class ReviewInline(ReadOnly, TabularInline):
    model = CauseReview
    fields = ("cause", "verdict", "posterior", "user", "created_at")
    readonly_fields = fields


@admin.register(InsightAudit)
class InsightAuditAdmin(ReadOnlyAdmin):
    list_display = (
        "entry_time",
        "signal",
        "horizon",
        "outcome",
        "top_cause",
        "is_stale",
        "account",
    )
    list_select_related = ("signal__instrument",)
    list_filter = ("horizon", "outcome", "top_cause", "is_stale")
    search_fields = ("=signal__instrument__symbol", "=input_hash", "=evidence_hash")
    ordering = ("-pk",)
    inlines = (CauseInline, ReviewInline)

    def get_queryset(self, request: HttpRequest) -> QuerySet[InsightAudit]:
        rows: QuerySet[InsightAudit] = super().get_queryset(request)
        return rows.defer("record")


@admin.register(TradeAnalysis)
class TradeAnalysisAdmin(ReadOnlyAdmin):
    list_display = ("created_at", "audit", "source", "success_score", "account")
    list_select_related = ("audit__signal__instrument", "account")
    list_filter = ("source",)
    ordering = ("-pk",)


@admin.register(AnalysisPattern)
class AnalysisPatternAdmin(ReadOnlyAdmin):
    list_display = ("pattern_type", "category", "confidence", "account", "created_at")
    list_select_related = ("account",)


@admin.register(ImprovementPlan)
class ImprovementPlanAdmin(ReadOnlyAdmin):
    list_display = ("created_at", "account")
    list_select_related = ("account",)


class HistoryInline(ReadOnly, TabularInline):
    model = RecommendationHistory
    fields = ("created_at", "version", "from_status", "to_status", "notes", "user")
    readonly_fields = fields


@admin.register(RecommendationTracking)
class RecommendationAdmin(ReadOnlyAdmin):
    list_display = ("recommendation", "area", "implementation_status", "impact_score", "account")
    list_select_related = ("account",)
    list_filter = ("implementation_status", "area")
    inlines = (HistoryInline,)


# --- Models of the learning loop ----------------------------------------------------------------
@admin.register(ModelVersion)
class ModelVersionAdmin(ReadOnlyAdmin):
    list_display = ("version_id", "strategy", "is_active", "is_production", "created_at")


@admin.register(RetrainRequest)
class RetrainRequestAdmin(ReadOnlyAdmin):
    list_display = ("request_id", "strategy", "status", "created_at")
    list_filter = ("status",)


# --- Jobs and tokens ----------------------------------------------------------------------------
class ItemInline(ReadOnly, TabularInline):
    model = JobItem
    fields = ("key", "status", "weight", "attempts", "lease_owner", "lease_until", "error_message")
    readonly_fields = fields
    per_page = 50


@admin.register(AutopsyJob)
class AutopsyJobAdmin(ReadOnlyAdmin):
    list_display = ("created_at", "kind", "status", "done", "failed", "total", "requested_by")
    list_select_related = ("requested_by",)
    list_filter = ("status", "kind")
    search_fields = ("=job_id",)
    ordering = ("-created_at",)
    inlines = (ItemInline,)
    actions = ("cancel",)

    @admin.action(description="Cancel", permissions=["operate"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[AutopsyJob]) -> None:
        stopped = sum(jobs.cancel(job=job, now=timezone.now()) for job in queryset)
        self.message_user(request, f"{stopped} jobs were cancelled.")

    def has_operate_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_superuser)


@admin.register(ApiToken)
class ApiTokenAdmin(ReadOnly, DeskScopedAdmin):
    """Tokens are made by `create_token`, which alone can show them."""

    list_display = ("name", "prefix", "user", "scope", "expires_at", "revoked_at", "last_used_at")
    list_select_related = ("user",)
    list_filter = ("scope",)
    exclude = ("sha256",)
    actions = ("revoke",)

    def scoped(self, rows: QuerySet[Any], user: Any) -> QuerySet[Any]:
        return rows.filter(user=user)

    @admin.action(description="Revoke", permissions=["view"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiToken]) -> None:
        for token in queryset:
            tokens.revoke_token(token=token, now=timezone.now())
        self.message_user(request, "The tokens were revoked.")
