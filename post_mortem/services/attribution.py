"""Reports of what goes with winning and losing: fitted when outcomes changed, verified by fitting
again.

A report is a function of the judged audits of one account and horizon, the registry of features and
a seed taken from the hash of those audits; so the same audits give the same report, and a fit over
unchanged ones writes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
from django.db import transaction

from post_mortem.core.attribution.body import body_of
from post_mortem.core.attribution.catalogue import REGISTRY
from post_mortem.core.attribution.packing import packed_rows, unpacked_rows
from post_mortem.core.attribution.report import LEAST_TRADES, attribute
from post_mortem.models import AttributionReport, AttributionRows, AutopsyJob
from post_mortem.selectors.training import (
    SCOPES,
    Judged,
    Training,
    decided_audits,
    judged,
    training,
)
from post_mortem.services import jobs
from trading.core.errors import UserError
from trading.models import Account

ATTRIBUTION: Final = "attribution"
"""The kind of job that fits reports. An item's payload is {"horizon": name}."""

# A report is fitted again when this share of its audits, and at least so many, are new.
_NEW_SHARE: Final = 0.05
_NEW_LEAST: Final = 20
_OPEN_JOBS: Final = (AutopsyJob.Status.PENDING, AutopsyJob.Status.RUNNING)
_TOLERANCE: Final = 1e-5  # between runs of the same sums on other processors

Guard = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Fitted:
    """What became of one horizon. `report` is None where nothing was judged."""

    horizon: str
    report: AttributionReport | None
    changed: bool

    def as_dict(self) -> dict[str, object]:
        report = self.report
        return {
            "horizon": self.horizon,
            "state": report.state if report else "nothing_judged",
            "n": report.n if report else 0,
            "won": report.won if report else 0,
            "changed": self.changed,
        }


def checked_scopes(horizons: Sequence[str]) -> tuple[str, ...]:
    """Horizons to fit, in their order; none given means all. Raises UserError `horizon`."""
    for name in horizons:
        if name not in SCOPES:
            raise UserError(
                "horizon",
                f"unknown horizon {name[:20]!a}: expected some of {', '.join(SCOPES)}",
                field="horizons",
            )
    return tuple(name for name in SCOPES if not horizons or name in horizons)


def build_attribution(
    *,
    account: Account,
    horizon: str,
    force: bool = False,
    now: datetime,
    guard: Guard | None = None,
) -> Fitted:
    """Fit the report of one horizon, unless it stands on the very same audits already."""
    found = judged(account.pk, horizon)
    stored = AttributionReport.objects.filter(account=account, horizon=horizon).first()
    if stored is not None and not force and _is_current(stored, found):
        return Fitted(horizon, stored, changed=False)
    rows = training(account, horizon, found) if len(found) else None
    if rows is None:
        return _remove(account, horizon, stored, guard)
    fields, pieces = _fit(found, rows)
    with transaction.atomic():
        if guard:
            guard()
        report, _ = AttributionReport.objects.update_or_create(
            account=account, horizon=horizon, defaults={**fields, "fitted_at": now}
        )
        AttributionRows.objects.filter(report=report).delete()
        AttributionRows.objects.bulk_create(
            [AttributionRows(report=report, **piece) for piece in pieces], batch_size=100
        )
    return Fitted(horizon, report, changed=True)


def _is_current(stored: AttributionReport, found: Judged) -> bool:
    return stored.data_hash == found.data_hash and stored.registry_version == REGISTRY.version


def _remove(
    account: Account, horizon: str, stored: AttributionReport | None, guard: Guard | None
) -> Fitted:
    """A report without a judged audit left is no report."""
    if stored is not None:
        with transaction.atomic():
            if guard:
                guard()
            stored.delete()
    return Fitted(horizon, None, changed=stored is not None)


def _fit(found: Judged, rows: Training) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """(fields of the report, fields of its rows)."""
    seed = int(found.data_hash[:8], 16)
    result = attribute(rows.matrix, rows.outcomes, seed=seed)
    fields = {
        "data_hash": found.data_hash,
        "registry_version": REGISTRY.version,
        "state": result.state,
        "n": result.n,
        "won": result.won,
        "seed": seed,
        "body": body_of(result, rows.matrix),
    }
    pieces = packed_rows(rows.audit, rows.matrix, rows.outcomes.won, result)
    return fields, [{"first_audit": first, "n": n, "blob": blob} for first, n, blob in pieces]


# --- when it is due -----------------------------------------------------------------------------


def due_scopes(account: Account) -> tuple[str, ...]:
    """Horizons of which enough outcomes are new since the last fit: by their number alone, which
    an index answers."""
    reports = {
        r.horizon: r for r in AttributionReport.objects.filter(account=account).defer("body")
    }
    return tuple(
        name
        for name in SCOPES
        if _is_due(decided_audits(account.pk, name).count(), reports.get(name))
    )


def _is_due(count: int, report: AttributionReport | None) -> bool:
    if report is None:
        return count >= _NEW_LEAST
    if report.registry_version != REGISTRY.version:
        return True
    new = abs(count - report.n)
    enough = max(_NEW_LEAST, _NEW_SHARE * report.n)
    # The verdict "too few" is worth changing as soon as there are enough.
    return new >= enough or (report.n < LEAST_TRADES <= count)


@transaction.atomic
def request_attribution(*, account: Account, user: Any = None) -> AutopsyJob | None:
    """Queue fits of the horizons that are due; None when there are none, or such a job is open."""
    if AutopsyJob.objects.filter(account=account, kind=ATTRIBUTION, status__in=_OPEN_JOBS).exists():
        return None
    due = due_scopes(account)
    if not due:
        return None
    items = [jobs.Item(f"horizon:{name}", {"horizon": name}) for name in due]
    return jobs.enqueue(kind=ATTRIBUTION, account=account, items=items, user=user)


# --- verification -------------------------------------------------------------------------------


def verify_attribution(*, account: Account, horizon: str) -> str | None:
    """Fit again from stored inputs and compare with what is stored: None when it agrees, or why
    not. A report that newer audits have overtaken is not compared."""
    stored = AttributionReport.objects.filter(account=account, horizon=horizon).first()
    found = judged(account.pk, horizon)
    if stored is None or not _is_current(stored, found):
        return "outdated" if stored is not None or len(found) else None
    rows = training(account, horizon, found)
    if rows is None:
        return "its audits cannot be rebuilt"
    fields, pieces = _fit(found, rows)
    for name in ("state", "n", "won", "seed"):
        if getattr(stored, name) != fields[name]:
            return f"{name} is stored as {getattr(stored, name)!r}, fitted as {fields[name]!r}"
    # As JSON gives it back.
    if not _same(stored.body, json.loads(json.dumps(fields["body"]))):
        return "its figures differ from those of the same audits"
    return None if _same_rows(stored, pieces) else "its rows differ from those of the same audits"


def _same(stored: Any, now: Any) -> bool:
    if isinstance(stored, float) and isinstance(now, float):
        return bool(np.isclose(stored, now, rtol=_TOLERANCE, atol=_TOLERANCE))
    if isinstance(stored, Mapping) and isinstance(now, Mapping):
        return stored.keys() == now.keys() and all(_same(stored[k], now[k]) for k in stored)
    if isinstance(stored, list) and isinstance(now, list):
        return len(stored) == len(now) and all(map(_same, stored, now))
    return bool(stored == now)


def _same_rows(report: AttributionReport, pieces: Sequence[Mapping[str, Any]]) -> bool:
    stored = report.rows.order_by("first_audit").values_list("first_audit", "n", "blob")
    found = [(first, n, bytes(blob)) for first, n, blob in stored]
    if [piece[:2] for piece in found] != [(p["first_audit"], p["n"]) for p in pieces]:
        return False
    features, signal = len(report.body["features"]), report.state == AttributionReport.State.SIGNAL
    for (_, _, blob), piece in zip(found, pieces, strict=True):
        try:
            left = unpacked_rows(blob, features, signal=signal)
        except ValueError:
            return False
        right = unpacked_rows(piece["blob"], features, signal=signal)
        for name in left.dtype.names or ():
            same = np.allclose(left[name], right[name], rtol=_TOLERANCE, atol=_TOLERANCE)
            if left.size != right.size or not same:
                return False
    return True
