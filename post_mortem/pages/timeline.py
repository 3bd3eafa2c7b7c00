"""The events of a trade as its page shows them: in order, in the reader's zone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from post_mortem.core.evidence import Event, Fact
from post_mortem.core.timeline import IMPACTS
from post_mortem.selectors.columns import from_ns


@dataclass(frozen=True, slots=True)
class Shown:
    """`form` is how the time is written: with its day where that is not the day of the entry.
    `notches` holds one item a notch of a release."""

    fact: Fact
    title: str
    at: datetime
    form: str
    offset: str
    level: str
    notches: range


def events_of(events: Sequence[Event], entered: datetime, zone: ZoneInfo) -> tuple[Shown, ...]:
    day = entered.astimezone(zone).date()
    return tuple(_shown(event, day, zone) for event in events)


def _shown(event: Event, day: object, zone: ZoneInfo) -> Shown:
    at = from_ns(event.time)
    return Shown(
        fact=event.fact,
        title=event.title,
        at=at,
        form="clock" if at.astimezone(zone).date() == day else "list",
        offset=event.offset,
        level=IMPACTS[event.impact - 1] if event.impact else "",
        notches=range(event.impact),
    )
