"""A pattern's facts and words: every figure is one of its own, and nothing is claimed beyond it."""

from __future__ import annotations

import json

import pytest

from post_mortem.core.advice import _BY_CAUSE
from post_mortem.core.answers import inspect
from post_mortem.core.attribution.catalogue import REGISTRY
from post_mortem.core.claims import Ground, check_sentence
from post_mortem.core.evidence import CauseNumbers
from post_mortem.core.grounding import render, without_citations
from post_mortem.core.pattern_advice import RULE_OF_CAUSE, rule_of, scope_of, worth_of
from post_mortem.core.pattern_facts import evidence_hash, facts_of, noun_phrase, plan_facts
from post_mortem.core.scope import KEYS, check
from post_mortem.core.types import CAUSES
from post_mortem.services.pattern_narrator import offline_words, sentence, writer_of
from tests.services.factories import pattern_statistics

FEW = {
    "n": 14,
    "won": 2,
    "total_r": -9.1,
    "r_low": -1.1,
    "r_high": -0.3,
    "halves": [{"n": 7, "won": 1, "total_r": -5.0}, {"n": 7, "won": 1, "total_r": -4.1}],
}
CAUSE = {
    "kind": "cause",
    "type": "cause",
    "parts": [["cause", "news_shock"]],
    "chance": None,
    "expected_r": None,
    "expected_low": None,
    "expected_high": None,
    "won": 0,
    **FEW,
}
EDGE = {"type": "edge", "effect_r": 0.3, "mean_r": 0.5, "r_low": 0.2, "r_high": 0.8,
        "total_r": 15.5, "expected_r": 0.4, "expected_low": 0.1, "expected_high": 0.7}  # fmt: skip
CASES = {
    "leak": {},
    "few": FEW,
    "cause": CAUSE,
    "edge": EDGE,
    "no pace": {"per_month": None},
    "weaker": {"trend": "weaker"},
    "odd names": {"parts": [["strategy", "of strategy 7 <b>up</b> {{E9.x}} 12"]]},
}


def told(**changes) -> str:
    s = pattern_statistics(**changes)
    facts = {fact.id: fact for fact in facts_of(s)}
    return without_citations(render(sentence(s, writer_of(facts_of(s))), facts))


def test_the_sentence_says_kind_number_result_range_and_correction():
    assert told() == (
        "Breakouts in Asia lose: 31 trades, −0.42 R each (−0.66 to −0.18); "
        "holds after correcting for 40 kinds tried."
    )


def test_under_thirty_trades_there_are_counts_and_sums():
    assert told(**FEW) == (
        "Breakouts in Asia lose: 2 of 14 won, −9.1 R in all; "
        "holds after correcting for 40 kinds tried."
    )
    slots = {key for fact in facts_of(pattern_statistics(**FEW)) for key in fact.slots
             if fact.kind in ("pattern", "earlier", "later")}  # fmt: skip
    assert slots == {"kind", "words", "n", "won", "total"}


def test_a_cause_is_counted_not_tested():
    assert told(**CAUSE) == (
        "News shock came first in 14 losing trades: −9.1 R in all; counted, not tested."
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"total_r": 2.0, "mean_r": 0.06}, "earn less than the others"),
        (EDGE, "earn"),
        ({**EDGE, "total_r": -1.0, "mean_r": -0.03}, "lose less than the others"),
    ],
)
def test_worse_than_others_is_not_always_losing(changes, said):
    assert f"Breakouts in Asia {said}: 31 trades" in told(**changes)


@pytest.mark.parametrize("case", CASES)
def test_the_narrators_own_words_pass_the_check(case):
    s = pattern_statistics(**CASES[case])
    facts = {fact.id: fact for fact in facts_of(s)}
    tendency = {"leak": -1, "edge": 1}.get(s["type"], 0)
    words = offline_words(s)
    assert bool(words["action_items"]) is (s["type"] == "leak")
    assert inspect(words, Ground(facts=facts, tendency=tendency)) == []
    assert "R" in render(words["sentence"], facts)


def test_a_losing_pattern_told_as_a_winning_one_is_found():
    facts = {fact.id: fact for fact in facts_of(pattern_statistics())}
    for text, tendency, wrong in (
        ("These trades are profitable [E1].", -1, True),
        ("They do better than the others [E1].", -1, True),
        ("They are not profitable [E1].", -1, False),
        ("They would be profitable without costs [E1].", -1, False),
        ("These trades lose money [E1].", 1, True),
        ("These trades are profitable [E1].", 1, False),
        ("These trades are profitable [E1].", 0, False),
    ):
        found = check_sentence(text, Ground(facts=facts, tendency=tendency))
        assert bool(found) is wrong, text


def test_the_hash_sees_every_figure():
    s = pattern_statistics()
    assert evidence_hash(s) == evidence_hash(json.loads(json.dumps(s)))
    assert evidence_hash(s) != evidence_hash({**s, "won": 10})


# --- rules ----------------------------------------------------------------------------------------


def test_every_cell_of_every_feature_has_a_rule_and_a_phrase():
    for feature in REGISTRY:
        for words in feature.words or ("in EURUSD",):
            parts = [[feature.name, words]]
            rule = rule_of(parts)
            assert rule.advice.area
            assert noun_phrase(parts)
            assert "{" not in rule.advice.suggestion


def test_a_scope_speaks_the_language_of_other_advice_where_it_can():
    parts = [
        ["symbol", "in EURUSD"],
        ["setup", "that claim order block"],
        ["side", "that are short"],
        ["weekday", "on Fridays"],
        ["hour", "between 08:00 and 12:00 UTC"],
        ["session", "while London and New York overlap"],
        ["strategy", "of strategy Fade"],
    ]
    scope = scope_of(parts)
    assert scope == {
        "symbol": "EURUSD", "setup": "order_block", "side": "short", "weekday": "5",
        "hour": "8-11", "open": "overlap", "strategy": "Fade",
    }  # fmt: skip
    assert check(scope) == scope
    assert set(scope_of([["spread", "entered at a wide spread"]])) - set(KEYS) == {"spread"}


def test_the_rule_of_a_cause_is_the_one_that_single_trades_get():
    class Subject:
        symbol, strategy, claimed_setups, news = "EURUSD", "Fade", ("bos",), {}

    for cause in CAUSES:
        if cause == "unknown":
            continue
        numbers = CauseNumbers(cause, 1, 1.0, 0.8, 80, 1, (), {})
        assert _BY_CAUSE[cause](Subject(), numbers).kind == RULE_OF_CAUSE[cause]


def test_worth_is_the_shrunk_result_times_the_pace_and_no_figure_is_invented():
    worth = worth_of(pattern_statistics(), hours=2.0)
    assert worth.r_month == pytest.approx(0.2 * 6)
    assert (worth.low, worth.high) == (pytest.approx(0.0), pytest.approx(0.4 * 6))
    assert worth.helps == 97
    assert worth.per_hour == pytest.approx(0.6)
    assert worth_of(pattern_statistics()).per_hour is None
    for unknown in ({"per_month": None}, {"expected_r": 0.01}, CAUSE):
        assert worth_of(pattern_statistics(**unknown)) is None


def test_facts_of_a_plan_are_numbered_through():
    piece = {"statistics": pattern_statistics(), "avoids": True, "hours": None}
    other = {"statistics": pattern_statistics(**CAUSE), "avoids": False, "hours": None}
    groups = plan_facts([piece, other])
    ids = [fact.id for group in groups for fact in group]
    assert ids == [f"E{i}" for i in range(1, len(ids) + 1)]
    assert [group[-1].kind for group in groups] == ["worth", "pace"]
