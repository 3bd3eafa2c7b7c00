"""What is stored of the cases of a batch: one query, matched by key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from django.db.models import Exists, F, OuterRef, Q, QuerySet

from post_mortem.core.types import Bool, Outcome
from post_mortem.models import AuditRCA, InsightAudit
from trading.core.candles import I64
from trading.core.types import SIGNAL_HORIZONS, Horizon
from trading.models import Signal

from .case_rows import Selection
from .cases import CasesOf
from .columns import Column, fetch, integers

_FEW = 500
_KEY = ("id", "signal_id", "trade_id", "horizon")


@dataclass(frozen=True, slots=True, eq=False)
class StoredRows:
    """Columns of stored audits, and where each case is among them (-1: not stored)."""

    rows: dict[str, Column]
    place: I64

    def integers(self, name: str, missing: int = -1) -> I64:
        """A whole-number column as one value a case."""
        column = integers(self.rows[name])
        if not column.size:
            return np.full(self.place.shape, missing, np.int64)
        return np.where(self.place >= 0, column[np.maximum(self.place, 0)], missing)

    def texts(self, name: str) -> list[str]:
        """A text column as one value a case, "" where nothing is stored."""
        column = self.rows[name]
        return ["" if i < 0 else column[i] for i in self.place.tolist()]


def stored_rows(cases: CasesOf, *fields: str) -> StoredRows:
    """Stored audits of the cases of one batch."""
    mine = InsightAudit.objects.all()
    ids = np.unique(cases.signal_id)
    if ids.size <= _FEW:
        mine = mine.filter(signal__in=ids.tolist())
    else:
        mine = mine.filter(signal__gte=int(ids[0]), signal__lte=int(ids[-1]))
    rows = fetch(mine, *_KEY, *(name for name in fields if name not in _KEY))
    return StoredRows(rows, _places(cases, rows))


def _places(cases: CasesOf, rows: dict[str, Column]) -> I64:
    """Where each case is among the rows, by (trade, or signal without one) and horizon."""
    if not len(rows["id"]):
        return np.full(len(cases.batch), -1, np.int64)
    names = {name: code for code, name in enumerate((*SIGNAL_HORIZONS, str(Horizon.TRADE)))}
    trade = integers(rows["trade_id"])
    unknown, width = len(names), len(names) + 1  # no case has a horizon that nobody knows
    stored = np.where(trade >= 0, trade, integers(rows["signal_id"])) * width
    stored += np.array([names.get(name, unknown) for name in rows["horizon"]], np.int64)
    wanted = np.where(cases.trade_id >= 0, cases.trade_id, cases.signal_id) * width
    wanted += np.array([names[name] for name in cases.batch.horizon], np.int64)
    order = np.argsort(stored, kind="stable")
    at = np.minimum(np.searchsorted(stored[order], wanted), stored.size - 1)
    return np.where(stored[order][at] == wanted, order[at], -1)


def other_calibration(cases: CasesOf, stored: StoredRows) -> Bool:
    """Which cases are stored with causes that another calibration than today's ranked."""
    used = stored.integers("calibration_id")
    now = cases.calibration.id
    result: Bool = (used >= 0) & (used != (-1 if now is None else now))
    return result


def other_series(cases: CasesOf, stored: StoredRows) -> Bool:
    """Which cases are stored as judged by another series than the one chosen today, which may have
    the very same bars."""
    now = -1 if cases.series_id is None else cases.series_id
    result: Bool = (stored.place >= 0) & (stored.integers("series_id") != now)
    return result


def causes_of(audit_ids: Sequence[int]) -> dict[int, list[tuple[Any, ...]]]:
    """(rank, cause, confidence, posterior) of stored causes by audit, best first."""
    found: dict[int, list[tuple[Any, ...]]] = {}
    for start in range(0, len(audit_ids), 10_000):
        part = audit_ids[start : start + 10_000]
        rows = (
            AuditRCA.objects.filter(audit__in=part)
            .order_by("audit_id", "rank")
            .values_list("audit_id", "rank", "cause", "confidence", "posterior")
        )
        for audit, *cause in rows:
            found.setdefault(audit, []).append(tuple(cause))
    return found


def audits_to_narrate_again(selection: Selection) -> list[int]:
    """Audits of the selection whose narrative fell back to the narrator for a stated reason."""
    return list(
        InsightAudit.objects.filter(signal__in=selection.signals().values("pk"))
        .exclude(analysis__source_reason="")
        .filter(analysis__isnull=False)
        .order_by("pk")
        .values_list("pk", flat=True)
    )


def audits_not_narrated(selection: Selection) -> list[int]:
    """Audits of the selection that call for a narrative and have none of their evidence: a run was
    stopped between the two."""
    audits = InsightAudit.objects.filter(signal__in=selection.signals().values("pk"))
    told = InsightAudit.objects.filter(signal=OuterRef("signal"), analysis__isnull=False)
    judged = Q(outcome__in=(Outcome.SUCCEEDED, Outcome.FAILED, Outcome.NEUTRAL))
    untold = Q(analysis=None) & (Q(horizon=Horizon.TRADE) | judged & ~Exists(told))
    outdated = Q(analysis__isnull=False) & ~Q(analysis__evidence_hash=F("evidence_hash"))
    return list(audits.filter(untold | outdated).order_by("pk").values_list("pk", flat=True))


def stale_signals(audits: QuerySet[InsightAudit]) -> list[tuple[int, int]]:
    """(signal, account) of the stale ones among these audits, by market and time."""
    stale = audits.filter(is_stale=True)
    found = Signal.objects.filter(pk__in=stale.values("signal"))
    rows = found.order_by("instrument_id", "time", "pk").values_list("pk", "account_id")
    return list(rows)
