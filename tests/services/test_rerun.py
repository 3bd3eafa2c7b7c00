"""Stale audits: marked by what their cases read, counted, and run again on request."""

from __future__ import annotations

import json
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from post_mortem.jobs import work_once
from post_mortem.models import AutopsyJob, InsightAudit, TradeAnalysis
from post_mortem.services.audits import run_autopsy
from post_mortem.services.requests import request_rerun
from trading.core.errors import NotFoundError, UserError
from trading.models import Account, Instrument, Membership, Role

from .factories import (
    MONDAY,
    make_account,
    make_candles,
    make_instrument,
    make_signal,
    make_signal_at,
    make_trade,
    walk,
)

BARS = 30 * 1440
ENTRY = MONDAY + timedelta(days=21)


@pytest.fixture
def account(db: None) -> Account:
    return make_account()


@pytest.fixture
def instrument(db: None) -> Instrument:
    return make_instrument()


def stale() -> int:
    return InsightAudit.objects.filter(is_stale=True).count()


def test_a_dry_run_says_what_it_would_do(account: Account, instrument: Instrument) -> None:
    make_candles(instrument, walk(BARS))
    make_signal(account, instrument, time=ENTRY)
    out = StringIO()
    call_command("run_autopsy", "--dry-run", "--horizons", "4H", stdout=out)
    assert "1 audits: 1 would be new" in out.getvalue()
    assert "narratives" not in out.getvalue()


def test_what_an_interrupted_run_left_is_narrated_by_the_next(
    account: Account, instrument: Instrument, monkeypatch: pytest.MonkeyPatch
) -> None:
    closes = walk(BARS)
    make_candles(instrument, closes)
    make_signal_at(account, instrument, closes, 21 * 1440, 1)
    traded = make_signal_at(account, instrument, closes, 21 * 1440 + 60, 1)
    make_trade(traded)

    def interrupted(**_: object) -> None:
        raise KeyboardInterrupt

    command = "post_mortem.management.commands.run_autopsy.narrate_audits"
    with monkeypatch.context() as patched:
        patched.setattr(command, interrupted)
        with pytest.raises(CommandError, match="narratives written before are kept"):
            call_command("run_autopsy", stdout=StringIO())
    audits = InsightAudit.objects.count()
    assert (audits, TradeAnalysis.objects.count()) == (9, 0)
    call_command("run_autopsy", stdout=StringIO())
    assert (InsightAudit.objects.count(), TradeAnalysis.objects.count()) == (audits, 2)
    out = StringIO()
    call_command("run_autopsy", "--json", stdout=out)
    assert json.loads(out.getvalue())["narratives"] == 0


@pytest.mark.parametrize(
    ("base_url", "said"),
    [
        ("", "the model m1 was not asked: it has neither OPENAI_API_KEY nor OPENAI_BASE_URL"),
        ("http://127.0.0.1:9/v1", "left to the narrator, by what the model answered: "),
    ],
)
def test_a_model_that_cannot_be_asked_is_told_of(
    account: Account, instrument: Instrument, settings: Any, base_url: str, said: str
) -> None:
    make_candles(instrument, walk(BARS))
    make_trade(make_signal(account, instrument, time=ENTRY))
    settings.LLM_MODEL, settings.OPENAI_API_KEY, settings.OPENAI_BASE_URL = "m1", "", base_url
    settings.LLM_TIMEOUT = 2
    out = StringIO()
    call_command("run_autopsy", stdout=out)
    assert said in out.getvalue()
    assert "narratives: 1 written" in out.getvalue()
    settings.LLM_MODEL = ""
    out = StringIO()
    call_command("run_autopsy", stdout=out)
    assert "model" not in out.getvalue()


# --- what makes an audit stale --------------------------------------------------------------------


def test_a_related_market_that_is_imported_marks_the_audits_beside_it(
    account: Account, instrument: Instrument, django_capture_on_commit_callbacks: Any
) -> None:
    make_candles(instrument, walk(BARS))
    make_signal(account, instrument, time=ENTRY)
    run_autopsy(horizons=["4H", "24H"])
    with django_capture_on_commit_callbacks(execute=True):
        make_candles(make_instrument("GBPUSD"), walk(BARS, 5, 130_000))
    assert stale() == 2
    run_autopsy(horizons=["4H", "24H"])
    assert stale() == 0
    with django_capture_on_commit_callbacks(execute=True):
        # Shares no currency, and bars of another length are aligned with nothing.
        make_candles(make_instrument("AUDNZD"), walk(BARS, 6, 107_000))
        make_candles(make_instrument("USDCHF"), walk(700, 7, 90_000), timeframe="1h")
    assert stale() == 0


def test_a_related_market_of_another_desk_marks_nothing(
    account: Account, instrument: Instrument, django_capture_on_commit_callbacks: Any
) -> None:
    make_candles(instrument, walk(BARS))
    make_signal(account, instrument, time=ENTRY)
    run_autopsy(horizons=["4H"])
    with django_capture_on_commit_callbacks(execute=True):
        make_candles(make_instrument("GBPUSD"), walk(BARS, 5, 130_000), desk=make_account().desk)
    assert stale() == 0


# --- running them again ---------------------------------------------------------------------------


@pytest.fixture
def audits(account: Account, instrument: Instrument) -> list[InsightAudit]:
    make_candles(instrument, walk(BARS))
    for hours in range(3):
        make_signal(account, instrument, time=ENTRY + timedelta(hours=hours))
    run_autopsy(horizons=["1H", "4H"])
    return list(InsightAudit.objects.order_by("pk"))


def test_a_job_runs_the_stale_ones_and_no_other(
    account: Account, audits: list[InsightAudit]
) -> None:
    marked = audits[0]
    InsightAudit.objects.filter(pk=marked.pk).update(is_stale=True, input_hash="0" * 64)
    before = {audit.pk: audit.evaluated_at for audit in audits}
    job = request_rerun(user=account.owner)
    assert request_rerun(user=account.owner) == job
    assert job.total == 1
    while work_once(worker="test"):
        pass
    job.refresh_from_db()
    assert (job.status, job.done) == (AutopsyJob.Status.COMPLETED, 1)
    assert stale() == 0
    now = {audit.pk: audit.evaluated_at for audit in InsightAudit.objects.filter(pk__in=before)}
    assert {pk for pk in before if now[pk] != before[pk]} == {marked.pk}
    with pytest.raises(UserError) as refused:
        request_rerun(user=account.owner)
    assert refused.value.code == "nothing_to_do"


def test_who_only_reads_may_not_run_them_again(
    account: Account, audits: list[InsightAudit]
) -> None:
    InsightAudit.objects.filter(pk=audits[0].pk).update(is_stale=True)
    reader, stranger = make_account().owner, make_account().owner
    Membership.objects.create(user=reader, desk=account.desk, role=Role.REVIEWER)
    for user, code in ((reader, "not_permitted"), (stranger, "nothing_to_do")):
        with pytest.raises(UserError) as refused:
            request_rerun(user=user)
        assert refused.value.code == code
    with pytest.raises(NotFoundError):
        request_rerun(user=stranger, audit_id=audits[0].pk)
    assert not AutopsyJob.objects.exists()


def test_one_audit_is_run_again_whether_stale_or_not(
    account: Account, audits: list[InsightAudit]
) -> None:
    job = request_rerun(user=account.owner, audit_id=audits[0].pk)
    (item,) = job.items.all()
    assert item.payload == {"signals": [audits[0].signal_id]}


def test_the_command_runs_only_the_stale(audits: list[InsightAudit]) -> None:
    out = StringIO()
    call_command("run_autopsy", "--stale", stdout=out)
    assert out.getvalue().startswith("0 audits")
    InsightAudit.objects.filter(pk=audits[-1].pk).update(is_stale=True)
    out = StringIO()
    call_command("run_autopsy", "--stale", "--horizons", "1H,4H", stdout=out)
    assert out.getvalue().startswith("2 audits: 0 new, 0 updated, 2 unchanged")
    assert stale() == 0
