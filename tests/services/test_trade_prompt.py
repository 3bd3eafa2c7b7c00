"""What a model is told: everything where it fits, the most needed evidence where it does not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from benchmarks._bundles import make_bundle
from post_mortem.core.evidence import Evidence, Fact
from post_mortem.services.trade_prompt import (
    MOST_CHARACTERS,
    MOST_FACTS,
    by_rank,
    fewer,
    trade_prompt,
)

NONCE = "0123456789abcdef"


def bundle() -> Any:
    return next(
        found
        for found in map(make_bundle, range(50))
        if len(found.evidence.ranked) > 1 and found.evidence.ranked[0].for_ids
    )


def padded(evidence: Evidence, characters: int) -> Evidence:
    """The same evidence with long texts."""
    facts = tuple(replace(fact, text=fact.text + "x" * characters) for fact in evidence.facts)
    return replace(evidence, facts=facts)


def length(prompt: Any) -> int:
    return sum(len(message.text) for message in prompt.rendered.messages)


def test_what_fits_is_told_whole() -> None:
    found = bundle()
    prompt = trade_prompt(found.evidence, found.label.outcome, [], NONCE)
    assert prompt.left_out == 0
    assert not prompt.context["left_out"]
    assert [fact["id"] for fact in prompt.context["facts"]] == [f.id for f in found.evidence.facts]
    assert ".said}}" not in prompt.rendered.messages[1].text


@pytest.mark.parametrize("characters", [600, 900, 2_000])
def test_what_does_not_fit_goes_from_the_lowest_rank_up(characters: int) -> None:
    found = bundle()
    evidence = padded(found.evidence, characters)
    notes = [{"id": "note", "text": "why " * 400}]
    prompt = trade_prompt(evidence, found.label.outcome, notes, NONCE)
    assert length(prompt) <= MOST_CHARACTERS
    ranked = [fact.id for fact in by_rank(evidence)]
    assert prompt.left_out == len(ranked) - len(prompt.fact_ids) > 0
    assert prompt.fact_ids == set(ranked[: len(prompt.fact_ids)])
    assert "were left out to keep this short" in prompt.rendered.messages[1].text
    # Causes cite no fact that is not there.
    for cause in prompt.context["ranked"]:
        assert {*cause["for_ids"], *cause["against_ids"]} <= prompt.fact_ids


def test_the_trade_comes_first_and_what_would_have_changed_a_mind_last() -> None:
    found = bundle()
    kinds = [(fact.side, fact.cause) for fact in by_rank(found.evidence)]
    leading = {view.cause for view in found.evidence.ranked}
    assert kinds[0] == ("context", None)
    minds = [i for i, (side, _) in enumerate(kinds) if side == "mind"]
    assert minds == list(range(len(kinds) - len(minds), len(kinds)))
    mine = [i for i, (side, cause) in enumerate(kinds) if cause in leading and side != "mind"]
    others = [i for i, (side, c) in enumerate(kinds) if c and c not in leading and side != "mind"]
    assert not others or max(mine) < min(others)


def test_never_more_facts_than_a_reader_can_use() -> None:
    found = bundle()
    more = tuple(
        Fact(f"E{900 + n}", "flag", f"Flag {n}", {}, "context", None, None) for n in range(80)
    )
    evidence = replace(found.evidence, facts=(*found.evidence.facts, *more))
    prompt = trade_prompt(evidence, found.label.outcome, [], NONCE)
    assert len(prompt.fact_ids) == MOST_FACTS
    assert prompt.context["left_out"]


def test_half_of_the_facts_are_fewer_until_only_the_trade_is_left() -> None:
    found = bundle()
    prompt = trade_prompt(found.evidence, found.label.outcome, [], NONCE)
    half = fewer(prompt)
    assert half == len(found.evidence.facts) // 2
    shorter = trade_prompt(found.evidence, found.label.outcome, [], NONCE, half)
    assert shorter.fact_ids == {fact.id for fact in by_rank(found.evidence)[:half]}
    assert length(shorter) < length(prompt)
    least = trade_prompt(found.evidence, found.label.outcome, [], NONCE, 6)
    assert fewer(least) is None
