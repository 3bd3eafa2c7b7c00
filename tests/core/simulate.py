"""A small simulator of losing trades with a known cause, as portable cases.

A case is accepted only if it loses and, for causes that move prices, if the same noise without the
cause does not. Every case carries confounders: releases without a jump, a calibrated model, a good
setup history, correlated peers, size-ups that were planned, outages at another time. `missing`
removes the feed that would decide; `irrelevant` removes one that would not.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from benchmarks.causes.variants import DECISIVE, FEEDS
from post_mortem.core.types import CAUSES

BAR_S = 300
BEFORE, AFTER = 640, 300
POINT = 0.00001
START = datetime(2024, 3, 4, tzinfo=UTC)  # a Monday
STEPS = 6
PRICE_CAUSES = (
    "news_shock",
    "regime_drift",
    "volatility_spike",
    "liquidity_event",
    "external_shock",
)
# Feeds that may be gone without changing the answer: not the calendar of a market-wide jump.
NEEDED = {
    "external_shock": ("peers", "outages", "news", "volume"),
    "liquidity_event": ("volume", "news"),
    "news_shock": ("news",),
}


@dataclass
class Path:
    """One simulated market around an entry at the open of bar `BEFORE`."""

    side: int
    sigma: float
    noise: np.ndarray  # (bars, STEPS) log returns of sub-steps
    peer_noise: np.ndarray
    volume: np.ndarray
    spread: np.ndarray
    peer_extra: np.ndarray
    plant: dict[str, Any] = field(default_factory=dict)

    def ohlc(self, extra: np.ndarray) -> tuple[np.ndarray, ...]:
        """Open, high, low, close in whole points of sub-steps plus `extra` per sub-step."""
        logs = np.cumsum((self.noise + extra).ravel()).reshape(extra.shape)
        start = np.concatenate([[0.0], logs[:-1, -1]])
        full = np.column_stack([start, logs])
        prices = np.rint(1.1 * np.exp(full) / POINT).astype(np.int64)
        return prices[:, 0], prices.max(axis=1), prices.min(axis=1), prices[:, -1]


def _path(rng: np.random.Generator) -> Path:
    bars = BEFORE + AFTER
    sigma = float(rng.uniform(2.5e-4, 5e-4))
    hours = (np.arange(bars) * BAR_S // 3600) % 24
    season = 1 + 0.35 * np.sin((hours - 7) / 24 * 2 * np.pi)
    level = np.exp(np.cumsum(rng.normal(0, 0.02, bars)) * 0.5)
    level /= level[BEFORE - 100 : BEFORE].mean()
    scale = sigma * season * np.clip(level, 0.6, 1.6) / np.sqrt(STEPS)
    shocks = rng.standard_t(6, (bars, STEPS)) / np.sqrt(1.5)
    noise = scale[:, None] * shocks
    own = (noise.sum(axis=1) / sigma)[None, :]
    peer_noise = sigma * (0.5 * own + 0.85 * rng.normal(size=(3, bars)))
    volume = 500 * season * rng.lognormal(0, 0.3, bars) + 1
    spread = np.clip(rng.normal(8, 1, bars), 4, 14)
    side = int(rng.choice([1, -1]))
    return Path(side, sigma, noise, peer_noise, volume, spread, np.zeros((3, bars)))


def _touch(path: Path, extra: np.ndarray, risk: int, reward: int, end: int) -> tuple[int, int]:
    """(bar, result) of the first touch: -1 stop, 1 target, 0 none by `end`; pessimistic."""
    opened, high, low, _ = path.ohlc(extra)
    entry, s = opened[BEFORE], path.side
    worst = (low if s == 1 else -high)[BEFORE:end] - s * entry
    best = (high if s == 1 else -low)[BEFORE:end] - s * entry
    stop, target = np.flatnonzero(worst <= -risk), np.flatnonzero(best >= reward)
    first_stop = stop[0] if stop.size else AFTER
    first_target = target[0] if target.size else AFTER
    if first_stop == first_target == AFTER:
        return end - 1, 0
    won = first_target < first_stop
    return BEFORE + int(min(first_stop, first_target)), 1 if won else -1


# --- planting -----------------------------------------------------------------------------------


def _plant(rng: np.random.Generator, cause: str, path: Path, risk: int) -> np.ndarray:
    """Extra log returns per sub-step that the cause adds; volumes and spreads change in place."""
    bars = BEFORE + AFTER
    extra = np.zeros((bars, STEPS))
    r = risk * POINT / 1.1
    s = path.side
    at = BEFORE + int(rng.integers(3, 40))
    if cause in ("news_shock", "liquidity_event", "external_shock"):
        extra[at, int(rng.integers(0, 2))] = -s * r * rng.uniform(0.8, 1.6)
        path.plant["jump"] = at
        if cause == "news_shock":
            path.volume[at : at + 4] *= rng.uniform(2, 4)
            path.spread[at - 1 : at + 2] *= rng.uniform(1, 3)
            path.peer_extra[:, at] = -s * r * rng.uniform(0.2, 0.8, 3)
        if cause == "liquidity_event":
            path.volume[at - 3 : at + 4] *= rng.uniform(0.05, 0.25)
            path.spread[at - 2 : at + 3] *= rng.uniform(2, 5)
        if cause == "external_shock":
            path.volume[at : at + 3] *= rng.uniform(1.5, 3)
            path.peer_extra[:, at] = -s * r * rng.uniform(0.6, 1.3, 3)
    if cause == "volatility_spike":
        start = BEFORE + int(rng.integers(0, 12))
        factor = rng.uniform(2.0, 3.5)
        extra[start : start + 80] = path.noise[start : start + 80] * (factor - 1)
        path.volume[start : start + 80] *= rng.uniform(1, 2)
    if cause == "regime_drift":
        before = int(rng.integers(96, 288))
        t_pre, t_post = rng.uniform(1.6, 3.5), rng.uniform(2.0, 4.0)
        extra[BEFORE - before : BEFORE] = s * t_pre * path.sigma / np.sqrt(before) / STEPS
        length = int(rng.integers(40, 120))
        start = BEFORE + int(rng.integers(0, 15))
        drift = t_post * path.sigma / np.sqrt(length) / STEPS
        extra[start : start + length] = -s * drift
    return extra


def _breakout(rng: np.random.Generator, path: Path, extra: np.ndarray) -> np.ndarray:
    """Make the bar before the entry close beyond the range of the bars before it."""
    opened, high, low, close = path.ohlc(extra)
    s, bar = path.side, BEFORE - 1
    before = slice(bar - 20, bar)
    edge = high[before].max() if s == 1 else low[before].min()
    range_now = float(np.mean((high - low)[before]))
    wanted = edge + s * range_now * rng.uniform(0.4, 0.8)
    changed = extra.copy()
    changed[bar] += np.log(wanted / close[bar]) / STEPS
    return changed


def _no_breakout(path: Path, extra: np.ndarray) -> bool:
    """Whether the closes before the entry lie well inside their range."""
    _, high, low, close = path.ohlc(extra)
    recent = slice(BEFORE - 30, BEFORE)
    top, bottom = high[recent].max(), low[recent].min()
    last = close[BEFORE - 6 : BEFORE]
    place = (last - bottom) / max(top - bottom, 1)
    return bool(np.all((place > 0.25) & (place < 0.75)))


# --- feeds ------------------------------------------------------------------------------------


def _iso(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def _time(bar: int, seconds: float = 0.0) -> datetime:
    return START + timedelta(seconds=bar * BAR_S + int(seconds))


def _news(rng: np.random.Generator, cause: str, path: Path) -> list[dict[str, Any]]:
    items = []
    for _ in range(int(rng.integers(1, 4))):  # confounders: releases that moved nothing
        bar = int(rng.integers(BEFORE - 200, BEFORE + AFTER - 10))
        if abs(bar - path.plant.get("jump", -99)) > 8:
            items.append((bar, str(rng.choice(["high", "medium", "low"])), rng.normal(0, 0.7)))
    if cause == "news_shock":
        impact = str(rng.choice(["high", "high", "medium"]))
        items.append((path.plant["jump"], impact, float(rng.choice([-1, 1]) * rng.uniform(1.2, 3))))
    result = []
    for bar, impact, surprise in sorted(items):
        known = None if rng.random() < 0.3 else round(float(surprise), 2)
        if cause != "news_shock" or bar != path.plant.get("jump"):
            known = round(float(surprise), 2)
        result.append(
            {
                "time": _iso(_time(bar)),
                "currency": str(rng.choice(["EUR", "USD"])),
                "impact": impact,
                "title": "Release",
                "surprise_z": known,
            }
        )
    return result


def _model_history(rng: np.random.Generator, cause: str, score: float) -> list[dict[str, Any]]:
    """Calibrated but for a model error: scores near this one then win far less than they say."""
    n = int(rng.integers(25, 70))
    scores = np.clip(score + rng.normal(0, 6, n), 1, 99)
    gap = rng.uniform(0.3, 0.45) if cause == "model_error" else 0.0
    won = rng.random(n) < np.clip(scores / 100 - gap, 0.02, 0.98)
    return [{"score": round(float(s), 2), "won": bool(w)} for s, w in zip(scores, won, strict=True)]


def _setup_history(rng: np.random.Generator, cause: str, ratio: float) -> list[dict[str, Any]]:
    even = 1 / (1 + ratio)
    bad = cause == "false_positive"
    n = int(rng.integers(25, 60)) if bad else int(rng.integers(4, 60))
    rate = even * rng.uniform(0.2, 0.5) if bad else even + rng.uniform(0.0, 0.12)
    return [
        {"setup": "breakout", "won": bool(rng.random() < rate), "reward_risk": ratio}
        for _ in range(n)
    ]


def _trade_log(rng: np.random.Generator, cause: str, path: Path) -> list[dict[str, Any]]:
    """A log of 30-60 trades; stress shows in its last trades."""
    n = int(rng.integers(30, 60))
    gaps = rng.exponential(6 * 3600, n)
    kind = path.plant.get("stress")
    if kind == "overtrading":
        burst = int(rng.integers(14, 20))
        gaps[-burst:] = rng.uniform(300, 1200, burst)
    ends = _time(BEFORE, -float(rng.uniform(60, 1200 if kind else 14400)))
    times = [ends - timedelta(seconds=int(x)) for x in np.cumsum(gaps[::-1])[::-1] - gaps[-1]]
    r = np.where(rng.random(n) < 0.5, rng.uniform(0.5, 1.5, n), -rng.uniform(0.3, 1.0, n))
    if kind == "revenge":
        r[-int(rng.integers(1, 4)) :] = -1.0
    size = rng.normal(1.0, 0.06, n)
    return [
        {"exit_time": _iso(t), "r": round(float(x), 3), "quantity": round(float(q), 3)}
        for t, x, q in sorted(zip(times, r, size, strict=True))
    ]


# --- the case ---------------------------------------------------------------------------------


def make_case(
    seed: int, cause: str, *, missing: bool = False, irrelevant: bool = False
) -> dict[str, Any]:
    """One portable case whose only cause is `cause`; retried from `seed` until it is valid."""
    for attempt in range(2000):
        rng = np.random.default_rng((seed, CAUSES.index(cause), attempt))
        case = _attempt(rng, cause)
        if case is not None:
            case["id"] = f"{cause}-{seed}"
            if missing:
                remove(case, DECISIVE[cause])
            if irrelevant:
                keep = (*NEEDED.get(cause, ()), DECISIVE.get(cause))
                choices = [feed for feed in FEEDS if feed not in keep]
                remove(case, str(rng.choice(choices)))
            return case
    raise RuntimeError(f"no valid {cause} case from seed {seed}")


def remove(case: dict[str, Any], feed: str) -> None:
    if feed == "volume":
        case["candles"]["volume"] = case["candles"]["spread"] = None
    elif feed == "claimed_setups":
        case["signal"]["claimed_setups"] = None
    elif feed == "fills":
        case["candles"]["spread"] = None
        case["trade"]["requested_entry"] = case["trade"]["requested_exit"] = None
    else:
        case[feed] = None


def _attempt(rng: np.random.Generator, cause: str) -> dict[str, Any] | None:
    path = _path(rng)
    ratio = float(rng.choice([1.0, 1.5, 2.0]))
    width = (
        rng.uniform(7, 10) if cause in ("volatility_spike", "regime_drift") else rng.uniform(4, 9)
    )
    risk = int(width * path.sigma * 1.1 / POINT)
    reward = int(ratio * risk)
    plain = np.zeros((BEFORE + AFTER, STEPS))
    claims = cause in ("detector_misid", "false_positive") or rng.random() < 0.5
    if cause != "detector_misid" and claims:
        plain = _breakout(rng, path, plain)
    if cause == "detector_misid" and not _no_breakout(path, plain):
        return None
    hours = int(rng.choice([4, 24]))
    end = min(BEFORE + hours * 12, BEFORE + AFTER)
    extra = plain + _plant(rng, cause, path, risk)
    if cause == "spread_slippage":
        return _costly_trade(rng, path, extra, risk, ratio, claims)
    bar, result = _touch(path, extra, risk, reward, end)
    if result != -1 or bar >= end:
        return None
    if cause in PRICE_CAUSES:
        _, otherwise = _touch(
            path, plain if cause != "regime_drift" else _pre(extra, plain), risk, reward, end
        )
        if otherwise == -1 or bar < path.plant.get("jump", 0):
            return None
    trade = None
    if cause == "user_psychology":
        trade = _stressed_trade(rng, path, extra, risk, bar)
    elif rng.random() < 0.4:
        trade = _plain_trade(rng, path, extra, risk, bar)
    return _case(rng, cause, path, extra, risk, ratio, claims, f"{hours}H", trade)


def _pre(extra: np.ndarray, plain: np.ndarray) -> np.ndarray:
    """The same entry without the drift after it."""
    result = plain.copy()
    result[:BEFORE] = extra[:BEFORE]
    return result


def _trade(path: Path, extra: np.ndarray, risk: int, bar: int, **changes: Any) -> dict[str, Any]:
    opened = path.ohlc(extra)[0]
    entry = opened[BEFORE] * POINT
    stop = entry - path.side * risk * POINT
    return {
        "requested_entry": entry,
        "entry": entry,
        "entry_time": _iso(_time(BEFORE)),
        "requested_exit": None,
        "exit": stop,
        "exit_time": _iso(_time(bar, 60)),
        "exit_reason": "sl",
        "quantity": 1.0,
        "stop_loss_initial": stop,
        "stop_loss_final": stop,
        "commission": 0.0,
        "swap": 0.0,
        "on_plan": None,
        **changes,
    }


def _plain_trade(
    rng: np.random.Generator, path: Path, extra: np.ndarray, risk: int, bar: int
) -> dict[str, Any]:
    """Costs that do not matter; sometimes a planned size-up."""
    trade = _trade(path, extra, risk, bar)
    slip = path.side * rng.uniform(0, 0.04) * risk * POINT
    trade["entry"] = round(trade["entry"] + slip, 6)
    if rng.random() < 0.3:
        trade |= {"quantity": 2.0, "on_plan": True}
    return trade


def _stressed_trade(
    rng: np.random.Generator, path: Path, extra: np.ndarray, risk: int, bar: int
) -> dict[str, Any]:
    kind = str(rng.choice(["revenge", "overtrading", "stop_widened"]))
    path.plant["stress"] = kind
    trade = _trade(path, extra, risk, bar, on_plan=[False, None][int(rng.integers(0, 2))])
    if kind == "revenge":
        trade["quantity"] = round(float(rng.uniform(1.7, 3)), 2)
    if kind == "stop_widened":
        factor = rng.uniform(1.4, 2.0)
        start = trade["requested_entry"]
        final = start - path.side * factor * risk * POINT
        trade |= {"stop_loss_final": final, "exit": final}
    return trade


def _costly_trade(
    rng: np.random.Generator, path: Path, extra: np.ndarray, risk: int, ratio: float, claims: bool
) -> dict[str, Any] | None:
    """A trade closed by hand with a small gain on paper that its costs turned into a loss."""
    opened, high, low, close = path.ohlc(extra)
    bar = BEFORE + int(rng.integers(10, 60))
    s, entry = path.side, opened[BEFORE]
    gain = s * (close[bar] - entry)
    life = slice(BEFORE, bar + 1)
    worst = (low[life].min() if s == 1 else -high[life].max()) - s * entry
    best = (high[life].max() if s == 1 else -low[life].min()) - s * entry
    if not 0.03 * risk < gain < 0.4 * risk or worst <= -risk or best >= ratio * risk:
        return None
    cost = gain + risk * rng.uniform(0.15, 0.5)
    share = rng.uniform(0.3, 0.7)
    path.spread[BEFORE : bar + 1] *= rng.uniform(2, 5)
    trade = _trade(
        path,
        extra,
        risk,
        bar,
        entry=(entry + s * cost * share) * POINT,
        requested_exit=close[bar] * POINT,
        exit=(close[bar] - s * cost * (1 - share)) * POINT,
        exit_time=_iso(_time(bar, 120)),
        exit_reason="manual",
    )
    return _case(rng, "spread_slippage", path, extra, risk, ratio, claims, "TRADE", trade)


def _case(
    rng: np.random.Generator,
    cause: str,
    path: Path,
    extra: np.ndarray,
    risk: int,
    ratio: float,
    claims: bool,
    horizon: str,
    trade: dict[str, Any] | None,
) -> dict[str, Any]:
    opened, high, low, close = path.ohlc(extra)
    entry = opened[BEFORE] * POINT
    score = float(rng.uniform(55, 85))
    peers = np.exp(np.cumsum(path.peer_noise + path.peer_extra, axis=1))
    prices = {
        name: [round(float(x) * POINT, 5) for x in column]
        for name, column in (("open", opened), ("high", high), ("low", low), ("close", close))
    }
    far = _time(BEFORE - 300)
    return {
        "schema": "inquest.case/1",
        "id": "",
        "symbol": "EURUSD",
        "point": POINT,
        "pip": 0.0001,
        "horizon": horizon,
        "timeframe": "5m",
        "strategy": "simulated",
        "strategy_kind": "trend",
        "candles": {
            "time": [int(START.timestamp()) + i * BAR_S for i in range(opened.size)],
            **prices,
            "volume": [round(float(v), 1) for v in path.volume],
            "spread": [round(float(x)) * POINT for x in path.spread],
        },
        "signal": {
            "time": _iso(_time(BEFORE)),
            "side": "long" if path.side == 1 else "short",
            "entry": entry,
            "stop_loss": round(entry - path.side * risk * POINT, 5),
            "take_profit": round(entry + path.side * int(ratio * risk) * POINT, 5),
            "score": round(score, 1),
            "score_semantics": "probability",
            "min_score": 50.0,
            "model_version": "m1",
            "claimed_setups": ["breakout"] if claims else [],
        },
        "trade": trade,
        "news": _news(rng, cause, path),
        "peers": [
            {"symbol": name, "close": [round(float(x), 5) for x in peers[k] * base]}
            for k, (name, base) in enumerate((("GBPUSD", 1.27), ("AUDUSD", 0.66), ("NZDUSD", 0.61)))
        ],
        "outages": [
            {"start": _iso(far), "end": _iso(far + timedelta(minutes=20)), "what": "platform"}
        ],
        "model_history": _model_history(rng, cause, score),
        "setup_history": _setup_history(rng, cause, ratio),
        "trade_log": _trade_log(rng, cause, path) if trade else [],
    }
