"""The evidence record: everything the engine said about one case as one row of int32.

The layout is fixed by `FACTS` in the order of `CAUSES`: the label's numbers, then for each cause
status, strength, posterior, confidence, rank, missing and its facts. Numbers are stored in steps of
0.0001 (keys, codes and counts whole), so that the last bits of a float decide no hash; an unknown
number is `UNKNOWN`; a number beyond what an int32 holds is kept at the largest it holds. Times and
prices take two columns. Pages and narratives are rendered from the record alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from post_mortem.core.causes import FACTS
from post_mortem.core.evidence import CauseNumbers, LabelNumbers
from post_mortem.core.types import (
    CAUSES,
    I32,
    NO_TIME,
    Bool,
    Diagnosis,
    FactSpec,
    Findings,
    Labels,
    Missing,
    Status,
)
from trading.core.candles import F64, I64
from trading.core.errors import OperatorError
from trading.core.types import NS_PER_SECOND

LAYOUT_VERSION = 1  # raised by hand when a column is added, moved or measured otherwise
LAYOUT_SINCE = 1  # the first engine version that wrote this layout
UNKNOWN = np.iinfo(np.int32).min
LARGEST = np.iinfo(np.int32).max
STEPS_PER_ONE = 10_000
PRICE_STEPS_PER_ONE = 10**8
WHOLE_UNITS = ("key", "code", "count", "bars")

_LABEL_CODES = ("outcome", "shadow_outcome", "exit_reason", "flags")
_LABEL_NUMBERS = (
    "pips",
    "pnl_pct",
    "r",
    "mfe_r",
    "mae_r",
    "drawdown_r",
    "mfe_pips",
    "mae_pips",
    "drawdown_pips",
    "coverage",
)
_WIDE = ("exit_time", "exit_price")
_CAUSE_HEAD = ("status", "strength", "posterior", "confidence", "rank", "missing")
_LOW_BITS = 31
_FEEDS = tuple((feed.value, str(feed.name).lower()) for feed in Missing)


def layout() -> tuple[str, ...]:
    """Name of every column, in order."""
    wide = [f"label.{name}.{half}" for name in _WIDE for half in ("high", "low")]
    label = [f"label.{name}" for name in (*_LABEL_CODES, *_LABEL_NUMBERS)]
    causes = [
        f"{cause}.{name}"
        for cause in CAUSES
        for name in (*_CAUSE_HEAD, *(spec.key for spec in FACTS[cause]))
    ]
    return (*label, *wide, *causes)


COLUMNS = layout()
WIDTH = len(COLUMNS)
_HASH_HEAD = f"inquest.record/{LAYOUT_VERSION}/{WIDTH}\n".encode()
_BIT_BYTES = -(-WIDTH // 8)


def _blank() -> I32:
    """What columns hold where nothing is known and no cause was judged."""
    heads = {f"{cause}.{name}" for cause in CAUSES for name in _CAUSE_HEAD}
    return np.array([0 if name in heads else UNKNOWN for name in COLUMNS], "<i4")


_BLANK = _blank()


@dataclass(frozen=True, slots=True)
class RecordView:
    """One record, read back. `findings` holds every cause in CAUSES order."""

    label: LabelNumbers
    drawdown_pips: float | None
    findings: tuple[CauseNumbers, ...]
    judged: bool


def records(labels: Labels, diagnosis: Diagnosis) -> I32:
    """Records of all cases: shape (N, WIDTH), little-endian int32, one row a case."""
    n = labels.outcome.shape[0]
    # Column by column is quick on the transposed array; a row must be contiguous in the result.
    table = np.empty((WIDTH, n), "<i4")
    table[: len(_LABEL_CODES)] = [getattr(labels, name) for name in _LABEL_CODES]
    at = len(_LABEL_CODES)
    numbers = np.stack([getattr(labels, name) for name in _LABEL_NUMBERS])
    table[at : at + len(_LABEL_NUMBERS)] = steps(numbers, STEPS_PER_ONE)
    at += len(_LABEL_NUMBERS)
    seconds = labels.exit_time // NS_PER_SECOND
    table[at : at + 2] = halves(np.where(labels.exit_time == NO_TIME, NO_TIME, seconds))
    table[at + 2 : at + 4] = halves(price_steps(labels.exit_price))
    at += 4
    for column, finding in enumerate(diagnosis.findings):
        width = len(_CAUSE_HEAD) + len(FACTS[finding.cause])
        _write_cause(table[at : at + width], finding, diagnosis.rank[:, column])
        at += width
    return np.ascontiguousarray(table.T)


def evidence_hash(record: I32) -> str:
    """sha256 (hex) of one row of `records` and of its layout's version."""
    return hashlib.sha256(_HASH_HEAD + record.astype("<i4", copy=False).tobytes()).hexdigest()


def evidence_hashes(table: I32) -> list[str]:
    """`evidence_hash` of every row of `records`."""
    blob, width = table.astype("<i4", copy=False).tobytes(), 4 * WIDTH
    sha256 = hashlib.sha256
    return [
        sha256(_HASH_HEAD + blob[start : start + width]).hexdigest()
        for start in range(0, len(blob), width)
    ]


def packed(table: I32) -> list[bytes]:
    """Rows of `records` as they are stored: a bit for every column that is not as in a record
    without findings, then those columns. A third of the size, and it says the same."""
    known = table != _BLANK
    bits = np.packbits(known, axis=1).tobytes()
    values = table[known].astype("<i4", copy=False).tobytes()
    ends = (4 * np.cumsum(known.sum(axis=1))).tolist()
    starts = [0, *ends[:-1]]
    return [
        bits[i * _BIT_BYTES : (i + 1) * _BIT_BYTES] + values[start:end]
        for i, (start, end) in enumerate(zip(starts, ends, strict=True))
    ]


def unpacked(blob: bytes) -> I32:
    """One row of `records` from its stored form or its plain bytes. A blob that is neither, as of
    another layout, raises OperatorError."""
    if len(blob) == 4 * WIDTH:
        return np.frombuffer(blob, "<i4").astype("<i4")
    bits = np.frombuffer(blob[:_BIT_BYTES], np.uint8)
    known = np.unpackbits(bits, count=WIDTH).astype(bool) if bits.size == _BIT_BYTES else None
    if known is None or len(blob) != _BIT_BYTES + 4 * int(known.sum()):
        raise OperatorError(
            "record_layout", f"a record of {len(blob)} bytes is not of this version's layout"
        )
    row = _BLANK.copy()
    row[known] = np.frombuffer(blob, "<i4", offset=_BIT_BYTES)
    return row


def unpacked_all(blobs: Sequence[bytes]) -> tuple[I32, Bool]:
    """Rows of `records` from their stored form, and which of them are of this layout; the others
    are as a record without findings."""
    n = len(blobs)
    heads = [blob[:_BIT_BYTES].ljust(_BIT_BYTES, b"\0") for blob in blobs]
    bits = np.frombuffer(b"".join(heads), np.uint8).reshape(n, _BIT_BYTES)
    known = np.unpackbits(bits, axis=1, count=WIDTH).astype(bool)
    length = np.array([len(blob) for blob in blobs], np.int64)
    plain = length == 4 * WIDTH
    fits = ~plain & (length == _BIT_BYTES + 4 * known.sum(axis=1))
    known[~fits] = False
    table = np.tile(_BLANK, (n, 1))
    values = b"".join(blobs[i][_BIT_BYTES:] for i in np.flatnonzero(fits).tolist())
    table[known] = np.frombuffer(values, "<i4")
    for i in np.flatnonzero(plain).tolist():
        table[i] = np.frombuffer(blobs[i], "<i4")
    return table, plain | fits


def read_record(blob: bytes) -> RecordView:
    """What a stored record says (`packed`, or the plain bytes of a row of `records`)."""
    values = dict(zip(COLUMNS, unpacked(blob).tolist(), strict=True))
    findings = tuple(_read_cause(values, cause) for cause in CAUSES)
    named = sum(finding.posterior for finding in findings[:-1])
    findings = (
        *(replace(finding, others=named - finding.posterior) for finding in findings[:-1]),
        findings[-1],
    )
    judged = any(finding.rank for finding in findings)
    return RecordView(_read_label(values), _number(values["label.drawdown_pips"]), findings, judged)


# --- writing ----------------------------------------------------------------------------------


def steps(values: NDArray[np.generic], per_one: int | I64) -> I32:
    """Numbers as a record holds them: whole steps, UNKNOWN for NaN."""
    scaled = np.asarray(values, np.float64) * per_one
    held = np.minimum(np.maximum(np.rint(scaled), -LARGEST), LARGEST)
    return np.where(np.isnan(held), UNKNOWN, held).astype("<i4")


def price_steps(price: F64) -> I64:
    """Prices in steps of 1e-8, NO_TIME where unknown."""
    known = np.isfinite(price)
    steps = np.rint(np.where(known, price, 0.0) * PRICE_STEPS_PER_ONE).astype(np.int64)
    return np.where(known, steps, NO_TIME)


def halves(values: I64) -> list[I32]:
    """High and low part of each int64 (31 bits in the low one, so that it is never negative)."""
    unknown = values == NO_TIME
    high, low = values >> _LOW_BITS, values & ((1 << _LOW_BITS) - 1)
    return [np.where(unknown, UNKNOWN, part).astype("<i4") for part in (high, low)]


def _write_cause(table: I32, finding: Findings, rank: NDArray[np.int8]) -> None:
    facts = (finding.facts[spec.key] for spec in FACTS[finding.cause])
    numbers = steps(
        np.stack([finding.strength, finding.posterior, *facts]), _PER_ONE[finding.cause]
    )
    table[0] = finding.status
    table[1:3] = numbers[:2]
    table[3] = finding.confidence
    table[4] = rank
    table[5] = finding.missing
    table[len(_CAUSE_HEAD) :] = numbers[2:]


def _per_one(spec: FactSpec) -> int:
    return 1 if spec.unit in WHOLE_UNITS else STEPS_PER_ONE


# Of strength, posterior and the facts of each cause: a column.
_PER_ONE = {
    cause: np.array([[STEPS_PER_ONE], [STEPS_PER_ONE], *([_per_one(spec)] for spec in specs)])
    for cause, specs in FACTS.items()
}


# --- reading ----------------------------------------------------------------------------------


def _number(step: int, per_one: int = STEPS_PER_ONE) -> float | None:
    return None if step == UNKNOWN else step / per_one


def _wide(values: dict[str, int], name: str) -> int | None:
    high, low = values[f"label.{name}.high"], values[f"label.{name}.low"]
    return None if high == UNKNOWN else (high << _LOW_BITS) | low


def _read_label(values: dict[str, int]) -> LabelNumbers:
    numbers = {name: _number(values[f"label.{name}"]) for name in _LABEL_NUMBERS}
    del numbers["drawdown_pips"]
    codes = {name: values[f"label.{name}"] for name in _LABEL_CODES}
    seconds, price = _wide(values, "exit_time"), _wide(values, "exit_price")
    return LabelNumbers(
        outcome=codes["outcome"],
        shadow_outcome=codes["shadow_outcome"],
        exit_reason=codes["exit_reason"],
        flags=codes["flags"],
        exit_time=None if seconds is None else seconds * NS_PER_SECOND,
        exit_price=None if price is None else price / PRICE_STEPS_PER_ONE,
        **numbers,
    )


def _read_cause(values: dict[str, int], cause: str) -> CauseNumbers:
    head = {name: values[f"{cause}.{name}"] for name in _CAUSE_HEAD}
    facts = {
        spec.key: number
        for spec in FACTS[cause]
        if (number := _number(values[f"{cause}.{spec.key}"], _per_one(spec))) is not None
    }
    return CauseNumbers(
        cause=cause,
        status=int(Status(head["status"])),
        strength=head["strength"] / STEPS_PER_ONE,
        posterior=head["posterior"] / STEPS_PER_ONE,
        confidence=head["confidence"],
        rank=head["rank"],
        missing=missing_names(head["missing"]),
        facts=facts,
    )


def missing_names(bits: int) -> tuple[str, ...]:
    """Names of missing feeds, lower case, in the order of their bits."""
    return tuple(name for bit, name in _FEEDS if bits & bit)
