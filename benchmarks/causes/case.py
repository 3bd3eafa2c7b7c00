"""A portable case of the first generator, from a scene and the execution of its trade."""

from __future__ import annotations

from typing import Any

import numpy as np

from .fills import Execution
from .market import Candles, Noise, iso
from .plant import JUMPS
from .records import Past, news, outages, trade_log
from .scene import Scene


def write(
    rng: np.random.Generator, scene: Scene, execution: Execution, past: Past
) -> dict[str, Any]:
    """The portable case of a validated scene, without an id."""
    candles, noise = _published(rng, scene, execution.last)
    instrument, at = noise.instrument, scene.at
    entry_s = int(noise.time[at])
    jump = next((p for p in scene.plants if p.cause in JUMPS), None)
    moves = np.log(candles.close / np.concatenate([candles.open[:1], candles.close[:-1]]))
    calendar = news(
        *(rng, noise, moves, entry_s),
        release_s=jump.release_s if jump else 0,
        avoid_s=int(noise.time[jump.bar]) if jump else 0,
    )
    point, decimals = instrument.point, instrument.decimals
    level = int(candles.open[at])

    def price(points: float) -> float:
        return round(float(points) * point, decimals)

    columns = {
        name: [price(x) for x in getattr(candles, name)]
        for name in ("open", "high", "low", "close")
    }
    return {
        "schema": "inquest.case/1",
        "id": "",
        "symbol": instrument.symbol,
        "point": point,
        "pip": instrument.pip,
        "horizon": scene.horizon,
        "timeframe": noise.timeframe,
        "strategy": "simulated",
        "strategy_kind": scene.strategy_kind,
        "candles": {
            "time": noise.time.tolist(),
            **columns,
            "volume": None if noise.volume is None else [float(round(v, 2)) for v in noise.volume],
            "spread": [price(max(round(x), 1)) for x in noise.spread],
        },
        "signal": {
            "time": iso(entry_s),
            "side": "long" if scene.side == 1 else "short",
            "entry": price(level),
            "stop_loss": price(level - scene.side * scene.risk),
            "take_profit": price(level + scene.side * scene.reward),
            "score": past.score,
            "score_semantics": "probability",
            "min_score": past.minimum,
            "model_version": f"m{int(rng.integers(1, 5))}",
            "claimed_setups": list(scene.claimed),
        },
        "trade": execution.trade,
        "news": calendar,
        "peers": _peers(rng, scene, noise),
        "outages": sorted(
            outages(rng, noise, entry_s) + execution.outages,
            key=lambda row: str(row["start"]),
        ),
        "model_history": past.models,
        "setup_history": past.setups,
        "trade_log": trade_log(rng, entry_s, instrument.lot, execution.stress),
    }


def _published(rng: np.random.Generator, scene: Scene, last: int) -> tuple[Candles, Noise]:
    """What the case shows: the planted world up to bar `last`, then a market that knows nothing.

    The noise after the exit was looked at to validate the impact; published, it would tell."""
    noise, at = scene.noise, scene.at
    for item in scene.plants:
        item.until(last)
    scene.trend[last + 1 :] = 0.0
    after = slice(last + 1, len(noise))
    count = len(noise) - last - 1
    source = int(rng.integers(0, max(at - count, 1)))
    copied = slice(source, source + count)
    noise.steps[after] = noise.steps[copied]
    noise.gap[after] = noise.gap[copied]
    noise.peers[:, after] = noise.peers[:, copied]
    noise.spread[after] = noise.spread[copied]
    if noise.volume is not None:
        noise.volume[after] = noise.volume[copied]
        noise.volume = noise.volume * np.prod([p.volume for p in scene.plants], axis=0)
    for item in scene.plants:
        noise.spread = noise.spread * item.spread
    return scene.world(scene.plants), noise


def _peers(rng: np.random.Generator, scene: Scene, noise: Noise) -> list[dict[str, Any]] | None:
    """Closes of two to four related markets; in some cases one jumps while this one does not."""
    if not len(noise.peers):
        return None
    moves = noise.peers + sum(p.peers for p in scene.plants)
    if rng.random() < 0.3:
        bar = int(rng.integers(scene.at, len(noise)))
        moves[int(rng.integers(len(moves))), bar] += float(
            rng.choice([-1, 1]) * rng.uniform(5, 9) * noise.base
        )
    count = int(rng.integers(min(2, len(moves)), len(moves) + 1))
    result = []
    for k in sorted(rng.permutation(len(moves))[:count].tolist()):
        name, base, _ = noise.instrument.peers[k]
        close = base * np.exp(np.cumsum(moves[k]))
        digits = 5 if base < 10 else 3
        result.append({"symbol": name, "close": [round(float(x), digits) for x in close]})
    return result
