"""Portable cases: one JSON object in, a `CaseBatch` of one out.

`parse_case` reads the format `inquest.case/1`; `dump_case` (in `portable_dump.py`) writes it. A
feed that is null (or absent) is missing, an empty list is a feed that had nothing. Wrong values
raise UserError with the path of the field; keys that the format does not know are left alone.

Optional keys beyond the format, written by `dump_case` so that a stored case keeps everything:
`signal_timeframe` (setups are looked for there), `kind`, `currencies`, `rule` (fields of
`rules.Rule`), `news_coverage` ([[from, to], ...], by default the span of the candles and a day
around), `flags` (what exact decimals proved about the fills), `candles.bid_*` and `ask_*`,
`signal.entry_kind`, `news[].key`, `peers[].sign`, and `finer`: finer candles inside bars that leave
something open ([{"timeframe", "point", "bars": [opens of those bars], "candles"}, ...]), and
`coverage`: of a market whose hours are unknown, the share of other series' bars in the window at
which these candles have one. An audit that another than the shipped calibration judged carries it
as `calibration` (`diagnose.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from decimal import Decimal

import numpy as np

from trading.core.candles import F64, I64
from trading.core.types import Horizon, horizon_ns
from trading.core.units import scaled

from .portable_dump import dump_case, label_json
from .portable_market import read_market, setup_view
from .portable_words import (
    ENTRY_KINDS,
    EXIT_REASONS,
    SCHEMA,
    SCORE_SEMANTICS,
    SIDES,
    STRATEGY_KINDS,
)
from .reading import Fields, json_object, refuse, sequence
from .replay import entry_bars
from .rules import Rule, barrier_half_points, barriers, minimum_score, neutral_band
from .types import (
    FAR_OUTSIDE,
    I8,
    NO_TIME,
    SETUPS,
    CaseBatch,
    Flag,
    Market,
    ModelHistory,
    SetupHistory,
    TradeLog,
)

_FAR = 2

__all__ = ["SCHEMA", "dump_case", "label_json", "parse_case", "read_case"]

_NAN = float("nan")
_SETUP_NUMBERS = {name: i for i, name in enumerate(SETUPS)}


def read_case(text: str | bytes) -> CaseBatch:
    """A batch from the JSON text of one case; decimal text is kept exactly."""
    return parse_case(json_object(text))


def parse_case(case: Mapping[str, object]) -> CaseBatch:
    """A batch of one case on its own market."""
    top = Fields(case)
    if top.text("schema") != SCHEMA:
        refuse("schema", f"unknown schema {top.get('schema')!r}, expected {SCHEMA!r}", "schema")
    market = read_market(top)
    entry_time, is_trade, columns = _case_columns(top, market)
    view = setup_view(top, market)
    one = {name: np.array([value]) for name, value in columns.items()}
    side = one["side"].astype(np.int8)
    batch = CaseBatch(
        market=market,
        horizon=(top.text("horizon"),),
        is_trade=np.array([is_trade]),
        entry_time=np.array([entry_time], np.int64),
        stop=barrier_half_points(one["stop_price"], side, market.point, "stop"),
        target=barrier_half_points(one["target_price"], side, market.point, "target"),
        setup_bar_ns=np.array([view.bar_ns], np.int64),
        setup_views=(view,),
        model_history=_model_history(top),
        setup_history=_setup_history(top),
        trade_log=_trade_log(top, entry_time),
        seen_coverage=_seen_coverage(top),
        **{name: column.astype(_dtype(name)) for name, column in one.items()},
    )
    return _with_flags(top, batch)


_DTYPES: dict[str, type] = {
    "executed": np.bool_,
    "side": np.int8,
    "entry_kind": np.int8,
    "score_semantics": np.int8,
    "strategy_kind": np.int8,
    "file_exit_reason": np.int8,
    "on_plan": np.int8,
    "claimed_setups": np.int32,
    "extra_flags": np.int32,
    "end_time": np.int64,
    "fill_entry_time": np.int64,
    "fill_exit_time": np.int64,
}


def _dtype(name: str) -> type:
    return _DTYPES.get(name, np.float64)


# --- signal and trade ----------------------------------------------------------------------------


def _case_columns(top: Fields, market: Market) -> tuple[int, bool, dict[str, object]]:
    """Entry time, whether the horizon is TRADE, and the scalar fields of the batch."""
    signal, horizon = top.child("signal"), top.text("horizon")
    is_trade = horizon == Horizon.TRADE
    length = 0 if is_trade else horizon_ns(horizon)
    trade = None if top.get("trade") is None else top.child("trade")
    if is_trade and trade is None:
        refuse("missing_field", "the horizon TRADE needs a trade", "trade")
    made = _trade_columns(trade)
    side = signal.choice("side", SIDES)
    rule = _rule(top)
    if is_trade:
        entry_time, entry = int(made["fill_entry_time"]), float(made["fill_entry"])
        end, stop = int(made["fill_exit_time"]), float(made["stop_initial"])
        target = signal.maybe_number("take_profit")
    else:
        entry_time, entry = signal.time("time"), signal.number("entry")
        end = entry_time + length
        stop, target = _signal_barriers(signal, rule, side, entry, market.pip)
    neutral_r, neutral_price = neutral_band(rule, market.pip)
    own_minimum = np.array([signal.maybe_number("min_score")])
    columns: dict[str, object] = {
        "side": side,
        "end_time": end,
        "entry_price": entry,
        "stop_price": stop,
        "target_price": target,
        "entry_kind": signal.choice("entry_kind", ENTRY_KINDS, "market"),
        "neutral_r": neutral_r,
        "neutral_price": neutral_price,
        "score": signal.maybe_number("score"),
        "min_score": minimum_score(rule, own_minimum)[0],
        "score_semantics": signal.choice("score_semantics", SCORE_SEMANTICS, "unknown"),
        "strategy_kind": top.choice("strategy_kind", STRATEGY_KINDS, "unknown"),
        "claimed_setups": _claimed(signal),
        "extra_flags": 0,
    }
    return entry_time, is_trade, columns | made


def _signal_barriers(
    signal: Fields, rule: Rule, side: int, entry: float, pip: Decimal
) -> tuple[float, float]:
    own = [np.array([signal.maybe_number(name)]) for name in ("stop_loss", "take_profit")]
    one: I8 = np.array([side], np.int8)
    stop, target = barriers(rule, one, np.array([entry]), own[0], own[1], pip)
    return float(stop[0]), float(target[0])


def _rule(top: Fields) -> Rule:
    if top.get("rule") is None:
        return Rule(id=0)
    source = top.child("rule")
    known = {field.name: field for field in fields(Rule)}
    changes: dict[str, object] = {}
    for name in source.value:
        if name not in known:
            refuse("choice", f"a rule has no {name!r}", source.at(name))
        value = source.get(name)
        texts = name in ("strategy", "symbol", "timeframe", "horizon")
        if texts or value is None:
            changes[name] = source.text(name) if value is not None else "" if texts else None
        else:
            changes[name] = source.number(name)
    return Rule(**({"id": 0} | changes))  # type: ignore[arg-type]


def _claimed(signal: Fields) -> int:
    names = signal.get("claimed_setups")
    if names is None:
        return -1
    bits = 0
    for i, name in enumerate(sequence(names, signal.at("claimed_setups"))):
        if name not in SETUPS:
            path = f"{signal.at('claimed_setups')}[{i}]"
            refuse("choice", f"{name!r} is none of {', '.join(SETUPS)}", path)
        bits |= 1 << SETUPS.index(str(name))
    return bits


_NO_TRADE: dict[str, float | int | bool] = {
    "executed": False,
    "requested_entry": _NAN,
    "fill_entry": _NAN,
    "fill_entry_time": NO_TIME,
    "requested_exit": _NAN,
    "fill_exit": _NAN,
    "fill_exit_time": NO_TIME,
    "file_exit_reason": 0,
    "quantity": _NAN,
    "stop_initial": _NAN,
    "stop_final": _NAN,
    "commission": _NAN,
    "swap": _NAN,
    "on_plan": -1,
}
_STATED_REASONS = {**EXIT_REASONS, "null": EXIT_REASONS["none"]}
_TRADE_NUMBERS = {
    "requested_entry": "requested_entry",
    "requested_exit": "requested_exit",
    "fill_exit": "exit",
    "quantity": "quantity",
    "stop_initial": "stop_loss_initial",
    "stop_final": "stop_loss_final",
    "commission": "commission",
    "swap": "swap",
}


def _trade_columns(trade: Fields | None) -> dict[str, float | int | bool]:
    if trade is None:
        return dict(_NO_TRADE)
    entered = trade.time("entry_time")
    left = NO_TIME if trade.get("exit_time") is None else trade.time("exit_time")
    if (left == NO_TIME) != (trade.get("exit") is None):
        refuse("missing_field", "exit and exit_time go together", trade.at("exit"))
    if left != NO_TIME and left < entered:
        refuse("time_order", "the exit is before the entry", trade.at("exit_time"))
    numbers_ = {name: trade.maybe_number(key) for name, key in _TRADE_NUMBERS.items()}
    if numbers_["quantity"] <= 0:
        refuse("quantity", "must be above 0", trade.at("quantity"))
    return {
        **numbers_,
        "executed": True,
        "fill_entry": trade.number("entry"),
        "fill_entry_time": entered,
        "fill_exit_time": left,
        "file_exit_reason": trade.choice("exit_reason", _STATED_REASONS, "none"),
        "on_plan": -1 if trade.get("on_plan") is None else int(trade.flag("on_plan")),
    }


def _with_flags(top: Fields, batch: CaseBatch) -> CaseBatch:
    """Flags given by the writer, else those that the fills and candles prove here."""
    bits = 0
    if top.get("flags") is not None:
        for i, name in enumerate(sequence(top.get("flags"), "flags")):
            if str(name).upper() not in Flag.__members__:
                refuse("choice", f"{name!r} is no flag", f"flags[{i}]")
            bits |= Flag[str(name).upper()]
    else:
        bits = _outside(batch)
    batch.extra_flags[0] = bits
    return batch


def _outside(batch: CaseBatch) -> int:
    """Whether entry and exit lie outside, or far outside, the candles that contain them."""
    leave_time = np.where(batch.is_trade, batch.fill_exit_time, NO_TIME)
    enter = _place(batch, batch.entry_price, batch.entry_time)
    leave = _place(batch, batch.fill_exit, leave_time)
    if int(batch.entry_kind[0]) != 0:  # an order waits outside by intent
        enter = 0
    bits = Flag.ENTRY_OUTSIDE_CANDLE if enter else Flag(0)
    bits |= Flag.EXIT_OUTSIDE_CANDLE if leave else Flag(0)
    return int(bits | (Flag.FAR_OUTSIDE_CANDLE if _FAR in (enter, leave) else Flag(0)))


def _place(batch: CaseBatch, price: F64, time: I64) -> int:
    """0 inside the candle that contains it, or where none does; 1 outside, `_FAR` far outside.

    As `selectors.fills` has it: with quotes, below the lowest bid or above the highest ask.
    """
    candles = batch.market.candles
    if int(time[0]) == NO_TIME or not len(candles):
        return 0
    bar = int(entry_bars(candles, batch.market.bar_ns, time)[1][0])
    if bar < 0:
        return 0
    high, low = candles.high[bar], candles.low[bar]
    if candles.quotes is not None:
        high, low = candles.quotes.ask_high[bar], candles.quotes.bid_low[bar]
    level = float(scaled(price, batch.market.point)[0])
    if low <= level <= high:
        return 0
    return _FAR if max(low - level, level - high) > FAR_OUTSIDE * abs(level) else 1


def _seen_coverage(top: Fields) -> F64 | None:
    if top.get("coverage") is None:
        return None
    share = top.number("coverage")
    if not 0 <= share <= 1:
        refuse("out_of_range", "a share between 0 and 1", "coverage")
    return np.array([share])


# --- histories -----------------------------------------------------------------------------------


def _span(count: int | None) -> tuple[I64, I64]:
    missing = count is None
    return np.array([-1 if missing else 0]), np.array([-1 if count is None else count])


def _model_history(top: Fields) -> ModelHistory:
    rows = top.rows("model_history")
    if rows is None:
        return ModelHistory(np.zeros(0), np.zeros(0, np.bool_), *_span(None))
    return ModelHistory(rows.numbers("score"), rows.flags("won"), *_span(len(rows)))


def _setup_history(top: Fields) -> SetupHistory:
    rows = top.rows("setup_history")
    if rows is None:
        return SetupHistory(np.zeros(0, np.int8), np.zeros(0, np.bool_), np.zeros(0), *_span(None))
    return SetupHistory(
        np.array(rows.choices("setup", _SETUP_NUMBERS), np.int8),
        rows.flags("won"),
        rows.numbers("reward_risk", gaps=True),
        *_span(len(rows)),
    )


def _trade_log(top: Fields, entry_time: int) -> TradeLog:
    """Earlier trades by exit time; those that closed after the entry are not of the past."""
    rows = top.rows("trade_log")
    if rows is None:
        return TradeLog(np.zeros(0, np.int64), np.zeros(0), np.zeros(0), *_span(None))
    time = np.array(rows.times("exit_time"), np.int64)
    order = np.argsort(time, kind="stable")
    past = order[time[order] <= entry_time]
    r, quantity = (rows.numbers(name, gaps=True)[past] for name in ("r", "quantity"))
    return TradeLog(time[past], r, quantity, *_span(past.size))
