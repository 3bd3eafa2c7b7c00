"""What may be asked of a model, what it cost, and answers that need not be asked for again.

Budgets are reserved in one conditional UPDATE a period before a call is made and settled after it,
so that callers side by side cannot overdraw one by more than what a single call may turn out to
take beyond its reservation. A reservation whose process died stays counted until its period ends.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction
from django.db.models import F

from llm.config import OPENAI_URL, LLMConfig
from llm.cost import Price, Reservation, cost
from llm.errors import Kind, LLMError
from llm.types import Usage
from post_mortem.models import LLMAnswer, LLMCall, LLMSpend

_NOTHING: Final = Decimal(0)
EVERYBODY: Final = "all"


def llm_config() -> LLMConfig:
    """The operator's settings as the library takes them; without a model, or paused, disabled."""
    if settings.LLM_PAUSED:
        return LLMConfig()
    return LLMConfig(
        model=settings.LLM_MODEL,
        api_key=settings.OPENAI_API_KEY,
        base_url=settings.OPENAI_BASE_URL,
    )


def model_price() -> Price | None:
    """Dollars per million tokens as configured; None where unknown."""
    if not settings.LLM_PRICES:
        return None
    prompt, cached, completion = settings.LLM_PRICES
    return Price(prompt=prompt, completion=completion, cached=cached)


def host_of(config: LLMConfig) -> str:
    return urlsplit(config.base_url or OPENAI_URL).netloc


# --- budgets ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Cap:
    """The limit of one scope in one period; None does not limit."""

    scope: str
    period: str
    tokens: int | None
    money: Decimal | None


def caps(user_id: int | None, now: datetime) -> tuple[Cap, ...]:
    """The limits a call of this user falls under, in the order they are always locked."""
    day, month = f"{now:%Y-%m-%d}", f"{now:%Y-%m}"
    return (
        Cap(EVERYBODY, month, None, settings.LLM_MONTHLY_COST or None),
        Cap(EVERYBODY, day, None, settings.LLM_DAILY_COST or None),
        Cap(f"user:{user_id or 0}", day, settings.LLM_DAILY_TOKENS, None),
    )


@transaction.atomic
def reserve(asked: Reservation, limits: Sequence[Cap]) -> None:
    """Set aside what a call may take. Raises LLMError(budget) when a limit does not allow it, or
    when money is limited and the price is unknown: such a limit could not be kept."""
    for cap in limits:
        if cap.money is not None and asked.money is None:
            raise LLMError(Kind.BUDGET)
        row, _ = LLMSpend.objects.get_or_create(scope=cap.scope, period=cap.period)
        allowed = LLMSpend.objects.filter(pk=row.pk)
        money = asked.money or _NOTHING
        if cap.tokens is not None:
            allowed = allowed.annotate(t=F("tokens_used") + F("tokens_reserved")).filter(
                t__lte=cap.tokens - asked.tokens
            )
        if cap.money is not None:
            allowed = allowed.annotate(m=F("cost_used") + F("cost_reserved")).filter(
                m__lte=cap.money - money
            )
        changed = allowed.update(
            tokens_reserved=F("tokens_reserved") + asked.tokens,
            cost_reserved=F("cost_reserved") + money,
        )
        if not changed:
            raise LLMError(Kind.BUDGET)


@transaction.atomic
def settle(asked: Reservation, used: Usage, limits: Sequence[Cap]) -> None:
    """Release the reservation and count what was used; once a call, whatever became of it."""
    money = cost(used, model_price()) or _NOTHING
    for cap in limits:
        LLMSpend.objects.filter(scope=cap.scope, period=cap.period).update(
            tokens_reserved=F("tokens_reserved") - asked.tokens,
            cost_reserved=F("cost_reserved") - (asked.money or _NOTHING),
            tokens_used=F("tokens_used") + used.prompt + used.completion,
            cost_used=F("cost_used") + money,
            calls=F("calls") + 1,
        )


# --- the ledger ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asks what of which model: everything of a ledger row that is known before the call."""

    account_id: int
    user_id: int | None
    purpose: str
    model: str
    host: str
    prompt: str
    prompt_sha256: str
    evidence_hash: str


@dataclass(frozen=True, slots=True)
class Spent:
    """What a call took and how it ended: `outcome` is `ok` or the kind of its failure."""

    outcome: str
    usage: Usage
    requests: int
    ms: int
    source: str = ""
    checked: int = 0
    violations: Mapping[str, int] | None = None


def record(asked: Asked, spent: Spent) -> LLMCall:
    """One row of the ledger."""
    usage = spent.usage
    return LLMCall.objects.create(
        account_id=asked.account_id,
        user_id=asked.user_id,
        purpose=asked.purpose,
        model=asked.model[:120],
        host=asked.host[:255],
        prompt=asked.prompt,
        prompt_sha256=asked.prompt_sha256,
        evidence_hash=asked.evidence_hash,
        tokens_in=usage.prompt,
        tokens_cached=usage.cached,
        tokens_out=usage.completion,
        tokens_reasoning=usage.reasoning,
        tokens_estimated=usage.estimated,
        cost=cost(usage, model_price()) if spent.requests else _NOTHING,
        ms=spent.ms,
        requests=spent.requests,
        outcome=spent.outcome,
        source=spent.source,
        checked=spent.checked,
        violations=dict(spent.violations or {}),
    )


# --- answers worth keeping ------------------------------------------------------------------------


def answer_key(config: LLMConfig, prompt_sha256: str, schema: str, evidence: object) -> str:
    """sha256 over everything that could change an answer. `evidence` is JSON-able and canonical:
    what the prompt was rendered with, without the nonce."""
    parts = [
        prompt_sha256, schema, config.model, host_of(config), config.temperature, evidence,
    ]  # fmt: skip
    canonical = json.dumps(parts, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def kept_answers(keys: Sequence[str], now: datetime) -> dict[str, LLMAnswer]:
    """Answers under these keys; their use is counted."""
    found = {row.key: row for row in LLMAnswer.objects.filter(key__in=keys)}
    if found:
        LLMAnswer.objects.filter(key__in=found).update(hits=F("hits") + 1, last_hit_at=now)
    return found


def keep_answer(
    *, key: str, asked: Asked, answer: Any, source: str, grounding: Mapping[str, Any]
) -> None:
    """Keep a settled answer. The first one under a key stays: all of them passed."""
    LLMAnswer.objects.get_or_create(
        key=key,
        defaults={
            "purpose": asked.purpose,
            "model": asked.model[:120],
            "answer": answer,
            "source": source,
            "grounding": dict(grounding),
        },
    )
