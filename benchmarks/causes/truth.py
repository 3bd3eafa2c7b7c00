"""What is known about a case: its planted causes, and what removing each would have saved."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from post_mortem.core.types import CAUSES

NAMED = CAUSES[:-1]
MATERIAL_R = 0.25
KINDS = ("plain", "compound", "none", "blind", "irrelevant")


@dataclass(frozen=True)
class Truth:
    """`cause` is what should come first. `planted` are all planted causes and what the removal of
    each alone would have saved, in R; the cause is the one that would have saved most.

    `kind`: plain (one cause), compound (two), none (a loser with nothing wrong), blind (the feed
    that decides is missing, so `unknown` should come first), irrelevant (another feed is missing).
    """

    id: str
    cause: str
    planted: dict[str, float]
    kind: str
    subtype: str = ""
    removed: str = ""
    outcome_r: float = -1.0

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Sample:
    """A portable case and the truth about it, kept apart."""

    case: dict[str, Any]
    truth: Truth
