"""Runs of the autopsy: what is stored, what is left alone, what becomes stale; jobs over trades."""

from __future__ import annotations

import csv
import io
import json
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.management import call_command
from django.db import connection

from post_mortem import jobs as job_kinds
from post_mortem.core.types import Flag, Outcome
from post_mortem.models import (
    AuditRCA,
    AutopsyJob,
    InsightAudit,
    LabelingRule,
    RuleSnapshot,
    TradeAnalysis,
)
from post_mortem.services import jobs
from post_mortem.services.audits import run_autopsy
from post_mortem.services.autopsy_jobs import request_autopsy
from post_mortem.services.requests import ANALYSES
from post_mortem.services.staleness import mark_stale
from post_mortem.services.verification import verify_audits
from trading.core.errors import NotFoundError, RetryLaterError, UserError
from trading.models import Account, CandleSeries, Instrument, NewsEvent, NewsFeed, Trade

from .factories import (
    MONDAY,
    make_account,
    make_candles,
    make_instrument,
    make_signal,
    make_signal_at,
    make_trade,
    price,
    walk,
)

pytestmark = pytest.mark.django_db

ENTRY = MONDAY + timedelta(days=21)
BARS = 30 * 1440


@pytest.fixture
def account() -> Account:
    return make_account()


@pytest.fixture
def instrument() -> Instrument:
    return make_instrument()


@pytest.fixture
def closes(instrument: Instrument) -> Any:
    made = walk(BARS)
    make_candles(instrument, made)
    return made


def signals(account: Account, instrument: Instrument, closes: Any, count: int = 12) -> list[Any]:
    """Signals an hour apart at the prices of the time, long and short, some with claims."""
    made = []
    for i in range(count):
        changes = {"score": 60.0 + i, "claimed_setups": [["bos"], [], None][i % 3]}
        changes |= {"score_semantics": "probability", "model_version": "v1"}
        minute, side = 21 * 1440 + 60 * i, 1 if i % 2 else -1
        made.append(make_signal_at(account, instrument, closes, minute, side, **changes))
    return made


def traded(made: list[Any], closes: Any) -> list[Trade]:
    trades = []
    for signal in made:
        leave = signal.time + timedelta(hours=2)
        at = int((leave - MONDAY).total_seconds() // 60)
        trades.append(make_trade(signal, exit_price=price(int(closes[at - 1])), closed_at=leave))
    return trades


def rows() -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """All audits and causes by their keys, without ids and wall-clock times."""
    fields = [f.attname for f in InsightAudit._meta.fields if f.name not in ("id", "evaluated_at")]
    audits = {
        (a.signal_id, a.trade_id, a.horizon): tuple(
            bytes(v) if isinstance(v := getattr(a, f), memoryview) else v for f in fields
        )
        for a in InsightAudit.objects.all()
    }
    for cause in AuditRCA.objects.select_related("audit"):
        key = (cause.audit.signal_id, cause.audit.trade_id, cause.audit.horizon, cause.rank)
        audits[key] = (cause.cause, cause.confidence, cause.posterior)
    return audits


# --- what is stored -----------------------------------------------------------------------------


def test_a_run_stores_one_audit_a_signal_and_horizon(
    account: Account, instrument: Instrument, closes: Any
) -> None:
    made = signals(account, instrument, closes)
    summary = run_autopsy()
    assert (summary.new, summary.updated, summary.unchanged) == (48, 0, 0)
    assert InsightAudit.objects.values("signal", "horizon").distinct().count() == 48
    assert sorted(summary.audit_ids) == sorted(InsightAudit.objects.values_list("pk", flat=True))
    audit = InsightAudit.objects.get(signal=made[3], horizon="24H")
    assert audit.account == account
    assert audit.entry_time == made[3].time
    assert audit.series == CandleSeries.objects.get()
    assert audit.rule == LabelingRule.objects.get(horizon="24H")
    assert audit.rule_snapshot.data["neutral_band_r"] == 0.1
    assert RuleSnapshot.objects.count() == 4
    # Six days more than the bars that follow the first signal's seven.
    assert audit.bars_from is not None
    assert audit.n_bars == 1 + (audit.bars_to - audit.bars_from) // 60_000_000_000
    outcomes = set(InsightAudit.objects.values_list("outcome", flat=True))
    assert {Outcome.SUCCEEDED, Outcome.FAILED} <= outcomes


def test_causes_are_stored_for_losers_and_ranked(
    account: Account, instrument: Instrument, closes: Any
) -> None:
    signals(account, instrument, closes)
    run_autopsy()
    for audit in InsightAudit.objects.prefetch_related("causes"):
        ranks = [cause.rank for cause in audit.causes.all()]
        assert ranks == list(range(1, len(ranks) + 1))
        if audit.outcome == Outcome.FAILED:
            assert ranks
            first = audit.causes.all()[0]
            assert (audit.top_cause, audit.top_confidence) == (first.cause, first.confidence)
            assert audit.top_posterior == first.posterior
        if audit.outcome == Outcome.SUCCEEDED:
            assert (ranks, audit.top_cause, audit.top_posterior) == ([], "", None)


def test_a_second_run_writes_nothing(account: Account, instrument: Instrument, closes: Any) -> None:
    traded(signals(account, instrument, closes), closes)
    run_autopsy()
    before = dict(InsightAudit.objects.values_list("pk", "evaluated_at"))
    again = run_autopsy()
    assert (again.new, again.updated, again.unchanged) == (0, 0, 60)
    assert again.changed_ids == []
    assert dict(InsightAudit.objects.values_list("pk", "evaluated_at")) == before


def test_a_forced_run_rewrites_the_same_rows(
    account: Account, instrument: Instrument, closes: Any
) -> None:
    traded(signals(account, instrument, closes), closes)
    run_autopsy()
    before, ids = rows(), set(InsightAudit.objects.values_list("pk", flat=True))
    forced = run_autopsy(force=True)
    assert (forced.new, forced.updated) == (0, 60)
    assert rows() == before
    assert set(InsightAudit.objects.values_list("pk", flat=True)) == ids


def test_the_order_and_the_pieces_of_a_run_do_not_matter(
    account: Account, instrument: Instrument, closes: Any
) -> None:
    made = signals(account, instrument, closes)
    trades = traded(made[::2], closes)
    run_autopsy()
    whole = rows()
    InsightAudit.objects.all().delete()
    for signal in reversed(made):
        run_autopsy(signal_ids=[signal.pk], horizons=["4H"])
    run_autopsy(trade_ids=[trade.pk for trade in trades[::-1]])
    run_autopsy(horizons=["7D", "1H"])
    run_autopsy()
    assert rows() == whole


def test_a_persons_words_survive_another_run(
    account: Account, instrument: Instrument, closes: Any
) -> None:
    signals(account, instrument, closes, 1)
    run_autopsy()
    InsightAudit.objects.update(reviewer_notes="seen", override_outcome=3, override_reason="news")
    run_autopsy(force=True)
    kept = InsightAudit.objects.values_list("reviewer_notes", "override_outcome", "override_reason")
    assert set(kept) == {("seen", 3, "news")}


def test_pending_audits_are_run_again_when_data_arrive(
    account: Account, instrument: Instrument
) -> None:
    closes = walk(BARS)
    make_candles(instrument, closes[: 21 * 1440 + 100])
    signals(account, instrument, closes, 1)
    first = run_autopsy()
    assert first.outcomes == {
        "pending": 3,
        **{k: v for k, v in first.outcomes.items() if k != "pending"},
    }
    again = run_autopsy()
    assert again.unchanged == 4
    make_candles(instrument, closes)
    last = run_autopsy()
    assert (last.updated, last.unchanged) == (3, 1)
    assert "pending" not in last.outcomes
    assert InsightAudit.objects.count() == 4


def test_without_candles_an_audit_says_so(account: Account, instrument: Instrument) -> None:
    make_signal(account, instrument)
    run_autopsy()
    for audit in InsightAudit.objects.all():
        assert audit.outcome == Outcome.NEEDS_REVIEW
        assert Flag(audit.flags) & Flag.NO_DATA
        assert audit.needs_manual_review
        assert (audit.series, audit.n_bars, audit.exit_price) == (None, 0, None)
    assert verify_audits().verified == 4


def test_an_open_trade_is_pending(account: Account, instrument: Instrument, closes: Any) -> None:
    signal = signals(account, instrument, closes, 1)[0]
    make_trade(signal, exit_price=None, closed_at=None)
    run_autopsy()
    assert InsightAudit.objects.get(horizon="TRADE").outcome == Outcome.PENDING


def test_a_dry_run_counts_and_writes_nothing(
    account: Account, instrument: Instrument, closes: Any
) -> None:
    signals(account, instrument, closes)
    preview = run_autopsy(dry_run=True)
    assert preview.new == 48
    assert not InsightAudit.objects.exists()
    assert not RuleSnapshot.objects.exists()
    assert run_autopsy().outcomes == preview.outcomes


def test_refusals(account: Account, instrument: Instrument) -> None:
    with pytest.raises(UserError, match="unknown horizon '2H'"):
        run_autopsy(horizons=["2H"])
    with pytest.raises(NotFoundError):
        run_autopsy(trade_ids=[987654])


def test_a_guard_that_refuses_leaves_nothing_behind(
    account: Account, instrument: Instrument, closes: Any
) -> None:
    signals(account, instrument, closes)

    def refuse() -> None:
        raise RetryLaterError("lost_lease", "late")

    with pytest.raises(RetryLaterError):
        run_autopsy(guard=refuse)
    assert not InsightAudit.objects.exists()
    assert not AuditRCA.objects.exists()


def test_the_narrator_is_given_what_was_written(
    account: Account, instrument: Instrument, closes: Any
) -> None:
    signals(account, instrument, closes, 2)
    told: list[int] = []
    run_autopsy(narrate=told.extend)
    assert sorted(told) == sorted(InsightAudit.objects.values_list("pk", flat=True))
    run_autopsy(narrate=told.extend)
    assert len(told) == 8


# --- stale --------------------------------------------------------------------------------------


def stale() -> set[tuple[int, str]]:
    return set(InsightAudit.objects.filter(is_stale=True).values_list("signal_id", "horizon"))


def test_a_revised_bar_makes_its_readers_stale(
    account: Account, instrument: Instrument, closes: Any, django_capture_on_commit_callbacks: Any
) -> None:
    made = signals(account, instrument, closes, 12)
    run_autopsy()
    closes[21 * 1440 + 11 * 60 + 30] += 3  # half an hour after the last entry
    with django_capture_on_commit_callbacks(execute=True):
        make_candles(instrument, closes)
    found = stale()
    assert (made[11].pk, "1H") in found
    assert (made[0].pk, "1H") not in found
    assert (made[0].pk, "24H") in found
    assert verify_audits().stale >= len(found)
    assert verify_audits().mismatched == 0
    run_autopsy()
    assert stale() == set()
    assert verify_audits().verified == 48


def test_bars_after_every_window_make_nothing_stale(
    account: Account, instrument: Instrument, closes: Any, django_capture_on_commit_callbacks: Any
) -> None:
    signals(account, instrument, closes)
    run_autopsy()
    with django_capture_on_commit_callbacks(execute=True):
        make_candles(instrument, np.concatenate([closes, walk(3000, 5)]))
    assert stale() == set()


def test_an_edited_rule_makes_its_audits_stale(
    account: Account, instrument: Instrument, closes: Any, django_capture_on_commit_callbacks: Any
) -> None:
    made = signals(account, instrument, closes, 2)
    run_autopsy()
    rule = LabelingRule.objects.get(horizon="24H")
    rule.neutral_band_r = 0.5
    with django_capture_on_commit_callbacks(execute=True):
        rule.save()
    assert stale() == {(signal.pk, "24H") for signal in made}
    rule.neutral_band_r = 0.1
    with django_capture_on_commit_callbacks(execute=True):
        rule.save()
    assert stale() == set()


def test_news_that_arrive_later_make_audits_stale_not_wrong(
    account: Account, instrument: Instrument, closes: Any
) -> None:
    signals(account, instrument, closes, 2)
    run_autopsy()
    calendar = NewsFeed.objects.create(
        name="late", covers_from=MONDAY, covers_to=MONDAY + timedelta(days=40)
    )
    NewsEvent.objects.create(
        feed=calendar,
        time=ENTRY + timedelta(minutes=20),
        currency="USD",
        title="CPI",
        impact=2,
        dedupe_key="cpi",
    )
    found = verify_audits()
    assert (found.mismatched, found.stale) == (0, 8)
    assert mark_stale(account_ids=[account.pk]) == 8
    run_autopsy()
    assert verify_audits().verified == 8


# --- export -------------------------------------------------------------------------------------


def exported(*arguments: str) -> str:
    out = io.StringIO()
    call_command("export_audits", *arguments, stdout=out)
    return out.getvalue()


def test_the_export_says_what_is_stored(
    account: Account, instrument: Instrument, closes: Any, tmp_path: Path
) -> None:
    made = signals(account, instrument, closes, 6)
    made[0].external_id = "=HYPERLINK(1)"
    made[0].save()
    traded(made[3:], closes)
    run_autopsy()
    lines = [json.loads(line) for line in exported().splitlines()]
    assert len(lines) == 27
    by_key = {(row["signal_id"], row["horizon"]): row for row in lines}
    for audit in InsightAudit.objects.prefetch_related("causes"):
        row = by_key[audit.signal_id, audit.horizon]
        assert row["outcome"] == audit.get_outcome_display()
        assert row["r_multiple"] == audit.r_multiple
        assert row["replay_hash"] == audit.input_hash
        assert [c["cause"] for c in row["causes"]] == [c.cause for c in audit.causes.all()]
        assert row["trade_id"] == audit.trade_id
    table = list(csv.DictReader(io.StringIO(exported("--format", "csv"))))
    assert len(table) == 27
    first = next(row for row in table if row["signal_id"] == str(made[0].pk))
    assert first["external_id"] == "'=HYPERLINK(1)"
    negative = next(row for row in table if row["pips"].startswith("-"))
    assert float(negative["pips"]) < 0  # a number stays one
    file = tmp_path / "audits.csv"
    exported("--format", "csv", "--output", str(file))
    assert file.read_text() == exported("--format", "csv")
    assert list(tmp_path.iterdir()) == [file]


# --- jobs ---------------------------------------------------------------------------------------


def drain() -> int:
    done = 0
    while job_kinds.work_once(worker="w"):
        done += 1
    return done


def analyses(account: Account, trades: list[Trade]) -> AutopsyJob:
    return jobs.enqueue(
        kind=ANALYSES,
        account=account,
        items=jobs.groups("trades", [trade.pk for trade in trades], 5),
        params={"horizons": []},
    )


def test_a_job_over_trades_gives_what_a_run_gives(
    account: Account, instrument: Instrument, closes: Any
) -> None:
    trades = traded(signals(account, instrument, closes), closes)
    run_autopsy()
    expected = rows()
    InsightAudit.objects.all().delete()
    job = analyses(account, trades)
    drain()
    job.refresh_from_db()
    assert job.items.count() == 3
    assert (job.status, job.done, job.failed) == ("completed", 12, 0)
    assert rows() == expected
    assert TradeAnalysis.objects.filter(trade__in=trades).count() == 12


def test_five_deliveries_of_every_item_leave_the_tables_exact(
    account: Account, instrument: Instrument, closes: Any
) -> None:
    trades = traded(signals(account, instrument, closes), closes)
    analyses(account, trades)
    drain()
    once, analysed = rows(), TradeAnalysis.objects.count()
    for _ in range(4):
        analyses(account, trades)
        drain()
    assert rows() == once
    assert TradeAnalysis.objects.count() == analysed


def test_a_trade_that_cannot_be_audited_fails_alone(
    account: Account, instrument: Instrument, closes: Any
) -> None:
    trades = traded(signals(account, instrument, closes), closes)
    # Past every check of an importer: a price that is no number.
    with connection.cursor() as cursor:
        cursor.execute("update trading_trade set quantity = 'ten' where id = %s", [trades[6].pk])
    job = analyses(account, trades)
    drain()
    job.refresh_from_db()
    assert (job.status, job.done, job.failed) == ("completed_with_errors", 11, 1)
    (failure,) = jobs.progress(job)["failures"]
    assert failure["subject"] == f"trade {trades[6].pk}"
    assert "ten" in failure["detail"]
    audited = set(InsightAudit.objects.filter(horizon="TRADE").values_list("trade_id", flat=True))
    assert audited == {trade.pk for trade in trades} - {trades[6].pk}


def test_a_job_over_signals(account: Account, instrument: Instrument, closes: Any) -> None:
    signals(account, instrument, closes)
    foreign = make_signal(make_account(), instrument)
    job = request_autopsy(account=account, horizons=["4H"])
    assert job.total == 12
    drain()
    job.refresh_from_db()
    assert job.status == "completed"
    assert InsightAudit.objects.count() == 12
    with pytest.raises(UserError, match="nothing to do"):
        request_autopsy(account=account, signal_ids=[foreign.pk])


def test_the_worker_command_drains_the_queue(
    account: Account, instrument: Instrument, closes: Any
) -> None:
    traded(signals(account, instrument, closes, 3), closes)
    request_autopsy(account=account)
    request_autopsy(account=account, force=True)
    out = io.StringIO()
    call_command("run_worker", "--once", "--json", stdout=out)
    assert json.loads(out.getvalue()) == {"items": 1}
    out = io.StringIO()
    call_command("run_worker", "--drain", "--json", stdout=out)
    # The other run, and what the outcomes of both make due.
    assert json.loads(out.getvalue())["items"] == AutopsyJob.objects.count() - 1 > 0
    assert set(AutopsyJob.objects.values_list("status", flat=True)) == {"completed"}


def test_decimals_of_any_length_are_kept(
    account: Account, instrument: Instrument, closes: Any
) -> None:
    entry = Decimal("1.10000000000000000001")
    make_signal(account, instrument, time=ENTRY, entry_price=entry)
    run_autopsy()
    assert InsightAudit.objects.first().signal.entry_price == entry  # type: ignore[union-attr]
