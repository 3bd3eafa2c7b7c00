"""Figures of ranked answers against the truth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from post_mortem.core.types import CAUSES

from .truth import Truth

BINS = 10
SURE = 0.60


@dataclass(frozen=True)
class Answer:
    """Ranked causes, best first, and the posterior of the first."""

    ranked: tuple[str, ...]
    posterior: float

    @property
    def first(self) -> str:
        return self.ranked[0] if self.ranked else "none"


def figures(truths: Sequence[Truth], answers: Sequence[Answer]) -> dict[str, Any]:
    """AC@1, AC@3, Avg@3, macro, per cause precision and recall, calibration, confusion.

    Shares are of cases; a figure without any case is null. `ece` takes ten equal bins of the first
    answer's posterior, `brier` its squared distance from whether the answer was right.
    `precision_sure`: of named first answers with a posterior of .60 or more. `abstain_none`: of
    losers with nothing wrong, how many are called unknown."""
    n = len(truths)
    if not n:
        return {"cases": 0}
    cause = np.array([truth.cause for truth in truths])
    first = np.array([answer.first for answer in answers])
    place = [_place(t.cause, a.ranked) for t, a in zip(truths, answers, strict=True)]
    places = np.array(place)
    right = places == 1
    posterior = np.array([answer.posterior for answer in answers])
    at = [float(np.mean(places <= k)) for k in (1, 2, 3)]
    present = [name for name in CAUSES if (cause == name).any()]
    recall = {name: float(right[cause == name].mean()) for name in present}
    precision = {name: _mean(right[first == name]) for name in CAUSES}
    sure = (posterior >= SURE) & (first != "unknown")
    confusion = Counter(zip(cause.tolist(), first.tolist(), strict=True))
    result = {
        "cases": n,
        "ac1": at[0],
        "ac3": at[2],
        "avg3": float(np.mean(at)),
        "macro_ac1": float(np.mean(list(recall.values()))),
        "ece": calibration_error(posterior, right),
        "brier": float(np.mean((posterior - right) ** 2)),
        "abstain_none": recall.get("unknown"),
        "recall": recall,
        "precision": precision,
        "precision_sure": _mean(right[sure]),
        "sure": float(sure.mean()),
        "confusion": {
            name: {other: confusion[name, other] for other in CAUSES if confusion[name, other]}
            for name in present
        },
    }
    return rounded(result)


def _place(cause: str, ranked: tuple[str, ...]) -> int:
    return ranked.index(cause) + 1 if cause in ranked else len(CAUSES) + 1


def _mean(values: np.ndarray) -> float | None:
    return float(values.mean()) if values.size else None


def calibration_error(posterior: np.ndarray, right: np.ndarray) -> float:
    """Mean distance between what is believed and what is so, over ten equal bins."""
    bins = np.minimum((posterior * BINS).astype(int), BINS - 1)
    return float(
        sum(
            np.mean(bins == k) * abs(right[bins == k].mean() - posterior[bins == k].mean())
            for k in np.unique(bins)
        )
    )


def compounds(truths: Sequence[Truth], answers: Sequence[Answer]) -> dict[str, Any]:
    """Of cases with two causes: the one that cost most first, either first, both in three."""
    both = [(t, a) for t, a in zip(truths, answers, strict=True) if t.kind == "compound"]
    if not both:
        return {"cases": 0}
    return rounded(
        {
            "cases": len(both),
            "ac1": float(np.mean([a.first == t.cause for t, a in both])),
            "either_first": float(np.mean([a.first in t.planted for t, a in both])),
            "both_in_three": float(np.mean([set(t.planted) <= set(a.ranked[:3]) for t, a in both])),
        }
    )


def rounded(value: Any) -> Any:
    """Floats to four places, whatever they are in."""
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    return round(value, 4) if isinstance(value, float) else value
