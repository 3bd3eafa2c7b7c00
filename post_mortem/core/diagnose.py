"""One portable case in, one answer out: label, ranked causes, what could not be checked.

The same engine as for stored audits, on a batch of one; no database, clock or network. The answer
is a JSON object of the contract, its numbers rounded as in the evidence record. A case may carry
the calibration table that judged it (`calibration`), where that is not the shipped one.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from post_mortem.core.calibration import Calibration
from post_mortem.core.calibration_table import DEFAULT, parse_table
from post_mortem.core.evidence import CauseNumbers, LabelNumbers
from post_mortem.core.labeler import label
from post_mortem.core.portable import parse_case
from post_mortem.core.rca import diagnose
from post_mortem.core.record import evidence_hash, read_record, records
from post_mortem.core.resolution import first_touches
from post_mortem.core.types import Flag, Outcome, Status
from trading.core.errors import UserError
from trading.core.types import NS_PER_SECOND

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def diagnose_case(
    case: Mapping[str, object], calibration: Calibration | None = None
) -> dict[str, object]:
    """The answer to one portable case; a malformed case raises UserError. Without a `calibration`
    the case's own is used, without one of its own the shipped one.

    `causes` are ranked, best first: those that fired and, unless it is the answer, `unknown` after
    them; then those that showed something but too little (`not_fired`). A case that was not judged
    (it succeeded, or data ends before it does) has none.
    """
    batch = parse_case(case)
    used = _own_calibration(case) if calibration is None else calibration
    paths = first_touches(batch)
    labels = label(batch, paths)
    row = records(labels, diagnose(batch, paths, labels, used))[0]
    view = read_record(row.tobytes())
    return {
        "id": case.get("id"),
        "label": _label(view.label),
        "causes": _ranked(view.findings),
        "abstained": [
            {"cause": finding.cause, "missing": list(finding.missing)}
            for finding in view.findings
            if finding.status == Status.ABSTAINED
        ],
        "evidence_hash": evidence_hash(row),
    }


def _own_calibration(case: Mapping[str, object]) -> Calibration:
    table = case.get("calibration")
    if table is None:
        return DEFAULT
    if not isinstance(table, Mapping):
        raise UserError("bad_type", "calibration: expected an object", field="calibration")
    return parse_table(table).calibration


def _label(numbers: LabelNumbers) -> dict[str, object]:
    return {
        "outcome": Outcome(numbers.outcome).name.lower(),
        "exit_time": None if numbers.exit_time is None else _iso(numbers.exit_time),
        "exit_price": numbers.exit_price,
        "r_multiple": numbers.r,
        "mfe_r": numbers.mfe_r,
        "mae_r": numbers.mae_r,
        "ambiguous": numbers.has(Flag.AMBIGUOUS),
    }


def _ranked(findings: tuple[CauseNumbers, ...]) -> list[dict[str, object]]:
    ranked = sorted((f for f in findings if f.rank > 0), key=lambda f: f.rank)
    weak = (f for f in findings if f.rank == 0 and f.status == Status.NOT_FIRED and f.strength > 0)
    shown = [*ranked, *sorted(weak, key=lambda f: (-f.posterior, -f.strength))] if ranked else []
    return [
        {
            "rank": rank,
            "cause": finding.cause,
            "confidence": finding.confidence,
            "posterior": finding.posterior,
            "status": Status(finding.status).name.lower(),
        }
        for rank, finding in enumerate(shown, 1)
    ]


def _iso(time_ns: int) -> str:
    moment = _EPOCH + timedelta(seconds=time_ns // NS_PER_SECOND)
    return moment.isoformat().replace("+00:00", "Z")
