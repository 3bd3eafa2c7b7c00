"""The client under the conditions it is used in: many loops, many threads, forks, prying eyes."""

import asyncio
import gc
import json
import logging
import os
import signal
import traceback
from concurrent.futures import ThreadPoolExecutor

import pytest
from asgiref.sync import async_to_sync

from llm.breaker import BREAKER, Breaker
from llm.client import open_chat
from llm.config import LLMConfig
from llm.errors import Kind, LLMError
from llm.types import Completion
from tests.llm.asking import KEY, PROMPT, REQUEST, Result, ask, ask_now, config
from tests.llm.server import FaultServer
from tests.processes import ROOT, loaded_after_the_urls

ANSWER = "canary of the answer"


# --- Loops, threads, processes ------------------------------------------------------------------
def test_one_operation_after_another_in_one_thread(llm_server: FaultServer) -> None:
    results = [async_to_sync(ask)(config(llm_server.url)) for _ in range(10)]
    assert [result.kind for result in results] == [None] * 10
    assert llm_server.count == 10


def test_64_operations_from_16_threads(llm_server: FaultServer) -> None:
    def operation(_: int) -> Result:
        return async_to_sync(ask)(config(llm_server.url), breaker=BREAKER, deadline=30)

    with ThreadPoolExecutor(16) as pool:
        results = list(pool.map(operation, range(64)))
    assert [result.kind for result in results] == [None] * 64
    assert llm_server.count == 64


def test_a_client_serves_many_calls_of_its_operation(llm_server: FaultServer) -> None:
    async def operation() -> list[Completion]:
        async with open_chat(config(llm_server.url)) as chat:

            async def call() -> Completion:
                async with chat.slot():
                    return await chat.complete(REQUEST, chat.allowance(10))

            return await asyncio.gather(*(call() for _ in range(20)))

    assert len(async_to_sync(operation)()) == 20


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_after_a_fork(llm_server: FaultServer) -> None:
    assert ask_now(config(llm_server.url), breaker=BREAKER).kind is None
    # Another thread of the parent holds the lock in this very moment.
    with BREAKER._lock:
        child = os.fork()
        if child == 0:
            signal.alarm(20)
            answered = ask_now(config(llm_server.url), breaker=BREAKER).kind is None
            os._exit(0 if answered else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_more_calls_than_the_limit_wait(llm_server: FaultServer) -> None:
    llm_server.latency = 0.05

    async def operation() -> None:
        async with open_chat(config(llm_server.url, concurrency=2)) as chat:

            async def call() -> None:
                async with chat.slot():
                    await chat.complete(REQUEST, chat.allowance(10))

            await asyncio.gather(*(call() for _ in range(6)))

    asyncio.run(operation())
    moments = [request.at for request in llm_server.requests]
    assert moments[2] - moments[0] >= 0.05
    assert moments[4] - moments[2] >= 0.05


def test_importing_the_library_imports_no_sdk() -> None:
    modules = sorted(f"llm.{path.stem}" for path in (ROOT / "llm").glob("[a-z]*.py"))
    assert "llm.openai_compatible" in modules
    assert loaded_after_the_urls(("openai", "httpx2", "httpx"), also_import=modules) == []


# --- The breaker in use -------------------------------------------------------------------------
def test_full_collections_pass_over_the_sdk(llm_server: FaultServer) -> None:
    assert ask_now(config(llm_server.url)).kind is None
    # Else each of them holds up all calls while it goes through some hundred thousand objects.
    frozen = gc.get_freeze_count()
    assert frozen > 100_000
    assert ask_now(config(llm_server.url)).kind is None
    assert gc.get_freeze_count() == frozen, "once a process, not once an operation"


def test_an_open_circuit_costs_no_request(llm_server: FaultServer) -> None:
    llm_server.play("401")
    breaker = Breaker()
    assert ask_now(config(llm_server.url), breaker=breaker).kind == Kind.AUTH
    result = ask_now(config(llm_server.url), breaker=breaker)
    assert result.kind == Kind.CIRCUIT_OPEN
    assert isinstance(result.answer, LLMError)
    assert result.answer.because == Kind.AUTH
    assert llm_server.count == 1


def test_a_call_stops_when_the_circuit_opens_under_it(llm_server: FaultServer) -> None:
    llm_server.play("500")
    breaker = Breaker(threshold=2)
    assert ask_now(config(llm_server.url), breaker=breaker).kind == Kind.SERVER
    assert llm_server.count == 2


def test_a_probe_finds_the_server_well_again(llm_server: FaultServer) -> None:
    llm_server.play("500", "500", "ok")
    breaker = Breaker(threshold=2, pause=0.1)
    assert ask_now(config(llm_server.url), breaker=breaker).kind == Kind.SERVER

    async def later() -> Result:
        await asyncio.sleep(0.15)
        return await ask(config(llm_server.url), breaker=breaker)

    assert asyncio.run(later()).kind is None
    assert ask_now(config(llm_server.url), breaker=breaker).kind is None


def test_an_operation_has_as_many_places_as_configured() -> None:
    async def operation() -> None:
        async with open_chat(config("http://127.0.0.1:9/v1", concurrency=2)) as chat:
            async with chat.slot(), chat.slot():
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.05), chat.slot():
                        pass
            async with asyncio.timeout(5), chat.slot():
                pass

    asyncio.run(operation())


@pytest.mark.parametrize("row", ["hang", "drip"])
def test_the_deadline_ends_a_try_that_has_time_left(llm_server: FaultServer, row: str) -> None:
    """Timeouts of the SDK are per read: a server that drips bytes never runs into one."""
    # The first call of a process pays for imports and certificates.
    llm_server.play("ok", row)
    settings = config(llm_server.url, attempt_seconds=60.0)
    assert ask_now(settings).kind is None
    result = ask_now(settings, deadline=1.0)
    assert result.kind == Kind.TIMEOUT
    assert result.seconds <= 1.0 + 2
    assert llm_server.count == 2


def test_a_cancelled_call_is_cancelled(llm_server: FaultServer) -> None:
    llm_server.play("hang")

    async def scenario() -> None:
        task = asyncio.create_task(ask(config(llm_server.url)))
        await asyncio.sleep(0.3)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(scenario())


# --- What is sent -------------------------------------------------------------------------------
def test_nothing_of_the_environment_is_sent(
    llm_server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    ambient = {
        "OPENAI_API_KEY": "ambient-key",
        "OPENAI_ADMIN_KEY": "ambient-admin",
        "OPENAI_ORG_ID": "ambient-org",
        "OPENAI_PROJECT_ID": "ambient-project",
        "OPENAI_BASE_URL": "http://127.0.0.1:9/ambient",
        "OPENAI_CUSTOM_HEADERS": "X-Custom: ambient-header",
    }
    for name, value in ambient.items():
        monkeypatch.setenv(name, value)
    assert ask_now(config(llm_server.url, api_key="")).kind is None
    [request] = llm_server.requests
    assert "ambient" not in json.dumps(request.headers)
    assert request.headers["authorization"] == "Bearer none"
    assert not [name for name in request.headers if name.startswith("x-stainless")]


def test_what_a_request_says(llm_server: FaultServer) -> None:
    ask_now(config(llm_server.url))
    [request] = llm_server.requests
    assert request.path == "/v1/chat/completions"
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.body == {
        "model": "m",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": PROMPT},
        ],
        "max_tokens": 100,
        "temperature": 0.2,
        "response_format": REQUEST.response_format,
    }


def test_a_dialect_is_learned_once(llm_server: FaultServer) -> None:
    llm_server.play("new_tokens_name")
    assert [ask_now(config(llm_server.url)).kind for _ in range(3)] == [None] * 3
    assert llm_server.count == 4
    assert "max_completion_tokens" in llm_server.requests[-1].body


# --- Configuration ------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("settings", "enabled"),
    [
        (LLMConfig(), False),
        (LLMConfig(model="m"), False),
        (LLMConfig(api_key="k"), False),
        (LLMConfig(model="m", api_key="k"), True),
        (LLMConfig(model="m", base_url="http://127.0.0.1:1/v1"), True),
    ],
)
def test_when_a_model_is_configured(settings: LLMConfig, enabled: bool) -> None:
    assert settings.enabled is enabled


def test_without_a_model_nothing_opens() -> None:
    async def operation() -> None:
        async with open_chat(LLMConfig()):
            pass

    with pytest.raises(LLMError, match="disabled"):
        asyncio.run(operation())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("base_url", "ftp://host/v1"),
        ("base_url", "host/v1"),
        ("base_url", "https://user:pass@host/v1"),
        ("base_url", "https://host/v1?key=1"),
        ("concurrency", 0),
        ("attempt_seconds", -1.0),
        ("attempt_seconds", float("nan")),
        ("api_key", "two\nlines"),
        ("api_key", "k\u00e9y"),
    ],
)
def test_impossible_settings_are_refused(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field) as caught:
        LLMConfig(**{field: value})  # type: ignore[arg-type]
    assert "two" not in str(caught.value)


# --- Secrets ------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "row",
    ["ok", "500", "400", "401", "429_hour", "html_200", "cut_json", "reset_mid", "hang", "302",
     "no_json_schema", "gzip_bomb", "bad_utf8", "refusal"],
)  # fmt: skip
def test_no_log_and_no_error_tells_a_secret(
    llm_server: FaultServer, caplog: pytest.LogCaptureFixture, row: str
) -> None:
    """Error bodies of the server quote the key and the prompt; logging is at its most talkative."""
    llm_server.answer = ANSWER
    llm_server.play(row)
    settings = config(llm_server.url, attempt_seconds=0.3, max_attempts=2, max_timeouts=1)
    with caplog.at_level(logging.DEBUG):
        for name in ("openai", "httpx2", "httpcore2", "llm", "asyncio"):
            caplog.set_level(logging.DEBUG, logger=name)
        result = ask_now(settings, deadline=2.0)
    assert {"openai._base_client", "llm.openai_compatible"} <= {r.name for r in caplog.records}
    told = [record.getMessage() + repr(record.args) for record in caplog.records]
    told += [repr(settings), repr(REQUEST), repr(result)]
    error: BaseException | None = result.answer if isinstance(result.answer, LLMError) else None
    if error is not None:
        assert error.__context__ is None
        assert error.__cause__ is None
        told += ["".join(traceback.format_exception(error)), repr(error.args), str(vars(error))]
    text = "\n".join(told)
    for secret in (KEY, PROMPT, ANSWER):
        assert secret not in text
