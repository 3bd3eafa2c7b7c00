"""The second generator: markets made of order flow, events made of who trades and how much.

It shares no planting code with the first and plants by other means: prices follow the balance of
buyers and sellers in eight slices of a bar against a depth; a Markov chain switches between quiet
and busy hours; large orders come by themselves. An event changes activity, balance or depth, and
the same draws give the market with and without it.

    news_shock        after a release many trade and nearly all on one side
    external_shock    the same, unannounced, in all related markets at once
    liquidity_event   traders leave, depth falls, and one large order runs through what is left
    volatility_spike  activity many times the usual, in balance
    regime_drift      a lean to one side, turning against the trade soon after the entry
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from post_mortem.core.types import CAUSES

from . import second_records as records
from .market import Candles, Verdict, iso, judge
from .second_flow import BAR_S, JUMPS, SLICES, Event, Flow, make_flow
from .truth import MATERIAL_R, NAMED, Sample, Truth

_SUITE = 83
_SPLITS = ("train", "dev", "validation")
_ATTEMPTS = 5000
_TAIL = 10
_PLANS = (("5m", 4), ("5m", 24), ("15m", 24), ("1h", 24), ("5m", 0), ("15m", 0), ("1h", 0))
# symbol, price, decimals, pip, usual move of a day, spread in points, currencies, peers
_SYMBOLS: tuple[tuple[Any, ...], ...] = (
    ("AUDUSD", 0.66, 5, 0.0001, 0.006, 9.0, ("AUD", "USD"), (("NZDUSD", 1), ("EURUSD", 1))),
    ("EURJPY", 161.0, 3, 0.01, 0.006, 14.0, ("EUR", "JPY"), (("GBPJPY", 1), ("USDJPY", 1))),
    ("USDCAD", 1.36, 5, 0.0001, 0.0045, 12.0, ("USD", "CAD"), (("AUDUSD", -1), ("NZDUSD", -1))),
    ("XAGUSD", 24.0, 3, 0.01, 0.016, 25.0, ("USD",), (("XAUUSD", 1), ("EURUSD", 1))),
    ("ETH/USDT", 2300.0, 2, 0.01, 0.033, 40.0, ("USD",), (("BTC/USDT", 1), ("SOL/USDT", 1))),
)
_MARKET_CAUSES = (*JUMPS, "volatility_spike", "regime_drift")
# A lean or a busy market has to be there for a while before it can be the reason of a loss.
_LASTS = {"regime_drift": 20, "volatility_spike": 8}


# --- events --------------------------------------------------------------------------------------


def _event(cause: str, flow: Flow, bar: int) -> Event:
    n = len(flow)
    return Event(cause, bar, np.ones((n, SLICES)), np.zeros((n, SLICES)), np.ones(n))


def _make_event(
    rng: np.random.Generator, cause: str, flow: Flow, at: int, end: int, side: int
) -> Event:
    life = end - at
    if cause in JUMPS:
        return _rush(rng, cause, flow, at + int(rng.integers(2, max(3, int(0.7 * life)))), side)
    event = _event(cause, flow, at + int(rng.integers(0, max(1, life // 5))))
    if cause == "volatility_spike":
        stop = event.bar + int(rng.integers(max(10, life // 2), life + 2))
        event.activity[event.bar : stop] = rng.uniform(4.0, 12.0)
        return event
    # Balance moves slowly into its new lean.
    bars = np.arange(len(flow)) - event.bar
    grown = np.clip((bars + 1) / rng.uniform(1, 8), 0, 1)
    pull = rng.uniform(2.5, 4.5) * flow.sigma / np.sqrt(max(0.6 * life, 15)) / SLICES
    event.lean[:] = (-side * pull / (2 * flow.impact * flow.trades.mean()) * grown)[:, None]
    return event


def _rush(rng: np.random.Generator, cause: str, flow: Flow, bar: int, side: int) -> Event:
    event = _event(cause, flow, bar)
    size = flow.sigma * max(rng.uniform(5, 11), 1.5)
    slice_ = int(rng.integers(0, SLICES - 1))
    if cause == "liquidity_event":
        width = int(rng.integers(3, 9))
        near = slice(max(bar - width, 0), bar + width)
        event.depth[near] = rng.uniform(0.25, 0.6)
        event.activity[near] = rng.uniform(0.06, 0.3)
    else:
        wave = rng.uniform(3, 7) * 0.5 ** np.arange(6)
        stop = min(bar + 6, len(flow))
        event.activity[bar:stop] += wave[: stop - bar, None]
        event.shared = float(rng.uniform(0.7, 1.2)) if cause == "external_shock" else 0.0
        if cause == "news_shock":
            event.shared = float(rng.choice([0.0, 0.3, 0.6]))
            delay = int(rng.integers(0, 2)) * 120 if flow.timeframe == "5m" else 0
            event.release_s = int(flow.time[bar]) - delay
    one = flow.impact * 2 * flow.trades[bar, 0] * event.activity[bar, slice_] / event.depth[bar]
    share = size / one
    if share > 0.45:  # more than everyone on one side: deeper into the book instead
        event.depth[bar] *= 0.45 / share
        share = 0.45
    event.lean[bar, slice_] = -side * share
    return event


# --- cases ---------------------------------------------------------------------------------------


@dataclass
class Plan:
    """One attempt at a case."""

    kind: str
    flow: Flow
    hours: int
    at: int
    end: int
    side: int
    risk: int
    reward: int
    events: list[Event]
    candles: Candles
    verdict: Verdict
    claims: list[str] = field(default_factory=list)
    subtype: str = ""

    @property
    def entry(self) -> int:
        return int(self.candles.open[self.at])

    def judged(self, events: list[Event]) -> Verdict:
        candles = self.flow.candles(events)
        return judge(candles, self.at, self.end, self.side, self.risk, self.reward)


def make(split: str, kind: str, index: int) -> Sample:
    """Case number `index` of a split, of a cause or "unknown"."""
    key = (_SUITE, _SPLITS.index(split), CAUSES.index(kind), index)
    for attempt in range(_ATTEMPTS):
        sample = _attempt(np.random.default_rng((*key, attempt)), kind, key)
        if sample is not None:
            return sample
    raise RuntimeError(f"no valid {kind} case number {index} of {split}")


def _attempt(rng: np.random.Generator, kind: str, key: tuple[int, ...]) -> Sample | None:
    plan = _plan(rng, kind)
    if plan is None:
        return None
    deal = records.deal(rng, plan)
    if deal is None:
        return None
    saved: dict[str, float] = {}
    if kind in _MARKET_CAUSES:
        event = plan.events[-1]
        without = plan.judged([e for e in plan.events if e.cause != kind])
        seen = plan.verdict.bar - event.bar + 1
        saved[kind] = without.r - plan.verdict.r
        if without.r < 0 or seen < _LASTS.get(kind, 1):
            return None
    elif kind in NAMED:
        saved[kind] = deal.saved if deal.saved else -deal.r
    if any(value < MATERIAL_R for value in saved.values()):
        return None
    history = records.histories(rng, plan)
    if history is None:
        return None
    case = _case(rng, plan, deal, history)
    case["id"] = hashlib.sha256(repr(key).encode()).hexdigest()[:12]
    truth = Truth(
        *(case["id"], kind, {name: round(r, 3) for name, r in saved.items()}),
        kind="plain" if saved else "none",
        subtype=plan.subtype,
        outcome_r=round(deal.r, 3),
    )
    return Sample(case, truth)


def _plan(rng: np.random.Generator, kind: str) -> Plan | None:
    symbol = _SYMBOLS[int(rng.integers(len(_SYMBOLS)))]
    timeframe, hours = _PLANS[int(rng.integers(len(_PLANS)))]
    if kind == "spread_slippage":
        timeframe, hours = _PLANS[int(rng.integers(4, len(_PLANS)))]
    life = hours * 3600 // BAR_S[timeframe] if hours else int(rng.integers(30, 120))
    at = int(rng.integers(620, 1000))
    flow = make_flow(rng, symbol, timeframe, at + life + _TAIL)
    end = at + life
    if hours:
        limit = flow.time[at] + hours * 3600 - BAR_S[timeframe]
        end = int(np.searchsorted(flow.time, limit, "right"))
    if end - at < 14:
        return None
    side = int(rng.choice([1, -1]))
    events = []
    if kind == "regime_drift" or rng.random() < 0.2:
        events.append(_run_up(rng, flow, at, side))
    if kind in _MARKET_CAUSES:
        events.append(_make_event(rng, kind, flow, at, end, side))
    candles = flow.candles(events)
    claims = _claims(rng, candles, at, side, kind)
    if claims is None:
        return None
    reach = (rng.uniform(0.45, 1.1) * np.sqrt(life)).clip(3.5, None) * flow.sigma
    risk = max(int(reach * symbol[1] / flow.point), 12)
    reward = int(risk * rng.uniform(0.9, 2.2))
    plan = Plan(
        *(kind, flow, hours, at, end, side, risk, reward, events, candles),
        verdict=judge(candles, at, end, side, risk, reward),
        claims=claims,
    )
    return plan


def _run_up(rng: np.random.Generator, flow: Flow, at: int, side: int) -> Event:
    """A lean on the trade's side that ends at the entry."""
    event = _event("run_up", flow, at)
    bars = int(rng.integers(110, 280))
    pull = rng.uniform(2.0, 4.0) * flow.sigma / np.sqrt(bars) / SLICES
    event.lean[at - bars : at] = side * pull / (2 * flow.impact * flow.trades.mean())
    return event


def _claims(
    rng: np.random.Generator, candles: Candles, at: int, side: int, kind: str
) -> list[str] | None:
    """A breakout or a gap between candles, plain to see or plainly absent; None: start again."""
    high, low = candles.high[:at], candles.low[:at]
    close, opened = candles.close[:at], candles.open[:at]
    if side == -1:
        high, low, close, opened = -low, -high, -close, -opened
    usual = float(np.mean((high - low)[-14:])) + 1e-9
    out = [(close[i] - high[i - 20 : i].max()) / usual for i in range(at - 6, at)]
    held = [close[i - 1] - high[i - 21 : i - 1].max() <= 0 for i in range(at - 6, at)]
    room = [(low[i] - high[i - 2]) / usual for i in range(at - 6, at)]
    body = [close[i - 1] > opened[i - 1] for i in range(at - 6, at)]
    breaks = any(x >= 0.3 and h for x, h in zip(out[3:], held[3:], strict=True))
    gaps = any(x >= 0.3 and b for x, b in zip(room[3:], body[3:], strict=True))
    there = [name for name, found in (("breakout", breaks), ("fvg", gaps)) if found]
    if kind == "detector_misid":
        gone = [name for name, x in (("breakout", out), ("fvg", room)) if max(x) < -0.35]
        return [str(rng.choice(gone))] if gone else None
    if kind != "false_positive" and rng.random() < 0.25:
        return []
    return there or None


def _case(
    rng: np.random.Generator, plan: Plan, deal: records.Deal, history: dict[str, Any]
) -> dict[str, Any]:
    flow, at = plan.flow, plan.at
    _forget(rng, plan, deal.last)
    candles = flow.candles(plan.events)
    spread = np.where(deal.spread > 0, deal.spread, flow.spreads(plan.events))
    digits = flow.symbol[2]

    def prices(points: np.ndarray) -> list[float]:
        return [round(float(x) * flow.point, digits) for x in points]

    entry_s = int(flow.time[at])
    columns = {name: prices(getattr(candles, name)) for name in ("open", "high", "low", "close")}
    score = history.pop("score")
    return {
        "schema": "inquest.case/1",
        "id": "",
        "symbol": flow.symbol[0],
        "point": flow.point,
        "pip": flow.symbol[3],
        "horizon": f"{plan.hours}H" if plan.hours else "TRADE",
        "timeframe": flow.timeframe,
        "strategy": "order flow",
        "strategy_kind": "trend",
        "candles": {
            "time": flow.time.tolist(),
            **columns,
            "volume": [float(round(v)) for v in flow.volumes(plan.events)],
            "spread": prices(np.maximum(np.rint(spread), 1)),
        },
        "signal": {
            "time": iso(entry_s),
            "side": "long" if plan.side == 1 else "short",
            "entry": round(plan.entry * flow.point, digits),
            "stop_loss": round((plan.entry - plan.side * plan.risk) * flow.point, digits),
            "take_profit": round((plan.entry + plan.side * plan.reward) * flow.point, digits),
            "score": score,
            "score_semantics": "probability",
            "min_score": 50.0,
            "model_version": "flow-2",
            "claimed_setups": plan.claims,
        },
        "trade": deal.trade,
        "news": records.calendar(rng, plan, candles),
        "peers": _peers(plan),
        "outages": [],
        **history,
    }


def _forget(rng: np.random.Generator, plan: Plan, last: int) -> None:
    """New draws after the exit; the old ones were looked at."""
    flow, later = plan.flow, slice(last + 1, None)
    for event in plan.events:
        event.stop_at(last)
    flow.draws[later] = rng.standard_normal(flow.draws[later].shape)
    flow.large[later] = 0.0
    flow.peer_draws[:, later] = flow.sigma * rng.standard_normal(flow.peer_draws[:, later].shape)


def _peers(plan: Plan) -> list[dict[str, Any]]:
    paths = np.exp(np.cumsum(plan.flow.peers(plan.events), axis=1))
    return [
        {"symbol": name, "close": [round(float(x), 5) for x in 100 * path]}
        for (name, _), path in zip(plan.flow.symbol[7], paths, strict=True)
    ]
