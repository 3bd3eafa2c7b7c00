"""Merge bars into bars: what is new, what was revised, what is the same.

Works on plain columns, so trades, mids and quotes share one path. A volume that only one side
knows is NaN on the bars of the other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .candles import (
    F64,
    I64,
    QUOTE_COLUMNS,
    Candles,
    Quotes,
    empty_candles,
    from_quotes,
    join_residues,
)


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """Bars as columns of one length: time, then four or eight prices, then volume and residue,
    either of which may be None."""

    time: I64
    prices: tuple[I64, ...]
    volume: F64 | None
    residue: NDArray[np.int8] | None = None

    def __len__(self) -> int:
        return int(self.time.shape[0])

    @classmethod
    def of(cls, candles: Candles) -> Columns:
        if candles.quotes is not None:
            prices = tuple(getattr(candles.quotes, name) for name in QUOTE_COLUMNS)
        else:
            prices = (candles.open, candles.high, candles.low, candles.close)
        return cls(candles.time, prices, candles.volume, candles.residue)

    def candles(self) -> Candles:
        if not self.prices:
            return empty_candles()
        if len(self.prices) == len(QUOTE_COLUMNS):
            return from_quotes(self.time, Quotes(*self.prices), self.volume)
        opened, high, low, close = self.prices
        return Candles(self.time, opened, high, low, close, self.volume, residue=self.residue)

    def rows(self, where: slice | I64 | NDArray[np.bool_]) -> Columns:
        volume = None if self.volume is None else self.volume[where]
        residue = None if self.residue is None else self.residue[where]
        return Columns(self.time[where], tuple(p[where] for p in self.prices), volume, residue)

    def known_volume(self) -> F64:
        """Volume, NaN where it is not known."""
        return np.full(self.time.shape, np.nan) if self.volume is None else self.volume


@dataclass(frozen=True, slots=True, eq=False)
class Merge:
    """`bars` after the merge; `inserted` the times that were new; `revised` the old bars that were
    replaced; `unchanged` how many of the new bars were there already."""

    bars: Columns
    inserted: I64
    revised: Columns
    unchanged: int

    @property
    def changed(self) -> bool:
        return bool(self.inserted.size or len(self.revised))


def merge(old: Columns | None, new: Columns) -> Merge:
    """Merge `new` into `old`; both sorted by strictly increasing time. The new bar wins.

    A new bar without volume leaves the volume of an otherwise equal old bar alone.
    """
    if old is None or not len(old):
        return Merge(new, new.time, new.rows(slice(0, 0)), 0)
    at = np.minimum(np.searchsorted(old.time, new.time), len(old) - 1)
    common = old.time[at] == new.time
    there = at[common]
    differs = np.zeros(there.shape, np.bool_)
    for before, after in zip(old.prices, new.prices, strict=True):
        differs |= before[there] != after[common]
    if new.volume is not None:
        differs |= old.known_volume()[there] != new.volume[common]
    revised = there[differs]
    keep = np.ones(len(old), np.bool_)
    keep[revised] = False
    taken = np.ones(len(new), np.bool_)
    taken[np.flatnonzero(common)[~differs]] = False
    bars = unite([old.rows(keep), new.rows(taken)])
    return Merge(bars, new.time[~common], old.rows(revised), int((~differs).sum()))


def unite(parts: list[Columns]) -> Columns:
    """Bars of all parts in order of time; their times must differ."""
    time = np.concatenate([part.time for part in parts])
    order = np.argsort(time, kind="stable")
    volume = None
    if any(part.volume is not None for part in parts):
        volume = np.concatenate([part.known_volume() for part in parts])[order]
        volume = None if np.isnan(volume).all() else volume
    sides = zip(*(part.prices for part in parts), strict=True)
    residue = join_residues([(part.residue, len(part)) for part in parts])
    return Columns(
        time[order],
        tuple(np.concatenate(side)[order] for side in sides),
        volume,
        None if residue is None else residue[order],
    )
