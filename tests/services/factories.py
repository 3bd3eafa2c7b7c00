"""Small rows for tests of the services: a desk with an account, instruments, candles, signals."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
from django.contrib.auth import get_user_model

from post_mortem.selectors.columns import utc_ns
from trading.core.candles import Candles
from trading.core.instruments import describe
from trading.core.types import SeriesKind, timeframe_ns
from trading.models import (
    Account,
    CandleSeries,
    Desk,
    ImportBatch,
    Instrument,
    Membership,
    Role,
    Signal,
    Trade,
)
from trading.services.candles import SeriesKey, store_candles

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


def make_candles(
    instrument: Instrument,
    closes: Any,
    *,
    start: datetime = MONDAY,
    timeframe: str = "1m",
    source: str = "test",
    desk: Desk | None = None,
) -> CandleSeries:
    """Bars without gaps whose closes (in points) are given; each reaches a point beyond."""
    close = 2 * np.asarray(closes, np.int64)
    opened = np.concatenate([close[:1], close[:-1]])
    step = timeframe_ns(timeframe)
    time = utc_ns(start) + np.arange(close.size, dtype=np.int64) * step
    high, low = np.maximum(opened, close) + 2, np.minimum(opened, close) - 2
    batch = ImportBatch.objects.create(
        kind="candles", desk=desk, file_name="test", file_sha256="", format="test"
    )
    key = SeriesKey(
        instrument=instrument,
        timeframe=timeframe,
        source=source,
        kind=SeriesKind.TRADE,
        desk=desk,
    )
    series, _ = store_candles(
        key=key, candles=Candles(time, opened, high, low, close), batch=batch, revise=True
    )
    return series


def walk(bars: int, seed: int = 1, start: int = 110_000, step: float = 8.0) -> Any:
    """Closes of a seeded random walk, in points."""
    rng = np.random.default_rng(seed)
    return start + np.rint(np.cumsum(rng.standard_normal(bars) * step)).astype(np.int64)


def price(points: int) -> Decimal:
    return Decimal(int(points)) / 100_000
