"""Faults that change nothing anybody could see, each with its reason: not planted, not counted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

EQUIVALENT: Final[Mapping[str, Mapping[str, str]]] = {}
