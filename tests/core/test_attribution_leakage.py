"""Nothing may be known before it happened: each guard is broken here on purpose."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from post_mortem.core.attribution.catalogue import REGISTRY
from post_mortem.core.attribution.known import INPUTS, LATER, Known, entries_of
from post_mortem.core.attribution.matrix import feature_matrix, require_known
from post_mortem.core.attribution.registry import EntryFeature, LookAheadError, Registry
from post_mortem.core.batches import take
from post_mortem.core.types import CaseBatch, Labels, News, Paths
from tests.core import cases, market
from trading.core.candles import Candles

_NEITHER = {
    # Read through a reader that stops at the entry, or no property of a case at all.
    *("market", "setup_views", "model_history", "setup_history", "trade_log", "horizon"),
    # Of the same kind as a declared input, and not needed yet.
    *("is_trade", "stop", "target", "neutral_r", "neutral_price", "score_semantics"),
    *("strategy_kind", "setup_bar_ns", "stop_initial"),
}  # fmt: skip


def _feature(*inputs: str, compute=None) -> EntryFeature:
    return EntryFeature(
        "injected", "test", "x", "", "", inputs,
        compute or (lambda known: known[inputs[0]]), edges=(0.0,), words=("low", "high"),
    )  # fmt: skip


@pytest.fixture(scope="module")
def batch() -> CaseBatch:
    rng = np.random.default_rng(5)
    return market.random_batch(rng, market.random_market(rng, 40), 80, first_day=20)


@pytest.mark.parametrize("name", sorted(LATER))
def test_what_is_known_later_cannot_be_registered(name: str) -> None:
    with pytest.raises(LookAheadError, match="known only after the entry"):
        Registry([_feature(name)])


@pytest.mark.parametrize(
    "name",
    [
        "exit_time", "duration", "mae", "mfe", "tags", "mistakes", "cause", "news_surprise",
        "regime_after", "symbol_win_rate", "r", "outcome", "on_plan", "stop_final",
    ],
)  # fmt: skip
def test_the_classic_leaks_are_among_them(name: str) -> None:
    assert name in LATER
    assert name not in INPUTS


def test_every_column_of_a_case_is_said_to_be_known_at_the_entry_or_later() -> None:
    said = set(INPUTS) | set(LATER) | _NEITHER
    named = {field.name for record in (CaseBatch, Labels, Paths) for field in fields(record)}
    assert named - said == set()
    assert not set(INPUTS) & set(LATER)


def test_an_input_that_nobody_declared_is_refused() -> None:
    with pytest.raises(LookAheadError, match="nobody says when"):
        Registry([_feature("moon_phase")])
    with pytest.raises(LookAheadError, match="declares no input"):
        Registry([_feature(compute=lambda known: known["side"])])


def test_a_feature_sees_nothing_it_did_not_declare(batch: CaseBatch) -> None:
    sneaky = Registry([_feature("side", compute=lambda known: known["score"])])
    with pytest.raises(LookAheadError, match="does not declare"):
        feature_matrix(entries_of(batch), sneaky)


def test_a_value_from_the_future_is_refused(batch: CaseBatch, monkeypatch) -> None:
    """A reader that hands out the next bar's close, with the honest time of that bar."""

    def next_close(entries) -> Known:
        bars = entries.batch.market.candles
        bar = entries.before + 1
        return Known(bars.close[bar].astype(float), bars.time[bar] + entries.batch.market.bar_ns)

    injected = dict(INPUTS) | {"future": replace(INPUTS["side"], read=next_close)}
    monkeypatch.setattr("post_mortem.core.attribution.registry.INPUTS", injected)
    monkeypatch.setattr("post_mortem.core.attribution.matrix.INPUTS", injected)
    registry = Registry([_feature("future")])
    with pytest.raises(LookAheadError, match="after the entry"):
        feature_matrix(entries_of(batch), registry)


def test_a_value_known_a_moment_late_is_refused_and_an_unknown_one_is_not() -> None:
    entry = np.array([cases.at(5), cases.at(6)])
    late = np.array([cases.at(5), cases.at(6) + 1])
    with pytest.raises(LookAheadError, match="case 1"):
        require_known("x", Known(np.ones(2), late), entry)
    require_known("x", Known(np.array([1.0, np.nan]), late), entry)
    require_known("x", Known(np.ones(2), entry), entry)


def test_no_feature_changes_with_what_came_after_the_entry(batch: CaseBatch) -> None:
    """Every bar, fill, release result and earlier result after an entry replaced by nonsense."""
    whole = feature_matrix(entries_of(batch, quantity=batch.quantity), REGISTRY)
    known = 0
    for row in range(0, len(batch), 4):
        one = take(batch, np.array([row]))
        spoiled = _spoiled(one)
        alone = feature_matrix(entries_of(spoiled, quantity=spoiled.quantity), REGISTRY)
        for before, after in zip(whole.columns, alone.columns, strict=True):
            name = before.feature.name
            left, right = before.values[row], after.values[0]
            if before.levels != after.levels:
                left, right = before.levels[int(left)], after.levels[int(right)]
                assert left == right, name
                continue
            np.testing.assert_array_equal(left, right, err_msg=f"{name} of case {row}")
            known += bool(np.isfinite(left))
    assert known > 15 * 20  # and they were not all unknown


def test_the_check_above_notices_a_reader_that_looks_ahead(batch: CaseBatch) -> None:
    one = take(batch, np.array([8]))
    bar = int(entries_of(one).before[0]) + 1
    assert _spoiled(one).market.candles.close[bar] != one.market.candles.close[bar]


def _spoiled(one: CaseBatch) -> CaseBatch:
    """The case with another future: later bars tripled, later results turned round, the exit and
    all that is decided later changed."""
    rng = np.random.default_rng(1)
    where, entry = one.market, int(one.entry_time[0])
    bars = where.candles
    later = bars.time + where.bar_ns > entry
    columns = {
        name: np.where(later, 3 * getattr(bars, name), getattr(bars, name))
        for name in ("open", "high", "low", "close")
    }
    changed = Candles(
        bars.time,
        **columns,
        volume=np.where(later, 0, bars.volume),
        spread=np.where(later, 9 * bars.spread, bars.spread),
    )
    news: News = where.news
    log, setups, model = one.trade_log, one.setup_history, one.model_history
    beyond = np.arange(log.r.size) >= log.stop[0]
    return replace(
        one,
        market=replace(
            where,
            candles=changed,
            news=replace(news, surprise_z=rng.normal(size=news.time.size)),
            outages=None,
            peers=None,
        ),
        fill_exit=one.fill_exit * 2,
        fill_exit_time=one.fill_exit_time + 10**12,
        end_time=one.end_time + 10**12,
        stop_final=one.stop_final * 2,
        on_plan=1 - one.on_plan,
        extra_flags=one.extra_flags + 1,
        trade_log=replace(
            log,
            r=np.where(beyond, -log.r, log.r),
            quantity=np.where(beyond, 99.0, log.quantity),
        ),
        setup_history=replace(
            setups, won=np.where(np.arange(setups.won.size) >= setups.stop[0], True, setups.won)
        ),
        model_history=replace(
            model, won=np.where(np.arange(model.won.size) >= model.stop[0], True, model.won)
        ),
    )


def test_positions_that_grew_later_have_no_size_and_no_price_at_the_entry(
    batch: CaseBatch,
) -> None:
    scaled = np.arange(len(batch)) % 2 == 0
    found = feature_matrix(entries_of(batch, quantity=np.ones(len(batch)), scaled=scaled), REGISTRY)
    for name in ("size", "stop_atr", "reward_risk"):
        known = np.isfinite(found.column(name).values)
        assert not known[scaled].any(), name
        assert known[~scaled].any(), name


def test_the_version_changes_with_what_a_feature_is() -> None:
    same = Registry(list(REGISTRY))
    assert same.version == REGISTRY.version
    assert Registry(list(REGISTRY), revision=2).version != REGISTRY.version
    changed = [replace(f, how=f.how + ".") if f.name == "score" else f for f in REGISTRY]
    assert Registry(changed).version != REGISTRY.version


@pytest.mark.parametrize(
    "broken",
    [
        {"words": ("one",)},
        {"edges": (1.0, 0.0), "words": ("a", "b", "c")},
        {"edges": (), "words": (), "inputs": ("side", "score")},
    ],
)
def test_a_feature_with_cells_nobody_can_name_is_refused(broken: dict) -> None:
    with pytest.raises(ValueError, match="feature"):
        Registry([replace(_feature("side"), **broken)])
    with pytest.raises(ValueError, match="two features"):
        Registry([_feature("side"), _feature("score")])
