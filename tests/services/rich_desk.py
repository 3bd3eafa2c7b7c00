"""A desk on which every feed of a case says something: spreads, quotes, volumes, finer bars,
related markets, news, an outage, earlier results, a rule that is not the default, and a calibration
that was adopted."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import numpy as np

from post_mortem.core.calibration import Calibration, Curve
from post_mortem.core.calibration_table import SHIPPED, Table
from post_mortem.core.setups import verify
from post_mortem.core.types import SETUPS, SetupView
from post_mortem.models import LabelingRule
from post_mortem.selectors.columns import utc_ns
from post_mortem.services.audits import run_autopsy
from post_mortem.services.calibrations import adopt_table
from trading.core.candles import Candles, Quotes, from_quotes
from trading.core.types import NS_PER_MINUTE, SeriesKind
from trading.models import Account, ImportBatch, Instrument, NewsEvent, NewsFeed, Outage, Signal
from trading.services.candles import SeriesKey, store_candles

from .factories import MONDAY, make_account, make_instrument, make_signal, make_trade, price

QUARTER = 15 * NS_PER_MINUTE
DAYS = 42
ENTRY = MONDAY + timedelta(days=29, hours=8)  # a Tuesday morning
AT = 29 * 96 + 32  # its bar
JUMP = AT + 4  # an hour later: the release


def doubted() -> Table:
    """The shipped table with every cause believed less."""
    shipped = SHIPPED.calibration
    curves = {c: Curve(curve.intercept - 0.7, curve.slope) for c, curve in shipped.curves.items()}
    return replace(SHIPPED, calibration=Calibration("doubt", curves, (0.5, -6.0, 0.5), 0.8))


def rich_desk() -> Account:
    """The desk, audited under every horizon."""
    account = make_account()
    bars = _bars(1, 110_000)
    euro, pound, franc = (make_instrument(name) for name in ("EURUSD", "GBPUSD", "USDCHF"))
    _store(euro, bars, "15m")
    _store(euro, _inside(bars), "5m")
    _store(pound, _quoted(_bars(2, 127_000)), "15m", SeriesKind.BID_ASK)
    _store(franc, _bars(3, 90_000), "15m")
    _surroundings()
    _rules(account)
    signals = _signals(account, euro, bars)
    _trades(signals, bars.close // 2)
    _signals(account, pound, _bars(2, 127_000), count=4)
    adopt_table(desk=account.desk, table=doubted())
    run_autopsy()
    return account


def _bars(seed: int, start: int) -> Candles:
    rng = np.random.default_rng(seed)
    n = DAYS * 96
    moves = np.rint(rng.standard_normal(n) * 25)
    moves[JUMP] = -420
    close = 2 * (start + np.cumsum(moves).astype(np.int64))
    opened = np.concatenate([close[:1], close[:-1]])
    high = np.maximum(opened, close) + 2 * rng.integers(0, 20, n)
    low = np.minimum(opened, close) - 2 * rng.integers(0, 20, n)
    # The bar that touches both stop and target of the first signals.
    high[AT + 1], low[AT + 1] = opened[AT] + 300, opened[AT] - 300
    time = utc_ns(MONDAY) + np.arange(n, dtype=np.int64) * QUARTER
    volume = np.rint(100 + 50 * rng.random(n))
    volume[JUMP - 1 : JUMP + 2] *= 4
    spread = 2 * rng.integers(5, 15, n)
    return Candles(time, opened, high, low, close, volume, spread)


def _inside(bars: Candles) -> Candles:
    """The hour from the entry in five minutes: each bar goes to its high first, then to its low."""
    parts = []
    for i in range(AT, AT + 4):
        t, o, h, low, c = (
            int(getattr(bars, name)[i]) for name in ("time", "open", "high", "low", "close")
        )
        step = 5 * NS_PER_MINUTE
        parts += [
            (t, o, h, o, o),
            (t + step, o, o, low, o),
            (t + 2 * step, o, max(o, c), min(o, c), c),
        ]
    return Candles(*(np.array(column, np.int64) for column in zip(*parts, strict=True)))


def _quoted(bars: Candles) -> Candles:
    sides = [getattr(bars, name) for name in ("open", "high", "low", "close")]
    return from_quotes(bars.time, Quotes(*sides, *(side + 16 for side in sides)), bars.volume)


def _store(
    instrument: Instrument, bars: Candles, timeframe: str, kind: SeriesKind = SeriesKind.TRADE
) -> None:
    batch = ImportBatch.objects.create(
        kind="candles", file_name="test", file_sha256="", format="test"
    )
    key = SeriesKey(instrument=instrument, timeframe=timeframe, source="test", kind=kind, desk=None)
    store_candles(key=key, candles=bars, batch=batch)


def _surroundings() -> None:
    feed = NewsFeed.objects.create(
        name="calendar", covers_from=MONDAY, covers_to=MONDAY + timedelta(days=DAYS)
    )
    for hours, currency in ((1, "USD"), (26, "EUR"), (50, "JPY")):
        NewsEvent.objects.create(
            feed=feed,
            time=ENTRY + timedelta(hours=hours),
            currency=currency,
            title=f"CPI {currency}",
            impact=2,
            surprise_z=2.5,
            dedupe_key=f"cpi {currency}",
        )
    for hours in (2, 200):
        start = ENTRY + timedelta(hours=hours)
        Outage.objects.create(start=start, end=start + timedelta(minutes=40), what="broker down")


def _rules(account: Account) -> None:
    LabelingRule.objects.create(
        desk=account.desk,
        strategy="pips",
        neutral_band_r=None,
        neutral_band_pips=1.3,
        fail_sl_pips=11.7,
        success_rr_ratio=1.5,
        min_score=40.0,
        priority=5,
    )


# Bars from the entry: around the release, before it, two without levels, and a past to learn from.
_SENT = (0, 0, 1, 2, -30, -60, -90, -120, -150, -180, -210, -240, 3, 40, *range(-900, -300, 40))


def _signals(
    account: Account, instrument: Instrument, bars: Candles, count: int = len(_SENT)
) -> list[Signal]:
    """Signals that claim what their bars show; where they have no levels their rule gives them."""
    close = bars.close // 2
    made = []
    for i, offset in enumerate(_SENT[:count]):
        bar = AT + offset
        side = -1 if i % 2 else 1
        entry = int(close[bar - 1])
        bare = i in (12, 13)
        made.append(
            make_signal(
                account,
                instrument,
                time=MONDAY + timedelta(minutes=15 * bar),
                timeframe="15m",
                side=side,
                entry_price=price(entry),
                stop_loss=None if bare else price(entry - side * 120),
                take_profit=None if bare else price(entry + side * 140),
                score=55.0 + i % 20,
                score_semantics="probability",
                model_version="v1",
                strategy="pips" if bare else "plain",
                strategy_kind="trend",
                claimed_setups=["bos"] if i % 4 == 3 else _shown(bars, bar, side),
            )
        )
    return made


def _shown(bars: Candles, bar: int, side: int) -> list[str]:
    """Setups that are really there at the open of a bar."""
    found = verify(
        SetupView(QUARTER, bars),
        np.array([side], np.int8),
        bars.time[bar : bar + 1],
        np.array([(1 << len(SETUPS)) - 1], np.int32),
    ).found[0]
    return [name for name, there in zip(SETUPS, found.tolist(), strict=True) if there]


def _trades(signals: list[Signal], close: Any) -> None:
    for i, signal in enumerate([*signals[:10], *signals[14:]]):
        leave = signal.time + timedelta(hours=3)
        at = int((leave - MONDAY).total_seconds()) // 900
        make_trade(
            signal,
            quantity=Decimal("0.5") + i % 2,
            requested_entry=signal.entry_price,
            entry_price=signal.entry_price + signal.side * Decimal("0.00012"),
            exit_price=price(int(close[at - 1])),
            closed_at=leave,
            exit_reason="manual",
            on_plan=bool(i % 2),
        )
