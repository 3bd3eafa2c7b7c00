"""What models cost and gave, as far as a reader may see it: staff see everybody's calls, others
those about accounts they may see. Days and months are UTC, as the budgets are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
from django.conf import settings
from django.db.models import Count, Q, QuerySet, Sum
from django.db.models.functions import TruncDate, TruncMonth

from post_mortem.models import LLMAnswer, LLMCall, LLMSpend, TradeAnalysis
from trading.models import OwnedQuerySet

DAYS = 30
MONTHS = 12
_MOST_TIMED = 5_000


@dataclass(frozen=True, slots=True)
class Period:
    """Calls of a day or month. `cost` None: the price of some call is unknown."""

    start: date
    calls: int
    tokens_in: int
    tokens_cached: int
    tokens_out: int
    cost: Decimal | None
    estimated: bool


@dataclass(frozen=True, slots=True)
class Budget:
    """One limit in its period; `limit` None does not limit. `reserved` is set aside for calls under
    way."""

    name: str
    unit: str
    used: Decimal
    reserved: Decimal
    limit: Decimal | None

    @property
    def is_spent(self) -> bool:
        return self.limit is not None and self.used + self.reserved >= self.limit


@dataclass(frozen=True, slots=True)
class ModelUse:
    """What one model's calls of the last days came to. `sound`: grounded at its first try."""

    model: str
    calls: int
    sound: int
    repaired: int
    pruned: int
    replaced: int
    failed: int
    reasons: tuple[tuple[str, int], ...]
    ms_p50: int | None
    ms_p95: int | None


@dataclass(frozen=True, slots=True)
class Narratives:
    """Whose words are shown now, and why the narrator's are where a model was asked."""

    total: int = 0
    by_model: int = 0
    reasons: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Usage:
    days: tuple[Period, ...]
    months: tuple[Period, ...]
    budgets: tuple[Budget, ...]
    models: tuple[ModelUse, ...]
    narratives: Narratives
    kept: int | None = None
    """Answers used again instead of asking; only staff are told, kept answers belong to nobody."""
    state: Mapping[str, Any] = field(default_factory=dict)


def model_usage(user: Any, now: datetime) -> Usage:
    calls = LLMCall.objects.all() if user.is_staff else LLMCall.objects.visible_to(user)
    since = now - timedelta(days=DAYS)
    kept = LLMAnswer.objects.aggregate(n=Sum("hits"))["n"] or 0 if user.is_staff else None
    return Usage(
        days=_periods(
            calls.filter(created_at__gte=since), TruncDate("created_at", tzinfo=UTC), DAYS
        ),
        months=_periods(calls, TruncMonth("created_at", tzinfo=UTC), MONTHS),
        budgets=_budgets(user, now),
        models=_models(calls.filter(created_at__gte=since).exclude(purpose="evaluation")),
        narratives=_narratives(TradeAnalysis.objects.visible_to(user)),
        kept=kept,
        state=_state(),
    )


def _state() -> dict[str, Any]:
    """How the operator has set it: whether anybody is asked, and whom."""
    reachable = bool(settings.OPENAI_API_KEY or settings.OPENAI_BASE_URL)
    return {
        "configured": bool(settings.LLM_MODEL and reachable),
        "paused": settings.LLM_PAUSED,
        "model": settings.LLM_MODEL,
        "sends_notes": settings.LLM_SEND_NOTES,
        "prices_known": bool(settings.LLM_PRICES),
    }


def _periods(calls: QuerySet[LLMCall], by: Any, most: int) -> tuple[Period, ...]:
    """Newest first."""
    rows = (
        calls.annotate(period=by)
        .values("period")
        .annotate(
            n=Count("pk"),
            tokens_in=Sum("tokens_in"),
            tokens_cached=Sum("tokens_cached"),
            tokens_out=Sum("tokens_out"),
            money=Sum("cost"),
            unknown=Count("pk", filter=Q(cost=None)),
            guessed=Count("pk", filter=Q(tokens_estimated=True)),
        )
        .order_by("-period")[:most]
    )
    return tuple(
        Period(
            start=_day(row["period"]),
            calls=row["n"],
            tokens_in=row["tokens_in"],
            tokens_cached=row["tokens_cached"],
            tokens_out=row["tokens_out"],
            cost=None if row["unknown"] else row["money"],
            estimated=bool(row["guessed"]),
        )
        for row in rows
    )


def _day(start: date | datetime) -> date:
    """Without a time, which a page would show in the reader's zone."""
    return start.date() if isinstance(start, datetime) else start


def _budgets(user: Any, now: datetime) -> tuple[Budget, ...]:
    """A user's own, and for staff those of everybody."""
    day, month = f"{now:%Y-%m-%d}", f"{now:%Y-%m}"
    mine, everybody = LLMSpend.scope_of(user.pk), LLMSpend.EVERYBODY
    rows = LLMSpend.objects.filter(scope__in=(mine, everybody), period__in=(day, month))
    stored = {(row.scope, row.period): row for row in rows}
    own = stored.get((mine, day), LLMSpend())
    tokens = Budget(
        "Your tokens today",
        "tokens",
        Decimal(own.tokens_used),
        Decimal(own.tokens_reserved),
        Decimal(settings.LLM_DAILY_TOKENS),
    )
    if not user.is_staff:
        return (tokens,)
    money = [
        Budget(name, "USD", Decimal(row.cost_used), Decimal(row.cost_reserved), limit or None)
        for name, row, limit in (
            ("Everybody today", stored.get((everybody, day), LLMSpend()), settings.LLM_DAILY_COST),
            (
                "Everybody this month",
                stored.get((everybody, month), LLMSpend()),
                settings.LLM_MONTHLY_COST,
            ),
        )
    ]
    return (tokens, *money)


def _models(calls: QuerySet[LLMCall]) -> tuple[ModelUse, ...]:
    counted: dict[str, Counter[tuple[str, str]]] = {}
    for model, outcome, source, n in (
        calls.values_list("model", "outcome", "source").annotate(n=Count("pk")).order_by("model")
    ):
        counted.setdefault(model, Counter())[outcome, source] += n
    times: dict[str, list[int]] = {}
    timed = calls.filter(outcome="ok").order_by("-created_at").values_list("model", "ms")
    for model, ms in timed[:_MOST_TIMED]:
        times.setdefault(model, []).append(ms)
    found = [_use(model, seen, times.get(model, ())) for model, seen in counted.items()]
    return tuple(sorted(found, key=lambda use: -use.calls))


def _use(model: str, seen: Counter[tuple[str, str]], ms: Sequence[int]) -> ModelUse:
    failed = Counter[str]()
    for (outcome, _), n in seen.items():
        if outcome not in ("ok", "ungrounded"):
            failed[outcome] += n
    return ModelUse(
        model=model,
        calls=seen.total(),
        sound=seen["ok", "llm"],
        repaired=seen["ok", "llm_repaired"],
        pruned=seen["ok", "llm_pruned"],
        replaced=sum(n for (outcome, _), n in seen.items() if outcome == "ungrounded"),
        failed=failed.total(),
        reasons=tuple(failed.most_common()),
        ms_p50=round(float(np.percentile(ms, 50))) if ms else None,
        ms_p95=round(float(np.percentile(ms, 95))) if ms else None,
    )


def _narratives(rows: OwnedQuerySet) -> Narratives:
    counted = rows.values_list("source", "source_reason").annotate(n=Count("pk")).order_by("-n")
    found = list(counted)
    own = TradeAnalysis.Source.TEMPLATE
    return Narratives(
        total=sum(n for _, _, n in found),
        by_model=sum(n for source, _, n in found if source != own),
        reasons=tuple((reason, n) for source, reason, n in found if source == own and reason),
    )
