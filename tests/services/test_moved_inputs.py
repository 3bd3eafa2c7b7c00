"""What is imported or edited while a run judges leaves no audit that passes for current."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from post_mortem.models import InsightAudit, LabelingRule
from post_mortem.services import audits
from post_mortem.services.audits import run_autopsy
from post_mortem.services.calibrations import adopt_table
from post_mortem.services.rules import save_rule
from post_mortem.services.staleness import mark_stale
from post_mortem.services.verification import verify_audits
from trading.models import Account, Desk, ImportBatch, Instrument, Outage

from .factories import MONDAY, make_account, make_candles, make_instrument, make_signal
from .rich_desk import doubted

pytestmark = pytest.mark.django_db(transaction=True)

ENTRY_BAR = 19 * 288
ENTRY = MONDAY + timedelta(days=19)


def candles(after_entry: int, source: str = "test", desk: Desk | None = None) -> None:
    """Five minutes at 10,000.00, and other closes (in points) soon after the entry."""
    closes = np.full(25 * 288, 1_000_000)
    closes[ENTRY_BAR + 5 :] = after_entry
    instrument = make_instrument("BTC/USDT", decimals=2)
    make_candles(instrument, closes, timeframe="5m", source=source, desk=desk)


@pytest.fixture
def account(db: None) -> Account:
    """One signal, stopped out after half an hour."""
    account = make_account()
    candles(998_000)
    make_signal(
        account,
        make_instrument("BTC/USDT", decimals=2),
        time=ENTRY,
        timeframe="5m",
        entry_price=Decimal("10000"),
        stop_loss=Decimal("9990"),
        take_profit=Decimal("10010"),
    )
    return account


def outage(account: Account) -> None:
    Outage.objects.create(
        desk=account.desk, start=ENTRY, end=ENTRY + timedelta(hours=2), what="broker down"
    )


def rule(account: Account) -> None:
    save_rule(rule=LabelingRule(desk=account.desk, horizon="4H", neutral_band_r=0.3, priority=9))


def pip(account: Account) -> None:
    instrument = Instrument.objects.get()
    instrument.pip = Decimal(1)
    instrument.save()


def preferred_source(account: Account) -> None:
    candles(1_001_500, "other", account.desk)
    account.desk.source_order = ["other"]
    account.desk.save()


def adoption(account: Account) -> None:
    adopt_table(desk=account.desk, table=doubted())


MOVES: dict[str, Callable[[Account], None]] = {
    "candles": lambda account: candles(1_001_500),
    "another source": preferred_source,
    "a rule": rule,
    "an outage": outage,
    "a pip": pip,
    "a calibration": adoption,
}


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], None]], None]:
    """Something happens once, between judging and writing."""

    def install(move: Callable[[], None]) -> None:
        real, done = audits.write, []

        def write(*args: Any, **kwargs: Any) -> Any:
            if not done:
                done.append(move)
                move()
            return real(*args, **kwargs)

        monkeypatch.setattr(audits, "write", write)

    return install


@pytest.mark.parametrize("first", [True, False], ids=["new", "judged before"])
@pytest.mark.parametrize("move", MOVES)
def test_what_moved_during_a_run_leaves_its_audits_stale(
    account: Account, meanwhile: Any, move: str, first: bool
) -> None:
    if not first:
        run_autopsy(horizons=["4H"])
    meanwhile(lambda: MOVES[move](account))
    run_autopsy(horizons=["4H"], force=True)
    audit = InsightAudit.objects.get()
    assert (audit.is_stale, audit.get_outcome_display()) == (True, "failed")
    found = verify_audits()
    assert (found.stale + found.verified, found.mismatches) == (1, [])
    assert run_autopsy(horizons=["4H"]).updated == 1
    assert not InsightAudit.objects.get().is_stale
    assert verify_audits().verified == 1


def test_an_import_that_moves_nothing_of_theirs_leaves_audits_current(
    account: Account, meanwhile: Any
) -> None:
    def elsewhere() -> None:
        ImportBatch.objects.create(
            kind="trades", account=account, file_name="t", file_sha256="", format="t"
        )
        make_candles(make_instrument("XAUUSD"), np.full(288, 200_000), timeframe="5m")

    meanwhile(elsewhere)
    run_autopsy(horizons=["4H"])
    assert not InsightAudit.objects.get().is_stale


def test_a_mark_made_during_a_run_that_writes_nothing_stays(
    account: Account, meanwhile: Any
) -> None:
    """The run found the inputs as they were; the candles came after that."""
    run_autopsy(horizons=["4H"])
    InsightAudit.objects.update(is_stale=True)
    meanwhile(lambda: candles(1_001_500))
    assert run_autopsy(horizons=["4H"]).unchanged == 1
    assert InsightAudit.objects.get().is_stale


def test_who_marks_does_not_unmark_what_moved_since_it_read(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    from post_mortem.services import staleness

    run_autopsy(horizons=["4H"])
    real, done = staleness.input_hashes, []

    def hashes(*args: Any) -> Any:
        found = real(*args)
        if not done:
            done.append(1)
            candles(1_001_500)  # marks it, from inside
            assert InsightAudit.objects.get().is_stale
        return found

    monkeypatch.setattr(staleness, "input_hashes", hashes)
    assert mark_stale() == 0
    assert InsightAudit.objects.get().is_stale
