"""The golden cases on file are what the core says today, and they cover what they are there for."""

from __future__ import annotations

from collections import Counter

import pytest

from post_mortem.core.types import CAUSES, Outcome
from post_mortem.services.model_evaluation import CASES, GoldenCase, load_cases
from post_mortem.services.trade_prompt import MOST_CHARACTERS, prompt_of
from tests.llm import golden

MADE = {case.id: case for case in golden.cases()}


@pytest.fixture(scope="module")
def loaded() -> dict[str, GoldenCase]:
    return {case.id: case for case in load_cases()}


def test_the_files_are_those_of_the_cases() -> None:
    assert sorted(path.stem for path in CASES.glob("*.json")) == sorted(MADE)


@pytest.mark.parametrize("name", sorted(MADE))
def test_a_file_is_current(name: str) -> None:
    """After a change of the core's words: `python -m tests.llm.golden`, and read what changed."""
    assert (CASES / f"{name}.json").read_text() == golden.text_of(MADE[name])


def test_there_are_enough_of_every_kind(loaded: dict[str, GoldenCase]) -> None:
    outcomes = Counter(case.outcome for case in loaded.values())
    tops = Counter(case.expected.causes[:1] for case in loaded.values())
    assert len(loaded) >= 60
    assert all(tops[(cause,)] >= 2 for cause in CAUSES)
    assert min(outcomes[o] for o in (Outcome.SUCCEEDED, Outcome.NEUTRAL, Outcome.PENDING)) >= 2
    assert sum(bool(case.expected.planted) for case in loaded.values()) >= 20
    assert sum(case.expected.abstains for case in loaded.values()) >= 6
    assert {case.side for case in loaded.values()} == {1, -1}
    assert any(len(case.expected.causes) > 2 for case in loaded.values())


def test_a_win_has_no_cause(loaded: dict[str, GoldenCase]) -> None:
    for case in loaded.values():
        if case.outcome == Outcome.SUCCEEDED:
            assert case.expected.causes == ()


def test_what_a_prompt_says_of_a_case_is_inert_and_within_its_length(
    loaded: dict[str, GoldenCase],
) -> None:
    for case in loaded.values():
        system, user = prompt_of(case.context, "0123456789abcdef").rendered.messages
        assert len(system.text) + len(user.text) <= MOST_CHARACTERS
        blocks = len(case.context["texts"])
        assert user.text.count("<untrusted") == user.text.count("</untrusted>") == blocks
        assert not any(hidden in user.text for hidden in ("\u200b", "\ufeff", "\U000e0077"))
