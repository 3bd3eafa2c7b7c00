"""The admin of desks, instruments and what was imported.

Superusers see everything, other staff what their desks may see. Imported rows are read-only: they
change by importing again or by undoing an import.
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin, TabularInline
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from trading.models import (
    Account,
    CandleRevision,
    CandleSeries,
    Desk,
    Execution,
    ImportBatch,
    Instrument,
    InstrumentAlias,
    Membership,
    NewsEvent,
    NewsFeed,
    Outage,
    OwnedQuerySet,
    SharedQuerySet,
    Signal,
    Trade,
    visible_accounts,
    visible_desks,
)


class DeskScopedAdmin(ModelAdmin):
    """Rows that the user may see. A model without an account or a desk is for superusers."""

    show_full_result_count = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request)
        if request.user.is_superuser:
            return rows
        return self.scoped(rows, request.user)

    def scoped(self, rows: QuerySet[Any], user: Any) -> QuerySet[Any]:
        if isinstance(rows, OwnedQuerySet | SharedQuerySet):
            return rows.visible_to(user)
        return rows.none()


class ReadOnly:
    """For any admin or inline: look, do not touch."""

    can_delete = False
    extra = 0

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ReadOnlyAdmin(ReadOnly, DeskScopedAdmin):
    pass


class SharedAdmin(DeskScopedAdmin):
    """Rows of a desk or of everybody: all of a user's desks see them, superusers write them."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_superuser)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.is_superuser)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.is_superuser)


# --- People -------------------------------------------------------------------------------------
admin.site.unregister(User)
admin.site.unregister(Group)


@admin.register(User)
class InquestUserAdmin(UserAdmin, ModelAdmin):
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm


@admin.register(Group)
class InquestGroupAdmin(GroupAdmin, ModelAdmin):
    pass


class MembershipInline(TabularInline):
    model = Membership
    autocomplete_fields = ("user",)
    extra = 0


@admin.register(Desk)
class DeskAdmin(SharedAdmin):
    list_display = ("name", "is_demo", "created_at")
    search_fields = ("name",)
    inlines = (MembershipInline,)

    def scoped(self, rows: QuerySet[Any], user: Any) -> QuerySet[Any]:
        return rows.filter(pk__in=visible_desks(user).values("pk"))


@admin.register(Account)
class AccountAdmin(SharedAdmin):
    list_display = ("name", "desk", "owner", "currency", "time_zone")
    list_select_related = ("desk", "owner")
    search_fields = ("name", "owner__username")
    autocomplete_fields = ("desk", "owner")

    def scoped(self, rows: QuerySet[Any], user: Any) -> QuerySet[Any]:
        return rows.filter(pk__in=visible_accounts(user).values("pk"))


# --- Instruments --------------------------------------------------------------------------------
class AliasInline(TabularInline):
    model = InstrumentAlias
    extra = 0


@admin.register(Instrument)
class InstrumentAdmin(SharedAdmin):
    list_display = ("symbol", "kind", "base", "quote", "point", "pip")
    list_filter = ("kind",)
    search_fields = ("symbol", "aliases__alias")
    inlines = (AliasInline,)

    def scoped(self, rows: QuerySet[Any], user: Any) -> QuerySet[Any]:
        # What exists to be traded is no secret of anybody's.
        return rows

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        # Stored prices are whole points: another point would change every one of them.
        return ("symbol", "point") if obj else ()


# --- Imported rows ------------------------------------------------------------------------------
@admin.register(CandleSeries)
class CandleSeriesAdmin(ReadOnlyAdmin):
    list_display = (
        "instrument",
        "timeframe",
        "source",
        "kind",
        "n_bars",
        "first_time",
        "last_time",
    )
    list_select_related = ("instrument", "desk")
    list_filter = ("kind", "timeframe")
    search_fields = ("instrument__symbol", "source")


@admin.register(CandleRevision)
class CandleRevisionAdmin(ReadOnlyAdmin):
    list_display = ("series", "time", "batch")
    list_select_related = ("series__instrument", "batch")

    def scoped(self, rows: QuerySet[Any], user: Any) -> QuerySet[Any]:
        return rows.filter(series__in=CandleSeries.objects.visible_to(user).values("pk"))


@admin.register(ImportBatch)
class ImportBatchAdmin(ReadOnlyAdmin):
    list_display = ("created_at", "kind", "file_name", "format", "status", "desk", "account")
    list_select_related = ("desk", "account")
    list_filter = ("kind", "status")
    search_fields = ("file_name", "file_sha256")

    def scoped(self, rows: QuerySet[Any], user: Any) -> QuerySet[Any]:
        of_account = rows.filter(account__in=visible_accounts(user).values("pk"))
        of_desk = rows.filter(account=None, desk__in=visible_desks(user).values("pk"))
        return of_account | of_desk


@admin.register(Signal)
class SignalAdmin(ReadOnlyAdmin):
    list_display = ("time", "instrument", "side", "timeframe", "strategy", "source", "account")
    list_select_related = ("instrument", "account")
    list_filter = ("source", "side")
    search_fields = ("=external_id", "=instrument__symbol", "strategy")
    ordering = ("-time", "-pk")


class ExecutionInline(ReadOnly, TabularInline):
    model = Execution
    fields = ("time", "side", "quantity", "price", "commission", "external_id")
    readonly_fields = fields
    ordering = ("time", "pk")


@admin.register(Trade)
class TradeAdmin(ReadOnlyAdmin):
    list_display = ("opened_at", "instrument", "side", "quantity", "net_pnl", "account")
    list_select_related = ("instrument", "account")
    list_filter = ("side", "exit_reason")
    search_fields = ("=external_id", "=instrument__symbol", "strategy")
    ordering = ("-opened_at", "-pk")
    inlines = (ExecutionInline,)


@admin.register(NewsFeed)
class NewsFeedAdmin(ReadOnlyAdmin):
    list_display = ("name", "covers_from", "covers_to", "desk")
    list_select_related = ("desk",)


@admin.register(NewsEvent)
class NewsEventAdmin(ReadOnlyAdmin):
    list_display = ("time", "currency", "impact", "title", "surprise_z")
    list_filter = ("impact", "currency")
    search_fields = ("title",)
    ordering = ("-time", "-pk")


@admin.register(Outage)
class OutageAdmin(SharedAdmin):
    list_display = ("start", "end", "what", "desk")
    list_select_related = ("desk",)
