"""What a page says of an experiment: today, the verdict, how it went against the plan."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils import timezone

from post_mortem.core.display import fixed, r_multiple
from post_mortem.core.draws import Unit
from post_mortem.models import Experiment
from post_mortem.selectors.experiment_results import Results
from post_mortem.selectors.experiments import Now

from . import formats


@dataclass(frozen=True, slots=True)
class Today:
    """The first line of the page, and what it means. `tone` is on, off or empty."""

    headline: str
    tone: str
    meaning: str
    sealed: str


def today_of(experiment: Experiment, now: Now) -> Today:
    if now.state == "ended":
        word = "finished" if experiment.status == Experiment.Status.FINISHED else "stopped"
        return Today(f"This experiment has {word}.", "", "Nothing is drawn any more.", "")
    if now.state == "every":
        meaning = "Each signal is drawn when it comes; a program asks for its arm before it trades."
        return Today("Each signal has its own arm.", "", meaning, "")
    if now.state == "waiting":
        return Today(_begins(now.coming), "", "Until then trade as you always did.", "")
    label = _label(experiment, now)
    if now.state == "undrawn":
        meaning = "It began before its arm was drawn, so it is not in the test. Trade as usual."
        return Today(f"{label}: not drawn", "", meaning, "")
    on = now.state == "on"
    meaning = "Apply the rule:" if on else "Leave the rule undone:"
    seal = now.drawn.seal[:4] if now.drawn else ""
    return Today(f"{label}: {'ON' if on else 'OFF'}", now.state, meaning, seal)


def short_today(experiment: Experiment, now: Now) -> str:
    """For a list: ON, OFF, or why neither."""
    if now.state in ("on", "off"):
        return now.state.upper()
    words = {"ended": "", "every": "by signal", "undrawn": "not drawn"}
    return words[now.state] if now.state in words else _begins(now.coming)


def line_of(experiment: Experiment, now: Now) -> str:
    """For the dashboard: 'Experiment today: ON'."""
    if now.state == "waiting":
        said = _begins(now.coming)
        return f"Experiment: {said[0].lower()}{said[1:]}"
    if now.state == "every":
        return "Experiment: each signal has its own arm"
    label = _label(experiment, now)
    label = label.lower() if label == "Today" else label
    return f"Experiment {label}: {short_today(experiment, now)}"


def _label(experiment: Experiment, now: Now) -> str:
    if experiment.unit == Experiment.Unit.SESSION and now.unit is not None:
        return now.unit.key.partition("/")[2].replace("_", " ").title()
    return "Today"


def _begins(coming: Unit | None) -> str:
    """The day as the account calls it; a session also by the reader's clock."""
    if coming is None:
        return "Nothing today"
    year = coming.day.year != timezone.localdate().year
    day = f"{coming.day:%a} {coming.day.day} {coming.day:%b}{f' {coming.day.year}' if year else ''}"
    session = coming.key.partition("/")[2].replace("_", " ").title()
    if not session:
        return f"Next day {day}"
    return f"Next session {session}, {day} {formats.clock(timezone.localtime(coming.starts))}"


# --- verdicts -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Verdict:
    """A chip's two parts, and a sentence; `tone` is gain, loss or empty."""

    word: str
    rest: str
    sentence: str
    tone: str


def verdict_of(experiment: Experiment, found: Results) -> Verdict:
    verdict = found.verdict
    first = experiment.plan["arm_looks"][0]
    counts = f"{found.on.trades} on and {found.off.trades} off"
    if verdict.verdict == "too_early":
        rest = f"{counts} of {first} trades each"
        sentence = f"Nothing is said before both arms have {first} trades."
        return Verdict("Too early", rest, sentence, "")
    if verdict.verdict == "not_evidence":
        sentence = "The days you traded do not match the days that were drawn, so the arms differ "
        sentence += "in more than the rule. Look for days left out, or trades not imported."
        return Verdict("Verdict blocked", "days traded do not match days drawn", sentence, "")
    if verdict.verdict in ("helped", "hurt"):
        word, tone = ("Helped", "gain") if verdict.verdict == "helped" else ("Hurt", "loss")
        return Verdict(word, _how(experiment, found), _effect(found), tone)
    if verdict.verdict == "no_meaningful_effect":
        size = 0.0 if verdict.sd_r is None else 0.15 * verdict.sd_r
        rest = f"within ±{fixed(size, 2)} R"
        return Verdict("No meaningful effect", rest, "Whatever it does, it is small.", "")
    if verdict.verdict == "unresolvable":
        sentence = "The last planned look was taken without an answer: an effect, if any, is small."
        return Verdict("No answer", "the plan is at its end", sentence, "")
    return Verdict("No evidence yet", _more(found), _between(found), "")


def _how(experiment: Experiment, found: Results) -> str:
    if experiment.strict:
        return "A/B, strict test"
    side = next((look[0] for look in found.verdict.looks if look[-1]), found.on.trades)
    return f"A/B, {side} a side"


def _effect(found: Results) -> str:
    verdict = found.verdict
    if verdict.estimate_r is None or verdict.ci is None:
        return verdict.sentence
    return (
        f"Trades of ON days made {r_multiple(verdict.estimate_r)} against OFF days, likely between "
        f"{r_multiple(verdict.ci[0])} and {r_multiple(verdict.ci[1])}. What is found at an early "
        "look is usually overstated."
    )


def _more(found: Results) -> str:
    more = found.verdict.more_trades_needed
    return f"about {more:,} more trades per arm" if more else "goes on"


def _between(found: Results) -> str:
    taken, of = len(found.verdict.looks), found.looks
    return f"Look {taken} of {of} was taken. Until the next one nothing is decided."


def traded_of(experiment: Experiment, found: Results) -> str:
    """'Traded 38 on / 21 off of 40 / 40 days', and whether that blocks the verdict."""
    units = "signals" if experiment.unit == "signal" else f"{experiment.unit}s"
    said = (
        f"Traded {found.on.traded} on / {found.off.traded} off of "
        f"{found.on.drawn} / {found.off.drawn} {units}"
    )
    return (
        f"{said}: mismatch, verdict blocked." if found.verdict.reason == "mismatch" else f"{said}."
    )
