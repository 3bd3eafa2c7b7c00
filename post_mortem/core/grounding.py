"""Slots and citations: the only way a number reaches a narrative.

A sentence is written with slots and citations, `Stopped out at {{E1.r}} after the release [E3].`
and rendered by code from the facts. `check` finds everything that must not be shown: a digit or a
number word outside a slot, a slot of a fact that its own sentence does not cite, a citation of a
fact that does not exist, and markup. `render` refuses a text that does not pass.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

SLOT = re.compile(r"\{\{(E[1-9]\d{0,2})\.([a-z][a-z0-9_]*)\}\}")
CITATION = re.compile(r"\[(E[1-9]\d{0,2})\]")
# A sentence ends at . ! or ? before white space; its citations stand before that mark.
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
_MARKUP = re.compile(r"[<>{}`]|https?:|www\.|!\[|\]\(|javascript:", re.IGNORECASE)
_NUMBER_WORDS = re.compile(
    r"\b(?:two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|"
    r"sixteen|seventeen|eighteen|nineteen|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|"
    r"hundred|thousand|million|billion|dozens?|twice|thrice|doubled?|tripled?|halved?|half|"
    r"quarter|thirds?|tenfold)\b",
    re.IGNORECASE,
)


class Citable(Protocol):
    """A fact as grounding sees it: an id and the texts its slots stand for."""

    @property
    def id(self) -> str: ...

    @property
    def slots(self) -> Mapping[str, str]: ...


@dataclass(frozen=True, slots=True)
class Violation:
    code: str
    detail: str


class UngroundedError(ValueError):
    """A text that may not be shown, with everything wrong in it."""

    def __init__(self, violations: Sequence[Violation]) -> None:
        super().__init__("; ".join(f"{v.code}: {v.detail}" for v in violations))
        self.violations = tuple(violations)


def sentences(text: str) -> list[str]:
    """Split into sentences; slots and citations contain no sentence end."""
    return [part for part in _SENTENCE_END.split(text.strip()) if part]


def citations(text: str) -> list[str]:
    """Fact ids cited, in order, once each."""
    return list(dict.fromkeys(CITATION.findall(text)))


def _is_digit(character: str) -> bool:
    return unicodedata.category(character) in ("Nd", "Nl", "No")


def _check_sentence(sentence: str, facts: Mapping[str, Citable]) -> list[Violation]:
    found = []
    cited = set(CITATION.findall(sentence))
    for fact_id in sorted(cited - facts.keys()):
        found.append(Violation("unknown_citation", fact_id))
    for fact_id, key in SLOT.findall(sentence):
        if fact_id not in facts or key not in facts[fact_id].slots:
            found.append(Violation("unknown_slot", f"{fact_id}.{key}"))
        elif fact_id not in cited:
            found.append(Violation("uncited_slot", f"{fact_id}.{key}"))
    rest = CITATION.sub(" ", SLOT.sub(" ", sentence))
    if any(_is_digit(c) for c in rest):
        found.append(Violation("digit", rest.strip()))
    if match := _NUMBER_WORDS.search(rest):
        found.append(Violation("number_word", match[0]))
    if match := _MARKUP.search(rest):
        found.append(Violation("markup", match[0]))
    if any(unicodedata.category(c) in ("Cc", "Cf", "Co", "Cs") for c in rest):
        found.append(Violation("control_character", repr(rest)))
    return found


def check(text: str, facts: Mapping[str, Citable]) -> list[Violation]:
    """Everything that keeps `text` (with slots) from being shown; empty when it is sound."""
    return [v for sentence in sentences(text) for v in _check_sentence(sentence, facts)]


def render(text: str, facts: Mapping[str, Citable]) -> str:
    """Fill the slots. Raises UngroundedError on any violation."""
    violations = check(text, facts)
    if violations:
        raise UngroundedError(violations)
    return SLOT.sub(lambda m: facts[m[1]].slots[m[2]], text)


def shown(stored: str, slotted: str, facts: Mapping[str, Citable]) -> tuple[str, int]:
    """The sentences of a stored text that still re-render from their slots, and how many do not.

    Guards what is displayed against a stored narrative that was changed, or that was written for
    other evidence: a sentence is shown only if code can write it again from the facts.
    """
    stored_sentences, slotted_sentences = sentences(stored), sentences(slotted)
    if len(stored_sentences) != len(slotted_sentences):
        return "", max(len(stored_sentences), 1)
    kept = []
    for written, source in zip(stored_sentences, slotted_sentences, strict=True):
        if not _check_sentence(source, facts) and render(source, facts) == written:
            kept.append(written)
    return " ".join(kept), len(stored_sentences) - len(kept)
