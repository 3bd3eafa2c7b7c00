"""Which calibration judges the cases of a desk, and the stored tables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from django.db.models import F

from post_mortem.core.calibration import Calibration
from post_mortem.core.calibration_fit import Reviews
from post_mortem.core.calibration_table import NAMED_CAUSES, SHIPPED, Table, parse_table
from post_mortem.core.record import read_record
from post_mortem.models import CalibrationAdoption, CalibrationTable, CauseReview
from trading.core.errors import OperatorError, UserError
from trading.models import Desk


@dataclass(frozen=True, slots=True)
class CalibrationUsed:
    """A table and the id of its row, None while no audit used it and no desk adopted it."""

    table: Table
    id: int | None

    @property
    def calibration(self) -> Calibration:
        return self.table.calibration


def calibration_in_force(desk: Desk) -> CalibrationUsed:
    """The table the desk adopted last, else the shipped one."""
    newest = CalibrationAdoption.objects.filter(desk=desk).select_related("table").first()
    if newest is not None and newest.table is not None:
        return CalibrationUsed(stored_table(newest.table), newest.table_id)
    row = CalibrationTable.objects.filter(sha256=SHIPPED.sha256).values_list("pk", flat=True)
    return CalibrationUsed(SHIPPED, row.first())


def stored_table(row: CalibrationTable) -> Table:
    """A stored table read back. Raises OperatorError `calibration_changed` where it is not what
    was stored."""
    try:
        table = parse_table(row.data)
    except UserError as error:
        detail = f"calibration table {row.pk} is not readable: {error.detail}"
        raise OperatorError("calibration_changed", detail) from error
    if table.sha256 != row.sha256:
        detail = f"calibration table {row.pk} is not the one that was stored"
        raise OperatorError("calibration_changed", detail)
    return table


def reviews_for_fit(desk: Desk | None) -> Reviews:
    """The newest review of each cause of each audit of a desk (None: of all desks).

    Reviews of other evidence than today's are left out, and stale audits: a word says something of
    the strength that was read, and of no other.
    """
    rows = list(_newest_reviews(desk))
    cause = np.array([row["cause"] for row in rows], np.str_)
    return Reviews(
        ids=tuple(f"{row['audit_id']}/{row['cause']}" for row in rows),
        cause=cause,
        strength=np.array([_strength(row) for row in rows], np.float64),
        confirmed=np.array([row["verdict"] != CauseReview.Verdict.REJECTED for row in rows], bool),
    )


def _newest_reviews(desk: Desk | None) -> Iterator[dict[str, Any]]:
    reviews = CauseReview.objects.filter(
        audit__is_stale=False, evidence_hash=F("audit__evidence_hash"), cause__in=NAMED_CAUSES
    )
    if desk is not None:
        reviews = reviews.filter(audit__account__desk=desk)
    seen: set[tuple[int, str]] = set()
    fields = ("audit_id", "cause", "verdict", "audit__record")
    for row in reviews.order_by("-created_at", "-pk").values(*fields):
        if (key := (row["audit_id"], row["cause"])) not in seen:
            seen.add(key)
            yield row


def _strength(row: dict[str, Any]) -> float:
    findings = read_record(bytes(row["audit__record"])).findings
    return next(found.strength for found in findings if found.cause == row["cause"])
