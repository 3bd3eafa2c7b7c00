"""Liquidity event: prices moved against the trade because hardly anybody was trading.

Strength = thin * the largest of the move, the opening gap and the rise in volatility: prices that
run while volume is gone move for want of a book. Thin compares the volume around the
move with what is usual at that hour (full at a fifth, none from half). Without volumes a widened
spread says half as much, unless a release explains it; without a calendar it says nothing. A gap
over a closed market (weekend, holiday) is the extreme of thin. A jump on high volume is no
liquidity event; a fill beyond the stop through a gap belongs here.
Source: illiquidity as move over volume (Amihud 2002); thresholds are choices.
"""

from __future__ import annotations

import numpy as np

from post_mortem.core.context import Context
from post_mortem.core.measures import JUMP_PRESENT, when
from post_mortem.core.types import ExitReason, FactSpec, Findings, Missing
from trading.core.candles import F64

CAUSE = "liquidity_event"
BAND = (40, 75)
NORMAL_SPREAD = 1.5  # spreads under this multiple of the usual rule thin trading out
RELEASE_EXPLAINS = 0.5
FACTS = (
    FactSpec("subtype", "code", "what happened", ("thin_trading", "scheduled_gap")),
    FactSpec("vol_ratio", "ratio", "volume around the move against the usual of that hour"),
    FactSpec("spread_ratio", "ratio", "spread around the move against the usual of that hour"),
    FactSpec("gap_r", "R", "largest adverse opening gap of the life"),
    FactSpec("gap_bar", "bars", "bars from the entry to that gap"),
    FactSpec("missing_bars", "count", "expected bars of the life that are not stored"),
    FactSpec("fill_beyond_sl_r", "R", "how far beyond the stop the exit was filled"),
)


def assess(context: Context) -> Findings:
    """Findings for every case; a shock without volume or spread to judge it by abstains."""
    thin, gap, jump = context.thin, context.gap, context.jump
    moved = np.maximum(jump.move, context.volatility.strength)
    by_thin = thin.strength * np.maximum(moved, gap.strength)
    by_closed = np.where(gap.closed, gap.strength, 0.0)
    strength = np.maximum(by_thin, by_closed)
    scheduled = by_closed >= np.maximum(by_thin, 1e-9)
    facts = {
        "subtype": np.where(strength > 0, scheduled.astype(np.float64), np.nan),
        "vol_ratio": thin.volume_ratio,
        "spread_ratio": thin.spread_ratio,
        "gap_r": gap.r,
        "gap_bar": np.where(gap.r > 0, gap.bar - context.life.first, np.nan),
        "missing_bars": np.maximum(context.paths.n_expected - context.paths.n_bars, 0).astype(
            np.float64
        ),
        "fill_beyond_sl_r": _beyond_stop(context),
    }
    candles = context.batch.market.candles
    shock = np.maximum(jump.strength, gap.strength) >= JUMP_PRESENT
    # A series whose volumes are all zero has none that is usual, so its ratios are unknown.
    blind = ~thin.volume_known | (shock & ~np.isfinite(thin.volume_ratio))
    missing = when(blind, Missing.VOLUME)
    if candles.spread is None:
        missing |= when(blind, Missing.SPREAD)
    by_spread = ~np.isfinite(thin.volume_ratio) & (thin.spread_ratio >= NORMAL_SPREAD)
    missing |= when(by_spread & ~context.news.covered, Missing.NEWS)
    # Normal spreads rule thin trading out, and a release needs no thin trading to move prices.
    open_question = ~(thin.spread_ratio < NORMAL_SPREAD) & (
        context.news.strength < RELEASE_EXPLAINS
    )
    present = shock & open_question & ~np.isfinite(thin.volume_ratio)
    return context.findings(CAUSE, BAND, strength, facts, missing=missing, precondition=present)


def _beyond_stop(context: Context) -> F64:
    batch, labels = context.batch, context.labels
    beyond = batch.side * (batch.stop_price - labels.exit_price) / context.life.risk
    return np.where(labels.exit_reason == ExitReason.SL, beyond, np.nan)
