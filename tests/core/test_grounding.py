"""No number reaches a narrative but through a slot of a fact that its sentence cites."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from post_mortem.core.grounding import UngroundedError, check, citations, render, sentences, shown


@dataclass(frozen=True)
class Item:
    id: str
    slots: dict[str, str] = field(default_factory=dict)


FACTS = {
    "E1": Item("E1", {"r": "\u22121.09 R", "held": "1 min"}),
    "E2": Item("E2", {"jump": "0.94 R", "symbol": "US30"}),
}
SOUND = "Stopped out after {{E1.held}} at {{E1.r}} [E1]. The release moved {{E2.jump}} [E2]."


def test_a_sound_text_renders_its_slots():
    assert render(SOUND, FACTS) == (
        "Stopped out after 1 min at \u22121.09 R [E1]. The release moved 0.94 R [E2]."
    )
    assert citations(SOUND) == ["E1", "E2"]
    assert len(sentences(SOUND)) == 2


COUNTS = {"E1": Item("E1", {"n": "12", "won": "30", "r": "1.09 R", "symbol": "US30", "s": "long"})}


@pytest.mark.parametrize(
    "text",
    [
        "It won {{E1.won}}{{E1.n}} [E1].",
        "It won {{E1.n}}.{{E1.won}} [E1].",
        "It won {{E1.n}}% [E1].",
        "It won {{E1.n}} % [E1].",
        "It won {{E1.n}} percent [E1].",
        "It won {{E1.n}} per cent [E1].",
        "It won {{E1.n}} basis points [E1].",
        "It ended at -{{E1.r}} [E1].",
        "It ended at \u2212{{E1.r}} [E1].",
        "It ended at \u2212 {{E1.r}} [E1].",
        "It ended at minus {{E1.r}} [E1].",
        "It won ${{E1.n}} [E1].",
        "It won {{E1.n}}k [E1].",
        "It won {{E1.n}} R [E1].",
        "It won {{E1.n}}e{{E1.won}} [E1].",
        "It won {{E1.n}}/{{E1.won}} [E1].",
        "It won {{E1.n}}'{{E1.won}} [E1].",
        "It won {{E1.n}} {{E1.won}} [E1].",
        "It won {{E1.n}} [E1] {{E1.won}}.",
        "It won {{E1.n}} [E1].{{E1.won}} [E1].",
        "It won {{E1.n}}[E1]{{E1.won}}.",
        "It won {{E1.n}} [E1]%.",
        "It won {{E1.n}} [E1]k.",
    ],
)
def test_a_slot_that_something_touches_is_another_number(text):
    assert "glued_slot" in {v.code for v in check(text, COUNTS)}


@pytest.mark.parametrize(
    "text",
    [
        "Of {{E1.n}} trades ({{E1.won}} to {{E1.n}}), {{E1.won}} were won; {{E1.n}} [E1].",
        "It ended at {{E1.r}}[E1].",
        "It ended at {{E1.r}} [E1], behind {{E1.won}}.",
        "{{E1.symbol}} {{E1.s}} at {{E1.r}} [E1].",
        "{{E1.symbol}}'s fall took {{E1.r}} [E1].",
    ],
)
def test_a_slot_among_words_raises_no_alarm(text):
    assert check(text, COUNTS) == []


@pytest.mark.parametrize("text", ["See evil [E1].com", "See evil[E1].com.", "Ask a [E1]@evil.shop"])
def test_a_citation_hides_no_address(text):
    assert "markup" in {v.code for v in check(text, FACTS)}


@pytest.mark.parametrize(
    "text",
    [
        "No specific cause was found.",
        "One of the levels was close [E1].",
        "It held [E1][E2].",
        "{{E2.symbol}} fell [E2].",
    ],
)
def test_honest_text_raises_no_alarm(text):
    assert check(text, FACTS) == []


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("It lost 1.09 R [E1].", "digit"),
        ("It lost \uff11 R [E1].", "digit"),
        ("It lost \u0661 R [E1].", "digit"),
        ("It lost \u00bd R [E1].", "digit"),
        ("It lost \u2167 R [E1].", "digit"),
        ("It lost x\u00b2 [E1].", "digit"),
        ("It moved seven times normal [E1].", "number_word"),
        ("It doubled [E1].", "number_word"),
        ("A dozen trades [E1].", "number_word"),
        ("It lost {{E1.pips}} [E1].", "unknown_slot"),
        ("It lost {{E9.r}} [E1].", "unknown_slot"),
        ("It lost {{E1.r}} [E2].", "uncited_slot"),
        ("It lost {{E1.r}}.", "uncited_slot"),
        ("It lost [E7].", "unknown_citation"),
        ("See <b>this</b> [E1].", "markup"),
        ("See [this](http://evil) [E1].", "markup"),
        ("See ![x](y) [E1].", "markup"),
        ("See {{ E1.r }} [E1].", "markup"),
        ("See {{E1.r|safe}} [E1].", "markup"),
        ("It lo\u200bst [E1].", "control_character"),
        ("It lost \u202eevil [E1].", "control_character"),
    ],
)
def test_what_may_not_be_shown(text, code):
    assert code in {v.code for v in check(text, FACTS)}
    with pytest.raises(UngroundedError):
        render(text, FACTS)


def test_a_moved_citation_takes_its_sentence_away_and_only_that():
    stored = render(SOUND, FACTS)
    assert shown(stored, SOUND, FACTS) == (stored, 0)
    moved = SOUND.replace("[E2]", "[E1]")
    kept, dropped = shown(stored.replace("[E2]", "[E1]"), moved, FACTS)
    assert dropped == 1
    assert kept == "Stopped out after 1 min at \u22121.09 R [E1]."


def test_a_changed_digit_in_the_stored_text_takes_its_sentence_away():
    stored = render(SOUND, FACTS).replace("0.94", "0.49")
    kept, dropped = shown(stored, SOUND, FACTS)
    assert "0.49" not in kept
    assert dropped == 1


def test_an_added_sentence_shows_nothing():
    stored = render(SOUND, FACTS) + " It will win next time."
    assert shown(stored, SOUND, FACTS)[0] == ""


def test_other_evidence_shows_nothing_of_the_old_figures():
    other = {"E1": Item("E1", {"r": "+2.00 R", "held": "3 h"}), "E2": FACTS["E2"]}
    kept, dropped = shown(render(SOUND, FACTS), SOUND, other)
    assert dropped == 1
    assert "1.09" not in kept


@given(st.text(max_size=60))
def test_whatever_passes_contains_no_digit_of_its_own(text):
    if not check(text, FACTS):
        rendered = render(text, FACTS)
        for slot in ("\u22121.09 R", "1 min", "0.94 R", "US30", "[E1]", "[E2]"):
            rendered = rendered.replace(slot, "")
        assert not any(c.isnumeric() and c.isdigit() for c in rendered)
