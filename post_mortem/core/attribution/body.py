"""A report as plain data, to be stored as JSON; whoever reads it needs no registry."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from .matrix import FeatureMatrix
from .model import LEVEL, Term
from .report import Attribution

Body = dict[str, Any]


def body_of(found: Attribution, matrix: FeatureMatrix) -> Body:
    """Keys: features, model, skill, importances, lifts, cohorts. `features` are in the order of
    the stored rows, each with the words of its cells; rates are 0-1, R per trade."""
    names = [column.feature.name for column in matrix.columns]
    return {
        "features": [
            {
                "name": column.feature.name,
                "group": column.feature.group,
                "meaning": column.feature.meaning,
                "how": column.feature.how,
                "unit": column.feature.unit,
                "words": list(column.cell_words()),
            }
            for column in matrix.columns
        ],
        "model": _model(found, matrix),
        "skill": None if found.skill is None else asdict(found.skill),
        "importances": [
            {"features": [names[f] for f in one.features], "rise": one.rise, "spread": one.spread}
            for one in found.importances
        ],
        "lifts": [asdict(lift) for lift in found.lifts],
        "cohorts": [asdict(cohort) for cohort in found.cohorts.table],
    }


def _model(found: Attribution, matrix: FeatureMatrix) -> Body | None:
    if found.model is None:
        return None
    slopes = found.model.fit.slopes.tolist()
    return {
        "intercept": found.model.fit.intercept,
        "terms": [
            _term(term, matrix, weight)
            for term, weight in zip(found.model.terms, slopes, strict=True)
        ],
    }


def _term(term: Term, matrix: FeatureMatrix, weight: float) -> Body:
    column = matrix.columns[term.feature]
    words = column.cell_words()[term.level] if term.kind == LEVEL else None
    return asdict(term) | {"feature": column.feature.name, "words": words, "weight": weight}
