"""The cases of a chunk of signals, the series and the rules that judge them, and their columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from post_mortem.core.inputs import lookback_ns
from post_mortem.core.rules import (
    Rule,
    barrier_half_points,
    barriers,
    choose_rule,
    minimum_score,
    neutral_band,
)
from post_mortem.core.types import (
    NO_TIME,
    Bool,
    CaseBatch,
    Market,
    ModelHistory,
    SetupHistory,
    SetupView,
    TradeLog,
)
from trading.core.aggregate import aggregate
from trading.core.candles import F64, I64, Candles, empty_candles
from trading.core.sessions import hours_known
from trading.core.types import Horizon, horizon_ns
from trading.models import CandleSeries, Desk, Instrument
from trading.selectors.candles import choose_series, coverage, load_window, series_for

from .case_rows import Group, Selection, SignalRows, TradeRows
from .columns import coded
from .fills import costs

_NONE = np.int64(-1)
_TRADE = str(Horizon.TRADE)


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """Signals and trades of one account and instrument, and the cases made of them.

    `signal` and `trade` index the rows; `trade` is -1 where the signal was not executed. Under
    signal horizons it is the first trade of the signal, as evidence.
    """

    group: Group
    desk: Desk
    instrument: Instrument
    signals: SignalRows
    trades: TradeRows
    horizon: tuple[str, ...]
    horizon_code: I64
    is_trade: Bool
    signal: I64
    trade: I64
    entry: I64
    end: I64

    def __len__(self) -> int:
        return len(self.horizon)


# --- which cases, and which series judges them --------------------------------------------------


def lay_out(
    selection: Selection,
    group: Group,
    desk: Desk,
    instrument: Instrument,
    signals: SignalRows,
    trades: TradeRows,
) -> Chunk:
    n, names = len(signals), selection.horizons
    every = np.arange(n, dtype=np.int64)
    first_trade = np.full(n, _NONE)
    # Backwards, so that the earliest trade of a signal is written last.
    first_trade[trades.signal[::-1]] = np.arange(len(trades), dtype=np.int64)[::-1]
    chosen = _chosen_trades(selection, trades)
    repeat = len(names)
    counts = [*[n] * repeat, chosen.size]
    lengths = np.repeat(np.array([horizon_ns(h) for h in names], np.int64), n)
    return Chunk(
        group=group,
        desk=desk,
        instrument=instrument,
        signals=signals,
        trades=trades,
        horizon=sum(((h,) * c for h, c in zip((*names, _TRADE), counts, strict=True)), ()),
        horizon_code=np.repeat(np.arange(repeat + 1), counts),
        is_trade=np.repeat([False, True], [n * repeat, chosen.size]),
        signal=np.concatenate([np.tile(every, repeat), trades.signal[chosen]]),
        trade=np.concatenate([np.tile(first_trade, repeat), chosen]),
        entry=np.concatenate([np.tile(signals.time, repeat), trades.opened[chosen]]),
        end=np.concatenate([np.tile(signals.time, repeat) + lengths, trades.closed[chosen]]),
    )


def _chosen_trades(selection: Selection, trades: TradeRows) -> I64:
    if not selection.trades:
        return np.zeros(0, np.int64)
    if selection.trade_ids is None:
        return np.arange(len(trades), dtype=np.int64)
    return np.flatnonzero(np.isin(trades.id, np.array(selection.trade_ids, np.int64)))


def judged_by(chunk: Chunk) -> Iterator[tuple[CandleSeries | None, I64]]:
    """Each series that judges some of the cases, with the indices of those cases."""
    choice = choose_series(chunk.instrument, chunk.desk, chunk.entry, _window_end(chunk))
    index = np.where(choice.index < 0, 0 if choice.series else _NONE, choice.index)
    for position in np.unique(index).tolist():
        series = choice.series[position] if position >= 0 else None
        yield series, np.flatnonzero(index == position)


def _window_end(chunk: Chunk) -> I64:
    """A trade ends inside its exit bar; an open one is judged where it was entered."""
    end = np.where(chunk.end == NO_TIME, chunk.entry, chunk.end)
    return np.where(chunk.is_trade, np.maximum(end, chunk.entry) + 1, end)


def _seen_coverage(chunk: Chunk, rows: I64, series: CandleSeries | None) -> F64 | None:
    if series is None or hours_known(chunk.instrument.kind):
        return None
    stored = series_for(chunk.instrument, chunk.desk)
    return coverage(series, stored, chunk.entry[rows], _window_end(chunk)[rows])[0]


def with_rules(chunk: Chunk, rows: I64, rules: Sequence[Rule]) -> tuple[list[Rule], I64]:
    """(the rules the cases use, index of each case's rule)."""
    raw = chunk.signals.raw
    scopes, scope = coded(list(zip(raw["strategy"], raw["timeframe"], strict=True)))
    width = int(chunk.horizon_code.max(initial=0)) + 1
    keys, first, index = np.unique(
        scope[chunk.signal[rows]] * width + chunk.horizon_code[rows],
        return_index=True,
        return_inverse=True,
    )
    places: dict[Rule, int] = {}
    place = np.zeros(keys.size, np.int64)
    for i, (key, row) in enumerate(zip(keys.tolist(), rows[first].tolist(), strict=True)):
        strategy, timeframe = scopes[key // width]
        horizon = chunk.horizon[row]
        rule = choose_rule(rules, strategy, chunk.instrument.symbol, timeframe, horizon)
        place[i] = places.setdefault(rule, len(places))
    return list(places), place[index]


def horizons_of(chunk: Chunk, rows: I64) -> tuple[str, ...]:
    if rows.size == len(chunk):
        return chunk.horizon
    return tuple(map(chunk.horizon.__getitem__, rows.tolist()))


# --- columns ---------------------------------------------------------------------------------


def at(values: NDArray[np.generic], index: I64, missing: float) -> NDArray[np.generic]:
    """values[index], `missing` where the index is -1."""
    if not values.shape[0]:
        return np.full(index.shape, missing, values.dtype)
    return np.where(index >= 0, values[np.maximum(index, 0)], np.array(missing, values.dtype))


def arrays_of(
    chunk: Chunk, rows: I64, rules: Sequence[Rule], rule: I64, bar_ns: int, point: Decimal
) -> dict[str, NDArray[np.generic]]:
    """All columns of the batch that need no candles."""
    s, t = chunk.signals, chunk.trades
    sig, tra, is_trade = chunk.signal[rows], chunk.trade[rows], chunk.is_trade[rows]

    def own(of_signal: NDArray[np.generic], of_trade: NDArray[np.generic]) -> F64:
        return np.where(is_trade, at(of_trade, tra, np.nan), of_signal[sig])

    def trade(values: NDArray[np.generic], missing: float = np.nan) -> NDArray[np.generic]:
        return at(values, tra, missing)

    side = np.where(is_trade, at(t.side, tra, 0), s.side[sig]).astype(np.int8)
    entry = own(s.entry, t.entry)
    target = np.where(is_trade & np.isfinite(trade(t.target)), trade(t.target), s.target[sig])
    judged = _by_rule(
        rules, rule, is_trade, side, entry, own(s.stop, t.stop_initial), target, s.min_score[sig],
        chunk.instrument.pip,
    )  # fmt: skip
    setup_bar = s.timeframe_ns[sig]
    commission, swap, quantity = costs(chunk.trades, chunk.instrument)
    return {
        "is_trade": is_trade,
        "side": side,
        "entry_time": chunk.entry[rows],
        "end_time": chunk.end[rows],
        "entry_price": entry,
        "stop": barrier_half_points(judged["stop_price"], side, point, "stop"),
        "target": barrier_half_points(judged["target_price"], side, point, "target"),
        **judged,
        "entry_kind": np.where(is_trade, 0, s.entry_kind[sig]).astype(np.int8),
        "score": s.score[sig],
        "score_semantics": s.semantics[sig],
        "strategy_kind": s.strategy_kind[sig],
        "claimed_setups": s.claimed[sig],
        "setup_bar_ns": np.where(setup_bar > 0, setup_bar, bar_ns),
        "executed": tra >= 0,
        "requested_entry": trade(t.requested_entry),
        "fill_entry": trade(t.entry),
        "fill_entry_time": trade(t.opened, NO_TIME),
        "requested_exit": trade(t.requested_exit),
        "fill_exit": trade(t.exit),
        "fill_exit_time": trade(t.closed, NO_TIME),
        "file_exit_reason": trade(t.exit_reason, 0),
        "quantity": trade(quantity),
        "stop_initial": trade(t.stop_initial),
        "stop_final": trade(t.stop_final),
        "commission": trade(commission),
        "swap": trade(swap),
        "on_plan": trade(t.on_plan, -1),
    }


def _by_rule(
    rules: Sequence[Rule],
    rule: I64,
    is_trade: Bool,
    side: NDArray[np.int8],
    entry: F64,
    stop: F64,
    target: F64,
    min_score: F64,
    pip: Decimal,
) -> dict[str, F64]:
    """Barriers, band and least score of each case; a rule gives no barrier to a trade."""
    n = rule.shape[0]
    result = {
        "stop_price": stop.copy(),
        "target_price": target.copy(),
        "neutral_r": np.full(n, np.nan),
        "neutral_price": np.full(n, np.nan),
        "min_score": min_score.copy(),
    }
    for place, one in enumerate(rules):
        of_rule = rule == place
        result["neutral_r"][of_rule], result["neutral_price"][of_rule] = neutral_band(one, pip)
        result["min_score"][of_rule] = minimum_score(one, min_score[of_rule])
        judged = of_rule & ~is_trade
        levels = barriers(one, side[judged], entry[judged], stop[judged], target[judged], pip)
        result["stop_price"][judged], result["target_price"][judged] = levels
    return result


def load(
    series: CandleSeries | None, bar_ns: int, arrays: dict[str, NDArray[np.generic]]
) -> Candles:
    """The bars that any of the cases can read, and the next one: it tells that data go on."""
    if series is None:
        return empty_candles()
    start = lookback_ns(
        bar_ns,
        arrays["entry_time"],  # type: ignore[arg-type]
        arrays["setup_bar_ns"],  # type: ignore[arg-type]
        arrays["claimed_setups"],  # type: ignore[arg-type]
        arrays["stop_price"],  # type: ignore[arg-type]
    )
    latest = np.maximum(arrays["entry_time"], arrays["end_time"]).max()
    return load_window(series, int(start.min()), int(latest))


def bare_batch(
    chunk: Chunk,
    rows: I64,
    series: CandleSeries | None,
    where: Market,
    arrays: dict[str, NDArray[np.generic]],
) -> CaseBatch:
    n = rows.size
    missing = np.full(n, _NONE)
    nothing, never = np.zeros(0), np.zeros(0, np.bool_)
    return CaseBatch(
        market=where,
        horizon=horizons_of(chunk, rows),
        setup_views=_views(where, arrays["setup_bar_ns"]),
        extra_flags=np.zeros(n, np.int32),
        model_history=ModelHistory(nothing, never, missing, missing),
        setup_history=SetupHistory(np.zeros(0, np.int8), never, nothing, missing, missing),
        trade_log=TradeLog(np.zeros(0, np.int64), nothing, nothing, missing, missing),
        seen_coverage=_seen_coverage(chunk, rows, series),
        **arrays,  # type: ignore[arg-type]
    )


def _views(where: Market, setup_bar_ns: NDArray[np.generic]) -> tuple[SetupView, ...]:
    """The signals' timeframes made of the judged bars; none where those are coarser."""
    views = []
    for bar_ns in np.unique(setup_bar_ns).tolist():
        if bar_ns == where.bar_ns:
            views.append(SetupView(bar_ns, where.candles))
        elif bar_ns % where.bar_ns == 0 and len(where.candles):
            views.append(SetupView(bar_ns, aggregate(where.candles, bar_ns, where.bar_ns)))
    return tuple(views)
