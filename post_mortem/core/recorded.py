"""What the row of an audit repeats of its own evidence record, so that the two can be compared.

Nothing is judged again: whatever became of the inputs or of the engine, a row that was written
with its record says what the record says. Numbers are compared in the record's steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from post_mortem.core.record import COLUMNS, STEPS_PER_ONE, UNKNOWN, halves, price_steps, steps
from post_mortem.core.types import CAUSES, I32, NO_TIME, Bool, Status
from trading.core.types import NS_PER_SECOND

_PLACE = {name: place for place, name in enumerate(COLUMNS)}
# Columns of a row by the record's name for them.
CODES: Mapping[str, str] = {
    name: f"label.{name}" for name in ("outcome", "shadow_outcome", "exit_reason", "flags")
}
NUMBERS: Mapping[str, str] = {
    "pips": "label.pips",
    "pnl_pct": "label.pnl_pct",
    "r_multiple": "label.r",
    "mfe_r": "label.mfe_r",
    "mae_r": "label.mae_r",
    "max_drawdown_r": "label.drawdown_r",
    "mfe_pips": "label.mfe_pips",
    "mae_pips": "label.mae_pips",
    "coverage": "label.coverage",
}
# (rank, cause, confidence, posterior in steps)
RankedCause = tuple[int, str, int, int]


def _of_causes(table: I32, what: str) -> I32:
    """One head column of every cause: shape (N, causes)."""
    return table[:, [_PLACE[f"{cause}.{what}"] for cause in CAUSES]]


def was_judged(table: I32) -> Bool:
    """Whether causes were asked for, one element a record."""
    ranked: Bool = np.any(_of_causes(table, "rank") != 0, axis=1)
    return ranked


def unlike(table: I32, row: Mapping[str, NDArray[Any]]) -> dict[str, Bool]:
    """Which rows say something else than their records, by column.

    `table` holds `records`, `row` the columns of as many rows: codes as whole numbers (0: none),
    numbers with NaN for unknown, `exit_time` in ns UTC, `top_cause` as text, `top_confidence` with
    -1 for none.
    """
    found: dict[str, Bool] = {}
    for name, column in CODES.items():
        found[name] = table[:, _PLACE[column]] != row[name]
    for name, column in NUMBERS.items():
        found[name] = table[:, _PLACE[column]] != steps(row[name], STEPS_PER_ONE)
    time = row["exit_time"]
    seconds = np.where(time == NO_TIME, NO_TIME, time // NS_PER_SECOND)
    found["exit_time"] = _unlike_wide(table, "exit_time", seconds)
    found["exit_price"] = _unlike_wide(table, "exit_price", price_steps(row["exit_price"]))
    return found | _unlike_top(table, row)


def _unlike_wide(table: I32, name: str, values: NDArray[np.int64]) -> Bool:
    high, low = halves(values)
    places = (_PLACE[f"label.{name}.high"], _PLACE[f"label.{name}.low"])
    differs: Bool = (table[:, places[0]] != high) | (table[:, places[1]] != low)
    return differs


def _unlike_top(table: I32, row: Mapping[str, NDArray[Any]]) -> dict[str, Bool]:
    judged, first = was_judged(table), (_of_causes(table, "rank") == 1).argmax(axis=1)
    every = np.arange(first.size)
    posterior = _of_causes(table, "posterior")[every, first]
    confidence = _of_causes(table, "confidence")[every, first]
    return {
        "top_cause": np.where(judged, np.array(CAUSES)[first], "") != row["top_cause"],
        "top_posterior": np.where(judged, posterior, UNKNOWN)
        != steps(row["top_posterior"], STEPS_PER_ONE),
        "top_confidence": np.where(judged, confidence, -1) != row["top_confidence"],
    }


def ranked_causes(table: I32) -> list[list[RankedCause]]:
    """The causes that are stored beside each record, best first: those that fired, and `unknown`
    where it ranks first."""
    rank = _of_causes(table, "rank")
    case, cause = np.nonzero((rank > 0) & (_of_causes(table, "status") == Status.FIRED))
    columns = (
        rank[case, cause].tolist(),
        np.array(CAUSES)[cause].tolist(),
        _of_causes(table, "confidence")[case, cause].tolist(),
        _of_causes(table, "posterior")[case, cause].tolist(),
    )
    found: list[list[RankedCause]] = [[] for _ in range(rank.shape[0])]
    for at, *one in zip(case.tolist(), *columns, strict=True):
        found[at].append(tuple(one))
    return [sorted(each) for each in found]


def posterior_steps(posterior: float) -> int:
    """A stored posterior as the record has it."""
    return round(posterior * STEPS_PER_ONE)
