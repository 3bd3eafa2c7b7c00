"""Logs never carry a credential, wherever in the line or the traceback it stands."""

import logging
import re
from collections.abc import Sequence
from typing import Final, Literal

REDACTED: Final = "[redacted]"

# The name of a credential, then whatever separates it from the value in a header, a URL, JSON or
# a repr; the value ends at a quote, a separator or a space. A scheme word is part of the value.
_NAMED: Final = re.compile(
    r"""(?ix)
    (\b(?:authorization|x-api-key|api[_-]?key|access[_-]?token|token|password|secret)\b
      ["']?\s*[:=]\s*["']?)
    (?:(?:bearer|token|basic)\s+)?
    [^\s"',;&}\])]+
    """
)
_SCHEME: Final = re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}")
_PROVIDER_KEY: Final = re.compile(r"\bsk-[A-Za-z0-9_-]{8,}")
# Shorter ones would blank ordinary words out of the log.
_SHORTEST_SECRET: Final = 6


def redact(text: str, secrets: Sequence[str] = ()) -> str:
    for secret in secrets:
        text = text.replace(secret, REDACTED)
    text = _NAMED.sub(rf"\1{REDACTED}", text)
    text = _SCHEME.sub(rf"\1 {REDACTED}", text)
    return _PROVIDER_KEY.sub(REDACTED, text)


class RedactingFormatter(logging.Formatter):
    """Redacts the finished text, so arguments and tracebacks are covered too."""

    def __init__(
        self,
        fmt: str | None = None,
        datefmt: str | None = None,
        style: Literal["%", "{", "$"] = "%",
        *,
        secrets: Sequence[str] = (),
    ) -> None:
        super().__init__(fmt, datefmt, style)
        self._secrets = tuple(secret for secret in secrets if len(secret) >= _SHORTEST_SECRET)

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record), self._secrets)
