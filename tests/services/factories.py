"""Small rows for tests of the services: a desk with an account, instruments, candles, signals."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.contrib.auth import get_user_model

from trading.core.instruments import describe
from trading.models import Account, Desk, Instrument, Membership, Role, Signal, Trade

MONDAY = datetime(2024, 3, 4, tzinfo=UTC)
_numbers = itertools.count(1)


def make_account(name: str = "main") -> Account:
    n = next(_numbers)
    user = get_user_model().objects.create_user(username=f"trader{n}", password="secret")
    desk = Desk.objects.create(name=f"desk {n}")
    Membership.objects.create(user=user, desk=desk, role=Role.ADMIN)
    return Account.objects.create(desk=desk, owner=user, name=name)


def make_instrument(symbol: str = "EURUSD", decimals: int | None = None) -> Instrument:
    spec = describe(symbol, decimals=decimals)
    found, _ = Instrument.objects.get_or_create(
        symbol=spec.symbol,
        defaults={
            "base": spec.base,
            "quote": spec.quote,
            "kind": spec.kind,
            "point": spec.point,
            "pip": spec.pip,
            "tick": spec.tick,
        },
    )
    return found


def make_signal(account: Account, instrument: Instrument, **changes: Any) -> Signal:
    fields: dict[str, Any] = {
        "account": account,
        "instrument": instrument,
        "dedupe_key": f"s{next(_numbers)}",
        "time": MONDAY + timedelta(days=21),
        "timeframe": "1m",
        "side": 1,
        "entry_price": Decimal("1.10000"),
        "stop_loss": Decimal("1.09900"),
        "take_profit": Decimal("1.10200"),
    }
    return Signal.objects.create(**(fields | changes))


def make_trade(signal: Signal, **changes: Any) -> Trade:
    fields: dict[str, Any] = {
        "account": signal.account,
        "signal": signal,
        "instrument": signal.instrument,
        "dedupe_key": f"t{next(_numbers)}",
        "side": signal.side,
        "quantity": Decimal("1000"),
        "entry_price": signal.entry_price,
        "opened_at": signal.time,
        "exit_price": signal.stop_loss,
        "closed_at": signal.time + timedelta(hours=1),
        "stop_loss_initial": signal.stop_loss,
        "take_profit": signal.take_profit,
    }
    return Trade.objects.create(**(fields | changes))
