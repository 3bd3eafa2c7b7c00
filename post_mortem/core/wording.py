"""The Evidence document: facts of the trade and of every cause, filled from stored numbers.

The lines of `lines.py` become facts here; `build` gives the whole document.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from . import display
from .causes import FACTS
from .evidence import (
    CauseNumbers,
    CauseView,
    Draft,
    Evidence,
    Fact,
    LabelNumbers,
    Subject,
    number_facts,
    quoted,
    split_causes,
    trade_facts,
    verdict,
    view_cause,
)
from .lines import FIRED, RULED, SUMMARIES, Line
from .types import CAUSE_LABELS, CAUSES, Outcome, Status

_PLACEHOLDER = re.compile(r"\{([a-z_0-9]+)\}")
_UNITS = {cause: {spec.key: spec for spec in specs} for cause, specs in FACTS.items()}


def cause_summary(numbers: CauseNumbers) -> str:
    """One sentence about a fired cause, without figures."""
    choices = SUMMARIES[numbers.cause]
    code = int(numbers.facts.get("subtype", 0))
    return choices[code] if 0 <= code < len(choices) else choices[0]


def _words(subject: Subject, numbers: CauseNumbers) -> dict[str, str]:
    """Placeholders that are words: the release, the names of codes."""
    words: dict[str, str] = {}
    event = subject.news.get(int(numbers.facts.get("event_key", -1)))
    if event is not None:
        time, currency, title = event
        words |= {
            "event_time": display.moment(time),
            "currency": currency,
            "title": quoted(title),
        }
    for key, spec in _UNITS[numbers.cause].items():
        code = numbers.facts.get(key)
        if spec.unit == "code" and code is not None and 0 <= code < len(spec.choices):
            words[key] = spec.choices[int(code)].replace("_", " ")
    if "setup" in words:
        words["setup_name"] = words["setup"]
    return words


def _written(key: str, number: float, cause: str, subject: Subject) -> str:
    """A number as a line says it. R in lines are distances, so without a sign unless they are
    results."""
    unit = _UNITS[cause][key].unit
    if unit == "R" and key not in ("paper_r", "actual_r"):
        unit = "R_abs"
    if unit in ("z", "ratio") and key in ("er_before", "er_after"):
        unit = "number"
    if unit == "minutes":
        return display.minutes(number) if round(number) else "less than a minute"
    return display.by_unit(number, unit, subject.point)


def _drafts_of(lines: Sequence[Line], numbers: CauseNumbers, subject: Subject) -> list[Draft]:
    words = _words(subject, numbers)
    drafts = []
    for line in lines:
        keys = _PLACEHOLDER.findall(line.text)
        if any(key not in words and key not in numbers.facts for key in keys):
            continue
        if not _applies(line, numbers.facts):
            continue
        slots = {
            key: words[key]
            if key in words
            else _written(key, numbers.facts[key], numbers.cause, subject)
            for key in keys
        }
        text = _PLACEHOLDER.sub(lambda m, slots=slots: slots[m[1]], line.text)  # type: ignore[misc]
        drafts.append(
            Draft(
                f"{numbers.cause}.{line.kind}",
                text,
                slots,
                line.side,
                numbers.cause,
                _bar_time(line, numbers, subject),
            )
        )
    return drafts


def _applies(line: Line, facts: Mapping[str, float]) -> bool:
    try:
        return line.when(facts)
    except KeyError:
        return False


def _bar_time(line: Line, numbers: CauseNumbers, subject: Subject) -> int | None:
    if line.kind == "release":
        event = subject.news.get(int(numbers.facts.get("event_key", -1)))
        return event[0] if event else None
    offset = numbers.facts.get(line.at_jump)
    if offset is None or not subject.bar_ns:
        return None
    if subject.bars and 0 <= int(offset) < len(subject.bars):
        return subject.bars[int(offset)]
    return subject.entry_time // subject.bar_ns * subject.bar_ns + int(offset) * subject.bar_ns


def cause_drafts(subject: Subject, findings: Sequence[CauseNumbers]) -> list[Draft]:
    """Facts of all causes: ranked ones first, then those ruled out, in CAUSES order."""
    named = (f for f in findings if f.rank == 1 or (f.rank > 0 and f.cause != "unknown"))
    ranked = sorted(named, key=lambda f: f.rank)
    rest = sorted((f for f in findings if f.rank == 0), key=lambda f: CAUSES.index(f.cause))
    drafts = [d for f in ranked for d in _drafts_of(FIRED[f.cause], f, subject)]
    for numbers in rest:
        if numbers.status == Status.NOT_FIRED and not numbers.missing:
            drafts += _drafts_of(RULED[numbers.cause], numbers, subject)
    return drafts


def build(subject: Subject, label: LabelNumbers, findings: Sequence[CauseNumbers]) -> Evidence:
    """The Evidence document of one audit."""
    judged = any(f.rank > 0 for f in findings)
    drafts = trade_facts(subject, label) + (cause_drafts(subject, findings) if judged else [])
    facts = number_facts(drafts)
    views = [
        view_cause(numbers, CAUSE_LABELS[numbers.cause], cause_summary(numbers), facts)
        for numbers in findings
    ]
    ranked, ruled_out, unchecked = split_causes(views) if judged else ((), (), ())
    return Evidence(
        verdict(subject, label),
        _detail(label, ranked, facts),
        facts,
        ranked,
        ruled_out,
        unchecked,
    )


def _detail(label: LabelNumbers, ranked: Sequence[CauseView], facts: Sequence[Fact]) -> str:
    """The second sentence of the page: what most likely did it."""
    if not ranked or label.outcome == Outcome.SUCCEEDED:
        return ""
    top = ranked[0]
    if top.cause == "unknown":
        return top.summary
    first = next((f.text for f in facts if f.id in top.for_ids), "")
    return f"{top.summary} {first}." if first else top.summary
