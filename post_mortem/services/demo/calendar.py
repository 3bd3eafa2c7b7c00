"""The simulated calendar: releases with surprises, and how far each moved its currency.

Names say that they are simulated. High-impact releases move prices when the surprise is large, and
not even then always: one that moves nothing must not be blamed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from . import noise

YEAR = 2026
_MOVES_FROM = 1.0  # standard deviations of surprise beyond which prices move
_BASE_BP, _BP_PER_DEVIATION = 17, 6
_IGNORED_EVERY = 7  # one large surprise in so many moves nothing


@dataclass(frozen=True, slots=True)
class Kind:
    """A series of releases: forecast and its usual error, in the release's own unit."""

    currency: str
    title: str
    impact: str
    forecast: float
    error: float
    decimals: int
    unit: str
    sign: int = 1  # -1: a higher figure is bad for the currency
    dates: tuple[str, ...] = ()
    step: float = 0.0  # figures come in multiples of this (rates: quarters)


@dataclass(frozen=True, slots=True)
class Release:
    """One release. `move_bp` is how far it moved its currency, in hundredths of a per cent."""

    time: datetime
    currency: str
    title: str
    impact: str
    forecast: str
    actual: str
    surprise_z: float
    move_bp: int


def _weekly(clock: str, *dates: str) -> tuple[str, ...]:
    return tuple(f"{date} {clock}" for date in dates)


KINDS: tuple[Kind, ...] = (
    Kind("USD", "US payrolls", "high", 170, 55, 0, "K", 1,
         ("06-05 12:30", "07-02 12:30", "08-07 12:30")),
    Kind("USD", "US consumer prices y/y", "high", 2.9, 0.1, 1, "%", 1,
         ("06-10 12:30", "07-14 12:30", "08-12 12:30")),
    Kind("USD", "US rate decision", "high", 4.25, 0.12, 2, "%", 1,
         ("06-17 18:00", "07-29 18:00"), 0.25),
    Kind("USD", "US retail sales m/m", "high", 0.3, 0.3, 1, "%", 1,
         ("06-16 12:30", "07-16 12:30", "08-14 12:30")),
    Kind("USD", "US services survey", "high", 52.4, 1.1, 1, "", 1,
         ("06-03 14:00", "07-06 14:00", "08-05 14:00")),
    Kind("USD", "US growth q/q", "high", 2.1, 0.4, 1, "%", 1,
         ("06-25 12:30", "07-30 12:30", "08-26 12:30")),
    Kind("USD", "US jobless claims", "medium", 228, 9, 0, "K", -1,
         _weekly("12:30", "06-04", "06-11", "06-18", "07-09", "07-23", "08-06", "08-13",
                 "08-20", "08-27")),
    Kind("USD", "US consumer confidence", "medium", 101.5, 3.2, 1, "", 1,
         ("06-30 14:00", "07-28 14:00", "08-25 14:00")),
    Kind("EUR", "Euro area rate decision", "high", 2.0, 0.12, 2, "%", 1,
         ("06-11 12:15", "07-23 12:15"), 0.25),
    Kind("EUR", "Euro area consumer prices y/y", "high", 2.1, 0.1, 1, "%", 1,
         ("06-02 09:00", "07-01 09:00", "07-31 09:00")),
    Kind("EUR", "Euro area business survey", "medium", 50.6, 0.6, 1, "", 1,
         ("06-23 08:00", "07-24 08:00", "08-21 08:00")),
    Kind("EUR", "German business climate", "medium", 88.2, 0.9, 1, "", 1,
         ("06-24 08:00", "07-27 08:00", "08-24 08:00")),
    Kind("GBP", "UK rate decision", "high", 4.0, 0.12, 2, "%", 1,
         ("06-18 11:00", "08-06 11:00"), 0.25),
    Kind("GBP", "UK consumer prices y/y", "high", 3.1, 0.2, 1, "%", 1,
         ("06-17 06:00", "07-15 06:00", "08-19 06:00")),
    Kind("GBP", "UK growth m/m", "high", 0.1, 0.1, 1, "%", 1,
         ("06-12 06:00", "07-10 06:00", "08-13 06:00")),
    Kind("GBP", "UK unemployment", "medium", 4.6, 0.1, 1, "%", -1,
         ("06-09 06:00", "07-16 06:00", "08-11 06:00")),
    Kind("JPY", "Japan rate decision", "high", 0.75, 0.12, 2, "%", 1,
         ("06-16 03:00", "07-31 03:00"), 0.25),
    Kind("JPY", "Japan consumer prices y/y", "medium", 2.8, 0.2, 1, "%", 1,
         ("06-18 23:30", "07-16 23:30", "08-20 23:30")),
    Kind("JPY", "Japan growth q/q", "medium", 0.2, 0.2, 1, "%", 1,
         ("06-07 23:50", "08-16 23:50")),
    Kind("AUD", "Australia building approvals m/m", "low", 0.5, 2.0, 1, "%", 1,
         ("06-01 01:30", "06-30 01:30", "07-30 01:30", "08-31 01:30")),
    Kind("AUD", "Australia rate decision", "medium", 3.6, 0.12, 2, "%", 1,
         ("06-16 04:30", "08-11 04:30"), 0.25),
    Kind("EUR", "Euro area sentiment", "low", 96.0, 1.0, 1, "", 1,
         ("06-29 09:00", "07-30 09:00", "08-28 09:00")),
)  # fmt: skip


def releases() -> tuple[Release, ...]:
    """All releases, sorted by time."""
    made = [_release(kind, date) for kind in KINDS for date in kind.dates]
    return tuple(sorted(made, key=lambda r: (r.time, r.currency, r.title)))


def _release(kind: Kind, date: str) -> Release:
    time = datetime.strptime(f"{YEAR}-{date}", "%Y-%m-%d %H:%M").replace(tzinfo=UTC)
    stream = f"release {kind.title} {date}"
    # Surprises of a calendar are wider than a bell: two draws, the further one for high impact.
    draws = sorted((float(z) for z in noise.bell(stream, 2)), key=abs)
    wanted = draws[1] if kind.impact == "high" else draws[0]
    figure = kind.forecast + wanted * kind.error
    actual = round(round(figure / kind.step) * kind.step if kind.step else figure, kind.decimals)
    surprise = round((actual - kind.forecast) / kind.error, 2)
    return Release(
        time,
        kind.currency,
        f"{kind.title} (simulated)",
        kind.impact,
        f"{kind.forecast:.{kind.decimals}f}{kind.unit}",
        f"{actual:.{kind.decimals}f}{kind.unit}",
        surprise,
        _move(kind, stream, surprise),
    )


def _move(kind: Kind, stream: str, surprise: float) -> int:
    if kind.impact != "high" or abs(surprise) <= _MOVES_FROM:
        return 0
    if noise.draw(stream, _IGNORED_EVERY, 5) == 0:
        return 0
    size = int(_BASE_BP + _BP_PER_DEVIATION * min(abs(surprise), 3.0))
    return kind.sign * size if surprise > 0 else -kind.sign * size
