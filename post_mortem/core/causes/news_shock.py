"""News shock: a scheduled release moved prices against the trade.

The largest adverse move of the life must follow a release of the market's currencies by at most 12
minutes (or precede it by at most 6, or one bar). Strength = move * impact (high 1, medium 0.6, low
0) * (1 if the surprise is large or unknown, else 0.35). That the largest move falls on a release is
evidence of its own, so less is asked of its size than of a jump out of nothing; the more of the
life lies near releases that nothing answered, the less. A release without such a move is no
evidence: it is counted as unanswered. Without a calendar for that time the cause abstains if there
is a jump.
Source: Andersen, Bollerslev, Diebold and Vega (2003), jumps in the conditional mean within minutes
of surprises; MacKinlay (1997) for the cumulative move around the event.
"""

from __future__ import annotations

import numpy as np

from post_mortem.core.context import Context
from post_mortem.core.measures import JUMP_PRESENT, when
from post_mortem.core.surroundings import NEWS_AFTER_NS, NEWS_BEFORE_NS
from post_mortem.core.types import FactSpec, Findings, Missing
from trading.core.candles import F64
from trading.core.types import NS_PER_MINUTE

CAUSE = "news_shock"
BAND = (50, 85)
EVENT_WINDOW_NS = 30 * NS_PER_MINUTE
FACTS = (
    FactSpec("event_key", "key", "the release"),
    FactSpec("impact", "code", "its impact", ("low", "medium", "high")),
    FactSpec("surprise_z", "z", "actual minus forecast, in standard deviations"),
    FactSpec("dt_min", "minutes", "from the release to the open of the jump's bar"),
    FactSpec("jump_bar", "bars", "bars from the entry to the jump"),
    FactSpec("jump_z", "z", "adverse size of the jump against usual volatility"),
    FactSpec("jump_r", "R", "adverse size of the jump"),
    FactSpec("car_r", "R", "adverse move from 30 minutes before the jump to 30 after, in the life"),
    FactSpec("n_news_no_reaction", "count", "releases in the life that no jump followed"),
)


def assess(context: Context) -> Findings:
    """Findings for every case of the context; facts of a release are NaN without one."""
    news, jump = context.news, context.jump
    # Among many releases any move lies near one: then it has to be a jump by itself.
    strength = np.maximum(jump.strength, jump.move * (1 - crowded(context))) * news.strength
    facts = {
        **_release(context),
        "dt_min": news.minutes,
        "jump_bar": (jump.bar - context.life.first).astype(np.float64),
        "jump_z": jump.z,
        "jump_r": jump.r,
        "car_r": _move_around(context),
        "n_news_no_reaction": news.unanswered,
    }
    missing = when(~news.covered, Missing.NEWS)
    present = jump.strength >= JUMP_PRESENT
    return context.findings(CAUSE, BAND, strength, facts, missing=missing, precondition=present)


def crowded(context: Context) -> F64:
    """Share of the life that lies near releases which nothing answered, at most 1."""
    bar_ns = context.batch.market.bar_ns
    near = NEWS_BEFORE_NS + max(NEWS_AFTER_NS, bar_ns)
    lasted = np.maximum(context.life.bars, 1) * bar_ns
    share: F64 = np.fmin(np.nan_to_num(context.news.unanswered) * near / lasted, 1.0)
    return share


def _release(context: Context) -> dict[str, F64]:
    feed, index = context.batch.market.news, context.news.index
    unknown = np.full(len(context), np.nan)
    if feed is None or not feed.time.size:
        return {"event_key": unknown, "impact": unknown, "surprise_z": unknown}
    named, there = np.maximum(index, 0), index >= 0
    return {
        "event_key": np.where(there, feed.key[named], np.nan),
        "impact": np.where(there, feed.impact[named], np.nan),
        "surprise_z": np.where(there, feed.surprise_z[named], np.nan),
    }


def _move_around(context: Context) -> F64:
    life, market, batch = context.life, context.batch.market, context.batch
    reach = -(-EVENT_WINDOW_NS // market.bar_ns)
    start = np.maximum(context.jump.bar - reach, life.first)
    stop = np.minimum(context.jump.bar + reach, life.exit)
    moved = market.candles.close[stop] - market.candles.open[start]
    size: F64 = -batch.side * moved * market.half_point / life.risk
    return np.where(life.alive, size, np.nan)
