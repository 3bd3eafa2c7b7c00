"""Rows of worked examples, one label each, on candles small enough to work out by hand.

point = 1, pip = 10. Unless a row says otherwise: long from 100 at the open of minute 0, stop 90,
target 120, horizon 4 minutes. Every row of a signal runs twice: as written, and mirrored around 100
(long becomes short), where nothing but the prices may change.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from post_mortem.core.labeler import label
from post_mortem.core.replay import replay
from post_mortem.core.types import Flag, Labels, Market, Outcome
from tests.core.cases import Bar, batch, candles, market, signal

F: Bar = (100, 101, 99, 100)  # a quiet bar
STOP = {"stop_price": 90.0}
BOTH = {"stop_price": 90.0, "target_price": 120.0}
SUCCEEDED, FAILED, NEUTRAL = Outcome.SUCCEEDED, Outcome.FAILED, Outcome.NEUTRAL
FILTERED_OUT, PENDING = Outcome.FILTERED_OUT, Outcome.PENDING
NEEDS_REVIEW = Outcome.NEEDS_REVIEW
QUIET = [F] * 6
LIMIT = {"entry_price": 95.0, "stop_price": 85.0, "target_price": 115.0, "entry_kind": 1}


@dataclass
class Row:
    name: str
    bars: list[Bar]
    expect: dict[str, Any]
    case: dict[str, Any] = field(default_factory=lambda: dict(BOTH))
    minutes: list[float] | None = None
    flags: Flag = Flag(0)


def judged(where: Market, row: dict[str, Any]) -> Labels:
    one = batch(where, row)
    return label(one, replay(one))


def check(labels: Labels, expect: dict[str, Any], flags: Flag) -> None:
    for name, value in expect.items():
        got = getattr(labels, name)[0]
        if isinstance(value, float):
            assert got == pytest.approx(value, abs=1e-12, nan_ok=True), name
        else:
            assert got == value, name
    assert Flag(int(labels.flags[0])) == flags


def mirrored(row: Row) -> Row:
    def turn(price: float) -> float:
        return 200 - price

    bars = [(turn(o), turn(low), turn(h), turn(c)) for o, h, low, c in row.bars]
    case = {"entry_price": 100.0} | row.case
    for name in ("entry_price", "stop_price", "target_price"):
        if name in case:
            case[name] = turn(case[name])
    expect = dict(row.expect)
    for name in ("judged_entry", "exit_price"):
        if name in expect:
            expect[name] = turn(expect[name])
    return Row(row.name, bars, expect, case | {"side": -1}, row.minutes, row.flags)


def check_row(row: Row, *, turned: bool) -> None:
    used = mirrored(row) if turned else row
    minutes = used.minutes
    whole = minutes is None or len(used.bars) == len(minutes)
    rows = used.bars if whole else [F] * len(minutes or ())
    labels = judged(market(candles(rows, minutes=minutes)), signal(**used.case))
    check(labels, used.expect, used.flags)


both_ways = pytest.mark.parametrize("turned", [False, True], ids=["long", "short"])


def each(rows: Sequence[Row]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("row", rows, ids=lambda row: row.name.replace(" ", "_"))


def hourly(opens: list[int]) -> Any:
    n = len(opens)
    base = candles([F] * n)
    return base.__class__(np.array(opens, np.int64), base.open, base.high, base.low, base.close)
