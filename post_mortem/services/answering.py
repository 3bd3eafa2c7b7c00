"""One question to a model and what becomes of its answer: settled against the evidence, or why not.

Nothing here touches the database, so it runs on an event loop; nothing raises for a model's fault.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from llm.client import ChatModel
from llm.cost import Price, Reservation, reservation
from llm.errors import LLMError
from llm.prompts import Rendered, render_repair
from llm.types import ChatRequest, Message, Usage
from post_mortem.core.answers import Found, inspect, settle
from post_mortem.core.claims import Ground
from post_mortem.services.llm_ledger import Asked, Spent

if TYPE_CHECKING:
    from pydantic import BaseModel

    from llm.structured import Answer

# Two requests a call is the rule: an answer, and now and then its repair.
_RESERVED_REQUESTS: Final = 2
_MOST_TOKENS: Final = 3_000


@dataclass(frozen=True, slots=True)
class Ask:
    """One question, ready to be sent. `fallback` is the built-in narrator's own text of the same
    sections; `key` names everything that could change the answer; `about` is the caller's; `noted`
    is kept with the grounding of whatever comes of it; `shorter` makes the same question from less
    evidence, for a model that does not take this much."""

    key: str
    asked: Asked
    prompt: str
    rendered: Rendered = field(repr=False)
    shape: type[BaseModel]
    ground: Ground = field(repr=False)
    fallback: Mapping[str, Any] = field(repr=False)
    sections: tuple[str, ...]
    about: Any = field(default=None, repr=False)
    noted: Mapping[str, Any] = field(default_factory=dict)
    shorter: Callable[[], Ask] | None = field(default=None, repr=False)


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


def most_it_takes(ask: Ask, price: Price | None) -> Reservation:
    """What is set aside before the question is asked."""
    request = ChatRequest(ask.rendered.messages, _MOST_TOKENS)
    return reservation(request, price, _RESERVED_REQUESTS)


@dataclass(frozen=True, slots=True)
class Examined:
    """An outcome and how it came about. `first` is the first answer that had the right shape;
    `is_valid_first`: no other came before it."""

    outcome: Outcome
    spent: Spent
    first: Mapping[str, Any] | None = field(default=None, repr=False)
    is_valid_first: bool = False


async def answer(ask: Ask, chat: ChatModel, seconds: float) -> tuple[Outcome, Spent]:
    """Ask, look through, validate, check, have it repaired once, settle."""
    examined = await examine(ask, chat, seconds)
    return examined.outcome, examined.spent


async def examine(ask: Ask, chat: ChatModel, seconds: float) -> Examined:
    """As `answer`, with what a grader wants to know."""
    from llm.structured import Question
    from llm.structured import ask as ask_model

    looked: list[tuple[dict[str, Any], list[Found]]] = []
    shapeless: list[bool] = []

    def check(value: BaseModel) -> list[str]:
        said = value.model_dump()
        found = inspect(said, ask.ground)
        looked.append((said, found))
        return [f"{f.violation.code} in {f.section}: {f.sentence[:200]}" for f in found]

    def repair(problems: Sequence[str]) -> str:
        shapeless.append(not looked)
        # `said` is a whole sentence of ours: copied into another it would read like a figure.
        facts = ask.ground.facts.items()
        slots = {pk: [key for key in fact.slots if key != "said"] for pk, fact in facts}
        return render_repair(ask.prompt, problems=list(problems), slots=slots)

    def shorten() -> tuple[Message, ...]:
        nonlocal ask
        ask = shorter()
        return ask.rendered.messages

    shorter = ask.shorter or (lambda: ask)
    question: Question[Any] = Question(
        messages=ask.rendered.messages,
        shape=ask.shape,
        name=ask.prompt,
        max_tokens=_MOST_TOKENS,
        check=check,
        repair=repair,
        shorter=shorten if ask.shorter else None,
    )
    started = time.monotonic()
    try:
        given = await ask_model(chat, question, seconds)
    except LLMError as error:
        ms = round((time.monotonic() - started) * 1000)
        kind = str(error.kind)
        outcome = Outcome(
            "template", reason=kind, grounding=ask.noted, retry_after=error.retry_after
        )
        violations = _kinds(looked[0][1] if looked else ())
        usage = error.usage or Usage()
        spent = Spent(kind, usage, error.requests, ms, "template", 0, violations)
    else:
        outcome, spent = _settled(ask, given, looked)
    first = looked[0][0] if looked else None
    return Examined(outcome, spent, first, first is not None and not any(shapeless))


def _settled(
    ask: Ask, given: Answer[Any], looked: Sequence[tuple[dict[str, Any], list[Found]]]
) -> tuple[Outcome, Spent]:
    value: dict[str, Any] = given.value.model_dump()
    found = next(found for said, found in looked if said == value)
    result = settle(value, ask.fallback, ask.ground, ask.sections, found)
    source = "llm_repaired" if given.repaired else "llm"
    if result.removed or result.replaced:
        source = "llm_pruned"
    reason = ""
    if set(result.replaced) >= {name for name in ask.sections if name in value}:
        source, reason = "template", "ungrounded"
    first = _kinds(looked[0][1])
    grounding = {
        **ask.noted,
        "model": ask.asked.model,
        "prompt": ask.asked.prompt,
        "checked": result.checked,
        "removed": result.removed,
        "replaced": list(result.replaced),
        "violations": first,
        "action": source,
    }
    spent = Spent(
        "ok" if source != "template" else "ungrounded",
        given.usage,
        given.attempts,
        given.ms,
        source,
        result.checked,
        first,
    )
    kept = None if source == "template" else result.narrative
    return Outcome(source, kept, reason, grounding), spent


def _kinds(found: Sequence[Found]) -> dict[str, int]:
    return dict(sorted(Counter(f.violation.code for f in found).items()))
