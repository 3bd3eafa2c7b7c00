"""Small rows for tests of the services: a desk with an account, instruments, candles, signals."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
from django.contrib.auth import get_user_model

from post_mortem.core.pattern_facts import evidence_hash
from post_mortem.models import AnalysisPattern
from post_mortem.selectors.columns import utc_ns
from post_mortem.services.pattern_narrator import WORDS_VERSION, offline_words
from post_mortem.services.patterns import tell
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


def make_signal_at(
    account: Account, instrument: Instrument, closes: Any, minute: int, side: int, **changes: Any
) -> Signal:
    """A signal at the last of the closes (a minute each, from MONDAY on) before that minute."""
    entry = int(closes[minute - 1])
    levels = {"stop_loss": price(entry - side * 80), "take_profit": price(entry + side * 120)}
    time = MONDAY + timedelta(minutes=minute)
    fields = {"time": time, "side": side, "entry_price": price(entry)} | levels
    return make_signal(account, instrument, **(fields | changes))


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


def pattern_statistics(**changes: Any) -> dict[str, Any]:
    """Breakouts in Asia that lose, as a search would store them."""
    n = changes.get("n", 31)
    others = {"words": "all others", "n": 120, "won": 66, "total_r": 12.0, "mean_r": 0.1}
    values: dict[str, Any] = {
        "kind": "conditions",
        "type": "leak",
        "parts": [["session", "in Asia"], ["setup", "that claim breakout"]],
        "won_rate": 0.2903,
        "won_rate_low": 0.16,
        "won_rate_high": 0.46,
        "n": n,
        "won": 9,
        "mean_r": -0.42,
        "r_low": -0.66,
        "r_high": -0.18,
        "total_r": -0.42 * n,
        "others": {**others, "r_low": -0.08, "r_high": 0.28},
        "effect_r": -0.3,
        "expected_r": -0.2,
        "expected_low": -0.4,
        "expected_high": 0.0,
        "confidence": 97,
        "chance": 0.02,
        "tried": 40,
        "of_trades": 151,
        "per_month": 6.0,
        "recent_mean_r": -0.4,
        "trend": "",
        "halves": [{"n": 15, "won": 4, "total_r": -6.0}, {"n": n - 15, "won": 5, "total_r": -7.0}],
        "periods": [
            {"start": 1_700_000_000 + i * 2_000_000, "stop": 1_702_000_000 + i * 2_000_000,
             "n": 8, "won": 2, "total_r": -3.3, "mean_r": -0.41, "r_low": -1.0, "r_high": 0.2}
            for i in range(4)
        ],
        "regimes": [],
        "cohorts": [{**others, "words": "in Asia, not that claim breakout", "r_low": -0.1,
                     "r_high": 0.3}],
    }  # fmt: skip
    return {**values, **changes}


def make_pattern(account: Account, *, trades: Any = (), **changes: Any) -> AnalysisPattern:
    """A stored pattern with the built-in narrator's words."""
    statistics = pattern_statistics(**changes)
    row = AnalysisPattern(
        account=account,
        key=f"p{next(_numbers)}",
        pattern_type=statistics["type"],
        category="time and plan",
        confidence=statistics["confidence"],
        statistics=statistics,
        evidence_hash=evidence_hash(statistics),
        grounding={"narrator": WORDS_VERSION},
        found_at=MONDAY,
    )
    tell(row, offline_words(statistics))
    row.save()
    row.affected_trades.set(trades)
    return row


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
