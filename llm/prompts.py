"""Prompts from Jinja templates: `render(name, **context)` gives messages, a version and a hash.

A prompt is a folder with `system.j2`, `user.j2` and `repair.j2`; `_*.j2` are shared. The first line
of `system.j2` states the version of the whole folder, `{# version: 3 #}`. The hash covers the
sources of all of it with everything included, so a stored answer tells exactly how it was asked
for. What never changes stands first (rules, schema), what changes last (evidence): providers charge
less for a prefix they have seen.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NoReturn

from jinja2 import FileSystemLoader, StrictUndefined, Undefined, meta
from jinja2.sandbox import SandboxedEnvironment

from llm.types import Message

FOLDER: Final = Path(__file__).resolve().parent.parent / "prompts"
LONGEST_UNTRUSTED: Final = 500
_PARTS: Final = ("system", "user", "repair")
_VERSION: Final = re.compile(r"\{# version: ([1-9]\d{0,3}) #\}\n")
_NAME: Final = re.compile(r"[A-Za-z0-9_.:-]{1,60}")
_INVISIBLE: Final = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})


@dataclass(frozen=True, slots=True)
class Rendered:
    """A prompt ready to send. `sha256`: of the template sources, not of the rendered text."""

    messages: tuple[Message, ...] = field(repr=False)
    version: int
    sha256: str


def render(name: str, **context: Any) -> Rendered:
    """The system and user messages of prompt `name`. Raises jinja2.UndefinedError for a variable
    the context lacks, jinja2.TemplateNotFound for a prompt that does not exist."""
    version, sha256 = identity(name)
    messages = tuple(
        Message(role, _rendered(f"{name}/{role}.j2", context)) for role in ("system", "user")
    )
    return Rendered(messages, version, sha256)


def render_repair(name: str, **context: Any) -> str:
    """The message that asks for a better answer to prompt `name`."""
    return _rendered(f"{name}/repair.j2", context)


@functools.cache
def identity(name: str) -> tuple[int, str]:
    """Version and hash of a prompt, without rendering it."""
    sources = _closure([f"{name}/{part}.j2" for part in _PARTS])
    stated = _VERSION.match(sources[f"{name}/system.j2"])
    if stated is None:
        raise ValueError(f"the first line of {name}/system.j2 must be {{# version: N #}}")
    digest = hashlib.sha256()
    for path in sorted(sources):
        for part in (path, sources[path]):
            encoded = part.encode()
            digest.update(len(encoded).to_bytes(8, "big") + encoded)
    return int(stated[1]), digest.hexdigest()


def _closure(paths: list[str]) -> dict[str, str]:
    """Sources of these templates and of all they include. An include by a variable has no known
    source and is refused."""
    found: dict[str, str] = {}
    while paths:
        path = paths.pop()
        if path in found:
            continue
        found[path] = _source(path)
        for included in meta.find_referenced_templates(_environment().parse(found[path])):
            if included is None:
                raise ValueError(f"{path} includes a template by a variable name")
            paths.append(included)
    return found


def _source(path: str) -> str:
    loader = _environment().loader
    if loader is None:
        raise ValueError("the environment has no loader")
    return loader.get_source(_environment(), path)[0]


def _rendered(path: str, context: dict[str, Any]) -> str:
    """A part that is made of a few texts only, as the stable prefix is, is rendered once."""
    used = {name: context[name] for name in _variables(path) if name in context}
    if len(used) == len(_variables(path)) and all(isinstance(v, str) for v in used.values()):
        return _rendered_once(path, tuple(sorted(used.items())))
    return _environment().get_template(path).render(context).strip()


@functools.lru_cache(maxsize=16)
def _rendered_once(path: str, texts: tuple[tuple[str, str], ...]) -> str:
    return _environment().get_template(path).render(dict(texts)).strip()


@functools.cache
def _variables(path: str) -> frozenset[str]:
    """Names that the template and all it includes take from the context."""
    sources = _closure([path]).values()
    return frozenset(
        name
        for source in sources
        for name in meta.find_undeclared_variables(_environment().parse(source))
    )


@functools.cache
def _environment() -> SandboxedEnvironment:
    # Plain text for a model, not HTML: what is foreign is fenced by `untrusted`, see below.
    environment = SandboxedEnvironment(
        loader=FileSystemLoader(FOLDER),
        undefined=StrictUndefined,
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters |= {"untrusted": untrusted, "json": inert_json, "slot": slot}
    return environment


def slot(fact_id: str, key: str) -> str:
    """How a model refers to a figure: `{{E3.price}}`, which Jinja would otherwise evaluate."""
    return "{{" + fact_id + "." + key + "}}"


def inert_json(value: Any) -> str:
    """One line of JSON that cannot close a tag: angle brackets are escaped."""
    text = _JSON.encode(value)
    return text.replace("<", "\\u003c").replace(">", "\\u003e")


def _refuse(value: object) -> NoReturn:
    if isinstance(value, Undefined):
        str(value)  # raises the error that names the variable
    raise TypeError(f"{type(value).__name__} is no value of JSON")


_JSON: Final = json.JSONEncoder(ensure_ascii=False, default=_refuse)


def untrusted(text: str, name: str, nonce: str) -> str:
    """Foreign text as data: `<untrusted id="E7" nonce="...">"the text"</untrusted>`.

    The text is cut to 500 characters, rid of what cannot be seen, and JSON-encoded, so it cannot
    end its block; nor can it know the nonce. Raises ValueError for a name or nonce that is not
    plain.
    """
    if not _NAME.fullmatch(name) or not _NAME.fullmatch(nonce):
        raise ValueError("the name and the nonce of an untrusted block are plain ASCII words")
    return f'<untrusted id="{name}" nonce="{nonce}">{inert_json(visible(text))}</untrusted>'


def visible(text: str, limit: int = LONGEST_UNTRUSTED) -> str:
    """One line of what a person would see, at most `limit` characters."""
    # What cannot be seen is not worth reading: a bound before the loop, for megabytes of it.
    shown = "".join(_seen(character) for character in text[: limit * 20])
    line = " ".join(shown.split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "\u2026"


def _seen(character: str) -> str:
    if character.isspace():
        return " "
    hidden = unicodedata.category(character) in _INVISIBLE or _selects_a_variation(character)
    return "" if hidden else character


def _selects_a_variation(character: str) -> bool:
    # Marks without a shape of their own, which can carry a whole hidden message.
    return "\ufe00" <= character <= "\ufe0f" or "\U000e0100" <= character <= "\U000e01ef"
