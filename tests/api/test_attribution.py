"""`/audits/{id}/attribution/`: every state has one shape."""

from __future__ import annotations

import pytest
from django.urls import reverse

from post_mortem.models import AttributionReport, InsightAudit
from tests.api.world import NOW, World

pytestmark = pytest.mark.django_db

KEYS = ["state", "base", "cohort", "contributions", "later", "report"]


def get(world: World) -> dict:
    url = reverse("api-audit-attribution", args=[world.mine.audit.pk])
    answer = world.client("owner").get(url)
    assert answer.status_code == 200
    assert list(answer.json()) == KEYS
    return answer.json()


def test_without_a_report(world: World) -> None:
    found = get(world)
    assert (found["state"], found["report"], found["later"]) == ("not_fitted", None, None)
    assert found["base"] == {"n": 0, "won": 0}


def test_an_audit_without_an_outcome(world: World) -> None:
    InsightAudit.objects.filter(pk=world.mine.audit.pk).update(outcome=5)
    assert get(world)["state"] == "not_judged"


def test_a_report_that_does_not_hold_the_audit(world: World) -> None:
    audit = world.mine.audit
    AttributionReport.objects.create(
        account=audit.account, horizon=audit.horizon, data_hash="1" * 64, registry_version="x",
        state="no_signal", n=200, won=90, seed=7, fitted_at=NOW,
        body={"features": [], "model": None, "skill": None, "importances": [], "lifts": [],
              "cohorts": []},
    )  # fmt: skip
    found = get(world)
    assert found["state"] == "newer"
    assert found["base"] == {"n": 200, "won": 90}
    assert found["contributions"] == []
    assert found["report"]["seed"] == 7
