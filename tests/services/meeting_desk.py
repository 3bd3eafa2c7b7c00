"""A desk small enough to add up by hand: one account in London, trades with known results.

Reviewed is Monday 2 to Sunday 8 June 2014, in summer time:

    trade    closed (London)     R      cause              strategy
    before   Mon 12 May 10:00    +2.0                      open
    before   Tue 13 May 10:00    +0.4                      open
    prior    Sun  1 Jun 23:59    -0.8   volatility_spike   fade
    first    Mon  2 Jun 00:00    +1.5                      open
    news 1   Tue  3 Jun 13:30    -1.0   news_shock         fade
    news 2   Tue  3 Jun 13:31    -0.9   news_shock         fade
    best     Wed  4 Jun 16:00    +2.0                      open
    last     Sun  8 Jun 23:59    -0.5   volatility_spike   fade
    after    Mon  9 Jun 00:00    +9.0                      open

So the week is +1.1 R in 5 trades, 2 won; the prior week -0.8 R. Of the four weeks before, the first
ended before anything was traded: the mean of the three others is (2.4 + 0 - 0.8) / 3 = +0.5333 R.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from post_mortem.core.meetings import week_of
from post_mortem.models import RecommendationTracking, TradeAnalysis
from post_mortem.services import recommendations
from tests.api.world import make_audit
from trading.models import Account, Trade

from .factories import make_account, make_instrument, make_signal, make_trade

LONDON = ZoneInfo("Europe/London")
WEEK = week_of(date(2014, 6, 2))
NOW = datetime(2014, 6, 9, 18, tzinfo=LONDON)
_TRADES = (
    ("2014-05-12T10:00:00", 2.0, "", "open"),
    ("2014-05-13T10:00:00", 0.4, "", "open"),
    ("2014-06-01T23:59:59", -0.8, "volatility_spike", "fade"),
    ("2014-06-02T00:00:00", 1.5, "", "open"),
    ("2014-06-03T13:30:00", -1.0, "news_shock", "fade"),
    ("2014-06-03T13:31:00", -0.9, "news_shock", "fade"),
    ("2014-06-04T16:00:00", 2.0, "", "open"),
    ("2014-06-08T23:59:59", -0.5, "volatility_spike", "fade"),
    ("2014-06-09T00:00:00", 9.0, "", "open"),
)
NAMES = ("may1", "may2", "prior", "first", "news1", "news2", "best", "last", "after")


@dataclass
class MeetingDesk:
    account: Account
    trades: dict[str, Trade] = field(default_factory=dict)

    @property
    def user(self) -> Any:
        return self.account.owner

    @property
    def news(self) -> RecommendationTracking:
        return RecommendationTracking.objects.get(kind="news_blackout")

    @property
    def stop(self) -> RecommendationTracking:
        return RecommendationTracking.objects.get(kind="volatility_stop")


def make_desk() -> MeetingDesk:
    account = make_account()
    account.time_zone = "Europe/London"
    account.save()
    desk = MeetingDesk(account)
    for name, (at, r, cause, strategy) in zip(NAMES, _TRADES, strict=True):
        moment = datetime.fromisoformat(at).replace(tzinfo=LONDON)
        desk.trades[name] = closed(account, moment, r, cause=cause, strategy=strategy)
    advise(desk.trades["news1"], "news_blackout", "news", "Stay out around USD releases.")
    advise(desk.trades["news2"], "news_blackout", "news", "Stay out around USD releases.")
    advise(desk.trades["prior"], "volatility_stop", "risk", "Place the stop outside the noise.")
    return desk


def closed(
    account: Account, at: datetime, r: float | None, *, cause: str = "", strategy: str = ""
) -> Trade:
    """A closed trade with its verdict; a hundred dollars an R."""
    signal = make_signal(account, make_instrument(), time=at, strategy=strategy)
    net = None if r is None else Decimal(str(round(100 * r, 2)))
    trade = make_trade(
        signal,
        opened_at=at,
        closed_at=at,
        strategy=strategy,
        net_pnl=net,
        pnl_currency="USD",
    )
    make_audit(
        trade,
        r_multiple=r,
        mae_r=max(0.0, -(r or 0)),
        mfe_r=max(0.0, r or 0),
        outcome=1 if (r or 0) > 0 else 2,
        top_cause=cause,
    )
    return trade


def advise(trade: Trade, kind: str, area: str, text: str) -> RecommendationTracking:
    audit = trade.audits.get()
    analysis = TradeAnalysis.objects.create(
        account=trade.account,
        audit=audit,
        trade=trade,
        analysis_data={},
        evidence_hash=audit.evidence_hash,
        narrator_version="template",
    )
    found = [{"kind": kind, "area": area, "scope": {"currency": "USD"}, "suggestion": text}]
    (row,) = recommendations.merge_opportunities(analysis=analysis, opportunities=found)
    return row
