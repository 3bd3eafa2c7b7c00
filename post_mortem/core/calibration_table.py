"""A calibration as a table: a JSON object that says what it decides and what it was fitted on.

`sha256` covers what decides an answer (curves, unknown, sure) and nothing else, so a table that was
renamed is the same table. `figures` are those of the table it was fitted against (`before`) and its
own by cross-validation (`after`); null where nobody measured them. The shipped table is a file
beside this module and applies until a desk adopts another one.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import resources
from typing import Any

from post_mortem.core.calibration import Calibration, Curve
from post_mortem.core.strict_json import json_object
from post_mortem.core.types import CAUSES
from trading.core.errors import UserError

SCHEMA = "inquest.calibration/1"
NAMED_CAUSES = tuple(cause for cause in CAUSES if cause != "unknown")
MAX_NAME = 60

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_KEYS = ("schema", "version", "sha256", "fitted_on", "figures", "curves", "unknown", "sure")
_UNKNOWN_KEYS = ("intercept", "best", "second")
_LARGEST = 100.0  # beyond it a logistic is a step


@dataclass(frozen=True, slots=True)
class Figures:
    """How well posteriors were believed: `ece` of the answer in ten bins, `brier` its mean squared
    error, `ac1` the share of right first answers (null where only single causes were reviewed)."""

    ece: float
    brier: float
    ac1: float | None = None


@dataclass(frozen=True, slots=True)
class FittedOn:
    """What a table was fitted on; `cases` is null where nobody counted, `counts` has the cases
    that taught each curve, and a cause that is not in it kept the curve it had."""

    name: str
    cases: int | None
    split: str
    date: str
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Table:
    calibration: Calibration
    fitted_on: FittedOn
    before: Figures | None = None
    after: Figures | None = None

    @property
    def version(self) -> str:
        return self.calibration.version

    @property
    def sha256(self) -> str:
        """Hex digest of what decides an answer."""
        text = json.dumps(_decisive(self.calibration), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def table_as_json(table: Table) -> dict[str, Any]:
    """The table as the object that `parse_table` reads."""
    return {
        "schema": SCHEMA,
        "version": table.version,
        "sha256": table.sha256,
        "fitted_on": asdict(table.fitted_on) | {"counts": dict(table.fitted_on.counts)},
        "figures": {
            "before": table.before and asdict(table.before),
            "after": table.after and asdict(table.after),
        },
        **_decisive(table.calibration),
    }


def _decisive(calibration: Calibration) -> dict[str, Any]:
    curves = calibration.curves
    return {
        "curves": {
            cause: {"intercept": curves[cause].intercept, "slope": curves[cause].slope}
            for cause in NAMED_CAUSES
        },
        "unknown": dict(zip(_UNKNOWN_KEYS, calibration.unknown, strict=True)),
        "sure": calibration.sure,
    }


# --- reading ------------------------------------------------------------------------------------


def read_table(text: str) -> Table:
    """A table from the text of its file. Raises UserError naming the field."""
    return parse_table(json_object(text))


def parse_table(data: Mapping[str, Any]) -> Table:
    """A table from its JSON object. Raises UserError `calibration_table` naming the field and what
    was expected; a table whose numbers were edited no longer carries its `sha256`."""
    _keys(data, _KEYS, "")
    if data["schema"] != SCHEMA:
        raise _bad("schema", f'expected "{SCHEMA}"')
    curves = _keys(data["curves"], NAMED_CAUSES, "curves")
    unknown = _keys(data["unknown"], _UNKNOWN_KEYS, "unknown")
    sure = _number(data["sure"], "sure", 0.0, 1.0)
    figures = _keys(data["figures"], ("before", "after"), "figures")
    table = Table(
        Calibration(
            version=_text(data["version"], "version"),
            curves={cause: _curve(curves[cause], f"curves.{cause}") for cause in NAMED_CAUSES},
            unknown=(
                _number(unknown["intercept"], "unknown.intercept"),
                _number(unknown["best"], "unknown.best"),
                _number(unknown["second"], "unknown.second"),
            ),
            sure=sure,
        ),
        _fitted_on(data["fitted_on"]),
        _figures(figures["before"], "figures.before"),
        _figures(figures["after"], "figures.after"),
    )
    if data["sha256"] != table.sha256:
        raise _bad("sha256", "it is not that of the curves: the table was changed by hand")
    return table


def _bad(field: str, expected: str) -> UserError:
    return UserError("calibration_table", f"{field or 'the table'}: {expected}", field=field)


def _keys(value: Any, wanted: tuple[str, ...], field: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise _bad(field, f"expected an object with {', '.join(wanted)}")
    inside = f"{field}." if field else ""
    for key in wanted:
        if key not in value:
            raise _bad(inside + key, "is missing")
    for key in value:
        if key not in wanted:
            raise _bad(inside + str(key)[:40], f"is not known; expected {', '.join(wanted)}")
    return value


def _number(value: Any, field: str, low: float = -_LARGEST, high: float = _LARGEST) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not low <= value <= high:
        raise _bad(field, f"expected a number from {low:g} to {high:g}")
    return float(value)


def _text(value: Any, field: str, longest: int = MAX_NAME) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= longest:
        raise _bad(field, f"expected a text of 1 to {longest} characters")
    return value


def _count(value: Any, field: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise _bad(field, "expected a count")
    return value


def _curve(value: Any, field: str) -> Curve:
    curve = _keys(value, ("intercept", "slope"), field)
    # A falling curve would believe a cause less the stronger it shows.
    slope = _number(curve["slope"], f"{field}.slope", 0.0)
    return Curve(_number(curve["intercept"], f"{field}.intercept"), slope)


def _fitted_on(value: Any) -> FittedOn:
    given = _keys(value, ("name", "cases", "split", "date", "counts"), "fitted_on")
    counts = given["counts"]
    if not isinstance(counts, Mapping) or not set(counts) <= set(CAUSES):
        raise _bad("fitted_on.counts", "expected an object of counts by cause")
    cases = given["cases"]
    return FittedOn(
        _text(given["name"], "fitted_on.name", 200),
        None if cases is None else _count(cases, "fitted_on.cases"),
        _text(given["split"], "fitted_on.split", 200),
        checked_date(given["date"], "fitted_on.date"),
        {cause: _count(n, f"fitted_on.counts.{cause}") for cause, n in counts.items()},
    )


def checked_date(value: Any, field: str) -> str:
    """`value`, if it is a day like 2026-03-01. Raises UserError."""
    if not isinstance(value, str) or not _DATE.fullmatch(value):
        raise _bad(field, "expected a day like 2026-03-01")
    return value


def _figures(value: Any, field: str) -> Figures | None:
    if value is None:
        return None
    given = _keys(value, ("ece", "brier", "ac1"), field)
    ac1 = given["ac1"]
    return Figures(
        _number(given["ece"], f"{field}.ece", 0.0, 1.0),
        _number(given["brier"], f"{field}.brier", 0.0, 1.0),
        None if ac1 is None else _number(ac1, f"{field}.ac1", 0.0, 1.0),
    )


def _shipped() -> Table:
    # Part of the program like its source: read once, with it.
    file = resources.files("post_mortem.core") / "tables" / "calibration.json"
    return read_table(file.read_text(encoding="utf-8"))


SHIPPED = _shipped()
DEFAULT = SHIPPED.calibration
