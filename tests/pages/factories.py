"""A small desk to look at: two days of EURUSD in minutes with a payrolls release, trades on it,
their audits and narratives. Prices are a seeded walk; every label is found by walking its bars."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
from django.contrib.auth import get_user_model

from post_mortem.core.record import COLUMNS, STEPS_PER_ONE, UNKNOWN
from post_mortem.core.types import CAUSES, Flag, Missing, Status
from post_mortem.models import AuditRCA, InsightAudit, RuleSnapshot
from post_mortem.services.narratives import narrate_audits
from trading.core.candles import Quotes, blob_sha256, from_quotes, pack
from trading.core.instruments import describe
from trading.core.types import NS_PER_MINUTE, NS_PER_SECOND
from trading.models import (
    Account,
    CandleChunk,
    CandleSeries,
    Desk,
    Execution,
    Instrument,
    NewsEvent,
    NewsFeed,
    Signal,
    Trade,
)
from trading.selectors.candles import bucket_of
from trading.services.accounts import ensure_personal_desk

START = datetime(2014, 5, 1, tzinfo=UTC)
RELEASE = datetime(2014, 5, 2, 12, 30, tzinfo=UTC)
MINUTES = 2 * 1440 - 240
POINT = Decimal("0.00001")
PASSWORD = "a long password"


@dataclass
class World:
    """Anna's desk; `news_trade` is the one that the release stopped out."""

    user: Any
    account: Account
    instrument: Instrument
    series: CandleSeries
    trades: list[Trade] = field(default_factory=list)
    untraded: InsightAudit | None = None

    @property
    def news_trade(self) -> Trade:
        return self.trades[0]


@dataclass(frozen=True)
class Path:
    """What became of one trade, walked bar by bar; excursions and result in R."""

    exit_time: datetime
    exit_price: Decimal
    reason: int
    r: float
    mfe: float
    mae: float
    jump_bar: int


def make_user(name: str = "anna", *, demo: bool = False, zone: str = "Europe/London") -> Account:
    user = get_user_model().objects.create_user(username=name, password=PASSWORD)
    account = ensure_personal_desk(user=user)
    Desk.objects.filter(pk=account.desk_id).update(is_demo=demo)
    account.time_zone = zone
    account.save()
    account.refresh_from_db()
    return account


def make_instrument(symbol: str = "EURUSD") -> Instrument:
    s = describe(symbol)
    values = {"base": s.base, "quote": s.quote, "kind": s.kind, "point": s.point, "pip": s.pip}
    found, _ = Instrument.objects.get_or_create(symbol=symbol, defaults={**values, "tick": s.tick})
    return found


def walk(seed: int = 4) -> tuple[np.ndarray, Quotes]:
    """Times and quotes in half-points: calm minutes, and a jump down at the release."""
    rng = np.random.default_rng(seed)
    steps = np.rint(rng.normal(0, 11, MINUTES) * (1 + 0.6 * np.sin(np.arange(MINUTES) / 230)))
    jump = int((RELEASE - START).total_seconds() // 60)
    steps[jump : jump + 4] = (-190, -60, -35, 22)
    close = 138_700 + np.cumsum(steps).astype(np.int64)
    opened = np.concatenate(([138_700], close[:-1]))
    wick = rng.integers(2, 12, (2, MINUTES))
    high, low = np.maximum(opened, close) + wick[0], np.minimum(opened, close) - wick[1]
    spread = 8 + rng.integers(0, 4, MINUTES)
    spread[jump - 1 : jump + 3] += 30
    sides = [2 * (side + half) for half in (0, spread) for side in (opened, high, low, close)]
    first = int(START.timestamp()) * NS_PER_SECOND
    time = first + np.arange(MINUTES, dtype=np.int64) * NS_PER_MINUTE
    return time, Quotes(*sides)


def make_series(
    instrument: Instrument, desk: Desk | None, *, hole: slice | None = None
) -> CandleSeries:
    time, quotes = walk()
    keep = np.ones(time.size, bool)
    if hole is not None:
        keep[hole] = False
    candles = from_quotes(time, quotes).rows(keep)
    series = CandleSeries.objects.create(
        instrument=instrument,
        timeframe="1m",
        source="walk",
        kind="bid_ask",
        point=POINT,
        desk=desk,
        scope_key=f"{desk.pk if desk else ''}|{instrument.symbol}|1m|walk|bid_ask",
        first_time=_moment(int(candles.time[0])),
        last_time=_moment(int(candles.time[-1])),
        n_bars=len(candles),
    )
    weeks = bucket_of(candles.time, NS_PER_MINUTE)
    for week in np.unique(weeks):
        part = candles.rows(weeks == week)
        blob = pack(part, "bid_ask")
        CandleChunk.objects.create(
            series=series,
            week=int(week),
            n=len(part),
            first_time=int(part.time[0]),
            last_time=int(part.time[-1]),
            blob=blob,
            sha256=blob_sha256(blob),
        )
    return series


def _moment(ns: int) -> datetime:
    return datetime.fromtimestamp(ns // NS_PER_SECOND, tz=UTC)


def follow(at: datetime, side: int, stop: int, target: int) -> tuple[Decimal, Path]:
    """Entry price and path of a trade entered at the mid of a bar's open. `stop` and `target` are
    distances in points; ends at the close of the data when neither is reached."""
    _, quotes = walk()
    mid = {
        n: (getattr(quotes, f"bid_{n}") + getattr(quotes, f"ask_{n}")) // 2
        for n in ("open", "high", "low", "close")
    }
    first = int((at - START).total_seconds() // 60)
    entry = int(mid["open"][first]) // 2 * 2
    best = worst = 0
    for bar in range(first, MINUTES):
        favour, against = (mid["high"][bar] - entry, entry - mid["low"][bar])
        if side < 0:
            favour, against = -(mid["low"][bar] - entry), mid["high"][bar] - entry
        best, worst = max(best, int(favour)), max(worst, int(against))
        if against >= 2 * stop:
            return _price(entry), _ended(
                bar, entry - side * 2 * stop, 1, -1.0, best, stop, stop, bar - first
            )
        if favour >= 2 * target:
            r = target / stop
            return _price(entry), _ended(
                bar, entry + side * 2 * target, 2, r, 2 * target, worst / 2, stop, 0
            )
    r = side * (int(mid["close"][-1]) - entry) / 2 / stop
    return _price(entry), _ended(MINUTES - 1, int(mid["close"][-1]), 3, r, best, worst / 2, stop, 0)


def _ended(
    bar: int, price: int, reason: int, r: float, best: float, worst: float, stop: int, jump: int
) -> Path:
    return Path(
        exit_time=START + timedelta(minutes=bar, seconds=20),
        exit_price=_price(price),
        reason=reason,
        r=r,
        mfe=best / 2 / stop,
        mae=min(worst / stop, 1.0),
        jump_bar=jump,
    )


def _price(half_points: int) -> Decimal:
    return Decimal(half_points) * POINT / 2


def make_trade(
    world: World, at: datetime, side: int, *, stop: int = 120, target: int = 200, **changes: Any
) -> tuple[Trade, Path]:
    entry, path = follow(at, side, stop, target)
    n = Signal.objects.filter(account=world.account).count() + 1
    levels = {
        "stop_loss": entry - side * stop * POINT,
        "take_profit": entry + side * target * POINT,
    }
    signal = Signal.objects.create(
        account=world.account,
        instrument=world.instrument,
        dedupe_key=f"s{n}-{at:%d%H%M}",
        time=at,
        timeframe="5m",
        side=side,
        entry_price=entry,
        score=72,
        min_score=60,
        strategy=("London open", "Fade")[n % 2],
        claimed_setups=[["breakout"], ["bos", "fvg"], []][n % 3],
        **levels,
    )
    net = Decimal(str(round(path.r * 150, 2))) - Decimal("3.50")
    fields = {
        "account": world.account,
        "signal": signal,
        "instrument": world.instrument,
        "dedupe_key": f"t{n}",
        "external_id": str(88_000 + n),
        "side": side,
        "quantity": Decimal("1.25"),
        "requested_entry": entry,
        "entry_price": entry,
        "opened_at": at,
        "exit_price": path.exit_price,
        "closed_at": path.exit_time,
        "stop_loss_initial": levels["stop_loss"],
        "stop_loss_final": levels["stop_loss"],
        "take_profit": levels["take_profit"],
        "commission": Decimal("-3.50"),
        "net_pnl": net,
        "pnl_currency": "USD",
        "strategy": signal.strategy,
    }
    trade = Trade.objects.create(**(fields | changes))
    world.trades.append(trade)
    for k, (sign, price, time) in enumerate(
        ((side, entry, at), (-side, path.exit_price, path.exit_time))
    ):
        Execution.objects.create(
            account=world.account,
            trade=trade,
            instrument=world.instrument,
            dedupe_key=f"t{n}-{k}",
            time=time,
            side=sign,
            quantity=Decimal("1.25"),
            price=price,
            commission=Decimal("-1.75"),
        )
    return trade, path


def record(path: Path, *, cause: str = "", event: int | None = None, flags: int = 0) -> bytes:
    """The evidence record of a walked trade: one fired cause, one that could not be checked."""
    row = dict.fromkeys(COLUMNS, UNKNOWN)
    for name in CAUSES:
        row |= {f"{name}.{column}": 0 for column in ("status", "rank", "missing")}
        row |= {f"{name}.{column}": 0 for column in ("strength", "posterior", "confidence")}
    outcome = 1 if path.r > 0.1 else 2 if path.r < -0.1 else 3
    row |= {"label.outcome": outcome, "label.shadow_outcome": 0, "label.exit_reason": path.reason}
    row |= {"label.flags": flags, **_label_numbers(path)}
    if outcome == 2:
        row |= _causes(path, cause or "unknown", event)
    return np.array([int(row[name]) for name in COLUMNS], "<i4").tobytes()


def _label_numbers(path: Path) -> dict[str, int]:
    numbers = {
        "r": path.r,
        "mfe_r": path.mfe,
        "mae_r": path.mae,
        "drawdown_r": path.mfe + path.mae,
        "pips": path.r * 12,
        "pnl_pct": path.r * 0.086,
        "mfe_pips": path.mfe * 12,
        "mae_pips": path.mae * 12,
        "coverage": 1.0,
    }
    row = {f"label.{name}": round(value * STEPS_PER_ONE) for name, value in numbers.items()}
    seconds, price = int(path.exit_time.timestamp()), int(path.exit_price * 10**8)
    for name, value in (("exit_time", seconds), ("exit_price", price)):
        row |= {f"label.{name}.high": value >> 31, f"label.{name}.low": value & (2**31 - 1)}
    return row


def _causes(path: Path, cause: str, event: int | None) -> dict[str, int]:
    def fact(name: str, value: float) -> dict[str, int]:
        return {name: round(value * STEPS_PER_ONE)}

    row = {f"{cause}.status": int(Status.FIRED), f"{cause}.rank": 1}
    row |= fact(f"{cause}.strength", 0.92) | fact(f"{cause}.posterior", 0.84)
    row[f"{cause}.confidence"] = {"news_shock": 79, "volatility_spike": 64}.get(cause, 31)
    if cause == "news_shock" and event is not None:
        row |= {
            "news_shock.event_key": event,
            "news_shock.impact": 2,
            "news_shock.jump_bar": path.jump_bar,
        }
        row |= fact("news_shock.dt_min", 0.0) | fact("news_shock.jump_z", 6.1)
        row |= fact("news_shock.jump_r", 0.94) | {"news_shock.n_news_no_reaction": 1}
        row |= {
            "volatility_spike.status": 1,
            "volatility_spike.rank": 2,
            "volatility_spike.confidence": 49,
        }
        row |= fact("volatility_spike.strength", 0.4) | fact("volatility_spike.posterior", 0.41)
        row |= fact("volatility_spike.v_star", 2.1) | {"volatility_spike.window_bars": 12}
    if cause == "unknown":
        row |= {"unknown.n_checked": 7, "unknown.n_abstained": 3} | fact(
            "unknown.expected_loss_rate", 0.52
        )
    row |= {"spread_slippage.status": 0} | fact("spread_slippage.paper_r", path.r + 0.09)
    row |= fact("spread_slippage.cost_r", 0.09) | fact("spread_slippage.actual_r", path.r)
    row |= fact("regime_drift.t_pre", 0.7) | fact("regime_drift.t_post", 1.1)
    for name, feed in (
        ("external_shock", Missing.PEERS | Missing.OUTAGES),
        ("user_psychology", Missing.TRADE_LOG),
        ("model_error", Missing.MODEL_HISTORY),
    ):
        row |= {f"{name}.status": int(Status.ABSTAINED), f"{name}.missing": int(feed)}
    return row


def make_audit(
    world: World,
    trade: Trade,
    path: Path,
    *,
    cause: str = "",
    event: int | None = None,
    **changes: Any,
) -> InsightAudit:
    snapshot, _ = RuleSnapshot.objects.get_or_create(sha256="0" * 64, defaults={"data": {"id": 0}})
    outcome = 1 if path.r > 0.1 else 2 if path.r < -0.1 else 3
    named = cause or ("unknown" if outcome == 2 else "")
    flags = changes.pop("flags", 0)
    values: dict[str, Any] = {
        "account": world.account,
        "signal": trade.signal,
        "trade": trade,
        "horizon": "TRADE",
        "outcome": outcome,
        "exit_reason": path.reason,
        "entry_time": trade.opened_at,
        "exit_time": path.exit_time,
        "entry_price": float(trade.entry_price),
        "exit_price": float(path.exit_price),
        "pips": path.r * 12,
        "pnl_pct": path.r * 0.086,
        "r_multiple": path.r,
        "mfe_r": path.mfe,
        "mae_r": path.mae,
        "mfe_pips": path.mfe * 12,
        "mae_pips": path.mae * 12,
        "coverage": 1.0,
        "flags": flags,
        "top_cause": named,
        "top_posterior": 0.84 if named else None,
        "top_confidence": 79 if named else None,
        "series": world.series,
        "n_bars": 288,
        "rule_snapshot": snapshot,
        "record": record(path, cause=cause, event=event, flags=flags),
        "input_hash": f"{trade.pk:x}".rjust(4, "3").ljust(64, "a"),
        "evidence_hash": f"{trade.pk:x}".rjust(4, "9").ljust(64, "b"),
        "engine_version": 1,
        "evaluated_at": START + timedelta(days=30),
    }
    audit = InsightAudit.objects.create(**(values | changes))
    if named:
        AuditRCA.objects.create(audit=audit, cause=named, rank=1, confidence=79, posterior=0.84)
    if event is not None:
        second = {"cause": "volatility_spike", "confidence": 49, "posterior": 0.41}
        AuditRCA.objects.create(audit=audit, rank=2, **second)
    return audit


def make_world(name: str = "anna", *, trades: int = 14, demo: bool = False) -> World:
    """Anna's desk: the trade that payrolls stopped out, then others through both days, the last one
    not judged, and one signal that was not traded."""
    account = make_user(name, demo=demo)
    instrument = make_instrument()
    world = World(account.owner, account, instrument, make_series(instrument, account.desk))
    event = _make_news(account.desk)
    trade, path = make_trade(world, RELEASE - timedelta(minutes=24), 1, tags=["news"])
    audits = [make_audit(world, trade, path, cause="news_shock", event=event.pk)]
    for n in range(1, trades):
        at = START + timedelta(minutes=95 * n + 7)
        trade, path = make_trade(world, at, 1 if n % 3 else -1, target=(200, 150, 260)[n % 3])
        if n < trades - 1:
            flags = int(Flag.ENTRY_OUTSIDE_CANDLE) if n == 3 else 0
            cause = "volatility_spike" if n % 4 == 1 and path.r < 0 else ""
            audits.append(make_audit(world, trade, path, cause=cause, flags=flags))
    world.untraded = _make_untraded(world)
    narrate_audits(audit_ids=[audit.pk for audit in (*audits, world.untraded)])
    return world


def _make_untraded(world: World) -> InsightAudit:
    trade, path = make_trade(world, START + timedelta(hours=9), -1)
    world.trades.remove(trade)
    audit = make_audit(world, trade, path, horizon="4H")
    audit.trade = None
    audit.save()
    trade.delete()
    return audit


def _make_news(desk: Desk) -> NewsEvent:
    feed = NewsFeed.objects.create(
        desk=desk, name="calendar", covers_from=START, covers_to=START + timedelta(days=5)
    )
    made = [
        NewsEvent.objects.create(
            feed=feed,
            desk=desk,
            time=at,
            currency=currency,
            title=title,
            impact=impact,
            dedupe_key=f"{desk.pk}-{title}",
        )
        for at, currency, title, impact in (
            (RELEASE, "USD", "Nonfarm Payrolls", 2),
            (RELEASE - timedelta(hours=4, minutes=30), "EUR", "Manufacturing PMI", 1),
        )
    ]
    return made[0]
