"""What happened when: facts in order of time, placed on the bars that were read."""

from __future__ import annotations

from dataclasses import replace

import pytest

from post_mortem.core.evidence import CauseNumbers, Evidence
from post_mortem.core.seen import Hole, Pause, Release, Seen, Widening
from post_mortem.core.timeline import TITLES, bars_before_exit, offset
from post_mortem.core.types import CAUSES, ExitReason, Outcome, Status
from post_mortem.core.wording import build
from trading.core.types import NS_PER_MINUTE

from .test_wording import ENTRY, LOST, NEWS, SUBJECT, others

MINUTE = NS_PER_MINUTE
SEEN = Seen(
    mfe_time=ENTRY,
    mae_time=ENTRY + MINUTE,
    widening=Widening(ENTRY + MINUTE, 0.00042, 3.2),
    releases=(
        Release(7, ENTRY + MINUTE, "USD", "Payrolls 175K. <b>Buy</b> now!", 2),
        Release(8, ENTRY - 20 * MINUTE, "EUR", "PMI <i>", 1),
    ),
    outages=(Pause(ENTRY - MINUTE, ENTRY + 2 * MINUTE, "broker"),),
    hole=Hole(ENTRY + 2 * MINUTE, 3),
)


def told(document: Evidence) -> list[tuple[str, str]]:
    return [(event.title, event.offset) for event in document.events]


def test_events_are_facts_in_order_of_time():
    subject = replace(SUBJECT, seen=SEEN, signal_time=ENTRY - 30 * MINUTE)
    document = build(subject, LOST, [NEWS, *others("news_shock")])
    assert told(document) == [
        ("Signal", "\u221230 min"),
        ("Release", "\u221220 min"),
        ("Outage", "\u22121 min"),
        ("Entry", "at entry"),
        ("Best point", "at entry"),
        ("Release", "+1 min"),
        ("Jump", "+1 min"),
        ("Spread widens", "+1 min"),
        ("Worst point", "+1 min"),
        ("Stop", "+1 min"),
        ("Bars missing", "+2 min"),
    ]
    facts = document.by_id()
    for event in document.events:
        assert facts[event.fact.id] is event.fact
        assert event.time == event.fact.bar_time
    release = next(event for event in document.events if event.impact == 3)
    assert (release.fact.kind, release.fact.cause) == ("news_shock.release", "news_shock")


def test_what_a_reader_sees_leaves_the_numbers_of_facts_alone():
    """Stored narratives cite facts of the record: what candles add comes after them."""
    findings = [NEWS, *others("news_shock")]
    blind = build(SUBJECT, LOST, findings)
    seeing = build(replace(SUBJECT, seen=SEEN, signal_time=ENTRY - MINUTE), LOST, findings)
    before = [(fact.id, fact.text) for fact in blind.facts]
    assert [(fact.id, fact.text) for fact in seeing.facts][: len(before)] == before
    assert len(seeing.facts) > len(before)
    sides = [fact.side for fact in blind.facts]
    assert set(sides[sides.index("mind") :]) == {"mind"}


@pytest.mark.parametrize(
    ("reason", "title"),
    [
        (ExitReason.SL, "Stop"),
        (ExitReason.TP, "Target"),
        (ExitReason.TIME, "Horizon ends"),
        (ExitReason.MANUAL, "Exit"),
    ],
)
def test_the_exit_says_how(reason, title):
    price = SUBJECT.target_price if reason == ExitReason.TP else LOST.exit_price
    label = replace(LOST, exit_reason=reason, outcome=Outcome.SUCCEEDED, exit_price=price)
    document = build(SUBJECT, label, [])
    assert document.events[-1].title == title


def test_a_headline_stays_data():
    document = build(replace(SUBJECT, seen=SEEN), LOST, [])
    texts = [event.fact.text for event in document.events if event.impact]
    assert len(texts) == 2
    assert not any("<" in text for text in texts)


def test_a_spread_that_is_usual_is_no_event():
    seen = Seen(widening=Widening(ENTRY, 0.0001, 1.2))
    assert "Spread widens" not in dict(told(build(replace(SUBJECT, seen=seen), LOST, [])))


def test_an_earlier_loss_is_an_event_only_where_it_was_near():
    def of(minutes: float) -> list[str]:
        numbers = CauseNumbers(
            "user_psychology", Status.NOT_FIRED, 0, 0, 0, 0, (), {"minutes_since_loss": minutes}
        )
        unknown = CauseNumbers("unknown", Status.FIRED, 0.9, 0.9, 37, 1, (), {})
        return [title for title, _ in told(build(SUBJECT, LOST, [numbers, unknown]))]

    assert of(12.0)[0] == "Earlier loss"
    assert "Earlier loss" not in of(200.0)


def test_bars_are_counted_over_holes():
    """Three bars up to the exit, one of the minutes between them not stored."""
    bars = (ENTRY, ENTRY + MINUTE, ENTRY + 3 * MINUTE)
    subject = replace(SUBJECT, bars=bars)
    assert bars_before_exit(subject, ENTRY + 3 * MINUTE, 3) == ENTRY
    assert bars_before_exit(subject, ENTRY + 3 * MINUTE, 1) == ENTRY + 3 * MINUTE
    # Without bars only the clock is known.
    assert bars_before_exit(SUBJECT, ENTRY + 3 * MINUTE, 3) == ENTRY + MINUTE
    assert bars_before_exit(SUBJECT, None, 3) is None


@pytest.mark.parametrize(
    ("ns", "words"),
    [(0, "at entry"), (5 * MINUTE, "+5 min"), (-125 * MINUTE, "\u22122 h 5 min")],
)
def test_offsets(ns, words):
    assert offset(ns) == words


def test_titles_name_kinds_of_known_causes():
    for kind in TITLES:
        first = kind.split(".")[0]
        assert "." not in kind or first == "event" or first in CAUSES
