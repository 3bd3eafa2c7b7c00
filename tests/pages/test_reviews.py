"""Reviewing on the pages: what waits, what a person says, and who was faster."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from post_mortem.models import CauseReview, InsightAudit
from post_mortem.services import audit_reviews
from trading.models import Membership, Role

from .factories import World, make_user
from .reading import page, text

REASON = "The fill was a feed error."


@pytest.fixture
def audit(world: World) -> InsightAudit:
    return InsightAudit.objects.get(trade=world.news_trade)


def post(client: Client, audit: InsightAudit, action: str, **given: Any) -> Any:
    audit.refresh_from_db()
    form = {"action": action, "version": audit.review_version, "next": "/audits/review/"} | given
    return client.post(f"/audits/{audit.pk}/review/", form)


def test_nothing_waits(world: World, anna: Client) -> None:
    html = text(page(anna, "/audits/review/"))
    assert "No audit waits for a person." in html
    assert "An audit comes here when" in html
    assert "to review" not in text(page(anna, "/"))
    assert "Nothing of this kind waits." in text(page(anna, "/audits/review/?assigned=me"))


def test_a_flagged_audit_waits_until_somebody_looked_at_it(
    anna: Client, audit: InsightAudit
) -> None:
    assert post(anna, audit, "flag")["Location"] == "/audits/review/"
    assert "1 audit to review" in text(page(anna, "/"))
    html = text(page(anna, "/audits/review/"))
    assert "1 audit waits for a person." in html
    assert "flagged by hand" in html
    assert "News shock" in html
    assert "EURUSD long" in text(page(anna, "/audits/review/?reason=flagged&assigned=nobody"))
    post(anna, audit, "settle")
    assert "No audit waits" in text(page(anna, "/audits/review/"))
    part = text(page(anna, f"/audits/{audit.pk}/"))
    assert "it comes back when its evidence changes" in part
    assert "anna: settled" in part
    assert "anna: flagged" in part


def judged_again(audit: InsightAudit) -> None:
    """As a run leaves an audit whose evidence it changed."""
    audit.refresh_from_db()
    audit.evidence_hash, audit.r_multiple = "e" * 64, -1.5
    audit.review_version += 1
    audit.evaluated_at = timezone.now()
    audit.save()


def test_what_was_judged_again_is_read_again_first(anna: Client, audit: InsightAudit) -> None:
    read = {"version": 0, "evidence": audit.evidence_hash, "next": "/audits/review/"}
    assert f'name="evidence" value="{audit.evidence_hash}"' in page(anna, f"/audits/{audit.pk}/")
    judged_again(audit)
    override = {"action": "override", "outcome": "succeeded", "reason": REASON}
    cause = f"/audits/{audit.pk}/causes/news_shock/"
    for url, form in (
        (f"/audits/{audit.pk}/review/", override),
        (cause, {"verdict": "confirmed"}),
        (f"/audits/{audit.pk}/named/", {"cause": "unknown"}),
    ):
        refused = anna.post(url, form | read)
        assert refused.status_code == 412
        html = refused.content.decode()
        assert "It was judged again since you read it: " in html
        assert "1.50" in html
        assert "Read it again" in html
        assert "Apply mine" not in html
    assert not CauseReview.objects.exists()
    audit.refresh_from_db()
    assert audit.override_outcome is None
    read["evidence"] = audit.evidence_hash
    assert anna.post(cause, {"verdict": "confirmed"} | read).status_code == 302


@pytest.mark.parametrize("query", ["reason=bored", "assigned=bob"])
def test_a_filter_that_is_not_known_is_an_error(anna: Client, query: str) -> None:
    answer = anna.get(f"/audits/review/?{query}")
    assert answer.status_code == 400
    assert "one of" in answer.content.decode()


def test_an_overridden_label_is_said_everywhere_and_the_engines_stays(
    world: World, anna: Client, audit: InsightAudit
) -> None:
    post(anna, audit, "override", outcome="succeeded", reason=REASON)
    told = text(page(anna, f"/trades/{world.news_trade.pk}/"))
    assert f"Label overridden by anna: succeeded. {REASON}" in told
    assert "The engine’s label stays failed; statistics count succeeded." in told
    listed = page(anna, "/trades/?flag=overridden")
    assert text(listed).count("by hand") == 1
    assert f"Label overridden by anna: {REASON}" in listed
    assert "1 label overridden" in text(page(anna, "/trades/"))

    here = f'href="/trades/{world.news_trade.pk}/'
    assert here in page(anna, "/trades/?outcome=succeeded")
    assert here not in page(anna, "/trades/?outcome=failed")
    # It did not fail after all, so its cause is no leak.
    dashboard = text(page(anna, "/"))
    assert "trades they say did not fail are left out" in dashboard
    assert "News shock" not in dashboard.split("Leaks")[1].split("Where the results")[0]
    exported = b"".join(anna.get("/trades/export.csv").streaming_content).decode()
    assert f"succeeded,failed,{REASON},anna" in exported

    post(anna, audit, "undo")
    told = text(page(anna, f"/trades/{world.news_trade.pk}/"))
    assert "Label overridden" not in told
    assert "undid: label set to the engine’s, was succeeded" in told
    assert "News shock" in text(page(anna, "/")).split("Leaks")[1]


def test_an_override_on_other_inputs_says_so(anna: Client, audit: InsightAudit) -> None:
    post(anna, audit, "override", outcome="neutral", reason=REASON)
    assert "Made on other inputs" not in text(page(anna, f"/audits/{audit.pk}/"))
    InsightAudit.objects.filter(pk=audit.pk).update(input_hash="f" * 64)
    assert "Made on other inputs than today’s." in text(page(anna, f"/audits/{audit.pk}/"))


def test_who_was_slower_sees_what_happened_and_may_go_on(
    world: World, anna: Client, audit: InsightAudit
) -> None:
    rita = make_user("rita").owner
    Membership.objects.create(user=rita, desk=world.account.desk, role=Role.REVIEWER)
    audit_reviews.note(audit_id=audit.pk, notes="Mine", version=0, user=rita, now=timezone.now())
    form = {"action": "note", "version": 0, "notes": "<b>Theirs", "next": "https://evil.example/"}
    refused = anna.post(f"/audits/{audit.pk}/review/", form)
    assert refused.status_code == 412
    html = refused.content.decode()
    assert "Yours was not saved." in html
    assert "rita" in html
    assert "changed the notes" in html
    assert "You wrote: &lt;b&gt;Theirs" in html
    assert 'name="version" value="1"' in html
    assert "evil.example" not in html.split("Keep theirs")[0].split("<form")[-1].split("href")[-1]
    audit.refresh_from_db()
    assert audit.reviewer_notes == "Mine"
    again = anna.post(f"/audits/{audit.pk}/review/", form | {"version": 1})
    assert again["Location"] == f"/audits/{audit.pk}/"
    audit.refresh_from_db()
    assert audit.reviewer_notes == "<b>Theirs"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"action": "delete"}, "one of flag"),
        ({"action": "flag", "version": "x"}, "version that was read is missing"),
        ({"action": "override", "outcome": "neutral", "reason": " "}, "Say why"),
        ({"action": "override", "outcome": "won", "reason": REASON}, "A label is one of"),
        ({"action": "assign", "reviewer": "nobody"}, "Nobody of this name"),
        ({"action": "undo"}, "never overridden"),
    ],
)
def test_what_cannot_be_done_is_said(
    anna: Client, audit: InsightAudit, given: dict[str, str], said: str
) -> None:
    answer = anna.post(f"/audits/{audit.pk}/review/", {"version": "0"} | given)
    assert answer.status_code == 400
    assert said in answer.content.decode()
    audit.refresh_from_db()
    assert audit.review_version == 0


def test_the_cause_it_was_instead(world: World, anna: Client, audit: InsightAudit) -> None:
    path = f"/audits/{audit.pk}/named/"
    anna.post(path, {"cause": "regime_drift"})
    assert CauseReview.objects.get().verdict == "named"
    assert 'value="regime_drift" selected' in page(anna, f"/trades/{world.news_trade.pk}/")
    anna.post(path, {"cause": "unknown"})
    assert CauseReview.objects.get().cause == "unknown"
    told = text(page(anna, f"/trades/{world.news_trade.pk}/"))
    assert "anna: named none of these" in told
    anna.post(path, {"cause": ""})
    assert not CauseReview.objects.exists()
    assert anna.post(path, {"cause": ""}).status_code == 302
    assert anna.post(path, {"cause": "bad luck"}).status_code == 400


def test_a_reviewer_is_offered_and_assigned(
    world: World, anna: Client, audit: InsightAudit
) -> None:
    assert "Assign" not in text(page(anna, f"/audits/{audit.pk}/"))
    rita = make_user("rita").owner
    Membership.objects.create(user=rita, desk=world.account.desk, role=Role.REVIEWER)
    post(anna, audit, "assign", reviewer="rita")
    audit.refresh_from_db()
    assert audit.reviewer == rita
    assert "Assigned to rita." in text(page(anna, f"/audits/{audit.pk}/"))
