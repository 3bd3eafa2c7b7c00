"""Features by hand: small markets whose numbers can be worked out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from post_mortem.core.attribution.catalogue import REGISTRY
from post_mortem.core.attribution.known import entries_of
from post_mortem.core.attribution.matrix import (
    UNKNOWN,
    FeatureMatrix,
    feature_matrix,
    joined,
)
from post_mortem.core.types import News, SetupHistory, TradeLog
from tests.core import cases

FLAT = [(100.0, 101.0, 99.0, 100.0)] * 40
HOUR = 60


def _matrix(*rows: dict, where=None, quantity=None, **changes) -> FeatureMatrix:
    batch = cases.batch(where or cases.market(cases.candles(FLAT)), *rows)
    batch = replace(batch, **changes)
    return feature_matrix(entries_of(batch, quantity=quantity), REGISTRY)


def _words(matrix: FeatureMatrix, name: str) -> list[str]:
    column = matrix.column(name)
    return ["?" if c == UNKNOWN else column.cell_words()[c] for c in column.cells().tolist()]


@pytest.mark.parametrize(
    ("hour", "expected"),
    [
        (2, "in Asia"),
        (8.5, "in London"),
        (14, "while London and New York overlap"),
        (18, "in New York"),
        (23, "outside the main sessions"),
    ],
)
def test_sessions(hour: float, expected: str) -> None:
    assert _words(_matrix(cases.signal(entry_time=cases.at(hour * HOUR))), "session") == [expected]


def test_when() -> None:
    found = _matrix(cases.signal(entry_time=cases.at(25 * HOUR)))
    assert _words(found, "weekday") == ["on Tuesdays"]
    assert _words(found, "hour") == ["between 00:00 and 04:00 UTC"]


def test_plan() -> None:
    found = _matrix(
        cases.signal(entry_time=cases.at(30), stop_price=98.0, target_price=103.0, score=72.0),
        cases.signal(entry_time=cases.at(30), side=-1, stop_price=103.0, claimed_setups=16),
        cases.signal(entry_time=cases.at(30), claimed_setups=0b11),
    )
    assert found.column("reward_risk").values[0] == 1.5
    assert found.column("stop_atr").values[:2].tolist() == [1.0, 1.5]  # true ranges are 2
    assert _words(found, "stop_atr")[2] == "?"
    assert _words(found, "side") == ["that are long", "that are short", "that are long"]
    assert _words(found, "score") == ["with a score of 70 to 80", "?", "?"]
    assert _words(found, "setup") == ["?", "that claim breakout", "that claim several setups"]


def test_nothing_is_known_before_the_first_bar() -> None:
    found = _matrix(cases.signal(entry_time=cases.at(0), stop_price=98.0))
    for name in ("stop_atr", "volatility", "trend", "spread"):
        assert _words(found, name) == ["?"], name


def test_releases() -> None:
    news = News(
        np.array([cases.at(10), cases.at(20), cases.at(30)]),
        np.array([2, 1, 2], np.int8),
        np.full(3, np.nan),
        ("USD",) * 3,
        ("a", "b", "c"),
        np.arange(3),
        np.array([cases.at(0)]),
        np.array([cases.at(35)]),
    )
    where = cases.market(cases.candles(FLAT), news=news)
    rows = [cases.signal(entry_time=cases.at(minute)) for minute in (12, 30, 31, 36)]
    found = _matrix(*rows, where=where)
    after = found.column("next_release").values
    since = found.column("last_release").values
    # Medium impact does not count; a release at the entry is ahead; uncovered is unknown.
    np.testing.assert_array_equal(after, [18, 0, 1440, np.nan])
    np.testing.assert_array_equal(since, [2, 20, 1, np.nan])
    assert np.isnan(_matrix(rows[0]).column("next_release").values[0])  # no calendar at all


def test_behaviour() -> None:
    closed = np.array([cases.at(m) for m in (-600, -300, -60, -10)])
    log = TradeLog(
        closed,
        np.array([-1.0, 1.0, -1.0, 2.0]),
        np.ones(4),
        np.array([0, 0, 0, -1]),
        np.array([4, 3, 0, -1]),
    )
    rows = [cases.signal(entry_time=cases.at(m)) for m in (0, -20, -700, 0)]
    found = _matrix(*rows, trade_log=log)
    np.testing.assert_array_equal(found.column("trades_before").values, [3, 2, 0, np.nan])
    np.testing.assert_array_equal(found.column("since_loss").values, [60, 40, 7 * 1440, np.nan])


def test_size_against_the_usual_needs_ten_trades() -> None:
    log = TradeLog(
        np.array([cases.at(-100 + i) for i in range(12)]),
        np.ones(12),
        np.array([1.0] * 6 + [3.0] * 6),
        np.array([0, 0, -1]),
        np.array([12, 9, -1]),
    )
    rows = [cases.signal(entry_time=cases.at(1))] * 3
    found = _matrix(*rows, trade_log=log, quantity=np.array([4.0, 4.0, 4.0]))
    np.testing.assert_array_equal(found.column("size").values, [2.0, np.nan, np.nan])


def test_setup_record_counts_the_claimed_setups_known_before() -> None:
    history = SetupHistory(
        np.array([0] * 5 + [4] * 5, np.int8),
        np.array([True] * 4 + [False] * 6),
        np.ones(10),
        np.array([0, 0, -1]),
        np.array([10, 4, -1]),
    )
    rows = [cases.signal(entry_time=cases.at(1), claimed_setups=bits) for bits in (1, 1, 1)]
    found = _matrix(*rows, setup_history=history)
    np.testing.assert_array_equal(found.column("setup_record").values, [0.8, np.nan, np.nan])


def test_markets_are_joined_by_the_words_of_their_levels() -> None:
    row = cases.signal(entry_time=cases.at(30))
    first = _matrix(row, row, where=cases.market(cases.candles(FLAT), symbol="USDJPY"))
    second = _matrix(row, where=cases.market(cases.candles(FLAT), symbol="EURUSD"))
    both = joined([first, second])
    assert len(both) == 3
    assert _words(both, "symbol") == ["in USDJPY", "in USDJPY", "in EURUSD"]
    assert both.rows(np.array([2, 0])).column("symbol").values.tolist() == [0.0, 1.0]
    with pytest.raises(ValueError, match="one registry"):
        joined([first, replace(second, registry_version="other")])


def test_every_feature_says_what_it_means() -> None:
    for feature in REGISTRY:
        assert all((feature.meaning, feature.how, feature.unit, feature.group)), feature.name
    assert len(REGISTRY) == len({feature.meaning for feature in REGISTRY}) >= 20
