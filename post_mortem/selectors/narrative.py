"""A stored narrative as it may be shown: only sentences that code can write again from the facts,
cut at their citations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from post_mortem.core.evidence import Fact
from post_mortem.core.grounding import CITATION, shown
from post_mortem.models import TradeAnalysis

# Section of `analysis_data`, its title, the key of its summary, the keys of its points.
_SECTIONS: tuple[tuple[str, str, str, tuple[str, ...]], ...] = (
    ("performance_analysis", "What happened", "overall_evaluation", ("strengths", "weaknesses")),
    ("entry_analysis", "Entry", "summary", ("what_the_evidence_shows",)),
    ("exit_analysis", "Exit", "summary", ("what_the_evidence_shows",)),
    ("decision_analysis", "Decision", "summary", ("what_the_evidence_shows",)),
    ("context_analysis", "Market", "summary", ("what_the_evidence_shows",)),
)


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of text, or a citation when `fact` is set."""

    text: str
    fact: Fact | None = None


@dataclass(frozen=True, slots=True)
class Section:
    title: str
    summary: tuple[Piece, ...]
    points: tuple[tuple[Piece, ...], ...]


@dataclass(frozen=True, slots=True)
class Told:
    """The narrative of one audit. `withheld` sentences no longer follow from the evidence."""

    sections: tuple[Section, ...]
    source: str
    reason: str
    grounding: Mapping[str, Any]
    withheld: int
    outdated: bool


class _Reader:
    def __init__(self, analysis: TradeAnalysis, facts: Mapping[str, Fact]) -> None:
        self.data: Mapping[str, Any] = analysis.analysis_data
        self.slots: Mapping[str, Any] = analysis.slot_data
        self.facts = facts
        self.withheld = 0

    def text(self, written: object, source: object) -> tuple[Piece, ...]:
        if not (isinstance(written, str) and isinstance(source, str) and written):
            return ()
        kept, dropped = shown(written, source, self.facts)
        self.withheld += dropped
        return tuple(pieces(kept, self.facts))

    def points(self, written: object, source: object) -> Iterator[tuple[Piece, ...]]:
        if not (isinstance(written, list) and isinstance(source, list)):
            return
        if len(written) != len(source):
            self.withheld += len(written)
            return
        for text, slotted in zip(written, source, strict=True):
            if point := self.text(text, slotted):
                yield point

    @staticmethod
    def suggestions(document: Mapping[str, Any]) -> list[object]:
        ideas = document.get("ideas") or []
        return [idea.get("suggestion") for idea in ideas if isinstance(idea, Mapping)]

    def section(self, key: str, title: str, summary: str, lists: Sequence[str]) -> Section:
        data, slots = self.data.get(key) or {}, self.slots.get(key) or {}
        return Section(
            title,
            self.text(data.get(summary), slots.get(summary)),
            tuple(p for name in lists for p in self.points(data.get(name), slots.get(name))),
        )


def pieces(text: str, facts: Mapping[str, Fact]) -> Iterator[Piece]:
    """Cut a text at its citations; one of an unknown fact is left out."""
    at = 0
    for match in CITATION.finditer(text):
        if before := text[at : match.start()]:
            yield Piece(before)
        if fact := facts.get(match[1]):
            yield Piece(match[1], fact)
        at = match.end()
    if rest := text[at:]:
        yield Piece(rest)


def told(analysis: TradeAnalysis, facts: Mapping[str, Fact], evidence_hash: str) -> Told:
    reader = _Reader(analysis, facts)
    sections = [reader.section(*spec) for spec in _SECTIONS]
    learnings = tuple(
        reader.points(reader.data.get("key_learnings"), reader.slots.get("key_learnings"))
    )
    sections.append(Section("To take away", (), learnings))
    # A model's own suggestions are words, not advice: nothing follows from them by itself.
    ideas = reader.points(reader.suggestions(reader.data), reader.suggestions(reader.slots))
    sections.append(Section("Ideas of the model, not tracked", (), tuple(ideas)))
    return Told(
        sections=tuple(s for s in sections if s.summary or s.points),
        source=analysis.source,
        reason=analysis.source_reason,
        grounding=analysis.grounding,
        withheld=reader.withheld,
        outdated=analysis.evidence_hash != evidence_hash,
    )
