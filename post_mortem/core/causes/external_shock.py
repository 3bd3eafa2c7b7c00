"""External shock: something outside this market and its calendar hit the trade.

Either an outage overlaps the exit, or the largest adverse move came to the related markets at the
same bar (median of their z, each with its sign) and neither a release nor thin trading explains it.
A peer's sign is how it moved with this market before, where that is clear, else what its name says.
A market-wide jump without a calendar abstains: most such jumps are releases (Barndorff-Nielsen and
Shephard 2006), so the two cannot be told apart. An unexplained jump at which no peer has a bar
abstains: stored candles of another year check nothing.
Source: choices of this project.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from post_mortem.core.context import Context
from post_mortem.core.features import DRIFT_BARS, bipower_sigma, prefix, window_start
from post_mortem.core.measures import JUMP_PRESENT, ramp, when
from post_mortem.core.types import I32, Bool, FactSpec, Findings, Missing, Peer
from trading.core.candles import F64, I64

CAUSE = "external_shock"
BAND = (40, 75)
PEER_Z = (2.0, 4.5)
FILL_BEYOND_R = 0.1
CLEAR = 3  # standard deviations of the balance of moves in the same and in the other direction
FACTS = (
    FactSpec("subtype", "code", "what happened", ("market_wide", "outage")),
    FactSpec("n_peers", "count", "related markets with a bar at the jump"),
    FactSpec("median_peer_z", "z", "adverse size of their moves at that bar, the median"),
    FactSpec("jump_z", "z", "adverse size of the jump of this market"),
    FactSpec("outage_key", "key", "the outage that overlaps the exit, by its place in the log"),
    FactSpec("data_gap_bars", "count", "expected bars of the life that are not stored"),
)


def assess(context: Context) -> Findings:
    """Findings for every case."""
    market, jump, news = context.batch.market, context.jump, context.news
    outage = _outage_at_exit(context)
    count, median = _peers(context)
    unexplained = (1 - news.strength) * (1 - context.thin.strength)
    wide = jump.move * ramp(median, *PEER_Z) * unexplained
    strength = np.where(outage >= 0, 1.0, np.where(news.covered, wide, 0.0))
    gaps = np.maximum(context.paths.n_expected - context.paths.n_bars, 0).astype(np.float64)
    subtype = np.where(outage >= 0, 1.0, np.where(wide > 0, 0.0, np.nan))
    facts = {
        "subtype": subtype,
        "n_peers": count,
        "median_peer_z": median,
        "jump_z": jump.z,
        "outage_key": np.where(outage >= 0, outage, np.nan),
        "data_gap_bars": gaps,
    }
    missing, present = _unchecked(context, count, unexplained, wide, gaps)
    if market.outages is None:
        missing |= np.int32(Missing.OUTAGES)
    return context.findings(CAUSE, BAND, strength, facts, missing=missing, precondition=present)


def _unchecked(
    context: Context, n_peers: F64, unexplained: F64, wide: F64, gaps: F64
) -> tuple[I32, Bool]:
    """Missing feeds, and where one of them could have shown this cause."""
    market, labels, batch = context.batch.market, context.labels, context.batch
    shock = (context.jump.strength >= JUMP_PRESENT) & (unexplained >= 0.5)
    no_peers = (market.peers is None) | ((context.jump.move > 0) & (n_peers == 0))
    no_news = ~context.news.covered & (wide > 0)
    missing = when(no_peers, Missing.PEERS) | when(no_news, Missing.NEWS)
    beyond = batch.side * (batch.stop_price - labels.exit_price) / context.life.risk
    stuck = (market.outages is None) & batch.executed & ((beyond >= FILL_BEYOND_R) | (gaps >= 2))
    present = (shock & (no_peers | no_news)) | stuck
    return missing, present


def _outage_at_exit(context: Context) -> NDArray[np.int64]:
    """Index of the first outage that overlaps the exit bar, -1 without one."""
    result = np.full(len(context), -1, np.int64)
    outages, market = context.batch.market.outages, context.batch.market
    if outages is None:
        return result
    opened = market.candles.time[context.life.exit]
    closed = np.maximum(opened + market.bar_ns, context.labels.exit_time)
    for k in range(outages.start.size - 1, -1, -1):
        result[(outages.start[k] <= closed) & (outages.end[k] >= opened)] = k
    return result


def _peers(context: Context) -> tuple[F64, F64]:
    """Number of peers seen at the jump, and the median of their adverse z."""
    peers, n = context.batch.market.peers, len(context)
    jumped = context.jump.move > 0
    if not peers or not jumped.any():
        return np.full(n, np.nan if peers is None else 0.0), np.full(n, np.nan)
    at = context.jump.bar
    z = np.stack(
        [-context.batch.side * _sign(context, peer) * _peer_z(context, peer)[at] for peer in peers]
    )
    ordered = np.sort(z, axis=0)
    seen = np.isfinite(ordered).sum(axis=0)
    last = np.maximum(seen - 1, 0)
    cases = np.arange(n)
    median = (ordered[last // 2, cases] + ordered[(last + 1) // 2, cases]) / 2
    # Asked of each case alone: the other cases of a batch decide nothing.
    return np.where(jumped, seen, 0).astype(np.float64), np.where(
        jumped & (seen > 0), median, np.nan
    )


def _sign(context: Context, peer: Peer) -> I64:
    """How the peer moves with this market, for each case: +1 or -1, shape (N,)."""
    market, at = context.batch.market, context.jump.bar
    together = np.zeros(len(context.features), np.int64)
    own, theirs = np.sign(np.diff(market.candles.close)), np.sign(np.diff(peer.close))
    together[1:] = own * np.nan_to_num(theirs)
    start = window_start(market.candles.time, at, DRIFT_BARS, market.bar_ns)
    balance, count = (
        sums[at] - sums[start] for sums in (prefix(together), prefix(np.abs(together)))
    )
    return np.where(balance**2 > CLEAR**2 * count, np.sign(balance), peer.sign)


def _peer_z(context: Context, peer: Peer) -> F64:
    """z of every bar of a peer, with the season of this market; NaN where it has no bar."""
    features = context.features
    returns = np.full(len(features), np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        returns[1:] = np.diff(np.log(peer.close))
    scaled = returns / features.season
    sigma = bipower_sigma(context.batch.market, np.nan_to_num(scaled))
    return scaled / sigma[:-1]
