"""What would have changed a result: one trade on bars whose alternatives are worked out by hand.

Long at 1.10000, stop 10 pips below, target 20 above. The second minute falls to 1.09889 and the
trade is stopped 0.7 pips below its stop; five minutes after the entry the target is reached.
"""

from __future__ import annotations

import time
from datetime import timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from post_mortem.models import InsightAudit
from post_mortem.selectors.alternatives import Alternatives, alternatives_of
from post_mortem.services.audits import run_autopsy
from tests.services.factories import (
    MONDAY,
    make_account,
    make_candles,
    make_instrument,
    make_signal,
    make_trade,
)
from trading.models import CandleSeries, Signal, Trade

from .reading import page, text

pytestmark = pytest.mark.django_db
ENTRY = MONDAY + timedelta(hours=30)
FLAT = [110_000] * (30 * 60)
PATH = [110_000, 109_890, 109_950, 110_050, 110_150, 110_205]
AFTER = [110_205] * 90


def lived(path: list[int] = PATH, *, after: list[int] = AFTER, **changes: Any) -> Trade:
    account, instrument = make_account(), make_instrument()
    make_candles(instrument, FLAT + path + after, desk=account.desk)
    signal = make_signal(account, instrument, time=ENTRY)
    fields: dict[str, Any] = {
        "requested_entry": signal.entry_price,
        "exit_price": Decimal("1.09893"),
        "closed_at": ENTRY + timedelta(seconds=90),
        "exit_reason": "sl",
    }
    trade = make_trade(signal, **(fields | changes))
    run_autopsy(account_ids=[account.pk])
    return trade


def audit_of(trade: Trade, horizon: str = "TRADE") -> InsightAudit:
    return InsightAudit.objects.select_related("signal__instrument", "series", "trade").get(
        signal=trade.signal_id, horizon=horizon
    )


def of(trade: Trade, horizon: str = "TRADE") -> Alternatives:
    siblings = list(InsightAudit.objects.filter(signal=trade.signal_id).select_related("signal"))
    return alternatives_of(audit_of(trade, horizon), trade.account.desk, siblings)


def said(client: Client, trade: Trade, query: str = "") -> str:
    client.force_login(trade.account.owner)
    return text(page(client, f"/trades/{trade.pk}/{query}"))


# --- what is said ---------------------------------------------------------------------------------
def test_a_stopped_trade_is_followed_to_the_end_of_its_signals_horizon(client: Client) -> None:
    html = said(client, lived())
    assert "Without 0.7 pips slippage: −1.00 R, still a loss." in html
    assert (
        "Stop 5.0 pips wider: +2.00 R of the original risk. Its target was reached 5 min after the "
        "entry. At its own exit it stood at −1.10 R."
    ) in html
    # Twice as far changes nothing more.
    assert "Stop 10.0 pips wider" not in html
    assert "Replayed on the same candles. One trade, in hindsight: see all like it" in html


def test_a_horizon_is_judged_to_its_own_end(client: Client) -> None:
    html = said(client, lived(), "?h=1H")
    assert "Stop 5.0 pips wider: +2.00 R of the original risk." in html
    assert "At its own exit" not in html


def test_a_wider_stop_that_is_reached_says_so(client: Client) -> None:
    html = said(client, lived([110_000, 109_890, 109_840, 109_790, 109_760, 109_760]))
    assert "Stop 5.0 pips wider: −1.50 R of the original risk. The wider stop was reached" in html
    assert "Stop 10.0 pips wider: −2.00 R of the original risk. The wider stop was reached" in html


def test_a_trade_is_not_followed_where_no_horizon_is_judged(client: Client) -> None:
    """The candles end before any horizon does: only its own exit is known."""
    html = said(client, lived(after=[110_205] * 4))
    assert (
        "Stop 5.0 pips wider: −1.10 R of the original risk. It stood there at its own exit." in html
    )
    assert "+2.00 R" not in html.split("What would have changed this")[1].split("Narrative")[0]


def test_slippage_that_turned_a_gain_into_a_loss(client: Client) -> None:
    trade = lived(
        [110_000, 110_010, 110_000, 110_000, 110_000, 110_000],
        after=[110_000] * 90,
        exit_price=Decimal("1.09980"),
        requested_exit=Decimal("1.10010"),
        exit_reason="manual",
    )
    html = said(client, trade)
    assert "Without 3.0 pips slippage: +0.10 R." in html
    assert "wider" not in html


# --- what is not said -----------------------------------------------------------------------------
def test_nothing_is_said_of_a_gain() -> None:
    rising = [110_000, 110_050, 110_100, 110_150, 110_180, 110_205]
    trade = lived(rising, exit_price=Decimal("1.10190"), exit_reason="tp")
    assert audit_of(trade).outcome == 1
    assert of(trade) == Alternatives()


@pytest.mark.parametrize("change", ["stale", "candles", "stop", "exit"])
def test_nothing_is_said_of_what_is_no_longer_what_was_judged(change: str) -> None:
    trade = lived()
    assert of(trade).wider
    if change == "stale":
        InsightAudit.objects.filter(trade=trade).update(is_stale=True)
    elif change == "candles":
        revised = np.array(FLAT + PATH + AFTER)
        revised[len(FLAT) + 1] -= 3
        make_candles(trade.instrument, revised, desk=trade.account.desk)
    elif change == "stop":
        Trade.objects.filter(pk=trade.pk).update(stop_loss_initial=Decimal("1.09880"))
    else:
        Trade.objects.filter(pk=trade.pk).update(exit_price=Decimal("1.09880"))
    assert of(trade) == Alternatives()


def test_nothing_is_said_without_candles_or_rows() -> None:
    trade = lived()
    audit = audit_of(trade)
    CandleSeries.objects.all().delete()
    assert alternatives_of(audit_of(trade), trade.account.desk, []) == Alternatives()
    Signal.objects.all().delete()
    assert alternatives_of(audit, trade.account.desk, []) == Alternatives()


# --- the chart, and the price of it all -----------------------------------------------------------
def test_the_chart_carries_the_ghost(client: Client) -> None:
    trade = lived()
    client.force_login(trade.account.owner)
    data = client.get(f"/trades/{trade.pk}/").context["judged"].chart.data
    (ghost,) = data["ghosts"]
    assert (ghost["price"], ghost["text"]) == (pytest.approx(1.102), "+2.00 R")
    assert ghost["stop"] == pytest.approx(1.0985)
    assert ghost["time"] == int((ENTRY + timedelta(minutes=5)).timestamp())
    assert ghost["time"] in data["bars"]["time"]


def test_it_is_cheap(client: Client) -> None:
    trade = lived()
    of(trade)
    with CaptureQueriesContext(connection) as captured:
        started = time.perf_counter()
        of(trade)
        took = time.perf_counter() - started
    assert len(captured) <= 10
    assert took < 0.2  # 8 ms on an idle machine
