"""Audits into rows: the columns of `InsightAudit` and `AuditRCA`, written in bulk."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from django.db import transaction
from numpy.typing import NDArray

from post_mortem.core.batches import take
from post_mortem.core.inputs import BarsRead
from post_mortem.core.record import evidence_hashes, packed, records
from post_mortem.core.review import review_reasons
from post_mortem.core.types import CAUSES, Bool, Diagnosis, Labels, Status
from post_mortem.models import AuditRCA, InsightAudit, LabelingRule, RuleSnapshot
from post_mortem.selectors.cases import CasesOf
from post_mortem.selectors.columns import utc_ns
from post_mortem.selectors.inputs_version import inputs_version
from post_mortem.selectors.stored import StoredRows, other_calibration, other_series, stored_rows
from post_mortem.services import bulk
from post_mortem.services.bulk import UniqueKey
from post_mortem.services.calibrations import store_table
from trading.core.candles import F64, I64
from trading.core.types import timeframe_name

_SIGNAL_KEY = UniqueKey(("signal_id", "horizon"), "trade_id is null")
_TRADE_KEY = UniqueKey(("trade_id",), "horizon = 'TRADE'")
# A person's words survive another run.
_KEPT = frozenset(
    (
        *("reviewer_notes", "reviewed_at", "reviewer_id", "is_flagged", "settled_hash"),
        *("override_outcome", "override_reason", "override_input_hash"),
        *("overridden_by_id", "overridden_at"),
    )
)
# Who read other evidence, or evidence of other bars, levels or rules, has not read this.
_UNSEEN = {
    "review_version": "{old}.evidence_hash <> {new}.evidence_hash"
    " or substr({old}.input_hash, 1, 32) <> substr({new}.input_hash, 1, 32)"
}
_FEW = 500


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """Cases to be written: `rows` of `cases`; everything else has one element a row."""

    cases: CasesOf
    rows: I64
    labels: Labels
    diagnosis: Diagnosis
    read: BarsRead
    hashes: list[str]
    engine_version: int
    inputs: Hashable  # `inputs_version` from before the cases were read


@dataclass(frozen=True, slots=True, eq=False)
class Written:
    """Ids of all cases of the batch, and which of them had been stored before. `moved`: something
    was imported or edited since the cases were read, so those written are marked stale."""

    ids: I64
    existed: Bool
    moved: bool


def write(
    judged: Judged, stored: StoredRows, *, now: datetime, guard: Callable[[], None] | None = None
) -> Written:
    """Write the judged cases in one transaction; `guard` may refuse it by raising."""
    rows = judged.rows
    before = stored.integers("id")
    fresh = np.setdiff1d(np.arange(before.size), rows)
    with transaction.atomic():
        bulk.lock(judged.cases.account_id)
        if guard:
            guard()
        moved = inputs_version(judged.cases.account_id) != judged.inputs
        ids = before.copy()
        if rows.size:
            # Somebody else may have stored some of them since they were compared.
            ids[rows] = stored_rows(judged.cases).integers("id")[rows]
            existed = ids >= 0
            new = rows[~existed[rows]]
            ids[new] = list(bulk.reserve_ids(InsightAudit, new.size))
            constants = _constants(judged, now, stale=moved)
            _write_audits(judged, ids[rows], existed[rows], constants)
            _write_causes(judged, ids[rows], existed[rows])
        else:
            existed = ids >= 0
        if not moved:
            _not_stale(judged.cases, stored, fresh)
    return Written(ids, existed, moved)


def _not_stale(cases: CasesOf, stored: StoredRows, rows: I64) -> None:
    """What was marked stale and turned out to have the same inputs is current again."""
    others = other_calibration(cases, stored) | other_series(cases, stored)
    current = (stored.integers("is_stale", 0) > 0) & ~others
    marked = stored.integers("id")[rows[current[rows]]].tolist()
    for start in range(0, len(marked), _FEW):
        part = marked[start : start + _FEW]
        InsightAudit.objects.filter(pk__in=part).update(is_stale=False)


# --- audits -------------------------------------------------------------------------------------


def _write_audits(judged: Judged, ids: I64, existed: Bool, constants: dict[str, Any]) -> None:
    """New rows are plain inserts: the lock is held, so nobody else can have made them. SQLite
    takes more than twice as long for a row that could be an update."""
    columns = _audit_columns(judged, ids)
    of_trade = judged.cases.trade_id[judged.rows] >= 0
    for key, where in (
        (None, ~existed),
        (_SIGNAL_KEY, existed & ~of_trade),
        (_TRADE_KEY, existed & of_trade),
    ):
        if not where.any():
            continue
        part = columns
        if not where.all():
            picked = np.flatnonzero(where).tolist()
            part = {name: [values[i] for i in picked] for name, values in columns.items()}
        bulk.upsert(InsightAudit, part, key=key, keep=_KEPT, constants=constants, raised=_UNSEEN)


def _constants(judged: Judged, now: datetime, *, stale: bool) -> dict[str, Any]:
    """What is the same in every row of a batch."""
    return {
        "account_id": judged.cases.account_id,
        "series_id": judged.cases.series_id,
        "engine_version": judged.engine_version,
        "evaluated_at": bulk.time_column(np.array([utc_ns(now)], np.int64))[0],
        "is_stale": bulk.bool_column([stale])[0],
        "reviewer_notes": "",
        "override_reason": "",
        "override_input_hash": "",
        "settled_hash": "",
        "is_flagged": bulk.bool_column([False])[0],
        "review_version": 0,
    }


def _audit_columns(judged: Judged, ids: I64) -> dict[str, Sequence[Any]]:
    cases, rows, labels = judged.cases, judged.rows, judged.labels
    batch = cases.batch
    snapshots, rules = _rule_columns(cases)
    reasons = review_reasons(labels, judged.diagnosis)
    rule = cases.rule[rows].tolist()
    return {
        "id": ids.tolist(),
        "signal_id": cases.signal_id[rows].tolist(),
        "trade_id": _or_none(cases.trade_id[rows], cases.trade_id[rows] >= 0),
        "horizon": [batch.horizon[i] for i in rows.tolist()],
        "entry_time": bulk.time_column(batch.entry_time[rows]),
        "exit_time": bulk.time_column(labels.exit_time),
        **_value_columns(labels, judged.diagnosis),
        **_bar_columns(cases, judged.read),
        **_finer_columns(judged.read),
        "rule_id": [rules[i] for i in rule],
        "rule_snapshot_id": [snapshots[i] for i in rule],
        **_record_columns(labels, judged.diagnosis),
        "input_hash": judged.hashes,
        "calibration_id": _calibration_column(judged),
        "review_reasons": reasons.tolist(),
        "needs_manual_review": bulk.bool_column((reasons > 0).tolist()),
    }


def row_values(
    cases: CasesOf, rows: I64, labels: Labels, diagnosis: Diagnosis, read: BarsRead
) -> dict[str, Sequence[Any]]:
    """What the rows of these cases of a batch must say, and `causes`: for verification.

    `diagnosis` has one element a row, `labels` and `read` one a case.
    """
    chosen = take(labels, rows)
    reasons = review_reasons(chosen, diagnosis)
    causes: list[list[tuple[Any, ...]]] = [[] for _ in range(rows.size)]
    columns = _cause_columns(diagnosis)
    for at, *cause in zip(*columns.values(), strict=True):
        causes[at].append(tuple(cause))
    return {
        "entry_time": bulk.time_column(cases.batch.entry_time[rows]),
        "exit_time": bulk.time_column(chosen.exit_time),
        **_value_columns(chosen, diagnosis),
        **_bar_columns(cases, take(read, rows)),
        **_finer_columns(take(read, rows)),
        **_record_columns(chosen, diagnosis),
        "series_id": [cases.series_id] * rows.size,
        "account_id": [cases.account_id] * rows.size,
        "review_reasons": reasons.tolist(),
        "needs_manual_review": bulk.bool_column((reasons > 0).tolist()),
        "causes": [sorted(each) for each in causes],
    }


def _value_columns(labels: Labels, diagnosis: Diagnosis) -> dict[str, Sequence[Any]]:
    return {
        "outcome": labels.outcome.tolist(),
        "shadow_outcome": _or_none(labels.shadow_outcome, labels.shadow_outcome > 0),
        "exit_reason": labels.exit_reason.tolist(),
        "entry_price": labels.judged_entry.tolist(),
        **_numbers(labels),
        "flags": labels.flags.tolist(),
        **_top_causes(diagnosis),
    }


def _numbers(labels: Labels) -> dict[str, Sequence[Any]]:
    columns = {
        "exit_price": labels.exit_price,
        "pips": labels.pips,
        "pnl_pct": labels.pnl_pct,
        "r_multiple": labels.r,
        "mfe_r": labels.mfe_r,
        "mae_r": labels.mae_r,
        "max_drawdown_r": labels.drawdown_r,
        "mfe_pips": labels.mfe_pips,
        "mae_pips": labels.mae_pips,
        "coverage": labels.coverage,
    }
    return {name: bulk.float_column(values) for name, values in columns.items()}


def _or_none(values: NDArray[Any], known: Bool) -> list[Any]:
    """Values as Python objects, None where not known."""
    result = np.full(values.shape, None, object)
    result[known] = values[known].tolist()
    return list(result.tolist())


def _top_causes(diagnosis: Diagnosis) -> dict[str, Sequence[Any]]:
    n = diagnosis.judged.size
    first = (diagnosis.rank == 1).argmax(axis=1)
    every = np.arange(n)
    posterior: F64 = np.stack([f.posterior for f in diagnosis.findings], axis=1)[every, first]
    confidence = np.stack([f.confidence for f in diagnosis.findings], axis=1)[every, first]
    names = np.where(diagnosis.judged, np.array(CAUSES)[first], "")
    return {
        "top_cause": names.tolist(),
        "top_posterior": _or_none(posterior, diagnosis.judged),
        "top_confidence": _or_none(confidence, diagnosis.judged),
    }


def _bar_columns(cases: CasesOf, read: BarsRead) -> dict[str, Sequence[Any]]:
    time = cases.batch.market.candles.time
    some = read.count > 0
    first = np.zeros(len(read), np.int64)
    last = first.copy()
    first[some], last[some] = time[read.start[some]], time[read.stop[some] - 1]
    text = read.digest.astype(">u8").tobytes().hex()
    return {
        "bars_from": _or_none(first, some),
        "bars_to": _or_none(last, some),
        "n_bars": read.count.tolist(),
        "bars_digest": [text[i : i + 32] for i in range(0, len(text), 32)],
    }


def _finer_columns(read: BarsRead) -> dict[str, Sequence[Any]]:
    some = read.n_finer > 0
    names = {0: ""} | {ns: timeframe_name(ns) for ns in np.unique(read.finer_ns).tolist() if ns}
    text = read.finer_digest.astype(">u8").tobytes().hex()
    return {
        "resolved_by": [names[ns] for ns in read.finer_ns.tolist()],
        "n_finer_bars": read.n_finer.tolist(),
        "finer_digest": [
            text[32 * i : 32 * i + 32] if there else "" for i, there in enumerate(some.tolist())
        ],
    }


def _record_columns(labels: Labels, diagnosis: Diagnosis) -> dict[str, Sequence[Any]]:
    table = records(labels, diagnosis)
    return {"record": packed(table), "evidence_hash": evidence_hashes(table)}


def _rule_columns(cases: CasesOf) -> tuple[list[int], list[int | None]]:
    """(snapshot id, id of the rule if it still exists) of each rule of the batch."""
    snapshots = [
        RuleSnapshot.objects.get_or_create(sha256=used.sha256, defaults={"data": used.data})[0].pk
        for used in cases.rules
    ]
    wanted = [used.rule.id for used in cases.rules]
    known = set(LabelingRule.objects.filter(pk__in=wanted).values_list("pk", flat=True))
    return snapshots, [pk if pk in known else None for pk in wanted]


def _calibration_column(judged: Judged) -> list[int | None]:
    """The table by which causes were ranked, where they were asked for."""
    asked = judged.diagnosis.judged
    used = judged.cases.calibration
    table = store_table(used.table).pk if used.id is None and asked.any() else used.id
    return [table if each else None for each in asked.tolist()]


# --- causes -------------------------------------------------------------------------------------


def _cause_columns(diagnosis: Diagnosis) -> dict[str, list[Any]]:
    """Ranked causes: those that fired, and `unknown` where it ranks first. `case` is the row."""
    status = np.stack([f.status for f in diagnosis.findings], axis=1)
    case, cause = np.nonzero((diagnosis.rank > 0) & (status == Status.FIRED))
    posterior = np.stack([f.posterior for f in diagnosis.findings], axis=1)
    confidence = np.stack([f.confidence for f in diagnosis.findings], axis=1)
    return {
        "case": case.tolist(),
        "rank": diagnosis.rank[case, cause].tolist(),
        "cause": np.array(CAUSES)[cause].tolist(),
        "confidence": confidence[case, cause].tolist(),
        "posterior": posterior[case, cause].tolist(),
    }


def _write_causes(judged: Judged, ids: I64, existed: Bool) -> None:
    columns = _cause_columns(judged.diagnosis)
    case = np.array(columns.pop("case"), np.int64)
    bulk.delete_where(AuditRCA, "audit_id", ids[existed].tolist())
    bulk.upsert(AuditRCA, {"audit_id": ids[case].tolist(), **columns}, key=None)
