"""The words of the portable case format and what they are inside."""

from __future__ import annotations

from collections.abc import Mapping

from .types import ExitReason, ScoreSemantics, StrategyKind

SCHEMA = "inquest.case/1"
KINDS = ("fx", "metal", "crypto", "other")
SIDES: Mapping[str, int] = {"long": 1, "short": -1}
ENTRY_KINDS: Mapping[str, int] = {"market": 0, "limit": 1, "stop": 2}
IMPACTS: Mapping[str, int] = {"low": 0, "medium": 1, "high": 2}
EXIT_REASONS: Mapping[str, int] = {reason.name.lower(): int(reason) for reason in ExitReason}
SCORE_SEMANTICS: Mapping[str, int] = {word.name.lower(): int(word) for word in ScoreSemantics}
STRATEGY_KINDS: Mapping[str, int] = {kind.name.lower(): int(kind) for kind in StrategyKind}


def word(words: Mapping[str, int], value: int) -> str:
    """The word of a value; an unknown value raises KeyError."""
    return {number: name for name, number in words.items()}[value]
