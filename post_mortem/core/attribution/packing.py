"""Rows of a report as bytes: little-endian records, compressed, some hundred audits a piece.

A page reads one piece of some 40 kB, whatever the size of the account.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trading.core.candles import I64

from .matrix import FeatureMatrix
from .report import Attribution

PIECE = 512


@dataclass(frozen=True, slots=True)
class AuditRow:
    """What is stored of one audit. `cells[f]` is its cell of feature f, -1 unknown; `cohort` -1
    none. `contributed` (log-odds) and `sure` are empty where the report found no signal."""

    audit: int
    won: bool
    cohort: int
    cells: tuple[int, ...]
    contributed: tuple[float, ...]
    sure: tuple[float, ...]


def row_type(features: int, *, signal: bool) -> np.dtype[np.void]:
    columns: list[tuple[str, str, int] | tuple[str, str]] = [
        ("audit", "<i8"),
        ("won", "u1"),
        ("cohort", "<i4"),
        ("cells", "<i2", features),
    ]
    if signal:
        columns += [("contributed", "<f4", features), ("sure", "<f4", features)]
    return np.dtype(columns)


def packed_rows(
    audits: I64, matrix: FeatureMatrix, won: NDArray[np.float64], found: Attribution
) -> Iterator[tuple[int, int, bytes]]:
    """(first audit, how many, bytes) of each piece, by rising audit id."""
    signal = found.contributed is not None
    table = np.zeros(audits.size, row_type(len(matrix.columns), signal=signal))
    table["audit"], table["won"], table["cohort"] = audits, won, found.cohorts.of
    for place, column in enumerate(matrix.columns):
        table["cells"][:, place] = column.cells()
    if signal:
        table["contributed"], table["sure"] = found.contributed, found.sure
    table = table[np.argsort(audits, kind="stable")]
    for start in range(0, audits.size, PIECE):
        piece = table[start : start + PIECE]
        yield int(piece["audit"][0]), piece.size, zlib.compress(piece.tobytes(), 1)


def unpacked_rows(blob: bytes, features: int, *, signal: bool) -> NDArray[np.void]:
    """The records of a piece; raises ValueError for bytes that are none."""
    try:
        data = zlib.decompress(blob)
    except zlib.error as error:
        raise ValueError("these bytes are no rows of an attribution") from error
    kind = row_type(features, signal=signal)
    if len(data) % kind.itemsize:
        raise ValueError("these bytes are no rows of an attribution with so many features")
    return np.frombuffer(data, kind)


def row_of(records: NDArray[np.void], audit: int) -> AuditRow | None:
    place = int(np.searchsorted(records["audit"], audit))
    if place == records.size or int(records["audit"][place]) != audit:
        return None
    row = records[place]
    has = "contributed" in (records.dtype.names or ())
    return AuditRow(
        audit,
        bool(row["won"]),
        int(row["cohort"]),
        tuple(row["cells"].tolist()),
        tuple(row["contributed"].tolist()) if has else (),
        tuple(row["sure"].tolist()) if has else (),
    )
