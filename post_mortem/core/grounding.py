"""Slots and citations: the only way a number reaches a narrative.

A sentence is written with slots and citations, `Stopped out at {{E1.r}} after the release [E3].`
and rendered by code from the facts. `check` finds everything that must not be shown: a digit or a
number word outside a slot, a slot that something touches so that its figure reads as another, a
slot of a fact that its own sentence does not cite, a citation of a fact that does not exist, and
markup. `render` refuses a text that does not pass. What a sound
sentence claims about the trade is checked by `core/claims.py`.

Narratives are English. Letters of other scripts are refused, because a number word or a link can be
spelt with look-alikes; accents are taken off before words are compared.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

# Part of the key of a kept answer: raise it when a text that passed may no longer pass.
GROUNDING_VERSION = "grounding-2"
SLOT = re.compile(r"\{\{(E[1-9]\d{0,2})\.([a-z][a-z0-9_]*)\}\}")
CITATION = re.compile(r"\[(E[1-9]\d{0,2})\]")
# A sentence ends at . ! or ? before white space; its citations stand before that mark.
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
_MARKUP = re.compile(
    r"[<>{}`|\\]|\w://|https?:|mailto:|data:\w+/|www\.|!\[|\]\s*\(|javascript:|"
    r"\b[a-z0-9-]+\.(?:com|net|org|io|xyz|info|ru|cn|co|app|dev|me|biz|example|site|online|shop|"
    r"top|club|link|live|ly|gg|uk|eu|de|fr|ch|nl|tv|cc|ws|sh|ai|pro|click|store|tech|edu|gov|onion)"
    r"\b|\w@\w|&#?\w+;",
    re.IGNORECASE,
)
# What every match of `_MARKUP` has, unless it has a `www.`.
_MARKUP_SIGN = re.compile(r"[<>{}`|\\:@\[\]&]|\.\w")
# A slot reads as its own figure only where nothing touches it: a digit, a sign, a unit or another
# slot beside it makes another number.
_GLUED = re.compile(
    r"[^\s(\"'\u2018\u201c]\{\{E|"
    r"(?:[+\u2212\u00b1*^=~\u00d7\u00f7]|\b(?:minus|negative))\s+\{\{E|"
    r"\}\}(?:[^\s.,;:!?)\[\"'\u2019\u201d\u2014]|[.,:;!?](?=[\w{])|[\"'\u2019\u201d\u2014](?=\{)|"
    r"\s*(?:[%\u2030$\u20ac\u00a3\u00a5*^=\u00d7\u00f7]|per\s?cent|bps?\b|basis\s+points?\b|pips?\b|"
    r"[rkmx]\b))",
    re.IGNORECASE,
)
_NEIGHBOURS = re.compile(rf"(?={SLOT.pattern}\s*{SLOT.pattern})")
_WORD = re.compile(r"\w+")
_UNITS = _WORD.findall(
    "two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety"
)
_OTHER_NUMBERS = _WORD.findall(
    "zero nil second third thirds fourth fourths fifth fifths sixth sixths seventh sevenths eighth "
    "eighths ninth ninths tenth tenths eleventh twelfth thirteenth fourteenth fifteenth sixteenth "
    "seventeenth eighteenth nineteenth twentieth thirtieth fortieth fiftieth hundredth hundredths "
    "thousandth thousandths hundred hundreds hundredfold thousand thousands thousandfold million "
    "millions billion billions trillion trillions dozen dozens twice thrice twofold manifold "
    "double doubled doubles doubling triple tripled triples tripling quadruple quadrupled "
    "quadruples quadrupling quintuple quintupled quintuples quintupling halve halved halves "
    "halving half quarter quarters "
    "deux trois quatre cinq sept huit neuf dix vingt cent mille zwei drei vier sechs sieben acht "
    "neun zehn elf zwanzig hundert tausend uno tres cuatro cinco seis siete ocho nueve diez veinte "
    "cien ciento tre quattro cinque sei sette otto nove dieci cento dois oito dez"
)
_SPELT = frozenset(
    (*(unit + ending for unit in _UNITS for ending in ("", "fold", "some")), *_OTHER_NUMBERS)
)
_NUMBER_WORDS = re.compile(
    rf"\b(?:{'|'.join(sorted(_SPELT))}|couple of|a couple|one (?:in (?:a|every|each)|out of|per)|"
    r"one[- ](?:percent|pips?|bars?|minutes?|hours?|days?|trades?|times?))\b",
    re.IGNORECASE,
)
# A text without one of these words has no match of `_NUMBER_WORDS`, which is slow to look for.
_MAY_COUNT = _SPELT | {"couple", "one"}
_BEYOND_ASCII = re.compile(r"[^\W\x00-\x7f]")
# Letters strung out (s e v e n) read as a word to people only.
_STRUNG = re.compile(r"(?<!\w)(?:[^\W\d_][\s.\-_*'\u2019]+){2,}[^\W\d_](?!\w)")
_PLAIN_SENTENCE = re.compile(r"[ -/:-~]*")  # printable ASCII without digits
# The sign first: it is rare, and a look behind every character is slow.
_INNER_BREAK = re.compile(r"[-_*'\u2019.\u00b7](?<=[^\W\d_].)(?=[^\W\d_])")
_ROMAN = re.compile(
    r"\b(?=[IVXLCDM]{2,}\b)M{0,3}(?:CM|CD|D?C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})\b|"
    r"\b[IVXLCDM]\s?(?:R|pips?|bars?|times|percent|minutes?|hours?|days?|trades?|%)\b"
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


def without_citations(text: str) -> str:
    """A text as it reads where nobody can follow its citations."""
    return " ".join(CITATION.sub(" ", text).split()).replace(" .", ".").replace(" ;", ";")


def count_slots(value: object) -> int:
    """How many slots the texts of a nested value have."""
    if isinstance(value, str):
        return len(SLOT.findall(value))
    parts: Iterable[object] = ()
    if isinstance(value, Mapping):
        parts = value.values()
    elif isinstance(value, list | tuple):
        parts = value
    return sum(count_slots(part) for part in parts)


def _is_digit(character: str) -> bool:
    """Digits of every script, fractions, and ideographs that stand for numbers."""
    return (
        unicodedata.category(character) in ("Nd", "Nl", "No")
        or unicodedata.numeric(character, None) is not None
    )


def _is_foreign(character: str) -> bool:
    """A letter outside the Latin script, or a Latin look-alike such as a full-width or bold one."""
    return character.isalpha() and not unicodedata.name(character, "").startswith("LATIN")


def _plain(text: str) -> str:
    """Without accents, for comparing words."""
    if text.isascii():
        return text
    parts = unicodedata.normalize("NFKD", text)
    return "".join(c for c in parts if unicodedata.category(c) not in ("Mn", "Me"))


def number_word(text: str) -> str | None:
    """The first number written in letters, Roman numerals and disguised spellings included."""
    plain = _plain(text)
    joined = _INNER_BREAK.sub("", plain)
    spelt = _spelt(plain)
    if spelt is None and joined != plain:
        spelt = _spelt(joined)
    found = spelt or _ROMAN.search(plain) or _STRUNG.search(plain)
    return found[0] if found else None


def _spelt(text: str) -> re.Match[str] | None:
    if is_plainly_cased(text) and _MAY_COUNT.isdisjoint(_WORD.findall(text.lower())):
        return None
    return _NUMBER_WORDS.search(text)


def is_plainly_cased(text: str) -> bool:
    """Whether its letters are ASCII. Of others some equal an ASCII letter where case is ignored."""
    return text.isascii() or _BEYOND_ASCII.search(text) is None


def _markup(text: str) -> re.Match[str] | None:
    if _MARKUP_SIGN.search(text) is None and "www." not in text.lower():
        return None
    return _MARKUP.search(text)


def _check_references(sentence: str, facts: Mapping[str, Citable]) -> list[Violation]:
    found = []
    cited = set(CITATION.findall(sentence))
    for fact_id in sorted(cited - facts.keys()):
        found.append(Violation("unknown_citation", fact_id))
    for fact_id, key in SLOT.findall(sentence):
        if fact_id not in facts or key not in facts[fact_id].slots:
            found.append(Violation("unknown_slot", f"{fact_id}.{key}"))
        elif fact_id not in cited:
            found.append(Violation("uncited_slot", f"{fact_id}.{key}"))
    return found


def _glued(text: str, facts: Mapping[str, Citable]) -> str | None:
    """What touches a slot so that its figure reads as another one."""
    if "{{" not in text and "}}" not in text:
        return None
    if match := _GLUED.search(text):
        return match[0]
    for left_id, left, right_id, right in _NEIGHBOURS.findall(text):
        if left_id in facts and right_id in facts:
            first, second = facts[left_id].slots.get(left), facts[right_id].slots.get(right)
            # `US30 long` are two words; `12 300` is one number.
            if first and second and _is_digit(first[-1]) and not second[0].isalpha():
                return f"{first} {second}"
    return None


def _check_sentence(sentence: str, facts: Mapping[str, Citable]) -> list[Violation]:
    found = _check_references(sentence, facts)
    # Where citations are not shown, what stood around one closes up.
    closed = without_citations(sentence)
    if glued := _glued(sentence, facts) or _glued(closed, facts):
        found.append(Violation("glued_slot", glued))
    rest = CITATION.sub(" ", SLOT.sub(" ", sentence))
    # Most sentences are plain ASCII, of which one look at each character tells nothing new.
    if _PLAIN_SENTENCE.fullmatch(rest) is None:
        found.extend(_check_characters(rest))
    if word := number_word(rest):
        found.append(Violation("number_word", word))
    if match := _markup(rest) or _markup(SLOT.sub(" ", closed)):
        found.append(Violation("markup", match[0]))
    return found


def _check_characters(text: str) -> Iterable[Violation]:
    if any(_is_digit(c) for c in text):
        yield Violation("digit", text.strip())
    if any(_is_foreign(c) for c in text):
        yield Violation("script", text.strip())
    if any(unicodedata.category(c) in ("Cc", "Cf", "Co", "Cs", "Mn", "Me") for c in text):
        yield Violation("control_character", ascii(text))


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
