"""Labels: the verdict on each path under its barriers, its clock and its neutral band.

Signal horizons. Stop touched: failed, at the stop, or at the open of a bar that opened beyond it.
Target touched: succeeded, at the target, even where the bar opened beyond it (conservative).
Neither: the close of the last bar on the exit side decides; a result on or inside the neutral band
is neutral, otherwise its sign rules. A stop entry that was gapped over counts from the open that
filled it, and its risk stays the planned one. A market entry on the far side of a barrier from the
market is not judged, nor is a touch by an open that bars are missing right before. The time of a
touch is the open of its bar, the time of a clock exit is the close of the last bar.

TRADE. A touch of the initial stop or of the target decides as above, otherwise the net result of
the fills (price move less commission and swap per unit) and its sign. What only the bar of the exit
touched, and the fill contradicts, does not count; excursions are then those of the bars before and
of the fill. Price, time, R, pips and per
cent are always those of the fills; pips are gross, R and per cent are net.

Risk is the distance of the planned entry from the initial stop; without one R is NaN. The band is
in R; without a stop it is in ATR14 of the signal's timeframe before the entry; without that it is
zero. Numbers are computed in half-points, where prices on the grid are exact.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trading.core.candles import F64, I64
from trading.core.indicators import atr, last_closed
from trading.core.units import scaled, to_prices

from .doubts import exit_side
from .replay import (
    LIMIT,
    bad_stop_side,
    entry_bars,
    entry_gapped,
    judged_entry,
    reference_entry,
)
from .types import (
    I8,
    I32,
    NO_TIME,
    Bool,
    CaseBatch,
    ExitReason,
    Flag,
    Labels,
    Outcome,
    Paths,
)

MIN_COVERAGE = 0.95
# Results are exact up to float dirt of off-grid fills; this is far below any price step.
_DIRT = 1e-6
_UNJUDGED = (Outcome.PENDING, Outcome.NEEDS_REVIEW)


@dataclass(frozen=True, slots=True, eq=False)
class _Data:
    """What the stored bars allow."""

    coverage: F64
    low_coverage: Bool
    no_data: Bool
    entry_missing: Bool
    too_short: Bool
    pending: Bool


@dataclass(frozen=True, slots=True, eq=False)
class _Result:
    """Exit and result of each case, in half-points; NaN where unknown."""

    exit: F64
    gross: F64
    net: F64
    risk: F64
    entry: F64


def label(batch: CaseBatch, paths: Paths) -> Labels:
    """Labels of all cases; every array has shape (N,)."""
    data = _data(batch, paths)
    result = _result(batch, paths)
    below = batch.score < batch.min_score
    verdict = _verdict(batch, paths, data, result)
    # What was executed was taken all the same: that is a finding about it, not a filter.
    filtered = below & ~batch.executed
    outcome = np.where(filtered, Outcome.FILTERED_OUT, verdict).astype(np.int8)
    unfilled = verdict == Outcome.FILTERED_OUT
    shadow = np.where(filtered & ~unfilled, verdict, 0).astype(np.int8)
    shown = ~np.isin(verdict, _UNJUDGED) & ~unfilled
    known = shown | batch.is_trade
    return Labels(
        outcome=outcome,
        shadow_outcome=shadow,
        exit_reason=_exit_reason(batch, paths, shown),
        exit_time=np.where(known, _exit_time(batch, paths), NO_TIME),
        exit_price=np.where(known, _exit_price(batch, result), np.nan),
        r=np.where(known, result.net / result.risk, np.nan),
        pips=np.where(known, result.gross / batch.market.pip_half_points, np.nan),
        pnl_pct=np.where(known, 100 * result.net / result.entry, np.nan),
        **_excursions(batch, paths, result, shown),
        coverage=data.coverage,
        flags=_flags(batch, paths, data, result, shown, below, unfilled),
        risk_price=to_prices(result.risk, batch.market.point),
        judged_entry=judged_entry(batch, paths),
    )


def atr_before_entry(batch: CaseBatch) -> F64:
    """ATR14 in half-points of the last bar of the signal's timeframe closed by the entry.

    Taken from the setup view of that timeframe, else from the judged candles; NaN with fewer than
    15 closed bars.
    """
    result = np.full(len(batch), np.nan)
    for bar_ns in np.unique(batch.setup_bar_ns):
        rows = np.flatnonzero(batch.setup_bar_ns == bar_ns)
        views = [v for v in batch.setup_views if v.bar_ns == bar_ns]
        candles = views[0].candles if views else batch.market.candles
        length = int(bar_ns) if views else batch.market.bar_ns
        at = last_closed(candles.time, length, batch.entry_time[rows])
        found = rows[at >= 0]
        if found.size:
            result[found] = atr(candles)[at[at >= 0]]
    return result


def _data(batch: CaseBatch, paths: Paths) -> _Data:
    candles, bar_ns = batch.market.candles, batch.market.bar_ns
    series = len(candles) > 0
    over = paths.reached_end | (not series)
    _, container = entry_bars(candles, bar_ns, batch.entry_time)
    entry_missing = over & (container < 0)
    expected = paths.n_expected > 0
    coverage = np.full(len(batch), np.nan)
    np.divide(paths.n_bars, paths.n_expected, out=coverage, where=expected & over)
    coverage = np.minimum(coverage, 1.0)
    if batch.seen_coverage is not None:
        coverage = np.where(over & (paths.n_expected < 0), batch.seen_coverage, coverage)
    too_short = ~batch.is_trade & (batch.end_time - batch.entry_time < bar_ns)
    empty = over & (paths.n_bars <= 0) & ~too_short
    return _Data(
        coverage=coverage,
        low_coverage=coverage < MIN_COVERAGE,
        no_data=empty & np.where(batch.is_trade, entry_missing, True),
        entry_missing=entry_missing,
        too_short=too_short,
        pending=~over & ~too_short,
    )


def _result(batch: CaseBatch, paths: Paths) -> _Result:
    point = batch.market.point
    entry = paths.entry
    signal_exit = np.full(len(batch), np.nan)
    if len(batch.market.candles):
        signal_exit = _signal_exit(batch, paths)
    leave = np.where(batch.is_trade, scaled(batch.fill_exit, point), signal_exit)
    gross = batch.side * (leave - entry)
    risk = np.abs(scaled(reference_entry(batch), point) - scaled(batch.stop_price, point))
    return _Result(
        exit=leave,
        gross=gross,
        net=np.where(batch.is_trade, gross - _costs(batch), gross),
        risk=np.where(bad_stop_side(batch), np.nan, risk),
        entry=entry,
    )


def _costs(batch: CaseBatch) -> F64:
    """Commission and swap per unit in half-points; a cost without a quantity is NaN."""
    total = np.nan_to_num(batch.commission) + np.nan_to_num(batch.swap)
    units = np.where(batch.quantity > 0, batch.quantity, np.nan)
    return scaled(np.where(total == 0, 0.0, total / units), batch.market.point)


def _signal_exit(batch: CaseBatch, paths: Paths) -> F64:
    point, candles = batch.market.point, batch.market.candles
    close = exit_side(candles, "close", paths.exit, batch.side).astype(np.float64)
    opened = exit_side(candles, "open", paths.exit, batch.side)
    filled = opened.astype(np.float64)
    if paths.resolved is not None:
        finer = batch.side * paths.resolved.gap_open
        filled = np.where(np.isnan(finer), filled, finer)
    at_stop = np.where(paths.gap, filled, scaled(batch.stop_price, point))
    stopped = (paths.hit & 1) > 0
    result = np.where(stopped, at_stop, close)
    result = np.where(paths.hit == 2, scaled(batch.target_price, point), result)
    return np.where(paths.exit >= 0, result, np.nan)


def _verdict(batch: CaseBatch, paths: Paths, data: _Data, result: _Result) -> I8:
    band = _band(batch, result)
    near = np.abs(result.net) <= band + _DIRT
    by_result = np.where(result.net > 0, Outcome.SUCCEEDED, Outcome.FAILED)
    by_result = np.where(near, Outcome.NEUTRAL, by_result)
    by_result = np.where(np.isnan(result.net), Outcome.NEEDS_REVIEW, by_result)
    verdict = np.where(paths.hit == 2, Outcome.SUCCEEDED, Outcome.FAILED)
    verdict = np.where(paths.hit == 0, by_result, verdict)
    verdict = np.where(paths.first < 0, Outcome.FILTERED_OUT, verdict)
    review = data.no_data | data.entry_missing | data.low_coverage | data.too_short
    review |= paths.off_market | paths.after_hole
    verdict = np.where(review, Outcome.NEEDS_REVIEW, verdict)
    return np.where(data.pending, Outcome.PENDING, verdict).astype(np.int8)


def _band(batch: CaseBatch, result: _Result) -> F64:
    unit = result.risk
    if bool(np.isnan(unit).any()):
        unit = np.where(np.isnan(unit), atr_before_entry(batch), unit)
    in_r = batch.neutral_r * unit
    band = np.where(np.isnan(in_r), scaled(batch.neutral_price, batch.market.point), in_r)
    return np.nan_to_num(band)


def _exit_reason(batch: CaseBatch, paths: Paths, shown: Bool) -> I8:
    touched = np.where(paths.hit == 2, ExitReason.TP, ExitReason.SL)
    untouched = np.where(batch.is_trade, ExitReason.MANUAL, ExitReason.TIME)
    stated = batch.is_trade & (batch.file_exit_reason != ExitReason.NONE)
    untouched = np.where(stated, batch.file_exit_reason, untouched)
    reason = np.where(paths.hit > 0, touched, untouched)
    unjudged = np.where(stated, batch.file_exit_reason, ExitReason.NONE)
    return np.where(shown, reason, unjudged).astype(np.int8)


def _exit_time(batch: CaseBatch, paths: Paths) -> I64:
    candles = batch.market.candles
    if not len(candles):
        return batch.fill_exit_time
    opened = candles.time[np.maximum(paths.exit, 0)]
    if paths.resolved is not None:
        finer = paths.resolved.exit_time
        opened = np.where(finer == NO_TIME, opened, finer)
    bar_time = np.where(paths.hit > 0, opened, opened + batch.market.bar_ns)
    return np.where(batch.is_trade, batch.fill_exit_time, bar_time)


def _exit_price(batch: CaseBatch, result: _Result) -> F64:
    price = to_prices(result.exit, batch.market.point)
    return np.where(batch.is_trade, batch.fill_exit, price)


def _excursions(batch: CaseBatch, paths: Paths, result: _Result, shown: Bool) -> dict[str, F64]:
    """MFE, MAE and drawdown in R and pips, from the exact entry; NaN for an empty window."""
    count = len(batch)
    moves = {name: np.full(count, np.nan) for name in ("mfe", "mae", "drawdown")}
    seen = shown & (paths.mfe_bar >= 0)
    if paths.resolved is not None:
        seen |= shown & np.isfinite(paths.resolved.best)
    if bool(seen.any()):
        moves = _moves(batch, paths, result, seen)
    numbers: dict[str, F64] = {}
    for name, move in moves.items():
        numbers[f"{name}_r"] = move / result.risk
        numbers[f"{name}_pips"] = move / batch.market.pip_half_points
    return numbers


def _moves(batch: CaseBatch, paths: Paths, result: _Result, seen: Bool) -> dict[str, F64]:
    candles, long = batch.market.candles, batch.side > 0

    def gained(bars: I64, up: Bool) -> F64:
        highs = exit_side(candles, "high", bars, batch.side)
        lows = exit_side(candles, "low", bars, batch.side)
        moved: F64 = batch.side * (np.where(up, highs, lows) - result.entry)
        return moved

    # A limit stopped in the bar of its fill has seen its highs before the fill, not after.
    limit = (batch.entry_kind == LIMIT) & ~batch.is_trade
    at_fill = limit & (paths.mfe == 0) & (paths.exit == paths.first) & ((paths.hit & 1) > 0)
    mfe = np.where(at_fill, 0.0, np.maximum(gained(paths.mfe_bar, long), 0.0))
    mae = np.maximum(-gained(paths.mae_bar, ~long), 0.0)
    drawdown = paths.drawdown.astype(np.float64)
    if (finer := paths.resolved) is not None:
        entry = batch.side * result.entry
        mfe = np.where(np.isnan(finer.best), mfe, np.maximum(finer.best - entry, 0.0))
        mae = np.where(np.isnan(finer.worst), mae, np.maximum(entry - finer.worst, 0.0))
        drawdown = np.where(np.isnan(finer.fall), drawdown, finer.fall)
    # The bar of the exit is left out, the fill in it is not.
    left_open = paths.exit_touch > 0
    mfe, mae = (
        np.where(left_open, np.maximum(move, np.nan_to_num(fill)), move)
        for move, fill in ((mfe, result.gross), (mae, -result.gross))
    )
    drawdown = np.where(left_open, np.maximum(drawdown, mfe - result.gross), drawdown)
    drawdown = np.maximum(drawdown, mae)
    moves = {"mfe": mfe, "mae": mae, "drawdown": drawdown}
    return {name: np.where(seen, move, np.nan) for name, move in moves.items()}


def _flags(
    batch: CaseBatch,
    paths: Paths,
    data: _Data,
    result: _Result,
    shown: Bool,
    below: Bool,
    unfilled: Bool,
) -> I32:
    bad_side = bad_stop_side(batch)
    final, initial = (scaled(x, batch.market.point) for x in (batch.stop_final, batch.stop_initial))
    moved = batch.is_trade & np.isfinite(final) & np.isfinite(initial) & (final != initial)
    bits: tuple[tuple[Flag, Bool], ...] = (
        (Flag.AMBIGUOUS, shown & (paths.hit == 3)),
        (Flag.ENTRY_BAR_AMBIGUOUS, shown & paths.skipped_touch),
        (Flag.RESOLVED_FINER, shown & _finer_used(paths)),
        (Flag.ENTRY_OFF_MARKET, paths.off_market & ~data.pending),
        (Flag.HOLE_BEFORE_TOUCH, paths.after_hole & ~data.pending),
        (Flag.ENTRY_GAP, shown & entry_gapped(batch, paths)),
        (Flag.EXIT_BAR_AMBIGUOUS, shown & (paths.exit_touch > 0)),
        (Flag.GAP_THROUGH_STOP, shown & paths.gap),
        (Flag.STOP_MOVED, bad_side | moved),
        (Flag.BAD_STOP_SIDE, bad_side),
        (Flag.LOW_COVERAGE, data.low_coverage),
        (Flag.NO_DATA, data.no_data),
        (Flag.HORIZON_TOO_SHORT, data.too_short),
        (Flag.NOT_FILLED, unfilled),
        (Flag.BELOW_THRESHOLD, below),
        (Flag.RISK_FROM_ATR, np.isnan(result.risk)),
        (Flag.NO_BARRIER, np.isnan(result.risk) & np.isnan(batch.target_price)),
        (Flag.ENTRY_BAR_MISSING, data.entry_missing),
    )
    flags = batch.extra_flags.astype(np.int32)
    for flag, where in bits:
        flags |= where.astype(np.int32) * np.int32(flag)
    return flags


def _finer_used(paths: Paths) -> Bool:
    if paths.resolved is None:
        return np.zeros(paths.first.shape, np.bool_)
    used: Bool = paths.resolved.by_ns > 0
    return used
