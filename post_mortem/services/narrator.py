"""The offline narrator: a post-mortem written by code from the evidence, with slots and citations.

It needs no model and no network and is the default. It writes the same JSON shape as a language
model would, and passes through the same grounding: every figure is a slot of a fact that its own
sentence cites.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from post_mortem.core.advice import Advice
from post_mortem.core.evidence import (
    CauseView,
    Evidence,
    Fact,
    LabelNumbers,
    Subject,
    at_final_stop,
    ended_at,
)
from post_mortem.core.types import ExitReason, Flag, Outcome, Status

NARRATOR_VERSION = "offline-3"
Narrative = dict[str, Any]

_PLACEHOLDER = re.compile(r"\{([a-z_]+)\.([a-z_0-9]+)\}")
_HEAT_HIGH = 0.8
_CAPTURED_LOW = 0.5


class Writer:
    """Writes sentences against named facts; a sentence whose facts are not there is not written."""

    def __init__(self, facts: Mapping[str, Fact | None]) -> None:
        self.facts = facts

    def say(self, text: str, *cite: str) -> str | None:
        """`{exit.held}` becomes a slot; facts used, and those in `cite`, are cited at the end."""
        used: list[str] = []
        for name, key in _PLACEHOLDER.findall(text):
            fact = self.facts.get(name)
            if fact is None or key not in fact.slots:
                return None
            used.append(fact.id)
        for name in cite:
            fact = self.facts.get(name)
            if fact is None:
                return None
            used.append(fact.id)
        ids = {name: fact.id for name, fact in self.facts.items() if fact is not None}
        body = _PLACEHOLDER.sub(lambda m: f"{{{{{ids[m[1]]}.{m[2]}}}}}", text)
        marks = "".join(f"[{fact_id}]" for fact_id in dict.fromkeys(used))
        return f"{body[:-1]} {marks}{body[-1]}" if marks else body


def _kept(sentences: Iterable[str | None]) -> list[str]:
    return [sentence for sentence in sentences if sentence]


def _first(*sentences: str | None) -> str:
    return next((sentence for sentence in sentences if sentence), "")


def _named_facts(evidence: Evidence) -> dict[str, Fact | None]:
    kinds = (
        "result", "exit", "entry", "stop", "target", "plan_ratio", "mfe", "mae", "drawdown",
    )  # fmt: skip
    return {kind: evidence.first(kind) for kind in kinds}


def _overall(w: Writer, label: LabelNumbers, reason: ExitReason, *, final: bool) -> str:
    outcome = Outcome(label.outcome)
    if outcome == Outcome.NEUTRAL:
        return _first(
            w.say("The trade closed flat after {exit.held}, at {result.r}."),
            w.say("The trade closed flat after {exit.held}."),
        )
    if reason == ExitReason.SL:
        return _first(
            w.say("The stop was reached after {exit.held}, for {result.r}."),
            w.say("The stop was reached after {exit.held}, for {result.pct}."),
        )
    if reason == ExitReason.TP:
        return _first(
            w.say("The target was reached after {exit.held}, for {result.r}."),
            w.say("The target was reached after {exit.held}, for {result.pct}."),
        )
    word = "gain" if outcome == Outcome.SUCCEEDED else "loss"
    end = "at the end of the horizon" if reason == ExitReason.TIME else "after {exit.held}"
    if reason != label.exit_reason or label.has(Flag.EXIT_BAR_AMBIGUOUS):
        return _first(
            w.say(f"The trade closed {end} at neither level, with a {word} of {{result.r}}."),
            w.say(f"The trade closed {end} at neither level, with a {word} of {{result.pct}}."),
            w.say(f"The trade closed {end} with a {word}.", "result"),
        )
    if final:
        return _first(
            w.say(f"It left at its final stop {end}, with a {word} of {{result.pct}}."),
            w.say(f"It left at its final stop {end}, with a {word}.", "result"),
        )
    if w.facts.get("stop") is None or w.facts.get("target") is None:
        return _first(
            w.say(f"The trade closed {end} with a {word} of {{result.r}}."),
            w.say(f"The trade closed {end} with a {word} of {{result.pct}}."),
            w.say(f"The trade closed {end} with a {word}.", "result"),
        )
    return _first(
        w.say(
            f"Neither level was reached and the trade closed {end} with a {word} of {{result.r}}."
        ),
        w.say(
            f"Neither level was reached and the trade closed {end} with a {word} of {{result.pct}}."
        ),
        w.say(f"The trade closed {end} with a {word}.", "result"),
    )


def _strengths(w: Writer, label: LabelNumbers, reason: ExitReason) -> list[str]:
    lines: list[str | None] = []
    if (
        label.outcome == Outcome.SUCCEEDED
        and label.mae_r is not None
        and label.mae_r < _CAPTURED_LOW
    ):
        lines.append(w.say("It never went far against the entry: at worst {mae.r}."))
    if label.outcome != Outcome.SUCCEEDED and label.mfe_r is not None and label.mfe_r >= 1:
        lines.append(w.say("The direction was right for a while: it was ahead by {mfe.r}."))
    if reason == ExitReason.SL:
        lines.append(w.say("The stop ended the trade at {exit.price}.", "stop"))
    if reason == ExitReason.TP:
        lines.append(w.say("The plan was carried through to its target at {exit.price}."))
    return _kept(lines)


def _weaknesses(w: Writer, label: LabelNumbers) -> list[str]:
    lines: list[str | None] = []
    if label.outcome == Outcome.FAILED and label.mfe_r is not None:
        if label.mfe_r < 0.2:
            lines.append(w.say("It was hardly ever ahead: at best {mfe.r}."))
        elif label.mfe_r >= 1:
            lines.append(w.say("A gain of {mfe.r} was given back."))
    if label.outcome == Outcome.SUCCEEDED and label.mae_r is not None and label.mae_r > _HEAT_HIGH:
        lines.append(w.say("It came close to its stop on the way: at worst {mae.r}."))
    return _kept(lines)


def _entry(w: Writer, timeframe: str) -> dict[str, Any]:
    summary = _first(
        w.say("{entry.symbol} {entry.side} at {entry.price} on {entry.timeframe} bars.")
        if timeframe
        else w.say("{entry.symbol} {entry.side} at {entry.price}."),
    )
    shows = [
        w.say("The stop was {stop.distance} from the entry."),
        w.say("The target was {target.distance} from the entry."),
    ]
    return {"summary": summary, "what_the_evidence_shows": _kept(shows)}


def _exit(w: Writer, evidence: Evidence) -> dict[str, Any]:
    flags = [fact for fact in evidence.facts if fact.kind == "flag"]
    shows = [
        w.say("At best the trade was ahead by {mfe.r}, at worst behind by {mae.r}."),
        w.say("The largest give-back from a best point was {drawdown.r}."),
        *(_cited(fact) for fact in flags),
    ]
    return {
        "summary": _first(w.say("It left the market at {exit.price} after {exit.held}.")),
        "what_the_evidence_shows": _kept(shows),
    }


def _decision(w: Writer, evidence: Evidence, subject: Subject) -> dict[str, Any]:
    own = ("model_error", "detector_misid", "false_positive", "user_psychology")
    shows = [_cited(fact) for fact in evidence.facts if fact.cause in own and fact.side == "for"]
    ruled = [view for view in evidence.ruled_out if view.cause in own]
    shows += [f"{view.label} was checked and ruled out{_marks(view)}." for view in ruled]
    no_stop = "The plan named no stop, so its result cannot be counted in R."
    if subject.stop_final is not None:
        no_stop = "Only its final stop is known, not the initial one, so its result has no R."
    summary = _first(
        w.say(
            "The plan risked the distance to the stop for {plan_ratio.ratio} times as much, which "
            "breaks even when {plan_ratio.break_even} of such trades are won."
        ),
        w.say("The plan named a stop but no target.", "stop"),
        w.say(no_stop, "entry"),
    )
    return {"summary": summary, "what_the_evidence_shows": _kept(shows)}


def _marks(view: CauseView) -> str:
    ids = (*view.for_ids, *view.against_ids)[:3]
    return " " + "".join(f"[{fact_id}]" for fact_id in ids) if ids else ""


def _cited(fact: Fact) -> str:
    return f"{{{{{fact.id}.said}}}} [{fact.id}]."


def _context(evidence: Evidence) -> dict[str, Any]:
    market = (
        "news_shock", "regime_drift", "volatility_spike", "liquidity_event", "external_shock",
        "spread_slippage",
    )  # fmt: skip
    shows = [_cited(fact) for fact in evidence.facts if fact.cause in market and fact.side == "for"]
    ruled = [view for view in evidence.ruled_out if view.cause in market]
    if ruled:
        names = ", ".join(view.label.lower() for view in ruled)
        shows.append(f"Checked and ruled out: {names}.")
    return {"summary": "", "what_the_evidence_shows": shows}


def _factors(evidence: Evidence) -> list[dict[str, Any]]:
    return [
        {
            "cause": view.cause,
            "label": view.label,
            "rank": view.rank,
            "confidence": view.confidence,
            "posterior": round(view.posterior, 4),
            "explanation": " ".join(
                [_cited_summary(evidence, view), *_reasons(evidence, view)]
            ).strip(),
        }
        for view in evidence.ranked
    ]


def _cited_summary(evidence: Evidence, view: CauseView) -> str:
    marks = _marks(view) or f" [{evidence.facts[0].id}]"
    return f"{view.summary[:-1]}{marks}{view.summary[-1:]}"


def _reasons(evidence: Evidence, view: CauseView) -> list[str]:
    facts = evidence.by_id()
    against = [f"Against it: {{{{{i}.said}}}} [{i}]." for i in view.against_ids if i in facts]
    return [_cited(facts[i]) for i in view.for_ids if i in facts] + against


def _opportunities(evidence: Evidence, advice: Sequence[Advice]) -> list[dict[str, Any]]:
    views = {view.cause: view for view in evidence.ranked}
    found = []
    for item in advice:
        view = views.get(item.cause)
        why = f"Addresses {view.label.lower()}{_marks(view)}." if view else "Addresses the exit."
        found.append(
            {
                "key": item.key,
                "kind": item.kind,
                "area": item.area,
                "scope": dict(item.scope),
                "suggestion": item.suggestion,
                "expected_impact": f"{why} Its effect is measured once it is implemented.",
                "metric": item.metric,
            }
        )
    return found


def _learnings(w: Writer, evidence: Evidence, label: LabelNumbers) -> list[str]:
    lines: list[str | None] = []
    top = evidence.ranked[0] if evidence.ranked else None
    if top is not None and top.cause != "unknown":
        lines.append(
            f"The most likely cause is {top.label.lower()}, and it is {top.word}{_marks(top)}."
        )
    elif top is not None:
        lines.append("No specific cause explains this result; a loss is not by itself a mistake.")
    if label.outcome == Outcome.FAILED:
        lines.append(
            w.say(
                "With this plan a trader who wins {plan_ratio.break_even} of such trades breaks "
                "even, so single losses are expected."
            )
        )
    if label.outcome == Outcome.SUCCEEDED:
        lines.append(w.say("The trade took {mae.r} of heat for {result.r}."))
    return _kept(lines)


_MISSING_WORDS = {
    "news": "no calendar covers this time, which is not the same as no news",
    "spread": "no spread is stored",
    "fills": "it is not known which prices were asked for",
    "volume": "no volume is stored",
    "peers": "no related market is stored",
    "outages": "no outage log is kept",
    "score": "the signal has no score",
    "model_history": "too few earlier scored trades are known",
    "setup_history": "too few earlier trades of this setup are known",
    "trade_log": "too few earlier trades are known",
    "claimed_setups": "it is not known which setup was claimed",
    "bars_before": "too few candles before the entry are stored",
    "bars_in_life": "the trade was too short",
    "risk": "the risk is unknown",
}


def missing_words(missing: Sequence[str]) -> str:
    return "; ".join(_MISSING_WORDS.get(name, name.replace("_", " ")) for name in missing)


def _insufficient(evidence: Evidence) -> list[str]:
    return [
        f"{view.label} could not be checked: {missing_words(view.missing)}."
        for view in evidence.unchecked
        if view.status == Status.ABSTAINED
    ]


def narrate(
    subject: Subject, label: LabelNumbers, evidence: Evidence, advice: Sequence[Advice]
) -> Narrative:
    """The narrative with slots. Callers render it with `core.grounding.render`."""
    w = Writer(_named_facts(evidence))
    judged = label.outcome in (Outcome.SUCCEEDED, Outcome.FAILED, Outcome.NEUTRAL)
    reason, final = ended_at(subject, label), at_final_stop(subject, label)
    overall = _overall(w, label, reason, final=final) if judged else "This case was not judged."
    return {
        "performance_analysis": {
            "overall_evaluation": overall,
            "strengths": _strengths(w, label, reason) if judged else [],
            "weaknesses": _weaknesses(w, label) if judged else [],
        },
        "entry_analysis": _entry(w, subject.timeframe),
        "exit_analysis": _exit(w, evidence),
        "decision_analysis": _decision(w, evidence, subject),
        "context_analysis": _context(evidence),
        "primary_factors": _factors(evidence),
        "improvement_opportunities": _opportunities(evidence, advice),
        "key_learnings": _learnings(w, evidence, label),
        "insufficient_evidence": _insufficient(evidence),
    }
