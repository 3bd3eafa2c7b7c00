"""What may be asked of a model, what it cost, and answers that need not be asked for again.

Budgets are reserved in one conditional UPDATE a period before calls are made and settled after
them, so that callers side by side cannot overdraw one by more than what a single call may turn out
to take beyond its reservation. A reservation whose process died stays counted until its period
ends.
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
from llm.types import Usage
from post_mortem.core.grounding import GROUNDING_VERSION
from post_mortem.models import LLMAnswer, LLMCall, LLMSpend

_NOTHING: Final = Decimal(0)
_INTERACTIVE_SECONDS: Final = 25.0


def llm_config() -> LLMConfig:
    """The operator's settings as the library takes them; without a model, or paused, disabled."""
    if settings.LLM_PAUSED:
        return LLMConfig()
    return configured(settings.LLM_MODEL)


def configured(model: str) -> LLMConfig:
    """As `llm_config`, for a model of that name and paused or not."""
    seconds = settings.LLM_TIMEOUT
    return LLMConfig(
        model=model,
        api_key=settings.OPENAI_API_KEY,
        base_url=settings.OPENAI_BASE_URL,
        concurrency=settings.LLM_CONCURRENCY,
        background_seconds=seconds,
        interactive_seconds=min(_INTERACTIVE_SECONDS, seconds),
        # A server that does not answer is tried a second time within the same limit.
        attempt_seconds=seconds * 5 / 8,
        read_seconds=seconds / 2,
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
        Cap(LLMSpend.EVERYBODY, month, None, settings.LLM_MONTHLY_COST or None),
        Cap(LLMSpend.EVERYBODY, day, None, settings.LLM_DAILY_COST or None),
        Cap(LLMSpend.scope_of(user_id), day, settings.LLM_DAILY_TOKENS, None),
    )


def reserve_first(asked: Sequence[Reservation], limits: Sequence[Cap]) -> int:
    """Set aside what calls may take, for as many of them from the first on as one try shows to be
    allowed: all, or half of them, a quarter ... 0 when not even the first is, or when money is
    limited and the price is unknown: such a limit could not be kept."""
    count = len(asked)
    while count and not _reserved(asked[:count], limits):
        count //= 2
    return count


class _RefusedError(Exception):
    """Rolls back what the earlier limits allowed."""


def _reserved(asked: Sequence[Reservation], limits: Sequence[Cap]) -> bool:
    try:
        with transaction.atomic():
            for cap in limits:
                if not _reserved_one(asked, cap):
                    raise _RefusedError
    except _RefusedError:
        return False
    return True


def _reserved_one(asked: Sequence[Reservation], cap: Cap) -> bool:
    if cap.money is not None and any(one.money is None for one in asked):
        return False
    tokens = sum(one.tokens for one in asked)
    money = sum((one.money or _NOTHING for one in asked), _NOTHING)
    row = LLMSpend.objects.filter(scope=cap.scope, period=cap.period)
    allowed = row
    if cap.tokens is not None:
        allowed = allowed.annotate(t=F("tokens_used") + F("tokens_reserved")).filter(
            t__lte=cap.tokens - tokens
        )
    if cap.money is not None:
        allowed = allowed.annotate(m=F("cost_used") + F("cost_reserved")).filter(
            m__lte=cap.money - money
        )
    changes = {
        "tokens_reserved": F("tokens_reserved") + tokens,
        "cost_reserved": F("cost_reserved") + money,
    }
    if allowed.update(**changes):
        return True
    _, is_new = LLMSpend.objects.get_or_create(scope=cap.scope, period=cap.period)
    return bool(is_new and allowed.update(**changes))


@transaction.atomic
def settle_all(calls: Sequence[tuple[Reservation, Usage | None, Sequence[Cap]]]) -> None:
    """Release reservations and count what was used; once a call, whatever became of it. None: the
    call was not made."""
    price = model_price()
    totals: dict[tuple[str, str], _Total] = {}
    for held, used, limits in calls:
        for cap in limits:
            totals.setdefault((cap.scope, cap.period), _Total()).add(held, used, price)
    # In the order in which `caps` gives them, so that nobody waits in a circle.
    for (scope, period), total in totals.items():
        LLMSpend.objects.filter(scope=scope, period=period).update(
            tokens_reserved=F("tokens_reserved") - total.tokens_held,
            cost_reserved=F("cost_reserved") - total.money_held,
            tokens_used=F("tokens_used") + total.tokens,
            cost_used=F("cost_used") + total.money,
            calls=F("calls") + total.calls,
        )


@dataclass(slots=True)
class _Total:
    tokens_held: int = 0
    money_held: Decimal = _NOTHING
    tokens: int = 0
    money: Decimal = _NOTHING
    calls: int = 0

    def add(self, held: Reservation, used: Usage | None, price: Price | None) -> None:
        self.tokens_held += held.tokens
        self.money_held += held.money or _NOTHING
        if used is not None:
            self.tokens += used.prompt + used.completion
            self.money += cost(used, price) or _NOTHING
            self.calls += 1


# --- the ledger ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asks what of which model: everything of a ledger row that is known before the call."""

    account_id: int | None
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


def record_all(calls: Sequence[tuple[Asked, Spent]]) -> None:
    """A row of the ledger each."""
    price = model_price()
    LLMCall.objects.bulk_create([_row(asked, spent, price) for asked, spent in calls])


def _row(asked: Asked, spent: Spent, price: Price | None) -> LLMCall:
    usage = spent.usage
    return LLMCall(
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
        cost=cost(usage, price) if spent.requests else _NOTHING,
        ms=spent.ms,
        requests=spent.requests,
        outcome=spent.outcome,
        source=spent.source,
        checked=spent.checked,
        violations=dict(spent.violations or {}),
    )


# --- answers worth keeping ------------------------------------------------------------------------


def answer_key(config: LLMConfig, prompt_sha256: str, schema: str, evidence: object) -> str:
    """sha256 over everything that could change an answer, or whether it passes. `evidence` is
    JSON-able and canonical: what the prompt was rendered with, without the nonce."""
    parts = [
        GROUNDING_VERSION, prompt_sha256, schema, config.model, host_of(config),
        config.temperature, evidence,
    ]  # fmt: skip
    canonical = json.dumps(parts, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def kept_answers(keys: Sequence[str], now: datetime) -> dict[str, LLMAnswer]:
    """Answers under these keys; their use is counted."""
    found = {row.key: row for row in LLMAnswer.objects.filter(key__in=keys)}
    if found:
        LLMAnswer.objects.filter(key__in=found).update(hits=F("hits") + 1, last_hit_at=now)
    return found


@dataclass(frozen=True, slots=True)
class Settled:
    """An answer that passed, and the key it may be found under."""

    key: str
    asked: Asked
    answer: Any
    source: str
    grounding: Mapping[str, Any]


def keep_answers(answers: Sequence[Settled]) -> None:
    """Keep settled answers. The first one under a key stays: all of them passed."""
    LLMAnswer.objects.bulk_create(
        [
            LLMAnswer(
                key=one.key,
                purpose=one.asked.purpose,
                model=one.asked.model[:120],
                answer=one.answer,
                source=one.source,
                grounding=dict(one.grounding),
            )
            for one in answers
        ],
        ignore_conflicts=True,
    )
