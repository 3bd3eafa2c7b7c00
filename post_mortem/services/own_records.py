"""Stored audits against their own records: what can be said of a row without judging it again.

An audit that is stale, that another engine version made or that was only labelled cannot be
compared with what its inputs give today. Its row, its causes, its rule snapshot and its
calibration have to agree with one another all the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from post_mortem.core.record import LAYOUT_SINCE, evidence_hashes, packed, unpacked_all
from post_mortem.core.recorded import (
    CODES,
    NUMBERS,
    RankedCause,
    posterior_steps,
    ranked_causes,
    unlike,
    was_judged,
)
from post_mortem.core.review import reasons_of
from post_mortem.core.types import I32, Bool
from post_mortem.core.version import ENGINE_VERSION
from post_mortem.models import LabelingRule, RuleChange, RuleSnapshot
from post_mortem.selectors.cases import rule_hash
from post_mortem.selectors.columns import Column, floats, integers, times
from post_mortem.services.audits import LABELS_ONLY

Causes = Mapping[int, Sequence[tuple[Any, ...]]]

FIELDS = (
    *("record", "evidence_hash", "engine_version", "calibration_id", "rule_id", "rule_snapshot_id"),
    *CODES,
    *NUMBERS,
    *("exit_time", "exit_price", "top_cause", "top_posterior", "top_confidence"),
    *("review_reasons", "needs_manual_review"),
)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A rule snapshot: the hash of the rule it holds ("" where that is not its own), and which
    rule an audit of it may name."""

    sha256: str
    rule_ids: tuple[int | None, ...]


@dataclass(slots=True)
class OwnRecords:
    """Checks rows against their records; remembers the snapshots it has read."""

    snapshots: dict[int, Snapshot] = field(default_factory=dict)

    def faults(self, rows: Mapping[str, Column], causes: Causes) -> tuple[list[str], Bool]:
        """(what is wrong with each row, "" for nothing; which records could be read).

        `rows` holds `id` and FIELDS; `causes` those stored of each audit (`selectors.stored`).
        """
        blobs = [bytes(blob) for blob in rows["record"]]
        table, readable = unpacked_all(blobs)
        # Packing again shows what unpacking does not look at.
        stored = zip(
            blobs, packed(table), rows["evidence_hash"], evidence_hashes(table), strict=True
        )
        carried = np.array([b == again and given == h for b, again, given, h in stored], bool)
        whole = readable & carried
        version = integers(rows["engine_version"])
        ours = (version >= LAYOUT_SINCE) & (version <= ENGINE_VERSION)
        broken = ~whole & (ours | (readable & (version == LABELS_ONLY)))
        found = [""] * len(blobs)
        judged = was_judged(table)
        for at in np.flatnonzero(whole).tolist():
            found[at] = self._of_links(rows, at, judged=bool(judged[at]))
        _of_columns(found, rows, table, whole)
        _of_causes(found, rows["id"], table, whole, causes)
        for at in np.flatnonzero(broken).tolist():
            found[at] = "its record does not carry its evidence hash"
        return found, whole | broken

    def snapshot(self, pk: int) -> Snapshot:
        """A snapshot, read once."""
        if pk not in self.snapshots:
            row = RuleSnapshot.objects.get(pk=pk)
            sound = rule_hash(row.data) == row.sha256
            self.snapshots[pk] = Snapshot(
                row.sha256 if sound else "", _nameable(row.data["id"]) if sound else ()
            )
        return self.snapshots[pk]

    def _of_links(self, rows: Mapping[str, Column], at: int, *, judged: bool) -> str:
        snapshot = self.snapshot(rows["rule_snapshot_id"][at])
        if not snapshot.sha256:
            return "its rule snapshot is not the rule it was judged by"
        if rows["rule_id"][at] not in snapshot.rule_ids:
            return "its rule is not the one of its snapshot"
        table = rows["calibration_id"][at]
        if judged and table is None:
            return "its causes were ranked, but no calibration table is named"
        if table is not None and not judged:
            return "a calibration table is named, but no causes were ranked"
        return ""


def _nameable(rule_id: int) -> tuple[int | None, ...]:
    """A deleted rule is named by nobody, and by none of its old audits after it came back."""
    if not LabelingRule.objects.filter(pk=rule_id).exists():
        return (None,)
    gone = RuleChange.objects.filter(rule_id=rule_id, after__isnull=True).exists()
    return (rule_id, None) if gone else (rule_id,)


def _of_columns(found: list[str], rows: Mapping[str, Column], table: I32, readable: Bool) -> None:
    values = _values(rows)
    differing = unlike(table, values)
    reasons = integers(rows["review_reasons"])
    differing["needs_manual_review"] = (reasons > 0) != values["needs_manual_review"]
    now = reasons_of(
        values["outcome"],
        values["flags"],
        values["coverage"],
        values["r_multiple"],
        values["top_cause"] == "unknown",
    )
    # Another version may have asked for a person at other occasions.
    same_engine = integers(rows["engine_version"]) == ENGINE_VERSION
    differing["review_reasons"] = (reasons != now) & same_engine
    any_of_them = np.logical_or.reduce(list(differing.values())) & readable
    for at in np.flatnonzero(any_of_them).tolist():
        names = sorted(name for name, where in differing.items() if where[at])
        found[at] = f"its row differs from its own record: {', '.join(names)}"


def _values(rows: Mapping[str, Column]) -> dict[str, NDArray[Any]]:
    codes = {name: integers(rows[name], none=0) for name in CODES}
    numbers = {name: floats(rows[name]) for name in (*NUMBERS, "exit_price", "top_posterior")}
    return {
        **codes,
        **numbers,
        "exit_time": times(rows["exit_time"]),
        "top_cause": np.array(rows["top_cause"], np.str_),
        "top_confidence": integers(rows["top_confidence"]),
        "needs_manual_review": np.array(rows["needs_manual_review"], bool),
    }


def _of_causes(found: list[str], ids: Column, table: I32, readable: Bool, causes: Causes) -> None:
    for at, recorded in enumerate(ranked_causes(table)):
        if readable[at] and not found[at] and _stored(causes.get(ids[at], ())) != recorded:
            found[at] = "its causes differ from its own record"


def _stored(causes: Sequence[tuple[Any, ...]]) -> list[RankedCause]:
    return [(rank, cause, confidence, posterior_steps(p)) for rank, cause, confidence, p in causes]
