"""Facts in words, the document they make, and the narrator that cites them."""

from __future__ import annotations

import re
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from post_mortem.core.advice import advice_key, suggest
from post_mortem.core.answers import inspect
from post_mortem.core.causes import FACTS
from post_mortem.core.claims import Ground
from post_mortem.core.evidence import CauseNumbers, LabelNumbers, Subject, quoted
from post_mortem.core.grounding import check
from post_mortem.core.types import CAUSES, ExitReason, Flag, Outcome, Status
from post_mortem.core.wording import build
from post_mortem.services.narratives import fill, success_score
from post_mortem.services.narrator import narrate
from trading.core.types import NS_PER_MINUTE

ENTRY = 1399033740 * 10**9  # 2014-05-02 12:29 UTC
SUBJECT = Subject(
    symbol="EURUSD",
    side=1,
    horizon="TRADE",
    timeframe="1m",
    strategy="breakout",
    point=Decimal("0.00001"),
    pip=Decimal("0.0001"),
    has_pip=True,
    entry_time=ENTRY,
    entry_price=1.38626,
    stop_price=1.38476,
    target_price=1.38926,
    net_pnl=-164.0,
    currency="USD",
    news={7: (ENTRY + NS_PER_MINUTE, "USD", "Payrolls 175K. <b>Buy</b> now!")},
    bar_ns=NS_PER_MINUTE,
)
LOST = LabelNumbers(
    outcome=Outcome.FAILED,
    shadow_outcome=0,
    exit_reason=ExitReason.SL,
    exit_time=ENTRY + NS_PER_MINUTE,
    exit_price=1.38462,
    pips=-16.4,
    pnl_pct=-0.118,
    r=-1.093,
    mfe_r=0.1,
    mae_r=1.21,
    drawdown_r=1.3,
    mfe_pips=1.5,
    mae_pips=18.1,
    coverage=1.0,
    flags=0,
)
NEWS = CauseNumbers(
    cause="news_shock",
    status=Status.FIRED,
    strength=0.9,
    posterior=0.87,
    confidence=80,
    rank=1,
    missing=(),
    facts={
        "event_key": 7,
        "impact": 2,
        "dt_min": 0.0,
        "jump_z": 6.1,
        "jump_r": 0.94,
        "jump_bar": 1,
    },
)


def silent(cause: str, **facts: float) -> CauseNumbers:
    return CauseNumbers(cause, Status.NOT_FIRED, 0.0, 0.05, 0, 0, (), facts)


def others(*names: str) -> list[CauseNumbers]:
    return [silent(name) for name in CAUSES if name not in names]


def test_the_first_sentence_and_what_did_it():
    document = build(SUBJECT, LOST, [NEWS, *others("news_shock")])
    assert document.verdict == "Stopped out after 1 min: \u22121.09 R."
    assert document.detail == (
        "A scheduled release moved the market against the trade. A move of 0.94 R against the "
        "trade in one bar, 6.1 times the usual size."
    )
    assert [fact.id for fact in document.facts] == [
        f"E{i}" for i in range(1, len(document.facts) + 1)
    ]
    top = document.ranked[0]
    assert (top.cause, top.word, top.confidence) == ("news_shock", "strong", 80)
    jump = document.by_id()[top.for_ids[0]]
    assert jump.bar_time == ENTRY + NS_PER_MINUTE


def test_a_headline_is_data():
    document = build(SUBJECT, LOST, [NEWS])
    release = document.first("news_shock.release")
    assert "Payrolls 175K" in release.text
    assert "<" not in release.text
    assert quoted("a\u202e<script>{{7*7}}[E1]. Next") == "a script7*7E1, Next"


def test_a_missing_feed_is_not_ruled_out():
    numbers = CauseNumbers("news_shock", Status.ABSTAINED, 0, 0, 0, 0, ("news",), {})
    unknown = CauseNumbers("unknown", Status.FIRED, 0.9, 0.9, 37, 1, ("news",), {"subtype": 2})
    document = build(SUBJECT, LOST, [numbers, unknown])
    assert [view.cause for view in document.unchecked] == ["news_shock"]
    assert document.ruled_out == ()
    story = narrate(SUBJECT, LOST, document, [])
    assert story["insufficient_evidence"] == [
        "News shock could not be checked: no calendar covers this time, which is not the same "
        "as no news."
    ]


@pytest.mark.parametrize(
    ("label", "sentence"),
    [
        (LOST, "Stopped out after 1 min: \u22121.09 R."),
        (replace(LOST, r=None), "Stopped out after 1 min: \u221216.4 pips."),
        (
            replace(LOST, flags=int(Flag.AMBIGUOUS)),
            "Stop and target lie in one bar. Counted as the stop: \u22121.09 R.",
        ),
        (
            replace(
                LOST,
                outcome=Outcome.SUCCEEDED,
                exit_reason=ExitReason.TP,
                r=1.8,
                mae_r=0.42,
                exit_price=1.38926,
            ),
            "Target reached in 1 min: +1.80 R. Heat: 0.42 R.",
        ),
        (
            replace(LOST, outcome=Outcome.NEUTRAL, exit_reason=ExitReason.TIME, r=0.04),
            "Closed flat after 1 min: +0.04 R.",
        ),
        (
            replace(LOST, outcome=Outcome.NEEDS_REVIEW, flags=int(Flag.NO_DATA)),
            "Not judged: no candles are stored for this time.",
        ),
        (
            replace(LOST, outcome=Outcome.PENDING),
            "Open: the stored candles do not reach the end of its horizon.",
        ),
    ],
)
def test_verdicts(label, sentence):
    assert build(SUBJECT, label, []).verdict == sentence


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"outcome": Outcome.SUCCEEDED, "r": 0.7},
            "Closed with a gain by a moved stop after 1 min: +0.70 R.",
        ),
        (
            {"r": 0.7},
            "Its first stop was reached, it was held on and closed after 1 min: +0.70 R.",
        ),
        (
            {"r": -0.4, "exit_price": 1.38566},
            "Closed with a loss short of its first stop after 1 min: \u22120.40 R.",
        ),
        (
            {"outcome": Outcome.SUCCEEDED, "exit_reason": ExitReason.TP, "r": 0.7},
            "Its target was reached or moved, and it was closed short of it after 1 min: +0.70 R.",
        ),
        (
            {"exit_reason": ExitReason.TP, "r": -0.1},
            "Closed with a loss by a moved target after 1 min: \u22120.10 R.",
        ),
    ],
)
@pytest.mark.parametrize("side", [1, -1])
def test_a_level_that_the_exit_price_is_not_at_did_not_end_a_trade(changes, sentence, side):
    """At 1.38731, above the entry at 1.38626; a short is the same upside down."""
    label = replace(LOST, **({"exit_price": 1.38731} | changes))
    subject = replace(SUBJECT, horizon="TRADE")
    if side < 0:
        turned = {n: 3 - getattr(subject, n) for n in ("entry_price", "stop_price", "target_price")}
        subject = replace(subject, side=-1, **turned)
        label = replace(label, exit_price=3 - label.exit_price)
    document = build(subject, label, [])
    assert document.verdict == sentence
    told = (
        document.first("exit").text
        + fill(narrate(subject, label, document, []), document.by_id())["performance_analysis"][
            "overall_evaluation"
        ]
    )
    assert "by the stop" not in told
    assert "reached" not in told
    at_stop = replace(label, exit_reason=ExitReason.SL, exit_price=subject.stop_price, r=-1.0)
    assert build(subject, at_stop, []).verdict == "Stopped out after 1 min: \u22121.00 R."


def test_the_narrative_is_filled_from_cited_facts():
    findings = [NEWS, *others("news_shock")]
    document = build(SUBJECT, LOST, findings)
    slotted = narrate(SUBJECT, LOST, document, suggest(SUBJECT, LOST, findings))
    story = fill(slotted, document.by_id())
    assert story["performance_analysis"]["overall_evaluation"].startswith(
        "The stop was reached after 1 min, for \u22121.09 R ["
    )
    factor = story["primary_factors"][0]
    assert (factor["cause"], factor["rank"], factor["confidence"]) == ("news_shock", 1, 80)
    opportunity = story["improvement_opportunities"][0]
    assert opportunity["kind"] == "news_blackout"
    assert opportunity["scope"] == {"currency": "USD", "impact": "high"}


def test_the_same_advice_has_the_same_key_whatever_the_order():
    assert advice_key("a", "b", {"x": "1", "y": "2"}) == advice_key("a", "b", {"y": "2", "x": "1"})
    assert advice_key("a", "b", {"x": "1"}) != advice_key("a", "b", {"x": "2"})


def test_a_weak_cause_suggests_nothing():
    weak = replace(NEWS, posterior=0.3)
    assert suggest(SUBJECT, LOST, [weak]) == []


@pytest.mark.parametrize(("r", "score"), [(None, None), (0, 50), (-5, 0), (2, 100), (-1, 25)])
def test_success_score(r, score):
    assert success_score(r) == score


numbers = st.floats(-50, 50, allow_nan=False)


@st.composite
def finding(draw, cause: str) -> CauseNumbers:
    facts = {}
    for spec in FACTS[cause]:
        if draw(st.booleans()):
            facts[spec.key] = (
                float(draw(st.integers(0, max(0, len(spec.choices) - 1))))
                if spec.unit == "code"
                else draw(numbers)
            )
    fired = draw(st.booleans())
    return CauseNumbers(
        cause,
        Status.FIRED if fired else draw(st.sampled_from([Status.NOT_FIRED, Status.ABSTAINED])),
        draw(st.floats(0, 1)),
        draw(st.floats(0, 1)),
        draw(st.integers(0, 85)),
        CAUSES.index(cause) + 1 if fired else 0,
        () if fired else draw(st.sampled_from([(), ("news",), ("spread", "fills")])),
        facts,
    )


@given(st.tuples(*(finding(cause) for cause in CAUSES)), st.sampled_from(list(Outcome)))
@settings(max_examples=150, deadline=None)
def test_the_narrator_never_fails_its_own_check(findings, outcome):
    label = replace(LOST, outcome=outcome)
    document = build(SUBJECT, label, findings)
    slotted = narrate(SUBJECT, label, document, suggest(SUBJECT, label, findings))
    story = fill(slotted, document.by_id())
    assert story.keys() == slotted.keys()
    causes = tuple(view.cause for view in document.ranked)
    ground = Ground(document.by_id(), outcome, label.exit_reason, SUBJECT.side, causes)
    assert inspect(slotted, ground) == []


@pytest.mark.parametrize(("named", "told"), [("USD", "USD"), ("MDL", "any"), ("XXX", "any")])
def test_a_currency_that_reads_as_a_number_is_not_named(named, told):
    subject = replace(SUBJECT, news={7: (ENTRY, named, "Rate decision")})
    (advice, *_) = suggest(subject, LOST, [NEWS])
    assert advice.scope["currency"] == told
    assert check(advice.suggestion, {}) == []


NO_STOP = replace(SUBJECT, stop_price=None, target_price=None)
WITHOUT_R = replace(
    LOST, r=None, mfe_r=None, mae_r=None, drawdown_r=None, flags=int(Flag.RISK_FROM_ATR)
)


def test_without_an_initial_stop_no_size_is_told_in_r():
    noisy = silent("volatility_spike", v_star=2.0, stop_in_sigma=0.7)
    costs = replace(
        silent("spread_slippage", paper_r=-0.4, actual_r=-1.0, cost_r=0.6, best_cause=0),
        status=Status.FIRED, rank=2, posterior=0.3,
    )  # fmt: skip
    findings = [NEWS, noisy, costs, *others("news_shock", "volatility_spike", "spread_slippage")]
    document = build(NO_STOP, WITHOUT_R, findings)
    told = [fact.text for fact in document.facts]
    assert any("A move of 1.4 average ranges against the trade" in text for text in told)
    assert any("it would have made \u22120.6 average ranges" in text for text in told)
    assert not any(re.search(r"\d R\b|The risk was", text) for text in told)
    # With a stop the same numbers are R.
    assert any("0.94 R" in fact.text for fact in build(SUBJECT, LOST, findings).facts)


def overall(subject: Subject, label: LabelNumbers) -> str:
    document = build(subject, label, [NEWS])
    story = narrate(subject, label, document, [])
    facts = {fact.id: fact for fact in document.facts}
    return str(fill(story, facts)["performance_analysis"]["overall_evaluation"]) + str(
        fill(story, facts)["decision_analysis"]["summary"]
    )


def test_a_trade_of_which_only_the_final_stop_is_known():
    final = replace(NO_STOP, stop_final=1.38462)
    label = replace(WITHOUT_R, exit_reason=ExitReason.MANUAL)
    said = overall(final, label)
    assert "It left at its final stop after 1 min, with a loss of \u22120.12 %" in said
    assert "Only its final stop is known, not the initial one" in said
    assert "Neither level" not in said
    assert "named no stop" not in said
    elsewhere = overall(replace(final, stop_final=1.3840), label)
    assert "The trade closed after 1 min with a loss" in elsewhere
    assert "The plan named no stop" in overall(NO_STOP, label)


def test_a_price_that_cannot_be_is_said_first():
    label = replace(LOST, flags=int(Flag.ENTRY_OUTSIDE_CANDLE | Flag.FAR_OUTSIDE_CANDLE))
    document = build(SUBJECT, label, [NEWS])
    assert document.verdict.startswith("Check its prices, one lies far outside its candle. ")
    near = replace(LOST, flags=int(Flag.ENTRY_OUTSIDE_CANDLE))
    assert build(SUBJECT, near, [NEWS]).verdict == build(SUBJECT, LOST, [NEWS]).verdict


def test_an_entry_without_a_timeframe_names_no_bars():
    subject = replace(SUBJECT, timeframe="")
    document = build(subject, LOST, [NEWS])
    facts = {fact.id: fact for fact in document.facts}
    told = fill(narrate(subject, LOST, document, []), facts)["entry_analysis"]["summary"]
    assert told.startswith("EURUSD long at 1.38626 [")
