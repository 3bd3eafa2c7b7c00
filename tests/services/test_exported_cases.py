"""An audit exported as a case gives the evidence that is stored, byte for byte, on a machine that
knows nothing of this one."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.urls import reverse

from post_mortem.core.calibration_table import SHIPPED
from post_mortem.core.diagnose import diagnose_case
from post_mortem.models import InsightAudit
from trading.models import Account

from .rich_desk import doubted, rich_desk

pytestmark = pytest.mark.django_db
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def account() -> Account:
    return rich_desk()


def exported(audit: InsightAudit) -> dict[str, Any]:
    out = io.StringIO()
    call_command("export_case", str(audit.pk), stdout=out)
    case: dict[str, Any] = json.loads(out.getvalue())
    return case


def picked() -> list[InsightAudit]:
    """Every audit that finer bars decided or that is of a trade, on quotes or under the rule in
    pips; some of the others."""
    chosen = []
    for i, audit in enumerate(
        InsightAudit.objects.select_related("signal", "series").order_by("pk")
    ):
        special = audit.n_finer_bars or audit.signal.strategy == "pips" or audit.horizon == "TRADE"
        quoted = audit.series is not None and audit.series.kind == "bid_ask"
        if special or (quoted and audit.horizon == "4H") or i % 9 == 0:
            chosen.append(audit)
    return chosen


def elsewhere(cases: list[dict[str, Any]], folder: Path) -> dict[str, str]:
    """Evidence hashes by id, from another process, time zone, hash seed and (no) database."""
    file, answers = folder / "cases.jsonl", folder / "answers.jsonl"
    file.write_text("".join(json.dumps(case) + "\n" for case in cases))
    changed = {
        "TZ": "Pacific/Kiritimati",
        "PYTHONHASHSEED": "7",
        "DATABASE_URL": f"sqlite:///{folder / 'nobody.sqlite3'}",
        "INQUEST_DATA_DIR": str(folder / "data"),
    }
    subprocess.run(
        [sys.executable, "manage.py", "diagnose", str(file), "--output", str(answers)],
        cwd=ROOT,
        env=os.environ | changed,
        check=True,
        capture_output=True,
    )
    assert not (folder / "nobody.sqlite3").exists()
    lines = [json.loads(line) for line in answers.read_text().splitlines()]
    return {answer["id"]: answer["evidence_hash"] for answer in lines}


def test_evidence_is_the_same_on_another_machine(account: Account, tmp_path: Path) -> None:
    audits = picked()
    cases = [exported(audit) for audit in audits]
    assert elsewhere(cases, tmp_path) == {str(a.pk): a.evidence_hash for a in audits}
    # The desk is as rich as this test needs.
    assert any(case.get("finer") for case in cases)
    assert any("bid_open" in case["candles"] for case in cases)
    assert any(case["candles"]["spread"] for case in cases)
    assert any(case["rule"]["neutral_band_pips"] for case in cases)
    assert {case["calibration"]["sha256"] for case in cases if "calibration" in case} == {
        doubted().sha256
    }
    assert {a.top_cause for a in audits} >= {"news_shock", "external_shock"}


def test_each_feed_of_an_exported_case_is_needed(account: Account) -> None:
    """Without any one of them some case gives other evidence: none is carried for nothing."""
    cases = [(exported(audit), audit.evidence_hash) for audit in picked()]
    feeds = ("finer", "calibration", "news", "peers", "outages", "model_history", "setup_history")
    for feed in (*feeds, "trade_log"):
        without = [diagnose_case(case | {feed: None})["evidence_hash"] for case, _ in cases]
        assert without != [evidence for _, evidence in cases], feed


def test_the_interface_gives_what_the_command_gives(account: Account, client: Any) -> None:
    client.force_login(account.owner)
    trade = InsightAudit.objects.filter(horizon="TRADE").first()
    resolved = InsightAudit.objects.filter(n_finer_bars__gt=0).first()
    for audit in (trade, resolved):
        assert audit is not None
        answer = client.get(reverse("api-audit-case", args=[audit.pk]))
        assert answer.json() == exported(audit)


def test_a_calibration_of_ones_own_comes_before_that_of_the_case(account: Account) -> None:
    audit = InsightAudit.objects.exclude(top_cause__in=("", "unknown")).first()
    assert audit is not None
    case = exported(audit)
    own = diagnose_case(case)
    assert own == diagnose_case(case | {"calibration": None}, doubted().calibration)
    assert own != diagnose_case(case, SHIPPED.calibration)
