"""What is known of a case at its entry, and what is known only later.

A feature never sees a `CaseBatch`. It names the inputs it reads, and is given these and nothing
else; every input is either in `INPUTS`, each with a reader that cannot reach past the entry, or in
`LATER`, with the reason why nobody may predict with it. Readers return when each value was known,
and `matrix.py` compares that with the entry once more.

Bars: only `Entries.before`, the last bar closed by the entry, and arrays of `core/features.py`,
whose element i uses bars <= i. Histories: rows known strictly before the entry. News: scheduled
times and impact, which a calendar states in advance; never what a release said.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from post_mortem.core.features import (
    RETURN_UNIT,
    SIGMA_BARS,
    SQUARE_UNIT,
    Features,
    market_features,
    usual_of_hour,
    window_start,
)
from post_mortem.core.types import SETUPS, Bool, CaseBatch, Labels, Paths
from trading.core.candles import F64, I64
from trading.core.sessions import session_bits
from trading.core.types import NS_PER_HOUR, NS_PER_MINUTE, timeframe_name

RECENT_BARS = 12
TREND_BARS = 48
LEAST_BARS = 8  # with a known range, of either window
HIGH_IMPACT = 2
NEWS_MINUTES = 24 * 60.0  # farther than this from a release is the same as this far
LOSS_MINUTES = 7 * 24 * 60.0
BUSY_NS = 8 * NS_PER_HOUR
USUAL_TRADES = 20
USUAL_LEAST = 10
RECORD_LEAST = 5
RECENT_RESULTS = 20


@dataclass(frozen=True, slots=True, eq=False)
class Entries:
    """Cases as they stood at their entry.

    `before`: index of the last bar closed by the entry, -1 none. `quantity`: size at the entry,
    NaN unknown. `scaled`: positions that were added to later, so that their average entry price
    was not known at the entry. `strategy`: index into `strategies`, -1 none.
    """

    batch: CaseBatch
    features: Features
    before: I64
    strategy: I64
    strategies: tuple[str, ...]
    quantity: F64
    scaled: Bool

    def __len__(self) -> int:
        return len(self.batch)


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """Values of one input (NaN unknown) and the time (ns) from which each was known.

    `levels` are the words of values that are codes."""

    values: F64
    available_at: I64
    levels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Input:
    meaning: str
    read: Callable[[Entries], Known]


def entries_of(
    batch: CaseBatch,
    *,
    strategy: I64 | None = None,
    strategies: tuple[str, ...] = (),
    quantity: F64 | None = None,
    scaled: Bool | None = None,
) -> Entries:
    """The cases at their entry. Without `quantity` no size is known, without `strategy` no name."""
    n = len(batch)
    closed = batch.entry_time - batch.market.bar_ns
    before = np.searchsorted(batch.market.candles.time, closed, side="right").astype(np.int64) - 1
    return Entries(
        batch,
        market_features(batch.market),
        before,
        np.full(n, -1, np.int64) if strategy is None else strategy,
        strategies,
        np.full(n, np.nan) if quantity is None else quantity,
        np.zeros(n, bool) if scaled is None else scaled,
    )


# --- columns of the batch -----------------------------------------------------------------------


def _at_entry(values: NDArray[np.generic], entries: Entries) -> Known:
    return Known(values.astype(np.float64), entries.batch.entry_time)


def _column(name: str) -> Callable[[Entries], Known]:
    def read(entries: Entries) -> Known:
        return _at_entry(getattr(entries.batch, name), entries)

    return read


def _entry_price(entries: Entries) -> Known:
    return _at_entry(np.where(entries.scaled, np.nan, entries.batch.entry_price), entries)


def _claimed(entries: Entries) -> Known:
    """0 none, 1..6 one of SETUPS, 7 several, NaN unknown."""
    bits = entries.batch.claimed_setups
    names = np.arange(len(SETUPS))
    count = ((bits[:, None] >> names) & 1).sum(axis=1)
    single = np.where(bits > 0, np.log2(np.maximum(bits, 1)), 0) + 1
    code = np.where(count == 0, 0, np.where(count == 1, single, len(SETUPS) + 1))
    return _at_entry(np.where(bits < 0, np.nan, code), entries)


def _symbol(entries: Entries) -> Known:
    zeros = np.zeros(len(entries))
    return Known(zeros, entries.batch.entry_time, (entries.batch.market.symbol,))


def _strategy(entries: Entries) -> Known:
    code = np.where(entries.strategy >= 0, entries.strategy, np.nan)
    return Known(code, entries.batch.entry_time, entries.strategies)


def _timeframe(entries: Entries) -> Known:
    lengths, code = np.unique(entries.batch.setup_bar_ns, return_inverse=True)
    names = tuple(timeframe_name(int(ns)) for ns in lengths)
    return Known(code.astype(np.float64), entries.batch.entry_time, names)


def _sessions(entries: Entries) -> Known:
    return _at_entry(session_bits(entries.batch.entry_time), entries)


def _quantity(entries: Entries) -> Known:
    return _at_entry(np.where(entries.scaled, np.nan, entries.quantity), entries)


# --- bars before the entry ----------------------------------------------------------------------


def _of_bars(entries: Entries, values: Callable[[I64], F64]) -> Known:
    """values(bar) at the last closed bar, NaN where there is none."""
    has = entries.before >= 0
    result = np.full(len(entries), np.nan)
    closed = entries.batch.entry_time.copy()
    if has.any():
        bar = entries.before[has]
        result[has] = values(bar)
        market = entries.batch.market
        closed[has] = market.candles.time[bar] + market.bar_ns
    return Known(result, closed)


def _atr(entries: Entries) -> Known:
    """In price units, of one bar of the judged series scaled to the signal's own timeframe."""
    market = entries.batch.market
    scale = np.sqrt(entries.batch.setup_bar_ns / market.bar_ns)[entries.before >= 0]
    return _of_bars(entries, lambda bar: entries.features.atr[bar] * market.half_point * scale)


def _volatility(entries: Entries) -> Known:
    return _of_bars(
        entries,
        lambda bar: _ranges(entries, bar, RECENT_BARS) / _ranges(entries, bar, SIGMA_BARS),
    )


def _ranges(entries: Entries, bar: I64, bars: int) -> F64:
    """Root mean squared range of the bars up to `bar`, NaN with too few of them."""
    features, market = entries.features, entries.batch.market
    start = window_start(market.candles.time, bar + 1, bars, market.bar_ns)
    count = features.range_count[bar + 1] - features.range_count[start]
    squares = (features.range_sum[bar + 1] - features.range_sum[start]) * SQUARE_UNIT
    rms = np.sqrt(squares / np.maximum(count, 1))
    return np.where((count >= LEAST_BARS) & (rms > 0), rms, np.nan)


def _drift(entries: Entries) -> Known:
    """Move of the bars before in standard deviations of such a stretch, + upwards."""
    features, market = entries.features, entries.batch.market

    def moved(bar: I64) -> F64:
        start = window_start(market.candles.time, bar + 1, TREND_BARS, market.bar_ns)
        total = (features.d_sum[bar + 1] - features.d_sum[start]) * RETURN_UNIT
        usual = features.sigma[bar + 1] * np.sqrt(np.maximum(bar + 1 - start, 1))
        return np.where(bar + 1 - start >= LEAST_BARS, total / usual, np.nan)

    return _of_bars(entries, moved)


def _spread(entries: Entries) -> Known:
    candles = entries.batch.market.candles
    if candles.spread is None or not candles.spread.size:
        return _at_entry(np.full(len(entries), np.nan), entries)
    spread = candles.spread.astype(np.float64)
    usual = usual_of_hour(candles.time, spread)
    ratio = np.where(usual > 0, spread / np.where(usual > 0, usual, 1.0), np.nan)
    return _of_bars(entries, lambda bar: ratio[bar])


# --- the calendar -------------------------------------------------------------------------------


def _releases(entries: Entries, *, ahead: bool) -> Known:
    """Minutes to the next, or since the last, scheduled high-impact release."""
    entry, news = entries.batch.entry_time, entries.batch.market.news
    if news is None:
        return _at_entry(np.full(len(entries), np.nan), entries)
    times = news.time[news.impact == HIGH_IMPACT]
    near = np.full(len(entries), NEWS_MINUTES)
    # A release at the very moment of the entry is the next one, not the last.
    place = np.searchsorted(times, entry) - (0 if ahead else 1)
    has = (place >= 0) & (place < times.size)
    near[has] = np.abs(times[place[has]] - entry[has]) / NS_PER_MINUTE
    covered = np.zeros(len(entries), bool)
    for low, high in zip(news.covered_from, news.covered_to, strict=True):
        covered |= (entry >= low) & (entry <= high)
    return _at_entry(np.where(covered, np.minimum(near, NEWS_MINUTES), np.nan), entries)


# --- earlier results ----------------------------------------------------------------------------


def _log_known(entries: Entries, values: F64) -> Known:
    """Values of the trade log, NaN without one, known when the last trade seen was closed."""
    log = entries.batch.trade_log
    seen = (log.start >= 0) & (log.stop > log.start)
    available = entries.batch.entry_time.copy()
    available[seen] = log.exit_time[log.stop[seen] - 1]
    return Known(np.where(log.start >= 0, values, np.nan), available)


def _trades_before(entries: Entries) -> Known:
    log = entries.batch.trade_log
    since = np.searchsorted(log.exit_time, entries.batch.entry_time - BUSY_NS, side="right")
    return _log_known(
        entries, np.maximum(log.stop - np.maximum(since, log.start), 0).astype(np.float64)
    )


def _since_loss(entries: Entries) -> Known:
    log = entries.batch.trade_log
    last = np.full(log.r.size + 1, -1, np.int64)
    np.maximum.accumulate(np.where(log.r < 0, np.arange(log.r.size), -1), out=last[1:])
    at = last[np.maximum(log.stop, 0)]
    has = (at >= 0) & (at >= log.start) & (log.start >= 0)
    minutes = np.full(len(entries), LOSS_MINUTES)
    minutes[has] = (entries.batch.entry_time[has] - log.exit_time[at[has]]) / NS_PER_MINUTE
    return _log_known(entries, np.minimum(minutes, LOSS_MINUTES))


def _usual_quantity(entries: Entries) -> Known:
    """Median size of the last trades before the entry, NaN with too few."""
    log = entries.batch.trade_log
    places = np.maximum(log.stop, 0)[:, None] - 1 - np.arange(USUAL_TRADES)
    inside = (places >= log.start[:, None]) & (places >= 0) & (log.start[:, None] >= 0)
    sizes = np.full(places.shape, np.nan)
    sizes[inside] = log.quantity[places[inside]]
    usual = np.full(len(entries), np.nan)
    enough = np.isfinite(sizes).sum(axis=1) >= USUAL_LEAST
    usual[enough] = np.nanmedian(sizes[enough], axis=1)
    return _log_known(entries, usual)


def _setup_record(entries: Entries) -> Known:
    """Share of wins of the claimed setups' earlier results, known before the entry."""
    history, bits = entries.batch.setup_history, entries.batch.claimed_setups
    start, stop = np.maximum(history.start, 0), np.maximum(history.stop, 0)
    n, won = np.zeros(len(entries)), np.zeros(len(entries))
    for code in range(len(SETUPS)):
        of_setup = history.setup == code
        counts = np.concatenate([[0], np.cumsum(of_setup)])
        wins = np.concatenate([[0], np.cumsum(of_setup & history.won)])
        claims = (bits > 0) & ((bits >> code) & 1 == 1) & (history.start >= 0)
        n += np.where(claims, counts[stop] - counts[start], 0)
        won += np.where(claims, wins[stop] - wins[start], 0)
    return _at_entry(np.where(n >= RECORD_LEAST, won / np.maximum(n, 1), np.nan), entries)


def _recent_record(entries: Entries) -> Known:
    """Share of wins among the last results of the same model known before the entry."""
    history = entries.batch.model_history
    stop = np.maximum(history.stop, 0)
    start = np.maximum(np.maximum(history.start, 0), stop - RECENT_RESULTS)
    wins = np.concatenate([[0], np.cumsum(history.won)])
    n = stop - start
    known = (history.start >= 0) & (n >= RECORD_LEAST)
    share = (wins[stop] - wins[start]) / np.maximum(n, 1)
    return _at_entry(np.where(known, share, np.nan), entries)


INPUTS: Mapping[str, Input] = {
    "entry_time": Input("moment of the entry", _column("entry_time")),
    "sessions": Input("sessions open at the entry, as bits", _sessions),
    "side": Input("long +1, short -1", _column("side")),
    "entry_price": Input("price of the entry", _entry_price),
    "stop_price": Input("initial stop", _column("stop_price")),
    "target_price": Input("target of the plan", _column("target_price")),
    "entry_kind": Input("market, limit or stop order", _column("entry_kind")),
    "score": Input("score of the signal", _column("score")),
    "min_score": Input("least score asked for", _column("min_score")),
    "claimed_setups": Input("setups the signal claims", _claimed),
    "symbol": Input("instrument", _symbol),
    "strategy": Input("name of the strategy", _strategy),
    "timeframe": Input("timeframe of the signal", _timeframe),
    "quantity": Input("size at the entry", _quantity),
    "atr": Input("average true range of the bars before", _atr),
    "volatility": Input("recent range against that of the hours before", _volatility),
    "drift": Input("move of the bars before, in its own deviations", _drift),
    "spread": Input("spread of the last bar against the usual of its hour", _spread),
    "next_release": Input(
        "minutes to the next scheduled release", lambda e: _releases(e, ahead=True)
    ),
    "last_release": Input(
        "minutes since the last scheduled release", lambda e: _releases(e, ahead=False)
    ),
    "setup_record": Input("earlier results of the claimed setups", _setup_record),
    "recent_record": Input("last results of the same model", _recent_record),
    "trades_before": Input("trades closed in the hours before", _trades_before),
    "since_loss": Input("minutes since the last losing trade", _since_loss),
    "usual_quantity": Input("usual size of the trades before", _usual_quantity),
}

_RESULT = "it is a result of the trade"
_MANAGED = "it is decided while the trade is open or after it"
LATER: Mapping[str, str] = {
    **{field.name: _RESULT for field in (*fields(Labels), *fields(Paths))},
    **dict.fromkeys(
        ("exit_time", "duration", "mae", "mfe", "pnl", "cause", "confidence", "posterior"), _RESULT
    ),
    **dict.fromkeys(
        ("fill_exit", "fill_exit_time", "requested_exit", "file_exit_reason", "end_time"), _RESULT
    ),
    **dict.fromkeys(("stop_final", "commission", "swap", "extra_flags"), _MANAGED),
    "seen_coverage": "it counts bars up to the end of the case",
    "executed": "a signal is executed, or not, after it was given",
    "fill_entry": "under a signal's horizon the fill comes after the signal",
    "fill_entry_time": "under a signal's horizon the fill comes after the signal",
    "requested_entry": "under a signal's horizon the order comes after the signal",
    "final_quantity": "positions are added to while they are open",
    "on_plan": "it may be told with the result in mind",
    "tags": "they may be given with the result in mind",
    "mistakes": "they may be given with the result in mind",
    "stars": "they may be given with the result in mind",
    "news_surprise": "what a release said, and its revisions, are known after it",
    "news_actual": "what a release said, and its revisions, are known after it",
    "outages": "nobody knows an outage in advance",
    "regime_after": "it is measured on bars after the entry",
    "symbol_win_rate": "it would count the trade itself and later ones",
    "strategy_win_rate": "it would count the trade itself and later ones",
}
