"""Labels of real backtest trades against what the backtest itself recorded."""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from post_mortem.core.labeler import label
from post_mortem.core.replay import replay
from post_mortem.core.types import CaseBatch, ExitReason, Flag, Labels, Market, Outcome
from tests.core.cases import batch, trade
from trading.core.candles import Candles
from trading.core.units import to_half_points

pytestmark = pytest.mark.realdata

POINT = Decimal("0.00000001")
FIVE_MINUTES = 300 * 1_000_000_000


def market_of(folder: Path, pair: str) -> Market:
    feather = pytest.importorskip("pyarrow.feather")
    table = feather.read_table(folder / f"{pair.replace('/', '_')}-5m.feather")
    time = table["date"].to_numpy().astype("datetime64[ns]").astype(np.int64)

    def prices(name: str) -> np.ndarray:
        values = table[name].to_numpy()
        return to_half_points(values, POINT, np.ones(values.shape, np.bool_))

    columns = (prices(name) for name in ("open", "high", "low", "close"))
    bars = Candles(time, *columns, volume=table["volume"].to_numpy())
    return Market(pair, "crypto", POINT, POINT, FIVE_MINUTES, bars)


def ns(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp()) * 1_000_000_000


def row(one: dict[str, Any]) -> dict[str, Any]:
    amount, paid = one["amount"], one["open_rate"] * one["fee_open"]
    fees = amount * (paid + one["close_rate"] * one["fee_close"])
    return trade(
        entry_time=ns(one["open_date"]),
        entry_price=one["open_rate"],
        exit=one["close_rate"],
        exit_time=ns(one["close_date"]),
        stop_price=one["initial_stop_loss_abs"],
        quantity=amount,
        commission=fees,
    )


@pytest.fixture(scope="module")
def labelled(shared_data: Path) -> list[tuple[dict[str, Any], CaseBatch, Labels, int]]:
    folder = shared_data / "freqtrade"
    result = json.loads((folder / "backtest-result.json").read_text())
    trades = next(iter(result["strategy"].values()))["trades"]
    out = []
    for pair in sorted({one["pair"] for one in trades}):
        mine = [one for one in trades if one["pair"] == pair]
        cases = batch(market_of(folder, pair), *(row(one) for one in mine))
        labels = label(cases, replay(cases))
        out += [(one, cases, labels, i) for i, one in enumerate(mine)]
    assert len(out) == 179
    return out


Found = list[tuple[dict[str, Any], CaseBatch, Labels, int]]


def test_exactly_the_stopped_trades_touch_their_stop(labelled: Found) -> None:
    judged = [(one, labels, i) for one, _, labels, i in labelled if labels.outcome[i] <= 3]
    assert len(judged) >= 177
    by_reason = {(one["exit_reason"], int(labels.exit_reason[i])) for one, labels, i in judged}
    assert by_reason == {
        ("stop_loss", ExitReason.SL),
        ("roi", ExitReason.MANUAL),
        ("force_exit", ExitReason.MANUAL),
    }
    stopped = [labels for one, labels, i in judged if labels.exit_reason[i] == ExitReason.SL]
    assert len(stopped) == 6


def test_outcomes_follow_the_recorded_profit(labelled: Found) -> None:
    for one, _, labels, i in labelled:
        if labels.outcome[i] > 3:
            continue
        expected = Outcome.SUCCEEDED if one["profit_abs"] > 0 else Outcome.FAILED
        risk = one["initial_stop_loss_ratio"]
        if abs(one["profit_ratio"]) > 0.11 * risk:
            assert labels.outcome[i] == expected


def test_net_per_cent_and_r(labelled: Found) -> None:
    """profit_ratio there is relative to the entry including its fee."""
    for one, _, labels, i in labelled:
        cost_basis = one["open_rate"] * (1 + one["fee_open"])
        net = one["profit_ratio"] * cost_basis
        assert labels.pnl_pct[i] == pytest.approx(100 * net / one["open_rate"], rel=1e-3, abs=1e-3)
        risk = one["open_rate"] - one["initial_stop_loss_abs"]
        assert labels.r[i] == pytest.approx(net / risk, rel=1e-3, abs=1e-3)


def test_nothing_is_ambiguous_and_excursions_hold(labelled: Found) -> None:
    for _, _, labels, i in labelled:
        if labels.outcome[i] > 3:
            continue
        assert not labels.flags[i] & Flag.AMBIGUOUS
        assert labels.mfe_r[i] >= 0
        assert labels.drawdown_r[i] >= labels.mae_r[i] >= 0
