"""The features: one row each, nothing that was not known at the entry."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from post_mortem.core.types import SETUPS
from trading.core.candles import F64, I64
from trading.core.sessions import SESSIONS
from trading.core.types import NS_PER_DAY, NS_PER_HOUR

from .registry import Compute, EntryFeature, Registry

Inputs = Mapping[str, F64]

_SESSION_NAMES = tuple(name for name, *_ in SESSIONS)
_TOKYO, _LONDON, _NEW_YORK = (1 << i for i in range(len(_SESSION_NAMES)))
SESSION_WORDS = (
    "in Asia",
    "in London",
    "while London and New York overlap",
    "in New York",
    "outside the main sessions",
)
WEEKDAYS = tuple(
    f"on {day}s"
    for day in ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
)
HOURS = tuple(f"between {h:02d}:00 and {h + 4:02d}:00 UTC" for h in range(0, 24, 4))
SETUP_WORDS = (
    "that claim no setup",
    *(
        f"that claim {name.upper() if len(name) == 3 else name.replace('_', ' ')}"
        for name in SETUPS
    ),
    "that claim several setups",
)


def _as_it_is(name: str) -> Compute:
    return lambda known: known[name]


def session_cell(bits: I64) -> F64:
    """Place in SESSION_WORDS. London before Asia: the hour in which both are open is London's."""
    london, new_york, tokyo = bits & _LONDON, bits & _NEW_YORK, bits & _TOKYO
    code = np.where(new_york > 0, np.where(london > 0, 2, 3), np.where(london > 0, 1, 4))
    return np.where((code == 4) & (tokyo > 0), 0.0, code)


def _session(known: Inputs) -> F64:
    return session_cell(known["sessions"].astype(np.int64))


def _weekday(known: Inputs) -> F64:
    day: F64 = (known["entry_time"] // NS_PER_DAY + 3) % 7
    return day


def _hours(known: Inputs) -> F64:
    block: F64 = (known["entry_time"] % NS_PER_DAY) // (4 * NS_PER_HOUR)
    return block


def _side(known: Inputs) -> F64:
    short: F64 = np.where(known["side"] < 0, 1.0, 0.0)
    return short


def _ratio(over: F64, under: F64) -> F64:
    ratio: F64 = np.divide(over, under, out=np.full(over.shape, np.nan), where=under > 0)
    return ratio


def _reward(known: Inputs) -> F64:
    entry = known["entry_price"]
    return _ratio(np.abs(known["target_price"] - entry), np.abs(entry - known["stop_price"]))


def _stop(known: Inputs) -> F64:
    return _ratio(np.abs(known["entry_price"] - known["stop_price"]), known["atr"])


def _trend(known: Inputs) -> F64:
    move: F64 = known["side"] * known["drift"]
    return move


def _size(known: Inputs) -> F64:
    return _ratio(known["quantity"], known["usual_quantity"])


REGISTRY = Registry(
    (
        EntryFeature(
            "session", "time", "session", "Which markets were open at the entry",
            "local clocks of Tokyo, London and New York, working days",
            ("sessions",), _session, words=SESSION_WORDS,
        ),
        EntryFeature(
            "hour", "time", "4 hours", "Time of day of the entry",
            "UTC hour in blocks of four", ("entry_time",), _hours, words=HOURS,
        ),
        EntryFeature(
            "weekday", "time", "day", "Day of the week of the entry",
            "UTC day", ("entry_time",), _weekday, words=WEEKDAYS,
        ),
        EntryFeature(
            "side", "plan", "side", "Long or short", "side of the case", ("side",), _side,
            words=("that are long", "that are short"),
        ),
        EntryFeature(
            "symbol", "plan", "symbol", "Instrument", "symbol of the market",
            ("symbol",), _as_it_is("symbol"), phrase="in {}",
        ),
        EntryFeature(
            "strategy", "plan", "strategy", "Strategy of the signal", "name as given",
            ("strategy",), _as_it_is("strategy"), phrase="of strategy {}",
        ),
        EntryFeature(
            "timeframe", "plan", "timeframe", "Timeframe of the signal", "length of its bar",
            ("timeframe",), _as_it_is("timeframe"), phrase="on {}",
        ),
        EntryFeature(
            "setup", "plan", "setup", "Setup that the signal claims", "claims as given",
            ("claimed_setups",), _as_it_is("claimed_setups"), words=SETUP_WORDS,
        ),
        EntryFeature(
            "score", "plan", "score", "Score of the signal", "0 to 100 as given",
            ("score",), _as_it_is("score"), edges=(50.0, 60.0, 70.0, 80.0),
            words=("with a score under 50", "with a score of 50 to 60", "with a score of 60 to 70",
                   "with a score of 70 to 80", "with a score of 80 or more"),
        ),
        EntryFeature(
            "reward_risk", "plan", "ratio", "Planned reward against risk",
            "|target - entry| / |entry - initial stop|",
            ("entry_price", "target_price", "stop_price"), _reward, edges=(1.0, 1.5, 2.0, 3.0),
            words=("aiming for less than 1 R", "aiming for 1 to 1.5 R", "aiming for 1.5 to 2 R",
                   "aiming for 2 to 3 R", "aiming for 3 R or more"),
        ),
        EntryFeature(
            "stop_atr", "plan", "ATR", "Distance of the stop in typical bars",
            "|entry - initial stop| / ATR14, scaled to the signal's timeframe",
            ("entry_price", "stop_price", "atr"), _stop, edges=(0.5, 1.0, 2.0, 4.0),
            words=("with a stop under half a typical bar", "with a stop of half to 1 typical bar",
                   "with a stop of 1 to 2 typical bars", "with a stop of 2 to 4 typical bars",
                   "with a stop of 4 typical bars or more"),
        ),
        EntryFeature(
            "volatility", "market", "ratio", "Volatility just before the entry",
            "root mean squared range of 12 bars / of 156 bars, time of day taken out",
            ("volatility",), _as_it_is("volatility"), edges=(0.75, 1.25, 1.75),
            words=("entered in a quiet market", "entered in usual volatility",
                   "entered in raised volatility", "entered in a wild market"),
        ),
        EntryFeature(
            "trend", "market", "deviations", "Move before the entry, in the trade's direction",
            "side x return of 48 bars / its standard deviation",
            ("side", "drift"), _trend, edges=(-1.0, -0.33, 0.33, 1.0),
            words=("entered against a clear move", "entered against a slight move",
                   "entered without a move before", "entered with a slight move",
                   "entered with a clear move"),
        ),
        EntryFeature(
            "spread", "market", "ratio", "Spread at the entry against the usual",
            "spread of the last closed bar / median of its hour over 14 days",
            ("spread",), _as_it_is("spread"), edges=(0.8, 1.25, 2.0),
            words=("entered at a narrow spread", "entered at the usual spread",
                   "entered at a wide spread", "entered at twice the usual spread or more"),
        ),
        EntryFeature(
            "next_release", "news", "minutes", "Time to the next high-impact release",
            "minutes to the next scheduled release, at most a day",
            ("next_release",), _as_it_is("next_release"), edges=(15.0, 60.0, 240.0),
            words=("entered within 15 min before a high-impact release",
                   "entered 15 to 60 min before a high-impact release",
                   "entered 1 to 4 h before a high-impact release",
                   "with no high-impact release in the next 4 h"),
        ),
        EntryFeature(
            "last_release", "news", "minutes", "Time since the last high-impact release",
            "minutes since the last scheduled release, at most a day",
            ("last_release",), _as_it_is("last_release"), edges=(15.0, 60.0, 240.0),
            words=("entered within 15 min after a high-impact release",
                   "entered 15 to 60 min after a high-impact release",
                   "entered 1 to 4 h after a high-impact release",
                   "with no high-impact release in the 4 h before"),
        ),
        EntryFeature(
            "setup_record", "record", "share", "How the claimed setups did before",
            "share of wins among their earlier results on this market, from 5 on",
            ("setup_record",), _as_it_is("setup_record"), edges=(0.35, 0.5, 0.65),
            words=("of setups that seldom won before", "of setups that won 35 to 50 of 100 before",
                   "of setups that won 50 to 65 of 100 before", "of setups that mostly won before"),
        ),
        EntryFeature(
            "recent_record", "record", "share", "How the model did lately",
            "share of wins among the last 20 results of the same model, from 5 on",
            ("recent_record",), _as_it_is("recent_record"), edges=(0.35, 0.5, 0.65),
            words=("after mostly losses of the model", "after rather losses of the model",
                   "after rather wins of the model", "after mostly wins of the model"),
        ),
        EntryFeature(
            "size", "behaviour", "ratio", "Size against the usual",
            "size at the entry / median of the last 20 trades, from 10 on",
            ("quantity", "usual_quantity"), _size, edges=(0.67, 1.5, 2.0),
            words=("smaller than usual", "of the usual size", "half again the usual size",
                   "twice the usual size or more"),
        ),
        EntryFeature(
            "trades_before", "behaviour", "count", "How many trades were closed just before",
            "trades closed in the 8 hours before the entry",
            ("trades_before",), _as_it_is("trades_before"), edges=(0.5, 2.5, 5.5),
            words=("with no trade closed in the 8 h before", "after 1 or 2 trades within 8 h",
                   "after 3 to 5 trades within 8 h", "after 6 or more trades within 8 h"),
        ),
        EntryFeature(
            "since_loss", "behaviour", "minutes", "Time since the last losing trade",
            "minutes since the last trade closed at a loss, at most a week",
            ("since_loss",), _as_it_is("since_loss"), edges=(15.0, 60.0, 480.0),
            words=("entered within 15 min after a loss", "entered 15 to 60 min after a loss",
                   "entered 1 to 8 h after a loss", "with no loss in the 8 h before"),
        ),
    )
)  # fmt: skip
