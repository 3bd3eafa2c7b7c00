"""The registry of features: what each means, what it reads, and the proof that it was known.

`Registry` refuses a feature that reads an input of `known.LATER`, or one that nobody declared.
`feature_matrix` gives each feature its declared inputs only, and compares when they were known
with the entry, case by case. The learning loop uses the same registry.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from trading.core.candles import F64

from .known import INPUTS, LATER, Known

Compute = Callable[[Mapping[str, F64]], F64]


class LookAheadError(Exception):
    """A feature would know something at the entry that is known only later: a programmer's error,
    so it is not one of a user's."""


@dataclass(frozen=True, slots=True)
class EntryFeature:
    """One feature. `compute` maps its inputs (arrays of N) to N values, NaN unknown.

    A numeric feature has `edges`, which part it into len(edges) + 1 cells fixed in advance, and
    the `words` of these. A category's values are codes into `words`; where `words` is empty they
    are codes into the levels of its only input. Words complete "trades ...".
    """

    name: str
    group: str
    unit: str
    meaning: str
    how: str
    inputs: tuple[str, ...]
    compute: Compute
    edges: tuple[float, ...] = ()
    words: tuple[str, ...] = ()
    phrase: str = "{}"

    @property
    def is_category(self) -> bool:
        return not self.edges

    def described(self) -> tuple[object, ...]:
        """All but the code, for the registry's version."""
        return (self.name, self.unit, self.how, self.inputs, self.edges, self.words)


class Registry:
    """Features by name, each proved to read nothing later than the entry. `revision` is raised
    where a computation changes and its description does not."""

    def __init__(self, features: Iterable[EntryFeature], *, revision: int = 1) -> None:
        self._features: dict[str, EntryFeature] = {}
        self.revision = revision
        for feature in features:
            _check(feature)
            if feature.name in self._features:
                raise ValueError(f"two features are called {feature.name!r}")
            self._features[feature.name] = feature

    def __iter__(self) -> Iterator[EntryFeature]:
        return iter(self._features.values())

    def __len__(self) -> int:
        return len(self._features)

    def __getitem__(self, name: str) -> EntryFeature:
        return self._features[name]

    @cached_property
    def version(self) -> str:
        """Twelve hex digits that change with any feature's description, and with the revision."""
        text = json.dumps([self.revision, *(feature.described() for feature in self)])
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def inputs(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for feature in self for name in feature.inputs))


class OwnInputs(Mapping[str, F64]):
    """The declared inputs of one feature; any other is refused by name."""

    def __init__(self, feature: EntryFeature, known: Mapping[str, Known]) -> None:
        self._feature = feature
        self._known = {name: known[name] for name in feature.inputs}

    def __getitem__(self, name: str) -> F64:
        if name not in self._known:
            raise LookAheadError(
                f"feature {self._feature.name!r} reads {name!r}, which it does not declare"
            )
        return self._known[name].values

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)


def _check(feature: EntryFeature) -> None:
    if not feature.inputs:
        raise LookAheadError(f"feature {feature.name!r} declares no input")
    for name in feature.inputs:
        if name in LATER:
            raise LookAheadError(
                f"feature {feature.name!r} reads {name!r}, which is known only after the entry: "
                f"{LATER[name]}"
            )
        if name not in INPUTS:
            raise LookAheadError(
                f"feature {feature.name!r} reads {name!r}, and nobody says when that is known"
            )
    if feature.edges and len(feature.words) != len(feature.edges) + 1:
        raise ValueError(f"feature {feature.name!r} needs one word a cell")
    if feature.edges and not np.all(np.diff(feature.edges) > 0):
        raise ValueError(f"the edges of feature {feature.name!r} must rise")
    if feature.is_category and not feature.words and len(feature.inputs) != 1:
        raise ValueError(f"feature {feature.name!r} takes its levels from exactly one input")
