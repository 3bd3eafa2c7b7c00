"""The list of trades and the dashboard: filters, sorting, export, figures, empty states."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from html import unescape

import pytest
from django.test import Client

from post_mortem.models import InsightAudit
from trading.models import Trade

from .factories import World, make_user
from .reading import page, text


# --- the list -------------------------------------------------------------------------------------
def test_the_list_counts_what_needs_a_look(world: World, anna: Client) -> None:
    said = text(page(anna, "/trades/"))
    assert "14 trades, 13 unread, 1 priced outside their candle, 1 not judged." in said


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("side=short", lambda t: t.side < 0),
        ("tag=news", lambda t: t.tags == ["news"]),
        ("setup=bos", lambda t: "bos" in t.signal.claimed_setups),
        ("strategy=Fade", lambda t: t.strategy == "Fade"),
        ("cause=news_shock", lambda t: t.tags == ["news"]),
        ("day=2014-05-02", lambda t: t.closed_at.date().day == 2 or t.closed_at.hour == 23),
        ("duration=1h", lambda t: 15 <= (t.closed_at - t.opened_at).total_seconds() / 60 < 60),
        ("outcome=unjudged", lambda t: not t.audits.exists()),
        ("weekday=5", lambda t: (t.opened_at + timedelta(hours=1)).isoweekday() == 5),
        ("hour=13", lambda t: (t.opened_at + timedelta(hours=1)).hour == 13),
        ("read=yes", lambda t: False),
        ("symbol=GBPUSD", lambda t: False),
        ("period=7d", lambda t: False),
    ],
)
def test_filters_find_exactly_their_trades(
    world: World, anna: Client, query: str, expected: Callable[[Trade], bool]
) -> None:
    found = {row.id for row in anna.get(f"/trades/?{query}").context["rows"]}
    assert found == {trade.pk for trade in world.trades if expected(trade)}


@pytest.mark.parametrize(
    "query",
    ["side=up", "outcome=won", "cause=luck", "day=yesterday", "account=999", "account=x",
     "weekday=8", "sort=password", "period=1y", "symbol=" + "E" * 99, "imported=1.5", "hour=24"],
)  # fmt: skip
def test_a_filter_that_is_not_understood_is_an_error_not_ignored(anna: Client, query: str) -> None:
    answer = anna.get(f"/trades/?{query}")
    assert answer.status_code == 400
    assert "This could not be done." in answer.content.decode()


@pytest.mark.parametrize("sort", ["r", "-r", "net", "-net", "closed", "cause", "-mfe"])
def test_sorting_puts_the_unknown_last(anna: Client, sort: str) -> None:
    rows = anna.get(f"/trades/?sort={sort}").context["rows"]
    keys = {"r": "r", "net": "net", "closed": "closed_at", "cause": "cause", "mfe": "mfe_r"}
    values = [getattr(row, keys[sort.lstrip("-")]) or None for row in rows]
    known = [value for value in values if value is not None]
    if sort != "cause":
        assert known == sorted(known, reverse=sort.startswith("-"))
        assert values[: len(known)] == known


def test_the_export_holds_the_filtered_rows_and_runs_no_formula(world: World, anna: Client) -> None:
    Trade.objects.filter(pk=world.news_trade.pk).update(strategy="=1+1", tags=["@x", "-y"])
    answer = anna.get("/trades/export.csv?side=long")
    lines = b"".join(answer.streaming_content).decode().splitlines()
    assert answer["Content-Type"].startswith("text/csv")
    assert len(lines) == 1 + sum(t.side > 0 for t in world.trades)
    assert ",'=1+1," in lines[1]
    assert ",'@x;-y," in lines[1]
    assert ",-153.50," in lines[1]


@pytest.mark.parametrize("number", ["1", "999", "x", "-1"])
def test_any_page_number_gives_a_page(anna: Client, number: str) -> None:
    page(anna, f"/trades/?page={number}")


def test_judging_queues_what_has_no_audit(world: World, anna: Client) -> None:
    answer = anna.post("/trades/judge/")
    job = world.account.jobs.get()
    assert answer["Location"] == f"/trades/?job={job.job_id}"
    assert job.total == 1
    assert f'data-job="/api/post-mortem/jobs/{job.job_id}/"' in page(anna, answer["Location"])


def test_a_foreign_job_is_not_followed(world: World, anna: Client, client: Client) -> None:
    anna.post("/trades/judge/")
    job = world.account.jobs.get()
    client.force_login(make_user("bob").owner)
    assert "data-job" not in page(client, f"/trades/?job={job.job_id}")


# --- the dashboard --------------------------------------------------------------------------------
def test_the_dashboard_answers_in_its_first_sentence(world: World, anna: Client) -> None:
    said = text(page(anna, "/"))
    audits = InsightAudit.objects.filter(horizon="TRADE")
    total = sum(audit.r_multiple for audit in audits)
    assert f"{total:+.1f} R in 13 trades (1 more without R).".replace("-", "−") in said
    assert "Largest possible leak: volatility spike" in said
    assert "not yet distinct from zero" in said


def test_units_switch_the_page(world: World, anna: Client) -> None:
    net = sum(trade.net_pnl for trade in world.trades)
    assert f"{net:+.2f} USD in 14 trades".replace("-", "−") in text(page(anna, "/?unit=money"))
    assert "% in 13 trades" in text(page(anna, "/?unit=percent"))
    assert "R in 13 trades" in text(page(anna, "/?unit=nonsense"))


def test_money_of_several_currencies_is_never_added_up(world: World, anna: Client) -> None:
    Trade.objects.filter(pk=world.news_trade.pk).update(pnl_currency="EUR")
    said = text(page(anna, "/?unit=money"))
    assert "14 trades, no sum in money: several currencies; choose one account." in said
    assert "result in ." not in said


@pytest.mark.parametrize("unit", ["r", "money", "percent"])
def test_a_leak_links_to_just_the_trades_it_counts(world: World, anna: Client, unit: str) -> None:
    lost = InsightAudit.objects.filter(horizon="TRADE", top_cause="volatility_spike")
    first, second = lost.filter(r_multiple__lt=0)[:2]
    InsightAudit.objects.filter(pk=first.pk).update(r_multiple=None, pnl_pct=None)
    Trade.objects.filter(pk=second.trade_id).update(net_pnl=Decimal("5.00"))
    html = page(anna, f"/?unit={unit}").split('id="leaks-title"')[1].split("</table>")[0]
    leaks = re.findall(r'<td><a href="(/trades/[^"]*)">.*?<td class="num">(\d+)</td>', html)
    assert any("volatility_spike" in address for address, _ in leaks)
    for address, n in leaks:
        listed = page(anna, unescape(address))
        assert listed.count('<td class="col-closed">') == int(n), address
    assert anna.get("/trades/?lost=luck").status_code == 400


def test_few_trades_are_counted_not_rated(world: World, anna: Client) -> None:
    html = page(anna, "/")
    wins = InsightAudit.objects.filter(horizon="TRADE", r_multiple__gt=0).count()
    assert f"{wins} of 13" in text(html)
    assert "31 %" not in html


def test_every_bar_day_and_cause_opens_its_trades(world: World, anna: Client) -> None:
    html = page(anna, "/")
    links = set(re.findall(r'href="(/trades/\?[^"]+)"', html.replace("&amp;", "&")))
    assert len(links) > 15
    for link in links:
        assert anna.get(link).context["counts"].total > 0, link


def test_a_new_user_gets_three_doors(client: Client, db: None) -> None:
    client.force_login(make_user("new").owner)
    said = text(page(client, "/"))
    assert "Nothing to examine yet." in said
    for door in ("Import a statement", "Import candles", "load_demo"):
        assert door in said


def test_a_filter_without_trades_says_so(anna: Client) -> None:
    assert "No trade fits this filter." in page(anna, "/?symbol=GBPUSD")


@pytest.mark.parametrize("month", ["2014-05", "2014-04"])
def test_any_month_can_be_opened(anna: Client, month: str) -> None:
    page(anna, f"/?month={month}")


def test_a_month_that_is_none_is_an_error(anna: Client) -> None:
    assert anna.get("/?month=2014-13").status_code == 400
