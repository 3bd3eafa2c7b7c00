"""Which trades a piece of advice is about, and which of them broke it.

`covers` names the trades on which the advice would show: a rule against trading at releases shows
in the results of every market that these releases move, not in the few trades it forbids. Their
results before and after are what is measured. `breaks` names the trades that did what the rule
forbids; for many rules the records cannot tell, and then it says so.

Every answer is YES, NO or UNTOLD: a trade of a time without a calendar is neither inside nor
outside of a release.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from trading.core.candles import F64, I64
from trading.core.errors import UserError
from trading.core.instruments import news_currencies
from trading.core.sessions import SESSIONS, session_bits
from trading.core.types import NS_PER_DAY, NS_PER_HOUR, NS_PER_MINUTE

from .attribution.catalogue import SESSION_WORDS, session_cell
from .types import I8, NO_TIME, SETUPS, Bool

YES, NO, UNTOLD = 1, 0, -1
ANY: Final = "any"
STAND_ASIDE: Final = "stand_aside"
"""Take no trade of a kind that was found to lose; its scope names the kind."""
BLACKOUT_NS: Final = 15 * NS_PER_MINUTE
COOLDOWN_NS: Final = 30 * NS_PER_MINUTE
MAX_VALUE: Final = 120
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_SESSION_NAMES = tuple(name for name, *_ in SESSIONS)
# What a scope may say besides the names of markets, strategies and setups.
CHOICES: Mapping[str, tuple[str, ...]] = {
    "side": ("long", "short"),
    "session": (*_SESSION_NAMES, "none"),
    "weekday": tuple("1234567"),
    "hour": (
        *(str(hour) for hour in range(24)),
        *(f"{hour}-{hour + 3}" for hour in range(0, 24, 4)),
    ),
    "open": ("asia", "london", "overlap", "new_york", "outside"),
    "impact": ("high",),
}
KEYS: Final = ("symbol", "strategy", "setup", "currency", *CHOICES)


@dataclass(frozen=True, slots=True, eq=False)
class Releases:
    """High-impact releases (ns UTC, rising) and the spans that a calendar covers, by currency."""

    times: Mapping[str, I64]
    spans: Mapping[str, tuple[I64, I64]]


@dataclass(frozen=True, slots=True, eq=False)
class TradeColumns:
    """N trades of one account, in any order. Times ns UTC, `closed` NO_TIME while open; `result`
    has the sign of the net result, NaN unknown; `symbol`, `strategy` and `setups` index their
    names, a setup list of None is not known; stops and entries are prices, NaN unknown."""

    opened: I64
    closed: I64
    side: I8
    result: F64
    symbol: I64
    symbols: tuple[str, ...]
    strategy: I64
    strategies: tuple[str, ...]
    setups: I64
    setup_lists: tuple[tuple[str, ...] | None, ...]
    entry: F64
    stop_initial: F64
    stop_final: F64
    releases: Releases

    def __len__(self) -> int:
        return int(self.opened.size)


def scope_id(kind: str, scope: Mapping[str, str]) -> str:
    """The scope as text that a frozen plan carries."""
    return kind + json.dumps(dict(scope), sort_keys=True, separators=(",", ":"))


def check(scope: Mapping[str, object]) -> dict[str, str]:
    """The scope with its values checked. Raises UserError `bad_scope` naming what is wrong."""
    for key, value in scope.items():
        if key not in KEYS:
            raise _bad(f"{key!r} is not known; expected some of {', '.join(KEYS)}")
        if not isinstance(value, str) or not value.strip() or len(value) > MAX_VALUE:
            raise _bad(f"{key}: expected text of at most {MAX_VALUE} characters")
        allowed = CHOICES.get(key)
        if allowed and value != ANY and value not in allowed:
            raise _bad(f"{key}: expected one of {', '.join(allowed)}")
        if key == "setup" and value != ANY and set(value.split("+")) - set(SETUPS):
            raise _bad(f"setup: expected names joined by +, of {', '.join(SETUPS)}")
    return {key: str(value) for key, value in scope.items()}


def _bad(detail: str) -> UserError:
    return UserError("bad_scope", f"The scope: {detail}.", field="scope")


# --- covers ---------------------------------------------------------------------------------------
def covers(kind: str, scope: Mapping[str, str], trades: TradeColumns) -> I8:
    """Whether each trade is one on which the advice would show, shape (N,)."""
    found = np.full(len(trades), YES, np.int8)
    for key, value in scope.items():
        if value == ANY or key == "impact" or not _shows_by(kind, key):
            continue
        test = _TESTS.get(key)
        found = both(found, test(trades, value) if test else np.full(len(trades), UNTOLD, np.int8))
    if kind == "loss_cooldown":
        found = both(found, _after_a_loss(trades)[0])
    return found


def _shows_by(kind: str, key: str) -> bool:
    """Leaving a kind of trades out shows in the results of its market, strategy and side, not in
    the trades left out."""
    if kind == STAND_ASIDE:
        return key in ("symbol", "strategy", "side")
    return not (kind == "pause_setup" and key == "setup")


def both(one: I8, other: I8) -> I8:
    """YES where both are, NO where one is NO, else UNTOLD."""
    no = (one == NO) | (other == NO)
    yes = (one == YES) & (other == YES)
    return np.where(no, NO, np.where(yes, YES, UNTOLD)).astype(np.int8)


def _of(mask: Bool) -> I8:
    return np.where(mask, YES, NO).astype(np.int8)


def _named(codes: I64, names: tuple[str, ...], wanted: Callable[[str], bool]) -> I8:
    table = np.array([wanted(name) for name in names] or [False], np.bool_)
    return _of(table[codes] if codes.size else np.zeros(0, np.bool_))


def _symbol(trades: TradeColumns, value: str) -> I8:
    return _named(trades.symbol, trades.symbols, lambda name: name == value)


def _strategy(trades: TradeColumns, value: str) -> I8:
    return _named(trades.strategy, trades.strategies, lambda name: name == value)


def _currency(trades: TradeColumns, value: str) -> I8:
    return _named(trades.symbol, trades.symbols, lambda name: value in news_currencies(name))


def _setup(trades: TradeColumns, value: str) -> I8:
    wanted = set(value.split("+"))
    answers = [
        UNTOLD if claimed is None else YES if wanted <= set(claimed) else NO
        for claimed in trades.setup_lists
    ]
    return np.array(answers or [UNTOLD], np.int8)[trades.setups] if len(trades) else _none()


def _side(trades: TradeColumns, value: str) -> I8:
    return _of(trades.side == (1 if value == "long" else -1))


def _session(trades: TradeColumns, value: str) -> I8:
    bits = session_bits(trades.opened)
    if value not in _SESSION_NAMES:
        return _of(bits == 0)
    return _of((bits >> _SESSION_NAMES.index(value) & 1) == 1)


def _weekday(trades: TradeColumns, value: str) -> I8:
    return _of((trades.opened // NS_PER_DAY + 3) % 7 + 1 == int(value))


def _hour(trades: TradeColumns, value: str) -> I8:
    first, last = _hours(value)
    hour = trades.opened % NS_PER_DAY // NS_PER_HOUR
    return _of((hour >= first) & (hour <= last))


def _hours(value: str) -> tuple[int, int]:
    """First and last hour of `8` or `8-11`."""
    first, _, last = value.partition("-")
    return int(first), int(last or first)


def _open(trades: TradeColumns, value: str) -> I8:
    """The one of the cells of `attribution/catalogue.py` that parts a day."""
    bits = session_bits(trades.opened).astype(np.int64)
    return _of(session_cell(bits) == CHOICES["open"].index(value))


def _none() -> I8:
    return np.zeros(0, np.int8)


_TESTS: Mapping[str, Callable[[TradeColumns, str], I8]] = {
    "symbol": _symbol,
    "strategy": _strategy,
    "setup": _setup,
    "currency": _currency,
    "side": _side,
    "session": _session,
    "weekday": _weekday,
    "hour": _hour,
    "open": _open,
}


# --- breaks ---------------------------------------------------------------------------------------
def breaks(kind: str, scope: Mapping[str, str], trades: TradeColumns) -> I8 | None:
    """Whether each trade did what the rule forbids; None where no record could tell for any."""
    rule = _RULES.get(kind)
    if rule is None:
        return None
    return both(covers(kind, scope, trades), rule(scope, trades))


def _near_release(scope: Mapping[str, str], trades: TradeColumns) -> I8:
    """Opened at most 15 minutes before or after a high-impact release of its market."""
    found = np.full(len(trades), NO, np.int8)
    only = scope.get("currency", ANY)
    for code, symbol in enumerate(trades.symbols):
        rows = np.flatnonzero(trades.symbol == code)
        mine = [c for c in news_currencies(symbol) if only in (ANY, c)]
        if not mine:
            found[rows] = UNTOLD if not news_currencies(symbol) else NO
        for currency in mine:
            near = _near(trades.releases, currency, trades.opened[rows])
            # One release near by is enough; without any, each calendar must say so.
            found[rows] = np.where(
                (near == YES) | (found[rows] == YES), YES, np.minimum(found[rows], near)
            )
    return found


def _near(releases: Releases, currency: str, at: I64) -> I8:
    times = releases.times.get(currency, np.zeros(0, np.int64))
    after = np.searchsorted(times, at - BLACKOUT_NS, side="left")
    near = after < np.searchsorted(times, at + BLACKOUT_NS, side="right")
    starts, ends = releases.spans.get(currency, (np.zeros(0, np.int64), np.zeros(0, np.int64)))
    told = ((starts[None, :] <= at[:, None]) & (at[:, None] <= ends[None, :])).any(axis=1)
    return np.where(near, YES, np.where(told, NO, UNTOLD)).astype(np.int8)


def _paused(scope: Mapping[str, str], trades: TradeColumns) -> I8:
    value = scope.get("setup", ANY)
    return np.full(len(trades), YES, np.int8) if value == ANY else _setup(trades, value)


def _taken(scope: Mapping[str, str], trades: TradeColumns) -> I8:
    """Is of the kind to stand aside from, by everything that the scope names."""
    found = np.full(len(trades), YES, np.int8)
    for key, value in scope.items():
        test = _TESTS.get(key)
        found = both(found, test(trades, value) if test else np.full(len(trades), UNTOLD, np.int8))
    return found


def _too_soon(scope: Mapping[str, str], trades: TradeColumns) -> I8:
    """Opened within half an hour after the last closed trade lost."""
    after, gap = _after_a_loss(trades)
    soon = _of(gap <= COOLDOWN_NS)
    return both(after, soon)


def _stop_widened(scope: Mapping[str, str], trades: TradeColumns) -> I8:
    known = np.isfinite(trades.stop_initial) & np.isfinite(trades.stop_final)
    with np.errstate(invalid="ignore"):
        wider = (trades.stop_initial - trades.stop_final) * trades.side > 0
    return np.where(known, np.where(wider, YES, NO), UNTOLD).astype(np.int8)


def _after_a_loss(trades: TradeColumns) -> tuple[I8, I64]:
    """(whether the last trade closed by each entry lost, ns between that close and the entry)."""
    ended = np.flatnonzero(trades.closed != NO_TIME)
    order = ended[np.lexsort((trades.opened[ended], trades.closed[ended]))]
    closed, result = trades.closed[order], trades.result[order]
    last = np.searchsorted(closed, trades.opened, side="right") - 1
    there = last >= 0
    at = np.maximum(last, 0)
    if not order.size:
        return np.full(len(trades), NO, np.int8), np.zeros(len(trades), np.int64)
    # A trade that closed in the moment it opened is not the one before itself.
    last = last - (there & (order[at] == np.arange(len(trades))))
    there, at = last >= 0, np.maximum(last, 0)
    known = np.isfinite(result[at])
    lost = np.where(known, np.where(result[at] < 0, YES, NO), UNTOLD)
    return np.where(there, lost, NO).astype(np.int8), trades.opened - closed[at]


_RULES: Mapping[str, Callable[[Mapping[str, str], TradeColumns], I8]] = {
    "news_blackout": _near_release,
    "pause_setup": _paused,
    STAND_ASIDE: _taken,
    "loss_cooldown": _too_soon,
    "never_widen_stop": _stop_widened,
}
# Rules that mean "do not take this trade": leaving the trades out says what that would have made.
SKIPS: Final = frozenset({"news_blackout", "pause_setup", "loss_cooldown", STAND_ASIDE})
_BROKEN = {
    "news_blackout": "opened at most 15 min before or after a high-impact release",
    "loss_cooldown": "opened within 30 min after a loss",
    "never_widen_stop": "with a stop that ended further away than it began",
}


# --- words ----------------------------------------------------------------------------------------
def sentence(kind: str, scope: Mapping[str, str]) -> str:
    """The trades covered, as a person would say it."""
    parts = [
        write(scope[key])
        for key, write in _WORDS.items()
        if scope.get(key, ANY) != ANY and _shows_by(kind, key)
    ]
    unknown = [key for key in scope if key not in KEYS and _shows_by(kind, key)]
    if unknown:
        return f"Cannot be told from the records: {', '.join(sorted(unknown))}."
    first = "Trades taken while the last closed trade was a loss" if kind == "loss_cooldown" else ""
    head = first or ("Trades" if parts else "All trades of the account")
    return " ".join((head, *parts)) + "."


def broken_sentence(kind: str, scope: Mapping[str, str]) -> str:
    """Which of them broke the rule; empty where the records cannot tell."""
    if kind == "pause_setup":
        setup = scope.get("setup", ANY)
        return "any of them" if setup == ANY else f"claiming {_setups(setup)}"
    if kind == STAND_ASIDE:
        return _kept_from(scope)
    return _BROKEN.get(kind, "")


def _kept_from(scope: Mapping[str, str]) -> str:
    """Empty where a key is none that the records of trades could tell."""
    if any(key not in _TESTS for key in scope):
        return ""
    parts = [write(scope[key]) for key, write in _WORDS.items() if key in scope]
    return " ".join(parts)


def _setups(value: str) -> str:
    return " and ".join(name.replace("_", " ") for name in value.split("+"))


_WORDS: Mapping[str, Callable[[str], str]] = {
    "side": lambda v: v,
    "strategy": lambda v: f"of the strategy {v}",
    "setup": lambda v: f"that claim {_setups(v)}",
    "symbol": lambda v: f"in {v}",
    "currency": lambda v: f"in markets that {v} news moves",
    "session": lambda v: (
        "opened in no session" if v == "none" else f"opened in the {v.replace('_', ' ')} session"
    ),
    "weekday": lambda v: f"opened on {_WEEKDAYS[int(v) - 1]}s (UTC)",
    "hour": lambda v: "opened from {:02d}:00 to {:02d}:59 UTC".format(*_hours(v)),
    "open": lambda v: f"opened {SESSION_WORDS[CHOICES['open'].index(v)]}",
}
