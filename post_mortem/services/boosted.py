"""Exact Shapley contributions of boosted trees to one audit, on demand (extra `boost`).

Trees see thresholds and interactions that the logistic model does not. They are fitted on the same
features and outcomes, asked the same question first (do they predict later trades better than the
base rate?), and answer with lightgbm's own TreeSHAP. Nothing of it is stored.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from post_mortem.core.attribution.matrix import UNKNOWN, FeatureMatrix
from post_mortem.core.attribution.report import Outcomes, horizon_of
from post_mortem.core.attribution.skill import LEAST_OF_OUTCOME, Prediction, Skill, skill_of
from post_mortem.core.attribution.split import walk_forward
from post_mortem.models import InsightAudit
from post_mortem.selectors.training import judged, training
from trading.core.candles import F64, I64
from trading.core.errors import NotFoundError, OperatorError, UserError

ROUNDS = 100
_SETTINGS = {
    "objective": "binary",
    "num_leaves": 8,
    "learning_rate": 0.05,
    "min_data_in_leaf": 20,
    "lambda_l2": 10.0,
    "verbosity": -1,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,
}


@dataclass(frozen=True, slots=True)
class Boosted:
    """`contributions` of the features by falling size, in log-odds from `base_log_odds`; empty
    where the trees know nothing of later trades."""

    audit_id: int
    sentence: str
    skill: Skill | None
    base_log_odds: float | None
    contributions: tuple[dict[str, Any], ...]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def boosted_contributions(*, audit_id: int) -> Boosted:
    """Contributions to one judged audit. Raises OperatorError `not_installed` without lightgbm,
    NotFoundError for an audit that is none, UserError `not_judged` for one without an outcome."""
    lightgbm = _lightgbm()
    audit = InsightAudit.objects.select_related("account").filter(pk=audit_id).first()
    if audit is None:
        raise NotFoundError("not_found", f"there is no audit {audit_id}", field="audit_id")
    found = judged(audit.account_id, audit.horizon)
    rows = training(audit.account, audit.horizon, found)
    places = np.flatnonzero(rows.audit == audit_id) if rows else np.zeros(0, np.int64)
    if rows is None or not places.size:
        raise UserError("not_judged", f"audit {audit_id} has no outcome to learn from")
    seed = int(found.data_hash[:8], 16)
    return _explained(lightgbm, audit_id, int(places[0]), rows.matrix, rows.outcomes, seed)


def _lightgbm() -> ModuleType:
    try:
        return importlib.import_module("lightgbm")
    except ImportError:
        raise OperatorError(
            "not_installed",
            "boosted trees need lightgbm, which is not installed: pip install 'lightgbm>=4.6'",
        ) from None


def _explained(
    lightgbm: ModuleType, audit_id: int, row: int, matrix: FeatureMatrix, y: Outcomes, seed: int
) -> Boosted:
    table = np.column_stack([column.values for column in matrix.columns])
    categories = [i for i, c in enumerate(matrix.columns) if c.feature.is_category]

    def fit(rows: I64 | slice) -> Any:
        data = lightgbm.Dataset(table[rows], y.won[rows], categorical_feature=categories)
        return lightgbm.train(_SETTINGS | {"seed": seed % 2**31}, data, ROUNDS)

    skill = _skill(fit, table, y)
    if skill is None or not skill.detected:
        sentence = (
            "No detectable signal: boosted trees do not predict your outcomes better than the "
            "base rate."
        )
        return Boosted(audit_id, sentence, skill, None, ())
    parts: F64 = fit(slice(None)).predict(table[[row]], pred_contrib=True)[0]
    sentence = f"Boosted trees predict later trades better than the base rate (n {skill.n:,})."
    return Boosted(
        audit_id, sentence, skill, float(parts[-1]), _ranked(matrix, row, parts[:-1].tolist())
    )


def _skill(fit: Any, table: NDArray[np.float64], y: Outcomes) -> Skill | None:
    embargo, stretch = horizon_of(y)
    later: list[Prediction] = []
    for fold in walk_forward(y.entry, y.end, y.group, embargo=embargo):
        won = y.won[fold.train]
        if min(won.sum(), won.size - won.sum()) < LEAST_OF_OUTCOME:
            continue
        odds = fit(fold.train).predict(table[fold.test], raw_score=True)
        base = math.log(won.sum() / (won.size - won.sum()))
        later.append(Prediction(fold.test, np.asarray(odds, np.float64), base))
    return skill_of(later, y.won, y.entry, stretch=stretch)


def _ranked(matrix: FeatureMatrix, row: int, parts: Sequence[float]) -> tuple[dict[str, Any], ...]:
    found = []
    for column, part in zip(matrix.columns, parts, strict=True):
        cell = int(column.cells()[row])
        words = "of which it is not known" if cell == UNKNOWN else column.cell_words()[cell]
        found.append(
            {
                "feature": column.feature.name,
                "meaning": column.feature.meaning,
                "words": words,
                "log_odds": float(part),
            }
        )
    return tuple(sorted(found, key=lambda one: -abs(one["log_odds"])))
