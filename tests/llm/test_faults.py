"""Every row of the fault matrix alone, and rows in sequence, over a real socket.

All rows are played at once, each to a model of its own name: most of their time is waiting.
"""

import asyncio
from collections.abc import Iterator
from typing import Final

import pytest

from llm.errors import Kind
from llm.types import Completion
from tests.llm.asking import DEADLINE, Result, ask, config
from tests.llm.replies import ROWS
from tests.llm.server import FaultServer

# Row: kind of the error (None for an answer) and the HTTP requests spent.
ALONE: Final[dict[str, tuple[Kind | None, int]]] = {
    "ok": (None, 1),
    "429_seconds": (Kind.RATE_LIMITED, 4),
    "429_ms": (Kind.RATE_LIMITED, 4),
    "429_date": (Kind.RATE_LIMITED, 4),
    "429_plain": (Kind.RATE_LIMITED, 4),
    "429_hour": (Kind.RATE_LIMITED, 1),
    "429_quota": (Kind.QUOTA, 1),
    "401": (Kind.AUTH, 1),
    "402": (Kind.QUOTA, 1),
    "403": (Kind.AUTH, 1),
    "404": (Kind.NOT_FOUND, 1),
    "400": (Kind.BAD_REQUEST, 1),
    "422": (Kind.BAD_REQUEST, 1),
    "413": (Kind.TOO_LONG, 1),
    "context_length": (Kind.TOO_LONG, 1),
    "408": (Kind.SERVER, 4),
    "409": (Kind.SERVER, 4),
    "500": (Kind.SERVER, 4),
    "502_html": (Kind.SERVER, 4),
    "503_loading": (Kind.SERVER, 4),
    "529": (Kind.SERVER, 4),
    "302": (Kind.BAD_REQUEST, 1),
    # The format belongs to the ladder above; the other two are settled here.
    "no_json_schema": (Kind.FORMAT_UNSUPPORTED, 1),
    "no_format": (Kind.FORMAT_UNSUPPORTED, 1),
    "format_500": (Kind.FORMAT_UNSUPPORTED, 1),
    "only_json_schema": (None, 1),
    "new_tokens_name": (None, 2),
    "old_tokens_name": (None, 1),
    "no_temperature": (None, 2),
    "html_200": (Kind.BAD_BODY, 4),
    "empty_body": (Kind.BAD_BODY, 4),
    "cut_json": (Kind.BAD_BODY, 4),
    "bad_utf8": (Kind.BAD_BODY, 4),
    "choices_empty": (Kind.BAD_BODY, 4),
    "choices_null": (Kind.BAD_BODY, 4),
    "nested_body": (Kind.BAD_BODY, 4),
    "error_200": (Kind.SERVER, 4),
    "quota_200": (Kind.QUOTA, 1),
    "8_mib": (Kind.TOO_BIG, 1),
    "500_8_mib": (Kind.TOO_BIG, 1),
    "gzip": (None, 1),
    "gzip_bomb": (Kind.TOO_BIG, 1),
    "500_gzip_bomb": (Kind.TOO_BIG, 1),
    "gzip_cut": (Kind.BAD_BODY, 4),
    "gzip_lie": (Kind.BAD_BODY, 4),
    "unknown_encoding": (Kind.BAD_BODY, 4),
    "headers_70_kib": (None, 1),
    "slow": (None, 1),
    "hang": (Kind.TIMEOUT, 2),
    "drip": (Kind.TIMEOUT, 2),
    "reset_before": (Kind.CONNECTION, 4),
    "reset_mid": (Kind.CONNECTION, 4),
    "short_length": (Kind.CONNECTION, 4),
    "bad_chunk": (Kind.CONNECTION, 4),
    "not_http": (Kind.CONNECTION, 4),
    "content_null": (Kind.EMPTY, 2),
    "tool_calls": (Kind.EMPTY, 2),
    "refusal": (Kind.REFUSED, 1),
    "content_filter": (Kind.FILTERED, 1),
    "content_filter_400": (Kind.FILTERED, 1),
    "sse_cut": (Kind.BAD_BODY, 4),
    "sse_bad_event": (Kind.BAD_BODY, 4),
    "sse_error_event": (Kind.BAD_BODY, 4),
    "sse_no_done": (Kind.BAD_BODY, 4),
    # The transport has no opinion on these: structured.py and the grounding do.
    **dict.fromkeys(
        (
            "content_cut", "wrong_schema", "missing_key", "nan", "repr_dict", "nested_content",
            "surrogate", "prose", "prose_fence", "fence", "think", "lone_think_close",
            "two_objects", "top_array", "extra_keys", "reasoning_content", "content_parts",
            "length", "length_empty", "usage_absent", "usage_null", "usage_lying",
            "wrong_numbers", "wrong_label", "bad_citation", "injected", "xss",
        ),
        (None, 1),
    ),
}  # fmt: skip

# Name: (rows one after the other, kind, requests).
SEQUENCES: Final[dict[str, tuple[tuple[str, ...], Kind | None, int]]] = {
    "recovers": (("500", "reset_mid", "ok"), None, 3),
    "waits as told": (("429_ms", "ok"), None, 2),
    "last chance": (("503_loading", "html_200", "cut_json", "ok"), None, 4),
    "too late": (("500", "500", "500", "500", "ok"), Kind.SERVER, 4),
    "one hang": (("hang", "ok"), None, 2),
    "hang, fault, hang": (("hang", "500", "hang", "ok"), Kind.TIMEOUT, 3),
    "empty twice": (("500", "content_null", "ok"), Kind.EMPTY, 2),
    "then for good": (("500", "401", "ok"), Kind.AUTH, 2),
    "then a long wait": (("500", "429_hour", "ok"), Kind.RATE_LIMITED, 2),
    "renamed after a fault": (("500", "new_tokens_name"), None, 3),
    "two dialects": (("new_tokens_name", "no_temperature"), None, 3),
    "never more than six": (
        ("500", "500", "500", "new_tokens_name", "500", "500", "500", "ok"),
        Kind.SERVER,
        6,
    ),
}


@pytest.fixture(scope="module")
def played() -> Iterator[tuple[FaultServer, dict[str, Result]]]:
    """Every row and sequence once, each against its own endpoint."""
    with FaultServer() as server:
        scripts = {row: (row,) for row in ROWS} | {name: s[0] for name, s in SEQUENCES.items()}
        for name, rows in scripts.items():
            server.play(*rows, model=name)

        async def everything() -> list[Result]:
            # The first client pays for imports and certificates; the deadlines are short.
            await ask(config(server.url, "warm-up"))
            places = asyncio.Semaphore(40)

            async def one(name: str) -> Result:
                async with places:
                    return await ask(config(server.url, name))

            return await asyncio.gather(*(one(name) for name in scripts))

        yield server, dict(zip(scripts, asyncio.run(everything()), strict=True))


def test_the_matrix_has_every_row() -> None:
    assert ALONE.keys() == ROWS.keys()


@pytest.mark.parametrize("row", ALONE)
def test_a_fault_alone(played: tuple[FaultServer, dict[str, Result]], row: str) -> None:
    server, results = played
    kind, requests = ALONE[row]
    result = results[row]
    assert result.kind == kind
    assert len(server.sent_to(row)) == requests
    assert result.seconds <= DEADLINE + 2


@pytest.mark.parametrize("name", SEQUENCES)
def test_faults_in_sequence(played: tuple[FaultServer, dict[str, Result]], name: str) -> None:
    server, results = played
    _, kind, requests = SEQUENCES[name]
    assert results[name].kind == kind
    assert len(server.sent_to(name)) == requests
    assert results[name].seconds <= DEADLINE + 2


@pytest.mark.parametrize(("row", "wait"), [("429_ms", 0.3), ("429_seconds", 1.0)])
def test_waits_as_long_as_told(
    played: tuple[FaultServer, dict[str, Result]], row: str, wait: float
) -> None:
    moments = [request.at for request in played[0].sent_to(row)]
    assert all(
        later - earlier >= wait for earlier, later in zip(moments, moments[1:], strict=False)
    )


def test_a_long_wait_is_handed_to_the_caller(
    played: tuple[FaultServer, dict[str, Result]],
) -> None:
    error = played[1]["429_hour"].answer
    assert getattr(error, "retry_after", None) == 3600


def test_spent_requests_are_told(played: tuple[FaultServer, dict[str, Result]]) -> None:
    server, results = played
    for name, result in results.items():
        answer = result.answer
        told = answer.attempts if isinstance(answer, Completion) else answer.requests
        sent = len(server.sent_to(name))
        # On a busy machine a try can be lost before the server has read it: it is spent all the
        # same. It never tells fewer than were sent.
        assert sent <= told <= sent + 1, name


@pytest.mark.parametrize("row", ["usage_absent", "usage_null", "usage_lying"])
def test_missing_usage_is_estimated_and_flagged(
    played: tuple[FaultServer, dict[str, Result]], row: str
) -> None:
    answer = played[1][row].answer
    assert isinstance(answer, Completion)
    assert answer.usage.estimated
    assert answer.usage.prompt > 0
    assert answer.usage.completion > 0


def test_reported_usage_is_kept(played: tuple[FaultServer, dict[str, Result]]) -> None:
    answer = played[1]["ok"].answer
    assert isinstance(answer, Completion)
    assert not answer.usage.estimated
