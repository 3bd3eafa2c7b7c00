"""What goes with winning: fit, contributions and importance over many audits.

    python -m benchmarks.attribution [--quick]

Made-up features of the registry, of which three decide the outcome. Beside the engine, in the same
run: contributions by lightgbm's `pred_contrib` (100 trees of 31 leaves) on a sample, and
permutation importance as a loop that shuffles one column and predicts anew, on the same rows.
`gap` is the largest difference between the log-odds and what they are the sum of. A way that is
not installed is null. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import importlib
import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from post_mortem.core.attribution.catalogue import REGISTRY
from post_mortem.core.attribution.importance import (
    MOST_ROWS,
    REPEATS,
    linked_features,
    permutation_importance,
)
from post_mortem.core.attribution.matrix import FeatureColumn, FeatureMatrix
from post_mortem.core.attribution.model import contributions, design_of, fit_model
from post_mortem.core.attribution.report import Outcomes, attribute, horizon_of
from post_mortem.core.attribution.skill import predict_later
from post_mortem.core.attribution.split import walk_forward
from post_mortem.core.logistic import log_loss
from trading.core.types import NS_PER_HOUR, NS_PER_MINUTE

FULL = {"audits": 100_000, "sample": 10_000}
QUICK = {"audits": 5_000, "sample": 1_000}
LEVELS = ("EURUSD", "GBPUSD", "USDJPY", "AUDUSD", "XAUUSD")


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a small run")
    quick = parser.parse_args(arguments).quick
    size = QUICK if quick else FULL
    matrix, results = made_up(size["audits"])
    fit_s, model = timed(lambda: fit_model(matrix, results.won))

    def contribute() -> tuple[np.ndarray, np.ndarray]:
        design = design_of(model.terms, matrix)
        return design, contributions(model, design)

    contributions_s, (design, parts) = timed(contribute)
    gap = np.abs(model.log_odds(design) - model.fit.intercept - parts.sum(axis=1)).max()
    embargo, _ = horizon_of(results)
    folds = walk_forward(results.entry, results.end, results.group, embargo=embargo)
    later_s, later = timed(lambda: predict_later(matrix, results.won, folds))
    groups = linked_features(model.terms, design)
    permutation_s, _ = timed(lambda: permutation_importance(later, results.won, groups, seed=1))
    loop_s = _loop(matrix, results, later)
    total_s, report = timed(lambda: attribute(matrix, results, seed=1))
    trees = _trees(matrix, results, size["sample"])
    per_row = contributions_s / len(matrix)
    result = {
        "benchmark": "attribution",
        "quick": quick,
        "audits": len(matrix),
        "features": len(matrix.columns),
        "state": report.state,
        "fit_s": fit_s,
        "contributions_s": contributions_s,
        "contributions_rows_per_s": len(matrix) / contributions_s,
        "gap": float(gap),
        "later_s": later_s,
        "permutation_s": permutation_s,
        "permutation_loop_s": loop_s,
        "permutation_ratio": loop_s / permutation_s,
        "total_s": total_s,
        **trees,
        "contributions_ratio": None
        if trees["pred_contrib_s_per_row"] is None
        else trees["pred_contrib_s_per_row"] / per_row,
    }
    print(json.dumps(result))
    return result


def timed(run: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    found = run()
    return time.perf_counter() - start, found


def made_up(n: int) -> tuple[FeatureMatrix, Outcomes]:
    rng = np.random.default_rng(1)
    columns = []
    for feature in REGISTRY:
        levels = feature.words or LEVELS
        if feature.is_category:
            values = rng.integers(0, len(levels), n).astype(np.float64)
        else:
            values = rng.normal(feature.edges[0], 1 + abs(feature.edges[-1]), n)
        values[rng.random(n) < 0.05] = np.nan
        columns.append(FeatureColumn(feature, values, levels if feature.is_category else ()))
    matrix = FeatureMatrix(tuple(columns), REGISTRY.version)
    odds = np.zeros(n)
    for name in ("stop_atr", "trend", "side"):
        values = np.nan_to_num(matrix.column(name).values)
        odds += 0.4 * (values - values.mean()) / values.std()
    entry = np.arange(n, dtype=np.int64) * 20 * NS_PER_MINUTE
    won = (rng.random(n) < 1 / (1 + np.exp(-odds))).astype(np.float64)
    r = np.where(won > 0, 1.2, -1.0)
    return matrix, Outcomes(won, r, entry, entry + 4 * NS_PER_HOUR, np.arange(n))


def _loop(matrix: FeatureMatrix, results: Outcomes, later: list[Any]) -> float:
    """Seconds of the same figures with one whole prediction a feature, repeat and fold; timed on
    one repeat."""
    rng = np.random.default_rng(1)
    total = sum(part.rows.size for part in later)
    start = time.perf_counter()
    for part in later:
        take = max(1, MOST_ROWS * part.rows.size // total)
        rows = part.rows[np.linspace(0, part.rows.size - 1, take).astype(np.int64)]
        held = matrix.rows(rows)
        for place, column in enumerate(held.columns):
            shuffled = replace(column, values=rng.permutation(column.values))
            columns = (*held.columns[:place], shuffled, *held.columns[place + 1 :])
            design = design_of(part.model.terms, replace(held, columns=columns))
            log_loss(part.model.log_odds(design), results.won[rows]).mean()
    return (time.perf_counter() - start) * REPEATS


def _trees(matrix: FeatureMatrix, results: Outcomes, sample: int) -> dict[str, float | None]:
    try:
        lightgbm = importlib.import_module("lightgbm")
    except ImportError:
        return {"lightgbm_fit_s": None, "pred_contrib_s_per_row": None}
    table = np.column_stack([column.values for column in matrix.columns])
    settings = {"objective": "binary", "num_leaves": 31, "verbosity": -1}
    data = lightgbm.Dataset(table, results.won)
    fit_s, trees = timed(lambda: lightgbm.train(settings, data, 100))
    contrib_s, _ = timed(lambda: trees.predict(table[:sample], pred_contrib=True))
    return {"lightgbm_fit_s": fit_s, "pred_contrib_s_per_row": contrib_s / sample}


if __name__ == "__main__":
    main()
