"""Ask a model many questions at once: kept answers, budgets, calls, ledger, grounding.

Three phases that never mix. The caller *collects* (database, no network) and builds questions;
`ask_all` *calls* (network, no database in between) and settles every answer against its evidence;
the caller *persists*. Nothing here raises for a model's fault: every question gets an `Outcome`.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from asgiref.sync import async_to_sync

from llm.client import ChatModel, open_chat
from llm.config import LLMConfig
from llm.cost import Reservation, reservation
from llm.errors import LLMError
from llm.prompts import Rendered, render_repair
from llm.types import ChatRequest, Usage
from post_mortem.core.answers import Found, inspect, settle
from post_mortem.core.claims import Ground
from post_mortem.services import llm_ledger as ledger

if TYPE_CHECKING:
    from pydantic import BaseModel

    from llm.structured import Answer

# Two requests a call is the rule: an answer, and now and then its repair.
_RESERVED_REQUESTS: Final = 2
_MOST_TOKENS: Final = 3_000


@dataclass(frozen=True, slots=True)
class Ask:
    """One question, ready to be sent. `fallback` is the built-in narrator's own text of the same
    sections; `key` names everything that could change the answer."""

    key: str
    asked: ledger.Asked
    prompt: str
    rendered: Rendered = field(repr=False)
    shape: type[BaseModel]
    ground: Ground = field(repr=False)
    fallback: Mapping[str, Any] = field(repr=False)
    sections: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a question. `answer` is settled, with slots; None: use the fallback, `reason`
    says why. `source`: llm, llm_repaired, llm_pruned or template."""

    source: str
    answer: Mapping[str, Any] | None = field(default=None, repr=False)
    reason: str = ""
    grounding: Mapping[str, Any] = field(default_factory=dict)
    retry_after: float | None = None
    cached: bool = False


def ask_all(
    asks: Sequence[Ask], config: LLMConfig, *, now: datetime, interactive: bool = False
) -> list[Outcome]:
    """One outcome a question, in order. Questions with the same key are asked once."""
    kept = ledger.kept_answers([ask.key for ask in asks], now)
    results: dict[str, Outcome] = {
        key: Outcome(row.source, row.answer, grounding=row.grounding, cached=True)
        for key, row in kept.items()
    }
    due = list({ask.key: ask for ask in asks if ask.key not in results}.values())
    if due and not config.enabled:
        results |= {ask.key: Outcome("template", reason="disabled") for ask in due}
    elif due:
        results |= _call_and_record(due, config, now, interactive)
    return [results[ask.key] for ask in asks]


def _call_and_record(
    due: Sequence[Ask], config: LLMConfig, now: datetime, interactive: bool
) -> dict[str, Outcome]:
    """In groups as large as the calls made side by side, so that a refused budget stops the next
    group and a killed process loses the record of one group at most."""
    results: dict[str, Outcome] = {}
    size = max(1, config.concurrency) * 4
    seconds = config.interactive_seconds if interactive else config.background_seconds
    for start in range(0, len(due), size):
        group = due[start : start + size]
        reserved = {ask.key: _reserve(ask, now) for ask in group}
        allowed = [ask for ask in group if isinstance(reserved[ask.key], Reservation)]
        results |= {
            ask.key: Outcome("template", reason=kind)
            for ask in group
            if isinstance(kind := reserved[ask.key], str)
        }
        if not allowed:
            continue
        called = async_to_sync(_call)(allowed, config, seconds)
        for ask, (result, spent) in zip(allowed, called, strict=True):
            held = reserved[ask.key]
            if isinstance(held, Reservation):
                ledger.settle(held, spent.usage, ledger.caps(ask.asked.user_id, now))
            ledger.record(ask.asked, spent)
            if result.answer is not None:
                ledger.keep_answer(
                    key=ask.key,
                    asked=ask.asked,
                    answer=result.answer,
                    source=result.source,
                    grounding=result.grounding,
                )
            results[ask.key] = result
    return results


def _reserve(ask: Ask, now: datetime) -> Reservation | str:
    """What is set aside for the call, or the kind of the refusal."""
    request = ChatRequest(ask.rendered.messages, _MOST_TOKENS)
    asked = reservation(request, ledger.model_price(), _RESERVED_REQUESTS)
    try:
        ledger.reserve(asked, ledger.caps(ask.asked.user_id, now))
    except LLMError as error:
        return str(error.kind)
    return asked


async def _call(
    asks: Sequence[Ask], config: LLMConfig, seconds: float
) -> list[tuple[Outcome, ledger.Spent]]:
    async with open_chat(config) as chat:
        return list(await asyncio.gather(*(_one(ask, chat, seconds) for ask in asks)))


async def _one(ask: Ask, chat: ChatModel, seconds: float) -> tuple[Outcome, ledger.Spent]:
    from llm.structured import Question
    from llm.structured import ask as ask_model

    first: list[Found] = []

    def check(value: BaseModel) -> list[str]:
        found = inspect(value.model_dump(), ask.ground)
        if not first:
            first.extend(found)
        return [f"{f.violation.code} in {f.section}: {f.sentence[:200]}" for f in found]

    def repair(problems: Sequence[str]) -> str:
        # `said` is a whole sentence of ours: copied into another it would read like a figure.
        facts = ask.ground.facts.items()
        slots = {pk: [key for key in fact.slots if key != "said"] for pk, fact in facts}
        return render_repair(ask.prompt, problems=list(problems), slots=slots)

    question: Question[Any] = Question(
        messages=ask.rendered.messages,
        shape=ask.shape,
        name=ask.prompt,
        max_tokens=_MOST_TOKENS,
        check=check,
        repair=repair,
    )
    started = time.monotonic()
    try:
        answer = await ask_model(chat, question, seconds)
    except LLMError as error:
        ms = round((time.monotonic() - started) * 1000)
        usage = error.usage or Usage()
        outcome = Outcome("template", reason=str(error.kind), retry_after=error.retry_after)
        return outcome, ledger.Spent(
            str(error.kind), usage, error.requests, ms, "template", violations=_kinds(first)
        )
    return _settled(ask, answer, first)


def _settled(ask: Ask, answer: Answer[Any], first: Sequence[Found]) -> tuple[Outcome, ledger.Spent]:
    value: dict[str, Any] = answer.value.model_dump()
    result = settle(value, ask.fallback, ask.ground, ask.sections)
    source = "llm_repaired" if answer.repaired else "llm"
    if result.removed or result.replaced:
        source = "llm_pruned"
    reason = ""
    if set(result.replaced) >= {name for name in ask.sections if name in value}:
        source, reason = "template", "ungrounded"
    grounding = {
        "model": ask.asked.model,
        "prompt": ask.asked.prompt,
        "checked": result.checked,
        "removed": result.removed,
        "replaced": list(result.replaced),
        "violations": _kinds(first),
        "action": source,
    }
    spent = ledger.Spent(
        "ok" if source != "template" else "ungrounded",
        answer.usage,
        answer.attempts,
        answer.ms,
        source,
        result.checked,
        _kinds(first),
    )
    kept = None if source == "template" else result.narrative
    return Outcome(source, kept, reason, grounding), spent


def _kinds(found: Sequence[Found]) -> dict[str, int]:
    return dict(sorted(Counter(f.violation.code for f in found).items()))
