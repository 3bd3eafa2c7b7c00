"""Every knob of Inquest: one environment variable each, read once at start, loud on a bad value.

An empty variable counts as unset. `KNOBS` is the one list: a reader refuses a name that is not in
it, and a test compares it with the documentation.
"""

import ipaddress
import os
import re
import stat
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

KNOBS: Final[Mapping[str, str]] = {
    "INQUEST_DATA_DIR": "folder of the SQLite database and the generated secret key",
    "DATABASE_URL": "sqlite:///path or postgresql://user:password@host:port/name",
    "SECRET_KEY": "signs sessions; without it one is generated into the data folder",
    "DEBUG": "1 shows tracebacks in the browser; never outside your own machine",
    "BIND": "address to serve on; anything but loopback is production mode",
    "PORT": "port to serve on",
    "HTTPS": "1 behind a TLS proxy: secure cookies, HSTS, redirects; production mode",
    "ALLOWED_HOSTS": "host names this site answers to, separated by commas",
    "NUM_PROXIES": "trusted reverse proxies in front, whose forwarded headers are believed",
    "OPENAI_API_KEY": "key of the model provider; without a model the built-in narrator writes",
    "OPENAI_BASE_URL": "address of any server that speaks the same protocol",
    "LLM_MODEL": "model that words the narratives; unset: the built-in narrator",
    "LLM_SEND_NOTES": "1 lets the trader's own notes be sent to the model",
    "LLM_PAUSED": "1 stops every call to the model at once; what was written stays",
    "LLM_TIMEOUT": "seconds that one question to the model may take, with all its tries",
    "LLM_CONCURRENCY": "most questions asked side by side",
    "LLM_PRICES": "price of a million tokens, in US dollars: input,cached input,output",
    "LLM_DAILY_TOKENS": "most tokens a user may spend in a UTC day",
    "LLM_DAILY_COST": "most US dollars all users together may spend in a UTC day; 0 has no limit",
    "LLM_MONTHLY_COST": "most US dollars all users together may spend in a month; 0 has no limit",
}

# Values of these never appear in a message: it may end up in a log.
_SECRET: Final = frozenset({"DATABASE_URL", "SECRET_KEY", "OPENAI_API_KEY"})
_AMOUNT: Final = re.compile(r"[0-9]{1,9}(\.[0-9]{1,6})?")
_BOOLEANS: Final[Mapping[str, bool]] = {"1": True, "true": True, "0": False, "false": False}
_DATABASE_SCHEMES: Final = frozenset({"sqlite", "postgres", "postgresql"})


class BadSetting(Exception):
    """A value the operator must correct: says which knob, what it holds and what was expected."""

    def __init__(self, name: str, value: str, expected: str) -> None:
        shown = "a value not shown here" if name in _SECRET else repr(value)
        super().__init__(f"{name} is {shown}, expected {expected}.")


@dataclass(frozen=True, slots=True)
class Reader:
    """Typed access to the environment it is given."""

    environ: Mapping[str, str]

    def text(self, name: str, default: str = "") -> str:
        if name not in KNOBS:
            raise KeyError(f"{name} is not listed in KNOBS")
        return self.environ.get(name, "").strip() or default

    def boolean(self, name: str, *, default: bool = False) -> bool:
        value = self.text(name)
        if not value:
            return default
        if value.lower() not in _BOOLEANS:
            raise BadSetting(name, value, "1, 0, true or false")
        return _BOOLEANS[value.lower()]

    def integer(self, name: str, *, default: int, lowest: int, highest: int) -> int:
        value = self.text(name)
        if not value:
            return default
        # isdecimal alone would let other scripts' digits through.
        if not (value.isascii() and value.isdecimal() and lowest <= int(value) <= highest):
            raise BadSetting(name, value, f"a whole number from {lowest} to {highest}")
        return int(value)

    def amounts(self, name: str, *, count: int, example: str) -> tuple[Decimal, ...]:
        """Decimals from 0 up, separated by commas; none when unset."""
        value = self.text(name)
        parts = [part.strip() for part in value.split(",")] if value else []
        if parts and (len(parts) != count or not all(map(_AMOUNT.fullmatch, parts))):
            raise BadSetting(name, value, f"numbers from 0 up, as in {example}")
        return tuple(Decimal(part) for part in parts)

    def names(self, name: str, *, default: tuple[str, ...] = ()) -> tuple[str, ...]:
        value = self.text(name)
        if not value:
            return default
        parts = tuple(part.strip() for part in value.split(","))
        if any(not part or " " in part or "/" in part for part in parts):
            raise BadSetting(
                name, value, "host names separated by commas, as in a.example,b.example"
            )
        return parts

    def address(self, name: str, *, default: str) -> str:
        """An IP address, or localhost."""
        value = self.text(name, default)
        if value == "localhost":
            return value
        try:
            return str(ipaddress.ip_address(value))
        except ValueError:
            raise BadSetting(name, value, "an IP address such as 127.0.0.1 or 0.0.0.0") from None

    def http_url(self, name: str) -> str:
        value = self.text(name)
        if value and not _is_http_url(value):
            raise BadSetting(name, value, "an address such as https://host/v1, without a password")
        return value

    def database_url(self, name: str, *, default: str) -> str:
        value = self.text(name, default)
        scheme, separator, _ = value.partition("://")
        if not separator or scheme not in _DATABASE_SCHEMES:
            raise BadSetting(name, value, KNOBS[name])
        return value

    def folder(self, name: str, *, default: Path) -> Path:
        """A folder this process can write to, created for its owner alone when missing."""
        path = Path(self.text(name, str(default))).expanduser().resolve()
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise BadSetting(name, str(path), f"a folder ({error.strerror})") from None
        if not os.access(path, os.W_OK | os.X_OK):
            raise BadSetting(name, str(path), "a folder this user can write to")
        return path

    def secret_key(self, name: str, *, file: Path) -> str:
        return self.text(name) or _stored_secret(name, file)


def is_loopback(address: str) -> bool:
    return address == "localhost" or ipaddress.ip_address(address).is_loopback


def _is_http_url(value: str) -> bool:
    try:
        parts = urlsplit(value)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and not parts.password
    except ValueError:
        return False


def _stored_secret(name: str, file: Path) -> str:
    """The key in `file`, generated on the first run.

    The server and the worker start together: the key is linked into place complete, so whichever
    comes second reads what the first one wrote.
    """
    if not file.exists():
        descriptor, temporary = tempfile.mkstemp(dir=file.parent, prefix=".secret_key-")
        try:
            with os.fdopen(descriptor, "w") as stream:
                stream.write(os.urandom(48).hex())
            with suppress(FileExistsError):
                os.link(temporary, file)
        finally:
            Path(temporary).unlink()
    if stat.S_IMODE(file.stat().st_mode) & 0o077:
        raise BadSetting(name, "", f"{file} to be readable by its owner alone (chmod 600)")
    key = file.read_text().strip()
    if not key:
        raise BadSetting(name, "", f"a key in {file}; delete the empty file to have one generated")
    return key
