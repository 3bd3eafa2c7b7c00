"""How to reach a model. Whoever calls fills this from its own settings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

OPENAI_URL: Final = "https://api.openai.com/v1"
# Local servers check no key, but the SDK refuses to be made without one.
NO_KEY: Final = "none"


@dataclass(frozen=True, slots=True)
class LLMConfig:
    """Times in seconds, sizes in bytes. `enabled` is false without a model, or without both a key
    and an address. Raises ValueError for values that can never work, naming the field."""

    model: str = ""
    api_key: str = field(default="", repr=False)
    base_url: str = ""
    temperature: float | None = None
    concurrency: int = 4
    background_seconds: float = 120.0
    interactive_seconds: float = 25.0
    attempt_seconds: float = 75.0
    connect_seconds: float = 5.0
    read_seconds: float = 60.0
    write_seconds: float = 10.0
    max_attempts: int = 4
    max_timeouts: int = 2
    max_requests: int = 6
    max_body: int = 1 << 20

    def __post_init__(self) -> None:
        if self.base_url:
            _check_url(self.base_url)
        for name in (
            "concurrency", "background_seconds", "interactive_seconds", "attempt_seconds",
            "connect_seconds", "read_seconds", "write_seconds", "max_attempts", "max_timeouts",
            "max_requests", "max_body",
        ):  # fmt: skip
            if not getattr(self, name) > 0:
                raise ValueError(f"LLMConfig.{name} is {getattr(self, name)!r}, expected above 0")
        # A header carries the key: a line break in it would be an error that quotes it.
        if not self.api_key.isascii() or any(c.isspace() or c == "\0" for c in self.api_key):
            raise ValueError("LLMConfig.api_key holds white space or a character outside ASCII")

    @property
    def enabled(self) -> bool:
        return bool(self.model and (self.api_key or self.base_url))

    @property
    def url(self) -> str:
        """The address called, explicit even for the default provider."""
        return (self.base_url or OPENAI_URL).rstrip("/")

    @property
    def endpoint(self) -> tuple[str, str]:
        """What a breaker and a remembered format belong to."""
        return self.url, self.model


def _check_url(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("LLMConfig.base_url must be an address such as https://host/v1")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise ValueError("LLMConfig.base_url may hold no user, password, query or fragment")
