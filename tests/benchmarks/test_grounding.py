"""Of answers that lie nothing false is shown, and the auditor would see it if it were."""

from __future__ import annotations

import random

import pytest

from benchmarks import _lies, grounding
from benchmarks._bundles import make_bundle
from post_mortem.core.grounding import SLOT


def test_no_lie_is_shown_and_no_honest_sentence_is_lost(capsys):
    result = grounding.main(["--quick"])
    for key in ("ungrounded_shown", "unknown_citations", "contradictions", "live_markup"):
        assert result[key] == 0, result["examples_shown"]
    assert result["other_lies_shown"] == 0
    assert result["false_alarm"] <= 0.01
    assert result["false_alarm_narrator"] == 0
    assert result["baseline"]["passed"] > 0


@pytest.mark.parametrize("name", sorted(_lies.ALL))
def test_the_auditor_sees_every_lie_when_nothing_is_removed(name, monkeypatch):
    """Without the checks, each kind of lie is counted: the benchmark could fail."""
    rng, tally = random.Random(5), grounding.Tally()
    shown = []
    for seed in range(20):
        bundle = make_bundle(seed)
        text, parts = _lies.ALL[name](rng, bundle)
        facts = bundle.evidence.by_id()
        rendered = SLOT.sub(lambda m, facts=facts: facts[m[1]].slots.get(m[2], m[0]), text)
        shown.append(rendered)
        grounding._audit([rendered], [(name, parts)], bundle, tally)
    seen = (
        tally.ungrounded_shown
        + tally.unknown_citations
        + tally.contradictions
        + tally.live_markup
        + tally.other_lies_shown
    )
    assert seen > 0, shown


@pytest.mark.parametrize(
    ("sentence", "seen"),
    [
        ("It came to 1230 [E1].", True),
        ("It came to 12.30 [E1].", True),
        ("It came to 12% [E1].", True),
        ("It came to 12 percent [E1].", True),
        ("It came to -12 [E1].", True),
        ("It came to 12k [E1].", True),
        ("It came to 12e30 [E1].", True),
        ("It came to 12 [E1].30.", True),
        ("It came to 12[E1]30.", True),
        ("Of 30 it won 12 (30 to 12), 12 [E1].", False),
        ("It won 12 [E1]; 30 were made [E1].", False),
    ],
)
def test_the_auditor_sees_figures_that_were_put_together(sentence, seen):
    assert grounding._numbers_left(sentence, ["12", "30"]) is seen
