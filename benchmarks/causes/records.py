"""What surrounds a trade in the first generator: calendar, histories, trade log, outages.

Every case gets all of it, with confounders: releases that moved nothing, high but calibrated
scores, streaks too short to mean anything, sizes that were planned, busy traders who always are.
A planted record cause changes only what it means; lengths and formats are drawn alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .market import Instrument, Noise, iso
from .structures import NAMES

_TITLES = ("Consumer prices", "Employment", "Retail sales", "Rate decision", "Output", "Sentiment")
_OTHER_CURRENCIES = ("SEK", "ZAR", "MXN", "PLN")
_QUIET_S = 20 * 60
_BIG_MOVE = 2.8  # in volatilities of its bar
_NEAR_SCORE = 8.0
_VISIBLE_EXCESS = 0.15
HOUR = 3600

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Past:
    """What was known of model and setup before a trade. `honest` is the score that the model's
    results would have justified, `setup_mean_r` what the claimed setup had made in the mean."""

    score: float
    minimum: float
    models: Rows
    setups: Rows
    honest: float
    setup_mean_r: float


def draw_past(
    rng: np.random.Generator, forms: Mapping[str, str], claimed: tuple[str, ...], ratio: float
) -> Past | None:
    """Score and histories; None where chance hid how wrong the scores are."""
    minimum = float(rng.choice([50.0, 55.0, 60.0]))
    below = forms.get("model_error") == "taken_below_threshold"
    low, high = (minimum - 15, minimum - 3) if below else (minimum + 1, 88)
    score = round(float(rng.uniform(low, high)), 1)
    gap = float(rng.uniform(0.25, 0.45)) if "model_error" in forms and not below else 0.0
    models, excess = model_history(rng, score, gap)
    if gap and excess < _VISIBLE_EXCESS:
        return None
    setups, mean_r = setup_history(rng, claimed, ratio, "false_positive" in forms)
    return Past(score, minimum, models, setups, score - 100 * gap, mean_r)


def news(
    rng: np.random.Generator,
    noise: Noise,
    moves: np.ndarray,
    entry_s: int,
    release_s: int = 0,
    avoid_s: int = 0,
) -> Rows:
    """A calendar in which only the release at `release_s` (0: none) moved the price.

    `moves` are the log returns of the published bars; other releases keep away from bars that
    moved much. At `avoid_s` a planted jump of another cause lies: a currency that this market does
    not trade in may have news there.
    """
    busy = noise.time[np.abs(moves) > _BIG_MOVE * noise.sigma]
    rows = []
    if release_s:
        surprise = float(rng.choice([-1, 1]) * rng.uniform(1.2, 3.5))
        known = round(surprise, 2) if rng.random() < 0.7 else None
        impact = str(rng.choice(["high", "high", "high", "medium"]))
        rows.append(_release(rng, release_s, noise.instrument.currencies, impact, known))
    elif avoid_s and rng.random() < 0.2:
        rows.append(_release(rng, avoid_s - avoid_s % 300, _OTHER_CURRENCIES, "high", None))
    wanted = int(rng.integers(2, 8))
    near_entry = rng.random() < 0.4
    for _ in range(40):
        if len(rows) >= wanted:
            break
        if near_entry:
            moment = entry_s + int(rng.uniform(-1800, 1800))
        else:
            moment = int(rng.integers(noise.time[0], noise.time[-1]))
        moment -= moment % 300
        clear = np.all((busy < moment - noise.bar_s - 60) | (busy > moment + _QUIET_S))
        if not clear or (release_s and abs(moment - release_s) < 2 * _QUIET_S):
            continue
        near_entry = False
        rows.append(_quiet_release(rng, moment, noise.instrument))
    return sorted(rows, key=lambda row: row["time"])


def _quiet_release(rng: np.random.Generator, moment: int, instrument: Instrument) -> dict[str, Any]:
    own = rng.random() < 0.8
    kind = rng.random()
    surprise = None
    if kind < 0.6:
        surprise = round(float(rng.normal(0, 0.6)), 2)
    elif kind < 0.75:
        surprise = round(float(rng.choice([-1, 1]) * rng.uniform(1.2, 2.5)), 2)
    impact = str(rng.choice(["high", "medium", "low"]))
    return _release(
        rng, moment, instrument.currencies if own else _OTHER_CURRENCIES, impact, surprise
    )


def _release(
    rng: np.random.Generator,
    moment: int,
    currencies: tuple[str, ...],
    impact: str,
    surprise: float | None,
) -> dict[str, Any]:
    return {
        "time": iso(moment),
        "currency": str(rng.choice(currencies)),
        "impact": impact,
        "title": str(rng.choice(_TITLES)),
        "surprise_z": surprise,
    }


def model_history(rng: np.random.Generator, score: float, gap: float) -> tuple[Rows, float]:
    """Scores and results; scores near this one come true `gap` less often than they say.

    Returns the rows and by how much the scores near this one were too high in the sample."""
    total = int(rng.integers(45, 100))
    near = int(rng.integers(22, 42))
    streak = gap == 0 and rng.random() < 0.15
    if streak:
        near = int(rng.integers(2, 7))
    close_by = np.clip(score + rng.uniform(-_NEAR_SCORE, _NEAR_SCORE, near), 1, 99)
    far = rng.uniform(25, 97, 4 * total)
    far = far[np.abs(far - score) > 2 * _NEAR_SCORE][: total - near]
    won_near = rng.random(near) < np.clip(close_by / 100 - gap, 0.02, 0.98)
    if streak:
        won_near[:] = False
    won_far = rng.random(far.size) < far / 100
    order = rng.permutation(near + far.size)
    scores = np.concatenate([close_by, far])[order]
    won = np.concatenate([won_near, won_far])[order]
    rows = [{"score": round(float(s), 1), "won": bool(w)} for s, w in zip(scores, won, strict=True)]
    return rows, float(np.mean(close_by / 100) - won_near.mean())


def setup_history(
    rng: np.random.Generator, claimed: tuple[str, ...], ratio: float, bad: bool
) -> tuple[Rows, float]:
    """Earlier results of setups; the first claimed one loses money if `bad`.

    Returns the rows and the mean R of the first claimed setup in the sample (0 without any)."""
    total = int(rng.integers(45, 100))
    even = 1 / (1 + ratio)
    rates = {name: even + float(rng.uniform(0.03, 0.15)) for name in (*NAMES, "order_block")}
    first = claimed[0] if claimed else "order_block"
    n, streak = int(rng.integers(20, 44)), False
    if bad:
        rates[first] = even * float(rng.uniform(0.25, 0.55))
    else:
        kind = rng.random()
        streak = kind < 0.2
        n = int(rng.integers(3, 8)) if streak else n if kind < 0.85 else 0
    others = [name for name in rates if name != first]
    names = np.array([first] * n + [str(x) for x in rng.choice(others, total - n)])
    won = rng.random(total) < np.array([rates[str(name)] for name in names])
    if streak:
        won[:n] = False
    mean = float(np.where(won[:n], ratio, -1.0).mean()) if n else 0.0
    order = rng.permutation(total)
    rows = [
        {"setup": str(names[i]), "won": bool(won[i]), "reward_risk": ratio} for i in order.tolist()
    ]
    return rows, mean


def trade_log(rng: np.random.Generator, entry_s: int, lot: float, stress: str) -> Rows:
    """Trades before the entry. `stress`: "revenge" (losses just before), "overtrading" (far more
    trades than this trader makes), or "" (as ever; some always trade a lot)."""
    n = int(rng.integers(45, 90))
    usual = rng.uniform(0.5, 0.9) if not stress and rng.random() < 0.15 else rng.uniform(3.5, 9)
    gaps = rng.exponential(usual * HOUR, n)
    last = float(rng.uniform(200, 4 * HOUR))
    if stress == "overtrading":
        burst = int(rng.integers(12, 20))
        gaps[-burst:] = rng.uniform(600, 1500, burst)
        last = float(rng.uniform(120, 1500))
    if stress == "revenge" or rng.random() < 0.25:
        last = float(rng.uniform(120, 1600))
    times = entry_s - last - np.concatenate([np.cumsum(gaps[::-1])[::-1][1:], [0.0]])
    won = rng.random(n) < 0.47
    if stress == "revenge":
        won[-int(rng.integers(1, 5)) :] = False
    r = np.where(won, rng.uniform(0.4, 2.0, n), -rng.uniform(0.5, 1.05, n))
    size = lot * rng.lognormal(0, 0.08, n)
    return [
        {"exit_time": iso(t), "r": round(float(x), 2), "quantity": _rounded(float(q))}
        for t, x, q in zip(times, r, size, strict=True)
    ]


def _rounded(quantity: float) -> float:
    return float(f"{quantity:.3g}")


def size_of(rng: np.random.Generator, lot: float, stress: str) -> tuple[float, bool | None, float]:
    """Quantity, whether it was planned, and how many usual sizes it is."""
    usual = float(rng.lognormal(0, 0.08))
    if stress == "revenge":
        factor = float(rng.uniform(1.7, 3.2))
        return _rounded(lot * factor), None if rng.random() < 0.5 else False, factor
    if not stress and rng.random() < 0.2:
        return _rounded(lot * float(rng.uniform(1.7, 2.6))), True, 1.0
    return _rounded(lot * usual), [True, False, None, None][int(rng.integers(4))], 1.0


def outages(rng: np.random.Generator, noise: Noise, entry_s: int) -> Rows:
    """Outages of the platform that touched nothing: all over before the entry."""
    first = int(noise.time[0])
    rows = []
    for _ in range(int(rng.integers(0, 3))):
        start = int(rng.integers(first, max(entry_s - 2 * HOUR, first + 1)))
        end = min(start + int(rng.uniform(300, 5400)), entry_s - 600)
        rows.append({"start": iso(start), "end": iso(end), "what": "platform"})
    return sorted(rows, key=lambda row: str(row["start"]))
