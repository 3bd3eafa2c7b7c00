"""Linking trades to the signals they acted on."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth import get_user_model

from trading.core.errors import NotFoundError, UserError
from trading.models import Account, Instrument, Signal, Trade
from trading.services.instruments import ensure_instrument
from trading.services.links import link_trades

AT = datetime(2024, 3, 4, 9, tzinfo=UTC)
pytestmark = pytest.mark.django_db


@pytest.fixture
def account() -> Account:
    return Account.objects.get(owner=get_user_model().objects.create_user(username="anna"))


@pytest.fixture
def euro() -> Instrument:
    return ensure_instrument(symbol="EURUSD")


def signal(account: Account, euro: Instrument, **changes: Any) -> Signal:
    fields: dict[str, Any] = {
        "dedupe_key": "e1", "time": AT, "timeframe": "15m", "side": 1,
        "entry_price": Decimal("1.1000"), "stop_loss": Decimal("1.0990"),
        "take_profit": Decimal("1.1020"), "score": 61.0,
    }  # fmt: skip
    return Signal.objects.create(account=account, instrument=euro, **(fields | changes))


def trade(account: Account, euro: Instrument, **changes: Any) -> Trade:
    key = changes.pop("key", "t1")
    made = signal(
        account, euro, dedupe_key="s" + key, source=Signal.Source.TRADE, stop_loss=None,
        take_profit=None, score=None,
    )  # fmt: skip
    fields: dict[str, Any] = {
        "dedupe_key": key, "side": 1, "quantity": Decimal(1), "entry_price": Decimal("1.1001"),
        "opened_at": AT,
    }  # fmt: skip
    return Trade.objects.create(account=account, instrument=euro, signal=made, **(fields | changes))


def test_a_trade_takes_what_its_source_did_not_tell(account: Account, euro: Instrument) -> None:
    mine, theirs = trade(account, euro), signal(account, euro)
    own = mine.signal_id
    assert link_trades(account=account, links={mine.pk: theirs.pk}) == 1
    mine.refresh_from_db()
    assert mine.signal == theirs
    assert mine.requested_entry == Decimal("1.1000")
    assert mine.stop_loss_initial == Decimal("1.0990")
    assert mine.take_profit == Decimal("1.1020")
    assert not Signal.objects.filter(pk=own).exists()


def test_what_the_source_told_stays(account: Account, euro: Instrument) -> None:
    mine = trade(account, euro, stop_loss_initial=Decimal("1.0985"))
    link_trades(account=account, links={mine.pk: signal(account, euro).pk})
    mine.refresh_from_db()
    assert mine.stop_loss_initial == Decimal("1.0985")


def test_linking_again_changes_nothing(account: Account, euro: Instrument) -> None:
    mine, theirs = trade(account, euro), signal(account, euro)
    link_trades(account=account, links={mine.pk: theirs.pk})
    assert link_trades(account=account, links={mine.pk: theirs.pk}) == 0
    assert Signal.objects.count() == 1


def test_two_trades_may_act_on_one_signal(account: Account, euro: Instrument) -> None:
    first, second = trade(account, euro), trade(account, euro, key="t2")
    theirs = signal(account, euro)
    assert link_trades(account=account, links={first.pk: theirs.pk, second.pk: theirs.pk}) == 2
    assert list(Signal.objects.all()) == [theirs]


def test_a_feed_signal_that_was_linked_before_stays(account: Account, euro: Instrument) -> None:
    mine, first = trade(account, euro), signal(account, euro)
    second = signal(account, euro, dedupe_key="e2")
    link_trades(account=account, links={mine.pk: first.pk})
    link_trades(account=account, links={mine.pk: second.pk})
    assert set(Signal.objects.all()) == {first, second}


@pytest.mark.parametrize("changes", [{"side": -1}, {"instrument": "GBPUSD"}])
def test_another_side_or_market_is_refused_and_nothing_is_lost(
    account: Account, euro: Instrument, changes: dict[str, Any]
) -> None:
    good, bad = trade(account, euro), trade(account, euro, key="t2")
    fits = signal(account, euro)
    side = changes.get("side", 1)
    instrument = ensure_instrument(symbol=changes.get("instrument", "EURUSD"))
    wrong = signal(account, instrument, dedupe_key="e2", side=side)
    with pytest.raises(UserError) as refused:
        link_trades(account=account, links={good.pk: fits.pk, bad.pk: wrong.pk})
    assert refused.value.code == "signal_mismatch"
    good.refresh_from_db()
    assert good.signal.source == Signal.Source.TRADE


def test_rows_of_others_do_not_exist(account: Account, euro: Instrument) -> None:
    other = Account.objects.get(owner=get_user_model().objects.create_user(username="ben"))
    mine, foreign = trade(account, euro), signal(other, euro)
    with pytest.raises(NotFoundError):
        link_trades(account=account, links={mine.pk: foreign.pk})
    with pytest.raises(NotFoundError):
        link_trades(account=other, links={mine.pk: foreign.pk})
