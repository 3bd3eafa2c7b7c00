"""The built-in narrator's words about a pattern, every figure a slot of a fact that is cited."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from post_mortem.core.pattern_advice import rule_of
from post_mortem.core.pattern_facts import facts_of
from post_mortem.services.narrator import Writer

WORDS_VERSION: Final = "patterns-1"
Words = dict[str, Any]
Statistics = Mapping[str, Any]

_TRENDS: Final[Mapping[str, str]] = {
    "stronger": "It grew stronger over time",
    "weaker": "It grew weaker over time",
    "steady": "It held steady over time",
    "": "Whether it changed over time cannot be told",
}


def writer_of(facts: Sequence[Any]) -> Writer:
    """A writer that names the facts of one pattern by their kind."""
    named: dict[str, Any] = {}
    for fact in facts:
        named.setdefault(fact.kind, fact)
    return Writer(named)


def verb(s: Statistics) -> str:
    """What the trades do, by their own sum and by the difference to the others."""
    if s["effect_r"] < 0:
        return "lose" if s["total_r"] < 0 else "earn less than the others"
    return "earn" if s["total_r"] > 0 else "lose less than the others"


def sentence(s: Statistics, w: Writer) -> str:
    """The pattern in one sentence."""
    if s["kind"] == "cause":
        told = w.say(
            "{pattern.kind} came first in {pattern.n} losing trades: {pattern.total} in all; "
            "counted, not tested."
        )
    else:
        held = "holds after correcting for {tried.tried} kinds tried."
        does = f"{{pattern.kind}} {verb(s)}:"
        told = w.say(
            f"{does} {{pattern.n}} trades, {{pattern.each}} each "
            f"({{pattern.low}} to {{pattern.high}}); {held}"
        ) or w.say(f"{does} {{pattern.won}} of {{pattern.n}} won, {{pattern.total}} in all; {held}")
    if told is None:
        raise ValueError("a pattern has a fact about its trades")
    return told


def details(s: Statistics, w: Writer) -> str:
    """What else is known of it."""
    if s["kind"] == "cause":
        lines = [
            "A cause is known only after the trade, so these are counted as they ended and not "
            "compared with others.",
            w.say(
                "The {earlier.n} earlier ones took {earlier.total}, the {later.n} later ones "
                "{later.total}."
            ),
        ]
    else:
        others = "Of all other trades {others.won} of {others.n} won, {others.total} in all"
        lines = [
            w.say(f"{others}, {{others.each}} each.") or w.say(f"{others}."),
            w.say(
                "With luck allowed for, another such trade is expected to bring {expected.r} "
                "({expected.low} to {expected.high})."
            ),
            w.say(
                f"{_TRENDS[s['trend']]}: {{earlier.won}} of the {{earlier.n}} earlier trades won, "
                "{earlier.total} in all, and {later.won} of the {later.n} later ones, "
                "{later.total}."
            ),
        ]
    return " ".join(line for line in lines if line)


def action(text: str, w: Writer) -> str:
    """The text of a rule; the kind of trades in it is a slot, because its words may hold digits."""
    return w.say(text.replace("{words}", "{pattern.words}"), "pattern") or text


def offline_words(s: Statistics) -> Words:
    """The text of a pattern with slots. A leak suggests a rule; of a cause the rules are its
    trades' own."""
    w = writer_of(facts_of(s))
    return {
        "title": w.say("{pattern.kind}.") or "",
        "sentence": sentence(s, w),
        "description": details(s, w),
        "hypothesis": "",
        "action_items": [action(rule_of(s["parts"]).text, w)] if s["type"] == "leak" else [],
    }
