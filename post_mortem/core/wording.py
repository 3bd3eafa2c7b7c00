"""The Evidence document: facts of the trade and of every cause, filled from stored numbers.

The lines of `lines.py` become facts here, then the sentences of `minds.py` and the events of
`timeline.py`, after all others so that a narrative keeps its citations; `build` gives the document.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from trading.core.types import NS_PER_MINUTE

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
from .measures import ATR_RISK
from .minds import ANY_FEED, CHECK, FIRE, IMPORTS, RULE_OUT, Mind
from .timeline import bar_at, bars_before_exit, drafts, events
from .types import CAUSE_LABELS, CAUSES, Flag, Outcome, Status

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
    if "best_cause" in words:
        words["best_cause"] = CAUSE_LABELS[CAUSES[int(numbers.facts["best_cause"])]].lower()
    if numbers.missing:
        named = [IMPORTS.get(name, name.replace("_", " ")) for name in numbers.missing]
        words["imports"] = "; ".join(
            [named[0], *(name[0].lower() + name[1:] for name in named[1:])]
        )
    return words


def _written(key: str, number: float, cause: str, subject: Subject) -> str:
    """A number as a line says it. R in lines are distances, so without a sign unless they are
    results."""
    unit = _UNITS[cause][key].unit
    if unit == "R" and key not in ("paper_r", "actual_r"):
        unit = "R_abs"
    if unit in ("R", "R_abs"):
        return _size(number, unit, subject)
    if unit in ("z", "ratio") and key in ("er_before", "er_after"):
        unit = "number"
    if unit == "minutes":
        return display.minutes(number) if round(number) else "less than a minute"
    return display.by_unit(number, unit, subject.point)


def _size(number: float, unit: str, subject: Subject) -> str:
    """R as such; where no initial stop is known, the average ranges that stood in for it."""
    if not subject.in_ranges:
        return display.by_unit(number, unit, subject.point)
    told = "ranges" if unit == "R_abs" else "signed_ranges"
    return display.by_unit(ATR_RISK * number, told, subject.point)


def _drafts_of(
    lines: Sequence[Line], numbers: CauseNumbers, subject: Subject, exit_time: int | None
) -> list[Draft]:
    words = _words(subject, numbers)
    found = []
    for line in lines:
        keys = _PLACEHOLDER.findall(line.text)
        if any(key not in words and key not in numbers.facts for key in keys):
            continue
        if subject.in_ranges and "stop_in_sigma" in keys:
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
        found.append(
            Draft(
                f"{numbers.cause}.{line.kind}",
                text,
                slots,
                line.side,
                numbers.cause,
                _bar_time(line, numbers, subject, exit_time),
            )
        )
    return found


def _applies(line: Line, facts: Mapping[str, float]) -> bool:
    try:
        return line.when(facts)
    except KeyError:
        return False


def _bar_time(
    line: Line, numbers: CauseNumbers, subject: Subject, exit_time: int | None
) -> int | None:
    """When, or on which bar, the fact of a line lies; None where that is not known."""
    if line.kind == "release":
        event = subject.news.get(int(numbers.facts.get("event_key", -1)))
        return event[0] if event else None
    number = numbers.facts.get(line.at_jump)
    if number is None:
        return None
    if line.at_jump == "window_bars":
        return subject.seen.volatility_from
    if line.at_jump == "minutes_since_loss":
        return subject.entry_time - int(number * NS_PER_MINUTE)
    if line.at_jump == "change_bars":
        return bars_before_exit(subject, exit_time, number)
    if line.at_jump in ("spread_ratio", "fill_beyond_sl_r"):
        return exit_time
    return bar_at(subject, number)


def mind_drafts(subject: Subject, findings: Sequence[CauseNumbers]) -> list[Draft]:
    """What would have changed the mind of every cause, in the order in which they are shown."""
    quiet = any(f.cause == "unknown" and f.facts.get("subtype") == 1 for f in findings)
    found = []
    for numbers in sorted(findings, key=lambda f: (f.rank == 0, f.rank, CAUSES.index(f.cause))):
        choices = _choices(numbers, quiet=quiet)
        written = (_mind(mind, numbers, subject) for mind in choices)
        draft = next((draft for draft in written if draft is not None), None)
        if draft is not None:
            found.append(draft)
    return found


def _choices(numbers: CauseNumbers, *, quiet: bool) -> Sequence[Mind]:
    if numbers.cause == "unknown":
        return RULE_OUT["unknown"] if numbers.rank == 1 else ()
    if numbers.rank > 0:
        return RULE_OUT[numbers.cause]
    if numbers.status == Status.ABSTAINED or numbers.missing:
        return (*CHECK[numbers.cause], ANY_FEED)
    # Where nothing went wrong no number of one cause would have changed anything.
    return () if quiet else FIRE[numbers.cause]


def _mind(mind: Mind, numbers: CauseNumbers, subject: Subject) -> Draft | None:
    """The sentence with its numbers, None where one is not known or it does not apply."""
    if not mind.when(numbers):
        return None
    words = _words(subject, numbers)
    slots: dict[str, str] = {}
    for key in _PLACEHOLDER.findall(mind.text):
        text = _mind_slot(key, mind, numbers, subject, words)
        if text is None:
            return None
        slots[key] = text
    text = _PLACEHOLDER.sub(lambda m: slots[m[1]], mind.text)
    return Draft(f"{numbers.cause}.mind", text, slots, "mind", numbers.cause)


def _mind_slot(
    key: str, mind: Mind, numbers: CauseNumbers, subject: Subject, words: Mapping[str, str]
) -> str | None:
    if key in mind.limits:
        unit, limit = mind.limits[key]
        value = limit(numbers)
        if value is None:
            return None
        if unit in ("R", "R_abs"):
            return _size(value, unit, subject)
        return display.by_unit(value, unit, subject.point)
    if key in words:
        return words[key]
    base = key.removesuffix("_times")
    number = numbers.facts.get(base)
    if number is None:
        return None
    return display.times(number) if base != key else _written(key, number, numbers.cause, subject)


def cause_drafts(
    subject: Subject, findings: Sequence[CauseNumbers], exit_time: int | None = None
) -> list[Draft]:
    """Facts of all causes: ranked ones first, then those ruled out, in CAUSES order."""
    named = (f for f in findings if f.rank == 1 or (f.rank > 0 and f.cause != "unknown"))
    ranked = sorted(named, key=lambda f: f.rank)
    rest = sorted((f for f in findings if f.rank == 0), key=lambda f: CAUSES.index(f.cause))
    found = [d for f in ranked for d in _drafts_of(FIRED[f.cause], f, subject, exit_time)]
    for numbers in rest:
        if numbers.status == Status.NOT_FIRED and not numbers.missing:
            found += _drafts_of(RULED[numbers.cause], numbers, subject, exit_time)
    return found


def build(subject: Subject, label: LabelNumbers, findings: Sequence[CauseNumbers]) -> Evidence:
    """The Evidence document of one audit."""
    subject = replace(subject, in_ranges=label.has(Flag.RISK_FROM_ATR))
    judged = any(f.rank > 0 for f in findings)
    told = trade_facts(subject, label)
    if judged:
        told += cause_drafts(subject, findings, label.exit_time) + mind_drafts(subject, findings)
    facts = number_facts([*told, *drafts(subject, findings if judged else (), told)])
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
        events(subject, label, facts),
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
