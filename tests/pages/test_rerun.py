"""Stale audits on the pages: counted, and run again by a button that shows the job."""

from __future__ import annotations

import pytest
from django.test import Client

from post_mortem.models import AutopsyJob, InsightAudit
from trading.models import Membership, Role

from .factories import World, make_user
from .reading import page, text


@pytest.fixture
def stale(world: World) -> InsightAudit:
    audit = InsightAudit.objects.get(trade=world.news_trade, horizon="TRADE")
    InsightAudit.objects.filter(pk=audit.pk).update(is_stale=True)
    return audit


def test_the_dashboard_counts_them_and_runs_them_again(stale: InsightAudit, anna: Client) -> None:
    html = page(anna, "/")
    assert "1 audit is stale" in text(html)
    assert 'action="/audits/rerun/"' in html
    answer = anna.post("/audits/rerun/")
    job = AutopsyJob.objects.get()
    assert answer["Location"] == f"/?job={job.job_id}"
    assert f'data-job="/api/post-mortem/jobs/{job.job_id}/"' in page(anna, answer["Location"])
    assert job.items.get().payload == {"signals": [stale.signal_id]}


def test_without_any_there_is_no_button(world: World, anna: Client) -> None:
    assert "/audits/rerun/" not in page(anna, "/")
    assert anna.post("/audits/rerun/").status_code == 400


def test_the_page_of_the_trade_runs_its_own(stale: InsightAudit, anna: Client) -> None:
    path = f"/trades/{stale.trade_id}/"
    html = page(anna, path)
    assert "Stale: its rule or its data changed since." in text(html)
    address = f"{path}?h=TRADE"
    answer = anna.post(f"/audits/{stale.pk}/rerun/", {"next": address})
    job = AutopsyJob.objects.get()
    assert answer["Location"] == f"{address}&job={job.job_id}"
    assert f'data-job="/api/post-mortem/jobs/{job.job_id}/"' in page(anna, answer["Location"])
    elsewhere = anna.post(f"/audits/{stale.pk}/rerun/", {"next": "https://example.com/"})
    assert elsewhere["Location"].startswith(f"/audits/{stale.pk}/?job=")


def test_a_reader_is_told_and_offered_nothing(
    world: World, stale: InsightAudit, client: Client
) -> None:
    reader = make_user("rita").owner
    Membership.objects.create(user=reader, desk=world.account.desk, role=Role.REVIEWER)
    client.force_login(reader)
    html = page(client, f"/trades/{stale.trade_id}/")
    assert "Stale: its rule or its data changed since." in text(html)
    assert "/rerun/" not in html
    assert client.post(f"/audits/{stale.pk}/rerun/").status_code == 400
    assert not AutopsyJob.objects.exists()
