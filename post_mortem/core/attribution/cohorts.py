"""Trades like this one: same market, same setup or strategy, same session, as far as there are
enough of them.

A cohort is chosen by what was known at the entry and by how many trades there are, never by how
they ended. Its counts include the case itself; whoever shows them takes it out first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from post_mortem.core.types import SETUPS
from trading.core.candles import F64, I64

from .catalogue import SESSION_WORDS
from .matrix import UNKNOWN, FeatureColumn, FeatureMatrix

LEAST_OTHERS = 10
# What makes trades alike, the closest first.
_KINDS = (("symbol", "setup", "session"), ("symbol", "setup"), ("symbol", "session"), ("symbol",))
_SETUP_NAMES = ("", *(s.upper() if len(s) == 3 else s.replace("_", " ") for s in SETUPS), "")


@dataclass(frozen=True, slots=True)
class Cohort:
    """`words` name the trades: "EURUSD breakout trades in Asia". Over `n_r` trades that know R,
    `total_r` is its sum."""

    words: str
    n: int
    won: int
    n_r: int
    total_r: float


@dataclass(frozen=True, slots=True, eq=False)
class Cohorts:
    """`of[i]` is the cohort of case i, -1 where no kind of likeness has enough others."""

    table: tuple[Cohort, ...]
    of: I64


def cohorts_of(matrix: FeatureMatrix, won: F64, r: F64) -> Cohorts:
    n = won.size
    of = np.full(n, -1, np.int64)
    table: list[Cohort] = []
    codes = _codes(matrix)
    for kind in _KINDS:
        open_rows = of < 0
        if not open_rows.any():
            break
        _, first, group = np.unique(
            np.stack([codes[name] for name in kind]), axis=1, return_index=True, return_inverse=True
        )
        group = group.ravel()
        known = np.all([codes[name] >= 0 for name in kind], axis=0)
        size = np.bincount(group)
        chosen = open_rows & known & (size[group] > LEAST_OTHERS)
        for one in np.unique(group[chosen]).tolist():
            inside = group == one
            of[chosen & inside] = len(table)
            table.append(_cohort(matrix, kind, int(first[one]), won[inside], r[inside]))
    return Cohorts(tuple(table), of)


def _codes(matrix: FeatureMatrix) -> dict[str, I64]:
    """Codes of what makes trades alike; a setup that is none or several gives way to the
    strategy, whose codes lie beyond the setups'."""
    found = {name: _whole(matrix.column(name)) for name in ("symbol", "setup", "session")}
    strategy = _whole(matrix.column("strategy"))
    single = (found["setup"] >= 1) & (found["setup"] <= len(SETUPS))
    other = np.where(strategy >= 0, strategy + len(_SETUP_NAMES), UNKNOWN)
    found["setup"] = np.where(single, found["setup"], other)
    return found


def _whole(column: FeatureColumn) -> I64:
    return np.where(np.isfinite(column.values), column.values, UNKNOWN).astype(np.int64)


def _cohort(matrix: FeatureMatrix, kind: tuple[str, ...], row: int, won: F64, r: F64) -> Cohort:
    codes = _row_codes(matrix, row)
    symbol = matrix.column("symbol").levels[codes["symbol"]]
    parts = [symbol]
    if "setup" in kind:
        parts.append(_kind_name(matrix, codes["setup"]))
    parts.append("trades")
    if "session" in kind:
        parts.append(SESSION_WORDS[codes["session"]])
    known = r[np.isfinite(r)]
    return Cohort(
        " ".join(parts), int(won.size), int(won.sum()), int(known.size), float(known.sum())
    )


def _row_codes(matrix: FeatureMatrix, row: int) -> dict[str, int]:
    single = matrix.rows(np.array([row]))
    return {name: int(values[0]) for name, values in _codes(single).items()}


def _kind_name(matrix: FeatureMatrix, code: int) -> str:
    if code < len(_SETUP_NAMES):
        return _SETUP_NAMES[code]
    return matrix.column("strategy").levels[code - len(_SETUP_NAMES)]
