"""What a reader of an audit finds beside its record: on the bars, in the calendar, in the log.

Nothing here decides anything; it places on the bars what the record says, and adds what happened
meanwhile. All times are ns UTC. An empty `Seen` is a reader without candles.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Release:
    """A calendar release; impact 0 low, 1 medium, 2 high."""

    key: int
    time: int
    currency: str
    title: str
    impact: int


@dataclass(frozen=True, slots=True)
class Pause:
    """A logged outage."""

    start: int
    end: int
    what: str


@dataclass(frozen=True, slots=True)
class Widening:
    """The widest spread of the life: price units, and against the median just before the entry."""

    time: int
    spread: float
    ratio: float


@dataclass(frozen=True, slots=True)
class Hole:
    """Expected bars of the life that are not stored: open of the first, and how many."""

    time: int
    bars: int


@dataclass(frozen=True, slots=True)
class Seen:
    """`volatility_from` is the open of the window in which volatility was highest. `unlisted`
    releases of the time are not among `releases`."""

    mfe_time: int | None = None
    mae_time: int | None = None
    volatility_from: int | None = None
    widening: Widening | None = None
    releases: tuple[Release, ...] = ()
    unlisted: int = 0
    outages: tuple[Pause, ...] = ()
    hole: Hole | None = None
