"""Nobody's word is put beside evidence that they have not read."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from importlib import import_module
from typing import Any

import numpy as np
import pytest
from django.apps import apps
from django.utils import timezone

from post_mortem.models import AuditHistory, CauseReview, InsightAudit, LabelingRule
from post_mortem.selectors.calibrations import reviews_for_fit
from post_mortem.services import audit_reviews
from post_mortem.services.audits import run_autopsy
from post_mortem.services.reviews import review_cause
from trading.core.errors import ConflictError
from trading.models import Instrument, Outage

from .factories import MONDAY, make_account, make_candles, make_instrument, make_signal

pytestmark = pytest.mark.django_db

NOW = timezone.now()
ENTRY_BAR = 19 * 288


def candles(instrument: Instrument, after_entry: int) -> None:
    """Five minutes at 10,000.00, and other closes (in points) soon after the entry."""
    closes = np.full(25 * 288, 1_000_000)
    closes[ENTRY_BAR + 5 :] = after_entry
    make_candles(instrument, closes, timeframe="5m")


@pytest.fixture
def instrument(db: None) -> Instrument:
    return make_instrument("BTC/USDT", decimals=2)


@pytest.fixture
def audit(instrument: Instrument) -> InsightAudit:
    """Neutral: nothing happened."""
    candles(instrument, 1_000_000)
    make_signal(
        make_account(),
        instrument,
        time=MONDAY + timedelta(days=19),
        timeframe="5m",
        entry_price=Decimal("10000"),
        stop_loss=Decimal("9990"),
        take_profit=Decimal("10010"),
    )
    run_autopsy(horizons=["4H"])
    audit = InsightAudit.objects.get()
    assert audit.final_outcome == "neutral"
    return audit


def judge_again(audit: InsightAudit, instrument: Instrument) -> None:
    """The candles are revised: it was stopped out."""
    candles(instrument, 998_000)
    assert run_autopsy(horizons=["4H"]).updated == 1
    audit.refresh_from_db()
    assert audit.final_outcome == "failed"


def changes() -> list[tuple[Any, dict[str, Any]]]:
    return [
        (audit_reviews.override, {"outcome": "succeeded", "reason": "I saw it flat."}),
        (audit_reviews.settle, {"settled": True}),
        (audit_reviews.note, {"notes": "flat"}),
    ]


def test_who_read_other_evidence_changes_nothing(
    audit: InsightAudit, instrument: Instrument
) -> None:
    seen = audit.review_version
    judge_again(audit, instrument)
    for change, given in changes():
        with pytest.raises(ConflictError) as refused:
            change(audit_id=audit.pk, version=seen, user=audit.account.owner, now=NOW, **given)
        assert refused.value.code == "version_stale"
        assert "judged again" in refused.value.detail
    audit.refresh_from_db()
    assert (audit.override_outcome, audit.settled_hash, audit.reviewer_notes) == (None, "", "")
    assert not AuditHistory.objects.exists()
    # Read again, it goes.
    audit_reviews.override(
        audit_id=audit.pk, outcome="succeeded", reason="The feed spiked.", now=NOW,
        version=audit.review_version, user=audit.account.owner,
    )  # fmt: skip


def test_other_bars_or_rules_are_unseen_even_if_the_evidence_is_the_same(
    audit: InsightAudit,
) -> None:
    evidence = audit.evidence_hash
    LabelingRule.objects.filter(horizon="4H").update(neutral_band_r=0.2)
    assert run_autopsy(horizons=["4H"]).updated == 1
    audit.refresh_from_db()
    assert (audit.evidence_hash, audit.review_version) == (evidence, 1)


def test_a_run_that_changes_nothing_leaves_readers_alone(audit: InsightAudit) -> None:
    seen = audit.review_version
    assert run_autopsy(horizons=["4H"], force=True).updated == 1
    for version, (change, given) in enumerate(changes(), seen):
        change(audit_id=audit.pk, version=version, user=audit.account.owner, now=NOW, **given)


def test_a_word_teaches_only_of_the_evidence_it_was_said_of(
    audit: InsightAudit, instrument: Instrument
) -> None:
    """An outage is logged later, so the cause that was named has another strength."""
    judge_again(audit, instrument)
    desk = audit.account.desk
    said: dict[str, Any] = {"cause": "external_shock", "verdict": "named", "now": NOW}
    said |= {"audit_id": audit.pk, "user": audit.account.owner}
    review_cause(**said)
    assert reviews_for_fit(desk).strength.tolist() == [0.0]
    start = MONDAY + timedelta(days=19)
    Outage.objects.create(desk=desk, start=start, end=start + timedelta(hours=2), what="down")
    assert run_autopsy(horizons=["4H"]).updated == 1
    assert reviews_for_fit(desk).strength.tolist() == []
    review_cause(**said)
    assert reviews_for_fit(desk).strength.tolist() == [1.0]


def test_the_migration_remembers_what_is_known_to_have_been_read(audit: InsightAudit) -> None:
    review = review_cause(
        audit_id=audit.pk, cause="external_shock", verdict="named", user=audit.account.owner,
        now=NOW,
    )  # fmt: skip
    migration = import_module("post_mortem.migrations.0015_reviewed_evidence")
    CauseReview.objects.update(evidence_hash="")
    for later, known in ((timedelta(seconds=1), ""), (timedelta(0), audit.evidence_hash)):
        InsightAudit.objects.update(evaluated_at=review.created_at + later)
        migration.remember(apps, None)
        assert CauseReview.objects.get().evidence_hash == known


def test_a_word_on_a_cause_is_refused_where_other_evidence_was_read(
    audit: InsightAudit, instrument: Instrument
) -> None:
    seen = audit.evidence_hash
    judge_again(audit, instrument)
    said: dict[str, Any] = {"cause": "external_shock", "verdict": "named", "now": NOW}
    said |= {"audit_id": audit.pk, "user": audit.account.owner}
    with pytest.raises(ConflictError) as refused:
        review_cause(**said, evidence_hash=seen)
    assert (refused.value.code, refused.value.field) == ("version_stale", "evidence_hash")
    assert not CauseReview.objects.exists()
    review_cause(**said, evidence_hash=audit.evidence_hash)
    assert CauseReview.objects.count() == 1
