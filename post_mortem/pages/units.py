"""The unit a page counts results in: R, money or percent of the entry price."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from post_mortem.core import display

from . import formats


@dataclass(frozen=True, slots=True)
class Unit:
    """How a result is written. `why` says why it is unknown where it is."""

    kind: str
    name: str
    why: str

    @classmethod
    def of(cls, kind: str, currencies: Sequence[str]) -> Unit:
        if kind == "money":
            several = len(currencies) > 1
            why = "several currencies; choose one account" if several else "not in the file"
            return cls("money", "" if several else "".join(currencies), why)
        if kind == "percent":
            return cls("percent", "%", "not judged yet")
        return cls("r", "R", "no trade here has an initial stop")

    def write(self, value: float, *, total: bool = False) -> str:
        if self.kind == "money":
            return formats.amount(value)
        if self.kind == "percent":
            return f"{display.fixed(value * 100, 2, signed=True)} %"
        return formats.total_r(value) if total else display.r_multiple(value)
