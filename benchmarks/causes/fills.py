"""How the trade of a case was filled: small costs, or a planted cost, outage or stress.

Every case carries an executed trade. Fills start from mid prices; a stop that a jump ran over is
filled beyond it, which is a fact of the jump and not the cause.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from . import records
from .market import NEUTRAL_R, iso, judge
from .scene import Scene


@dataclass
class Execution:
    """`last`: the last bar of the planted world that is published. `r`: the result in R of what
    the case is judged by. `saved`: what removing a planted cause of the execution would save."""

    trade: dict[str, Any]
    last: int
    r: float
    stress: str = ""
    outages: list[dict[str, Any]] = field(default_factory=list)
    saved: dict[str, float] = field(default_factory=dict)


def execute(rng: np.random.Generator, scene: Scene) -> Execution | None:
    """The trade on this market; None where it does not lose as its causes ask."""
    forms = scene.forms
    if "spread_slippage" in forms:
        by_spread = forms["spread_slippage"] == "stop_by_spread"
        return _stopped_by_spread(rng, scene) if by_spread else _eaten(rng, scene)
    if forms.get("external_shock") == "outage":
        return _shut_out(rng, scene)
    if scene.verdict.hit == 1 or scene.verdict.r >= -NEUTRAL_R - 0.02:
        return None
    stress = forms.get("user_psychology", "")
    if stress == "stop_widened":
        return _widened(rng, scene)
    return _usual(rng, scene, stress)


def _trade(
    rng: np.random.Generator, scene: Scene, entry: float, leave: float, bar: int, **more: Any
) -> dict[str, Any]:
    """Fills in points, with quantity and small fees."""
    noise, at = scene.noise, scene.at
    point, digits = noise.instrument.point, noise.instrument.decimals + 1
    quantity, planned, _ = records.size_of(rng, noise.instrument.lot, "")
    start = int(scene.candles.open[at])
    stop = round((start - scene.side * scene.risk) * point, digits)
    moment = noise.time[bar] + rng.uniform(0.55, 0.98) * noise.bar_s
    fee = rng.uniform(0.0, 0.02) * scene.risk * point
    trade = {
        "requested_entry": round(start * point, digits),
        "entry": round(entry * point, digits),
        "entry_time": iso(noise.time[at]),
        "requested_exit": None,
        "exit": round(leave * point, digits),
        "exit_time": iso(moment),
        "exit_reason": "sl",
        "quantity": quantity,
        "stop_loss_initial": stop,
        "stop_loss_final": stop,
        "commission": fee * quantity,
        "swap": 0.0,
        "on_plan": planned,
    }
    trade |= more
    trade["commission"] = round(trade["commission"], 4)
    return plain(trade)


def plain(row: dict[str, Any]) -> dict[str, Any]:
    """Numbers as Python writes them, whatever arithmetic they come from."""
    return {key: float(x) if isinstance(x, np.floating) else x for key, x in row.items()}


def _result(scene: Scene, trade: dict[str, Any]) -> float:
    """R of the fills without fees against the initial stop."""
    risk = abs(trade["entry"] - trade["stop_loss_initial"])
    return float(scene.side * (trade["exit"] - trade["entry"]) / risk)


def _entry_fill(rng: np.random.Generator, scene: Scene) -> float:
    """Half the spread and a small slip; now and then many pips that are little of the risk."""
    noise = scene.noise
    start = float(scene.candles.open[scene.at])
    slip = rng.uniform(0, 0.02) * scene.risk
    pips = noise.instrument.pip / noise.instrument.point
    if rng.random() < 0.4 and scene.risk > 50 * pips:
        slip = rng.uniform(3.2, 6.0) * pips
    return start + scene.side * (noise.spread[scene.at] / 2 + slip)


def _usual(rng: np.random.Generator, scene: Scene, stress: str) -> Execution | None:
    verdict, side = scene.verdict, scene.side
    bar = verdict.bar
    entry = _entry_fill(rng, scene)
    start = float(scene.candles.open[scene.at])
    half = scene.spread(bar) / 2
    if verdict.hit == -1:
        wanted, reason = start - side * scene.risk, "sl"
        beyond = side * (wanted - float(scene.candles.close[bar]))
        opened = side * (wanted - float(scene.candles.open[bar]))
        run_over = max(opened, 0.0) + rng.uniform(0, 0.3) * max(beyond - max(opened, 0.0), 0.0)
        leave = wanted - side * (half + run_over)
    else:
        wanted, reason = float(scene.candles.close[bar]), "time"
        leave = wanted - side * half
    point, digits = scene.noise.instrument.point, scene.noise.instrument.decimals + 1
    more: dict[str, Any] = {
        "exit_reason": reason,
        "requested_exit": round(wanted * point, digits),
    }
    saved = {}
    if stress:
        quantity, planned, factor = records.size_of(rng, scene.noise.instrument.lot, stress)
        more |= {"quantity": quantity, "on_plan": planned}
        if planned is True:
            more["on_plan"] = None
        loss = -verdict.r
        saved["user_psychology"] = loss if stress == "overtrading" else (factor - 1) * loss
    trade = _trade(rng, scene, entry, leave, bar, **more)
    r = _result(scene, trade) if scene.is_trade else verdict.r
    if r >= -NEUTRAL_R - 0.02:
        return None
    return Execution(trade, bar, r, stress, saved=saved)


def _widened(rng: np.random.Generator, scene: Scene) -> Execution | None:
    """The stop was moved away and the loss grew: without it, it had been the initial one."""
    factor = float(rng.uniform(1.35, 2.0))
    wide = int(scene.risk * factor)
    verdict = judge(scene.candles, scene.at, scene.end, scene.side, wide, scene.reward)
    if verdict.hit != -1 or scene.verdict.hit != -1 or scene.plants:
        return None
    start = float(scene.candles.open[scene.at])
    point, digits = scene.noise.instrument.point, scene.noise.instrument.decimals + 1
    final = start - scene.side * wide
    leave = final - scene.side * scene.noise.spread[verdict.bar] / 2
    trade = _trade(
        *(rng, scene, _entry_fill(rng, scene), leave, verdict.bar),
        stop_loss_final=round(final * point, digits),
        requested_exit=round(final * point, digits),
        on_plan=False if rng.random() < 0.5 else None,
    )
    return Execution(
        trade, verdict.bar, -1.0, "stop_widened", saved={"user_psychology": factor - 1}
    )


def _quiet_bars(scene: Scene) -> np.ndarray:
    """Bars of the life before any touch of stop or target."""
    stop = scene.verdict.bar if scene.verdict.hit else scene.end
    return np.arange(scene.at + 5, min(stop, scene.end - 1))


def _eaten(rng: np.random.Generator, scene: Scene) -> Execution | None:
    """Closed by hand with a gain on paper that spread, slippage and fees turned into a loss."""
    side, start = scene.side, float(scene.candles.open[scene.at])
    bars = _quiet_bars(scene)
    gain = side * (scene.candles.close[bars] - start) / scene.risk
    fit = bars[(gain > 0.05) & (gain < 0.45)]
    if not fit.size:
        return None
    bar = int(rng.choice(fit))
    paper = side * (float(scene.candles.close[bar]) - start) / scene.risk
    cost = paper + rng.uniform(0.18, 0.6)
    shares = rng.dirichlet([1.2, 1.2, 0.8])
    wide = rng.uniform(1.0, 3.0)
    scene.noise.spread[scene.at : scene.at + 2] *= wide
    scene.noise.spread[bar - 1 : bar + 1] *= rng.uniform(1.0, 3.0)
    entry = start + side * cost * shares[0] * scene.risk
    leave = float(scene.candles.close[bar]) - side * cost * shares[1] * scene.risk
    point, digits = scene.noise.instrument.point, scene.noise.instrument.decimals + 1
    quantity, planned, _ = records.size_of(rng, scene.noise.instrument.lot, "")
    fees = float(cost * shares[2] * scene.risk * point * quantity)
    trade = _trade(
        *(rng, scene, entry, leave, bar),
        requested_exit=round(float(scene.candles.close[bar]) * point, digits),
        exit_reason="manual",
        quantity=quantity,
        on_plan=planned,
        commission=fees,
    )
    net = _result(scene, trade) - fees / quantity / point / scene.risk
    if net > -0.13 or scene.verdict.bar <= bar:
        return None
    return Execution(trade, bar, net, saved={"spread_slippage": paper - net})


def _stopped_by_spread(rng: np.random.Generator, scene: Scene) -> Execution | None:
    """Quotes widened for a moment and took the stop that mid prices never touched."""
    verdict, side = scene.verdict, scene.side
    if verdict.hit != 1:
        return None
    start = float(scene.candles.open[scene.at])
    bars = np.arange(scene.at + 3, verdict.bar)
    worst = (scene.candles.low if side == 1 else -scene.candles.high)[bars] - side * start
    room = worst + scene.risk  # points left above the stop
    near = bars[(room > 0) & (room < 0.3 * scene.risk)]
    if not near.size:
        return None
    bar = int(near[0])
    left = float(room[bar - bars[0]])
    half = left * rng.uniform(1.05, 1.5)
    if not 1.2 * scene.noise.spread[bar] < 2 * half < 15 * scene.noise.spread[bar]:
        return None
    scene.noise.spread[bar] = 2 * half
    stop = start - side * scene.risk
    point, digits = scene.noise.instrument.point, scene.noise.instrument.decimals + 1
    trade = _trade(
        *(rng, scene, _entry_fill(rng, scene), stop - side * (half - left), bar),
        requested_exit=round(stop * point, digits),
    )
    r = _result(scene, trade)
    return Execution(trade, bar, r, saved={"spread_slippage": verdict.r - r})


def _shut_out(rng: np.random.Generator, scene: Scene) -> Execution | None:
    """The platform was down: a trade that was ahead could not be closed before it had lost."""
    side, start = scene.side, float(scene.candles.open[scene.at])
    bars = _quiet_bars(scene)
    made = side * (scene.candles.close[bars] - start) / scene.risk
    ends = bars[made < -0.3]
    if not ends.size:
        return None
    end = int(rng.choice(ends))
    begins = bars[(bars < end - 2) & (made > 0.08)]
    if not begins.size:
        return None
    begin = int(begins[-1])
    leave = float(scene.candles.close[end]) - side * scene.noise.spread[end] / 2
    trade = _trade(*(rng, scene, _entry_fill(rng, scene), leave, end), exit_reason="manual")
    down_from = int(scene.noise.time[begin]) + scene.noise.bar_s - 1
    down_to = int(scene.noise.time[end]) + int(0.5 * scene.noise.bar_s)
    r = _result(scene, trade)
    saved = float(made[begin - bars[0]]) - r
    row = {"start": iso(down_from), "end": iso(down_to), "what": "broker platform"}
    return Execution(trade, end, r, outages=[row], saved={"external_shock": saved})
