"""Choosing some of the cases of a batch."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any, TypeVar

import numpy as np

from post_mortem.core.types import ModelHistory, Resolved, SetupHistory, TradeLog
from trading.core.candles import I64

Record = TypeVar("Record")


def take(record: Record, rows: I64) -> Record:
    """The same record with only these cases: every array has one element (or row) a case.

    Markets, setup views and the pools of histories are shared, only the cases' windows into pools
    are chosen. Works on `CaseBatch`, `Paths`, `Labels` and measures alike.
    """
    changes: dict[str, Any] = {}
    for field in fields(record):  # type: ignore[arg-type]
        value = getattr(record, field.name)
        if isinstance(value, np.ndarray):
            changes[field.name] = value[rows]
        elif isinstance(value, ModelHistory | SetupHistory | TradeLog):
            changes[field.name] = replace(value, start=value.start[rows], stop=value.stop[rows])
        elif isinstance(value, Resolved):
            changes[field.name] = take(value, rows)
        elif field.name == "horizon":
            changes[field.name] = tuple(map(value.__getitem__, rows.tolist()))
    return replace(record, **changes)  # type: ignore[type-var]
