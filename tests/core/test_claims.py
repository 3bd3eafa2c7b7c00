"""A sound number in a false sentence is not shown; a true sentence is."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from post_mortem.core.answers import inspect, settle
from post_mortem.core.claims import Ground, check_claims
from post_mortem.core.types import ExitReason, Outcome


@dataclass(frozen=True)
class Item:
    id: str
    kind: str = ""
    slots: dict[str, str] = field(default_factory=dict)


FACTS = {
    "E1": Item("E1", "result", {"r": "\u22121.00 R", "r_abs": "1.00 R"}),
    "E2": Item("E2", "exit", {"price": "1.38"}),
    "E3": Item("E3", "stop", {"price": "1.38"}),
    "E4": Item("E4", "entry", {"price": "1.39"}),
}
LOSER = Ground(FACTS, Outcome.FAILED, ExitReason.SL, 1, ("news_shock",), ("k9x",))
WINNER = Ground(FACTS, Outcome.SUCCEEDED, ExitReason.TP, -1)
TIMED = Ground(FACTS, Outcome.FAILED, ExitReason.TIME, 1)


@pytest.mark.parametrize(
    ("text", "ground", "code"),
    [
        ("The trade was a winner.", LOSER, "says_won"),
        ("It closed with a profit of {{E1.r}} [E1].", LOSER, "says_won"),
        ("No doubt the trade won.", LOSER, "says_won"),
        ("Unlike earlier trades this one won.", LOSER, "says_won"),
        ("The target was reached.", LOSER, "says_target"),
        ("It hit its target, which was not obvious.", LOSER, "says_target"),
        ("The trade lost {{E1.r_abs}} [E1].", WINNER, "says_lost"),
        ("It was stopped out.", WINNER, "says_stopped"),
        ("The stop was hit at once.", TIMED, "says_stopped"),
        ("The short position ran into trouble.", LOSER, "says_short"),
        ("It went long too late.", WINNER, "says_long"),
        ("A volatility spike pushed it down.", LOSER, "cause_not_found"),
        ("The stop at {{E4.price}} was too near [E4].", LOSER, "wrong_noun"),
        ("Withdraw the rest.", LOSER, "forbidden_advice"),
        ("The pair will rally.", LOSER, "forbidden_advice"),
        ("The word is k9x.", LOSER, "secret"),
    ],
)
def test_false_claims_are_found(text, ground, code):
    assert code in {v.code for v in check_claims(text, ground)}


@pytest.mark.parametrize(
    ("text", "ground"),
    [
        ("The trade was stopped out at {{E2.price}} [E2].", LOSER),
        ("It lost {{E1.r_abs}} [E1].", LOSER),
        ("The target was not reached.", LOSER),
        ("With a wider stop it would have won.", LOSER),
        ("Such trades won more often than they lost.", LOSER),
        ("It came close to its stop on the way.", WINNER),
        ("The plan was carried through to its target.", WINNER),
        ("The target was reached quickly.", WINNER),
        ("Had the stop been wider the target might have been reached.", LOSER),
        ("It never hit its stop.", TIMED),
        ("The long position met a news shock.", LOSER),
        ("Volatility spike and regime drift were ruled out.", LOSER),
        ("Spread and slippage could not be checked.", LOSER),
        ("The stop at {{E3.price}} was reached [E3].", LOSER),
    ],
)
def test_true_sentences_pass(text, ground):
    assert check_claims(text, ground) == []


def test_a_text_about_no_single_trade_is_not_held_to_a_label():
    assert check_claims("These trades lost more than they won.", Ground(FACTS)) == []


ANSWER = {
    "performance_analysis": {
        "overall_evaluation": "Stopped out for {{E1.r}} [E1]. It lost 3 R [E1].",
        "strengths": [],
        "weaknesses": ["It doubled its risk [E1]."],
    },
    "exit_analysis": {"summary": "Exit at {{E2.price}} [E2].", "what_the_evidence_shows": []},
    "primary_factors": [{"cause": "news_shock", "explanation": "News moved it."}],
}
FALLBACK = {
    "performance_analysis": {"overall_evaluation": "from code"},
    "primary_factors": [{"cause": "news_shock", "explanation": "from code"}],
    "entry_analysis": {"summary": "from code"},
}


def test_offending_sentences_are_dropped_and_emptied_sections_replaced():
    settled = settle(ANSWER, FALLBACK, LOSER, ("entry_analysis",))
    performance = settled.narrative["performance_analysis"]
    assert performance["overall_evaluation"] == "Stopped out for {{E1.r}} [E1]."
    assert performance["weaknesses"] == []
    assert settled.removed == 2
    assert settled.narrative["exit_analysis"] == ANSWER["exit_analysis"]
    assert settled.replaced == ("primary_factors", "entry_analysis")
    assert settled.narrative["primary_factors"] == FALLBACK["primary_factors"]
    assert {f.violation.code for f in settled.found} == {"digit", "number_word", "uncited_sentence"}


def test_what_was_settled_has_nothing_left_to_find():
    settled = settle(ANSWER, {}, LOSER)
    kept = {k: v for k, v in settled.narrative.items() if v is not None}
    assert inspect(kept, LOSER) == []


def test_codes_are_not_prose():
    assert inspect({"a": {"kind": "wider_stop_2", "cause": "x9"}}, LOSER) == []
