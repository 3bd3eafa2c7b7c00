"""Short ways to ask a question in tests."""

import asyncio
import time
from dataclasses import dataclass
from typing import Any

from llm.breaker import Breaker
from llm.client import open_chat
from llm.config import LLMConfig
from llm.errors import Kind, LLMError
from llm.types import ChatRequest, Completion, Message

KEY = "sk-canary-of-the-key"
PROMPT = "canary of the prompt"
DEADLINE = 7.0
FORMAT = {"type": "json_schema", "json_schema": {"name": "answer", "schema": {}, "strict": True}}
REQUEST = ChatRequest((Message("system", "Be brief."), Message("user", PROMPT)), 100, FORMAT)


@dataclass(frozen=True)
class Result:
    """What became of one call: `seconds` of wall time."""

    answer: Completion | LLMError
    seconds: float

    @property
    def kind(self) -> Kind | None:
        return self.answer.kind if isinstance(self.answer, LLMError) else None


def config(url: str, model: str = "m", **changes: Any) -> LLMConfig:
    defaults: dict[str, Any] = {"api_key": KEY, "attempt_seconds": 2.0, "temperature": 0.2}
    return LLMConfig(model=model, base_url=url, **(defaults | changes))


async def ask(
    settings: LLMConfig,
    *,
    breaker: Breaker | None = None,
    deadline: float = DEADLINE,
    request: ChatRequest = REQUEST,
) -> Result:
    """One operation with one call; its own breaker unless one is given."""
    started = time.monotonic()
    answer: Completion | LLMError
    async with open_chat(settings, breaker=breaker or Breaker()) as chat:
        try:
            answer = await chat.complete(request, chat.allowance(deadline))
        except LLMError as error:
            answer = error
    return Result(answer, time.monotonic() - started)


def ask_now(settings: LLMConfig, **options: Any) -> Result:
    return asyncio.run(ask(settings, **options))
