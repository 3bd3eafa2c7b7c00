"""What goes with winning and losing, as stored: for one audit, and for an account."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from post_mortem.core.attribution.matrix import UNKNOWN
from post_mortem.core.attribution.packing import AuditRow, row_of, unpacked_rows
from post_mortem.core.types import Outcome
from post_mortem.models import AttributionReport, InsightAudit
from trading.core.errors import NotFoundError, OperatorError
from trading.models import visible_accounts

from .training import SCOPES

State = Literal["not_judged", "not_fitted", "newer", "too_few", "no_signal", "signal"]

LIKELY_FROM, STRONG_FROM = 0.80, 0.95  # probability of the direction
WORTH_SAYING = 0.05  # log-odds, a little over one in a hundred
MOST_SHOWN = 5
_DECIDED = (Outcome.SUCCEEDED, Outcome.FAILED, Outcome.NEUTRAL)


@dataclass(frozen=True, slots=True)
class Others:
    """Trades like one, without it. `mean_r` over the `n_r` that know their R."""

    words: str
    n: int
    won: int
    n_r: int
    mean_r: float | None


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one thing known at the entry adds to the log-odds of winning; `words` complete
    "trades ...". `word`: weak, likely or strong, by the probability `sure` of the direction."""

    feature: str
    meaning: str
    words: str
    direction: Literal["winning", "losing"]
    word: Literal["weak", "likely", "strong"]
    log_odds: float
    sure: float


@dataclass(frozen=True, slots=True)
class Told:
    """One audit against its account: the base rate (`won` of `n`), others like it, and, where the
    state is "signal", contributions by falling size.

    `not_judged`: it has no outcome; `not_fitted`: there is no report; `newer`: the report was
    fitted before its outcome."""

    state: State
    report: AttributionReport | None = None
    cohort: Others | None = None
    contributions: tuple[Contribution, ...] = ()

    @property
    def n(self) -> int:
        return self.report.n if self.report else 0

    @property
    def won(self) -> int:
        return self.report.won if self.report else 0

    @property
    def skill(self) -> Mapping[str, Any] | None:
        return self.report.body["skill"] if self.report else None


def attribution_of(audit: InsightAudit) -> Told:
    """For an audit that the caller may see."""
    report = AttributionReport.objects.filter(
        account=audit.account_id, horizon=audit.horizon
    ).first()
    outcome = audit.override_outcome or audit.outcome
    if outcome not in _DECIDED:
        return Told("not_judged", report)
    if report is None:
        return Told("not_fitted")
    row = _row(report, audit.pk)
    won = outcome == Outcome.SUCCEEDED
    if row is None or row.won != won:
        return Told("newer", report)
    cohort = _others(report, row, audit.r_multiple)
    state: State = report.state
    return Told(state, report, cohort, _contributions(report, row))


def _row(report: AttributionReport, audit: int) -> AuditRow | None:
    pieces = report.rows.filter(first_audit__lte=audit).order_by("-first_audit")
    piece = pieces.values_list("blob", flat=True).first()
    if piece is None:
        return None
    features, signal = len(report.body["features"]), report.state == AttributionReport.State.SIGNAL
    try:
        return row_of(unpacked_rows(bytes(piece), features, signal=signal), audit)
    except ValueError as error:
        raise OperatorError("attribution", f"report {report.pk}: {error}") from error


def _others(report: AttributionReport, row: AuditRow, r: float | None) -> Others | None:
    if row.cohort < 0:
        return None
    whole = report.body["cohorts"][row.cohort]
    n_r = whole["n_r"] - (r is not None)
    total = whole["total_r"] - (r or 0.0)
    return Others(
        whole["words"],
        whole["n"] - 1,
        whole["won"] - row.won,
        n_r,
        total / n_r if n_r > 0 else None,
    )


def _contributions(report: AttributionReport, row: AuditRow) -> tuple[Contribution, ...]:
    order = np.argsort(-np.abs(row.contributed), kind="stable").tolist()
    worth = [i for i in order if abs(row.contributed[i]) >= WORTH_SAYING]
    return tuple(_contribution(report.body["features"][i], row, i) for i in worth)


def _contribution(feature: Mapping[str, Any], row: AuditRow, place: int) -> Contribution:
    log_odds, sure, cell = row.contributed[place], row.sure[place], row.cells[place]
    if cell == UNKNOWN:
        words = f"of which “{feature['meaning'].lower()}” is not known"
    else:
        words = feature["words"][cell]
    return Contribution(
        feature["name"],
        feature["meaning"],
        words,
        "winning" if log_odds > 0 else "losing",
        "strong" if sure >= STRONG_FROM else "likely" if sure >= LIKELY_FROM else "weak",
        log_odds,
        sure,
    )


# --- an account ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Lifted:
    """Trades of one kind against all: `won` of `n`, the interval of their share, R per trade."""

    feature: str
    meaning: str
    words: str
    n: int
    won: int
    low: float
    high: float
    lift: float
    mean_r: float | None
    r_low: float | None
    r_high: float | None


@dataclass(frozen=True, slots=True)
class ReportView:
    """A report as a page shows it: kinds of trades that stand out after the correction for all
    `tried`, largest difference first, and groups of features by how much predictions need them."""

    report: AttributionReport
    stand_out: tuple[Lifted, ...]
    tried: int
    needed: tuple[tuple[str, ...], ...]

    @property
    def skill(self) -> Mapping[str, Any] | None:
        found: Mapping[str, Any] | None = self.report.body["skill"]
        return found


def attribution_reports(user: Any, account_id: int) -> tuple[ReportView, ...]:
    """Reports of an account, its trades' first. Raises NotFoundError, foreign and absent alike."""
    if not visible_accounts(user).filter(pk=account_id).exists():
        raise NotFoundError("not_found", "Not found.")
    found = AttributionReport.objects.visible_to(user).filter(account=account_id)
    return tuple(map(_view, sorted(found, key=lambda report: SCOPES.index(report.horizon))))


def _view(report: AttributionReport) -> ReportView:
    meanings = {f["name"]: f["meaning"] for f in report.body["features"]}
    real = [lift for lift in report.body["lifts"] if lift["real"]]
    real.sort(key=lambda lift: -abs(lift["lift"]))
    # A group whose shuffling costs less than its own scatter is not needed.
    needed = [one for one in report.body["importances"] if one["rise"] > 2 * one["spread"]]
    return ReportView(
        report,
        tuple(
            Lifted(
                meaning=meanings[lift["feature"]],
                **{name: lift[name] for name in Lifted.__slots__ if name != "meaning"},
            )
            for lift in real
        ),
        len(report.body["lifts"]),
        tuple(tuple(meanings[name] for name in one["features"]) for one in needed),
    )
