"""The whole way on real data: import with the commands, audit, run again, verify, tamper."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from post_mortem.core.diagnose import diagnose_case
from post_mortem.core.types import Flag
from post_mortem.models import AuditRCA, InsightAudit
from post_mortem.services.verification import verify_audits
from trading.models import CandleChunk, CandleSeries, Trade

pytestmark = [pytest.mark.django_db, pytest.mark.realdata]

OUTSIDE = Flag.ENTRY_OUTSIDE_CANDLE | Flag.EXIT_OUTSIDE_CANDLE


def command(name: str, *arguments: Any) -> dict[str, Any]:
    """Run a command with --json: its summary."""
    out = io.StringIO()
    call_command(name, *arguments, "--json", stdout=out)
    return json.loads(out.getvalue())


@pytest.fixture
def desk(shared_data: Path) -> Path:
    folder = shared_data / "freqtrade"
    command("import_ohlcv", *sorted(map(str, folder.glob("*.feather"))))
    command("import_trades", str(folder / "backtest-result.json"), "--account", "bot")
    return folder


def flip(model: Any, pk: int, field: str) -> None:
    """Change one byte of a stored blob behind everybody's back."""
    blob = bytearray(model.objects.get(pk=pk).__dict__[field])
    blob[len(blob) // 2] ^= 1
    model.objects.filter(pk=pk).update(**{field: bytes(blob)})


def test_ten_pairs_and_179_trades(desk: Path, tmp_path: Path) -> None:
    first = command("run_autopsy")
    trades = InsightAudit.objects.filter(horizon="TRADE").select_related("trade")
    assert trades.count() == Trade.objects.count() == 179
    assert first["new"] == first["audits"] == 179 * 5
    stopped = {a.trade.exit_reason_text for a in trades if a.get_exit_reason_display() == "sl"}
    assert stopped == {"stop_loss"}
    assert sum(a.get_exit_reason_display() == "sl" for a in trades) == 6
    assert trades.filter(trade__exit_reason_text="stop_loss").count() == 6
    assert sum(bool(a.flags & OUTSIDE) for a in trades) == 17

    again = command("run_autopsy")
    assert (again["new"], again["updated"], again["unchanged"]) == (0, 0, 179 * 5)

    exported = tmp_path / "audits.jsonl"
    command("export_audits", "--output", str(exported))
    rows = [json.loads(line) for line in exported.read_text().splitlines()]
    assert len(rows) == 179 * 5
    assert sum(row["exit_reason"] == "sl" and row["horizon"] == "TRADE" for row in rows) == 6
    by_pair = {(row["trade_id"], row["signal_id"], row["horizon"]) for row in rows}
    assert len(by_pair) == len(rows)

    verified = command("verify_audits")
    assert (verified["verified"], verified["mismatched"]) == (179 * 5, 0)


def test_tampering_is_found(desk: Path) -> None:
    command("run_autopsy")
    audit = InsightAudit.objects.filter(outcome=InsightAudit.Outcome.FAILED).first()
    assert audit is not None
    flip(InsightAudit, audit.pk, "record")
    assert [found["audit_id"] for found in verify_audits().mismatches] == [audit.pk]
    with pytest.raises(CommandError) as stopped:
        call_command("verify_audits", stdout=io.StringIO())
    assert stopped.value.returncode == 1
    command("run_autopsy", "--force")
    assert verify_audits().mismatched == 0

    InsightAudit.objects.filter(pk=audit.pk).update(outcome=InsightAudit.Outcome.SUCCEEDED)
    other = InsightAudit.objects.exclude(pk=audit.pk).order_by("pk")[3]
    InsightAudit.objects.filter(pk=other.pk).update(bars_digest="0" * 32)
    cause = AuditRCA.objects.exclude(audit__in=[audit, other]).order_by("pk")[0]
    AuditRCA.objects.filter(pk=cause.pk).update(confidence=99)
    assert {f["audit_id"] for f in verify_audits().mismatches} == {
        audit.pk,
        other.pk,
        cause.audit_id,
    }
    command("run_autopsy", "--force")
    assert verify_audits().mismatched == 0

    trade = Trade.objects.get(pk=InsightAudit.objects.filter(horizon="TRADE")[5].trade_id)
    Trade.objects.filter(pk=trade.pk).update(exit_price=trade.exit_price * 2)
    reasons = {f["audit_id"]: f["reason"] for f in verify_audits().mismatches}
    assert InsightAudit.objects.get(trade=trade).pk in reasons
    assert set(reasons) <= set(
        InsightAudit.objects.filter(signal=trade.signal).values_list("pk", flat=True)
    )


def test_one_changed_byte_of_a_candle_chunk_is_found(desk: Path) -> None:
    command("run_autopsy")
    series = CandleSeries.objects.get(instrument__symbol="ETC/BTC")
    last = CandleChunk.objects.filter(series=series).order_by("-week").first()
    assert last is not None
    flip(CandleChunk, last.pk, "blob")
    found = verify_audits()
    assert found.checked == 179 * 5
    mismatched = {f["audit_id"] for f in found.mismatches}
    readers = InsightAudit.objects.filter(series=series, bars_to__gte=last.first_time)
    assert readers.exists()
    assert mismatched >= set(readers.values_list("pk", flat=True))
    # Only what reads the chunk, or relates to that market at that time, is affected.
    early = InsightAudit.objects.filter(bars_to__lt=last.first_time, horizon="TRADE")
    assert not mismatched & set(early.values_list("pk", flat=True))
    assert all("checksum" in f["reason"] for f in found.mismatches)


def test_a_case_gives_the_same_evidence_without_the_database(desk: Path) -> None:
    command("run_autopsy")
    audits = list(InsightAudit.objects.exclude(top_cause="").order_by("pk"))
    for audit in [*audits[:: len(audits) // 12], *InsightAudit.objects.order_by("pk")[:3]]:
        out = io.StringIO()
        call_command("export_case", str(audit.pk), stdout=out)
        assert diagnose_case(json.loads(out.getvalue()))["evidence_hash"] == audit.evidence_hash


def test_an_audit_is_the_same_alone_and_among_others(desk: Path) -> None:
    command("run_autopsy")
    before = dict(InsightAudit.objects.values_list("pk", "evidence_hash"))
    hashes = dict(InsightAudit.objects.values_list("pk", "input_hash"))
    for signal in InsightAudit.objects.order_by("pk").values_list("signal_id", flat=True)[::40]:
        command("run_autopsy", "--insight-id", str(signal), "--force")
    assert dict(InsightAudit.objects.values_list("pk", "evidence_hash")) == before
    assert dict(InsightAudit.objects.values_list("pk", "input_hash")) == hashes


def test_filters_choose_what_is_audited(desk: Path) -> None:
    def count(*arguments: str) -> int:
        return command("run_autopsy", "--dry-run", *arguments)["audits"]

    assert InsightAudit.objects.count() == 0
    everything = count()
    assert everything == 179 * 5
    pairs = [count("--symbol", name) for name in ("ETC/BTC", "eth_btc")]
    assert all(0 < n < everything for n in pairs)
    assert count("--horizons", "4H,24H") == 179 * 3
    assert count("--strategy", "nobody's") == 0
    early = count("--to-date", "2018-01-15")
    assert early + count("--from-date", "2018-01-16") == everything
    assert count("--last-days", "1") == 0
    assert InsightAudit.objects.count() == 0
    for bad in (["--horizons", "1h"], ["--symbol", "NOPE"], ["--insight-id", "999999"]):
        with pytest.raises(CommandError) as refused:
            call_command("run_autopsy", *bad, stdout=io.StringIO())
        assert refused.value.returncode == 2


def test_labels_only_are_completed_by_a_full_run(desk: Path) -> None:
    command("run_autopsy", "--skip-rca")
    assert not AuditRCA.objects.exists()
    assert command("verify_audits")["other_engine"] == 179 * 5
    again = command("run_autopsy", "--skip-rca")
    assert again["unchanged"] == 179 * 5
    full = command("run_autopsy")
    assert full["updated"] == 179 * 5
    assert AuditRCA.objects.exists()
    kept = command("run_autopsy", "--skip-rca")
    assert kept["unchanged"] == 179 * 5
    assert command("verify_audits")["verified"] == 179 * 5


def test_no_query_a_signal(desk: Path, django_assert_max_num_queries: Any) -> None:
    command("run_autopsy")
    # Of each market; nineteen of them say whether something was imported or edited meanwhile.
    with django_assert_max_num_queries(60 * 10):
        command("run_autopsy")
    assert connection.vendor in ("sqlite", "postgresql")
