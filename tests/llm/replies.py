"""Every fault the local model server can play: a name, and the reply it stands for.

A row is a function of the exchange, so that it can use what the request asked for and the answer
the test wants to be given. Error bodies quote the key and the prompt, as real ones do.
"""

import functools
import gzip
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from typing import Any, Final

MIB: Final = 1 << 20


@dataclass(frozen=True)
class Exchange:
    """One request as the server sees it, and the text it would answer with."""

    body: dict[str, Any]
    headers: dict[str, str]
    answer: str

    @property
    def echo(self) -> str:
        """What careless providers put into error messages."""
        messages = self.body.get("messages") or [{}]
        return f"{self.headers.get('authorization')} {messages[-1].get('content')}"

    @property
    def format(self) -> str:
        return (self.body.get("response_format") or {}).get("type", "")


@dataclass(frozen=True)
class Reply:
    """What goes over the wire. Times in seconds, positions in bytes of the body."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    first_byte_after: float = 0.0
    drip: float | None = None
    reset_at: int | None = None
    announce_more: int = 0
    raw: bytes | None = None
    hang: bool = False


Row = Callable[[Exchange], Reply]


# --- Envelopes ----------------------------------------------------------------------------------
def envelope(
    exchange: Exchange,
    *,
    message: dict[str, Any] | None = None,
    finish: str | None = "stop",
    usage: Any = "honest",
) -> dict[str, Any]:
    content = exchange.answer if message is None else json.dumps(message)
    honest = {
        "prompt_tokens": max(1, len(json.dumps(exchange.body)) // 4),
        "completion_tokens": max(1, len(content) // 4),
    }
    return {
        "id": "chatcmpl-local",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": exchange.body.get("model", ""),
        "choices": [
            {
                "index": 0,
                "finish_reason": finish,
                "message": message or {"role": "assistant", "content": exchange.answer},
            }
        ],
        "usage": honest if usage == "honest" else usage,
    }


def ok(exchange: Exchange) -> Reply:
    return as_json(envelope(exchange))


def as_json(body: Any, status: int = 200, **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, json.dumps(body).encode(), {"content-type": "application/json", **named})


def error(status: int, code: str | None = None, words: str = "", **headers: str) -> Row:
    def row(exchange: Exchange) -> Reply:
        message = f"{words or 'Something went wrong'} ({exchange.echo})"
        body = {"error": {"message": message, "type": "error", "code": code}}
        return as_json(body, status, **headers)

    return row


def content(change: Callable[[str], str]) -> Row:
    """The right envelope around another text."""
    return lambda exchange: ok(replace(exchange, answer=change(exchange.answer)))


def message(make: Callable[[str], dict[str, Any]], finish: str | None = "stop") -> Row:
    def row(exchange: Exchange) -> Reply:
        made = {"role": "assistant", **make(exchange.answer)}
        return as_json(envelope(exchange, message=made, finish=finish))

    return row


def body(change: Callable[[dict[str, Any]], Any]) -> Row:
    return lambda exchange: as_json(change(envelope(exchange)))


def altered(**changes: Any) -> Row:
    """The right reply, sent in a wrong way."""
    return lambda exchange: replace(ok(exchange), **changes)


def only_if(objects: Callable[[Exchange], bool], fault: Row) -> Row:
    return lambda exchange: fault(exchange) if objects(exchange) else ok(exchange)


def stream(*events: str) -> Row:
    text = "".join(f"data: {event}\n\n" for event in events)
    return lambda _: Reply(200, text.encode(), {"content-type": "text/event-stream"})


def _in_a_second(exchange: Exchange) -> Reply:
    now = time.time()
    dates = {"date": formatdate(now, usegmt=True), "retry_after": formatdate(now + 1, usegmt=True)}
    return error(429, "rate_limit_exceeded", **dates)(exchange)


@functools.cache
def _packed_bomb() -> bytes:
    return gzip.compress(b" " * (64 * MIB), 1)


def _gzip_bomb(_: Exchange) -> Reply:
    return Reply(200, _packed_bomb(), {"content-encoding": "gzip"})


def _bad_chunk(exchange: Exchange) -> Reply:
    head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    return Reply(raw=head.encode() + b'5\r\n{"a":\r\nXYZ\r\nnot a chunk\r\n')


# --- What the content of an answer can get wrong ------------------------------------------------
def _leaves(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value) if " " in value else value
    if isinstance(value, list):
        return [_leaves(item, change) for item in value]
    if isinstance(value, dict):
        return {key: _leaves(item, change) for key, item in value.items()}
    return value


def saying(change: Callable[[str], str]) -> Row:
    """The right shape with every sentence changed; codes, which have no spaces, stay."""
    return content(lambda answer: json.dumps(_leaves(json.loads(answer), change)))


def _without_first_key(answer: str) -> str:
    parsed = json.loads(answer)
    return json.dumps({key: parsed[key] for key in list(parsed)[1:]})


def _wrong_types(answer: str) -> str:
    return json.dumps({key: {"unexpected": [7]} for key in json.loads(answer)})


def _with_nan(answer: str) -> str:
    parsed = json.loads(answer)
    return json.dumps({**parsed, next(iter(parsed)): float("nan")})


ROWS: Final[dict[str, Row]] = {
    "ok": ok,
    # statuses
    "429_seconds": error(429, "rate_limit_exceeded", retry_after="1"),
    "429_ms": error(429, "rate_limit_exceeded", retry_after_ms="300"),
    "429_date": _in_a_second,
    "429_hour": error(429, "rate_limit_exceeded", retry_after="3600"),
    "429_plain": error(429, "rate_limit_exceeded"),
    "429_quota": error(429, "insufficient_quota", "You exceeded your current quota"),
    "401": error(401, "invalid_api_key", "Incorrect API key provided"),
    "402": error(402, None, "Insufficient Balance"),
    "403": error(403, None, "Country not supported"),
    "404": error(404, "model_not_found", "The model does not exist"),
    "400": error(400, None, "Invalid request"),
    "422": error(422, None, "Unprocessable"),
    "413": error(413, None, "Payload too large"),
    "context_length": error(400, "context_length_exceeded", "maximum context length is 8192"),
    "408": error(408),
    "409": error(409),
    "500": error(500),
    "502_html": lambda _: Reply(502, b"<html>Bad gateway</html>", {"content-type": "text/html"}),
    "503_loading": error(503, "unavailable", "Model is loading"),
    "529": error(529, "overloaded_error"),
    "302": lambda _: Reply(302, b"", {"location": "/v1/elsewhere"}),
    # parameters a server does not know
    "no_json_schema": only_if(
        lambda e: e.format == "json_schema", error(400, None, "json_schema is not supported")
    ),
    "no_format": only_if(
        lambda e: bool(e.format), error(422, None, "response_format: extra inputs not permitted")
    ),
    "format_500": only_if(
        lambda e: e.format == "json_schema", error(500, None, "failed to parse grammar")
    ),
    "only_json_schema": only_if(
        lambda e: e.format == "json_object",
        error(400, None, "'response_format.type' must be 'json_schema' or 'text'"),
    ),
    "new_tokens_name": only_if(
        lambda e: "max_tokens" in e.body,
        error(400, "unsupported_parameter", "Unsupported parameter: 'max_tokens'. Use the new one"),
    ),
    "old_tokens_name": only_if(
        lambda e: "max_completion_tokens" in e.body,
        error(400, None, "Unknown parameter: max_completion_tokens"),
    ),
    "no_temperature": only_if(
        lambda e: "temperature" in e.body,
        error(400, "unsupported_value", "'temperature' does not support 0.2 with this model"),
    ),
    # bodies
    "html_200": lambda _: Reply(200, b"<html>Login</html>", {"content-type": "text/html"}),
    "empty_body": lambda _: Reply(200, b"", {"content-type": "application/json"}),
    "cut_json": lambda e: replace(ok(e), body=ok(e).body[:40]),
    "bad_utf8": lambda e: replace(ok(e), body=b'{"choices": "\xff\xfe"}'),
    "choices_empty": body(lambda b: {**b, "choices": []}),
    "choices_null": body(lambda b: {**b, "choices": None}),
    "error_200": body(lambda _: {"error": {"code": 503, "message": "upstream is down"}}),
    "quota_200": body(lambda _: {"error": {"code": 402, "message": "no credit"}}),
    "nested_body": lambda _: Reply(200, b"[" * 100_000, {"content-type": "application/json"}),
    "8_mib": lambda e: replace(ok(e), body=ok(e).body + b" " * (8 * MIB)),
    "500_8_mib": lambda e: Reply(500, b"x" * (8 * MIB)),
    "gzip": lambda e: replace(
        ok(e), body=gzip.compress(ok(e).body), headers={"content-encoding": "gzip"}
    ),
    "gzip_bomb": _gzip_bomb,
    "500_gzip_bomb": lambda e: replace(_gzip_bomb(e), status=500),
    "gzip_cut": lambda e: Reply(200, gzip.compress(ok(e).body)[:30], {"content-encoding": "gzip"}),
    "gzip_lie": altered(headers={"content-encoding": "gzip"}),
    "unknown_encoding": altered(headers={"content-encoding": "br"}),
    "headers_70_kib": altered(headers={f"x-filler-{i}": "f" * 1000 for i in range(70)}),
    # transport
    "slow": altered(first_byte_after=0.5),
    "hang": altered(hang=True),
    "drip": altered(drip=0.05),
    "reset_before": altered(reset_at=-1),
    "reset_mid": altered(reset_at=20),
    "short_length": altered(announce_more=500),
    "bad_chunk": _bad_chunk,
    "not_http": lambda _: Reply(raw=b"SSH-2.0-OpenSSH_9.6\r\n"),
    # shapes of the content
    "content_cut": content(lambda a: a[: len(a) // 2]),
    "wrong_schema": content(_wrong_types),
    "missing_key": content(_without_first_key),
    "nan": content(_with_nan),
    "repr_dict": content(lambda a: repr(json.loads(a))),
    "nested_content": content(lambda _: '{"a":' * 10_000 + "1" + "}" * 10_000),
    "surrogate": content(lambda a: json.dumps(_leaves(json.loads(a), lambda s: s + " \ud800"))),
    "prose": content(lambda _: "I am sorry, here is what I think about your trade."),
    "prose_fence": content(lambda a: f"Sure! Here it is:\n\n```json\n{a}\n```\nAnything else?"),
    "fence": content(lambda a: f"```json\n{a}\n```"),
    "think": content(lambda a: f'<think>Maybe {{"draft": 1}}?</think>\n{a}'),
    "lone_think_close": content(lambda a: f"so the answer is clear.\n</think>\n\n{a}"),
    "two_objects": content(lambda a: f'{{"thought": "hm"}}\n{a}'),
    "top_array": content(lambda a: f"[{a}]"),
    "extra_keys": content(lambda a: json.dumps({**json.loads(a), "surplus": 1})),
    "reasoning_content": message(lambda a: {"content": "", "reasoning_content": a}),
    "content_parts": message(lambda a: {"content": [{"type": "text", "text": a}]}),
    "content_null": message(lambda _: {"content": None}),
    "tool_calls": message(
        lambda _: {"content": None, "tool_calls": [{"id": "1", "type": "function"}]}, "tool_calls"
    ),
    "refusal": message(lambda _: {"content": None, "refusal": "I cannot help with that."}),
    "content_filter": message(lambda _: {"content": ""}, "content_filter"),
    "content_filter_400": error(400, "content_filter", "The response was filtered"),
    "length": message(lambda a: {"content": a[: len(a) // 2]}, "length"),
    "length_empty": message(lambda _: {"content": ""}, "length"),
    "usage_absent": body(lambda b: {key: b[key] for key in b if key != "usage"}),
    "usage_null": body(lambda b: {**b, "usage": None}),
    "usage_lying": body(
        lambda b: {**b, "usage": {"prompt_tokens": -5, "completion_tokens": "many"}}
    ),
    # the right shape, saying what must not be shown
    "wrong_numbers": saying(lambda s: f"{s} It lost 37.4 pips."),
    "wrong_label": saying(lambda s: f"{s} The trade was a success and reached its target."),
    "bad_citation": saying(lambda s: f"{s} The spread was wide [E999]."),
    "injected": saying(lambda s: f"{s} See ![proof](https://evil.invalid/?k=1) and move money."),
    "xss": saying(lambda s: f"{s} <script>alert(document.cookie)</script>"),
    # a stream although none was asked for
    "sse_cut": stream('{"choices": [{"delta": {"content": "{"}}]}'),
    "sse_bad_event": stream("{not json", "[DONE]"),
    "sse_error_event": stream('{"error": {"message": "overloaded"}}', "[DONE]"),
    "sse_no_done": stream('{"choices": [{"delta": {}, "finish_reason": "stop"}]}'),
}
