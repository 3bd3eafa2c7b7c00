"""Audits: select cases, replay, label, diagnose, record, and write what changed.

An audit whose inputs and engine are the same as when it was stored is left alone, so running
again writes nothing; pending audits change their inputs, and are run again, when data arrive.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import numpy as np
from django.utils import timezone

from post_mortem.core.batches import take
from post_mortem.core.blocks import worth_compiling
from post_mortem.core.calibration import Calibration
from post_mortem.core.inputs import bars_read, input_hashes
from post_mortem.core.labeler import label
from post_mortem.core.rca import diagnose
from post_mortem.core.resolution import first_touches
from post_mortem.core.types import (
    CAUSES,
    Bool,
    Diagnosis,
    Labels,
    Outcome,
    Paths,
)
from post_mortem.core.version import ENGINE_VERSION
from post_mortem.selectors.case_rows import Selection, groups
from post_mortem.selectors.cases import CasesOf, group_batches
from post_mortem.selectors.inputs_version import inputs_version
from post_mortem.selectors.stored import other_calibration, other_series, stored_rows
from post_mortem.services.audit_writer import Judged, Written, write
from post_mortem.services.staleness import mark_stale
from post_mortem.services.write_behind import WriteBehind, can_write_behind, collector_at_rest
from trading.core.candles import I64
from trading.core.errors import NotFoundError, UserError
from trading.core.types import SIGNAL_HORIZONS, Horizon
from trading.models import Signal, Trade

# Marks audits that were labelled without looking for causes; a full run completes them.
LABELS_ONLY = 0
# Signals from which on a run is worth a second thread.
_LARGE_RUN = 5_000

Progress = Callable[[int], None]
Guard = Callable[[], None]


@dataclass(slots=True)
class RunSummary:
    """What a run did. `audit_ids` are all audits of the selection, `changed_ids` those written."""

    cases: int = 0
    new: int = 0
    updated: int = 0
    unchanged: int = 0
    dry_run: bool = False
    outcomes: Counter[str] = field(default_factory=Counter)
    top_causes: Counter[str] = field(default_factory=Counter)
    audit_ids: list[int] = field(default_factory=list)
    changed_ids: list[int] = field(default_factory=list)

    def as_dict(self) -> dict[str, object]:
        return {
            "audits": self.cases,
            "new": self.new,
            "updated": self.updated,
            "unchanged": self.unchanged,
            "dry_run": self.dry_run,
            "outcomes": dict(sorted(self.outcomes.items())),
            "top_causes": dict(self.top_causes.most_common()),
        }


def run_autopsy(
    *,
    account_ids: Sequence[int] | None = None,
    signal_ids: Sequence[int] | None = None,
    trade_ids: Sequence[int] | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
    instrument_id: int | None = None,
    strategy: str | None = None,
    horizons: Sequence[str] = (),
    skip_rca: bool = False,
    force: bool = False,
    dry_run: bool = False,
    progress: Progress | None = None,
    guard: Guard | None = None,
    narrate: Callable[[Sequence[int]], object] | None = None,
    now: datetime | None = None,
) -> RunSummary:
    """Audit the selected signals under `horizons` (none given: all) and their trades under TRADE.

    `end` is exclusive. `force` rewrites unchanged audits, `dry_run` writes nothing, `skip_rca`
    labels only. `progress` is told how many cases are done; `guard` is called inside every
    transaction that writes and may refuse it by raising; `narrate` is given the ids of the audits
    that were written, when all are. Raises UserError on an unknown horizon,
    NotFoundError where an id does not exist.
    """
    selection = Selection(
        account_ids=_ids(account_ids),
        signal_ids=_ids(signal_ids),
        trade_ids=_ids(trade_ids),
        start=start,
        end=end,
        instrument_id=instrument_id,
        strategy=strategy,
        horizons=checked_horizons(horizons),
    )
    _require_existing(selection)
    chosen = groups(selection)
    signals = sum(group.signals for group in chosen)
    large = signals > _LARGE_RUN
    compiled = worth_compiling(signals * len(selection.horizons)) or None
    with (
        collector_at_rest(active=large),
        WriteBehind[Written](active=large and can_write_behind()) as writer,
    ):
        run = _Run(
            skip_rca, force, dry_run, now or timezone.now(), guard, progress, writer, compiled
        )
        for group in chosen:
            inputs = inputs_version(group.account_id)
            for cases in group_batches(selection, group):
                run.audit(cases, inputs)
    # Marked stale because something was imported or edited meanwhile, perhaps nothing of theirs.
    for signal_ids in run.moved:
        mark_stale(signal_ids=signal_ids)
    if narrate and run.summary.changed_ids and not skip_rca:
        narrate(run.summary.changed_ids)
    return run.summary


def checked_horizons(horizons: Sequence[str]) -> tuple[str, ...]:
    """Signal horizons in their order; TRADE is always part of a run and may be named."""
    known = (*SIGNAL_HORIZONS, str(Horizon.TRADE))
    for name in horizons:
        if name not in known:
            raise UserError(
                "horizon",
                f"unknown horizon {name[:20]!a}: expected some of {', '.join(known)}",
                field="horizons",
            )
    return tuple(name for name in SIGNAL_HORIZONS if not horizons or name in horizons)


def _ids(ids: Iterable[int] | None) -> tuple[int, ...] | None:
    return None if ids is None else tuple(sorted(set(ids)))


def _require_existing(selection: Selection) -> None:
    for name, model, ids in (
        ("signal", Signal, selection.signal_ids),
        ("trade", Trade, selection.trade_ids),
    ):
        if not ids:
            continue
        found = set(model._default_manager.filter(pk__in=ids).values_list("pk", flat=True))
        absent = [pk for pk in ids if pk not in found]
        if absent:
            raise NotFoundError("not_found", f"there is no {name} {absent[0]}", field=f"{name}_id")


@dataclass(slots=True)
class _Run:
    skip_rca: bool
    force: bool
    dry_run: bool
    now: datetime
    guard: Guard | None
    progress: Progress | None
    writer: WriteBehind[Written]
    compiled: bool | None
    summary: RunSummary = field(default_factory=RunSummary)
    moved: list[list[int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.summary.dry_run = self.dry_run

    def audit(self, cases: CasesOf, inputs: Hashable) -> None:
        paths = first_touches(cases.batch, compiled=self.compiled)
        labels = label(cases.batch, paths)
        read = bars_read(cases.batch, paths)
        hashes = input_hashes(cases.batch, paths, read, cases.rule_hashes())
        self._count(labels)
        stored = stored_rows(
            cases, "input_hash", "engine_version", "is_stale", "calibration_id", "series_id"
        )
        version = stored.integers("engine_version")
        changed = self._changed(hashes, stored.texts("input_hash"), version)
        changed |= other_series(cases, stored)
        if not self.skip_rca:
            changed |= other_calibration(cases, stored)
        # Rows that are neighbours in the indexes are written one after the other.
        rows = np.argsort(cases.signal_id, kind="stable")
        rows = rows[changed[rows]]
        diagnosis = judge(cases, paths, labels, rows, skip_rca=self.skip_rca)
        self._count_causes(diagnosis)
        if self.dry_run:
            self._tally(stored.place >= 0, changed)
            return

        def written(result: Written) -> None:
            self._tally(result.existed, changed)
            self.summary.audit_ids.extend(result.ids.tolist())
            self.summary.changed_ids.extend(result.ids[rows].tolist())
            if result.moved:
                self.moved.append(np.unique(cases.signal_id[rows]).tolist())

        judged = Judged(
            cases=cases,
            rows=rows,
            labels=take(labels, rows),
            diagnosis=diagnosis,
            read=take(read, rows),
            hashes=[hashes[i] for i in rows.tolist()],
            engine_version=LABELS_ONLY if self.skip_rca else ENGINE_VERSION,
            inputs=inputs,
        )
        self.writer.submit(lambda: write(judged, stored, now=self.now, guard=self.guard), written)

    def _changed(self, hashes: Sequence[str], stored: Sequence[str], version: I64) -> Bool:
        if self.force:
            return np.ones(len(hashes), bool)
        same = np.array([a == b for a, b in zip(hashes, stored, strict=True)], bool)
        current = (version == ENGINE_VERSION) | (self.skip_rca & (version == LABELS_ONLY))
        result: Bool = ~(same & current)
        return result

    def _tally(self, existed: Bool, changed: Bool) -> None:
        summary = self.summary
        summary.cases += changed.size
        summary.new += int((changed & ~existed).sum())
        summary.updated += int((changed & existed).sum())
        summary.unchanged += int((~changed).sum())
        if self.progress:
            self.progress(changed.size)

    def _count(self, labels: Labels) -> None:
        found, counts = np.unique(labels.outcome, return_counts=True)
        for outcome, count in zip(found.tolist(), counts.tolist(), strict=True):
            self.summary.outcomes[Outcome(outcome).name.lower()] += count

    def _count_causes(self, diagnosis: Diagnosis) -> None:
        firsts = (diagnosis.rank == 1).sum(axis=0).tolist()
        for cause, count in zip(CAUSES, firsts, strict=True):
            if count:
                self.summary.top_causes[cause] += count


def judge(
    cases: CasesOf,
    paths: Paths,
    labels: Labels,
    rows: I64,
    *,
    skip_rca: bool = False,
    calibration: Calibration | None = None,
) -> Diagnosis:
    """Findings of some of the cases, one row each, by the calibration in force unless another is
    given. With `skip_rca` no cause is looked for."""
    chosen = take(labels, rows)
    if skip_rca:
        # Only failed and neutral cases are asked for causes.
        chosen = replace(chosen, outcome=np.full_like(chosen.outcome, Outcome.PENDING))
    used = calibration or cases.calibration.calibration
    return diagnose(take(cases.batch, rows), take(paths, rows), chosen, used)
