"""The door of the library: `async with open_chat(config) as chat: await chat.complete(...)`.

A client lives as long as one operation and its event loop: a client kept across loops fails every
second call with "Event loop is closed", after the provider was paid. Synchronous callers wrap the
whole operation, `async_to_sync(operation)(...)`; asynchronous ones await it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

from llm.allowance import Allowance
from llm.breaker import BREAKER, Breaker, Endpoint
from llm.config import LLMConfig
from llm.errors import Kind, LLMError
from llm.types import ChatRequest, Completion


class ChatModel(Protocol):
    @property
    def endpoint(self) -> Endpoint:
        """Address and model: what is learned about a provider is kept under it."""

    def allowance(self, seconds: float) -> Allowance:
        """What one logical call may spend. Made inside `slot`, or waiting for it would count."""

    def slot(self) -> AbstractAsyncContextManager[None]:
        """A place among the calls under way; held for a whole logical call."""

    async def complete(self, request: ChatRequest, allowance: Allowance) -> Completion:
        """One answer, within the allowance. Raises LLMError and nothing else."""


@asynccontextmanager
async def open_chat(config: LLMConfig, *, breaker: Breaker = BREAKER) -> AsyncIterator[ChatModel]:
    """A client for one operation, closed with it. Raises LLMError(disabled) where no model is
    configured. The SDK is imported by the first call, never by a process that makes none."""
    if not config.enabled:
        raise LLMError(Kind.DISABLED)
    from llm.openai_compatible import connect

    async with connect(config, breaker) as chat:
        yield chat
