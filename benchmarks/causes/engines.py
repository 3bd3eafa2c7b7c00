"""Who answers: the product by its public path, the naive rules, and a ranker fitted on evidence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from post_mortem.core.causes import FACTS
from post_mortem.core.diagnose import diagnose_case
from post_mortem.core.labeler import label
from post_mortem.core.portable import parse_case
from post_mortem.core.rca import diagnose
from post_mortem.core.record import COLUMNS, UNKNOWN, records
from post_mortem.core.replay import replay
from post_mortem.core.types import CAUSES

from . import naive
from .score import Answer
from .truth import Sample

_ROUNDS, _LEAVES, _LEAST_ROWS = 120, 8, 8


def ours(case: Mapping[str, Any]) -> Answer:
    """The answer of `diagnose` to a portable case."""
    causes: Any = diagnose_case(case)["causes"]
    ranked = tuple(str(row["cause"]) for row in causes)
    return Answer(ranked, float(causes[0]["posterior"]) if causes else 0.0)


def naively(case: dict[str, Any]) -> Answer:
    ranked = naive.answer(case)
    return Answer(tuple(cause for cause, _ in ranked), ranked[0][1])


def _evidence_columns() -> list[int]:
    """Status, strength, missing feeds and facts of every cause, without what ranking made of them
    and without keys of rows."""
    keys = {f"{c}.{s.key}" for c, specs in FACTS.items() for s in specs if s.unit == "key"}
    ranked = {f"{c}.{x}" for c in CAUSES for x in ("posterior", "confidence", "rank")}
    own = {name for name in COLUMNS if name.startswith(("label.", "unknown."))}
    return [i for i, name in enumerate(COLUMNS) if name not in keys | ranked | own]


def evidence(case: Mapping[str, Any]) -> np.ndarray:
    """The engine's evidence about a case as numbers, NaN where it does not know."""
    batch = parse_case(case)
    paths = replay(batch)
    labels = label(batch, paths)
    row = records(labels, diagnose(batch, paths, labels))[0]
    values = row[_evidence_columns()].astype(float)
    return np.where(values == UNKNOWN, np.nan, values)


class Learned:
    """Gradient boosted trees on the engine's evidence; needs lightgbm."""

    def __init__(self, samples: Iterable[Sample]) -> None:
        import lightgbm

        found = [(evidence(s.case), CAUSES.index(s.truth.cause)) for s in samples]
        rows, truth = np.stack([row for row, _ in found]), np.array([cause for _, cause in found])
        settings = {
            "objective": "multiclass",
            "num_class": len(CAUSES),
            "num_leaves": _LEAVES,
            "min_data_in_leaf": _LEAST_ROWS,
            "learning_rate": 0.06,
            "feature_fraction": 0.5,
            "bagging_fraction": 0.8,
            "bagging_freq": 1,
            "deterministic": True,
            "num_threads": 1,
            "seed": 1,
            "verbose": -1,
        }
        self._model = lightgbm.train(settings, lightgbm.Dataset(rows, truth), _ROUNDS)

    def __call__(self, case: Mapping[str, Any]) -> Answer:
        chance = np.asarray(self._model.predict(evidence(case)[None, :]))[0]
        order = np.argsort(-chance, kind="stable")
        return Answer(tuple(CAUSES[i] for i in order), float(chance[order[0]]))


def lightgbm_missing() -> str:
    """Why the learned ranker cannot run; empty if it can."""
    try:
        import lightgbm  # noqa: F401
    except ImportError:
        return "lightgbm is not installed"
    return ""
