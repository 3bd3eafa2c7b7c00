"""Run stored audits again from stored inputs and compare.

An audit is in one of these states:

- `verified`: the same inputs gave the same evidence by the calibration table it was made with,
  and the row says what the evidence says;
- `mismatch`: it differs from its own record, its bars, rule, signal or trade are not what it read,
  or the same inputs gave something else: somebody changed it behind its back;
- `stale`: marked so and its inputs are others, or its surroundings grew since (older trades, news
  or related markets came later): a new run updates it;
- `other_engine`: made by another version of the engine, or labelled only; its row, causes and
  links agree with its own record and it was not judged again;
- `could_not_check`: made by a version whose records cannot be read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from post_mortem.core.calibration import Calibration
from post_mortem.core.inputs import bars_read, input_hashes, same_case
from post_mortem.core.labeler import label
from post_mortem.core.resolution import first_touches
from post_mortem.core.version import ENGINE_VERSION
from post_mortem.models import CalibrationTable, InsightAudit
from post_mortem.selectors.calibrations import stored_table
from post_mortem.selectors.case_rows import Selection, groups
from post_mortem.selectors.cases import CasesOf, group_batches
from post_mortem.selectors.stored import StoredRows, causes_of, stored_rows
from post_mortem.services.audit_writer import row_values
from post_mortem.services.audits import judge
from post_mortem.services.own_records import FIELDS as OWN_FIELDS
from post_mortem.services.own_records import OwnRecords
from trading.core.candles import I64
from trading.core.errors import OperatorError
from trading.core.types import SIGNAL_HORIZONS, Horizon
from trading.selectors.candles import forget_decoded

Cause = tuple[Any, ...]
_SHOWN = 1000
_FIELDS = ("input_hash", "is_stale", *OWN_FIELDS)
# What follows from the inputs alone, whichever engine version read them.
_OF_BARS = ("n_bars", "bars_digest", "bars_from", "bars_to", "n_finer_bars", "finer_digest")
# What a row repeats of its record, so that lists can be filtered by it.
_COMPARED = (
    *("outcome", "shadow_outcome", "exit_reason", "flags", "exit_price", "pips", "pnl_pct"),
    *("r_multiple", "mfe_r", "mae_r", "max_drawdown_r", "mfe_pips", "mae_pips", "coverage"),
    *("entry_price", "top_cause", "top_posterior", "top_confidence", "n_bars", "bars_digest"),
    *("resolved_by", "n_finer_bars", "finer_digest", "bars_from", "bars_to"),
    *("entry_time", "exit_time", "series_id", "account_id"),
    *("review_reasons", "needs_manual_review"),
)


@dataclass(slots=True)
class Verification:
    """Counts by state, and the mismatches (the first thousand) with their reasons."""

    checked: int = 0
    verified: int = 0
    stale: int = 0
    other_engine: int = 0
    could_not_check: int = 0
    mismatched: int = 0
    mismatches: list[dict[str, Any]] = field(default_factory=list)

    def mismatch(self, audit_id: int, reason: str) -> None:
        self.mismatched += 1
        if len(self.mismatches) < _SHOWN:
            self.mismatches.append({"audit_id": audit_id, "reason": reason})

    def as_dict(self) -> dict[str, object]:
        return {
            "checked": self.checked,
            "verified": self.verified,
            "stale": self.stale,
            "other_engine": self.other_engine,
            "could_not_check": self.could_not_check,
            "mismatched": self.mismatched,
            "mismatches": self.mismatches,
        }


def verify_audits(
    *, sample: int | None = None, progress: Callable[[int], None] | None = None
) -> Verification:
    """Verify every stored audit, or `sample` of them spread evenly over all."""
    return _verified(_wanted(sample), progress)


def verify_audit(*, audit_id: int) -> Verification:
    """Verify one stored audit; `checked` is 0 when there is none."""
    rows = InsightAudit.objects.filter(pk=audit_id).values_list("pk", "signal_id")
    return _verified(dict(rows), None)


def _verified(wanted: dict[int, int], progress: Callable[[int], None] | None) -> Verification:
    # What is in memory was right when it was read; what is stored now is in question.
    forget_decoded()
    check = _Check(wanted, progress or (lambda done: None))
    for signal_ids in _pieces(wanted):
        check.signals(signal_ids)
    for audit_id in sorted(set(wanted) - check.seen):
        check.judged(audit_id, "it cannot be rebuilt: its rows are gone or changed")
    return check.result


def _wanted(sample: int | None) -> dict[int, int]:
    """Audit ids to check, with their signals."""
    rows = list(InsightAudit.objects.order_by("pk").values_list("pk", "signal_id"))
    if sample is None or sample >= len(rows):
        return dict(rows)
    at = np.linspace(0, len(rows) - 1, max(sample, 0)).astype(np.int64)
    return dict(rows[i] for i in np.unique(at).tolist())


def _pieces(wanted: dict[int, int], size: int = 20_000) -> Iterator[tuple[int, ...]]:
    signals = sorted(set(wanted.values()))
    for start in range(0, len(signals), size):
        yield tuple(signals[start : start + size])


@dataclass(slots=True)
class _Check:
    wanted: dict[int, int]
    progress: Callable[[int], None]
    result: Verification = field(default_factory=Verification)
    seen: set[int] = field(default_factory=set)
    tables: dict[int, Calibration] = field(default_factory=dict)
    own: OwnRecords = field(default_factory=OwnRecords)

    def signals(self, signal_ids: Sequence[int]) -> None:
        """Check the audits of some signals; what cannot be read is narrowed down."""
        try:
            self._run(Selection(signal_ids=tuple(signal_ids)))
        except OperatorError:
            if len(signal_ids) > 1:
                middle = len(signal_ids) // 2
                self.signals(signal_ids[:middle])
                self.signals(signal_ids[middle:])
            else:
                self._each_horizon(signal_ids[0])

    def _each_horizon(self, signal: int) -> None:
        for horizon in (*SIGNAL_HORIZONS, str(Horizon.TRADE)):
            of_trade = horizon == Horizon.TRADE
            horizons = () if of_trade else (horizon,)
            try:
                self._run(Selection(signal_ids=(signal,), horizons=horizons, trades=of_trade))
            except OperatorError as error:
                mine = InsightAudit.objects.filter(signal=signal, horizon=horizon)
                for audit_id in mine.order_by("pk").values_list("pk", flat=True):
                    if audit_id in self.wanted and audit_id not in self.seen:
                        self.judged(audit_id, error.detail)

    def _run(self, selection: Selection) -> None:
        for group in groups(selection):
            for cases in group_batches(selection, group):
                self.batch(cases)

    def batch(self, cases: CasesOf) -> None:
        stored = stored_rows(cases, *dict.fromkeys((*_FIELDS, *_COMPARED)))
        ids = stored.integers("id")
        mine = [i for i, pk in enumerate(ids.tolist()) if pk in self.wanted and pk not in self.seen]
        rows = np.array(mine, np.int64)
        if not rows.size:
            return
        picked = stored.place[rows].tolist()
        found = {name: [column[i] for i in picked] for name, column in stored.rows.items()}
        causes = causes_of(found["id"])
        faults, readable = self.own.faults(found, causes)
        for k, pk in enumerate(found["id"]):
            if faults[k]:
                self.judged(pk, faults[k])
            elif not readable[k]:
                self.counted(pk, "could_not_check")
        whole = np.array([not fault for fault in faults], bool) & readable
        again = rows[whole]
        if again.size:
            self._again(cases, again, stored, causes)

    def _again(
        self, cases: CasesOf, rows: I64, stored: StoredRows, causes: dict[int, list[Cause]]
    ) -> None:
        """Judge audits again that agree with their own records."""
        paths = first_touches(cases.batch)
        labels = label(cases.batch, paths)
        read = bars_read(cases.batch, paths)
        rules = cases.rule_hashes()
        hashes = input_hashes(cases.batch, paths, read, rules)
        ids, table = stored.integers("id"), stored.integers("calibration_id")
        for table_id in np.unique(table[rows]).tolist():
            made = rows[table[rows] == table_id]
            try:
                calibration = self._calibration(table_id)
            except OperatorError as error:
                for i in made.tolist():
                    self.judged(int(ids[i]), error.detail)
                continue
            diagnosis = judge(cases, paths, labels, made, calibration=calibration)
            expected = row_values(cases, made, labels, diagnosis, read)
            for k, i in enumerate(made.tolist()):
                row = {name: column[int(stored.place[i])] for name, column in stored.rows.items()}
                now = {name: values[k] for name, values in expected.items()}
                self._compare(row, hashes[i], rules[i], now, causes.get(row["id"], []))

    def _calibration(self, table_id: int) -> Calibration | None:
        """The table an audit was made with; None where no cause was asked for."""
        if table_id < 0:
            return None
        if table_id not in self.tables:
            row = CalibrationTable.objects.get(pk=table_id)
            self.tables[table_id] = stored_table(row).calibration
        return self.tables[table_id]

    def _compare(
        self,
        row: dict[str, Any],
        inputs: str,
        rule: str,
        now: dict[str, Any],
        causes: list[Cause],
    ) -> None:
        if row["engine_version"] != ENGINE_VERSION:
            differing = _unlike(row, now, _OF_BARS) if row["input_hash"] == inputs else []
            if differing:
                self.judged(row["id"], f"its row differs from its inputs: {', '.join(differing)}")
            else:
                self.counted(row["id"], "other_engine")
        elif row["is_stale"] and self._reads_others(row, inputs, now):
            self.counted(row["id"], "stale")
        elif not same_case(row["input_hash"], inputs):
            self.judged(row["id"], "its bars, rule, signal or trade are not what it read")
        elif self.own.snapshot(row["rule_snapshot_id"]).sha256 != rule:
            self.judged(row["id"], "its rule snapshot is not the rule it was judged by")
        elif row["input_hash"] != inputs:
            self.counted(row["id"], "stale")
        elif row["evidence_hash"] != now["evidence_hash"]:
            self.judged(row["id"], "the same inputs give other evidence")
        elif differing := _unlike(row, now, _COMPARED):
            self.judged(row["id"], f"its row differs from its evidence: {', '.join(differing)}")
        elif causes != now["causes"]:
            self.judged(row["id"], "its causes differ from its evidence")
        else:
            self.counted(row["id"], "verified")

    @staticmethod
    def _reads_others(row: dict[str, Any], inputs: str, now: dict[str, Any]) -> bool:
        """Whether it would read something else today: another series may have the same bars."""
        return bool(row["input_hash"] != inputs or row["series_id"] != now["series_id"])

    def judged(self, audit_id: int, reason: str) -> None:
        self.seen.add(audit_id)
        self.result.checked += 1
        self.result.mismatch(audit_id, reason)
        self.progress(1)

    def counted(self, audit_id: int, state: str) -> None:
        self.seen.add(audit_id)
        self.result.checked += 1
        setattr(self.result, state, getattr(self.result, state) + 1)
        self.progress(1)


def _unlike(row: dict[str, Any], now: dict[str, Any], names: Sequence[str]) -> list[str]:
    return [name for name in names if not _equal(row[name], now[name])]


def _equal(stored: Any, now: Any) -> bool:
    if isinstance(now, float) and now != now:
        return stored is None
    return bool(stored == now)
