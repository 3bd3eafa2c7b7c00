"""What happened when: the events of a trade in order, each a numbered fact.

Most events are facts that the document has anyway (entry, jump, release, turn, exit); `drafts`
gives the others, and `events` puts all of them in order of time. A fact is an event when its kind
has a title here and it lies at a known moment.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from trading.core.types import NS_PER_MINUTE

from . import display
from .causes import spread_slippage, user_psychology
from .evidence import CauseNumbers, Draft, Event, Fact, LabelNumbers, Subject, ended_at, quoted
from .measures import JUMP_Z
from .surroundings import SETUP_SUBTYPES
from .types import SETUPS, ExitReason

IMPACTS = ("low", "medium", "high")
LEAST_GAP_R = 0.1  # a smaller opening gap is no event
_PRESENT = SETUP_SUBTYPES.index("present")

# Title by kind of fact, in the order in which events of one moment are told.
TITLES: Mapping[str, str] = {
    "event.loss": "Earlier loss",
    "user_psychology.after_loss": "Earlier loss",
    "event.setup": "Setup known",
    "event.signal": "Signal",
    "entry": "Entry",
    "event.outage": "Outage",
    "event.hole": "Bars missing",
    "news_shock.release": "Release",
    "event.release": "Release",
    "event.gap": "Gap",
    "liquidity_event.gap": "Gap",
    "news_shock.jump": "Jump",
    "event.jump": "Jump",
    "regime_drift.turn": "Drift turns",
    "volatility_spike.window": "Volatility rises",
    "event.spread": "Spread widens",
    "mfe": "Best point",
    "mae": "Worst point",
    "exit": "Exit",
}
_ORDER = tuple(TITLES)
_EXITS = {ExitReason.SL: "Stop", ExitReason.TP: "Target", ExitReason.TIME: "Horizon ends"}


def offset(ns: int) -> str:
    """Time from the entry: `+1 min`, `\u22122 h 5 min`, `at entry` under a second."""
    if abs(ns) < 10**9:
        return "at entry"
    return f"{'+' if ns > 0 else display.MINUS}{display.duration(ns)}"


def events(subject: Subject, label: LabelNumbers, facts: Iterable[Fact]) -> tuple[Event, ...]:
    """All events in order of time; of two about the same bar and thing the first fact counts."""
    found: dict[tuple[str, int], Event] = {}
    for fact in facts:
        title = TITLES.get(fact.kind)
        if title is None or fact.bar_time is None:
            continue
        if fact.kind == "exit":
            title = _EXITS.get(ended_at(subject, label), title)
        if fact.kind == "news_shock.jump" and fact.side != "for":
            title = "Largest bar against"
        event = Event(
            fact,
            title,
            fact.bar_time,
            offset(fact.bar_time - subject.entry_time),
            _notches(fact),
        )
        key = fact.text if event.impact else fact.kind
        found.setdefault((key, event.time), event)
    return tuple(sorted(found.values(), key=lambda e: (e.time, _ORDER.index(e.fact.kind))))


def _notches(fact: Fact) -> int:
    impact = fact.slots.get("impact", "")
    return IMPACTS.index(impact) + 1 if "elease" in TITLES[fact.kind] and impact in IMPACTS else 0


# --- facts that are events alone ------------------------------------------------------------------


def drafts(
    subject: Subject, findings: Sequence[CauseNumbers], told: Sequence[Draft]
) -> list[Draft]:
    """Events that no other fact tells. `told` are the drafts the document has so far."""
    causes = {numbers.cause: numbers.facts for numbers in findings}
    kinds = {draft.kind for draft in told if draft.bar_time is not None}
    found = [
        _signal(subject),
        _setup(subject, causes.get("detector_misid", {})),
        *_releases(subject, causes.get("news_shock", {}), kinds),
        *_outages(subject),
        _hole(subject),
        _spread(subject),
    ]
    if "user_psychology.after_loss" not in kinds:
        found.append(_loss(subject, causes.get("user_psychology", {})))
    if "news_shock.jump" not in kinds:
        found.append(_jump(subject, causes.get("news_shock", {})))
    if "liquidity_event.gap" not in kinds:
        found.append(_gap(subject, causes.get("liquidity_event", {})))
    return [draft for draft in found if draft is not None]


def bar_at(subject: Subject, offset_bars: float | None) -> int | None:
    """Open of the bar so many bars after the first one of the life."""
    if offset_bars is None or not subject.bar_ns:
        return None
    at = int(offset_bars)
    if subject.bars and 0 <= at < len(subject.bars):
        return subject.bars[at]
    return subject.entry_time // subject.bar_ns * subject.bar_ns + at * subject.bar_ns


def bars_before_exit(subject: Subject, exit_time: int | None, bars: float | None) -> int | None:
    """Open of the first of so many bars that end with the bar of the exit."""
    if exit_time is None or bars is None or not subject.bar_ns:
        return None
    last = exit_time // subject.bar_ns * subject.bar_ns
    back = max(int(bars) - 1, 0)
    held = [time for time in subject.bars if time <= last]
    if len(held) > back:
        return held[-1 - back]
    return last - back * subject.bar_ns


def _signal(subject: Subject) -> Draft | None:
    if subject.signal_time is None or subject.signal_time == subject.entry_time:
        return None
    slots = {"time": display.moment(subject.signal_time)}
    name = f" of {quoted(subject.strategy)}" if subject.strategy else ""
    return Draft(
        "event.signal",
        f"The signal{name} came at {slots['time']}",
        slots,
        bar_time=subject.signal_time,
    )


def _setup(subject: Subject, facts: Mapping[str, float]) -> Draft | None:
    """A setup is known when the bar that shows it closes."""
    lag, code = facts.get("found_lag"), facts.get("setup")
    if lag is None or code is None or not subject.setup_bar_ns or facts["subtype"] != _PRESENT:
        return None
    bar = subject.setup_bar_ns
    known = (subject.signal_time or subject.entry_time) // bar * bar - int(lag) * bar
    slots = {"setup": SETUPS[int(code)].replace("_", " "), "time": display.moment(known)}
    return Draft(
        "event.setup",
        f"The setup \u201c{slots['setup']}\u201d was known at {slots['time']}",
        slots,
        cause="detector_misid",
        bar_time=known,
    )


def _releases(subject: Subject, facts: Mapping[str, float], kinds: set[str]) -> list[Draft | None]:
    blamed = facts.get("event_key") if "news_shock.release" in kinds else None
    found: list[Draft | None] = []
    for release in subject.seen.releases:
        if release.key == blamed:
            continue
        slots = {
            "currency": release.currency,
            "title": quoted(release.title),
            "time": display.moment(release.time),
            "impact": IMPACTS[release.impact],
        }
        text = f"{slots['currency']} release \u201c{slots['title']}\u201d at {slots['time']}"
        text += f", {slots['impact']} impact"
        found.append(Draft("event.release", text, slots, bar_time=release.time))
    return found


def _outages(subject: Subject) -> list[Draft]:
    found = []
    for pause in subject.seen.outages:
        slots = {
            "what": quoted(pause.what),
            "time": display.moment(pause.start),
            "length": display.duration(pause.end - pause.start),
        }
        text = f"Outage \u201c{slots['what']}\u201d from {slots['time']}, {slots['length']} long"
        found.append(
            Draft("event.outage", text, slots, cause="external_shock", bar_time=pause.start)
        )
    return found


def _hole(subject: Subject) -> Draft | None:
    hole = subject.seen.hole
    if hole is None:
        return None
    slots = {"bars": display.by_unit(hole.bars, "bars", subject.point)}
    return Draft(
        "event.hole",
        f"{slots['bars']} of its life are not stored, the first at {display.moment(hole.time)}",
        slots | {"time": display.moment(hole.time)},
        bar_time=hole.time,
    )


def _spread(subject: Subject) -> Draft | None:
    wide = subject.seen.widening
    if wide is None or wide.ratio < spread_slippage.UNUSUAL_SPREAD[0]:
        return None
    slots = {"ratio": display.times(wide.ratio)}
    size = ""
    if subject.has_pip:
        slots["pips"] = display.pips(wide.spread / float(subject.pip))
        size = f" to {slots['pips']}"
    return Draft(
        "event.spread",
        f"The spread widened{size}, {slots['ratio']} what it was just before the entry",
        slots,
        cause="spread_slippage",
        bar_time=wide.time,
    )


def _loss(subject: Subject, facts: Mapping[str, float]) -> Draft | None:
    since = facts.get("minutes_since_loss")
    if since is None or since * NS_PER_MINUTE > user_psychology.LOSS_WITHIN_NS:
        return None
    slots = {"since": display.minutes(since) if round(since) else "less than a minute"}
    return Draft(
        "event.loss",
        f"A trade before closed with a loss, {slots['since']} before this entry",
        slots,
        cause="user_psychology",
        bar_time=subject.entry_time - int(since * NS_PER_MINUTE),
    )


def _jump(subject: Subject, facts: Mapping[str, float]) -> Draft | None:
    size, z = facts.get("jump_r"), facts.get("jump_z")
    if size is None or z is None or z < JUMP_Z[0]:
        return None
    slots = {"size": display.r_multiple(size, signed=False), "z": display.times(z)}
    return Draft(
        "event.jump",
        f"A move of {slots['size']} against it in one bar, {slots['z']} the usual size",
        slots,
        cause="news_shock",
        bar_time=bar_at(subject, facts.get("jump_bar")),
    )


def _gap(subject: Subject, facts: Mapping[str, float]) -> Draft | None:
    size = facts.get("gap_r", 0.0)
    if size < LEAST_GAP_R:
        return None
    slots = {"size": display.r_multiple(size, signed=False)}
    return Draft(
        "event.gap",
        f"A bar opened {slots['size']} against the trade",
        slots,
        cause="liquidity_event",
        bar_time=bar_at(subject, facts.get("gap_bar")),
    )
