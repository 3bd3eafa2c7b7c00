"""One recommendation opened: the trades behind its verdict, and how often the rule was kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
from django.db.models import F, FilteredRelation, Q

from post_mortem.core.measurement import MeasurementPlan as Measurement
from post_mortem.core.scope import NO, UNTOLD, YES, breaks, covers
from post_mortem.models import MeasurementPlan
from trading.core.candles import I64
from trading.models import Trade

from .columns import nanoseconds
from .impact import measured
from .scoped_trades import AccountTrades, account_trades

MOST_BEFORE: Final = 30
MOST_AFTER: Final = 60


@dataclass(frozen=True, slots=True)
class Kept:
    """Covered trades since the rule was implemented: those that kept it, those that broke it, and
    those of which the records cannot tell."""

    kept: int
    broken: int
    untold: int

    @property
    def told(self) -> int:
        return self.kept + self.broken


@dataclass(frozen=True, slots=True)
class Behind:
    """Rows of trades (id, symbol, opened_at, r, mae_r, mfe_r), newest first, of all there are;
    `kept` is None where no record could tell whether the rule was kept."""

    before: tuple[dict[str, Any], ...]
    after: tuple[dict[str, Any], ...]
    n_before: int
    n_after: int
    kept: Kept | None


def behind(plan: MeasurementPlan, measurement: Measurement, *, now: datetime) -> Behind:
    """What a plan is judged on by `now`, or by its end."""
    account = plan.recommendation.account
    trades = account_trades(account)
    until = min(now, plan.ended_at) if plan.ended_at else now
    found = measured([(plan, measurement, None)], [plan], trades, nanoseconds(until))[0].covered
    return Behind(
        _rows(trades.id[found.before[-MOST_BEFORE:]]),
        _rows(trades.id[found.after[-MOST_AFTER:]]),
        int(found.before.size),
        int(found.after.size),
        kept_since(plan, trades, until),
    )


def kept_since(plan: MeasurementPlan, trades: AccountTrades, until: datetime) -> Kept | None:
    """How often the rule of a plan was kept from its start until a moment."""
    kind, scope = plan.data["kind"], plan.data["scope"]
    broke = breaks(kind, scope, trades.columns)
    if broke is None:
        return None
    opened = trades.columns.opened
    since = (opened >= nanoseconds(plan.implemented_at)) & (opened <= nanoseconds(until))
    rows = np.flatnonzero(since & (covers(kind, scope, trades.columns) == YES))
    counts = {answer: int((broke[rows] == answer).sum()) for answer in (YES, NO, UNTOLD)}
    return Kept(counts[NO], counts[YES], counts[UNTOLD])


def _rows(ids: I64) -> tuple[dict[str, Any], ...]:
    order: Sequence[int] = ids.tolist()[::-1]
    if not order:
        return ()
    rows = (
        Trade.objects.filter(pk__in=order)
        .annotate(verdict=FilteredRelation("audits", condition=Q(audits__horizon="TRADE")))
        .annotate(
            symbol=F("instrument__symbol"),
            r=F("verdict__r_multiple"),
            mae=F("verdict__mae_r"),
            mfe=F("verdict__mfe_r"),
        )
        .values("id", "symbol", "opened_at", "r", "mae", "mfe")
    )
    found = {row["id"]: row for row in rows}
    return tuple(found[pk] for pk in order if pk in found)
