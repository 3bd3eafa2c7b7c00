"""Any OpenAI-compatible endpoint through the SDK; the only file that imports it, and lazily.

The SDK builds requests and speaks HTTP. What it leaves open is closed here: one deadline over all
tries (its timeouts are per read), a limit on bodies, no redirects, no retries of its own, no
settings from the environment, and no exception that carries a request with its key and prompt.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import logging
import threading
import time
import zlib
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from llm.allowance import Allowance
from llm.answers import completion_from_body, error_from_response, usage
from llm.breaker import Breaker, Endpoint
from llm.config import NO_KEY, OPENAI_URL, LLMConfig
from llm.errors import Kind, LLMError
from llm.limiter import Limiter
from llm.remembered import Remembered
from llm.retry import retrying
from llm.types import ChatRequest, Completion

if TYPE_CHECKING:
    import ssl

    import httpx2
    import openai

logger = logging.getLogger(__name__)

_CLOSE_SECONDS: Final = 2.0
# What of the SDK's headers is sent: no telemetry, and nothing it read from the environment.
_HEADERS_SENT: Final = frozenset({"accept", "authorization", "content-type", "user-agent"})
# Headers of how a body travelled, untrue of the body that was read.
_OF_THE_WIRE: Final = frozenset({b"content-encoding", b"content-length", b"transfer-encoding"})
# Names of the length limit and whether a temperature is accepted, by endpoint.
_DIALECTS: Final[Remembered[Endpoint, tuple[str, bool]]] = Remembered()
_OTHER_NAME: Final = {
    "max_tokens": "max_completion_tokens",
    "max_completion_tokens": "max_tokens",
}
_TLS_LOCK: Final = threading.Lock()


@functools.cache
def _new_tls_context() -> ssl.SSLContext:
    import httpx2

    return httpx2.create_ssl_context()


def _tls_context() -> ssl.SSLContext:
    """One a process: making it takes fifty times as long as making a client with it."""
    with _TLS_LOCK:
        return _new_tls_context()


@functools.cache
def _client_class() -> type[httpx2.AsyncClient]:
    import httpx2
    import openai  # noqa: F401 - before what is there is put out of the collector's sight

    # Some hundred thousand objects that stay: going through them takes longer than a call's own
    # work, holds up all calls under way, and happens again every few hundred calls.
    gc.collect()
    gc.freeze()

    class BoundedClient(httpx2.AsyncClient):
        """Sends few headers and reads at most `max_body` bytes of any body, after decompression."""

        max_body = 0

        def build_request(self, method: str, url: httpx2.URL | str, **given: Any) -> httpx2.Request:
            # Not merged with settings of the client, a third of the time: there are none.
            headers = [pair for pair in given.pop("headers") if pair[0].lower() in _HEADERS_SENT]
            timeout = httpx2.Timeout(given.pop("timeout")).as_dict()
            return httpx2.Request(
                method,
                url,
                headers=[*headers, ("accept-encoding", "gzip")],
                extensions={"timeout": timeout},
                **given,
            )

        async def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
            response = await super().send(request, **(options | {"stream": True}))
            status = response.status_code
            try:
                body = await _read(response, self.max_body)
            except LLMError as error:
                raise LLMError(error.kind, status=status) from None
            except zlib.error:
                raise LLMError(Kind.BAD_BODY, status=status) from None
            except (httpx2.NetworkError, httpx2.ProtocolError):
                raise LLMError(Kind.CONNECTION, status=status) from None
            finally:
                await response.aclose()
            headers = [one for one in response.headers.raw if one[0].lower() not in _OF_THE_WIRE]
            return httpx2.Response(status, headers=headers, content=body, request=request)

    return BoundedClient


async def _read(response: httpx2.Response, most: int) -> bytes:
    """The decoded body. A bomb is never unpacked: zlib stops at the limit."""
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip", ""):
        raise LLMError(Kind.BAD_BODY)
    unpack = zlib.decompressobj(wbits=31) if encoding == "gzip" else None
    body = bytearray()
    async for piece in response.aiter_raw():
        room = most - len(body)
        body += piece if unpack is None else unpack.decompress(piece, room + 1)
        if len(body) > most:
            raise LLMError(Kind.TOO_BIG)
    if unpack is not None and not unpack.eof:
        raise LLMError(Kind.BAD_BODY)
    return bytes(body)


@asynccontextmanager
async def connect(config: LLMConfig, breaker: Breaker) -> AsyncIterator[OpenAICompatible]:
    import httpx2
    import openai

    http = _client_class()(
        verify=_tls_context(),
        follow_redirects=False,
        timeout=httpx2.Timeout(
            connect=config.connect_seconds,
            read=config.read_seconds,
            write=config.write_seconds,
            pool=config.connect_seconds,
        ),
        limits=httpx2.Limits(max_connections=config.concurrency),
    )
    http.max_body = config.max_body  # type: ignore[attr-defined]
    # Key and address are always given: the SDK would look for them in the environment.
    sdk = openai.AsyncOpenAI(
        api_key=config.api_key or NO_KEY,
        base_url=config.url,
        max_retries=0,
        http_client=http,
    )
    try:
        yield OpenAICompatible(config, sdk, breaker)
    finally:
        # Closing says goodbye to a server that may no longer listen.
        with suppress(TimeoutError, OSError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                await sdk.close()


class OpenAICompatible:
    """The ChatModel of one operation. Made by `open_chat`."""

    def __init__(self, config: LLMConfig, sdk: openai.AsyncOpenAI, breaker: Breaker) -> None:
        self._config = config
        self._sdk = sdk
        self._breaker = breaker
        self._limiter = Limiter(config.concurrency)

    @property
    def endpoint(self) -> Endpoint:
        return self._config.endpoint

    def allowance(self, seconds: float) -> Allowance:
        return Allowance(
            seconds, requests=self._config.max_requests, timeouts=self._config.max_timeouts
        )

    def slot(self) -> AbstractAsyncContextManager[None]:
        return self._limiter.slot()

    async def complete(self, request: ChatRequest, allowance: Allowance) -> Completion:
        started, before = time.monotonic(), allowance.spent
        answer: Completion | LLMError
        try:
            async with asyncio.timeout(allowance.seconds_left):
                answer = await self._in_its_dialect(request, allowance)
        except TimeoutError:
            answer = LLMError(Kind.TIMEOUT)
            self._breaker.record(self.endpoint, answer)
        except LLMError as error:
            answer = error
        ms = round((time.monotonic() - started) * 1000)
        spent = allowance.spent - before
        if isinstance(answer, Completion):
            logger.debug("answered request=%s ms=%d attempts=%d", answer.request_id, ms, spent)
            return replace(answer, ms=ms, attempts=spent)
        if answer.kind == Kind.RATE_LIMITED:
            self._breaker.gave_up(self.endpoint)
        answer.requests = spent
        logger.warning("no answer (%s) ms=%d attempts=%d", answer, ms, spent)
        # Raised outside the handler: an exception being handled would hang on as its context.
        answer.__context__ = answer.__cause__ = None
        raise answer.with_traceback(None)

    async def _in_its_dialect(self, request: ChatRequest, allowance: Allowance) -> Completion:
        """Providers disagree on how a length limit is called and on whether a temperature may be
        chosen; an objection to either is answered once and remembered."""
        while True:
            dialect = self._dialect()
            tokens_name, sends_temperature = dialect
            failure: LLMError
            try:
                return await self._retried(request, allowance, dialect)
            except LLMError as error:
                failure = error
            learned = dialect
            if failure.parameter == "max_tokens" and tokens_name == self._first_tokens_name():
                learned = (_OTHER_NAME[tokens_name], sends_temperature)
            elif failure.parameter == "temperature":
                learned = (tokens_name, False)
            if learned == dialect or allowance.requests_left <= 0:
                raise failure
            _DIALECTS.put(self.endpoint, learned)

    def _first_tokens_name(self) -> str:
        # The default provider's newer models know only the new name; local servers the old one.
        return "max_completion_tokens" if self._config.url == OPENAI_URL else "max_tokens"

    def _dialect(self) -> tuple[str, bool]:
        fresh = (self._first_tokens_name(), self._config.temperature is not None)
        return _DIALECTS.get(self.endpoint) or fresh

    async def _retried(
        self, request: ChatRequest, allowance: Allowance, dialect: tuple[str, bool]
    ) -> Completion:
        parameters = self._parameters(request, dialect)

        async def attempt() -> Completion:
            answer = await self._attempt(request, parameters, allowance)
            if isinstance(answer, Completion):
                return answer
            raise answer

        policy = retrying(
            allowance, self._config.max_attempts, lambda: self._breaker.is_open(self.endpoint)
        )
        completion: Completion = await policy(attempt)
        return completion

    def _parameters(self, request: ChatRequest, dialect: tuple[str, bool]) -> dict[str, Any]:
        tokens_name, sends_temperature = dialect
        parameters: dict[str, Any] = {
            "model": self._config.model,
            "messages": [{"role": m.role, "content": m.text} for m in request.messages],
            tokens_name: request.max_tokens,
        }
        if request.response_format is not None:
            parameters["response_format"] = request.response_format
        if sends_temperature:
            parameters["temperature"] = self._config.temperature
        return parameters

    async def _attempt(
        self,
        request: ChatRequest,
        parameters: Mapping[str, Any],
        allowance: Allowance,
    ) -> Completion | LLMError:
        """One HTTP request and what it says of the endpoint. Raises LLMError(circuit_open)."""
        self._breaker.permit(self.endpoint)
        try:
            allowance.take_request()
            answer = await self._sent(request, parameters)
        except BaseException:
            self._breaker.release(self.endpoint)
            raise
        error = None if isinstance(answer, Completion) else answer
        self._breaker.record(self.endpoint, error)
        if error is not None:
            allowance.lost += error.usage
        if error is not None and error.kind == Kind.TIMEOUT:
            allowance.timeouts_left -= 1
        if error is not None and error.kind == Kind.RATE_LIMITED:
            self._limiter.slow_down()
        return answer

    async def _sent(
        self, request: ChatRequest, parameters: Mapping[str, Any]
    ) -> Completion | LLMError:
        import httpx2
        import openai

        sent = frozenset(parameters) | {"max_tokens"}
        try:
            async with asyncio.timeout(self._config.attempt_seconds):
                # Not `chat.completions.create`: it walks every message by its declared type and
                # parses the answer by another, a quarter of the call's time for nothing.
                response = await self._sdk.post(
                    "/chat/completions", body=parameters, cast_to=httpx2.Response
                )
            return completion_from_body(response.headers, response.content, request)
        except LLMError as error:
            if error.status is not None and 200 <= error.status < 300 and not error.usage.prompt:
                # It was answered and is paid for, though the answer could not be read.
                error.usage = usage(None, request.characters, 0)
            return error
        except (TimeoutError, openai.APITimeoutError):
            return LLMError(Kind.TIMEOUT)
        except openai.APIStatusError as error:
            response = error.response
            return error_from_response(
                response.status_code, response.headers, response.content, sent
            )
        except (openai.APIConnectionError, httpx2.TransportError, OSError):
            return LLMError(Kind.CONNECTION)
        except (openai.OpenAIError, httpx2.HTTPError, zlib.error, ValueError):
            return LLMError(Kind.BAD_BODY)
