"""Features of many cases as columns, joined across markets, and the cells they fall into."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from trading.core.candles import F64, I64

from .known import INPUTS, Entries, Known
from .registry import EntryFeature, LookAheadError, OwnInputs, Registry

UNKNOWN = -1
I16 = NDArray[np.int16]


@dataclass(frozen=True, slots=True, eq=False)
class FeatureColumn:
    """Values of one feature, NaN unknown; of a category codes into `levels`."""

    feature: EntryFeature
    values: F64
    levels: tuple[str, ...]

    def cells(self) -> I16:
        """The cell of each value, UNKNOWN where it is not known."""
        known = np.isfinite(self.values)
        plain = np.where(known, self.values, 0.0)
        edges = self.feature.edges
        code = np.searchsorted(edges, plain, side="right") if edges else plain
        return np.where(known, code, UNKNOWN).astype(np.int16)

    def cell_words(self) -> tuple[str, ...]:
        """What the trades of each cell are, completing "trades ..."."""
        if self.feature.edges:
            return self.feature.words
        return tuple(self.feature.phrase.format(level) for level in self.levels)


@dataclass(frozen=True, slots=True, eq=False)
class FeatureMatrix:
    """One column a feature, all of N cases, in the order of the registry."""

    columns: tuple[FeatureColumn, ...]
    registry_version: str

    def __len__(self) -> int:
        return int(self.columns[0].values.size) if self.columns else 0

    def column(self, name: str) -> FeatureColumn:
        return next(column for column in self.columns if column.feature.name == name)

    def rows(self, rows: I64) -> FeatureMatrix:
        columns = (replace(column, values=column.values[rows]) for column in self.columns)
        return FeatureMatrix(tuple(columns), self.registry_version)


def feature_matrix(entries: Entries, registry: Registry) -> FeatureMatrix:
    """All features of the cases; raises LookAheadError where one knew more than the entry did."""
    known = read_inputs(entries, registry.inputs())
    columns = (_column(feature, known, len(entries)) for feature in registry)
    return FeatureMatrix(tuple(columns), registry.version)


def read_inputs(entries: Entries, names: Iterable[str]) -> dict[str, Known]:
    """The named inputs, each proved to have been known at every entry."""
    found = {name: INPUTS[name].read(entries) for name in names}
    for name, known in found.items():
        require_known(name, known, entries.batch.entry_time)
    return found


def require_known(name: str, known: Known, entry_time: I64) -> None:
    """Raise LookAheadError where a value became known after its entry."""
    late = np.flatnonzero((known.available_at > entry_time) & np.isfinite(known.values))
    if late.size:
        row = int(late[0])
        seconds = int(known.available_at[row] - entry_time[row]) // 10**9
        raise LookAheadError(
            f"{name!r} of case {row} was known only {seconds} s after the entry "
            f"({late.size} of {entry_time.size} cases)"
        )


def _column(feature: EntryFeature, known: Mapping[str, Known], n: int) -> FeatureColumn:
    values = np.asarray(feature.compute(OwnInputs(feature, known)), np.float64)
    if values.shape != (n,):
        raise ValueError(f"feature {feature.name!r} gave shape {values.shape} for {n} cases")
    values = np.where(np.isfinite(values), values, np.nan)
    levels = feature.words if feature.words else known[feature.inputs[0]].levels
    if feature.is_category:
        found = values[np.isfinite(values)]
        if found.size and not (found.min() >= 0 and found.max() < len(levels)):
            raise ValueError(f"feature {feature.name!r} gave a code without a word")
    return FeatureColumn(feature, values, () if feature.edges else levels)


def joined(matrices: Sequence[FeatureMatrix]) -> FeatureMatrix:
    """One matrix below the other; levels are merged by their words, in alphabetical order where
    they come from the data. All must be of one registry."""
    if len({matrix.registry_version for matrix in matrices}) != 1:
        raise ValueError("only matrices of one registry can be joined, and at least one")
    columns = zip(*(matrix.columns for matrix in matrices), strict=True)
    return FeatureMatrix(tuple(map(_joined_column, columns)), matrices[0].registry_version)


def _joined_column(parts: Sequence[FeatureColumn]) -> FeatureColumn:
    feature = parts[0].feature
    levels = parts[0].levels
    values = [part.values for part in parts]
    if feature.is_category and not feature.words:
        levels = tuple(sorted({level for part in parts for level in part.levels}))
        values = [_recoded(part, levels) for part in parts]
    return FeatureColumn(feature, np.concatenate(values), levels)


def _recoded(part: FeatureColumn, levels: tuple[str, ...]) -> F64:
    place = np.array([levels.index(level) for level in part.levels] or [0], np.float64)
    known = np.isfinite(part.values)
    code = np.where(known, part.values, 0).astype(np.int64)
    return np.where(known, place[code], np.nan)
