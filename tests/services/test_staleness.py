"""Whatever a case is made of, changing it marks the audits that read it, and no others."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import numpy as np
import pytest

from post_mortem.models import InsightAudit
from post_mortem.services.audits import run_autopsy
from post_mortem.services.verification import verify_audits
from trading.models import Account, Desk, Instrument, Outage

from .factories import MONDAY, make_account, make_candles, make_instrument, make_signal

pytestmark = pytest.mark.django_db(transaction=True)

ENTRY_BAR = 19 * 288
ENTRY = MONDAY + timedelta(days=19)
HOUR = timedelta(hours=1)


def closes() -> np.ndarray:
    """10,000.00, and down to the stop half an hour after the entry."""
    found = np.full(25 * 288, 1_000_000)
    found[ENTRY_BAR + 5 :] = 998_000
    return found


def bitcoin() -> Instrument:
    return make_instrument("BTC/USDT", decimals=2)


def judged_account(name: str) -> Account:
    account = make_account(name)
    make_signal(
        account,
        bitcoin(),
        time=ENTRY,
        timeframe="5m",
        entry_price=Decimal("10000"),
        stop_loss=Decimal("9990"),
        take_profit=Decimal("10010"),
    )
    return account


@pytest.fixture
def account(db: None) -> Account:
    """An audited signal; another desk has one as well."""
    make_candles(bitcoin(), closes(), timeframe="5m")
    account = judged_account("mine")
    judged_account("theirs")
    Outage.objects.create(start=ENTRY - 9 * HOUR, end=ENTRY - 8 * HOUR, what="long over")
    make_candles(bitcoin(), closes(), timeframe="5m", source="same bars")
    make_candles(bitcoin(), closes() + 5, timeframe="5m", source="other bars")
    run_autopsy(horizons=["4H"])
    assert InsightAudit.objects.filter(is_stale=False).count() == 2
    return account


def outage(account: Account) -> None:
    Outage.objects.create(desk=account.desk, start=ENTRY, end=ENTRY + HOUR, what="broker down")


def outage_moved(account: Account) -> None:
    row = Outage.objects.get()
    row.start, row.end, row.desk = ENTRY, ENTRY + HOUR, account.desk
    row.save()


def edited(name: str, value: object) -> Callable[[Account], None]:
    def edit(account: Account) -> None:
        instrument = Instrument.objects.get()
        setattr(instrument, name, value)
        instrument.save()

    return edit


def preferring(source: str) -> Callable[[Account], None]:
    def prefer(account: Account) -> None:
        account.desk.source_order = [source]
        account.desk.save()

    return prefer


def other_desk(account: Account) -> None:
    desk = Desk.objects.create(name="another", source_order=["other bars"])
    account.desk = desk
    account.save()


CHANGES: dict[str, tuple[Callable[[Account], None], int]] = {
    "an outage is logged": (outage, 1),
    "an outage is moved": (outage_moved, 2),
    "the pip": (edited("pip", Decimal(1)), 2),
    "the kind": (edited("kind", "other"), 2),
    "the preferred source": (preferring("other bars"), 1),
    "the preferred source, with the same bars": (preferring("same bars"), 1),
    "the desk of the account": (other_desk, 1),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_an_audit_read_was_changed(account: Account, name: str) -> None:
    """It is stale, never tampered with, and judging it again makes it current."""
    change, concerned = CHANGES[name]
    change(account)
    assert InsightAudit.objects.filter(is_stale=True).count() == concerned
    found = verify_audits()
    assert (found.stale, found.verified, found.mismatches) == (concerned, 2 - concerned, [])
    run_autopsy(horizons=["4H"])
    assert not InsightAudit.objects.filter(is_stale=True).exists()
    assert verify_audits().verified == 2


def test_what_no_audit_read_marks_none(account: Account) -> None:
    Outage.objects.create(start=ENTRY - 99 * HOUR, end=ENTRY - 98 * HOUR, what="unrelated, last")
    account.desk.name = "renamed"
    account.desk.save()
    account.name = "renamed"
    account.save()
    make_instrument("XAUUSD")
    assert not InsightAudit.objects.filter(is_stale=True).exists()
