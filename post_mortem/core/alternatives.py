"""What another plan would have made of the same candles: a wider stop, fills without slippage.

Both change one thing and keep the rest: entry, target, costs and candles. Results are in R of the
original risk, so that they compare with what happened; twice the distance risks twice as much and
says so by losing -2 R. Nothing is said (NaN) where stored candles do not reach, where the entry was
never filled, or without an initial stop.

A wider stop is only of interest where the stop ended it. A signal is followed to the end of its
horizon, a trade through the bar of its exit: by then the wider stop or the target was touched, or
it stands at its own exit, or, where the stop itself was that exit, at the close of the bar. Given
`until`, a trade is followed to that moment instead, as if it had been left alone.
Example: long at 100, stop 90, target 120; bars fall to 88 and then reach 121. Stop at 85: +2.00 R.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from trading.core.candles import F64, I64

from .labeler import label
from .replay import reference_entry
from .resolution import first_touches
from .rules import barrier_half_points
from .types import I8, NO_TIME, Bool, CaseBatch, ExitReason, Labels, Outcome, Paths


@dataclass(frozen=True, slots=True, eq=False)
class Alternative:
    """Another plan's end of each case, shape (N,). `r` in R of the original risk, NaN where
    nothing can be said; `hit` 0 none, 1 the wider stop, 2 the target; `exit_time` ns UTC or
    NO_TIME."""

    stop_price: F64
    r: F64
    exit_price: F64
    exit_time: I64
    hit: I8


@dataclass(frozen=True, slots=True, eq=False)
class Slippage:
    """What worse fills than asked for cost, shape (N,): price distance, and the R without it. NaN
    where neither the entry nor the exit that was asked for is known."""

    price: F64
    r: F64


def wider_stop(
    batch: CaseBatch, paths: Paths, labels: Labels, factor: float, *, until: I64 | None = None
) -> Alternative:
    """The stop at `factor` times its distance from the planned entry. `paths` and `labels` are
    those of `batch`; `until` (ns, shape (N,)) replaces the end of the window."""
    if factor <= 1:
        raise ValueError(f"a wider stop is farther away: {factor}")
    stop = reference_entry(batch) - batch.side * factor * labels.risk_price
    end = _end(batch, paths) if until is None else until
    changed = replace(
        batch,
        is_trade=np.zeros(len(batch), np.bool_),
        stop=barrier_half_points(stop, batch.side, batch.market.point, "stop"),
        stop_price=stop,
        end_time=end,
        min_score=np.full(len(batch), np.nan),
    )
    new_paths = first_touches(changed)
    new = label(changed, new_paths)
    # A trade that nothing touched, and that its stop did not end, ended as it did.
    as_it_did = batch.is_trade & (until is None) & (new_paths.hit == 0)
    as_it_did &= ~(_stopped(labels) & (paths.exit == paths.last))
    price = np.where(as_it_did, batch.fill_exit, new.exit_price)
    result = _in_original_r(batch, labels, price)
    known = _stopped(labels) & np.isfinite(result) & np.isfinite(new.exit_price)
    return Alternative(
        stop_price=np.where(known, stop, np.nan),
        r=np.where(known, result, np.nan),
        exit_price=np.where(known, price, np.nan),
        exit_time=np.where(
            known, np.where(as_it_did, batch.fill_exit_time, new.exit_time), NO_TIME
        ),
        hit=np.where(known, np.where(new_paths.hit == 3, 1, new_paths.hit), 0).astype(np.int8),
    )


def without_slippage(batch: CaseBatch, paths: Paths, labels: Labels) -> Slippage:
    """The result at the prices that were asked for: the requested entry, and the stop or the
    requested exit. A stop that the market opened beyond could not have been had."""
    entry = batch.side * (batch.fill_entry - batch.requested_entry)
    own_stop = np.where(np.isfinite(batch.stop_final), batch.stop_final, batch.stop_price)
    at_stop = (batch.file_exit_reason == ExitReason.SL) & _stopped(labels) & ~paths.gap
    asked = np.where(at_stop, own_stop, batch.requested_exit)
    exit_ = np.where(paths.gap, np.nan, batch.side * (asked - batch.fill_exit))
    known = batch.is_trade & (np.isfinite(entry) | np.isfinite(exit_))
    price = np.where(known, np.nan_to_num(entry) + np.nan_to_num(exit_), np.nan)
    return Slippage(price=price, r=labels.r + price / labels.risk_price)


def _end(batch: CaseBatch, paths: Paths) -> I64:
    """The end of the judged window: of a trade, the close of the bar of its exit."""
    time = batch.market.candles.time
    if not time.size:
        return batch.end_time
    closed = time[np.maximum(paths.last, 0)] + batch.market.bar_ns
    return np.where(batch.is_trade, closed, batch.end_time)


def _stopped(labels: Labels) -> Bool:
    lost = np.isin(labels.outcome, (Outcome.FAILED, Outcome.NEUTRAL))
    stopped: Bool = lost & (labels.exit_reason == ExitReason.SL)
    return stopped


def _in_original_r(batch: CaseBatch, labels: Labels, price: F64) -> F64:
    """R at an exit price, after what the trade paid: its gross less its net result, per unit."""
    fees = labels.pips * float(batch.market.pip) - labels.r * labels.risk_price
    moved: F64 = batch.side * (price - labels.judged_entry)
    result: F64 = (moved - np.where(batch.is_trade, fees, 0.0)) / labels.risk_price
    return result
