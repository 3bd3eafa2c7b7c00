"""What happens to the simulated market besides noise: every event has a beginning and an end.

An event is a set of effects on factors (a currency, a pair's own noise, or bitcoin). An effect
multiplies the noise of a span and adds a steady move to it, so a market without one event is the
same market elsewhere: that is how a planted cause is proved.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from .calendar import YEAR, Release, releases

START = datetime(YEAR, 6, 1, tzinfo=UTC)
END = datetime(YEAR, 8, 31, tzinfo=UTC)
BAR_SECONDS = 300
STEPS_PER_BAR = 10
STEP_SECONDS = BAR_SECONDS // STEPS_PER_BAR
STEPS_PER_HOUR = 3600 // STEP_SECONDS
UNITS_PER_BP = 100_000  # factors move in units of 1e-9

NEWS, TURBULENCE, REGIME, GAP, SHOCK = "news", "turbulence", "regime", "gap", "shock"


@dataclass(frozen=True, slots=True)
class Effect:
    """On steps [first, last) of a factor: noise times `multiplier`, plus `move` units each step."""

    factor: str
    first: int
    last: int
    multiplier: float = 1.0
    move: int = 0


@dataclass(frozen=True, slots=True)
class Event:
    """`first`..`last` is the span (steps) in which a trade can be hurt by it. `volume` scales the
    ticks of the bars it touches on `factor`, `spread` widens their spread."""

    key: str
    kind: str
    factor: str
    first: int
    last: int
    effects: tuple[Effect, ...]
    volume: float = 1.0
    spread: float = 1.0


def step_of(moment: datetime) -> int:
    """Whole steps from the start of the simulation."""
    return int((moment - START).total_seconds()) // STEP_SECONDS


def _at(text: str) -> int:
    return step_of(datetime.strptime(f"{YEAR}-{text}", "%Y-%m-%d %H:%M").replace(tzinfo=UTC))


# factor, start, hours, noise multiplier
_TURBULENCES = (
    ("JPY", "06-18 10:00", 4, 4.2), ("AUD", "07-03 02:00", 4, 4.2),
    ("JPY", "07-09 10:00", 4, 4.2), ("BTC", "07-12 10:00", 5, 3.2),
    ("GBP", "07-15 12:00", 4, 4.2), ("EUR", "07-21 13:00", 4, 4.2),
    ("EUR", "07-28 12:00", 4, 4.2), ("GBP", "08-12 02:00", 4, 4.2),
    ("AUD", "08-21 09:00", 4, 4.2), ("JPY", "08-27 10:00", 4, 4.2),
)  # fmt: skip

# factor, trend begins, turns, ends, direction of the trend, basis points an hour before and after
_REGIMES = (
    ("EUR", "06-14 22:00", "06-15 11:00", "06-15 17:00", 1, 5, 13),
    ("GBP", "06-28 22:00", "06-29 11:30", "06-29 17:30", -1, 5, 14),
    ("AUD", "07-06 22:00", "07-07 09:00", "07-07 15:00", 1, 6, 14),
    ("JPY", "07-19 22:00", "07-20 08:00", "07-20 14:00", -1, 6, 13),
    ("EUR", "08-02 22:00", "08-03 10:30", "08-03 16:30", -1, 5, 13),
    ("GBP", "08-09 22:00", "08-10 10:00", "08-10 16:00", 1, 5, 14),
    ("AUD", "08-16 22:00", "08-17 09:00", "08-17 15:00", -1, 6, 14),
    ("EUR", "08-23 22:00", "08-24 11:00", "08-24 17:00", 1, 5, 13),
)  # fmt: skip

# pair, time, basis points
_GAPS = (
    ("EURUSD", "06-09 21:10", -10), ("GBPUSD", "07-08 21:05", 9), ("AUDUSD", "07-22 21:15", -15),
    ("USDJPY", "08-12 21:10", 9), ("EURUSD", "08-19 21:05", 10),
)  # fmt: skip

# factor, time, basis points: no release anywhere near
_SHOCKS = (
    ("USD", "06-08 10:25", 22), ("USD", "06-23 15:20", -24), ("USD", "07-22 09:40", 22),
    ("USD", "08-20 15:10", -23),
)  # fmt: skip


def _news(release: Release) -> Event:
    """Nine tenths of the move within two minutes, the rest within ten, then an hour of unrest."""
    first = step_of(release.time)
    total = release.move_bp * UNITS_PER_BP
    effects = [
        Effect(release.currency, first, first + 4, 1.5, total * 9 // 10 // 4),
        Effect(release.currency, first + 4, first + 20, 1.5, total // 10 // 16),
        Effect(release.currency, first + 20, first + STEPS_PER_HOUR, 1.2),
    ]
    if release.currency == "USD":
        effects.append(Effect("BTC", first, first + 4, 1.5, -total * 2 // 4))
    key = f"{NEWS} {release.currency} {release.time:%m-%d %H:%M}"
    last = first + STEPS_PER_HOUR
    return Event(key, NEWS, release.currency, first, last, tuple(effects), 2.5, 3.0)


def _turbulence(factor: str, start: str, hours: int, multiplier: float) -> Event:
    """The noise grows over half an hour, so that no single bar stands out."""
    first, last = _at(start), _at(start) + hours * STEPS_PER_HOUR
    ramp, half = STEPS_PER_HOUR // 4, 1 + (multiplier - 1) / 2
    effects = (
        Effect(factor, first, first + ramp, half),
        Effect(factor, first + ramp, last - ramp, multiplier),
        Effect(factor, last - ramp, last, half),
    )
    return Event(f"{TURBULENCE} {factor} {start}", TURBULENCE, factor, first, last, effects, 1.6)


def _regime(
    factor: str, start: str, turn: str, end: str, side: int, before: int, after: int
) -> tuple[Event, Event]:
    """The trend and its end are two events: without the end, the trend goes on."""
    first, turned, last = _at(start), _at(turn), _at(end)
    up = side * before * UNITS_PER_BP // STEPS_PER_HOUR
    down = -side * (before + after) * UNITS_PER_BP // STEPS_PER_HOUR
    trend = Event(
        f"trend {factor} {start}", "trend", factor, first, last,
        (Effect(factor, first, last, 1.0, up),),
    )  # fmt: skip
    over = Event(
        f"{REGIME} {factor} {turn}", REGIME, factor, turned, last,
        (Effect(factor, turned, last, 1.0, down),),
    )  # fmt: skip
    return trend, over


def _gap(pair: str, when: str, size_bp: int) -> Event:
    """The first price of a bar is far from the last of the bar before, with hardly a trade."""
    first = _at(when)
    effects = (Effect(pair, first, first + 1, 1.0, size_bp * UNITS_PER_BP),)
    last = first + 3 * STEPS_PER_BAR
    return Event(f"{GAP} {pair} {when}", GAP, pair, first, last, effects, 0.1, 4.0)


def _shock(factor: str, when: str, size_bp: int) -> Event:
    first = _at(when)
    move = size_bp * UNITS_PER_BP // 6
    effects = (
        Effect(factor, first, first + 6, 1.2, move),
        Effect("BTC", first, first + 6, 1.2, -2 * move),
    )
    last = first + STEPS_PER_HOUR // 2
    return Event(f"{SHOCK} {factor} {when}", SHOCK, factor, first, last, effects, 2.0, 1.5)


def events() -> tuple[Event, ...]:
    """Every event of the simulation, sorted by its beginning."""
    made = [_news(release) for release in releases() if release.move_bp]
    made += [_turbulence(*row) for row in _TURBULENCES]
    made += [event for row in _REGIMES for event in _regime(*row)]
    made += [_gap(*row) for row in _GAPS]
    made += [_shock(*row) for row in _SHOCKS]
    return tuple(sorted(made, key=lambda e: (e.first, e.key)))
