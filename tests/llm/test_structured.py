"""Schemas every provider takes, answers found in whatever came back, the ladder and the repair."""

import asyncio
import json
from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Literal, Optional

import pytest
from pydantic import BaseModel, Field

from llm import structured
from llm.answers import estimate_tokens
from llm.breaker import Breaker
from llm.client import open_chat
from llm.errors import Kind, LLMError
from llm.extract import extract
from llm.schema import strict_schema
from llm.structured import Answer, Question, ask, schema_text
from llm.types import Message
from tests.llm.asking import config
from tests.llm.server import FaultServer


class Part(BaseModel):
    text: str = Field(max_length=200)
    area: Literal["entry", "exit"]


class Report(BaseModel):
    """What the model is asked for."""

    summary: str
    parts: list[Part] = Field(max_length=3)
    note: str | None = None


GOOD = {"summary": "It was so", "parts": [{"text": "because of it", "area": "entry"}], "note": None}
TEXT = json.dumps(GOOD)
VALUE = Report.model_validate(GOOD)
MESSAGES = (Message("system", "Answer as JSON."), Message("user", "Why?"))


@pytest.fixture(autouse=True)
def _nothing_remembered() -> None:
    structured._WORKING.clear()


# --- Schemas ------------------------------------------------------------------------------------
def test_a_portable_schema() -> None:
    assert strict_schema(Report) == {
        "type": "object",
        "description": "What the model is asked for.",
        "properties": {
            "summary": {"type": "string"},
            "parts": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "text": {"type": "string"},
                        "area": {"type": "string", "enum": ["entry", "exit"]},
                    },
                    "required": ["text", "area"],
                    "additionalProperties": False,
                },
            },
            "note": {"type": ["string", "null"]},
        },
        "required": ["summary", "parts", "note"],
        "additionalProperties": False,
    }


class Size(StrEnum):
    SMALL = "small"


class Odds(BaseModel):
    size: Size
    only: Literal["this"]
    either: Optional[Literal["a", "b"]]  # noqa: UP045
    share: float = Field(ge=0, le=1)


def test_enums_constants_and_limits() -> None:
    assert strict_schema(Odds)["properties"] == {
        "size": {"type": "string", "enum": ["small"]},
        "only": {"type": "string", "enum": ["this"]},
        "either": {"type": ["string", "null"], "enum": ["a", "b", None]},
        "share": {"type": "number"},
    }


class Free(BaseModel):
    keys: dict[str, int]


class Either(BaseModel):
    value: int | str


class Anything(BaseModel):
    value: Any


class Node(BaseModel):
    children: list["Node"]


class Deep5(BaseModel):
    text: str


class Deep4(BaseModel):
    below: Deep5


class Deep3(BaseModel):
    below: Deep4


class Deep2(BaseModel):
    below: Deep3


class Deep1(BaseModel):
    below: Deep2


class Deep0(BaseModel):
    below: Deep1


def test_five_levels_are_the_most() -> None:
    assert strict_schema(Deep1)
    with pytest.raises(TypeError, match="more than 5"):
        strict_schema(Deep0)


@pytest.mark.parametrize("shape", [Free, Either, Anything, Node])
def test_a_shape_without_a_portable_schema_is_refused(shape: type[BaseModel]) -> None:
    with pytest.raises(TypeError):
        strict_schema(shape)


def test_the_text_of_a_schema_is_stable() -> None:
    assert json.loads(schema_text(Report)) == strict_schema(Report)
    assert schema_text(Report) == schema_text(Report)


# --- Extraction ---------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "text",
    [
        TEXT,
        f"\ufeff\n {TEXT} \n",
        f"Here you are:\n```json\n{TEXT}\n```\nDone.",
        f"```\n{TEXT}\n```",
        f"<think>Perhaps {TEXT.replace('so', 'otherwise')}</think>{TEXT}",
        f"thinking aloud {{}} {TEXT.replace('so', 'otherwise')} </think> {TEXT}",
        f'{{"summary": 1}} and then {TEXT}',
        f"[{TEXT}]",
        f"{{{{ not json }}}} {TEXT}",
        json.dumps({**GOOD, "surplus": [1]}),
        '{"a": NaN} ' + TEXT,
        '{"a": 1e999} ' + TEXT,
    ],
)
def test_found(text: str) -> None:
    assert extract(text, Report).value == VALUE


@pytest.mark.parametrize("mentioned", ["</think> was written", "a ``` fence", "a {brace}"])
def test_an_answer_that_mentions_wrappers_stays_whole(mentioned: str) -> None:
    value = Report(summary=mentioned, parts=[])
    assert extract(value.model_dump_json(), Report).value == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "I would rather not.",
        TEXT[:-1],
        TEXT[: len(TEXT) // 2],
        repr(GOOD),
        TEXT.replace('"It was so"', "NaN"),
        TEXT.replace("It was so", "half a pair \\ud800"),
        TEXT.replace("It was so", "a null \\u0000"),
        TEXT.replace("entry", "elsewhere"),
        TEXT.replace("because of it", "x" * 201),
        '{"a":' * 10_000 + "1" + "}" * 10_000,
        '{"a":' * 9_999 + TEXT,
        "[" * 100_000,
        "{" * 100_000,
        '{"summary": ' + "9" * 5_000 + "}",
    ],
)
def test_not_found(text: str) -> None:
    found = extract(text, Report)
    assert found.value is None
    assert 1 <= len(found.problems) <= 6


def test_an_escaped_backslash_before_u0000_is_no_null() -> None:
    value = Report(summary="the text \\u0000", parts=[])
    assert extract(value.model_dump_json(), Report).value == value


class Share(BaseModel):
    share: float


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999"])
def test_a_number_that_is_none_is_not_found(value: str) -> None:
    assert extract(f'{{"share": {value}}}', Share).value is None
    assert extract('{"share": 0.5}', Share).value == Share(share=0.5)


def test_problems_name_places_and_quote_nothing() -> None:
    bad = {**GOOD, "summary": 7, "parts": [{"text": "canary " * 40, "area": "canary"}]}
    problems = extract(json.dumps(bad), Report).problems
    assert [problem.partition(":")[0] for problem in problems] == [
        "summary", "parts.0.text", "parts.0.area",
    ]  # fmt: skip
    assert "canary" not in str(problems)


def test_no_more_than_twenty_candidates() -> None:
    assert extract("{} " * 19 + TEXT, Report).value == VALUE
    assert extract("{} " * 21 + TEXT, Report).value is None


# --- The whole call -----------------------------------------------------------------------------
def put(
    server: FaultServer, *, seconds: float = 4.0, name: str = "m", **details: Any
) -> Answer[Report] | LLMError:
    """Ask for a Report, as a caller does."""

    async def operation() -> Answer[Report]:
        async with open_chat(config(server.url, name), breaker=Breaker()) as chat:
            return await ask(chat, Question(MESSAGES, Report, "report", 100, **details), seconds)

    try:
        return asyncio.run(operation())
    except LLMError as error:
        return error


@pytest.fixture
def server(llm_server: FaultServer) -> FaultServer:
    llm_server.answer = TEXT
    return llm_server


# Row: kind of the error or the way that worked, and the requests.
CALLS = {
    "ok": ("json_schema", 1),
    "no_json_schema": ("json_object", 2),
    "format_500": ("json_object", 2),
    "no_format": ("text", 3),
    "only_json_schema": ("json_schema", 1),
    "new_tokens_name": ("json_schema", 2),
    **dict.fromkeys(
        (
            "prose_fence", "fence", "think", "lone_think_close", "two_objects", "top_array",
            "extra_keys", "reasoning_content", "content_parts", "usage_lying", "wrong_numbers",
            "injected", "xss", "bad_citation", "wrong_label",
        ),
        ("json_schema", 1),
    ),
    **dict.fromkeys(
        (
            "content_cut", "wrong_schema", "missing_key", "nan", "repr_dict", "nested_content",
            "surrogate", "prose",
        ),
        (Kind.BAD_SCHEMA, 2),
    ),
    # Cut off, then longer, then repaired: three tries.
    "length": (Kind.BAD_SCHEMA, 3),
    "length_empty": (Kind.BAD_SCHEMA, 3),
    "refusal": (Kind.REFUSED, 1),
    "content_filter": (Kind.FILTERED, 1),
    "401": (Kind.AUTH, 1),
}  # fmt: skip


# The shape is right; what they say is for the caller's check.
ALTERED = {"wrong_numbers", "injected", "xss", "bad_citation", "wrong_label"}


@pytest.mark.parametrize("row", CALLS)
def test_a_call(server: FaultServer, row: str) -> None:
    expected, requests = CALLS[row]
    server.play(row)
    answer = put(server, name=row)
    assert server.count == requests
    if isinstance(answer, LLMError):
        assert answer.kind == expected
        assert answer.requests == requests
        assert answer.usage.prompt > 0 or answer.kind != Kind.BAD_SCHEMA
    else:
        assert answer.rung == expected
        assert answer.attempts == requests
        assert (answer.value == VALUE) is (row not in ALTERED)
        assert not answer.repaired


@pytest.mark.parametrize(
    "row", ["content_cut", "wrong_schema", "missing_key", "nan", "prose", "nested_content"]
)
def test_one_repair_is_enough(server: FaultServer, row: str) -> None:
    server.play(row, "ok")
    answer = put(server)
    assert isinstance(answer, Answer)
    assert answer.value == VALUE
    assert answer.repaired
    assert answer.attempts == server.count == 2
    asked = server.requests[1].body["messages"]
    assert [message["role"] for message in asked] == ["system", "user", "assistant", "user"]
    assert asked[:2] == server.requests[0].body["messages"]
    assert "corrected JSON object" in asked[3]["content"]


def test_cut_off_answers_get_more_room_once(server: FaultServer) -> None:
    server.play("length", "ok")
    answer = put(server)
    assert isinstance(answer, Answer)
    assert [request.body["max_tokens"] for request in server.requests] == [100, 200]
    assert not answer.repaired


def test_the_way_that_works_is_remembered(server: FaultServer) -> None:
    server.play("no_json_schema")
    answers = [put(server) for _ in range(3)]
    assert [answer.rung for answer in answers if isinstance(answer, Answer)] == ["json_object"] * 3
    assert server.count == 4
    assert isinstance(put(server, name="another model"), Answer)
    assert server.count == 6


def test_a_remembered_way_that_no_longer_works_is_left(server: FaultServer) -> None:
    server.play("no_json_schema")
    put(server)
    server.play("only_json_schema")
    answer = put(server)
    assert isinstance(answer, Answer)
    assert answer.rung == "json_schema"


def test_what_check_finds_is_repaired_once(server: FaultServer) -> None:
    def check(report: Report) -> Sequence[str]:
        return ["the summary says so"] if "so" in report.summary else []

    def repair(problems: Sequence[str]) -> str:
        return f"Please mend: {problems}"

    server.answer = lambda body: (
        TEXT if len(body["messages"]) == 2 else TEXT.replace("It was so", "It was not")
    )
    answer = put(server, check=check, repair=repair)
    assert isinstance(answer, Answer)
    assert (answer.value.summary, answer.problems, answer.repaired) == ("It was not", (), True)
    told = server.requests[1].body["messages"][-1]["content"]
    assert told == "Please mend: ('the summary says so',)"


def test_what_cannot_be_repaired_is_told(server: FaultServer) -> None:
    answer = put(server, check=lambda _: ["one", "another"])
    assert isinstance(answer, Answer)
    assert answer.problems == ("one", "another")
    assert server.count == 2


@pytest.mark.parametrize("row", ["401", "prose", "hang"])
def test_a_failed_repair_keeps_the_first_answer(server: FaultServer, row: str) -> None:
    server.play("ok", row)
    answer = put(server, check=lambda _: ["one"], seconds=3.5)
    assert isinstance(answer, Answer)
    assert answer.value == VALUE
    assert answer.problems == ("one",)
    assert not answer.repaired
    assert answer.attempts == server.count


def test_never_more_than_six_requests(server: FaultServer) -> None:
    server.play("500", "500", "no_json_schema", "500", "500", "prose", "ok")
    answer = put(server, seconds=10)
    assert isinstance(answer, LLMError)
    assert server.count == 6


# Answered with a 2xx, so paid for, whatever became of the answer on its way; and not.
PAID = (
    "html_200", "empty_body", "cut_json", "bad_utf8", "nested_body", "gzip_cut",
    "gzip_lie", "gzip_bomb", "8_mib", "reset_mid",
)  # fmt: skip


@pytest.mark.parametrize("row", [*PAID, "500", "500_8_mib", "error_200", "reset_before", "401"])
def test_an_answer_that_cannot_be_read_is_paid_for(server: FaultServer, row: str) -> None:
    server.play(row)
    failure = put(server)
    assert isinstance(failure, LLMError)
    characters = sum(len(message.text) for message in MESSAGES)
    each = estimate_tokens(characters) if row in PAID else 0
    assert failure.usage.prompt == failure.requests * each
    assert failure.usage.estimated == (row in PAID)


def test_a_prompt_that_is_too_long_is_shortened_once(server: FaultServer) -> None:
    shorter = (Message("user", "less"),)
    server.play("context_length", "ok")
    answer = put(server, shorter=lambda: shorter)
    assert isinstance(answer, Answer)
    assert answer.attempts == 2
    assert server.requests[1].body["messages"] == [{"role": "user", "content": "less"}]
    server.clear()
    server.play("413")
    failure = put(server, shorter=lambda: shorter)
    assert isinstance(failure, LLMError)
    assert (failure.kind, server.count) == (Kind.TOO_LONG, 2)


def test_a_repair_stays_as_short_as_the_question(server: FaultServer) -> None:
    shorter = (Message("user", "less"),)
    server.play("context_length", "wrong_schema", "ok")
    answer = put(server, shorter=lambda: shorter)
    assert isinstance(answer, Answer)
    assert answer.repaired
    assert server.requests[2].body["messages"][0] == {"role": "user", "content": "less"}


def test_usage_adds_up(server: FaultServer) -> None:
    server.play("prose", "ok")
    answer = put(server)
    assert isinstance(answer, Answer)
    sizes = [len(json.dumps(request.body)) // 4 for request in server.requests]
    assert answer.usage.prompt == sum(sizes)


@pytest.mark.parametrize("rows", [("refusal",), ("content_filter",), ("content_null",) * 2])
def test_what_brought_no_answer_is_paid_for_once(
    server: FaultServer, rows: tuple[str, ...]
) -> None:
    server.play(*rows)
    failure = put(server)
    assert isinstance(failure, LLMError)
    sizes = [len(json.dumps(request.body)) // 4 for request in server.requests]
    assert len(sizes) == len(rows)
    assert failure.usage.prompt == sum(sizes)


def test_an_empty_answer_before_a_good_one_is_paid_for_once(server: FaultServer) -> None:
    server.play("content_null", "ok")
    answer = put(server)
    assert isinstance(answer, Answer)
    sizes = [len(json.dumps(request.body)) // 4 for request in server.requests]
    assert len(sizes) == 2
    assert answer.usage.prompt == sum(sizes)


def test_nothing_in_a_repr_tells_texts(server: FaultServer) -> None:
    answer = put(server)
    question = Question(MESSAGES, Report)
    told = repr((answer, question, extract(TEXT, Report), extract("", Report)))
    assert "It was so" not in told
    assert "Why?" not in told
