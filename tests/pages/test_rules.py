"""The page of labelling rules, and which rule judged a trade."""

from __future__ import annotations

import pytest
from django.test import Client

from post_mortem.models import InsightAudit, LabelingRule, RuleChange
from trading.models import Membership, Role

from .factories import World, make_user
from .reading import page, text

FORM = {"horizon": "TRADE", "neutral_band_r": "0.2", "priority": "3", "is_active": "yes"}


def posted(client: Client, **changes: str) -> tuple[int, str]:
    answer = client.post("/rules/", FORM | changes)
    return answer.status_code, text(answer.content.decode()) if answer.content else ""


def test_a_rule_is_previewed_saved_edited_and_taken_back(world: World, anna: Client) -> None:
    status, said = posted(anna, do="preview")
    assert status == 200
    assert "This would change the label of " in said
    assert "Nothing is saved yet." in said
    assert not RuleChange.objects.exists()
    status, _ = posted(anna, do="save")
    assert status == 302
    rule = LabelingRule.objects.get(desk=world.account.desk)
    assert (rule.horizon, rule.neutral_band_r, rule.priority) == ("TRADE", 0.2, 3)
    html = page(anna, f"/rules/?rule={rule.pk}")
    assert f"Change rule {rule.pk}" in text(html)
    assert 'value="0.2"' in html
    assert posted(anna, rule=str(rule.pk), neutral_band_r="0.3", do="save")[0] == 302
    said = text(page(anna, "/rules/"))
    assert "neutral band r 0.2 to 0.3" in said
    last = RuleChange.objects.order_by("-pk").first()
    assert last is not None
    anna.post(f"/rules/changes/{last.pk}/undo/")
    rule.refresh_from_db()
    assert rule.neutral_band_r == 0.2
    anna.post(f"/rules/{rule.pk}/remove/")
    assert not LabelingRule.objects.filter(desk=world.account.desk).exists()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("neutral_band_r", "wide", "A number like 0.25, or nothing."),
        ("neutral_band_r", "-1", "A positive number, or nothing."),
        ("priority", "1.5", "A whole number up to 1000."),
        ("symbol", "NOPE99", "There is no such instrument."),
        ("symbol", "X" * 31, "At most 30 characters."),
        ("min_score", "nan", "A positive number, or nothing."),
    ],
)
def test_a_wrong_field_says_so_and_keeps_the_rest(
    world: World, anna: Client, name: str, value: str, said: str
) -> None:
    answer = anna.post("/rules/", FORM | {name: value, "do": "save"})
    assert answer.status_code == 422
    html = answer.content.decode()
    assert said in text(html)
    assert f'name="{name}" value="{value}"' in html
    assert 'aria-invalid="true"' in html
    assert not RuleChange.objects.exists()


def test_who_does_not_lead_reads(world: World, client: Client) -> None:
    reader = make_user("rita").owner
    Membership.objects.create(user=reader, desk=world.account.desk, role=Role.REVIEWER)
    client.force_login(reader)
    html = page(client, f"/rules/?desk={world.account.desk_id}")
    assert "Only a lead of the desk changes its rules." in text(html)
    assert "<button" not in html.split("<h1", 1)[1].split("</main", 1)[0]
    answer = client.post("/rules/", FORM | {"desk": str(world.account.desk_id), "do": "save"})
    assert answer.status_code == 400
    assert client.get("/rules/?desk=999999").status_code == 400
    assert not RuleChange.objects.exists()


def test_the_page_of_a_trade_says_which_rule_judged_it(world: World, anna: Client) -> None:
    audit = InsightAudit.objects.get(trade=world.news_trade, horizon="TRADE")
    snapshot = audit.rule_snapshot
    snapshot.data = {"id": 7, "symbol": "EURUSD", "horizon": "TRADE", "neutral_band_r": 0.1}
    snapshot.save()
    said = text(page(anna, f"/trades/{world.news_trade.pk}/"))
    assert "Rule 7 (symbol EURUSD, horizon TRADE), because it names symbol EURUSD" in said
    assert "Flat within 0.1 R." in said


def test_a_nul_is_refused_before_anything_reads_it(world: World, anna: Client) -> None:
    status, said = posted(anna, do="preview", symbol="EUR\x00USD")
    assert status == 400
    assert "A text contains a NUL character." in said
    assert anna.get("/rules/", {"desk": "1\x00"}).status_code == 400


@pytest.mark.parametrize(
    ("path", "name", "status"),
    [
        ("/rules/", "desk", 400),
        ("/patterns/", "account", 404),
        ("/attribution/", "account", 404),
    ],
)
def test_a_number_too_long_for_any_row_names_none(
    world: World, anna: Client, path: str, name: str, status: int
) -> None:
    for digits in (18, 30, 5_000):
        assert anna.get(path, {name: "9" * digits}).status_code == status


def test_a_search_of_an_account_of_many_digits_is_refused(world: World, anna: Client) -> None:
    assert anna.post("/patterns/search/", {"account": "9" * 5_000}).status_code == 404
