"""Spread and slippage: the idea made money on paper, the costs of doing it lost it.

The paper trade has the same stop and target but enters at the requested price, sees mid prices and
pays nothing; it is replayed over the bars up to the real exit. Strength = 1 when the paper result
is above 0 and the real one is not; 0.6-0.9 when a stop was hit that mid prices never touched, if
the spread was wider than usual or a good part of the risk (the usual spread touches every stop a
little before mid prices do); else 0.4 * how much of the loss is cost. A jump explains the loss
better and discounts it. A gap through the stop costs the paper trade the same: not slippage.
Source: implementation shortfall, Perold (1988).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from post_mortem.core.batches import take
from post_mortem.core.context import Context
from post_mortem.core.measures import JUMP_EXPLAINS, ramp, when
from post_mortem.core.replay import replay
from post_mortem.core.surroundings import usual_of_case
from post_mortem.core.types import I32, Bool, ExitReason, FactSpec, Findings, Missing
from trading.core.candles import F64, I64

CAUSE = "spread_slippage"
BAND = (30, 60)
COST_SHARE = (0.15, 0.5)
COST_ALONE = 0.4
STOP_BY_SPREAD = (0.6, 0.3)  # strength of a stop that mid never touched; the rest by the spread
WIDER_SPREAD = (1.0, 1.5)
UNUSUAL_SPREAD = (1.5, 3.0)
HALF_SPREAD_R = (0.1, 0.25)
FACTS = (
    FactSpec("paper_r", "R", "result of the paper trade"),
    FactSpec("actual_r", "R", "real result"),
    FactSpec("cost_r", "R", "paper minus real"),
    FactSpec("spread_r", "R", "half the spread at entry and at exit"),
    FactSpec("entry_slip_r", "R", "entry filled worse than requested"),
    FactSpec("exit_slip_r", "R", "exit filled worse than requested or than the stop"),
    FactSpec("slip_pips", "pips", "both slips together"),
    FactSpec("fees_r", "R", "commission and swap"),
    FactSpec("spread_ratio", "ratio", "spread at the exit against the usual of that hour"),
    FactSpec("flip", "code", "whether costs turned a win into the loss", ("no", "yes")),
    FactSpec("stop_hit_mid", "code", "whether mid prices touched the stop", ("no", "yes")),
)


def assess(context: Context) -> Findings:
    """Findings for every case; a signal judged on candles without quotes has no costs."""
    batch, life, labels = context.batch, context.life, context.labels
    has_quotes = batch.market.candles.quotes is not None
    missing, blind = _unchecked(context)
    costly = life.alive & np.isfinite(life.r) & ((batch.is_trade & ~blind) | has_quotes)
    paper, stop_hit = _paper(context, costly)
    cost = paper - life.r
    ratio = _spread_ratio(context, costly)
    flip = costly & (paper > 0) & (life.r <= 0)
    only_spread = costly & (labels.exit_reason == ExitReason.SL) & (stop_hit == 0) & (cost > 0)
    base, extra = STOP_BY_SPREAD
    with np.errstate(divide="ignore", invalid="ignore"):
        share = cost / np.abs(life.r)
    strength = COST_ALONE * ramp(share, *COST_SHARE)
    half = _spread_at(context, life.exit) / 2 / life.risk
    matters = np.maximum(ramp(ratio, *WIDER_SPREAD), ramp(half, *HALF_SPREAD_R))
    by_spread = matters * (base + extra * ramp(ratio, *UNUSUAL_SPREAD))
    strength = np.where(only_spread, np.maximum(by_spread, strength), strength)
    strength = np.where(flip, 1.0, strength) * (1 - context.jump.strength)
    facts = {
        "paper_r": paper,
        "actual_r": life.r,
        "cost_r": cost,
        **_split(context),
        "spread_ratio": ratio,
        "flip": np.where(costly, flip, np.nan),
        "stop_hit_mid": stop_hit,
    }
    present = blind & (context.jump.strength < JUMP_EXPLAINS)
    return context.findings(CAUSE, BAND, strength, facts, missing=missing, precondition=present)


def _unchecked(context: Context) -> tuple[I32, Bool]:
    """Missing feeds, and the trades with neither requested prices nor spreads to judge by."""
    batch = context.batch
    no_spread = np.full(len(context), batch.market.candles.spread is None)
    no_fills = ~(np.isfinite(batch.requested_entry) & np.isfinite(batch.fill_entry))
    bits = when(no_spread & batch.executed, Missing.SPREAD)
    bits |= when(no_fills & batch.executed, Missing.FILLS)
    return bits, batch.is_trade & no_spread & no_fills


def _paper(context: Context, rows: Bool) -> tuple[F64, F64]:
    """Result in R of the paper trade and whether mid touched its stop, NaN outside `rows`."""
    paper, stop_hit = np.full(len(context), np.nan), np.full(len(context), np.nan)
    at = np.flatnonzero(rows)
    if not at.size:
        return paper, stop_hit
    batch, life = take(context.batch, at), take(context.life, at)
    market = batch.market
    mid = replace(market.candles, quotes=None)
    entry = _paper_entry(context)[at]
    left_open = context.paths.exit_touch[at] > 0
    paths = replay(
        replace(
            batch,
            market=replace(market, candles=mid),
            is_trade=np.zeros(at.size, bool),
            horizon=("4H",) * at.size,
            entry_price=entry,
            entry_kind=np.zeros(at.size, np.int8),
            # A bar that the trade's own fill contradicts says nothing about the paper trade either.
            end_time=mid.time[life.exit] + np.where(left_open, 0, market.bar_ns),
        )
    )
    at_stop, at_target = (paths.hit & 1) > 0, paths.hit == 2
    last = np.clip(paths.exit, 0, len(mid) - 1)
    price = mid.close[last] * market.half_point
    wanted = take(context.batch, at).requested_exit
    by_hand = batch.is_trade & (context.labels.exit_reason[at] == ExitReason.MANUAL)
    price = np.where(left_open, batch.fill_exit, price)
    price = np.where((by_hand | left_open) & np.isfinite(wanted), wanted, price)
    opened = mid.open[last] * market.half_point
    price = np.where(at_target, batch.target_price, price)
    price = np.where(at_stop, np.where(paths.gap, opened, batch.stop_price), price)
    paper[at] = batch.side * (price - entry) / life.risk
    stop_hit[at] = at_stop
    return paper, stop_hit


def _paper_entry(context: Context) -> F64:
    """The requested price; without one the fill less half the spread; of a signal the entry it is
    judged from."""
    batch = context.batch
    half_spread = _spread_at(context, context.life.first) / 2
    unasked = batch.fill_entry - batch.side * np.nan_to_num(half_spread)
    wanted = np.where(np.isfinite(batch.requested_entry), batch.requested_entry, unasked)
    return np.where(batch.is_trade & np.isfinite(wanted), wanted, context.labels.judged_entry)


def _spread_at(context: Context, bar: I64) -> F64:
    spread = context.batch.market.candles.spread
    if spread is None:
        return np.full(len(context), np.nan)
    width: F64 = spread[bar].astype(np.float64) * context.batch.market.half_point
    return width


def _spread_ratio(context: Context, rows: Bool) -> F64:
    result = np.full(len(context), np.nan)
    spread = context.batch.market.candles.spread
    at = np.flatnonzero(rows)
    if spread is not None and at.size:
        values, bar = spread.astype(np.float64), context.life.exit[at]
        result[at] = values[bar] / usual_of_case(
            context.features, values, bar, context.life.first[at]
        )
    return result


def _split(context: Context) -> dict[str, F64]:
    batch, life, labels = context.batch, context.life, context.labels
    entry_slip = batch.side * (batch.fill_entry - batch.requested_entry)
    at_stop = labels.exit_reason == ExitReason.SL
    asked = np.where(at_stop, batch.stop_price, batch.requested_exit)
    exit_slip = np.where(context.paths.gap, np.nan, batch.side * (asked - batch.fill_exit))
    fees = np.nan_to_num(batch.commission) + np.nan_to_num(batch.swap)
    both = np.nan_to_num(entry_slip) + np.nan_to_num(exit_slip)
    known = np.isfinite(entry_slip) | np.isfinite(exit_slip)
    spread = (_spread_at(context, life.first) + _spread_at(context, life.exit)) / 2
    return {
        "spread_r": spread / life.risk,
        "entry_slip_r": entry_slip / life.risk,
        "exit_slip_r": exit_slip / life.risk,
        "slip_pips": np.where(known, both / float(batch.market.pip), np.nan),
        "fees_r": fees / (batch.quantity * life.risk),
    }
