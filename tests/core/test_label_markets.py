"""Labels over weekends and holes, and in the units of real instruments."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest

from post_mortem.core.rules import barrier_half_points
from post_mortem.core.types import Flag, Outcome
from tests.core.cases import (
    MINUTE,
    NAN,
    Bar,
    at,
    candles,
    market,
    signal,
)
from tests.core.label_rows import (
    BOTH,
    NEEDS_REVIEW,
    NEUTRAL,
    SUCCEEDED,
    check,
    hourly,
    judged,
)
from trading.core.instruments import describe
from trading.core.types import NS_PER_DAY, NS_PER_HOUR

FRIDAY_21 = 1_709_931_600 * 1_000_000_000  # 2024-03-08 21:00 UTC, an hour before New York's 17:00


def week_of_hours(start: int, hours: int, *, skip: range = range(0)) -> list[int]:
    return [start + h * NS_PER_HOUR for h in range(hours) if h not in skip]


@pytest.mark.parametrize(
    ("kind", "length", "coverage", "outcome"),
    [
        # Open 21:00; the weekend is hours 1..47 (clocks change: New York's Sunday 17:00 is 21:00).
        ("fx", NS_PER_DAY, 1.0, NEUTRAL),
        ("fx", 7 * NS_PER_DAY, 1.0, NEUTRAL),
        ("crypto", NS_PER_DAY, 1 / 24, NEEDS_REVIEW),
        ("crypto", 7 * NS_PER_DAY, 121 / 168, NEEDS_REVIEW),
        ("other", NS_PER_DAY, NAN, NEUTRAL),
    ],
)
def test_weekend(kind: str, length: int, coverage: float, outcome: Outcome) -> None:
    where = market(
        hourly(week_of_hours(FRIDAY_21, 200, skip=range(1, 48))), kind=kind, bar_ns=NS_PER_HOUR
    )
    row = signal(entry_time=FRIDAY_21, end_time=FRIDAY_21 + length, **BOTH)
    labels = judged(where, row)
    assert labels.outcome[0] == outcome
    assert labels.coverage[0] == pytest.approx(coverage, nan_ok=True)


def test_bars_beyond_the_expected_ones_do_not_count_twice() -> None:
    """A venue that trades through the weekend: coverage is whole, not more."""
    where = market(hourly(week_of_hours(FRIDAY_21, 60)), kind="fx", bar_ns=NS_PER_HOUR)
    labels = judged(where, signal(entry_time=FRIDAY_21, end_time=FRIDAY_21 + NS_PER_DAY, **BOTH))
    check(labels, {"outcome": NEUTRAL, "coverage": 1.0}, Flag(0))


def test_a_week_in_the_currency_market_with_holes() -> None:
    """121 bars are expected in the seven days; 8 % of them are missing."""
    hours = week_of_hours(FRIDAY_21, 200, skip=range(1, 58))
    where = market(hourly(hours), kind="fx", bar_ns=NS_PER_HOUR)
    row = signal(entry_time=FRIDAY_21, end_time=FRIDAY_21 + 7 * NS_PER_DAY, **BOTH)
    labels = judged(where, row)
    check(labels, {"outcome": NEEDS_REVIEW, "coverage": 111 / 121}, Flag.LOW_COVERAGE)


# --- units ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("symbol", "decimals", "entry", "stop", "target", "pips"),
    [
        ("EURUSD", None, 1.10325, 1.10225, 1.10525, 20.0),
        ("USDJPY", None, 151.234, 151.134, 151.434, 20.0),
        ("XAUUSD", None, 2034.57, 2033.57, 2036.57, 20.0),
        ("ETH/BTC", 6, 0.052001, 0.051901, 0.052201, 200.0),
        ("BTC/USDT", 2, 64123.45, 64023.45, 64323.45, 20000.0),
    ],
)
def test_units_of_real_instruments(
    symbol: str, decimals: int | None, entry: float, stop: float, target: float, pips: float
) -> None:
    """The exact touch of a level that binary floats cannot hold; one half-point less misses."""
    spec = describe(symbol, decimals=decimals)
    point = str(spec.point)
    for short_by, outcome in ((0.0, SUCCEEDED), (float(spec.point) / 2, NEUTRAL)):
        high = target - short_by
        rows: list[Bar] = [(entry, entry, entry, entry), (entry, high, entry, entry)] * 2
        where = market(
            candles(rows, point=point), point=spec.point, pip=spec.pip, symbol=symbol, kind="crypto"
        )
        labels = judged(where, signal(entry_price=entry, stop_price=stop, target_price=target))
        assert labels.outcome[0] == outcome
        if outcome == SUCCEEDED:
            assert labels.exit_price[0] == target
            assert labels.pips[0] == pytest.approx(pips, rel=1e-9)
            assert labels.r[0] == pytest.approx(2.0, rel=1e-9)


@pytest.mark.parametrize(
    ("price", "side", "what", "expected"),
    [
        (1.1, 1, "stop", 220000),
        (1.1000000000000003, 1, "target", 220000),
        (1.0999999999999999, 1, "stop", 220000),
        (1.1000012, 1, "stop", 220000),  # off the grid: a long's stop rounds down,
        (1.1000012, 1, "target", 220001),  # its target up,
        (1.1000012, -1, "stop", 220001),  # a short's stop up,
        (1.1000012, -1, "target", 220000),  # its target down
    ],
)
def test_levels_are_rounded_away_from_false_touches(
    price: float, side: int, what: str, expected: int
) -> None:
    got = barrier_half_points(
        np.array([price]), np.array([side], np.int8), Decimal("0.00001"), what
    )
    assert got.tolist() == [expected]


def test_prices_out_of_labels_are_the_nearest_floats_of_their_decimals() -> None:
    rows: list[Bar] = [(1.1, 1.1, 1.1, 1.1), (1.10003, 1.10003, 1.10003, 1.10003)] * 2
    where = market(candles(rows, point="0.00001"), point=Decimal("0.00001"))
    labels = judged(where, signal(entry_price=1.1))
    assert labels.exit_price[0] == 1.10003
    assert labels.exit_time[0] == at(0) + 4 * MINUTE
