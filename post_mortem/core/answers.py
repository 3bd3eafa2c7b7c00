"""A structured answer of a model, settled: what is sound stays, what is not is removed.

An answer is a mapping of sections, each made of texts with slots and citations (nested in mappings
and lists) and of codes, which are not prose. `inspect` lists every violation with its place, for
one round of repair; `settle` drops offending sentences where their section keeps a cited one, and
takes the whole section from the fallback (the offline narrator's, which passes the same checks)
where it does not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .claims import Ground, check_sentence, uncited
from .grounding import Violation, check, citations, sentences

Narrative = Mapping[str, Any]

# Values of these keys are codes: chosen from lists, never shown as prose.
CODES = frozenset(
    (
        *("key", "kind", "area", "scope", "metric", "cause", "label", "effort", "cluster_id", "id"),
        *("focus_area", "source_ids"),
    )
)
# Everything in these is a statement about facts, so every sentence cites one.
MUST_CITE = frozenset(("what_the_evidence_shows", "explanation", "rationale"))


@dataclass(frozen=True, slots=True)
class Found:
    """A violation, the section it is in, and the sentence."""

    section: str
    sentence: str
    violation: Violation


@dataclass(frozen=True, slots=True)
class Settled:
    """`narrative` has the sections of the answer, made sound. `removed` sentences were dropped;
    `replaced` names the sections that came from the fallback."""

    narrative: dict[str, Any]
    found: tuple[Found, ...]
    checked: int
    removed: int
    replaced: tuple[str, ...]


def inspect(answer: Narrative, ground: Ground) -> list[Found]:
    """Every violation of every text of the answer."""
    return [
        Found(section, sentence, violation)
        for section, value in answer.items()
        for key, text in prose(value, section)
        for sentence in sentences(text)
        for violation in _violations(sentence, key, ground)
    ]


def settle(
    answer: Narrative,
    fallback: Narrative,
    ground: Ground,
    sections: Sequence[str] = (),
    inspected: Sequence[Found] | None = None,
) -> Settled:
    """The sound part of `answer`. Sections that it lacks (of `sections`) come from the fallback.
    `inspected`: what `inspect` found in this very answer, where it was looked at before."""
    found = tuple(inspect(answer, ground) if inspected is None else inspected)
    faulty = {f.section for f in found}
    narrative: dict[str, Any] = {}
    removed, replaced = 0, []
    for section in dict.fromkeys((*answer, *sections)):
        if section not in answer:
            replaced.append(section)
            narrative[section] = fallback.get(section)
        elif section not in faulty:
            narrative[section] = answer[section]
        else:
            pruned, dropped = _prune(answer[section], section, ground)
            if any(citations(text) for _, text in prose(pruned, section)):
                narrative[section] = pruned
                removed += dropped
            else:
                narrative[section] = fallback.get(section)
                replaced.append(section)
    checked = sum(
        len(sentences(text)) for name, value in answer.items() for _, text in prose(value, name)
    )
    return Settled(narrative, found, checked, removed, tuple(replaced))


def prose(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """(key, text) of every prose text; the items of a list have the key of the list."""
    if key in CODES:
        return
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, Mapping):
        for name, part in value.items():
            yield from prose(part, name)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from prose(part, key)


def _violations(sentence: str, key: str, ground: Ground) -> list[Violation]:
    found = [*check(sentence, ground.facts), *check_sentence(sentence, ground)]
    return [*found, *uncited(sentence)] if key in MUST_CITE else found


def _prune(value: Any, key: str, ground: Ground) -> tuple[Any, int]:
    """The value without its offending sentences; emptied items of lists go too."""
    if key in CODES or not isinstance(value, str | Mapping | list | tuple):
        return value, 0
    if isinstance(value, str):
        every = sentences(value)
        kept = [s for s in every if not _violations(s, key, ground)]
        return " ".join(kept), len(every) - len(kept)
    if isinstance(value, Mapping):
        parts = {name: _prune(part, name, ground) for name, part in value.items()}
        return {n: p for n, (p, _) in parts.items()}, sum(d for _, d in parts.values())
    pruned = [_prune(part, key, ground) for part in value]
    kept_parts = [
        part
        for (part, dropped) in pruned
        if not dropped or any(text.strip() for _, text in prose(part, key))
    ]
    return kept_parts, sum(dropped for _, dropped in pruned)
