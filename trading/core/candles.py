"""Candle columns, their packed form at rest, and digests of what was read.

A `Candles` record is a struct of arrays, sorted by strictly increasing bar-open time. Prices are
int64 half-points (see `types.py`). A quote series (bid and ask) carries both sides; its open,
high, low and close are the mid. `spread` is ask minus bid at the close of the bar.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

import numpy as np
from numpy.typing import NDArray

from .errors import OperatorError, UserError
from .types import HALF_POINTS_PER_POINT, SeriesKind

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]

# A level written by a program that prints binary floats can miss its grid price by a few 1e-13.
# Anything this close to a grid price is that price; anything further away is off the grid.
GRID_TOLERANCE = Decimal("0.000001")


@dataclass(frozen=True, slots=True, eq=False)
class Quotes:
    """Bid and ask of a quote series, int64 half-points, same length as the candles."""

    bid_open: I64
    bid_high: I64
    bid_low: I64
    bid_close: I64
    ask_open: I64
    ask_high: I64
    ask_low: I64
    ask_close: I64

    def rows(self, where: slice | I64 | NDArray[np.bool_]) -> Quotes:
        return Quotes(*(getattr(self, name)[where] for name in QUOTE_COLUMNS))


QUOTE_COLUMNS = (
    "bid_open",
    "bid_high",
    "bid_low",
    "bid_close",
    "ask_open",
    "ask_high",
    "ask_low",
    "ask_close",
)


@dataclass(frozen=True, slots=True, eq=False)
class Candles:
    """Bars of one series. All arrays have length n; times are ns UTC of the bar's open."""

    time: I64
    open: I64
    high: I64
    low: I64
    close: I64
    volume: F64 | None = None  # NaN on bars whose volume is not known
    spread: I64 | None = None
    quotes: Quotes | None = None
    residue: NDArray[np.int8] | None = None
    """Where binary prices were given: two bits a price (see `residue_sign`), None = all exact."""

    def __len__(self) -> int:
        return int(self.time.shape[0])

    def rows(self, where: slice | I64 | NDArray[np.bool_]) -> Candles:
        """The same columns at a slice, mask or index array."""
        return Candles(
            self.time[where],
            self.open[where],
            self.high[where],
            self.low[where],
            self.close[where],
            None if self.volume is None else self.volume[where],
            None if self.spread is None else self.spread[where],
            None if self.quotes is None else self.quotes.rows(where),
            None if self.residue is None else self.residue[where],
        )

    def known_volume(self) -> F64:
        """Volume of every bar, NaN where it is not known."""
        return np.full(self.time.shape, np.nan) if self.volume is None else self.volume

    def between(self, start_ns: int, end_ns: int) -> Candles:
        """Bars whose open lies in [start, end)."""
        lo, hi = np.searchsorted(self.time, (start_ns, end_ns))
        return self.rows(slice(int(lo), int(hi)))


RESIDUE_COLUMNS = ("open", "high", "low", "close")


def pack_residue(signs: list[NDArray[np.int8]]) -> NDArray[np.int8] | None:
    """Residue of the four prices: each -1, 0 or +1 where the price as given lies below, on or
    above the decimal that is stored. None when every price is exact.

    Sources that hold binary floats write 0.00004919000000000001 for 0.00004919. The decimal is
    what is stored; the sign is kept so that a fill is compared with the candle as it was given.
    """
    if not any(sign.any() for sign in signs):
        return None
    packed = np.zeros(signs[0].shape, np.int8)
    for place, sign in enumerate(signs):
        packed |= ((sign.astype(np.int8) & 3) << (2 * place)).astype(np.int8)
    return packed


def residue_sign(candles: Candles, column: str) -> NDArray[np.int8]:
    """-1, 0 or +1 for every bar: where the given price of `column` lies from the stored one."""
    if candles.residue is None:
        return np.zeros(len(candles), np.int8)
    bits = (candles.residue >> (2 * RESIDUE_COLUMNS.index(column))) & 3
    return np.where(bits == 3, -1, bits).astype(np.int8)


def empty_candles() -> Candles:
    zero = np.zeros(0, np.int64)
    return Candles(zero, zero, zero, zero, zero)


def from_quotes(time: I64, quotes: Quotes, volume: F64 | None = None) -> Candles:
    """Candles of a quote series: mid = (bid + ask) / 2, exact on the half-point grid.

    Bid and ask must be whole points (even half-points), so the mid is a whole half-point.
    The mid's high and low are the mids of the sides' highs and lows: an approximation that every
    vendor of mid candles makes; outcomes are decided on the sides, not on the mid.
    """

    def mid(name: str) -> I64:
        bid: I64 = getattr(quotes, f"bid_{name}")
        ask: I64 = getattr(quotes, f"ask_{name}")
        return (bid + ask) // 2

    return Candles(
        time,
        mid("open"),
        mid("high"),
        mid("low"),
        mid("close"),
        volume,
        quotes.ask_close - quotes.bid_close,
        quotes,
    )


def mirror(candles: Candles) -> Candles:
    """The series seen upside down: prices negated, high and low (and bid and ask) swapped.

    A short on a series is a long on its mirror, so the replay knows only longs.
    """
    quotes = candles.quotes
    flipped = None
    if quotes is not None:
        flipped = Quotes(
            -quotes.ask_open,
            -quotes.ask_low,
            -quotes.ask_high,
            -quotes.ask_close,
            -quotes.bid_open,
            -quotes.bid_low,
            -quotes.bid_high,
            -quotes.bid_close,
        )
    return replace(
        candles,
        open=-candles.open,
        high=-candles.low,
        low=-candles.high,
        close=-candles.close,
        quotes=flipped,
        residue=None,
    )


def to_half_points(price: Decimal, point: Decimal, toward: str) -> int:
    """A price level as an integer bound on half-points.

    `toward` is 'floor' (touched when a price is at or below it) or 'ceil' (at or above it), which
    keeps every comparison with integer candle prices exact even for a level off the grid.
    """
    scaled = price * HALF_POINTS_PER_POINT / point
    nearest = scaled.to_integral_value()
    if abs(scaled - nearest) <= GRID_TOLERANCE:
        return int(nearest)
    rounding = {"floor": ROUND_FLOOR, "ceil": ROUND_CEILING}[toward]
    return int(scaled.to_integral_value(rounding=rounding))


def half_points_to_price(value: int, point: Decimal) -> Decimal:
    """Decimal price of an integer number of half-points."""
    return (Decimal(value) * point / HALF_POINTS_PER_POINT).normalize() + Decimal(0)


# --- at rest -----------------------------------------------------------------------------------

_PRICE_COLUMNS = ("open", "high", "low", "close")
_VOLUME_FOLLOWS = 1
_RESIDUE_FOLLOWS = 2


def pack(candles: Candles, kind: SeriesKind | str) -> bytes:
    """Pack columns little-endian: time i64, prices i32 (points; half-points for mids), volume f64.

    The first byte says whether volumes and residues (i8) follow. A price that does not fit is a
    UserError, never wrapped around.
    """
    head = _VOLUME_FOLLOWS if candles.volume is not None else 0
    head |= _RESIDUE_FOLLOWS if candles.residue is not None else 0
    parts = [bytes([head])]
    parts.append(candles.time.astype("<i8").tobytes())
    divisor = 1 if kind == SeriesKind.MID else HALF_POINTS_PER_POINT
    for column in _price_arrays(candles, kind):
        stored = column // divisor
        if divisor == HALF_POINTS_PER_POINT and bool(np.any(column % divisor)):
            raise UserError("precision", "a price lies between two points of its series")
        if stored.size and (stored.max() >= 2**31 or stored.min() < -(2**31)):
            raise UserError("out_of_range", "a price is too large for the point of its series")
        parts.append(stored.astype("<i4").tobytes())
    if candles.volume is not None:
        parts.append(candles.volume.astype("<f8").tobytes())
    if candles.residue is not None:
        parts.append(candles.residue.tobytes())
    return b"".join(parts)


def unpack(blob: bytes, n: int, kind: SeriesKind | str) -> Candles:
    """Inverse of `pack`. A blob of the wrong length raises OperatorError (corrupt chunk)."""
    sides = 8 if kind == SeriesKind.BID_ASK else 4
    head = blob[0] if blob else 0
    has_volume, has_residue = head & _VOLUME_FOLLOWS, head & _RESIDUE_FOLLOWS
    expected = 1 + n * (8 + 4 * sides + (8 if has_volume else 0) + (1 if has_residue else 0))
    if len(blob) != expected:
        raise OperatorError(
            "corrupt_chunk", f"a candle chunk holds {len(blob)} bytes, expected {expected}"
        )
    time = np.frombuffer(blob, "<i8", n, 1).astype(np.int64)
    factor = 1 if kind == SeriesKind.MID else HALF_POINTS_PER_POINT
    offset = 1 + 8 * n
    columns = []
    for _ in range(sides):
        columns.append(np.frombuffer(blob, "<i4", n, offset).astype(np.int64) * factor)
        offset += 4 * n
    volume = np.frombuffer(blob, "<f8", n, offset).astype(np.float64) if has_volume else None
    residue = np.frombuffer(blob, np.int8, n, len(blob) - n).copy() if has_residue else None
    if kind == SeriesKind.BID_ASK:
        return from_quotes(time, Quotes(*columns), volume)
    opens, highs, lows, closes = columns
    return Candles(time, opens, highs, lows, closes, volume, residue=residue)


def _price_arrays(candles: Candles, kind: SeriesKind | str) -> list[I64]:
    if kind == SeriesKind.BID_ASK:
        if candles.quotes is None:
            raise UserError("missing_columns", "a quote series needs bid and ask columns")
        return [getattr(candles.quotes, name) for name in QUOTE_COLUMNS]
    return [getattr(candles, name) for name in _PRICE_COLUMNS]


def blob_sha256(blob: bytes) -> str:
    return hashlib.sha256(blob).hexdigest()


def concatenate(parts: list[Candles]) -> Candles:
    """Join bars of the same shape in the given order (used for consecutive chunks). A volume that
    only some parts know is NaN on the bars of the others."""
    if not parts:
        return empty_candles()
    if len(parts) == 1:
        return parts[0]

    def joined(name: str) -> I64:
        return np.concatenate([getattr(p, name) for p in parts])

    volume = None
    if any(p.volume is not None for p in parts):
        volume = np.concatenate([p.known_volume() for p in parts])
    spreads = [p.spread for p in parts if p.spread is not None]
    quotes = None
    if all(p.quotes is not None for p in parts):
        quotes = Quotes(
            *(np.concatenate([getattr(p.quotes, name) for p in parts]) for name in QUOTE_COLUMNS)
        )
    return Candles(
        joined("time"),
        joined("open"),
        joined("high"),
        joined("low"),
        joined("close"),
        volume,
        np.concatenate(spreads) if len(spreads) == len(parts) else None,
        quotes,
        join_residues([(p.residue, len(p)) for p in parts]),
    )


def join_residues(
    parts: list[tuple[NDArray[np.int8] | None, int]],
) -> NDArray[np.int8] | None:
    """Residues of consecutive parts, given with their lengths; no residue means exact prices."""
    if all(residue is None for residue, _ in parts):
        return None
    return np.concatenate([np.zeros(n, np.int8) if r is None else r for r, n in parts])


# --- digests -----------------------------------------------------------------------------------

_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_STEP = np.uint64(0x9E3779B97F4A7C15)
# Multiples of the step, reduced before numpy sees them: its scalars warn when they wrap around.
_SEEDS = tuple(np.uint64(lane * 0x9E3779B97F4A7C15 % 2**64) for lane in (1, 2))


def _mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """splitmix64's finalizer (Steele, Lea, Flood 2014), element-wise."""
    values = (values ^ (values >> np.uint64(30))) * _MIX_1
    values = (values ^ (values >> np.uint64(27))) * _MIX_2
    return values ^ (values >> np.uint64(31))


@dataclass(frozen=True, slots=True, eq=False)
class BarDigests:
    """Prefix sums of two 64-bit hashes a bar, so any range of bars has a digest in O(1).

    Bars appended later never change the digest of an earlier range. This detects changed data; it
    is not a signature against somebody who can rewrite the audits as well.
    """

    prefix: NDArray[np.uint64]  # shape (2, n + 1)

    def of_ranges(self, start: I64, stop: I64) -> NDArray[np.uint64]:
        """Digests of bars [start, stop) as an array of shape (m, 2), wrapping modulo 2**64."""
        return (self.prefix[:, stop] - self.prefix[:, start]).T.copy()


def bar_digests(candles: Candles) -> BarDigests:
    """Hash every column of every bar (time, prices, sides, volume).

    A volume counts on the bars that have one and a residue on those whose prices are not exact, so
    a bar's digest never depends on the bars it was loaded with.
    """
    columns: list[tuple[NDArray[np.generic], NDArray[np.bool_] | None]] = [
        (getattr(candles, name), None) for name in ("time", "open", "high", "low", "close")
    ]
    if candles.volume is not None:
        known = np.isfinite(candles.volume)
        columns.append((candles.volume, None if known.all() else known))
    if candles.quotes is not None:
        columns.extend((getattr(candles.quotes, name), None) for name in QUOTE_COLUMNS)
    elif candles.spread is not None:
        columns.append((candles.spread, None))
    if candles.residue is not None:
        columns.append((candles.residue.astype(np.int64), candles.residue != 0))
    n = len(candles)
    prefix = np.zeros((2, n + 1), np.uint64)
    for lane in range(2):
        state = np.full(n, _SEEDS[lane], np.uint64)
        for column, counts in columns:
            mixed = _mix((state + _STEP) ^ np.ascontiguousarray(column).view(np.uint64))
            state = mixed if counts is None else np.where(counts, mixed, state)
        np.cumsum(state, out=prefix[lane, 1:])
    return BarDigests(prefix)
