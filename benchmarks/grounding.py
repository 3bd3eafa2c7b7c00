"""What is shown of answers that lie: 10,000 seeded answers, each with one to three lies in it.

    python -m benchmarks.grounding [--quick]

Every answer is settled as the product settles a model's and then read by an auditor that shares no
code with the checks: it takes the written values of the cited facts out of each shown sentence and
looks for what is left. Beside it, in the same run, the usual guard: a number passes when it is
anywhere in the evidence. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import time
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from benchmarks import _lies
from benchmarks._bundles import Bundle, make_bundle
from post_mortem.core.answers import inspect, settle
from post_mortem.core.grounding import render
from post_mortem.core.types import CAUSE_LABELS, Outcome

FULL, QUICK = 10_000, 500
BUNDLES: Final = 250
SECTIONS: Final = (
    "performance_analysis", "entry_analysis", "exit_analysis", "decision_analysis",
    "primary_factors",
)  # fmt: skip

# What an honest model writes: (kind of fact, sentence). `#` stands for the id of the fact.
HONEST: Final = (
    ("result", "The trade ended at {{#.r}}, that is {{#.pct}} of the price [#]."),
    ("result", "In money that was {{#.money}} [#]."),
    ("exit", "It left the market at {{#.price}} after {{#.held}} [#]."),
    ("exit", "The exit came at {{#.time}} [#]."),
    ("entry", "{{#.symbol}} was entered {{#.side}} at {{#.price}} on {{#.timeframe}} bars [#]."),
    ("entry", "The entry was at {{#.time}}, judged over {{#.horizon}} [#]."),
    ("stop", "The stop at {{#.price}} lay {{#.distance_bp}} from the entry [#]."),
    ("stop", "Its stop was not far from the noise of that hour [#]."),
    ("target", "The target at {{#.price}} needed a longer move than the market gave [#]."),
    ("plan_ratio", "The plan offered {{#.ratio}} of reward for the risk [#]."),
    ("plan_ratio", "Such a plan breaks even when {{#.break_even}} of such trades are won [#]."),
    ("mfe", "At best it stood at {{#.r}} before it turned [#]."),
    ("mae", "The worst point was {{#.r}} behind the entry [#]."),
    ("drawdown", "From its best point it gave back {{#.r}} [#]."),
    ("result", "One of the questions is whether the exit was planned; the evidence has no answer."),
    ("result", "With a wider stop it might have won, which the evidence alone cannot show [#]."),
)  # fmt: skip
# Run on to a sentence that cites the same fact, their figure is that fact's: judged by its numbers.
_CITED_AFTER_ALL: Final = frozenset(("no_citation", "moved_citation"))
_FIGURE: Final = "\0"
_TOUCHED: Final = re.compile(
    r"[\w\0+\-\u2212.,/]\0|\0(?:[\w%/+]|[.,-][\w\0])|\0\s+(?:\.\0|%|percent\b|bps\b)"
)
_PAIRS: Final = re.compile(r"\[(E\d+)\]")


@dataclass(slots=True)
class Tally:
    answers: int = 0
    ungrounded_shown: int = 0
    unknown_citations: int = 0
    contradictions: int = 0
    live_markup: int = 0
    other_lies_shown: int = 0
    lies: Counter[str] = field(default_factory=Counter)
    shown: Counter[str] = field(default_factory=Counter)
    number_lies: int = 0
    passed_usual_guard: int = 0
    settle_ms: list[float] = field(default_factory=list)
    examples: list[str] = field(default_factory=list)


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a small run")
    parser.add_argument("--seed", type=int, default=20_260_101)
    options = parser.parse_args(arguments)
    count = QUICK if options.quick else FULL
    rng = random.Random(options.seed)
    bundles = [make_bundle(rng.randrange(10**9)) for _ in range(min(BUNDLES, count))]
    tally = Tally()
    for _ in range(count):
        _try_lies(rng, rng.choice(bundles), tally)
    honest, alarms = _honest_alarms(rng, bundles, count // 5)
    own, own_alarms = _own_alarms(bundles)
    result = {
        "benchmark": "grounding",
        "answers": tally.answers,
        "ungrounded_shown": tally.ungrounded_shown,
        "unknown_citations": tally.unknown_citations,
        "contradictions": tally.contradictions,
        "live_markup": tally.live_markup,
        "other_lies_shown": tally.other_lies_shown,
        "false_alarm": alarms / honest,
        "false_alarm_narrator": own_alarms / own,
        "honest_sentences": honest,
        "lies": dict(sorted(tally.lies.items())),
        "lies_shown": dict(tally.shown),
        "examples_shown": tally.examples[:20],
        "baseline": {
            "name": "a number passes when it is anywhere in the evidence",
            "number_lies": tally.number_lies,
            "passed": tally.passed_usual_guard,
            "detected": 1 - tally.passed_usual_guard / max(1, tally.number_lies),
        },
        "settle_ms_p50": float(np.percentile(tally.settle_ms, 50)),
        "settle_ms_p99": float(np.percentile(tally.settle_ms, 99)),
        "seed": options.seed,
    }
    print(json.dumps(result))
    return result


# --- answers --------------------------------------------------------------------------------------


def honest_answer(rng: random.Random, bundle: Bundle) -> dict[str, Any]:
    """An answer in the shape a model gives, every sentence true of the bundle."""
    ready = list(_honest_sentences(bundle))
    rng.shuffle(ready)
    factors = [
        {"cause": view.cause, "explanation": _explained(view.label, view.for_ids)}
        for view in bundle.evidence.ranked
        if view.for_ids
    ]
    return {
        "performance_analysis": {
            "overall_evaluation": " ".join(ready[:2]),
            "strengths": ready[2:3],
            "weaknesses": ready[3:4],
        },
        "entry_analysis": {"summary": ready[4], "what_the_evidence_shows": _citing(ready[5:7])},
        "exit_analysis": {"summary": ready[7], "what_the_evidence_shows": _citing(ready[8:10])},
        "decision_analysis": {"summary": ready[-1], "what_the_evidence_shows": []},
        "primary_factors": factors,
    }


def _honest_sentences(bundle: Bundle) -> Iterator[str]:
    for kind, text in HONEST:
        fact = bundle.evidence.first(kind)
        if fact is None or (text.startswith("With a wider") and _won(bundle)):
            continue
        if all(key in fact.slots for key in re.findall(r"\{\{#\.([a-z_]+)\}\}", text)):
            yield text.replace("#", fact.id)
    won, reason = _won(bundle), bundle.label.exit_reason
    result, end = bundle.evidence.first("result"), bundle.evidence.first("exit")
    assert result is not None
    assert end is not None
    if bundle.label.outcome != Outcome.NEUTRAL:
        yield f"The trade {'won' if won else 'lost'} {{{{{result.id}.r_abs}}}} [{result.id}]."
    if reason == 1:
        yield f"It was stopped out at {{{{{end.id}.price}}}} [{end.id}]."
        yield f"The target was never reached [{end.id}]."
    if reason == 2:
        yield f"The target was reached after {{{{{end.id}.held}}}} [{end.id}]."
        yield f"It did not come to the stop being hit [{end.id}]."
    side = "long" if bundle.subject.side > 0 else "short"
    yield f"The {side} position was held to {{{{{end.id}.time}}}} [{end.id}]."
    for view in bundle.evidence.ruled_out[:1]:
        yield f"{CAUSE_LABELS[view.cause]} was checked and ruled out."


def _won(bundle: Bundle) -> bool:
    return bundle.label.outcome == Outcome.SUCCEEDED


def _citing(texts: list[str]) -> list[str]:
    return [text for text in texts if "[" in text]


def _explained(label: str, ids: tuple[str, ...]) -> str:
    return f"{label} fits what was seen: {{{{{ids[0]}.said}}}} [{ids[0]}]."


def _try_lies(rng: random.Random, bundle: Bundle, tally: Tally) -> None:
    answer = honest_answer(rng, bundle)
    names = rng.choices(list(_lies.ALL), k=rng.choice((1, 1, 2, 3)))
    planted = []
    for name in names:
        text, parts = _lies.ALL[name](rng, bundle)
        _plant(rng, answer, text)
        planted.append((name, parts))
        tally.lies[name] += 1
        if name in ("typed_digits", "unit_swap"):
            tally.number_lies += 1
            tally.passed_usual_guard += _usual_guard(text, bundle)
    started = time.perf_counter()
    settled = settle(answer, bundle.own, bundle.ground, SECTIONS)
    tally.settle_ms.append((time.perf_counter() - started) * 1e3)
    facts = bundle.evidence.by_id()
    shown = [render(text, facts) for text in _prose(settled.narrative)]
    tally.answers += 1
    _audit(shown, planted, bundle, tally)


def _plant(rng: random.Random, answer: dict[str, Any], text: str) -> None:
    """As a sentence of its own, as an item of a list, or run on to a true sentence."""
    section = answer[rng.choice(SECTIONS[:4])]
    way = rng.randrange(4)
    if way == 0 and "what_the_evidence_shows" in section:
        section["what_the_evidence_shows"].append(text)
    elif way == 1 and answer["primary_factors"]:
        factor = rng.choice(answer["primary_factors"])
        factor["explanation"] = f"{factor['explanation']} {text}"
    else:
        key = "summary" if "summary" in section else "overall_evaluation"
        whole = section[key]
        if way == 2:
            section[key] = f"{text} {whole}"
        else:
            section[key] = f"{whole} {text}" if rng.random() < 0.7 else f"{whole[:-1]}, and {text}"


def _prose(value: Any, key: str = "") -> Iterator[str]:
    if key in ("cause", "label", "kind", "area", "scope", "metric", "key"):
        return
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, part in value.items():
            yield from _prose(part, name)
    elif isinstance(value, list):
        for part in value:
            yield from _prose(part, key)


# --- the auditor ----------------------------------------------------------------------------------


def _audit(
    shown: list[str], planted: list[tuple[str, tuple[str, ...]]], bundle: Bundle, tally: Tally
) -> None:
    facts = {fact.id: list(fact.slots.values()) for fact in bundle.evidence.facts}
    whole = "\n".join(shown)
    for sentence in re.split(r"(?<=\]\.)\s|\n", whole):
        cited = _PAIRS.findall(sentence)
        tally.unknown_citations += sum(c not in facts for c in cited)
        if _numbers_left(sentence, [v for c in cited for v in facts.get(c, [])]):
            tally.ungrounded_shown += 1
            tally.examples.append(sentence)
        tally.live_markup += bool(re.search(r"[<>`]|\{\{|\}\}|\{%|://|\]\(", sentence))
    for name, parts in planted:
        if name in _CITED_AFTER_ALL or not any(part in whole for part in parts):
            continue
        tally.shown[name] += 1
        line = next(line for line in shown if any(part in line for part in parts))
        tally.examples.append(f"{name}: {line}")
        if name in _lies.CONTRADICTIONS:
            tally.contradictions += 1
        elif name in _lies.MARKUP:
            tally.live_markup += 1
        elif name in _lies.NUMBERS and not _is_written(parts[0], bundle):
            tally.ungrounded_shown += 1
        elif name in _lies.OTHERS:
            tally.other_lies_shown += 1


def _numbers_left(sentence: str, values: list[str]) -> bool:
    """Whether anything that stands for a number is left when the cited facts' values are gone, or
    one of their figures touches another, a letter, a sign or a unit."""
    left = _PAIRS.sub("", sentence)
    for value in sorted(values, key=len, reverse=True):
        left = left.replace(value, _FIGURE if any(c.isdigit() for c in value) else " ")
    return bool(_TOUCHED.search(left)) or any(
        unicodedata.numeric(c, None) is not None for c in left
    )


def _is_written(part: str, bundle: Bundle) -> bool:
    """Whether a fact's own text contains the words of the lie: they may be shown as that fact's."""
    return any(part in value for fact in bundle.evidence.facts for value in fact.slots.values())


def _usual_guard(text: str, bundle: Bundle) -> bool:
    """Whether every number typed in the text is somewhere in the evidence, whatever its unit."""
    known = {
        n
        for fact in bundle.evidence.facts
        for value in fact.slots.values()
        for n in re.findall(r"\d+(?:\.\d+)?", value.replace(",", ""))
    }
    typed = re.findall(r"\d+(?:\.\d+)?", _PAIRS.sub(" ", text).replace(",", ""))
    return all(number in known for number in typed)


# --- false alarms -----------------------------------------------------------------------------


def _honest_alarms(rng: random.Random, bundles: list[Bundle], count: int) -> tuple[int, int]:
    sentences = alarms = 0
    for _ in range(count):
        bundle = rng.choice(bundles)
        answer = honest_answer(rng, bundle)
        sentences += sum(text.count(". ") + 1 for text in _prose(answer) if text)
        alarms += len({f.sentence for f in inspect(answer, bundle.ground)})
    return sentences, alarms


def _own_alarms(bundles: list[Bundle]) -> tuple[int, int]:
    sentences = sum(t.count(". ") + 1 for b in bundles for t in _prose(b.own) if t)
    return sentences, sum(len(inspect(b.own, b.ground)) for b in bundles)


if __name__ == "__main__":
    main()
