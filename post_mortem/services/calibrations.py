"""Fit calibration tables, adopt one for a desk, go back to the one before.

A fitted table changes nothing until a desk adopts it; adopting marks the audits it would judge
otherwise as stale, and the next run judges them again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from django.db import transaction

from post_mortem.core.calibration import Calibration
from post_mortem.core.calibration_fit import (
    FOLDS,
    Known,
    case_figures,
    checked_truth,
    fit_cases,
    fit_reviews,
    fold_of,
    review_figures,
    without_fold,
)
from post_mortem.core.calibration_table import SHIPPED, Figures, FittedOn, Table, table_as_json
from post_mortem.core.labeler import label
from post_mortem.core.portable import parse_case
from post_mortem.core.rca import diagnose
from post_mortem.core.replay import replay
from post_mortem.core.types import CAUSES, Diagnosis
from post_mortem.models import CalibrationAdoption, CalibrationTable
from post_mortem.selectors.calibrations import calibration_in_force, reviews_for_fit
from trading.core.errors import NotFoundError, UserError
from trading.models import Desk, Membership, Role

Case = Mapping[str, Any]
Progress = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Provenance:
    """What a fitted table is called and says of itself; `date` like 2026-03-01."""

    version: str
    name: str
    split: str
    date: str


# --- fitting ------------------------------------------------------------------------------------


def fit_from_cases(
    *,
    cases: Callable[[], Iterable[Case]],
    truths: Mapping[str, object],
    about: Provenance,
    progress: Progress = lambda: None,
) -> Table:
    """A table from portable cases whose cause is known.

    `cases` is called twice: the second time every case is answered by curves that were fitted
    without it. Cases that were not judged (nothing was lost) teach nothing. Raises UserError on a
    case without a truth, a truth without a case, an unknown cause and a malformed case.
    """
    base = SHIPPED.calibration
    known, before = _answered(cases(), truths, lambda case_id: base, progress)
    if not len(known):
        raise UserError("no_cases", "no case lost anything, so there is nothing to fit on")
    parts = [without_fold(known, fold) for fold in range(FOLDS)]
    folds = [fit_cases(part, base, about.version).calibration for part in parts]
    _, after = _answered(cases(), truths, lambda case_id: folds[fold_of(case_id)], progress)
    fit = fit_cases(known, base, about.version)
    return Table(fit.calibration, _fitted_on(about, len(known), fit.counts), before, after)


def _answered(
    cases: Iterable[Case],
    truths: Mapping[str, object],
    calibration: Callable[[str], Calibration],
    progress: Progress,
) -> tuple[Known, Figures | None]:
    """Strengths of all judged cases, and figures of their first answers."""
    seen: set[str] = set()
    ids: list[str] = []
    truth: list[str] = []
    first: list[str] = []
    strength: list[list[float]] = []
    posterior: list[float] = []
    for case in cases:
        case_id = _own_id(case, truths, seen)
        answer = _diagnosed(case, calibration(case_id))
        progress()
        if not answer.judged[0]:
            continue
        place = int((answer.rank[0] == 1).argmax())
        ids.append(case_id)
        truth.append(checked_truth(truths[case_id], case_id))
        first.append(CAUSES[place])
        posterior.append(float(answer.findings[place].posterior[0]))
        strength.append([float(found.strength[0]) for found in answer.findings[:-1]])
    if unused := sorted(set(truths) - seen):
        raise UserError("truth", f"there is a truth but no case {unused[0]!a}", field=unused[0])
    known = Known(tuple(ids), np.array(strength).reshape(len(ids), -1), np.array(truth, np.str_))
    right = known.truth == np.array(first, np.str_)
    return known, case_figures(np.array(posterior), right) if ids else None


def _own_id(case: Case, truths: Mapping[str, object], seen: set[str]) -> str:
    case_id = str(case.get("id"))
    if case_id in seen:
        raise UserError("duplicate_case", f"the case {case_id!a} is there twice", field="id")
    if case_id not in truths:
        raise UserError("truth", f"there is no truth for the case {case_id!a}", field="id")
    seen.add(case_id)
    return case_id


def _diagnosed(case: Case, calibration: Calibration) -> Diagnosis:
    try:
        batch = parse_case(case)
    except UserError as error:
        detail = f"case {str(case.get('id'))!a}: {error.detail}"
        raise UserError(error.code, detail, field=error.field) from error
    paths = replay(batch)
    return diagnose(batch, paths, label(batch, paths), calibration)


def fit_from_reviews(*, desk: Desk | None, about: Provenance) -> Table:
    """A table from people's reviews at a desk (None: at all), pulled towards the one in force.

    Raises UserError `too_few_reviews` saying how many are missing.
    """
    base = SHIPPED.calibration if desk is None else calibration_in_force(desk).calibration
    reviews = reviews_for_fit(desk)
    fit = fit_reviews(reviews, base, about.version)
    before, after = review_figures(reviews, base)
    return Table(fit.calibration, _fitted_on(about, len(reviews), fit.counts), before, after)


def _fitted_on(about: Provenance, cases: int, counts: Mapping[str, int]) -> FittedOn:
    return FittedOn(about.name, cases, about.split, about.date, counts)


# --- adopting -----------------------------------------------------------------------------------


@transaction.atomic
def adopt_table(
    *, desk: Desk, table: Table | None, user: Any = None, note: str = ""
) -> CalibrationAdoption:
    """Make a desk use a table (None: the shipped one). `user` is None for the operator.

    Raises UserError `not_permitted` unless the user leads the desk, `already_adopted`.
    """
    _require_lead(desk, user)
    now = calibration_in_force(desk).table
    if now.sha256 == (table or SHIPPED).sha256:
        raise UserError("already_adopted", f"{desk} uses {now.version} already.")
    row = None if table is None else store_table(table)
    return CalibrationAdoption.objects.create(desk=desk, table=row, adopted_by=user, note=note)


@transaction.atomic
def undo_adoption(*, desk: Desk, user: Any = None, note: str = "") -> CalibrationAdoption:
    """Make a desk use the table it used before; nothing is deleted. Raises NotFoundError where
    nothing was adopted, UserError `not_permitted`."""
    _require_lead(desk, user)
    newest = list(CalibrationAdoption.objects.filter(desk=desk)[:2])
    if not newest:
        raise NotFoundError("nothing_adopted", f"{desk} uses the shipped table and always did.")
    before = newest[1].table if len(newest) > 1 else None
    return CalibrationAdoption.objects.create(desk=desk, table=before, adopted_by=user, note=note)


def store_table(table: Table) -> CalibrationTable:
    """The row of a table, made when there is none."""
    row, _ = CalibrationTable.objects.get_or_create(
        sha256=table.sha256, defaults={"version": table.version, "data": table_as_json(table)}
    )
    return row


def _require_lead(desk: Desk, user: Any) -> None:
    if user is None or user.is_superuser:
        return
    if not Membership.objects.filter(user=user, desk=desk, role__gte=Role.LEAD).exists():
        raise UserError("not_permitted", "Only who leads the desk changes its calibration.")
