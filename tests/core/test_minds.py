"""What would have changed the mind of each cause: every cause has a sentence, every number in it is
a fact or a constant, and the cause does turn where the sentence says."""

from __future__ import annotations

import re
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from post_mortem.core import minds, wording
from post_mortem.core.calibration_table import DEFAULT
from post_mortem.core.causes import NAMED, news_shock, volatility_spike
from post_mortem.core.evidence import CauseNumbers, Evidence, Fact
from post_mortem.core.limits import least_strength, release_turning, turning
from post_mortem.core.measures import JUMP_R, JUMP_Z, MOVE_R, MOVE_Z, VOLATILITY_RATIO, ramp
from post_mortem.core.minds import Mind
from post_mortem.core.types import CAUSES, Status
from post_mortem.core.wording import build
from tests.core import simulate
from tests.core.test_causes_fire import SEEDS, context_of, findings
from tests.core.test_wording import LOST, SUBJECT, others, silent

Case = dict[str, Any]
_NUMBER = re.compile(r"\d[\d,.]*")
_NEEDED = re.compile(r"Would need .*?more than (-?[\d.]+).*?\(\D*?(\u2212?[\d.]+)")


def document(found: dict[str, CauseNumbers]) -> Evidence:
    return build(SUBJECT, LOST, list(found.values()))


def mind_of(found: dict[str, CauseNumbers], cause: str) -> Fact:
    evidence = document(found)
    views = (*evidence.ranked, *evidence.ruled_out, *evidence.unchecked)
    view = next(view for view in views if view.cause == cause)
    assert view.mind_id is not None, cause
    return evidence.by_id()[view.mind_id]


@pytest.fixture(scope="module")
def simulated() -> dict[str, tuple[Case, dict[str, CauseNumbers]]]:
    cases = {cause: simulate.make_case(SEEDS[cause], cause) for cause in simulate.CAUSES}
    return {cause: (case, findings(case)) for cause, case in cases.items()}


# --- every cause says something, of facts alone ---------------------------------------------------
def ungrounded(fact: Fact) -> list[str]:
    """Numbers of a sentence that no slot of it stands for."""
    text = fact.text
    for value in sorted(fact.slots.values(), key=len, reverse=True):
        if value != fact.text:
            text = text.replace(value, " ")
    return _NUMBER.findall(text)


@pytest.mark.parametrize("planted", simulate.CAUSES)
def test_every_cause_has_a_sentence_whose_numbers_are_slots(planted, simulated):
    evidence = document(simulated[planted][1])
    facts = evidence.by_id()
    for view in (*evidence.ranked, *evidence.ruled_out, *evidence.unchecked):
        assert view.mind_id is not None, view.cause
        fact = facts[view.mind_id]
        assert (fact.cause, fact.side, fact.kind) == (view.cause, "mind", f"{view.cause}.mind")
        assert ungrounded(fact) == [], fact.text
        assert "{" not in fact.text


@pytest.mark.parametrize("status", [Status.FIRED, Status.NOT_FIRED, Status.ABSTAINED])
def test_a_cause_without_a_single_fact_still_has_one(status):
    """A table whose last sentence needs a number would leave a cause silent."""
    for cause in CAUSES[:-1]:
        fired = status == Status.FIRED
        missing = ("news",) if status == Status.ABSTAINED else ()
        numbers = CauseNumbers(cause, status, 0.9, 0.9, 60, 1 if fired else 0, missing, {})
        unknown = CauseNumbers("unknown", 0, 0.1, 0.1, 12, 2 if fired else 1, (), {})
        evidence = build(SUBJECT, LOST, [numbers, unknown])
        views = (*evidence.ranked, *evidence.ruled_out, *evidence.unchecked)
        view = next(view for view in views if view.cause == cause)
        assert view.mind_id is not None, (cause, status)


def test_a_figure_of_its_own_would_be_seen(monkeypatch):
    """The check above, broken on purpose."""
    monkeypatch.setattr(
        wording, "FIRE", {**minds.FIRE, "news_shock": (Mind("Would count from 3 times as much"),)}
    )
    fact = mind_of({f.cause: f for f in [*others("x")]} | _unknown(), "news_shock")
    assert ungrounded(fact) == ["3"]


@pytest.mark.parametrize("table", [minds.RULE_OUT, minds.FIRE, minds.CHECK])
def test_no_sentence_is_written_with_a_figure(table):
    assert set(table) == set(CAUSES)
    for choices in table.values():
        for mind in choices:
            said = re.sub(r"\{[a-z_0-9]+\}", "", mind.text)
            assert not any(c.isdigit() for c in said), mind.text


def test_nothing_went_wrong_so_nothing_would_have_changed_it():
    quiet = _unknown(subtype=1)
    evidence = document({f.cause: f for f in others("unknown")} | quiet)
    texts = [fact.text for fact in evidence.facts if fact.side == "mind"]
    assert texts == ["A cause would be looked for had it lost, or gone 0.50 R against the entry"]


def _unknown(**facts: float) -> dict[str, CauseNumbers]:
    return {"unknown": CauseNumbers("unknown", Status.FIRED, 0.9, 0.9, 37, 1, (), facts)}


# --- it does turn there ---------------------------------------------------------------------------
def limit_of(numbers: CauseNumbers) -> float:
    """The limit of the sentence that is shown, before it is written."""
    for mind in wording._choices(numbers, quiet=False):
        if wording._mind(mind, numbers, SUBJECT) is not None:
            value = mind.limits["limit"][1](numbers)
            assert value is not None
            return value
    raise AssertionError(numbers.cause)


def fired(found: Any) -> bool:
    return bool(found.status[0] == Status.FIRED)


def test_a_news_shock_turns_at_its_jump(simulated):
    case, found = simulated["news_shock"]
    limit, context = limit_of(found["news_shock"]), context_of(case)

    def at(z: float) -> bool:
        jump = context.jump
        move = ramp(np.array([z]), *MOVE_Z) * ramp(jump.r, *MOVE_R)
        alone = ramp(np.array([z]), *JUMP_Z) * ramp(jump.r, *JUMP_R)
        sized = replace(jump, z=np.array([z]), strength=alone, move=move)
        changed = replace(context, jump=sized)
        return fired(news_shock.assess(changed))

    assert (at(limit - 0.01), at(limit + 0.01)) == (False, True)


@pytest.mark.parametrize("z", [3.0, 3.8])
def test_a_release_among_many_turns_no_lower_than_is_said(z: float) -> None:
    """Nearly all of the life lies near releases: what fires is the jump, and the limit is one that
    a release alone could not have backed."""
    size = 0.9
    alone = float(ramp(np.array(z), *JUMP_Z) * ramp(np.array(size), *JUMP_R))
    facts = {"jump_z": z, "jump_r": size, "impact": 2.0, "n_news_no_reaction": 9.0}
    posterior = float(DEFAULT.posterior("news_shock", np.array(alone)))
    numbers = CauseNumbers("news_shock", Status.NOT_FIRED, alone, posterior, 0, 0, (), facts)
    limit = release_turning(numbers)
    if not alone:
        assert limit is None or limit >= z
        return
    assert limit is not None
    reached = float(ramp(np.array(limit), *JUMP_Z))
    assert reached == pytest.approx(least_strength("news_shock"), abs=2e-3)


def test_a_volatility_spike_turns_at_its_rise(simulated):
    case, found = simulated["volatility_spike"]
    limit, context = limit_of(found["volatility_spike"]), context_of(case)

    def at(ratio: float) -> bool:
        rise = np.array([ratio])
        changed = replace(context.volatility, ratio=rise, strength=ramp(rise, *VOLATILITY_RATIO))
        return fired(volatility_spike.assess(replace(context, volatility=changed)))

    assert (at(limit - 0.005), at(limit + 0.005)) == (False, True)


def rewon(history: list[dict[str, Any]], wins: int, fits: Callable[[Any], bool]) -> None:
    """The first `wins` of the rows that count won, the rest lost."""
    counted = [row for row in history if fits(row)]
    for i, row in enumerate(counted):
        row["won"] = i < wins


@pytest.mark.parametrize("planted", ["model_error", "news_shock"])
def test_a_score_turns_with_the_wins_of_its_like(planted, simulated):
    """Counted the other way round: fired says at least so many, ruled out at most so many."""
    case, found = simulated[planted]
    numbers = found["model_error"]
    limit = round(limit_of(numbers))
    most = limit - 1 if numbers.status == Status.FIRED else limit
    score = case["signal"]["score"]

    def near(row: dict[str, Any]) -> bool:
        return abs(np.rint(row["score"]) - np.rint(score)) <= 10

    for wins, expected in ((most, Status.FIRED), (most + 1, Status.NOT_FIRED)):
        edited = deepcopy(case)
        rewon(edited["model_history"], wins, near)
        again = findings(edited)["model_error"]
        assert again.status == expected, (wins, again)


@pytest.mark.parametrize("planted", ["false_positive", "model_error"])
def test_a_setup_turns_with_its_own_wins(planted, simulated):
    case, found = simulated[planted]
    numbers = found["false_positive"]
    limit = round(limit_of(numbers))
    most = limit - 1 if numbers.status == Status.FIRED else limit
    (setup,) = case["signal"]["claimed_setups"]
    for wins, expected in ((most, Status.FIRED), (most + 1, Status.NOT_FIRED)):
        edited = deepcopy(case)
        rewon(edited["setup_history"], wins, lambda row: row["setup"] == setup)
        again = findings(edited)["false_positive"]
        assert again.status == expected, (wins, again)


def test_another_calibration_makes_only_the_foot_certain():
    """A posterior that does not follow from its strength was judged by other curves."""
    numbers = CauseNumbers(
        "news_shock", Status.FIRED, 0.8, 0.5, 70, 1, (), {"jump_z": 4.5, "jump_r": 0.9}
    )
    assert turning("jump_z", MOVE_Z)(numbers) == MOVE_Z[0]
    posterior = float(DEFAULT.posterior("news_shock", np.array(0.8)))
    known = replace(numbers, posterior=posterior)
    share = least_strength("news_shock") / 0.8 * (4.5 - MOVE_Z[0]) / (MOVE_Z[1] - MOVE_Z[0])
    expected = MOVE_Z[0] + share * (MOVE_Z[1] - MOVE_Z[0])
    assert turning("jump_z", MOVE_Z)(known) == pytest.approx(expected)


@pytest.mark.parametrize("others", [0.0, 0.2, 0.9, 0.9999])
def test_what_causes_share_is_no_other_calibration(others: float) -> None:
    """Beside others a posterior is smaller; that is not to be taken for another table's."""
    facts = {"jump_z": 4.5, "jump_r": 0.9}
    alone = float(DEFAULT.posterior("news_shock", np.array(0.8)))
    odds = alone / (1 - alone)
    shared = round(odds * (1 - others) / (1 + odds), 4)
    numbers = CauseNumbers("news_shock", Status.FIRED, 0.8, shared, 70, 1, (), facts, others)
    limit = turning("jump_z", MOVE_Z)(numbers)
    assert limit == turning("jump_z", MOVE_Z)(replace(numbers, posterior=alone, others=0.0))
    assert limit is not None
    assert limit > MOVE_Z[0]
    # More than is left for it, or far less while there was room, was another table's.
    more = replace(numbers, posterior=min(shared + 0.3, 1.0), strength=0.3, others=0.0)
    assert turning("jump_z", MOVE_Z)(more) == MOVE_Z[0]
    if others < 0.5:
        less = replace(numbers, posterior=shared / 3)
        assert turning("jump_z", MOVE_Z)(less) == MOVE_Z[0]


def test_a_needed_number_is_never_one_that_was_reached(simulated):
    """`Would need more than X (was Y)` only where Y is X or less."""
    for _, found in simulated.values():
        evidence = document(found)
        for fact in evidence.facts:
            match = _NEEDED.match(fact.text)
            if fact.side == "mind" and match:
                was = float(match[2].replace("\u2212", "-"))
                assert Decimal(match[1]) + Decimal("0.05") >= Decimal(str(was)), fact.text


def test_limits_are_the_causes_own_constants():
    found = {"news_shock": silent("news_shock", jump_z=1.5, jump_r=0.4)} | _unknown()
    assert f"more than {MOVE_Z[0]} times" in mind_of(found, "news_shock").text
    assert {cause.CAUSE for cause in NAMED} | {"unknown"} == set(minds.FIRE)
