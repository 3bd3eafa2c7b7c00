"""Answers of a given shape from models that promise it and from models that do not.

Servers accept a schema and ignore it, or know another way of asking. So the way that worked is
remembered for an endpoint, the prompt states the schema as well, and whatever comes back is looked
through and validated. Nothing is completed or mended here: an answer that lacks a brace is asked
for again, because guessing its end would lose text silently.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Generic, TypeVar

from pydantic import BaseModel

from llm.allowance import Allowance
from llm.breaker import Endpoint
from llm.client import ChatModel
from llm.errors import Kind, LLMError
from llm.extract import Extracted, extract
from llm.remembered import Remembered
from llm.schema import strict_schema
from llm.types import ChatRequest, Completion, Message, Usage

T = TypeVar("T", bound=BaseModel)
Rung = str
RUNGS: Final[tuple[Rung, ...]] = ("json_schema", "json_object", "text")
_WORKING: Final[Remembered[Endpoint, Rung]] = Remembered()

_MOST_PROBLEMS: Final = 6
_QUOTED: Final = 12_000
_TOO_LITTLE_TIME: Final = 1.0
_SHORTER: Final = (
    "Your answer was cut off because it was too long. Answer again with one complete JSON object "
    "and fewer words."
)

Check = Callable[[T], Sequence[str]]
Repair = Callable[[Sequence[str]], str]


@dataclass(frozen=True, slots=True)
class Question(Generic[T]):
    """What is asked and what makes an answer good.

    `messages` state the schema themselves. `check` lists what is wrong with an answer of the right
    shape; `repair` words the message that asks for a better one, given what was wrong; `shorter`
    gives messages that say less, asked for once where these are longer than the model takes.
    """

    messages: tuple[Message, ...] = field(repr=False)
    shape: type[T]
    name: str = "answer"
    max_tokens: int = 2048
    check: Check[T] | None = None
    repair: Repair | None = None
    shorter: Callable[[], tuple[Message, ...]] | None = None


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """A value of the right shape. `problems`: what `check` still finds after one repair.

    `usage`, `attempts` and `ms` cover every request of the call; `rung` is the format that worked.
    """

    value: T = field(repr=False)
    problems: tuple[str, ...] = field(repr=False)
    repaired: bool
    rung: Rung
    usage: Usage
    model: str
    request_id: str
    attempts: int
    ms: int


async def ask(chat: ChatModel, question: Question[T], seconds: float) -> Answer[T]:
    """One logical call: format ladder, a longer try when cut off, one repair round.

    Waits for a place first; then everything together has `seconds`. Raises LLMError: bad_schema
    when no answer had the shape, else what the last request failed with.
    """
    async with chat.slot():
        return await _Call(chat, question, chat.allowance(seconds)).run()


class _Call(Generic[T]):
    """The state of one logical call."""

    def __init__(self, chat: ChatModel, question: Question[T], allowance: Allowance) -> None:
        self._chat = chat
        self._question = question
        self._allowance = allowance
        self._schema = strict_schema(question.shape)
        self._usage = Usage()
        self._started = time.monotonic()
        self._rung = RUNGS[0]
        self._messages = question.messages

    async def run(self) -> Answer[T]:
        failure: LLMError
        try:
            return await self._run()
        except LLMError as error:
            failure = error
        failure.requests = self._allowance.spent
        failure.usage = self._paid
        raise failure

    async def _run(self) -> Answer[T]:
        asked = self._question
        completion, found = await self._first()
        if found.value is None and completion.finish == "length" and self._may_ask_again():
            shorter = (*self._messages, Message("user", _SHORTER))
            completion, found = await self._try(shorter, asked.max_tokens * 2)
        first = self._answer(completion, found, repaired=False)
        if first is not None and not first.problems:
            return first
        problems = found.problems if first is None else first.problems
        second: Answer[T] | None = None
        if self._may_ask_again():
            second = await self._repaired(completion, problems, keep=first is not None)
        better = [a for a in (second, first) if a is not None]
        if not better:
            raise LLMError(Kind.BAD_SCHEMA, request_id=completion.request_id)
        best = min(better, key=lambda answer: len(answer.problems))
        # A repair that did not help was paid for as well.
        return replace(best, usage=self._paid, attempts=self._allowance.spent, ms=self._ms())

    async def _first(self) -> tuple[Completion, Extracted[T]]:
        """The first answer; to shorter messages where the model does not take these."""
        asked = self._question
        try:
            return await self._try(self._messages, asked.max_tokens)
        except LLMError as error:
            if error.kind != Kind.TOO_LONG or asked.shorter is None or not self._may_ask_again():
                raise
        self._messages = asked.shorter()
        return await self._try(self._messages, asked.max_tokens)

    @property
    def _paid(self) -> Usage:
        """Tokens of the answers and of the attempts that brought none."""
        return self._usage + self._allowance.lost

    def _ms(self) -> int:
        return round((time.monotonic() - self._started) * 1000)

    def _may_ask_again(self) -> bool:
        return self._allowance.requests_left > 0 and (
            self._allowance.seconds_left > _TOO_LITTLE_TIME
        )

    async def _repaired(
        self, completion: Completion, problems: Sequence[str], *, keep: bool
    ) -> Answer[T] | None:
        """The answer to one request for a better one. A failure of that request is raised, unless
        there is an answer to `keep`."""
        asked = self._question
        told = (asked.repair or _repair_message)(problems[:_MOST_PROBLEMS])
        messages = (
            *self._messages,
            Message("assistant", completion.text[:_QUOTED] or "{}"),
            Message("user", told),
        )
        try:
            completion, found = await self._try(messages, asked.max_tokens)
        except LLMError:
            if keep:
                return None
            raise
        return self._answer(completion, found, repaired=True)

    async def _try(
        self, messages: tuple[Message, ...], max_tokens: int
    ) -> tuple[Completion, Extracted[T]]:
        completion = await self._down_the_ladder(messages, max_tokens)
        self._usage += completion.usage
        return completion, extract(completion.text, self._question.shape)

    async def _down_the_ladder(self, messages: tuple[Message, ...], max_tokens: int) -> Completion:
        """Ask in the way that worked last, then in the others: a server that knows the first may
        well not know the second."""
        first = _WORKING.get(self._chat.endpoint) or RUNGS[0]
        failure = LLMError(Kind.FORMAT_UNSUPPORTED, parameter="response_format")
        for rung in (first, *(other for other in RUNGS if other != first)):
            request = ChatRequest(messages, max_tokens, self._format(rung))
            try:
                completion = await self._chat.complete(request, self._allowance)
            except LLMError as error:
                failure = error
            else:
                _WORKING.put(self._chat.endpoint, rung)
                self._rung = rung
                return completion
            if failure.parameter != "response_format" or self._allowance.requests_left <= 0:
                break
        raise failure

    def _format(self, rung: Rung) -> dict[str, Any] | None:
        if rung == "text":
            return None
        if rung == "json_object":
            return {"type": "json_object"}
        named = {"name": self._question.name, "schema": self._schema, "strict": True}
        return {"type": "json_schema", "json_schema": named}

    def _answer(
        self, completion: Completion, found: Extracted[T], *, repaired: bool
    ) -> Answer[T] | None:
        if found.value is None:
            return None
        check = self._question.check
        return Answer(
            value=found.value,
            problems=tuple(check(found.value)) if check else (),
            repaired=repaired,
            rung=self._rung,
            usage=self._paid,
            model=completion.model,
            request_id=completion.request_id,
            attempts=self._allowance.spent,
            ms=self._ms(),
        )


def _repair_message(problems: Sequence[str]) -> str:
    listed = "\n".join(f"- {problem}" for problem in problems)
    return (
        f"Your answer cannot be used:\n{listed}\n"
        "Answer again with one corrected JSON object and nothing else."
    )


def schema_text(shape: type[BaseModel]) -> str:
    """The schema as a prompt states it; the same text for the same shape."""
    return json.dumps(strict_schema(shape), ensure_ascii=False, separators=(",", ":"))
