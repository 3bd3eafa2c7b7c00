"""An audit is held against its own record whatever became of its inputs or its engine."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.db.models import F

from post_mortem.core.record import LAYOUT_SINCE
from post_mortem.core.version import ENGINE_VERSION
from post_mortem.models import AuditRCA, InsightAudit, LabelingRule, RuleChange
from post_mortem.services.audits import LABELS_ONLY, run_autopsy
from post_mortem.services.staleness import mark_stale
from post_mortem.services.verification import Verification, verify_audits
from trading.core.types import SIGNAL_HORIZONS
from trading.models import Account

from .factories import make_account, make_candles, make_instrument, make_signal_at, walk

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)
# What a row repeats of its record, with a value that it surely does not have.
REPEATED: dict[str, Any] = {
    "outcome": 4,
    "shadow_outcome": 2,
    "exit_reason": 4,
    "flags": 1 << 20,
    "exit_price": 0.5,
    "pips": 0.5,
    "pnl_pct": 0.5,
    "r_multiple": 9.0,
    "mfe_r": 0.123,
    "mae_r": 0.123,
    "max_drawdown_r": 0.123,
    "mfe_pips": 0.123,
    "mae_pips": 0.123,
    "coverage": 0.123,
    "top_cause": "liquidity_event",
    "top_posterior": 0.123,
    "top_confidence": 99,
    "needs_manual_review": ~F("needs_manual_review"),
    "exit_time": F("exit_time") + HOUR,
    "calibration": None,
    "rule": None,
}


@pytest.fixture
def account() -> Account:
    """Some signals, judged by rules of the desk."""
    account, instrument = make_account(), make_instrument()
    closes = walk(30 * 1440)
    make_candles(instrument, closes)
    for i in range(12):
        make_signal_at(account, instrument, closes, 21 * 1440 + 120 * i, 1 if i % 2 else -1)
    for horizon in SIGNAL_HORIZONS:
        LabelingRule.objects.create(
            desk=account.desk, horizon=horizon, neutral_band_r=0.2, priority=5
        )
    run_autopsy()
    return account


def stale() -> None:
    LabelingRule.objects.exclude(desk=None).update(neutral_band_r=0.3)
    assert mark_stale() == InsightAudit.objects.count()


def by_another_engine() -> None:
    InsightAudit.objects.update(engine_version=ENGINE_VERSION - 1)


def as_labels_only() -> None:
    InsightAudit.objects.update(engine_version=LABELS_ONLY)


STATES: dict[str, tuple[Callable[[], None], str]] = {
    "stale": (stale, "stale"),
    "of another engine version": (by_another_engine, "other_engine"),
    "labelled only": (as_labels_only, "other_engine"),
}


@pytest.fixture(params=STATES)
def counted(request: Any, account: Account) -> str:
    """What audits that are left alone are counted as."""
    make, expected = STATES[request.param]
    make()
    whole = verify_audits()
    assert getattr(whole, expected) == whole.checked
    return expected


def found(change: Callable[[], object]) -> Verification:
    """What verification says of a change that is taken back."""
    with transaction.atomic():
        change()
        result = verify_audits()
        transaction.set_rollback(True)
    return result


def test_a_row_that_differs_from_its_own_record_is_found(counted: str) -> None:
    """Every column, each in an audit of its own; the others stay what they were counted as."""
    judged = InsightAudit.objects.exclude(top_cause="").exclude(top_cause="liquidity_event")
    ids = list(judged.order_by("pk").values_list("pk", flat=True)[: len(REPEATED)])
    assert len(ids) == len(REPEATED)
    for pk, (column, value) in zip(ids, REPEATED.items(), strict=True):
        if column == "needs_manual_review":
            value = not InsightAudit.objects.get(pk=pk).needs_manual_review
        InsightAudit.objects.filter(pk=pk).update(**{column: value})
    result = verify_audits()
    reasons = {one["audit_id"]: one["reason"] for one in result.mismatches}
    assert set(reasons) == set(ids), {dict(zip(ids, REPEATED, strict=True)).get(i) for i in ids}
    for pk, column in zip(ids[:-2], REPEATED, strict=False):
        assert reasons[pk].startswith("its row differs from its own record: ")
        assert column in reasons[pk]
    assert reasons[ids[-2]] == "its causes were ranked, but no calibration table is named"
    assert reasons[ids[-1]] == "its rule is not the one of its snapshot"
    assert getattr(result, counted) == result.checked - len(ids)


def test_causes_that_differ_from_the_record_are_found(counted: str) -> None:
    pk = AuditRCA.objects.order_by("pk")[0].pk
    changes: tuple[Callable[[], object], ...] = (
        lambda: AuditRCA.objects.filter(pk=pk).update(confidence=99),
        lambda: AuditRCA.objects.filter(pk=pk).update(posterior=0.001),
        lambda: AuditRCA.objects.filter(pk=pk).update(cause="user_psychology"),
        lambda: AuditRCA.objects.filter(pk=pk).delete(),
    )
    for change in changes:
        result = found(change)
        assert [m["reason"] for m in result.mismatches] == ["its causes differ from its own record"]


def test_a_record_without_its_hash_is_found(counted: str) -> None:
    one = InsightAudit.objects.order_by("pk")[0]
    changed = bytearray(one.record)
    changed[-1] ^= 1
    for values in ({"record": bytes(changed)}, {"evidence_hash": "0" * 64}):
        mine = InsightAudit.objects.filter(pk=one.pk)
        result = found(lambda mine=mine, values=values: mine.update(**values))  # type: ignore[misc]
        assert result.mismatches == [
            {"audit_id": one.pk, "reason": "its record does not carry its evidence hash"}
        ]


def test_bars_of_another_engine_are_compared_where_its_inputs_are_the_same(
    account: Account,
) -> None:
    by_another_engine()
    one = InsightAudit.objects.order_by("pk")[0]
    InsightAudit.objects.filter(pk=one.pk).update(n_bars=3)
    reason = "its row differs from its inputs: n_bars"
    assert verify_audits().mismatches == [{"audit_id": one.pk, "reason": reason}]


def test_a_record_of_an_unknown_layout_could_not_be_checked(account: Account) -> None:
    """Not tampered with, not verified: counted as what it is. Of this engine it is broken."""
    one = InsightAudit.objects.order_by("pk")[0]
    mine = InsightAudit.objects.filter(pk=one.pk)
    for version in (LAYOUT_SINCE - 1, ENGINE_VERSION + 1):
        mine.update(engine_version=version, record=b"\1\2\3", evidence_hash="a" * 64)
        result = verify_audits()
        assert (result.could_not_check, result.mismatched) == (1, 0)
        assert result.verified == result.checked - 1
    mine.update(engine_version=ENGINE_VERSION)
    assert verify_audits().mismatched == 1


def test_a_rule_that_was_deleted_and_came_back_is_nobodys_fault(account: Account) -> None:
    rule = LabelingRule.objects.get(desk=account.desk, horizon="4H")
    pk = rule.pk
    rule.delete()
    assert InsightAudit.objects.filter(rule=None).count() == 12
    deleted = verify_audits()
    assert not any("snapshot" in one["reason"] for one in deleted.mismatches)
    RuleChange.objects.create(desk=account.desk, rule_id=pk, before={}, after=None)
    LabelingRule.objects.create(
        pk=pk, desk=account.desk, horizon="4H", neutral_band_r=0.2, priority=5
    )
    back = verify_audits()
    assert (back.verified, back.mismatches) == (back.checked, [])


def test_labels_only_are_checked_too(account: Account) -> None:
    InsightAudit.objects.all().delete()
    run_autopsy(skip_rca=True)
    whole = verify_audits()
    assert whole.other_engine == whole.checked > 0
    one = InsightAudit.objects.order_by("pk")[0]
    InsightAudit.objects.filter(pk=one.pk).update(r_multiple=9.0)
    reason = "its row differs from its own record: r_multiple"
    assert verify_audits().mismatches == [{"audit_id": one.pk, "reason": reason}]
