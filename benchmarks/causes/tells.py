"""Whether the generators give the cause away by something that says nothing about markets.

A classifier sees only nuisances of a case: what prices did after the exit, the hour, the symbol,
how long lists are, digits, which feeds are there. If it names the cause better than it names
shuffled causes, the generator has a tell. It is a naive Bayes over quantile bins, cross-validated,
asked twice: all nuisances together (`accuracy`; `chance` is one in as many causes, `limit` the best
shuffled run and a margin), and each alone (`bits` the most that one of them tells about the cause,
`bits_limit` likewise).

Left out because a market gives them a meaning: horizon and timeframe (costs decide only an
executed trade's own life), the exit's time, score and size.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from post_mortem.core.types import CAUSES

from .truth import Truth

FOLDS = 5
BINS = 5
SHUFFLES = 20
MARGIN, MARGIN_BITS = 0.02, 0.01
_LISTS = ("news", "peers", "outages", "model_history", "setup_history", "trade_log")
_SEED = 5


def audit(truths: Sequence[Truth], found: Sequence[dict[str, float]]) -> dict[str, Any]:
    """What the nuisances of cases tell about their causes, against chance. Uses as many cases of
    each cause, compounds aside; too few say nothing."""
    single = _balanced(truths)
    if len(single) < 2 * FOLDS:
        return {"cases": len(single), "found": None}
    rows = [found[i] for i in single]
    names = sorted(rows[0])
    table = np.array([[row[name] for name in names] for row in rows], float)
    cause = np.array([CAUSES.index(truths[i].cause) for i in single])
    rng = np.random.default_rng(_SEED)
    fold = _folds(rng, cause)
    binned = np.stack([_bins(column) for column in table.T], axis=1)
    accuracy, _ = _judged(binned, cause, fold)
    alone = _bits(binned, cause, fold)
    by_chance, bits_by_chance = [], []
    for _ in range(SHUFFLES):
        mixed = rng.permutation(cause)
        again = _folds(rng, mixed)
        by_chance.append(_judged(binned, mixed, again)[0])
        bits_by_chance.append(max(_bits(binned, mixed, again)))
    chance = float(np.bincount(cause).max() / cause.size)
    limit = max(chance, *by_chance) + MARGIN
    bits_limit = max(bits_by_chance) + MARGIN_BITS
    return {
        "cases": int(cause.size),
        "accuracy": round(accuracy, 4),
        "chance": round(chance, 4),
        "limit": round(limit, 4),
        "bits": round(max(alone), 4),
        "bits_limit": round(bits_limit, 4),
        "tells_most": names[int(np.argmax(alone))],
        "found": bool(accuracy > limit or max(alone) > bits_limit),
    }


def _folds(rng: np.random.Generator, cause: np.ndarray) -> np.ndarray:
    """Every cause as often in every fold: else the rarer in training is the likelier in test."""
    fold = np.empty(cause.size, int)
    for kind in np.unique(cause):
        rows = np.flatnonzero(cause == kind)
        fold[rows] = rng.permutation(rows.size) % FOLDS
    return fold


def _bits(binned: np.ndarray, cause: np.ndarray, fold: np.ndarray) -> list[float]:
    """What each nuisance alone tells about the cause."""
    return [_judged(binned[:, [i]], cause, fold)[1] for i in range(binned.shape[1])]


def _balanced(truths: Sequence[Truth]) -> list[int]:
    """Indices of as many cases of each cause that there is."""
    groups = [
        [i for i, t in enumerate(truths) if t.cause == cause and t.kind in ("plain", "none")]
        for cause in CAUSES
    ]
    least = min((len(group) for group in groups if group), default=0)
    return [i for group in groups for i in group[:least]]


def nuisances(case: dict[str, Any]) -> dict[str, float]:
    """Numbers about a case that no market event explains."""
    candles, signal = case["candles"], case["signal"]
    time, close = np.asarray(candles["time"]), np.log(candles["close"])
    entry = datetime.fromisoformat(signal["time"])
    at = int(np.searchsorted(time, entry.timestamp()))
    leave = datetime.fromisoformat(case["trade"]["exit_time"]).timestamp()
    last = min(int(np.searchsorted(time, leave, "right")) - 1, time.size - 2)
    side = 1 if signal["side"] == "long" else -1
    moves = np.diff(close)
    usual = float(np.std(moves[max(at - 100, 0) : at])) + 1e-12
    after = moves[last:]
    lengths = {f"n_{name}": -1.0 if case[name] is None else len(case[name]) for name in _LISTS}
    there = {f"has_{name}": float(candles[name] is not None) for name in ("volume", "spread")}
    return {
        "drift_after": side * float(after.sum()) / usual / np.sqrt(after.size),
        "pace_after": float(np.std(after)) / usual,
        "hour": entry.hour,
        "weekday": entry.weekday(),
        "year": entry.astimezone(UTC).year,
        "symbol": sum(map(ord, case["symbol"])) % 97,
        "side": side,
        "bars": time.size,
        "bars_before": at,
        "id": int(case["id"][:6], 16) if _is_hex(case["id"][:6]) else -1,
        "decimals": len(repr(signal["entry"]).partition(".")[2]),
        "last_digit": int(repr(signal["entry"])[-1]),
        "stop_digit": int(repr(signal["stop_loss"])[-1]),
        "exit_digits": len(repr(case["trade"]["exit"])),
        "second": int(leave) % 60,
        "strategy": len(str(case["strategy"])),
        "keys": len(case) + len(signal) + len(case["trade"]),
        **lengths,
        **there,
    }


def _is_hex(text: str) -> bool:
    return bool(text) and all(c in "0123456789abcdef" for c in text)


def _bins(column: np.ndarray) -> np.ndarray:
    """Quantile bins, or the values themselves where there are few."""
    values = np.unique(column)
    if values.size <= 2 * BINS:
        return np.searchsorted(values, column)
    edges = np.quantile(column, np.arange(1, BINS) / BINS)
    return np.searchsorted(edges, column, "right")


def _judged(binned: np.ndarray, cause: np.ndarray, fold: np.ndarray) -> tuple[float, float]:
    """Of a naive Bayes fitted on the other folds: share of cases named right, and the bits by which
    it is better than equal odds (negative where it is worse)."""
    size, kinds = int(binned.max()) + 1, int(cause.max()) + 1
    right, bits = 0, 0.0
    present = np.bincount(cause, minlength=kinds) > 0
    for k in range(FOLDS):
        train, test = fold != k, np.flatnonzero(fold == k)
        score = np.tile(np.where(present, 0.0, -np.inf), (test.size, 1))
        for i in range(binned.shape[1]):
            count = np.full((kinds, size), 1.0)
            np.add.at(count, (cause[train], binned[train, i]), 1)
            score += np.log(count / count.sum(axis=1, keepdims=True)).T[binned[test, i]]
        right += int((score.argmax(axis=1) == cause[test]).sum())
        odds = np.exp(score - score.max(axis=1, keepdims=True))
        own = odds[np.arange(test.size), cause[test]] / odds.sum(axis=1)
        bits += float(np.log2(own * present.sum()).sum())
    return right / cause.size, bits / cause.size
