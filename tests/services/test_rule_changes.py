"""A desk's rules: previewed without writing, saved with history, taken back."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from post_mortem.core.types import Outcome
from post_mortem.models import InsightAudit, LabelingRule, RuleChange
from post_mortem.selectors import rule_preview
from post_mortem.services.audits import run_autopsy
from post_mortem.services.rule_changes import preview_rule, put_rule, remove_rule, undo_change
from trading.core.errors import ConflictError, InquestError
from trading.models import Account, Membership, Role

from .factories import MONDAY, make_account, make_candles, make_instrument, make_signal, walk

pytestmark = pytest.mark.django_db

ENTRY = MONDAY + timedelta(days=21)


@pytest.fixture
def account() -> Account:
    return make_account()


@pytest.fixture
def audits(account: Account) -> list[InsightAudit]:
    instrument = make_instrument()
    make_candles(instrument, walk(30 * 1440))
    for hours in range(12):
        make_signal(
            account, instrument, time=ENTRY + timedelta(hours=hours), take_profit=None,
            score=50.0 + hours, strategy="a" if hours % 2 else "b",
        )  # fmt: skip
    make_signal(make_account(), instrument, time=ENTRY, score=1.0)
    run_autopsy(horizons=["4H"])
    return list(InsightAudit.objects.filter(account=account).order_by("pk"))


def given(account: Account, **values: Any) -> dict[str, Any]:
    return {"desk_id": account.desk_id, "rule_id": None, "values": values, "user": account.owner}


def outcomes(audits: list[InsightAudit]) -> list[int]:
    ids = [audit.pk for audit in audits]
    return list(
        InsightAudit.objects.filter(pk__in=ids).order_by("pk").values_list("outcome", flat=True)
    )


@pytest.mark.parametrize(
    "values",
    [
        {"horizon": "4H", "priority": 1, "min_score": 55.0},
        {"horizon": "4H", "symbol": "EURUSD", "success_tp_pips": 5.0},
        {"strategy": "a", "horizon": "4H", "neutral_band_r": 3.0},
        {"horizon": "4H", "min_score": 99.0},  # ties with the shipped rule, which is older
        {"horizon": "24H", "symbol": "EURUSD", "min_score": 99.0},
    ],
)
def test_a_preview_is_what_a_save_does(
    account: Account, audits: list[InsightAudit], values: dict[str, Any]
) -> None:
    before = outcomes(audits)
    exits = [(a.exit_price, a.r_multiple) for a in audits]
    found = preview_rule(**given(account, **values))
    assert outcomes(audits) == before
    assert not LabelingRule.objects.filter(desk=account.desk).exists()
    assert not InsightAudit.objects.filter(is_stale=True).exists()
    put_rule(**given(account, **values))
    run_autopsy(horizons=["4H"])
    after = InsightAudit.objects.filter(account=account).order_by("pk")
    changed = sum(
        (audit.outcome, audit.exit_price, audit.r_multiple) != (outcome, *exit)
        for audit, outcome, exit in zip(after, before, exits, strict=True)
    )
    assert found.exact
    assert found.changed == changed


def test_a_large_preview_is_an_estimate(
    account: Account, audits: list[InsightAudit], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rule_preview, "SAMPLE", 4)
    found = preview_rule(**given(account, horizon="4H", priority=1, min_score=56.0))
    assert (found.total, found.compared, found.exact) == (12, 4, False)
    assert 0 < found.changed < 12


def test_every_change_is_kept_and_can_be_taken_back(
    account: Account, audits: list[InsightAudit]
) -> None:
    values = {"horizon": "4H", "priority": 1, "min_score": 99.0}
    made = put_rule(**given(account, **values))
    assert made.before is None
    assert InsightAudit.objects.filter(is_stale=True, account=account).count() == 12
    run_autopsy(horizons=["4H"])
    assert set(outcomes(audits)) == {Outcome.FILTERED_OUT}
    changed = put_rule(**given(account, min_score=55.0) | {"rule_id": made.rule_id})
    assert (changed.before["min_score"], changed.after["min_score"]) == (99.0, 55.0)
    with pytest.raises(ConflictError):
        undo_change(change_id=made.pk, user=account.owner)
    undone = undo_change(change_id=changed.pk, user=account.owner)
    assert undone.undoes == changed
    assert LabelingRule.objects.get(pk=made.rule_id).min_score == 99.0
    removed = remove_rule(desk_id=account.desk_id, rule_id=made.rule_id, user=account.owner)
    assert removed.after is None
    undo_change(change_id=removed.pk, user=account.owner)
    back = LabelingRule.objects.get(pk=made.rule_id)
    assert (back.desk_id, back.min_score, back.priority) == (account.desk_id, 99.0, 1)
    assert RuleChange.objects.count() == 5
    # The rule is what it was when the audits were made: they are current again.
    assert run_autopsy(horizons=["4H"]).unchanged == 13


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"neutral_band_r": -1.0}, "neutral_band_r"),
        ({"success_tp_pips": 0.0}, "success_tp_pips"),
        ({"min_score": 101.0}, "min_score"),
        ({"min_score": float("nan")}, "min_score"),
        ({"horizon": "2H"}, "horizon"),
        ({"symbol": "XXXYYY"}, "symbol"),
        ({"timeframe": "banana"}, "timeframe"),
        ({"desk_id": 1}, "desk_id"),
    ],
)
def test_what_the_engine_cannot_use_is_refused(
    account: Account, values: dict[str, Any], field: str
) -> None:
    for service in (preview_rule, put_rule):
        with pytest.raises(InquestError) as refused:
            service(**given(account, **values))
        assert refused.value.field == field
    assert not RuleChange.objects.exists()


def test_only_a_lead_changes_rules_and_only_the_desks_own(account: Account) -> None:
    reader, stranger = make_account().owner, make_account().owner
    Membership.objects.create(user=reader, desk=account.desk, role=Role.REVIEWER)
    shared = LabelingRule.objects.filter(desk=None).first()
    assert shared is not None
    made = put_rule(**given(account, min_score=5.0))
    for user, code in ((reader, "not_permitted"), (stranger, "not_found")):
        for call, arguments in (
            (preview_rule, given(account, min_score=1.0) | {"user": user}),
            (put_rule, given(account, min_score=1.0) | {"user": user}),
            (remove_rule, {"desk_id": account.desk_id, "rule_id": made.rule_id, "user": user}),
            (undo_change, {"change_id": made.pk, "user": user}),
        ):
            with pytest.raises(InquestError) as refused:
                call(**arguments)  # type: ignore[operator]
            assert refused.value.code == code
    with pytest.raises(InquestError) as refused:
        put_rule(**given(account, min_score=1.0) | {"rule_id": shared.pk})
    assert refused.value.code == "not_found"
