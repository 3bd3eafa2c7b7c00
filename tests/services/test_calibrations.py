"""Tables are fitted, adopted and taken back; audits say which one judged them."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command

from post_mortem.core.calibration import Calibration, Curve
from post_mortem.core.calibration_table import SHIPPED, Table, read_table, table_as_json
from post_mortem.core.record import COLUMNS, packed, unpacked
from post_mortem.core.types import CAUSES
from post_mortem.models import AuditRCA, CalibrationAdoption, CalibrationTable, InsightAudit
from post_mortem.models import CauseReview as Review
from post_mortem.selectors.calibrations import calibration_in_force, reviews_for_fit
from post_mortem.services.audits import run_autopsy
from post_mortem.services.calibrations import (
    Provenance,
    adopt_table,
    fit_from_cases,
    undo_adoption,
)
from post_mortem.services.staleness import mark_stale
from post_mortem.services.verification import verify_audits
from tests.core import simulate
from trading.core.errors import NotFoundError, UserError
from trading.models import Account, Desk, Membership, Role

from .factories import make_account, make_candles, make_instrument, make_signal_at, walk

ABOUT = Provenance("test-1", "simulated", "seeds 0-11", "2026-03-01")


def doubted(version: str = "doubt") -> Table:
    """The shipped table with every cause believed less."""
    shipped = SHIPPED.calibration
    curves = {c: Curve(curve.intercept - 1.5, curve.slope) for c, curve in shipped.curves.items()}
    calibration = Calibration(version, curves, (0.5, -6.0, 0.5), 0.8)
    return replace(SHIPPED, calibration=calibration)


@pytest.fixture
def desk(db: None) -> Desk:
    """A desk with twelve losing and winning signals, audited under four horizons."""
    account = make_account()
    instrument = make_instrument()
    closes = walk(30 * 1440)
    make_candles(instrument, closes)
    for i in range(12):
        make_signal_at(account, instrument, closes, 21 * 1440 + 60 * i, 1 if i % 2 else -1)
    run_autopsy()
    return account.desk


def judged() -> Any:
    return InsightAudit.objects.exclude(top_cause="")


def test_an_audit_says_which_table_judged_it(desk: Desk) -> None:
    assert judged().exists()
    assert {a.calibration.sha256 for a in judged()} == {SHIPPED.sha256}
    assert not InsightAudit.objects.filter(top_cause="", calibration__isnull=False).exists()
    assert run_autopsy().updated == 0


def test_adopting_marks_what_it_would_judge_and_a_run_judges_it_again(
    desk: Desk, django_capture_on_commit_callbacks: Any
) -> None:
    before = {a.pk: a.top_posterior for a in judged()}
    with django_capture_on_commit_callbacks(execute=True):
        adopt_table(desk=desk, table=doubted())
    assert set(InsightAudit.objects.filter(is_stale=True)) == set(judged())
    # Nothing was changed silently, and what is there still follows from the table it was made with.
    assert {a.pk: a.top_posterior for a in judged()} == before
    found = verify_audits()
    assert (found.mismatched, found.verified) == (0, InsightAudit.objects.count())

    again = run_autopsy()
    assert again.updated == len(before)
    assert not InsightAudit.objects.filter(is_stale=True).exists()
    assert {a.calibration.version for a in judged()} == {"doubt"}
    assert {a.pk: a.top_posterior for a in judged()} != before
    assert verify_audits().mismatched == 0

    with django_capture_on_commit_callbacks(execute=True):
        undo_adoption(desk=desk)
    assert calibration_in_force(desk).table == SHIPPED
    run_autopsy()
    assert {a.pk: a.top_posterior for a in judged()} == before


def test_labels_alone_neither_use_nor_excuse_a_table(desk: Desk) -> None:
    adopt_table(desk=desk, table=doubted())
    mark_stale()
    stale = InsightAudit.objects.filter(is_stale=True).count()
    assert stale
    assert run_autopsy(skip_rca=True).updated == 0
    assert InsightAudit.objects.filter(is_stale=True).count() == stale


def test_another_desk_keeps_its_own(desk: Desk) -> None:
    adopt_table(desk=desk, table=doubted())
    assert calibration_in_force(make_account("other").desk).table == SHIPPED


def test_a_table_or_an_audit_changed_behind_its_back_is_found(desk: Desk) -> None:
    table = CalibrationTable.objects.get()
    data = table_as_json(doubted(SHIPPED.version))
    CalibrationTable.objects.update(data=data)
    found = verify_audits()
    assert found.mismatched == judged().count()
    assert "not the one that was stored" in found.mismatches[0]["reason"]
    CalibrationTable.objects.update(data=table.data)
    assert verify_audits().mismatched == 0

    # An audit said to be made with another table than it was.
    other = CalibrationTable.objects.create(
        sha256=doubted().sha256, version="doubt", data=table_as_json(doubted())
    )
    one = AuditRCA.objects.exclude(cause="unknown").first() or AuditRCA.objects.first()
    assert one is not None
    InsightAudit.objects.filter(pk=one.audit_id).update(calibration=other)
    assert [m["audit_id"] for m in verify_audits().mismatches] == [one.audit_id]


def test_only_who_leads_the_desk_adopts(desk: Desk) -> None:
    person = get_user_model().objects.create_user("anna")
    membership = Membership.objects.create(user=person, desk=desk, role=Role.REVIEWER)
    for refused in (
        lambda: adopt_table(desk=desk, table=doubted(), user=person),
        lambda: undo_adoption(desk=desk, user=person),
    ):
        with pytest.raises(UserError) as error:
            refused()
        assert error.value.code == "not_permitted"
    membership.role = Role.LEAD
    membership.save()
    assert adopt_table(desk=desk, table=doubted(), user=person).adopted_by == person


def test_adopting_twice_and_undoing_nothing_are_refused(desk: Desk) -> None:
    with pytest.raises(NotFoundError):
        undo_adoption(desk=desk)
    with pytest.raises(UserError, match=f"uses {SHIPPED.version} already"):
        adopt_table(desk=desk, table=None)
    adopt_table(desk=desk, table=doubted())
    with pytest.raises(UserError, match="uses doubt already"):
        adopt_table(desk=desk, table=doubted("renamed"))
    adopt_table(desk=desk, table=None, note="too timid")
    undo_adoption(desk=desk)
    assert calibration_in_force(desk).table.version == "doubt"
    assert CalibrationAdoption.objects.filter(desk=desk).count() == 3


# --- fitting ------------------------------------------------------------------------------------


def simulated(per_cause: int) -> tuple[list[dict[str, Any]], dict[str, str]]:
    cases, truths = [], {}
    for cause in simulate.CAUSES:
        for seed in range(per_cause):
            case = simulate.make_case(70_000 + seed, cause)
            case["id"] = f"{cause}-{seed}"
            cases.append(case)
            truths[case["id"]] = cause
    return cases, truths


@pytest.fixture(scope="module")
def taught() -> tuple[list[dict[str, Any]], dict[str, str]]:
    return simulated(12)


def test_a_fit_says_what_it_learnt_from_and_how_good_it_is(taught: Any) -> None:
    cases, truths = taught
    done = []
    table = fit_from_cases(
        cases=lambda: cases, truths=truths, about=ABOUT, progress=lambda: done.append(1)
    )
    assert len(done) == 2 * len(cases)
    assert table.fitted_on.cases == len(cases)
    assert table.fitted_on.counts["unknown"] == len(cases)
    assert table.before is not None
    assert table.after is not None
    assert table.after.ac1 is not None
    assert table.after.ac1 > 0.7
    assert table.sha256 != SHIPPED.sha256
    assert read_table(json.dumps(table_as_json(table))) == table


def test_held_out_figures_see_through_truths_that_mean_nothing(taught: Any) -> None:
    cases, truths = taught
    ids = sorted(truths)
    turned = dict(zip(ids, [truths[i] for i in ids[37:] + ids[:37]], strict=True))
    table = fit_from_cases(cases=lambda: cases, truths=turned, about=ABOUT)
    assert table.before is not None
    assert table.after is not None
    assert table.after.ac1 is not None
    assert table.after.ac1 < 0.4
    # It learns that it knows nothing.
    assert table.after.ece < table.before.ece


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda c, t: t.pop(c[0]["id"]), "no truth for the case"),
        (lambda c, t: t.update(other="unknown"), "a truth but no case"),
        (lambda c, t: t.update({c[0]["id"]: "bad_luck"}), "is no cause"),
        (lambda c, t: t.update({c[0]["id"]: ["unknown"]}), "is no cause"),
        (lambda c, t: c.append(c[0]), "is there twice"),
        (lambda c, t: c.__setitem__(0, c[0] | {"signal": None}), "case 'news_shock-0': .*signal"),
    ],
)
def test_cases_and_truths_that_do_not_fit_are_refused(taught: Any, change: Any, what: str) -> None:
    cases, truths = list(taught[0][:3]), {c["id"]: taught[1][c["id"]] for c in taught[0][:3]}
    change(cases, truths)
    with pytest.raises(UserError, match=what):
        fit_from_cases(cases=lambda: cases, truths=truths, about=ABOUT)


def say(audit: InsightAudit, verdict: str, user: Any) -> None:
    Review.objects.create(
        audit=audit, cause="news_shock", verdict=verdict, posterior=0.9, user=user,
        evidence_hash=audit.evidence_hash,
    )  # fmt: skip


def reviewed(account: Account, audits: list[InsightAudit], count: int) -> None:
    """`count` reviews of news shocks of strength 0.8, one in four confirmed."""
    person = account.owner
    record = unpacked(bytes(audits[0].record))
    record[COLUMNS.index("news_shock.strength")] = 8_000
    blob = packed(record[None, :])[0]
    for i in range(count):
        audit = audits[0]
        audit.pk, audit.horizon, audit.record = None, f"X{i}", blob
        audit.save()
        verdict = Review.Verdict.REJECTED if i % 4 else Review.Verdict.CONFIRMED
        say(audit, verdict, person)


def command(name: str, *arguments: Any) -> dict[str, Any]:
    out = io.StringIO()
    call_command(name, *arguments, "--json", stdout=out)
    return json.loads(out.getvalue())


def test_reviews_become_a_table_that_a_desk_adopts(desk: Desk, tmp_path: Path) -> None:
    file = tmp_path / "table.json"
    fit = ("fit_calibration", "--reviews", "--desk", desk.name, "--name", "ours-1")
    common = (*fit, "--date", "2026-03-01", "--output", str(file))
    with pytest.raises(CommandError, match="0 usable reviews: 200 more") as refused:
        command(*common)
    assert refused.value.returncode == 2
    assert not file.exists()

    account = Account.objects.get(desk=desk)
    reviewed(account, list(judged()), 240)
    reviews = reviews_for_fit(desk)
    assert len(reviews) == 240
    assert set(reviews.strength.tolist()) == {0.8}
    assert command(*common, "--dry-run")["output"] is None
    assert not file.exists()
    made = command(*common)
    assert made["counts"] == {"news_shock": 240}
    assert made["after"]["ece"] < made["before"]["ece"]
    table = read_table(file.read_text())
    assert table.fitted_on.name == f"reviews of {desk.name}"

    adopted = command("adopt_calibration", "--desk", str(desk.pk), "--table", str(file))
    assert adopted["version"] == "ours-1"
    assert adopted["history"][0]["by"] == "the operator"
    listed = io.StringIO()
    call_command("adopt_calibration", "--desk", desk.name, "--list", stdout=listed)
    assert "uses ours-1" in listed.getvalue()
    assert command("adopt_calibration", "--desk", desk.name, "--undo")["version"] == SHIPPED.version


def test_a_stale_audit_teaches_nothing(desk: Desk) -> None:
    account = Account.objects.get(desk=desk)
    reviewed(account, list(judged()), 3)
    InsightAudit.objects.filter(horizon="X1").update(is_stale=True)
    assert len(reviews_for_fit(desk)) == 2
    assert len(reviews_for_fit(make_account("other").desk)) == 0


def test_the_newest_word_counts_once(desk: Desk) -> None:
    account = Account.objects.get(desk=desk)
    reviewed(account, list(judged()), 1)
    second = get_user_model().objects.create_user("ben")
    audit = InsightAudit.objects.get(horizon="X0")
    say(audit, "rejected", second)
    assert reviews_for_fit(desk).confirmed.tolist() == [False]


def test_the_command_reads_cases_and_truths(taught: Any, tmp_path: Path, db: None) -> None:
    cases, truths = taught
    some = cases[::4]
    file, side, out = tmp_path / "c.jsonl", tmp_path / "t.json", tmp_path / "table.json"
    file.write_text("".join(json.dumps(case) + "\n" for case in some))
    side.write_text(json.dumps({case["id"]: truths[case["id"]] for case in some}))
    common = ("fit_calibration", "--cases", str(file), "--truths", str(side), "--name", "t-1")
    made = command(*common, "--date", "2026-03-01", "--split", "seeds 0-2", "--output", str(out))
    assert made["cases"] == len(some)
    assert set(made["kept"]) < set(CAUSES)
    assert read_table(out.read_text()).fitted_on.split == "seeds 0-2"

    answers = command("diagnose", str(file), "--calibration", str(out))["answers"]
    shipped = command("diagnose", str(file))["answers"]
    assert [a["id"] for a in answers] == [a["id"] for a in shipped]
    assert answers != shipped

    for arguments, code in (
        ((*common, "--date", "soon", "--output", str(out)), "day like"),
        ((*common, "--date", "2026-03-01"), "--dry-run"),
        (("fit_calibration", *common[1:3], *common[5:], "--date", "2026-03-01"), "--truths"),
    ):
        with pytest.raises(CommandError) as refused:
            command(*arguments, "--dry-run") if code == "--truths" else command(*arguments)
        assert refused.value.returncode == 2


def test_a_desk_is_named_or_numbered(db: None) -> None:
    Desk.objects.create(name="twin")
    Desk.objects.create(name="twin")
    for name, status in (("twin", 2), ("nobody", 2)):
        with pytest.raises(CommandError) as refused:
            command("adopt_calibration", "--desk", name, "--list")
        assert refused.value.returncode == status
