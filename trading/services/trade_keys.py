"""Natural keys of imported rows: what makes two imports of one fill or trade the same.

A key is a letter, 48 hex digits of what the *file* says, a dot, and how many identical rows stand
before it: `f…` a fill, `t…` a round trip with its `i…` entry and `o…` exit, `e…` a signal, `s` and
the trade's key the signal made for a trade. What a user may edit is never part of one. The second
part of a fill that closes one trade and opens the next carries the fill's key and `SPLIT`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from decimal import Decimal

from trading.fields import decimal_text
from trading.importers.signals import SignalRow
from trading.importers.trades_contract import FillRow, TripRow

SPLIT = "x"
_DIGITS = 48


def _hash(letter: str, *facts: object) -> str:
    text = "\x1f".join(map(_text, facts))
    return letter + hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]


def _text(fact: object) -> str:
    if isinstance(fact, Decimal):
        plain = decimal_text(fact)
        return (plain.rstrip("0").rstrip(".") or "0") if "." in plain else plain
    return str(fact)


def fill_base(row: FillRow, symbol: str) -> str:
    """The execution id, else time, side, quantity and price. `symbol` is the canonical one."""
    if row.external_id:
        return _hash("f", "id", symbol, row.external_id)
    return _hash("f", symbol, row.time, row.side, row.quantity, row.price)


def entry_base(row: TripRow, symbol: str) -> str:
    """The trade's id, else all that is known when it is opened."""
    if row.external_id:
        return _hash("i", "id", symbol, row.external_id)
    facts = (row.side, row.opened_at, row.entry_price, row.quantity, row.strategy)
    return _hash("i", symbol, *facts)


def trip_base(row: TripRow, symbol: str) -> str:
    """An open trade is its entry; a closed one its entry and its exit."""
    exit_facts = (row.closed_at, row.exit_price, row.quantity) if row.closed_at is not None else ()
    return _hash("t", entry_base(row, symbol), *exit_facts)


def exit_key(trip_key: str) -> str:
    return "o" + trip_key[1:]


def signal_key_of_trade(trade_key: str) -> str:
    return "s" + trade_key


def signal_key(row: SignalRow, symbol: str) -> str:
    """The signal's id, else what it proposes."""
    if row.external_id:
        return _hash("e", "id", row.external_id)
    facts = (row.time, row.timeframe, row.side, row.entry, row.strategy, row.model_version)
    return _hash("e", symbol, *facts)


def numbered(base: str, number: int) -> str:
    return f"{base}.{number}"


def base_of(key: str) -> str:
    return key.partition(".")[0]


def whole_fill(key: str) -> str:
    """The key of the fill that this part belongs to."""
    return key.removesuffix(SPLIT)


class FreeNumbers:
    """Hands out the lowest number not yet used with a base."""

    def __init__(self, keys: Iterable[str]) -> None:
        self._used: dict[str, set[int]] = {}
        for key in keys:
            base, _, number = whole_fill(key).partition(".")
            self._used.setdefault(base, set()).add(int(number))

    def take(self, base: str) -> str:
        """A key of this base that is not in use; it is used from now on."""
        used = self._used.setdefault(base, set())
        number = next(n for n in range(len(used) + 1) if n not in used)
        used.add(number)
        return numbered(base, number)
