"""People's words beside the engine's: kept by every run, undone, recorded, never lost unseen."""

from __future__ import annotations

import csv
import io
import json
from importlib import import_module
from typing import Any

import numpy as np
import pytest
from django.apps import apps
from django.core.management import call_command
from django.utils import timezone

from post_mortem.core.review import reasons_of
from post_mortem.models import AuditHistory, CauseReview, InsightAudit, LabelingRule
from post_mortem.selectors.calibrations import reviews_for_fit
from post_mortem.selectors.reviews import DISPUTED_FROM, history_of, to_review
from post_mortem.services import audit_reviews, reviews
from post_mortem.services.audits import run_autopsy
from post_mortem.services.verification import verify_audits
from tests.api.world import make_user
from trading.core.errors import ConflictError, NotFoundError, UserError
from trading.models import Account, Membership, Role

from .factories import make_account, make_candles, make_instrument, make_signal_at, walk

NOW = timezone.now()
REASON = "The feed spiked."


@pytest.fixture
def account(db: None) -> Account:
    """Six audited signals of one desk, four hours each."""
    account = make_account()
    instrument = make_instrument()
    closes = walk(30 * 1440)
    make_candles(instrument, closes)
    for i in range(6):
        make_signal_at(account, instrument, closes, 21 * 1440 + 60 * i, 1 if i % 2 else -1)
    run_autopsy(horizons=("4H",))
    InsightAudit.objects.update(needs_manual_review=False, review_reasons=0)
    return account


@pytest.fixture
def failed(account: Account) -> InsightAudit:
    audit = InsightAudit.objects.filter(outcome=2).order_by("pk").first()
    assert audit is not None
    return audit


def colleague(account: Account, role: int = Role.REVIEWER, name: str = "anna") -> Any:
    user = make_user(name)
    Membership.objects.create(user=user, desk=account.desk, role=role)
    return user


def override(audit: InsightAudit, user: Any, outcome: str = "neutral", **given: Any) -> Any:
    audit.refresh_from_db()
    values = {"version": audit.review_version, "reason": REASON} | given
    return audit_reviews.override(audit_id=audit.pk, outcome=outcome, user=user, now=NOW, **values)


def deeds(audit: InsightAudit) -> list[str]:
    return [f"{deed.who}: {deed.text}" for deed in history_of(audit)]


# --- overriding ---------------------------------------------------------------------------------


def test_an_override_stands_beside_the_label_and_can_be_undone(failed: InsightAudit) -> None:
    owner = failed.account.owner
    before = verify_audits().as_dict()
    changed = override(failed, owner)
    assert (changed.outcome, changed.final_outcome) == (2, "neutral")
    assert (changed.overridden_by, changed.override_reason) == (owner, REASON)
    assert verify_audits().as_dict() == before
    second = override(failed, owner, "succeeded", reason="On another look: a gain.")
    assert second.final_outcome == "succeeded"

    def undo() -> InsightAudit:
        version = InsightAudit.objects.get(pk=failed.pk).review_version
        return audit_reviews.undo_override(audit_id=failed.pk, version=version, user=owner, now=NOW)

    back = undo()
    assert (back.final_outcome, back.override_reason) == ("neutral", REASON)
    assert (back.overridden_by, back.overridden_at) == (owner, changed.overridden_at)
    assert undo().final_outcome == "succeeded"
    assert failed.history.count() == 4
    name = owner.get_username()
    assert deeds(failed)[-1] == f"{name}: label set to neutral, was the engine’s: {REASON}"
    assert deeds(failed)[1] == f"{name}: undid: label set to neutral, was succeeded"


def test_undoing_the_only_override_leaves_the_engines_label(failed: InsightAudit) -> None:
    override(failed, failed.account.owner)
    back = audit_reviews.undo_override(
        audit_id=failed.pk, version=1, user=failed.account.owner, now=NOW
    )
    assert (back.override_outcome, back.override_reason, back.overridden_by) == (None, "", None)
    assert back.final_outcome == "failed"


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"outcome": "failed"}, "same_outcome"),
        ({"outcome": "pending"}, "bad_outcome"),
        ({"outcome": ""}, "bad_outcome"),
        ({"reason": "  x "}, "bad_reason"),
        ({"reason": "x" * 1_001}, "bad_reason"),
    ],
)
def test_a_label_needs_a_reason_and_another_outcome(
    failed: InsightAudit, given: dict[str, str], code: str
) -> None:
    with pytest.raises(UserError) as refused:
        override(failed, failed.account.owner, **given)
    assert refused.value.code == code
    assert not AuditHistory.objects.exists()


def test_who_read_an_older_version_changes_nothing(failed: InsightAudit) -> None:
    anna = colleague(failed.account)
    override(failed, anna)
    changes: list[tuple[Any, dict[str, Any]]] = [
        (audit_reviews.override, {"outcome": "succeeded", "reason": REASON}),
        (audit_reviews.undo_override, {}),
        (audit_reviews.note, {"notes": "mine"}),
        (audit_reviews.flag, {"flagged": True}),
        (audit_reviews.settle, {"settled": True}),
        (audit_reviews.assign, {"reviewer": None}),
    ]
    for change, given in changes:
        with pytest.raises(ConflictError) as refused:
            change(audit_id=failed.pk, version=0, user=failed.account.owner, now=NOW, **given)
        assert refused.value.code == "version_stale"
    failed.refresh_from_db()
    assert (failed.review_version, failed.reviewer_notes, failed.is_flagged) == (1, "", False)
    assert failed.history.count() == 1


def test_another_run_keeps_what_people_said(failed: InsightAudit) -> None:
    owner = failed.account.owner
    override(failed, owner)
    audit_reviews.note(audit_id=failed.pk, notes="Look again", version=1, user=owner, now=NOW)
    audit_reviews.flag(audit_id=failed.pk, flagged=True, version=2, user=owner, now=NOW)
    kept = ("override_outcome", "override_reason", "overridden_by_id", "overridden_at")
    kept += ("reviewer_notes", "is_flagged", "review_version", "override_input_hash")
    before = InsightAudit.objects.values(*kept).get(pk=failed.pk)
    assert run_autopsy(horizons=("4H",), force=True).updated == 6
    assert InsightAudit.objects.values(*kept).get(pk=failed.pk) == before
    failed.refresh_from_db()
    assert not failed.override_is_of_other_inputs

    # Another rule is another input: the label stays and says that it was made on other inputs.
    LabelingRule.objects.filter(horizon="4H").update(neutral_band_r=0.2)
    assert run_autopsy(horizons=("4H",)).updated == 6
    before["review_version"] += 1  # who read it before has not read this
    assert InsightAudit.objects.values(*kept).get(pk=failed.pk) == before
    failed.refresh_from_db()
    assert failed.override_is_of_other_inputs


# --- the queue ----------------------------------------------------------------------------------


def waiting(**given: Any) -> set[int]:
    rows = to_review(InsightAudit.objects.all(), **given)
    return set(rows.values_list("pk", flat=True))


def test_the_queue_by_reason_and_by_person(failed: InsightAudit) -> None:
    assert waiting() == set()
    owner, anna = failed.account.owner, colleague(failed.account)
    ids = list(InsightAudit.objects.order_by("pk").values_list("pk", flat=True))
    InsightAudit.objects.filter(pk=ids[0]).update(needs_manual_review=True, review_reasons=1)
    InsightAudit.objects.filter(pk=ids[1]).update(needs_manual_review=True, review_reasons=6)
    audit_reviews.flag(audit_id=ids[2], flagged=True, version=0, user=anna, now=NOW)
    assert waiting() == set(ids[:3])
    assert waiting(reason="not_judged") == {ids[0]}
    assert waiting(reason="ambiguous") == waiting(reason="low_coverage") == {ids[1]}
    assert waiting(reason="flagged") == {ids[2]}
    assert waiting(reason="unexplained") == waiting(reason="disputed") == set()
    with pytest.raises(UserError):
        waiting(reason="bored")
    with pytest.raises(UserError):
        waiting(assigned="anna")

    audit_reviews.assign(audit_id=ids[0], reviewer="anna", version=0, user=owner, now=NOW)
    assert waiting(assigned="me", user=anna) == {ids[0]}
    assert waiting(assigned="nobody") == set(ids[1:3])
    audit_reviews.settle(audit_id=ids[2], settled=True, version=1, user=anna, now=NOW)
    assert waiting() == set(ids[:2])
    audit_reviews.settle(audit_id=ids[0], settled=True, version=1, user=anna, now=NOW)
    assert waiting() == {ids[1]}
    # Other evidence is another question.
    InsightAudit.objects.filter(pk=ids[0]).update(evidence_hash="c" * 64)
    assert waiting() == set(ids[:2])


def test_a_strong_cause_that_is_rejected_is_disputed(failed: InsightAudit) -> None:
    owner, anna = failed.account.owner, colleague(failed.account)
    cause = failed.causes.get(rank=1)

    def say(verdict: str, user: Any) -> None:
        reviews.review_cause(
            audit_id=failed.pk, cause=cause.cause, verdict=verdict, user=user, now=NOW
        )

    failed.causes.filter(pk=cause.pk).update(posterior=DISPUTED_FROM - 0.01)
    say("rejected", owner)
    assert waiting(reason="disputed") == set()
    say("confirmed", anna)
    assert waiting(reason="disputed") == {failed.pk}
    say("rejected", anna)
    assert waiting(reason="disputed") == set()
    failed.causes.filter(pk=cause.pk).update(posterior=DISPUTED_FROM)
    say("rejected", owner)
    assert waiting() == {failed.pk}


def test_only_who_may_review_is_given_an_audit(failed: InsightAudit) -> None:
    owner = failed.account.owner
    colleague(failed.account)
    colleague(failed.account, Role.TRADER, "tom")
    make_user("sue")
    names = [name for _, name in audit_reviews.reviewers_of(failed)]
    assert names == sorted(["anna", owner.get_username()])
    for name in ("tom", "sue", "nobody", ""):
        with pytest.raises(UserError) as refused:
            audit_reviews.assign(audit_id=failed.pk, reviewer=name, version=0, user=owner, now=NOW)
        assert refused.value.code == "bad_reviewer"


def test_a_stranger_and_a_trader_of_the_desk_find_nothing(failed: InsightAudit) -> None:
    for user in (make_user("sue"), colleague(failed.account, Role.TRADER, "tom")):
        with pytest.raises(NotFoundError):
            override(failed, user)
        with pytest.raises(NotFoundError):
            reviews.review_cause(
                audit_id=failed.pk, cause="unknown", verdict="named", user=user, now=NOW
            )
    assert not AuditHistory.objects.exists()


# --- causes -------------------------------------------------------------------------------------


def test_a_person_names_one_cause_and_takes_it_back(failed: InsightAudit) -> None:
    owner = failed.account.owner
    shown = set(failed.causes.values_list("cause", flat=True))
    first, second = [c for c in ("news_shock", "regime_drift", "model_error") if c not in shown][:2]

    def name(cause: str) -> CauseReview:
        return reviews.review_cause(
            audit_id=failed.pk, cause=cause, verdict="named", user=owner, now=NOW
        )

    with pytest.raises(UserError) as refused:
        reviews.review_cause(
            audit_id=failed.pk, cause=first, verdict="confirmed", user=owner, now=NOW
        )
    assert refused.value.code == "cause_not_shown"
    assert name(first).posterior == 0
    name(second)
    assert failed.reviews.get().cause == second
    reviews.undo_review(audit_id=failed.pk, cause=second, user=owner, now=NOW)
    assert not failed.reviews.exists()
    assert len(deeds(failed)) == 3
    assert "took back: named" in deeds(failed)[0]
    with pytest.raises(UserError, match="no such cause"):
        name("bad luck")


def test_a_named_cause_teaches_as_a_confirmed_one(failed: InsightAudit) -> None:
    shown = set(failed.causes.values_list("cause", flat=True))
    cause = next(c for c in ("regime_drift", "news_shock") if c not in shown)
    owner = failed.account.owner
    reviews.review_cause(audit_id=failed.pk, cause=cause, verdict="named", user=owner, now=NOW)
    reviews.review_cause(
        audit_id=failed.pk,
        cause="unknown",
        verdict="named",
        user=colleague(failed.account),
        now=NOW,
    )
    found = reviews_for_fit(failed.account.desk)
    assert (found.cause.tolist(), found.confirmed.tolist()) == ([cause], [True])


# --- what was there before ----------------------------------------------------------------------


def test_the_migration_marks_what_the_engine_would(account: Account) -> None:
    migration = import_module("post_mortem.migrations.0008_manual_review")
    columns: dict[str, list[Any]] = {
        "outcome": [2, 2, 6, 1, 5, 4, 2],
        "flags": [1, 0, 0, 9, 1, 1, 0],
        "coverage": [1.0, 1.0, 0.2, 0.94, 0.1, 0.1, None],
        "r_multiple": [-2.0, -1.5, None, 1.0, -2.0, -2.0, None],
        "top_cause": ["unknown", "unknown", "", "", "unknown", "unknown", "news_shock"],
    }
    template = InsightAudit.objects.order_by("pk").last()
    assert template is not None
    InsightAudit.objects.all().delete()
    for i in range(7):
        template.pk, template.horizon = None, f"X{i}"
        for name, values in columns.items():
            setattr(template, name, values[i])
        template.save(force_insert=True)
    migration.mark(apps, None)
    marked = InsightAudit.objects.order_by("horizon")
    expected = reasons_of(
        np.array(columns["outcome"]),
        np.array(columns["flags"]),
        np.array(columns["coverage"], np.float64),
        np.array(columns["r_multiple"], np.float64),
        np.array(columns["top_cause"]) == "unknown",
    ).tolist()
    assert [a.review_reasons for a in marked] == expected == [10, 8, 5, 6, 0, 0, 0]
    assert [a.needs_manual_review for a in marked] == [bits > 0 for bits in expected]


# --- exports ------------------------------------------------------------------------------------


def test_the_export_has_both_labels(failed: InsightAudit) -> None:
    owner = failed.account.owner
    override(failed, owner, reason="=1+1 is no formula")

    def exported(form: str) -> str:
        out = io.StringIO()
        call_command("export_audits", "--format", form, stdout=out)
        return out.getvalue()

    rows = [json.loads(line) for line in exported("jsonl").splitlines()]
    (row,) = [row for row in rows if row["override_outcome"]]
    assert (row["outcome"], row["override_outcome"]) == ("failed", "neutral")
    assert (row["overridden_by"], row["override_reason"]) == (
        owner.get_username(),
        "=1+1 is no formula",
    )
    assert {r["override_reason"] for r in rows if r is not row} == {None}
    table = list(csv.DictReader(io.StringIO(exported("csv"))))
    assert "'=1+1 is no formula" in [r["override_reason"] for r in table]
