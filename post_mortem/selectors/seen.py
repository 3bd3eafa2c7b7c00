"""What happened meanwhile: on the bars of a case, in the calendar, in the log of outages."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from django.db.models import Q

from post_mortem.core.evidence import CauseNumbers
from post_mortem.core.features import market_features
from post_mortem.core.measures import life_of, volatility_rise
from post_mortem.core.seen import Hole, Pause, Release, Seen, Widening
from post_mortem.models import InsightAudit
from trading.core.candles import F64
from trading.core.instruments import news_currencies
from trading.core.types import HORIZON_NS, NS_PER_MINUTE
from trading.models import Desk, NewsEvent, Outage

from .bars import missing_bars
from .columns import from_ns, nanoseconds
from .rebuilt import Rebuilt

MOST_RELEASES = 12
_BEFORE_NS = 30 * NS_PER_MINUTE  # a release so long before the entry may still move prices
_USUAL_BARS = 60  # before the entry: what its spread is compared with


def seen_of(
    audit: InsightAudit, desk: Desk, rebuilt: Rebuilt | None, findings: Sequence[CauseNumbers]
) -> Seen:
    """Everything that lies in the life of the audit. Without the case again nothing is said of its
    bars."""
    start, end = nanoseconds(audit.entry_time), _end(audit)
    releases, unlisted = _releases(audit, desk, start, end)
    outages = _outages(desk, start, end)
    if rebuilt is None or not _alive(rebuilt):
        return Seen(releases=releases, unlisted=unlisted, outages=outages)
    paths, time = rebuilt.paths, rebuilt.batch.market.candles.time
    rose = any(f.cause == "volatility_spike" and f.rank > 0 for f in findings)
    return Seen(
        mfe_time=int(time[paths.mfe_bar[0]]) if paths.mfe[0] > 0 else None,
        mae_time=int(time[paths.mae_bar[0]]) if paths.mae[0] > 0 else None,
        volatility_from=_volatility_from(rebuilt) if rose else None,
        widening=_widening(rebuilt),
        releases=releases,
        unlisted=unlisted,
        outages=outages,
        hole=_hole(rebuilt),
    )


def bars_of_life(rebuilt: Rebuilt) -> tuple[int, ...]:
    """Opens of the bars of the life, the last the one of the exit."""
    if not _alive(rebuilt):
        return ()
    first, last = int(rebuilt.paths.first[0]), int(rebuilt.paths.exit[0])
    return tuple(rebuilt.batch.market.candles.time[first : last + 1].tolist())


def _alive(rebuilt: Rebuilt) -> bool:
    paths = rebuilt.paths
    return bool(paths.first[0] >= 0 and paths.exit[0] >= paths.first[0])


def _end(audit: InsightAudit) -> int:
    if audit.exit_time is not None:
        return nanoseconds(audit.exit_time)
    return nanoseconds(audit.entry_time) + HORIZON_NS.get(audit.horizon, 0)


def _releases(
    audit: InsightAudit, desk: Desk, start: int, end: int
) -> tuple[tuple[Release, ...], int]:
    """Releases of the market's currencies, those of most impact where there are many."""
    rows = NewsEvent.objects.for_desk(desk).filter(
        currency__in=news_currencies(audit.signal.instrument.symbol),
        time__gte=from_ns(start - _BEFORE_NS),
        time__lte=from_ns(end),
    )
    found = [
        Release(pk, nanoseconds(time), currency, title, impact)
        for pk, time, currency, title, impact in rows.order_by("-impact", "time", "pk").values_list(
            "pk", "time", "currency", "title", "impact"
        )
    ]
    kept = sorted(found[:MOST_RELEASES], key=lambda release: (release.time, release.key))
    return tuple(kept), len(found) - len(kept)


def _outages(desk: Desk, start: int, end: int) -> tuple[Pause, ...]:
    rows = Outage.objects.filter(
        Q(desk=None) | Q(desk=desk), start__lte=from_ns(end), end__gte=from_ns(start)
    )
    return tuple(
        Pause(nanoseconds(row.start), nanoseconds(row.end), row.what)
        for row in rows.order_by("start", "pk")
    )


def _volatility_from(rebuilt: Rebuilt) -> int | None:
    """Open of the window before the exit in which volatility was highest."""
    batch = rebuilt.batch
    features = market_features(batch.market)
    life = life_of(batch, rebuilt.paths, rebuilt.labels, features)
    start = volatility_rise(features, life).start[0]
    return int(batch.market.candles.time[int(start)]) if np.isfinite(start) else None


def _widening(rebuilt: Rebuilt) -> Widening | None:
    batch, paths = rebuilt.batch, rebuilt.paths
    spread = batch.market.candles.spread
    first, last = int(paths.first[0]), int(paths.exit[0])
    if spread is None or first < 1:
        return None
    life: F64 = spread[first : last + 1].astype(np.float64)
    usual = float(np.median(spread[max(0, first - _USUAL_BARS) : first]))
    at = int(life.argmax())
    if usual <= 0:
        return None
    time = int(batch.market.candles.time[first + at])
    return Widening(time, float(life[at]) * batch.market.half_point, float(life[at]) / usual)


def _hole(rebuilt: Rebuilt) -> Hole | None:
    market, paths = rebuilt.batch.market, rebuilt.paths
    life = market.candles.rows(slice(int(paths.first[0]), int(paths.exit[0]) + 1))
    missing = missing_bars(market.kind, life, market.bar_ns)
    return Hole(int(missing[0]), missing.size) if missing.size else None
