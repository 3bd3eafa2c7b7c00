"""The replay of a trade: what it sends, and above all what it does not."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from trading.models import Trade

from .factories import RELEASE, World, make_user
from .reading import page, text

# Entered at 12:06 inside a 5 min bar, stopped out at 12:30:20.
ENTRY = RELEASE - timedelta(minutes=24)


def bars(client: Client, trade: Trade, query: str) -> dict[str, Any]:
    answer = client.get(f"/trades/{trade.pk}/replay/bars/?{query}")
    assert answer.status_code == 200
    return dict(answer.json())


def data_of(html: str) -> dict[str, Any]:
    found = re.search(r'<script id="chart-data" type="application/json">(.*?)</script>', html)
    assert found
    return dict(json.loads(found[1]))


def path(trade: Trade, query: str = "") -> str:
    return f"/trades/{trade.pk}/replay/{query}"


# --- what is not sent -----------------------------------------------------------------------------
def test_the_page_ends_with_the_last_bar_closed_by_the_entry(world: World, anna: Client) -> None:
    html = page(anna, path(world.news_trade, "?tf=1m"))
    data = data_of(html)
    last = data["bars"]["time"][-1]
    assert last + 60 == int(ENTRY.timestamp())
    assert len(data["bars"]["time"]) == 120
    assert data["entry"]["price"] == float(world.news_trade.entry_price)
    assert [level["kind"] for level in data["levels"]] == ["entry", "stop", "target"]


def test_nothing_that_came_later_is_on_the_page(world: World, anna: Client) -> None:
    trade = world.news_trade
    Trade.objects.filter(pk=trade.pk).update(stop_loss_final="1.11111")
    html = page(anna, path(trade))
    data = data_of(html)
    assert data["exit"] is None
    assert data["path"] == {"mfe": None, "mae": None}
    assert data["facts"] == data["ghosts"] == []
    for later in (
        *("Payrolls", "Stopped", "1.11111", "News shock", "strong", "MAE", "-153.5", "−153.50"),
        *(trade.closed_at.strftime("%H:%M"), "13:30", "failed", "E10"),
        str(int(trade.closed_at.timestamp())),
    ):
        assert later not in html, later


def test_what_is_offered_does_not_depend_on_the_end(world: World, anna: Client) -> None:
    """The same trade with another exit is the same page, to the byte."""
    before = data_of(page(anna, path(world.news_trade)))
    Trade.objects.filter(pk=world.news_trade.pk).update(
        closed_at=RELEASE + timedelta(hours=7), exit_price="1.5", net_pnl="900"
    )
    assert data_of(page(anna, path(world.news_trade))) == before


def test_bars_come_one_by_one_and_no_further_than_asked(world: World, anna: Client) -> None:
    first = data_of(page(anna, path(world.news_trade, "?tf=1m")))["bars"]["time"][-1]
    for step in (1, 2, 3):
        sent = bars(anna, world.news_trade, f"tf=1m&have={step - 1}&step={step}")
        assert sent["bars"]["time"] == [first + 60 * step]
        assert sent["step"] == step
        assert sent["more"] is True
    together = bars(anna, world.news_trade, "tf=1m&have=0&step=3")
    assert together["bars"]["time"] == [first + 60 * n for n in (1, 2, 3)]


def test_news_come_with_their_bar(world: World, anna: Client) -> None:
    # Bar 24 closes at the release, bar 25 holds it.
    before = bars(anna, world.news_trade, "tf=1m&have=23&step=24")
    after = bars(anna, world.news_trade, "tf=1m&have=24&step=25")
    assert [news["title"] for news in before["news"]] == []
    assert [news["title"] for news in after["news"]] == ["Nonfarm Payrolls"]


def test_a_coarse_bar_that_holds_the_entry_is_the_first_step(world: World, anna: Client) -> None:
    data = data_of(page(anna, path(world.news_trade)))
    assert data["timeframe"] == "5m"  # the signal's
    assert data["bars"]["time"][-1] + 300 == int((ENTRY - timedelta(minutes=1)).timestamp())
    sent = bars(anna, world.news_trade, "tf=5m&have=0&step=1")
    assert sent["bars"]["time"] == [int((ENTRY - timedelta(minutes=1)).timestamp())]


def test_it_goes_on_as_long_as_bars_are_stored(world: World, anna: Client) -> None:
    sent = bars(anna, world.news_trade, "tf=30m&have=0&step=1500")
    # The walk ends at 20:00: sixteen half hours from 12:00 on.
    assert len(sent["bars"]["time"]) == sent["step"] == 16
    assert sent["more"] is False


# --- who may ask, and for what --------------------------------------------------------------------
@pytest.mark.parametrize(
    "query",
    ["tf=7m&have=0&step=1", "tf=1m&have=0&step=-1", "tf=1m&have=0&step=1501",
     "tf=1m&have=x&step=1", "tf=1m&have=0&step=99999999999"],
)  # fmt: skip
def test_what_is_not_offered_is_refused(world: World, anna: Client, query: str) -> None:
    assert anna.get(f"/trades/{world.news_trade.pk}/replay/bars/?{query}").status_code == 400


def test_a_trade_without_candles_has_no_replay(world: World, anna: Client) -> None:
    unjudged = world.trades[-1]
    assert anna.get(path(unjudged)).status_code == 404
    assert "Replay</a>" not in page(anna, f"/trades/{unjudged.pk}/")
    assert "Replay</a>" in page(anna, f"/trades/{world.news_trade.pk}/")


def test_a_trade_before_all_bars_has_no_replay(world: World, anna: Client) -> None:
    trade = world.news_trade
    Trade.objects.filter(pk=trade.pk).update(opened_at=RELEASE - timedelta(days=30))
    assert anna.get(path(trade)).status_code == 404


def test_the_end_is_within_the_filter_it_was_opened_from(world: World, anna: Client) -> None:
    html = page(anna, path(world.news_trade, "?side=long&tf=1m"))
    assert f'href="/trades/{world.news_trade.pk}/?side=long">Show the end' in html
    assert "What would you do, bar by bar?" in text(html)


def test_strangers_see_nothing(world: World, client: Client) -> None:
    client.force_login(make_user("bob").owner)
    assert client.get(path(world.news_trade)).status_code == 404
    assert client.get(path(world.news_trade, "bars/?tf=1m&have=0&step=1")).status_code == 404
