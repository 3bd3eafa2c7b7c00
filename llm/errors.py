"""What can go wrong with a model, as one error whose kind says who must act.

    LLMError
        nobody, try later   rate_limited server timeout connection bad_body empty circuit_open
        the operator        auth quota not_found disabled budget
        the caller          bad_request format_unsupported too_long too_big
        the model declined  refused filtered
        the answer is bad   bad_schema ungrounded

A message is made of the kind and fixed words: never of a prompt, a key, a body or a library's
exception, all of which may hold what must not reach a log.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from llm.types import Usage


class Kind(StrEnum):
    RATE_LIMITED = "rate_limited"
    QUOTA = "quota"
    AUTH = "auth"
    NOT_FOUND = "not_found"
    BAD_REQUEST = "bad_request"
    FORMAT_UNSUPPORTED = "format_unsupported"
    TOO_LONG = "too_long"
    TOO_BIG = "too_big"
    SERVER = "server"
    TIMEOUT = "timeout"
    CONNECTION = "connection"
    BAD_BODY = "bad_body"
    EMPTY = "empty"
    BAD_SCHEMA = "bad_schema"
    REFUSED = "refused"
    FILTERED = "filtered"
    UNGROUNDED = "ungrounded"
    BUDGET = "budget"
    CIRCUIT_OPEN = "circuit_open"
    DISABLED = "disabled"


RETRYABLE: Final = frozenset(
    {Kind.RATE_LIMITED, Kind.SERVER, Kind.TIMEOUT, Kind.CONNECTION, Kind.BAD_BODY, Kind.EMPTY}
)

_WORDS: Final[Mapping[Kind, str]] = {
    Kind.RATE_LIMITED: "the provider asked to slow down",
    Kind.QUOTA: "the account has no credit left",
    Kind.AUTH: "the key was refused",
    Kind.NOT_FOUND: "no such model or address",
    Kind.BAD_REQUEST: "the provider refused the request",
    Kind.FORMAT_UNSUPPORTED: "the provider does not know a parameter of the request",
    Kind.TOO_LONG: "the prompt is longer than the model takes",
    Kind.TOO_BIG: "the answer is larger than is read",
    Kind.SERVER: "the provider failed",
    Kind.TIMEOUT: "no answer in time",
    Kind.CONNECTION: "the connection failed",
    Kind.BAD_BODY: "the answer is not one of this protocol",
    Kind.EMPTY: "the answer is empty",
    Kind.BAD_SCHEMA: "the answer does not have the shape asked for",
    Kind.REFUSED: "the model declined",
    Kind.FILTERED: "the provider's content filter withheld the answer",
    Kind.UNGROUNDED: "the answer states what the evidence does not",
    Kind.BUDGET: "the budget is spent",
    Kind.CIRCUIT_OPEN: "calls are paused after failures",
    Kind.DISABLED: "no model is configured",
}


def described(kind: str) -> str:
    """The words of a kind, for people; another text with spaces for its underscores."""
    known: Mapping[str, str] = {str(one): words for one, words in _WORDS.items()}
    return known.get(kind, kind.replace("_", " "))


class LLMError(Exception):
    """A call to a model that brought no usable answer.

    `retry_after`: seconds until another try makes sense, where known. `parameter`: the request
    parameter a `format_unsupported` names. `because`: what opened the circuit. `requests` and
    `usage`: HTTP requests and tokens spent all the same, for the ledger.
    """

    def __init__(
        self,
        kind: Kind,
        *,
        retry_after: float | None = None,
        request_id: str = "",
        status: int | None = None,
        parameter: str = "",
        because: Kind | None = None,
        requests: int = 0,
        usage: Usage | None = None,
    ) -> None:
        super().__init__(kind)
        self.kind = kind
        self.retry_after = retry_after
        self.request_id = request_id
        self.status = status
        self.parameter = parameter
        self.because = because
        self.requests = requests
        self.usage = usage or Usage()

    @property
    def retryable(self) -> bool:
        return self.kind in RETRYABLE

    def __str__(self) -> str:
        parts = [f"{self.kind}: {_WORDS[self.kind]}"]
        if self.because is not None:
            parts.append(f"because of {self.because}")
        if self.status is not None:
            parts.append(f"status {self.status}")
        if self.parameter:
            parts.append(f"parameter {self.parameter}")
        if self.request_id:
            parts.append(f"request {self.request_id}")
        return ", ".join(parts)

    def __repr__(self) -> str:
        return f"LLMError({self})"
