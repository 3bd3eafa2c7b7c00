"""Regularities across trades, found by counting and held to what chance would give.

Candidates are the cells of the features that were known at the entry, alone and in pairs, and the
causes that end trades. None is chosen by looking at results first: every cell with enough trades
is tried, and `chance.py` decides which differ from the other trades by more than chance explains
after correcting for all that were tried; then it is asked again of what the strongest leaves
unexplained.

R is the measure; a trade without an initial stop has none and takes no part in the test. Shown
effects are shrunk towards none (a normal prior of 0.15 R), so the best of many is not overtold.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from trading.core.candles import F64, I64
from trading.core.types import NS_PER_DAY

from .attribution.lift import mean_with_interval, wilson
from .attribution.matrix import UNKNOWN, FeatureMatrix
from .chance import Chances, chances
from .strength import Half, Period, clustered_error, halves, periods, recent_mean, trend
from .types import CAUSE_LABELS

Bool = NDArray[np.bool_]
_Cells = tuple[tuple[str, int], ...]

LEAST_TRADES = 10
FALSE_ALARMS = 0.10  # of desks without any pattern, how many are told of one
PRIOR_R = 0.15  # standard deviation of true effects that is believed in before any data
PAIR_COSTS = 1.0  # standard errors by which a pair has to be stronger than a cell alone
MOST_TESTED = 12
LEAST_OF_CAUSE = 3
_LEAST_DAYS = 5
_MOST_COHORTS = 8


@dataclass(frozen=True, slots=True)
class Cohort:
    """Trades to compare with: `won` of `n`, R each with a 95 % interval (None under two)."""

    words: str
    n: int
    won: int
    total_r: float
    mean_r: float | None
    r_low: float | None
    r_high: float | None


@dataclass(frozen=True, slots=True, eq=False)
class Regularity:
    """One pattern. `rows` are the trades (indices) it is about. Rates and shares 0-1, R a trade.

    `kind`: conditions (what was known at the entry) or cause. `effect_r` is the shrunk difference
    of the mean R to the other trades, of a cause the mean R. `expected_r` with its 95 % range is
    what one more such trade may be expected to bring: the others' mean and the shrunk effect; None
    for a cause, which is known only afterwards. `confidence` 0-100: how surely the effect has its
    sign. `chance`: how often chance gives any of the `tried` candidates so strong; None for a
    cause, which is counted, not tested. `trend`: stronger, weaker, steady, or "" where that cannot
    be told.
    """

    key: str
    kind: str
    category: str
    parts: tuple[tuple[str, str], ...]
    rows: I64
    n: int
    won: int
    rate: float
    low: float
    high: float
    mean_r: float
    r_low: float | None
    r_high: float | None
    total_r: float
    others: Cohort
    effect_r: float
    expected_r: float | None
    expected_low: float | None
    expected_high: float | None
    confidence: int
    chance: float | None
    tried: int
    recent_mean_r: float
    trend: str
    halves: tuple[Half, Half]
    periods: tuple[Period, ...]
    regimes: tuple[Cohort, ...]
    cohorts: tuple[Cohort, ...]

    @property
    def is_leak(self) -> bool:
        return self.effect_r < 0


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """N finished trades: features at entry, result, time, and the first cause of the losers (an
    index into `causes`, -1 none or unknown) with its posterior."""

    matrix: FeatureMatrix
    won: F64
    r: F64
    entry: I64
    cause: I64
    posterior: F64
    causes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Search:
    """What was found among `n` trades that know their R, over `days` from the first entry to the
    last; `tried` candidates were tested."""

    found: tuple[Regularity, ...]
    n: int
    tried: int
    days: float


@dataclass(frozen=True, slots=True)
class _Candidate:
    """Cells of one or two features: (feature, cell)."""

    cells: _Cells


@dataclass(frozen=True, slots=True)
class _Pick:
    """A candidate that is told. `effect` and `error` against all other trades; `chance` in what
    stronger ones left unexplained."""

    candidate: _Candidate
    effect: float
    error: float
    chance: float


@dataclass(frozen=True, slots=True)
class _Judged:
    """What was decided about a candidate; see Regularity."""

    effect: float
    confidence: int
    expected: tuple[float, float, float] | None
    chance: float | None
    tried: int


def find_patterns(
    sample: Sample, *, least: int = LEAST_TRADES, most: int = 40, seed: int = 0
) -> tuple[Regularity, ...]:
    """The patterns alone; see `search`."""
    return search(sample, least=least, most=most, seed=seed).found


def search(sample: Sample, *, least: int = LEAST_TRADES, most: int = 40, seed: int = 0) -> Search:
    """At most `most` patterns, the most costly or valuable first. `least`: trades a pattern needs,
    inside and outside. Fewer than twice as many trades with R give none."""
    known = _in_order(sample)
    part = _rows(sample, known)
    days = float(part.entry[-1] - part.entry[0]) / NS_PER_DAY if known.size else 0.0
    if known.size < 2 * least:
        return Search((), int(known.size), 0, days)
    table = _Table(part.matrix)
    candidates = [c for c in table.candidates() if _large_enough(table.inside(c), part, least)]
    found = []
    for pick in _picked(candidates, table, part, seed):
        inside = table.inside(pick.candidate)
        decided = _decided(inside, part, pick, len(candidates))
        found.append(_of_conditions(pick.candidate, inside, decided, part, table, known))
    found += _of_causes(part, known)
    found.sort(key=lambda f: (-abs(f.effect_r) * f.n, f.key))
    return Search(tuple(found[:most]), int(known.size), len(candidates), days)


def _in_order(sample: Sample) -> I64:
    """Trades that know their R, by entry; nothing depends on the order they were given in."""
    known = np.flatnonzero(np.isfinite(sample.r))
    ties = [column.values[known] for column in sample.matrix.columns]
    return known[np.lexsort((*ties, sample.r[known], sample.entry[known]))]


def _rows(sample: Sample, rows: I64) -> Sample:
    return Sample(
        sample.matrix.rows(rows),
        sample.won[rows],
        sample.r[rows],
        sample.entry[rows],
        sample.cause[rows],
        sample.posterior[rows],
        sample.causes,
    )


class _Table:
    """Cells of all features by name, with their words and groups."""

    def __init__(self, matrix: FeatureMatrix) -> None:
        self.cells = {c.feature.name: c.cells() for c in matrix.columns}
        self.words = {c.feature.name: c.cell_words() for c in matrix.columns}
        self.groups = {c.feature.name: c.feature.group for c in matrix.columns}

    def candidates(self) -> Iterator[_Candidate]:
        """Single cells, then pairs of cells of different groups."""
        singles = [
            (name, int(cell))
            for name, cells in self.cells.items()
            for cell in np.unique(cells[cells != UNKNOWN])
        ]
        yield from (_Candidate((one,)) for one in singles)
        for a, b in combinations(singles, 2):
            if self.groups[a[0]] != self.groups[b[0]]:
                yield _Candidate((a, b))

    def inside(self, candidate: _Candidate) -> Bool:
        masks = [self.cells[name] == cell for name, cell in candidate.cells]
        inside: Bool = np.logical_and.reduce(masks)
        return inside

    def parts(self, candidate: _Candidate) -> tuple[tuple[str, str], ...]:
        return tuple((name, self.words[name][cell]) for name, cell in candidate.cells)

    def category(self, candidate: _Candidate) -> str:
        return " and ".join(self.groups[name] for name, _ in candidate.cells)


def _large_enough(inside: Bool, sample: Sample, least: int) -> bool:
    if not least <= int(inside.sum()) <= inside.size - least:
        return False
    # Trades of few days share their markets: they are few, however many.
    return int(np.unique(sample.entry[inside] // NS_PER_DAY).size) >= _LEAST_DAYS


def _picked(
    candidates: Sequence[_Candidate], table: _Table, sample: Sample, seed: int
) -> Iterator[_Pick]:
    """The strongest, then the strongest in what it leaves unexplained, and so on: what is another
    side, a part or a twin of a stronger one has nothing left to tell."""
    left, chosen = sample.r, [np.ones(sample.r.size, bool)]
    whole: Chances | None = None
    while len(chosen) <= MOST_TESTED:
        judged = chances(map(table.inside, candidates), left, sample.entry, seed=seed)
        whole = whole or judged
        told = [
            i
            for i in range(len(candidates))
            if judged.chance[i] <= FALSE_ALARMS and judged.effect[i] * whole.effect[i] > 0
        ]
        best = min(told, key=lambda i: _place(candidates[i], judged, i), default=None)
        if best is None:
            return
        effect, error = float(whole.effect[best]), float(whole.error[best])
        yield _Pick(candidates[best], effect, error, float(judged.chance[best]))
        chosen.append(table.inside(candidates[best]))
        columns = np.column_stack(chosen).astype(np.float64)
        left = sample.r - columns @ np.linalg.lstsq(columns, sample.r, rcond=None)[0]


def _place(candidate: _Candidate, judged: Chances, i: int) -> tuple[float, bool, _Cells]:
    """A pair has to be clearly stronger than a cell alone, and of two halves of the trades that
    say the same the losing one is told."""
    strength = float(abs(judged.effect[i]) / judged.error[i])
    cost = PAIR_COSTS * (len(candidate.cells) - 1)
    return -round(strength - cost, 2), bool(judged.effect[i] > 0), candidate.cells


def shrunk(effect: float, error: float) -> tuple[float, float, int]:
    """The effect drawn towards none, its standard deviation, and how surely (0-100) it has its
    sign."""
    weight = PRIOR_R**2 / (PRIOR_R**2 + error**2)
    spread = PRIOR_R * error / float(np.sqrt(PRIOR_R**2 + error**2))
    sure = float(ndtr(abs(effect * weight) / spread)) if spread > 0 else 1.0
    return effect * weight, spread, int(np.floor(100 * sure))


def _decided(inside: Bool, sample: Sample, pick: _Pick, tried: int) -> _Judged:
    # Chance tells what no effect would scatter by; the trades themselves may scatter more.
    effect, error = pick.effect, max(pick.error, clustered_error(inside, sample.r, sample.entry))
    drawn, spread, confidence = shrunk(effect, error)
    others = sample.r[~inside]
    expected = float(others.mean()) + drawn
    of_others = float(others.std(ddof=1)) / float(np.sqrt(others.size))
    half = 1.96 * float(np.hypot(spread, of_others))
    return _Judged(
        drawn, confidence, (expected, expected - half, expected + half), pick.chance, tried
    )


def _key(kind: str, parts: Sequence[tuple[str, str]]) -> str:
    text = "\n".join([kind, *sorted(f"{name}={words}" for name, words in parts)])
    return hashlib.sha256(text.encode()).hexdigest()


def _of_conditions(
    candidate: _Candidate, inside: Bool, judged: _Judged, sample: Sample, table: _Table, rows: I64
) -> Regularity:
    return _described(
        "conditions",
        table.category(candidate),
        table.parts(candidate),
        inside,
        judged,
        sample,
        rows,
        _compared(candidate, table, sample),
    )


def _compared(candidate: _Candidate, table: _Table, sample: Sample) -> tuple[Cohort, ...]:
    """What to compare with: the parts of a pair alone, the other cells of the one feature."""
    if len(candidate.cells) == 2:
        (a, first), (b, second) = candidate.cells
        one, other = table.cells[a] == first, table.cells[b] == second
        names = [words for _, words in table.parts(candidate)]
        masks = {
            " ".join(names): one & other,
            f"{names[0]}, not {names[1]}": one & ~other,
            f"{names[1]}, not {names[0]}": other & ~one,
            "neither": ~one & ~other,
        }
    else:
        ((name, _),) = candidate.cells
        cells, words = table.cells[name], table.words[name]
        masks = {words[c]: cells == c for c in np.unique(cells[cells != UNKNOWN]).tolist()}
        masks["not known"] = cells == UNKNOWN
    return _cohorts(masks, sample)


def _cohorts(masks: Mapping[str, Bool], sample: Sample) -> tuple[Cohort, ...]:
    found = [_cohort(words, mask, sample) for words, mask in masks.items() if mask.any()]
    return tuple(found[:_MOST_COHORTS])


def _cohort(words: str, mask: Bool, sample: Sample) -> Cohort:
    r = sample.r[mask]
    mean, low, high = mean_with_interval(r)
    return Cohort(words, int(r.size), int(sample.won[mask].sum()), float(r.sum()), mean, low, high)


def _of_causes(sample: Sample, rows: I64) -> Iterator[Regularity]:
    """Causes that came first in several trades: what each took, by count."""
    for number, cause in enumerate(sample.causes):
        inside = sample.cause == number
        n = int(inside.sum())
        if n < LEAST_OF_CAUSE or n == inside.size:
            continue
        mean = float(sample.r[inside].mean())
        confidence = int(np.floor(100 * float(sample.posterior[inside].mean())))
        masks = {
            CAUSE_LABELS[other].lower(): sample.cause == i for i, other in enumerate(sample.causes)
        }
        yield _described(
            "cause",
            "cause",
            (("cause", cause),),
            inside,
            _Judged(mean, confidence, None, None, len(sample.causes)),
            sample,
            rows,
            _cohorts(masks, sample),
        )


def _described(
    kind: str,
    category: str,
    parts: tuple[tuple[str, str], ...],
    inside: Bool,
    judged: _Judged,
    sample: Sample,
    rows: I64,
    cohorts: tuple[Cohort, ...],
) -> Regularity:
    mine = _cohort("", inside, sample)
    low, high = wilson(mine.won, mine.n)
    expected = judged.expected or (None, None, None)
    return Regularity(
        key=_key(kind, parts),
        kind=kind,
        category=category,
        parts=parts,
        rows=rows[inside],
        n=mine.n,
        won=mine.won,
        rate=mine.won / mine.n,
        low=low,
        high=high,
        mean_r=mine.total_r / mine.n,
        r_low=mine.r_low,
        r_high=mine.r_high,
        total_r=mine.total_r,
        others=_cohort("all others", ~inside, sample),
        effect_r=judged.effect,
        expected_r=expected[0],
        expected_low=expected[1],
        expected_high=expected[2],
        confidence=judged.confidence,
        chance=judged.chance,
        tried=judged.tried,
        recent_mean_r=recent_mean(sample.entry, sample.r, inside),
        trend="" if kind == "cause" else trend(sample.entry, sample.r, inside),
        halves=halves(sample.entry, sample.r, sample.won, inside),
        periods=periods(sample.entry, sample.r, sample.won, inside),
        regimes=_regimes(sample, inside),
        cohorts=cohorts,
    )


def _regimes(sample: Sample, inside: Bool) -> tuple[Cohort, ...]:
    """By volatility before the entry, where that is known."""
    column = next((c for c in sample.matrix.columns if c.feature.name == "volatility"), None)
    if column is None:
        return ()
    cells, words = column.cells(), column.cell_words()
    masks = {words[c]: inside & (cells == c) for c in np.unique(cells[cells != UNKNOWN]).tolist()}
    return _cohorts(masks, sample)
