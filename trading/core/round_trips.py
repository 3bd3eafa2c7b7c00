"""Executions to round trips: from flat, through every scale-in and partial exit, to flat again.

Input: fills of one account and instrument in any order. Output: round trips in the order of their
opening. Exits close the oldest open lot first (FIFO). A fill larger than the open position is
split: one part closes, the rest opens the next round trip the other way; quantities and
commissions of the parts add up to the fill's exactly. A position that is still open at the end is
a round trip without a closing.

Quantities are in units of the instrument, prices in its quote currency, commissions signed as the
broker gave them (negative = paid). Everything is exact (`exact.py`) but two things that may have no
finite decimal text: an average price and the share of a commission. Both are rounded half-even at
20 places; the shares of one fill still add up to its commission.

Fills at one moment are taken by `sequence`, then `id`; the result does not depend on the order in
which they are given.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal

from .errors import UserError
from .exact import ZERO, difference, product, quotient, total


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """One execution. `time` is ns UTC, `side` +1 buy or -1 sell, `quantity` above zero.

    `id` is unique among the fills given together; `sequence` orders fills of one moment, as the
    source lists them. `commission` is None where the source does not tell.
    """

    id: str
    time: int
    side: int
    quantity: Decimal
    price: Decimal
    commission: Decimal | None = None
    sequence: int = 0


@dataclass(frozen=True, slots=True)
class Part:
    """What of a fill belongs to one round trip. `piece` is 0, or 1 for the part that opens the
    next round trip after a flip."""

    fill: Fill
    piece: int
    quantity: Decimal
    commission: Decimal | None

    @property
    def value(self) -> Decimal:
        return product(self.quantity, self.fill.price)


@dataclass(frozen=True, slots=True)
class Match:
    """`quantity` bought or sold at `entry_price` and given back at `exit_price`."""

    quantity: Decimal
    entry_price: Decimal
    exit_price: Decimal


@dataclass(frozen=True, slots=True)
class RoundTrip:
    """One position from flat to flat, or to the end of what is known.

    `side` is +1 long, -1 short; `parts` are in order of time, `matches` in order of closing.
    """

    side: int
    parts: tuple[Part, ...]
    matches: tuple[Match, ...]

    @property
    def entries(self) -> tuple[Part, ...]:
        return tuple(part for part in self.parts if part.fill.side == self.side)

    @property
    def exits(self) -> tuple[Part, ...]:
        return tuple(part for part in self.parts if part.fill.side != self.side)

    @property
    def quantity(self) -> Decimal:
        """All that was entered, scale-ins included."""
        return total(part.quantity for part in self.entries)

    @property
    def open_quantity(self) -> Decimal:
        return difference(self.quantity, total(part.quantity for part in self.exits))

    @property
    def is_open(self) -> bool:
        return self.open_quantity > 0

    @property
    def opened_at(self) -> int:
        return self.parts[0].fill.time

    @property
    def closed_at(self) -> int | None:
        return None if self.is_open else self.parts[-1].fill.time

    @property
    def average_entry(self) -> Decimal:
        return _average(self.entries)

    @property
    def average_exit(self) -> Decimal | None:
        """None before the first exit."""
        return _average(self.exits) if self.exits else None

    @property
    def gross_pnl(self) -> Decimal:
        """Realised before costs: the sum over matched lots."""
        return total(
            product(Decimal(self.side), m.quantity, difference(m.exit_price, m.entry_price))
            for m in self.matches
        )

    @property
    def commission(self) -> Decimal | None:
        """None when the commission of any part is unknown."""
        known = [part.commission for part in self.parts if part.commission is not None]
        return total(known) if len(known) == len(self.parts) else None


def _average(parts: tuple[Part, ...]) -> Decimal:
    first = parts[0].fill.price
    if all(part.fill.price == first for part in parts):
        return first
    return quotient(total(p.value for p in parts), total(p.quantity for p in parts))


@dataclass(slots=True)
class _Lot:
    price: Decimal
    left: Decimal


@dataclass(slots=True)
class _Position:
    """The round trip being built."""

    side: int
    parts: list[Part] = field(default_factory=list)
    matches: list[Match] = field(default_factory=list)
    lots: deque[_Lot] = field(default_factory=deque)
    size: Decimal = ZERO

    def enter(self, part: Part) -> None:
        self.parts.append(part)
        self.lots.append(_Lot(part.fill.price, part.quantity))
        self.size = total((self.size, part.quantity))

    def leave(self, part: Part) -> None:
        """Close the oldest lots with a part no larger than the position."""
        self.parts.append(part)
        self.size = difference(self.size, part.quantity)
        left = part.quantity
        while left > 0:
            lot = self.lots[0]
            closed = min(lot.left, left)
            self.matches.append(Match(closed, lot.price, part.fill.price))
            lot.left = difference(lot.left, closed)
            left = difference(left, closed)
            if lot.left == 0:
                self.lots.popleft()

    def finished(self) -> RoundTrip:
        return RoundTrip(self.side, tuple(self.parts), tuple(self.matches))


def round_trips(fills: Iterable[Fill]) -> tuple[RoundTrip, ...]:
    """The round trips of one account and instrument, by FIFO.

    A quantity that is not above zero, a side other than +1 or -1, or an id given twice is a
    UserError; no fill is dropped.
    """
    ordered = sorted(fills, key=lambda fill: (fill.time, fill.sequence, fill.id))
    _check(ordered)
    done: list[RoundTrip] = []
    position: _Position | None = None
    for fill in ordered:
        rest = Part(fill, 0, fill.quantity, fill.commission)
        if position is not None and fill.side != position.side:
            closing, opening = _split(rest, position.size)
            position.leave(closing)
            if position.size > 0:
                continue
            done.append(position.finished())
            position = None
            if opening is None:
                continue
            rest = opening
        if position is None:
            position = _Position(fill.side)
        position.enter(rest)
    if position is not None:
        done.append(position.finished())
    return tuple(done)


def _split(part: Part, size: Decimal) -> tuple[Part, Part | None]:
    """(what closes a position of `size`, what is left to open the next)."""
    left = difference(part.quantity, min(size, part.quantity))
    if left == 0:
        return part, None
    share = rest = None
    if part.commission is not None:
        share = quotient(product(part.commission, size), part.quantity)
        rest = difference(part.commission, share)
    return Part(part.fill, 0, size, share), Part(part.fill, 1, left, rest)


def _check(fills: list[Fill]) -> None:
    seen: set[str] = set()
    for fill in fills:
        if not fill.quantity.is_finite() or fill.quantity <= 0:
            raise UserError(
                "quantity", f"fill {fill.id}: the quantity is {fill.quantity}, expected above zero"
            )
        if fill.side not in (1, -1):
            raise UserError("choice", f"fill {fill.id}: the side is {fill.side}, expected 1 or -1")
        if fill.id in seen:
            raise UserError("duplicate", f"fill {fill.id} is given twice")
        seen.add(fill.id)
