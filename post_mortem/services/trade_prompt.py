"""What a model is told about one trade: a context made from the evidence, within a length.

The same evidence gives the same context, so an answer can be kept under it. Where not everything
fits, the evidence of the lowest rank goes first: what would have changed a mind, then what happened
around the trade, then causes that were ruled out. The prompt says that something was left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from llm.prompts import Rendered, render
from post_mortem.core.evidence import Evidence, Fact
from post_mortem.core.types import Outcome
from post_mortem.services.narrator import missing_words

PURPOSE: Final = "trade_analysis"
MOST_CHARACTERS: Final = 24_000
MOST_FACTS: Final = 60
# Of the trade itself there is always something to say.
_FEWEST_FACTS: Final = 6


@dataclass(frozen=True, slots=True)
class TradePrompt:
    """`schema` is the text of the shape asked for; `left_out` counts facts that did not fit."""

    context: Mapping[str, Any] = field(repr=False)
    rendered: Rendered = field(repr=False)
    schema: str = field(repr=False)
    left_out: int = 0

    @property
    def fact_ids(self) -> frozenset[str]:
        return frozenset(fact["id"] for fact in self.context["facts"])


def trade_prompt(
    evidence: Evidence,
    outcome: int,
    notes: Sequence[Mapping[str, str]],
    nonce: str,
    most_facts: int = MOST_FACTS,
) -> TradePrompt:
    """The prompt about this evidence; at most `MOST_CHARACTERS` in all."""
    kept = by_rank(evidence)[:most_facts]
    while True:
        context = context_of(evidence, outcome, notes, kept)
        prompt = prompt_of(context, nonce, len(evidence.facts) - len(kept))
        over = sum(len(m.text) for m in prompt.rendered.messages) - MOST_CHARACTERS
        if over <= 0 or len(kept) <= _FEWEST_FACTS:
            return prompt
        while over > 0 and len(kept) > _FEWEST_FACTS:
            over -= _length(kept.pop())


def fewer(prompt: TradePrompt) -> int | None:
    """How many facts a shorter prompt than this one has; None where it can have no fewer."""
    shown = len(prompt.fact_ids)
    return max(_FEWEST_FACTS, shown // 2) if shown > _FEWEST_FACTS else None


def prompt_of(context: Mapping[str, Any], nonce: str, left_out: int = 0) -> TradePrompt:
    """The prompt of a context that was made before."""
    from llm.structured import schema_text
    from post_mortem.services.answer_shapes import TradeAnswer

    schema = schema_text(TradeAnswer)
    rendered = render(PURPOSE, schema=schema, nonce=nonce, **context)
    return TradePrompt(context, rendered, schema, left_out)


def by_rank(evidence: Evidence) -> list[Fact]:
    """The most needed first: of the trade, of ranked causes, of the others, events, minds."""
    ranked = [view.cause for view in evidence.ranked]
    events = {event.fact.id for event in evidence.events}

    def rank(fact: Fact) -> int:
        if fact.side == "mind":
            return 4
        if fact.cause is None:
            return 3 if fact.id in events and fact.kind not in _OF_THE_TRADE else 0
        return 1 if fact.cause in ranked else 2

    return sorted(evidence.facts, key=rank)


_OF_THE_TRADE: Final = frozenset(
    ("result", "exit", "entry", "stop", "target", "plan_ratio", "mfe", "mae", "drawdown", "flag",
     "gap_fill")
)  # fmt: skip


def _length(fact: Fact) -> int:
    """Characters of its line in the prompt, at least."""
    slots = sum(len(key) + len(value) for key, value in fact.slots.items() if key != "said")
    return len(fact.text) + slots


def context_of(
    evidence: Evidence, outcome: int, notes: Sequence[Mapping[str, str]], kept: Iterable[Fact]
) -> dict[str, Any]:
    """What the prompt is rendered with; facts in the order of the document."""
    shown = {fact.id for fact in kept}
    return {
        "verdict": evidence.verdict,
        "outcome": Outcome(outcome).name.lower(),
        "facts": [
            {
                "id": fact.id,
                "kind": fact.kind,
                "text": fact.text,
                "slots": {key: value for key, value in fact.slots.items() if key != "said"},
                "side": fact.side,
                "cause": fact.cause,
            }
            for fact in evidence.facts
            if fact.id in shown
        ],
        "ranked": [
            {
                "cause": view.cause,
                "label": view.label,
                "word": view.word,
                "for_ids": [i for i in view.for_ids if i in shown],
                "against_ids": [i for i in view.against_ids if i in shown],
            }
            for view in evidence.ranked
        ],
        "ruled_out": [{"label": view.label} for view in evidence.ruled_out],
        "unchecked": [
            {"label": view.label, "reason": missing_words(view.missing)}
            for view in evidence.unchecked
        ],
        "texts": [dict(note) for note in notes],
        "left_out": len(shown) < len(evidence.facts),
    }
