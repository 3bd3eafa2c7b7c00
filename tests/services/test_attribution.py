"""Reports of what goes with winning: fitted once, stored whole, verified by fitting again."""

from __future__ import annotations

import json
import sys
import zlib
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from post_mortem import jobs as job_kinds
from post_mortem.core.attribution.packing import row_of, unpacked_rows
from post_mortem.core.types import Outcome
from post_mortem.models import AttributionReport, AttributionRows, AutopsyJob, InsightAudit
from post_mortem.selectors.attribution import attribution_of, attribution_reports
from post_mortem.selectors.training import judged, training
from post_mortem.services import jobs
from post_mortem.services.attribution import (
    ATTRIBUTION,
    build_attribution,
    due_scopes,
    request_attribution,
    verify_attribution,
)
from post_mortem.services.audits import run_autopsy
from post_mortem.services.autopsy_jobs import request_autopsy
from post_mortem.services.boosted import boosted_contributions
from trading.core.errors import NotFoundError, OperatorError, RetryLaterError, UserError
from trading.models import Account, Execution, Instrument, Signal

from .factories import (
    MONDAY,
    make_account,
    make_candles,
    make_instrument,
    make_signal,
    make_trade,
    price,
    walk,
)

pytestmark = pytest.mark.django_db

BARS = 30 * 1440
FIRST = 4 * 1440
NOW = timezone.now()


@pytest.fixture
def account() -> Account:
    return make_account()


@pytest.fixture
def instrument() -> Instrument:
    return make_instrument()


def market(instrument: Instrument, drift: float) -> Any:
    """Closes that rise by so many points a minute: a long then wins more often than a short."""
    closes = walk(BARS, seed=9) + np.rint(drift * np.arange(BARS)).astype(np.int64)
    make_candles(instrument, closes)
    return closes


def desk(account: Account, instrument: Instrument, drift: float, count: int = 240) -> list[Signal]:
    closes = market(instrument, drift)
    sides = np.random.default_rng(2).choice([1, -1], count)
    made = []
    for i in range(count):
        bar = FIRST + i * 150
        at, side = int(closes[bar - 1]), int(sides[i])
        made.append(
            make_signal(
                account,
                instrument,
                time=MONDAY + timedelta(minutes=bar),
                side=side,
                strategy="alpha" if i % 3 else "",
                claimed_setups=["breakout"] if i % 2 else [],
                score=float(40 + i % 50),
                entry_price=price(at),
                stop_loss=price(at - side * 60),
                take_profit=price(at + side * 60),
            )
        )
    return made


@pytest.fixture
def rising(account: Account, instrument: Instrument) -> list[Signal]:
    made = desk(account, instrument, 0.8)
    run_autopsy(horizons=["4H"])
    return made


def fit(account: Account, horizon: str = "4H", **changes: Any):
    return build_attribution(account=account, horizon=horizon, now=NOW, **changes)


# --- a fit ----------------------------------------------------------------------------------------


def test_a_planted_effect_is_stored_with_its_rows(account: Account, rising: list[Signal]) -> None:
    done = fit(account)
    report = done.report
    assert done.changed
    assert (report.state, report.n) == ("signal", 240)
    assert report.won == InsightAudit.objects.filter(outcome=Outcome.SUCCEEDED).count()
    assert report.body["skill"]["gain_at_least"] > 0
    # In a market that rises, the move before the entry in the trade's direction is its side again.
    assert "side" in report.body["importances"][0]["features"]
    names = [feature["name"] for feature in report.body["features"]]
    side = names.index("side")
    for audit in InsightAudit.objects.select_related("signal"):
        row = stored_row(report, audit.pk)
        assert row.won == (audit.outcome == Outcome.SUCCEEDED)
        assert row.cells[side] == (0 if audit.signal.side > 0 else 1)
        assert (row.contributed[side] > 0) == (audit.signal.side > 0)
        assert 0.5 <= min(row.sure) <= max(row.sure) <= 1


def stored_row(report: AttributionReport, audit: int):
    features, signal = len(report.body["features"]), report.state == "signal"
    for piece in report.rows.all():
        found = row_of(unpacked_rows(bytes(piece.blob), features, signal=signal), audit)
        if found:
            return found
    raise AssertionError(f"no row of audit {audit}")


def test_contributions_add_up_to_the_log_odds_of_the_stored_model(
    account: Account, rising: list[Signal]
) -> None:
    """From the stored weights and the stored cells alone, as a stranger would check it."""
    report = fit(account).report
    found = judged(account.pk, "4H")
    rows = training(account, "4H", found)
    names = [column.feature.name for column in rows.matrix.columns]
    for place in (0, 80, 239):
        total = 0.0
        for term in report.body["model"]["terms"]:
            column = rows.matrix.columns[names.index(term["feature"])]
            value = column.values[place]
            x = {
                0: 0.0
                if np.isnan(value)
                else (np.clip(value, term["low"], term["high"]) - term["centre"]) / term["scale"],
                1: float(value == term["level"]) - term["centre"],
                2: float(np.isnan(value)) - term["centre"],
            }[term["kind"]]
            total += term["weight"] * x
        row = stored_row(report, int(rows.audit[place]))
        assert sum(row.contributed) == pytest.approx(total, abs=1e-4)


def test_nothing_to_learn_is_said(account: Account, instrument: Instrument) -> None:
    desk(account, instrument, 0.0)
    run_autopsy(horizons=["4H"])
    report = fit(account).report
    assert report.state == "no_signal"
    assert report.body["model"] is None
    assert report.body["importances"] == []
    assert stored_row(report, InsightAudit.objects.first().pk).contributed == ()


def test_the_same_audits_are_not_fitted_twice(account: Account, rising: list[Signal]) -> None:
    first = fit(account)
    again = fit(account)
    assert not again.changed
    assert again.report.fitted_at == first.report.fitted_at
    forced = fit(account, force=True)
    assert forced.changed
    assert AttributionReport.objects.count() == 1
    assert forced.report.body == first.report.body


def test_a_changed_outcome_is_fitted_again(account: Account, rising: list[Signal]) -> None:
    first = fit(account).report
    audit = InsightAudit.objects.filter(outcome=Outcome.FAILED).first()
    audit.override_outcome = Outcome.SUCCEEDED
    audit.save()
    second = fit(account)
    assert second.changed
    assert second.report.won == first.won + 1
    assert second.report.data_hash != first.data_hash


def test_a_report_without_audits_goes(account: Account, rising: list[Signal]) -> None:
    fit(account)
    InsightAudit.objects.update(is_stale=True)
    gone = fit(account)
    assert gone.changed
    assert gone.report is None
    assert not AttributionReport.objects.exists()
    assert not AttributionRows.objects.exists()
    assert not fit(account).changed


def test_an_account_sees_only_its_own_audits(account: Account, rising: list[Signal]) -> None:
    other = make_account()
    like = rising[50]
    levels = {name: getattr(like, name) for name in ("entry_price", "stop_loss", "take_profit")}
    make_signal(other, like.instrument, time=like.time, side=like.side, **levels)
    run_autopsy(account_ids=[other.pk], horizons=["4H"])
    assert fit(other).report.n <= 1
    assert fit(account).report.n == 240


def test_trades_are_learned_from_what_was_known_at_their_entry(
    account: Account, rising: list[Signal]
) -> None:
    """A size that was still growing is no size at the entry, and its average no entry price."""
    for i, signal in enumerate(rising[:40]):
        trade = make_trade(signal, quantity=1000 + i, closed_at=signal.time + timedelta(hours=2))
        for minutes in (0, 30) if i % 2 else (0,):
            Execution.objects.create(
                account=account, trade=trade, instrument=trade.instrument,
                dedupe_key=f"{i}-{minutes}", side=trade.side, quantity=500,
                time=signal.time + timedelta(minutes=minutes), price=trade.entry_price,
            )  # fmt: skip
    run_autopsy(horizons=["4H"])
    rows = training(account, "TRADE", judged(account.pk, "TRADE"))
    assert rows.audit.size > 30
    scaled = np.array(
        [InsightAudit.objects.get(pk=pk).trade.executions.count() > 1 for pk in rows.audit.tolist()]
    )
    assert scaled.any()
    stop = np.isfinite(rows.matrix.column("stop_atr").values)
    assert not stop[scaled].any()
    assert stop[~scaled].all()
    # Under the signal's horizon there is no size: it is chosen after the signal.
    signals = training(account, "4H", judged(account.pk, "4H"))
    assert not np.isfinite(signals.matrix.column("size").values).any()


def test_a_guard_that_refuses_leaves_the_old_report(account: Account, rising: list[Signal]) -> None:
    def refuse() -> None:
        raise RetryLaterError("lost", "taken over")

    with pytest.raises(RetryLaterError):
        fit(account, guard=refuse)
    assert not AttributionReport.objects.exists()


# --- verification ---------------------------------------------------------------------------------


def test_a_stored_report_is_what_its_audits_give(account: Account, rising: list[Signal]) -> None:
    assert verify_attribution(account=account, horizon="4H") == "outdated"
    fit(account)
    assert verify_attribution(account=account, horizon="4H") is None
    assert verify_attribution(account=account, horizon="1H") is None


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("weight", "its figures"),
        ("won", "won is stored"),
        ("rows", "its rows"),
        ("junk", "its rows"),
    ],
)
def test_a_report_that_was_changed_is_found(
    account: Account, rising: list[Signal], what: str, reason: str
) -> None:
    report = fit(account).report
    piece = report.rows.get()
    if what == "weight":
        report.body["model"]["terms"][0]["weight"] += 0.01
    elif what == "won":
        report.won += 1
    elif what == "junk":
        piece.blob = b"junk"
    else:
        data = bytearray(zlib.decompress(bytes(piece.blob)))
        data[-1] ^= 1
        piece.blob = zlib.compress(bytes(data))
    report.save()
    piece.save()
    assert verify_attribution(account=account, horizon="4H").startswith(reason)


def test_newer_audits_make_it_outdated(account: Account, rising: list[Signal]) -> None:
    fit(account)
    InsightAudit.objects.filter(pk=InsightAudit.objects.first().pk).update(is_stale=True)
    assert verify_attribution(account=account, horizon="4H") == "outdated"


# --- jobs -----------------------------------------------------------------------------------------


def drain() -> int:
    done = 0
    while job_kinds.work_once(worker="w"):
        done += 1
    return done


def test_a_job_of_audits_is_followed_by_the_fit_it_makes_due(
    account: Account, instrument: Instrument
) -> None:
    desk(account, instrument, 0.6, count=40)
    request_autopsy(account=account, horizons=["4H"])
    drain()
    job = AutopsyJob.objects.get(kind=ATTRIBUTION)
    assert (job.status, job.total, job.done) == ("completed", 1, 1)
    assert AttributionReport.objects.get().n == 40
    # Nothing is new: the same audits again ask for no fit.
    request_autopsy(account=account, horizons=["4H"])
    drain()
    assert AutopsyJob.objects.filter(kind=ATTRIBUTION).count() == 1


def test_a_fit_is_due_with_enough_that_is_new(account: Account, rising: list[Signal]) -> None:
    assert due_scopes(account) == ("4H",)
    report = fit(account).report
    assert due_scopes(account) == ()
    AttributionReport.objects.update(n=report.n - 19)
    assert due_scopes(account) == ()
    AttributionReport.objects.update(n=report.n - 20)
    assert due_scopes(account) == ("4H",)
    AttributionReport.objects.update(n=report.n, registry_version="old")
    assert due_scopes(account) == ("4H",)


def test_one_open_job_is_enough(account: Account, rising: list[Signal]) -> None:
    first = request_attribution(account=account)
    assert first is not None
    assert request_attribution(account=account) is None
    jobs.cancel(job=first)
    assert request_attribution(account=account) is not None


# --- the command ----------------------------------------------------------------------------------


def command(capsys: Any, *arguments: str) -> dict[str, Any]:
    call_command("build_attribution", *arguments, "--json")
    return json.loads(capsys.readouterr().out)


def test_the_command(account: Account, rising: list[Signal], capsys: Any) -> None:
    done = command(capsys, "--account", account.name)["reports"]
    assert [one["horizon"] for one in done] == ["TRADE", "1H", "4H", "24H", "7D"]
    assert [one["state"] for one in done].count("signal") == 1
    assert command(capsys, "--account", str(account.pk), "--horizons", "4H")["reports"][0] == {
        "account": account.name, "account_id": account.pk, "horizon": "4H", "state": "signal",
        "n": 240, "won": done[2]["won"], "changed": False,
    }  # fmt: skip
    verified = command(capsys, "--verify", "--account", account.name)["reports"]
    assert [one["differs"] for one in verified] == [None] * 5
    AttributionReport.objects.update(won=3)
    with pytest.raises(CommandError):
        call_command("build_attribution", "--verify")
    assert "won is stored as 3" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [(("--account", "nobody"), "no account"), (("--horizons", "2H"), "unknown horizon")],
)
def test_the_command_refuses(arguments: tuple[str, ...], says: str) -> None:
    with pytest.raises(CommandError, match=says) as refused:
        call_command("build_attribution", *arguments)
    assert refused.value.returncode == 2


# --- boosted trees --------------------------------------------------------------------------------


def test_boosted_trees_find_the_same_and_add_up(account: Account, rising: list[Signal]) -> None:
    pytest.importorskip("lightgbm")
    audit = InsightAudit.objects.order_by("pk")[100]
    found = boosted_contributions(audit_id=audit.pk)
    assert found.skill.detected
    assert found.contributions[0]["feature"] == "side"
    assert (found.contributions[0]["log_odds"] > 0) == (audit.signal.side > 0)
    assert boosted_contributions(audit_id=audit.pk) == found


def test_without_lightgbm_the_words_say_how_to_get_it(
    account: Account, rising: list[Signal], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    with pytest.raises(OperatorError, match="pip install 'lightgbm"):
        boosted_contributions(audit_id=InsightAudit.objects.first().pk)


def test_boosted_trees_refuse_what_has_no_outcome(account: Account, rising: list[Signal]) -> None:
    pytest.importorskip("lightgbm")
    with pytest.raises(NotFoundError):
        boosted_contributions(audit_id=10**9)
    audit = InsightAudit.objects.first()
    InsightAudit.objects.filter(pk=audit.pk).update(outcome=Outcome.PENDING)
    with pytest.raises(UserError, match="no outcome"):
        boosted_contributions(audit_id=audit.pk)


# --- what is read ---------------------------------------------------------------------------------


def test_an_audit_is_told_in_counts_and_words(account: Account, rising: list[Signal]) -> None:
    fit(account)
    audit = InsightAudit.objects.order_by("pk")[120]
    told = attribution_of(audit)
    assert told.state == "signal"
    assert (told.n, told.won) == (240, AttributionReport.objects.get().won)
    assert told.cohort is not None
    side = next(one for one in told.contributions if one.feature == "side")
    assert side.words == ("that are long" if audit.signal.side > 0 else "that are short")
    assert side.direction == ("winning" if audit.signal.side > 0 else "losing")
    assert side.word in ("likely", "strong")
    sizes = [abs(one.log_odds) for one in told.contributions]
    assert sizes == sorted(sizes, reverse=True)


def test_a_cohort_leaves_out_the_audit_itself(account: Account, rising: list[Signal]) -> None:
    report = fit(account).report
    for audit in InsightAudit.objects.order_by("pk")[:20]:
        row = stored_row(report, audit.pk)
        whole = report.body["cohorts"][row.cohort]
        told = attribution_of(audit).cohort
        assert told.n == whole["n"] - 1
        assert told.won == whole["won"] - (audit.outcome == Outcome.SUCCEEDED)
        assert told.words == whole["words"]


def test_an_audit_that_the_report_does_not_hold(account: Account, rising: list[Signal]) -> None:
    audit = InsightAudit.objects.first()
    assert attribution_of(audit).state == "not_fitted"
    fit(account)
    assert attribution_of(audit).state == "signal"
    # Judged again since, and differently: what is stored of it is not about this outcome.
    InsightAudit.objects.filter(pk=audit.pk).update(outcome=Outcome.PENDING)
    audit.refresh_from_db()
    told = attribution_of(audit)
    assert told.state == "not_judged"
    assert told.contributions == ()
    assert told.cohort is None


def test_an_audit_of_later_has_the_report_but_no_row(
    account: Account, rising: list[Signal]
) -> None:
    fit(account)
    made = make_signal(account, rising[0].instrument, time=rising[-1].time + timedelta(hours=1))
    run_autopsy(signal_ids=[made.pk], horizons=["4H"])
    audit = InsightAudit.objects.get(signal=made)
    told = attribution_of(audit)
    assert told.state == ("newer" if audit.outcome in (1, 2, 3) else "not_judged")
    assert told.n == 240


def test_reports_are_visible_to_their_desk_alone(account: Account, rising: list[Signal]) -> None:
    fit(account)
    assert [one.report.horizon for one in attribution_reports(account.owner, account.pk)] == ["4H"]
    with pytest.raises(NotFoundError):
        attribution_reports(make_account().owner, account.pk)
