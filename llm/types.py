"""Records that cross the library: what is asked and what came back.

Texts stay out of every repr, so that a logged record or a traceback shows no prompt and no answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True)
class Message:
    role: Role
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One question. `response_format` is sent as it is; None asks for plain text."""

    messages: tuple[Message, ...]
    max_tokens: int = 2048
    response_format: Mapping[str, Any] | None = field(default=None, repr=False)

    @property
    def characters(self) -> int:
        return sum(len(message.text) for message in self.messages)


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one or more requests. `cached` is part of `prompt`, `reasoning` of `completion`.

    `estimated` says that the provider's figures were missing or impossible and that these are
    characters divided by four.
    """

    prompt: int = 0
    completion: int = 0
    cached: int = 0
    reasoning: int = 0
    estimated: bool = False

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.prompt + other.prompt,
            self.completion + other.completion,
            self.cached + other.cached,
            self.reasoning + other.reasoning,
            self.estimated or other.estimated,
        )


Finish = Literal["stop", "length", "unknown"]


@dataclass(frozen=True, slots=True)
class Completion:
    """An answer. `ms`: wall time with waits; `attempts`: HTTP requests it took."""

    text: str = field(repr=False)
    finish: Finish
    usage: Usage
    model: str
    request_id: str
    ms: int = 0
    attempts: int = 1
