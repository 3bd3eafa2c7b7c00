"""User psychology: the trade fits a pattern that traders fall into under stress.

Three subtypes, the strongest counts. Revenge: far larger than usual within half an hour of a loss,
more after a run of losses. Overtrading: far more trades in 8 hours than usual. Stop widened: the
stop was moved away and the loss grew beyond 1 R. A trade that its trader tagged as planned counts
half: a planned size-up is no revenge. Revenge and overtrading need 20 earlier trades. The wording
is "consistent with", never a diagnosis.
Source: Garvey, Murphy and Wu (2007), risk after morning losses; Odean (1998).
"""

from __future__ import annotations

import numpy as np

from post_mortem.core.context import Context
from post_mortem.core.measures import JUMP_EXPLAINS, ramp, when
from post_mortem.core.types import Bool, FactSpec, Findings, Missing
from trading.core.candles import F64, I64
from trading.core.types import NS_PER_HOUR, NS_PER_MINUTE

CAUSE = "user_psychology"
BAND = (40, 75)
LEAST_TRADES = 20
USUAL_TRADES = 20
LEAST_SIZES = 10
LOSS_WITHIN_NS = 30 * NS_PER_MINUTE
SIZE = (1.25, 1.7)
BUSY_NS = 8 * NS_PER_HOUR
BUSY_HISTORY = 60
BUSY_Z = (3.0, 5.5)
WIDENED = (1.1, 1.4)
BEYOND_R = (1.0, 1.3)
ON_PLAN = 0.5
FACTS = (
    FactSpec("subtype", "code", "the pattern", ("revenge", "overtrading", "stop_widened")),
    FactSpec("minutes_since_loss", "minutes", "since the last trade closed, if it lost"),
    FactSpec("loss_run", "count", "losses in a row before this trade"),
    FactSpec("size_ratio", "ratio", "size against the median of the last 20 trades"),
    FactSpec("n_trades_8h", "count", "trades closed in the 8 hours before, and this one"),
    FactSpec("expected_8h", "count", "what is usual for this trader"),
    FactSpec("stop_ratio", "ratio", "final risk against initial risk"),
    FactSpec("on_plan", "code", "as tagged by the trader", ("no", "yes")),
)


def assess(context: Context) -> Findings:
    """Findings for every case; an untraded signal has no trader."""
    batch, log = context.batch, context.batch.trade_log
    known = (log.start >= 0) & (log.stop - log.start >= LEAST_TRADES) & batch.executed
    revenge, revenge_facts = _revenge(context, known)
    overtrade, busy_facts = _overtrading(context, known)
    initial = np.abs(batch.entry_price - batch.stop_initial)
    ratio = np.abs(batch.entry_price - batch.stop_final) / np.where(initial > 0, initial, np.nan)
    # The trade's own result: under a signal horizon the label knows only the initial stop.
    own_r = batch.side * (batch.fill_exit - batch.fill_entry) / context.life.risk
    widened = ramp(ratio, *WIDENED) * ramp(-own_r, *BEYOND_R)
    each = np.stack([revenge, overtrade, np.where(batch.executed, widened, 0.0)])
    strength = each.max(axis=0) * np.where(batch.on_plan == 1, ON_PLAN, 1.0)
    facts = {
        "subtype": np.where(strength > 0, each.argmax(axis=0).astype(np.float64), np.nan),
        **revenge_facts,
        **busy_facts,
        "stop_ratio": ratio,
        "on_plan": np.where(batch.on_plan >= 0, batch.on_plan, np.nan),
    }
    missing = when(batch.executed & ~known, Missing.TRADE_LOG)
    present = (context.jump.strength < JUMP_EXPLAINS) & (batch.on_plan != 1)
    return context.findings(CAUSE, BAND, strength, facts, missing=missing, precondition=present)


def _revenge(context: Context, known: Bool) -> tuple[F64, dict[str, F64]]:
    batch, log, n = context.batch, context.batch.trade_log, len(context)
    minutes, run, size = (np.full(n, np.nan) for _ in range(3))
    rows = np.flatnonzero(known)
    if rows.size:
        start, stop = log.start[rows], log.stop[rows]
        lost = log.r < 0
        since = batch.fill_entry_time[rows] - log.exit_time[stop - 1]
        minutes[rows] = np.where(lost[stop - 1], since / NS_PER_MINUTE, np.nan)
        run[rows] = np.minimum(_run_length(lost)[stop - 1], stop - start)
        recent = log.quantity[(stop - 1)[:, None] - np.arange(USUAL_TRADES)]
        size[rows] = batch.quantity[rows] / _usual_size(recent)
    soon = (minutes >= 0) & (minutes <= LOSS_WITHIN_NS / NS_PER_MINUTE)
    after = np.where(soon, np.minimum(1.0, 0.5 + 0.25 * np.nan_to_num(run)), 0.0)
    strength = ramp(size, *SIZE) * after
    return strength, {"minutes_since_loss": minutes, "loss_run": run, "size_ratio": size}


def _usual_size(recent: F64) -> F64:
    """Median of each row's sizes that can be compared (the others are NaN); NaN below ten."""
    ordered = np.sort(recent, axis=1)  # NaN sorts last
    count = np.isfinite(ordered).sum(axis=1)
    rows, last = np.arange(recent.shape[0]), np.maximum(count - 1, 0)
    middle = (ordered[rows, last // 2] + ordered[rows, (last + 1) // 2]) / 2
    return np.where(count >= LEAST_SIZES, middle, np.nan)


def _run_length(lost: Bool) -> I64:
    """Losses in a row up to and including each trade of the pool."""
    index = np.arange(lost.size)
    last_win = np.maximum.accumulate(np.where(lost, -1, index))
    return index - last_win


def _overtrading(context: Context, known: Bool) -> tuple[F64, dict[str, F64]]:
    """Trades of the last 8 hours against the mean of such counts over the trades before them."""
    batch, log, n = context.batch, context.batch.trade_log, len(context)
    count, usual = np.full(n, np.nan), np.full(n, np.nan)
    rows = np.flatnonzero(known)
    if rows.size:
        start, stop = log.start[rows], log.stop[rows]
        opened = batch.fill_entry_time[rows]
        busy_from = np.clip(np.searchsorted(log.exit_time, opened - BUSY_NS), start, stop)
        count[rows] = stop - busy_from + 1
        eight_hours_before = np.searchsorted(log.exit_time, log.exit_time - BUSY_NS)
        trade = (busy_from - 1)[:, None] - np.arange(BUSY_HISTORY)
        inside = trade >= start[:, None]
        trade = np.maximum(trade, 0)
        each = trade - np.maximum(eight_hours_before[trade], start[:, None]) + 1
        total = np.where(inside, each, 0).sum(axis=1)
        usual[rows] = np.where(
            inside.any(axis=1), total / np.maximum(inside.sum(axis=1), 1), np.nan
        )
    z = (count - usual) / np.sqrt(usual + 1)
    return ramp(z, *BUSY_Z), {"n_trades_8h": count, "expected_8h": usual}
