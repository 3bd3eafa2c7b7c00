"""The page of the model: what it cost, whose words are shown, who sees which calls."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client, override_settings

from llm import openai_compatible
from llm.breaker import BREAKER
from post_mortem.models import LLMAnswer, LLMCall, LLMSpend, TradeAnalysis
from post_mortem.services.model_narratives import word_narratives
from trading.models import Account, Membership, Role

from .factories import World, make_user
from .reading import page, text

CONFIGURED = {"LLM_MODEL": "m1", "OPENAI_BASE_URL": "http://127.0.0.1:9/v1"}
NOBODY = "No model is asked. Every narrative is the built-in narrator's."


def make_calls(account: Account | None, count: int, **changes: Any) -> None:
    values = {
        "account": account, "purpose": "trade_analysis", "model": "m1", "host": "h", "prompt": "p",
        "prompt_sha256": "s", "evidence_hash": "e", "tokens_in": 4_000, "tokens_cached": 1_000,
        "tokens_out": 500, "cost": Decimal("0.0125"), "ms": 1_500, "requests": 1, "outcome": "ok",
        "source": "llm",
    }  # fmt: skip
    LLMCall.objects.bulk_create(LLMCall(**(values | changes)) for _ in range(count))


def shown(client: Client) -> str:
    return text(page(client, "/model/")).split("Skip to the content", 1)[1]


def staff(client: Client) -> Client:
    user = make_user("sam").owner
    user.is_staff = True
    user.save()
    client.force_login(user)
    return client


def test_without_a_model_it_says_so(world: World, anna: Client) -> None:
    said = shown(anna)
    assert NOBODY in said
    assert "Tokens in" not in said


def test_what_was_spent_and_what_the_words_were_worth(world: World, anna: Client) -> None:
    make_calls(world.account, 36)
    make_calls(world.account, 3, source="llm_repaired")
    make_calls(world.account, 1, source="template", outcome="ungrounded")
    make_calls(world.account, 2, source="template", outcome="timeout", cost=None, ms=0)
    with override_settings(**CONFIGURED):
        said = shown(anna)
    assert "m1 is asked. Notes on trades are not sent." in said
    # Of 40 that brought an answer; the two that did not are named with their reason.
    assert "m1 42 36 (90 in 100) 3 (8 in 100) 0 (0 in 100) 1 (2 in 100) 2 1.5 · 1.5" in said
    assert "No answer of m1: no answer in time 2." in said
    assert "at unknown cost" in said
    LLMCall.objects.filter(cost=None).delete()
    with override_settings(**CONFIGURED):
        said = shown(anna)
    assert "40, for 0.50 USD." in said
    assert "160,000 40,000 20,000 0.50" in said


def test_few_calls_are_counted_without_shares(world: World, anna: Client) -> None:
    make_calls(world.account, 29)
    with override_settings(**CONFIGURED):
        said = shown(anna)
    assert "m1 29 29 0 0 0 0" in said
    assert "in 100)" not in said


def test_why_the_narrators_words_stayed(world: World, anna: Client) -> None:
    rows = TradeAnalysis.objects.filter(account=world.account)
    first, second = list(rows.values_list("pk", flat=True)[:2])
    rows.filter(pk=first).update(source="llm", source_reason="")
    rows.filter(pk=second).update(source_reason="circuit_open")
    with override_settings(**CONFIGURED):
        said = shown(anna)
    assert f"1 of {rows.count()} narratives are a model's." in said
    assert "calls are paused after failures: 1" in said


def test_the_switch_is_shown(world: World, anna: Client) -> None:
    with override_settings(**CONFIGURED, LLM_PAUSED=True):
        assert "Paused: LLM_PAUSED is 1. Nobody is asked; what was written stays." in shown(anna)


def test_everyone_sees_their_own_and_staff_sees_all(
    world: World, anna: Client, client: Client
) -> None:
    bob = make_user("bob").owner
    theirs = Account.objects.get(owner=bob)
    make_calls(world.account, 2)
    make_calls(theirs, 3)
    make_calls(None, 4, purpose="evaluation", model="candidate")
    LLMAnswer.objects.create(key="k", purpose="p", model="m1", answer={}, source="llm", hits=7)
    day, month = f"{datetime.now(UTC):%Y-%m-%d}", f"{datetime.now(UTC):%Y-%m}"
    LLMSpend.objects.create(scope=f"user:{bob.pk}", period=day, tokens_used=4_321)
    LLMSpend.objects.create(scope="all", period=month, cost_used=Decimal("9.87"))
    with override_settings(**CONFIGURED, LLM_MONTHLY_COST=Decimal(50)):
        mine = shown(anna)
        client.force_login(bob)
        other = shown(client)
        everybody = shown(staff(client))
    assert "m1 2 2" in mine
    assert "m1 3 3" in other
    assert "Your tokens today 4,321 of 2,000,000" in other
    assert "m1 5 5" in everybody
    assert "Calls of everybody, evaluations among them." in everybody
    assert "9.87 USD of 50.00" in everybody
    assert "Answers used again instead of asking 7" in everybody
    for said in (mine, other):
        assert "Everybody this month" not in said
        assert "Answers used again" not in said
    # An evaluation is paid for like anything else, but says nothing about narratives.
    assert "candidate" not in everybody


def test_a_reviewer_sees_calls_about_the_desks_accounts(world: World, client: Client) -> None:
    make_calls(world.account, 2)
    rita = make_user("rita").owner
    Membership.objects.create(user=rita, desk=world.account.desk, role=Role.REVIEWER)
    client.force_login(rita)
    with override_settings(**CONFIGURED):
        assert "m1 2 2" in shown(client)


def test_a_spent_budget_says_so(world: World, anna: Client) -> None:
    day = f"{datetime.now(UTC):%Y-%m-%d}"
    LLMSpend.objects.create(
        scope=f"user:{world.user.pk}", period=day, tokens_used=90, tokens_reserved=10
    )
    with override_settings(**CONFIGURED, LLM_DAILY_TOKENS=100):
        assert "Spent: nobody is asked until the next period." in shown(anna)


def test_it_is_one_click_away(world: World, anna: Client) -> None:
    assert 'href="/model/"' in page(anna, "/")


# --- pages and the network ------------------------------------------------------------------------
def test_pages_never_load_what_talks_to_a_model(
    world: World, anna: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("openai", "httpx2"):
        monkeypatch.setitem(sys.modules, module, None)  # an import of it fails
    with override_settings(**CONFIGURED):
        for path in ("/", "/trades/", f"/trades/{world.news_trade.pk}/", "/model/", "/rules/"):
            page(anna, path)


def test_a_model_out_of_reach_changes_no_word(world: World, anna: Client) -> None:
    """Port 9 refuses: the narrator's text stays, and the page is the same to the letter."""
    BREAKER.reset()
    openai_compatible._DIALECTS.clear()
    path = f"/trades/{world.news_trade.pk}/"
    before = text(page(anna, path))
    ids = list(TradeAnalysis.objects.values_list("audit_id", flat=True))
    with override_settings(**CONFIGURED, LLM_TIMEOUT=1):
        done = word_narratives(audit_ids=ids, now=datetime.now(UTC))
        assert done.written == 0
        assert set(done.reasons) <= {"connection", "circuit_open", "timeout"}
        assert text(page(anna, path)) == before
    BREAKER.reset()
