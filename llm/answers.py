"""What a response means: its status, headers and bytes as a Completion or an LLMError.

Pure functions over bytes of unknown origin. Providers disagree in every detail, so nothing is
trusted: the SDK's own models let `choices: null`, an error in a 200 and invented usage through.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from llm.errors import Kind, LLMError
from llm.retry import retry_after
from llm.types import ChatRequest, Completion, Finish, Usage

_CHARACTERS_PER_TOKEN: Final = 4
_MOST_TOKENS: Final = 10**8
# Codes only: some providers word an ordinary rate limit as "you exceeded your current quota".
_QUOTA_CODES: Final = frozenset(
    {
        "insufficient_quota",
        "insufficient_balance",
        "billing_hard_limit_reached",
        "billing_not_active",
        "credit_balance_too_low",
    }
)
_TOO_LONG: Final = re.compile(
    r"context_length|context length|context window|maximum context|prompt is too long|"
    r"too many tokens|input is too long|exceeds? the (?:available )?context"
)
_FILTERED: Final = re.compile(r"content_filter|content filter|content_policy|content management")
_PARAMETERS: Final[Mapping[str, re.Pattern[str]]] = {
    "response_format": re.compile(
        r"response_format|response format|json_schema|json_object|json schema|structured output|"
        r"grammar|guided_json"
    ),
    "max_tokens": re.compile(r"max_tokens|max_completion_tokens"),
    "temperature": re.compile(r"temperature"),
}
_UNKNOWN_PARAMETER: Final = re.compile(
    r"unsupported|not support|n't support|unrecognized|unknown|unexpected|not permitted|"
    r"extra inputs|not allowed"
)
_FORMAT_STATUSES: Final = frozenset({400, 422, 500, 501})
_STATUS_KINDS: Final[Mapping[int, Kind]] = {
    401: Kind.AUTH,
    402: Kind.QUOTA,
    403: Kind.AUTH,
    404: Kind.NOT_FOUND,
    408: Kind.SERVER,
    409: Kind.SERVER,
    413: Kind.TOO_LONG,
    429: Kind.RATE_LIMITED,
}
_FINISHES: Final[Mapping[object, Finish]] = {
    "stop": "stop",
    "eos": "stop",
    "end_turn": "stop",
    "length": "length",
    "max_tokens": "length",
}
_ID: Final = re.compile(r"[A-Za-z0-9._:/-]{1,100}")


def request_id(headers: Mapping[str, str], body: object = None) -> str:
    """The provider's name of the request, if it is one that can be logged."""
    named = headers.get("x-request-id") or (body.get("id") if isinstance(body, dict) else "")
    return named if isinstance(named, str) and _ID.fullmatch(named) else ""


def error_from_response(
    status: int, headers: Mapping[str, str], body: bytes, sent: frozenset[str] = frozenset()
) -> LLMError:
    """The error of a response that is not a 2xx. `sent`: optional parameters of the request; one
    that was not sent cannot be what the provider objects to. Header names in lower case."""
    try:
        parsed: object = json.loads(body)
    except (ValueError, RecursionError):
        parsed = body[:4096].decode("utf-8", "replace")
    return _error(status, parsed, headers, sent)


def _error(status: int, body: object, headers: Mapping[str, str], sent: frozenset[str]) -> LLMError:
    codes, words = _said(body)
    kind, parameter = _classify(status, codes, words, sent)
    waits = kind == Kind.RATE_LIMITED or kind == Kind.SERVER
    return LLMError(
        kind,
        retry_after=retry_after(headers) if waits else None,
        request_id=request_id(headers),
        status=status,
        parameter=parameter,
    )


def _said(body: object) -> tuple[frozenset[str], str]:
    """Codes and words of an error body, in lower case: to be matched, never to be shown."""
    if isinstance(body, list) and body:
        body = body[0]
    error = body.get("error", body) if isinstance(body, dict) else body
    if not isinstance(error, dict):
        return frozenset(), str(error)[:4096].lower()
    codes = {str(error[key]).lower() for key in ("code", "type", "status") if error.get(key)}
    words = json.dumps(error, default=str)[:4096].lower()
    return frozenset(codes), words


def _classify(
    status: int, codes: frozenset[str], words: str, sent: frozenset[str]
) -> tuple[Kind, str]:
    if codes & _QUOTA_CODES:
        return Kind.QUOTA, ""
    if status in _FORMAT_STATUSES and (parameter := _objected(words, sent)):
        return Kind.FORMAT_UNSUPPORTED, parameter
    if status in (400, 422):
        if _TOO_LONG.search(words):
            return Kind.TOO_LONG, ""
        return (Kind.FILTERED if _FILTERED.search(words) else Kind.BAD_REQUEST), ""
    if status in _STATUS_KINDS:
        return _STATUS_KINDS[status], ""
    return (Kind.SERVER if status >= 500 else Kind.BAD_REQUEST), ""


def _objected(words: str, sent: frozenset[str]) -> str:
    """Which sent parameter the provider does not know; "" if it is about something else."""
    if _TOO_LONG.search(words):
        return ""
    for parameter, names in _PARAMETERS.items():
        if parameter not in sent or not names.search(words):
            continue
        # A wrong value of a known parameter is another complaint, except for the format: what a
        # server says of one it cannot do has no common wording.
        if parameter == "response_format" or _UNKNOWN_PARAMETER.search(words):
            return parameter
    return ""


def completion_from_body(
    headers: Mapping[str, str], body: bytes, request: ChatRequest
) -> Completion:
    """The answer in a 2xx. Raises LLMError(bad_body, server, empty, refused, filtered, ...)."""
    unread = usage(None, request.characters, 0)
    parsed = _object(body, unread)
    named = request_id(headers, parsed)
    if parsed.get("error"):
        raise _error(_status_of(parsed["error"]), parsed, headers, frozenset())
    choices = parsed.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, dict) else None
    # Tokens are paid for whether or not they bring an answer.
    paid = usage(parsed.get("usage"), request.characters, 0)
    if not isinstance(choice, dict) or not isinstance(message, dict):
        raise LLMError(Kind.BAD_BODY, request_id=named, usage=paid)
    reason = choice.get("finish_reason")
    _raise_if_declined(message, reason, named, paid)
    finish = _FINISHES.get(reason, "unknown") if isinstance(reason, str) else "unknown"
    text = _text(message)
    if not text.strip() and finish != "length":
        raise LLMError(Kind.EMPTY, request_id=named, usage=paid)
    model = parsed.get("model")
    return Completion(
        text=text,
        finish=finish,
        usage=usage(parsed.get("usage"), request.characters, len(text)),
        model=model[:200] if isinstance(model, str) else "",
        request_id=named,
    )


def _object(body: bytes, unread: Usage) -> dict[str, Any]:
    parsed: object = None
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        parsed = None
    if not isinstance(parsed, dict):
        raise LLMError(Kind.BAD_BODY, usage=unread)
    return parsed


def _status_of(error: object) -> int:
    """The status an error inside a 200 stands for, which some gateways give as its code."""
    code = error.get("code") if isinstance(error, dict) else None
    if isinstance(code, str) and code.isascii() and code.isdecimal():
        code = int(code[:4])
    return code if isinstance(code, int) and 400 <= code < 600 else 500


def _raise_if_declined(message: Mapping[str, Any], reason: object, named: str, paid: Usage) -> None:
    refusal = message.get("refusal")
    if isinstance(refusal, str) and refusal.strip():
        raise LLMError(Kind.REFUSED, request_id=named, usage=paid)
    if reason == "content_filter":
        raise LLMError(Kind.FILTERED, request_id=named, usage=paid)


def _text(message: Mapping[str, Any]) -> str:
    """The content, else what a reasoning parser put in its place."""
    for key in ("content", "reasoning_content", "reasoning"):
        text = _joined(message.get(key))
        if text.strip():
            return text
    return ""


def _joined(content: object) -> str:
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    parts = [part.get("text") for part in content if isinstance(part, dict)]
    return "".join(part for part in parts if isinstance(part, str))


def estimate_tokens(characters: int) -> int:
    return -(-characters // _CHARACTERS_PER_TOKEN)


def usage(reported: object, asked: int, answered: int) -> Usage:
    """Reported tokens where they are possible, else estimates from the characters `asked` and
    `answered`. A total below a fortieth of the characters is no tokenizer's."""
    figures = reported if isinstance(reported, dict) else {}
    prompt = _plausible(figures.get("prompt_tokens"), asked)
    completion = _plausible(figures.get("completion_tokens"), answered)
    estimated = prompt is None or completion is None
    prompt = estimate_tokens(asked) if prompt is None else prompt
    completion = estimate_tokens(answered) if completion is None else completion
    return Usage(
        prompt=prompt,
        completion=completion,
        cached=min(prompt, _detail(figures, "prompt_tokens_details", "cached_tokens")),
        reasoning=min(
            completion, _detail(figures, "completion_tokens_details", "reasoning_tokens")
        ),
        estimated=estimated,
    )


def _plausible(value: object, characters: int) -> int | None:
    tokens = _tokens(value)
    return tokens if tokens is not None and tokens * 40 >= characters else None


def _tokens(value: object) -> int | None:
    whole = isinstance(value, float) and value.is_integer()
    if not (whole or isinstance(value, int)) or isinstance(value, bool):
        return None
    tokens = int(value)  # type: ignore[call-overload]
    return tokens if 0 <= tokens <= _MOST_TOKENS else None


def _detail(figures: Mapping[str, Any], group: str, key: str) -> int:
    details = figures.get(group)
    return (_tokens(details.get(key)) or 0) if isinstance(details, dict) else 0
