"""What goes with winning, on the page of a trade and as a page: base rate first, n always."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from django.test import Client
from django.utils import timezone

from post_mortem.core.attribution.body import body_of
from post_mortem.core.attribution.packing import packed_rows
from post_mortem.core.attribution.report import Attribution, attribute
from post_mortem.models import AttributionReport, AttributionRows, InsightAudit
from tests.core.attribution_data import outcomes, random_matrix

from .factories import World, make_user
from .reading import page, text

pytestmark = pytest.mark.django_db


def store(world: World, *, n: int = 600, effect: float = 1.2) -> AttributionReport:
    """A report over made-up features whose first rows are the desk's audits, under TRADE."""
    audits = list(
        InsightAudit.objects.filter(account=world.account, horizon="TRADE").order_by("pk")
    )
    rng = np.random.default_rng(3)
    matrix = random_matrix(rng, n)
    side = np.nan_to_num(matrix.column("side").values - 0.5)
    results = outcomes(rng, -2 * effect * side)
    for place, audit in enumerate(audits):
        results.won[place] = float(audit.outcome == 1)
    found: Attribution = attribute(matrix, results, seed=1)
    report = AttributionReport.objects.create(
        account=world.account, horizon="TRADE", data_hash="0" * 64, state=found.state, n=n,
        registry_version=matrix.registry_version, won=found.won, seed=1,
        body=body_of(found, matrix), fitted_at=timezone.now(),
    )  # fmt: skip
    ids = np.array([a.pk for a in audits] + [10**6 + i for i in range(n - len(audits))])
    for first, count, blob in packed_rows(ids, matrix, results.won, found):
        AttributionRows.objects.create(report=report, first_audit=first, n=count, blob=blob)
    return report


def section(html: str) -> str:
    start = html.index("What goes with trades like this")
    return text(html[start : html.index("</section>", start)])


def test_before_a_fit_the_section_says_so(world: World, anna: Client) -> None:
    said = section(page(anna, f"/trades/{world.news_trade.pk}/"))
    assert "Not worked out yet" in said
    assert "overall" not in said


def test_a_signal_is_told_with_the_base_rate_first(world: World, anna: Client) -> None:
    report = store(world)
    assert report.state == "signal"
    said = section(page(anna, f"/trades/{world.news_trade.pk}/"))
    rate = round(100 * report.won / report.n)
    assert f"{rate} of 100 won overall (n 600)." in said
    assert "predicts your outcomes better than the base rate (checked on" in said
    assert "winning" in said
    assert said.index("overall") < said.index("predicts")
    for word in ("SHAP", "p-value", "p <", "log-odds"):
        assert word not in said


def test_no_signal_is_an_answer_of_its_own(world: World, anna: Client) -> None:
    report = store(world, effect=0.0)
    assert report.state == "no_signal"
    said = section(page(anna, f"/trades/{world.news_trade.pk}/"))
    assert "No detectable signal: what was known at the entry does not predict" in said
    assert "▲" not in said
    assert "▼" not in said
    whole = text(page(anna, "/attribution/"))
    assert "No kind of trades clearly wins more or less often than that." in whole
    assert "Patterns compares what trades made in R" in whole
    assert "No detectable signal" in whole


def test_few_trades_are_counts_not_rates(world: World, anna: Client) -> None:
    report = store(world, n=24)
    assert report.state == "too_few"
    said = section(page(anna, f"/trades/{world.news_trade.pk}/"))
    assert f"{report.won} of 24 won overall." in said
    assert "of 100 won" not in said
    assert "24 trades of 100." in said


def test_the_page_answers_in_its_first_sentence(world: World, anna: Client) -> None:
    store(world)
    html = page(anna, "/attribution/")
    heading = text(html[html.index("<h1") : html.index("</h1>")])
    assert "of 100 trades won (n 600). Trades that are" in heading
    whole = text(html)
    assert "that are long" in whole
    assert "about one in ten of those shown may be chance" in whole
    assert "Goes with, not caused by." in whole


def test_without_a_report_the_page_says_what_it_needs(world: World, anna: Client) -> None:
    assert "It needs 20 judged trades" in text(page(anna, "/attribution/"))


@pytest.mark.parametrize("query", ["account=999999", "account=x", "h=4H", "h=9Z"])
def test_what_is_not_there_is_not_found(world: World, anna: Client, query: str) -> None:
    store(world)
    assert anna.get(f"/attribution/?{query}").status_code == 404


def test_a_stranger_sees_no_account_but_their_own(world: World, client: Client) -> None:
    store(world)
    client.force_login(make_user("bob").owner)
    assert client.get(f"/attribution/?account={world.account.pk}").status_code == 404
    assert "Nothing is worked out yet." in text(page(client, "/attribution/"))


def test_the_dashboard_leads_there(world: World, anna: Client) -> None:
    assert 'href="/attribution/"' in page(anna, "/")


def test_a_section_takes_two_queries_more_at_most(
    world: World, anna: Client, django_assert_max_num_queries: Any
) -> None:
    store(world)
    audit = InsightAudit.objects.get(trade=world.news_trade)
    from post_mortem.pages.attribution import said_of

    with django_assert_max_num_queries(2):
        assert said_of(audit) is not None
