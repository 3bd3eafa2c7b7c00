"""Regularities across trades, found by counting and held to what chance would give.

Candidates are the cells of the features that were known at the entry, alone and in pairs, and the
causes that end trades. None is chosen by looking at results first: every cell with enough trades
is tried, and Benjamini and Hochberg's step-up over all that were tried decides which count. The
unit of the test is a stretch of time (a day), because trades of one day share their market. A
pattern that tells of nearly the same trades as a surer one is left out.

R is the measure; a trade without an initial stop has none and takes no part in the test. Shown
effects are shrunk towards none (a normal prior of 0.15 R), so the best of many is not overtold.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, stdtr

from trading.core.candles import F64, I64
from trading.core.types import NS_PER_DAY

from .attribution.lift import step_up, wilson
from .attribution.matrix import UNKNOWN, FeatureMatrix
from .types import CAUSE_LABELS

Bool = NDArray[np.bool_]

LEAST_TRADES = 10
FALSE_DISCOVERIES = 0.10
PRIOR_R = 0.15  # standard deviation of true effects that is believed in before any data
SAME_TRADES = 0.6  # overlap (intersection over union) from which two patterns are one
HALF_LIFE_NS = 90 * NS_PER_DAY
LEAST_OF_CAUSE = 3
PERIODS = 4
_LEAST_STRETCHES = 5


@dataclass(frozen=True, slots=True)
class Period:
    """Trades of one quarter of the time that was looked at; `mean_r` None without trades."""

    start: int
    stop: int
    n: int
    mean_r: float | None


@dataclass(frozen=True, slots=True)
class Regime:
    """Trades of the pattern in one kind of market before the entry."""

    words: str
    n: int
    mean_r: float


@dataclass(frozen=True, slots=True, eq=False)
class Regularity:
    """One pattern. `rows` are the trades (indices) it is about. Rates and shares 0-1, R a trade.

    `kind`: conditions (what was known at the entry) or cause. `effect_r` is the shrunk difference
    of the mean R to the other trades, of a cause the mean R. `confidence` 0-100: how surely the
    effect has its sign. `q` is the adjusted chance of a false discovery among `tried` candidates;
    None for a cause, which is counted, not tested.
    """

    key: str
    kind: str
    category: str
    words: str
    parts: tuple[tuple[str, str], ...]
    rows: I64
    n: int
    won: int
    rate: float
    low: float
    high: float
    other_rate: float
    mean_r: float
    r_low: float
    r_high: float
    other_mean_r: float
    effect_r: float
    total_r: float
    confidence: int
    q: float | None
    tried: int
    recent_mean_r: float
    periods: tuple[Period, ...]
    regimes: tuple[Regime, ...]

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
class _Candidate:
    parts: tuple[tuple[str, str], ...]
    category: str
    words: str
    inside: Bool


def find_patterns(
    sample: Sample, *, least: int = LEAST_TRADES, most: int = 40
) -> tuple[Regularity, ...]:
    """At most `most` patterns, the most costly or valuable first. `least`: trades a pattern needs,
    inside and outside. Fewer than twice as many trades with R give none."""
    known = np.flatnonzero(np.isfinite(sample.r))
    if known.size < 2 * least:
        return ()
    part = _rows(sample, known)
    candidates = [c for c in _candidates(part.matrix) if _large_enough(c.inside, least)]
    tests = [_test(c.inside, part) for c in candidates]
    q = step_up(np.array([p for p, _, _ in tests], np.float64))
    order = sorted(range(len(candidates)), key=lambda i: (q[i], tests[i][0], i))
    chosen: list[int] = []
    for i in order:
        if q[i] > FALSE_DISCOVERIES:
            break
        if all(_overlap(candidates[i].inside, candidates[j].inside) < SAME_TRADES for j in chosen):
            chosen.append(i)
    found = [
        _regularity(candidates[i], tests[i][1:], float(q[i]), len(candidates), part, known)
        for i in chosen
    ]
    found += _of_causes(part, known)
    found.sort(key=lambda f: (-abs(f.effect_r) * f.n, f.key))
    return tuple(found[:most])


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


def _candidates(matrix: FeatureMatrix) -> Iterator[_Candidate]:
    """Single cells, then pairs of cells of different groups."""
    singles = [c for column in matrix.columns for c in _cells(matrix, column.feature.name)]
    yield from singles
    groups = {column.feature.name: column.feature.group for column in matrix.columns}
    for a, b in combinations(singles, 2):
        if groups[a.parts[0][0]] != groups[b.parts[0][0]]:
            both = a.inside & b.inside
            yield _Candidate(
                (*a.parts, *b.parts), f"{a.category} and {b.category}", f"{a.words} {b.words}", both
            )


def _cells(matrix: FeatureMatrix, name: str) -> Iterator[_Candidate]:
    column = matrix.column(name)
    cells, words = column.cells(), column.cell_words()
    for cell in np.unique(cells[cells != UNKNOWN]).tolist():
        yield _Candidate(((name, words[cell]),), column.feature.group, words[cell], cells == cell)


def _large_enough(inside: Bool, least: int) -> bool:
    return least <= int(inside.sum()) <= inside.size - least


def _test(inside: Bool, sample: Sample) -> tuple[float, float, float]:
    """(two-sided p, difference of mean R, its standard error), by sums over days. p is 1 where the
    trades lie in too few days to tell."""
    k, n = int(inside.sum()), inside.size
    a, b = float(sample.r[inside].mean()), float(sample.r[~inside].mean())
    _, day = np.unique(sample.entry // NS_PER_DAY, return_inverse=True)
    weight = np.where(inside, (sample.r - a) / k, -(sample.r - b) / (n - k))
    sums = np.bincount(day, weight)
    days_inside = int(np.unique(day[inside]).size)
    error = float(np.sqrt((sums * sums).sum() * sums.size / max(1, sums.size - 1)))
    if days_inside < _LEAST_STRETCHES or error <= 0:
        return 1.0, a - b, max(error, 1e-9)
    t = -abs(a - b) / error
    return float(2 * stdtr(days_inside - 1, t)), a - b, error


def _overlap(a: Bool, b: Bool) -> float:
    return float((a & b).sum()) / max(1, int((a | b).sum()))


def shrunk(effect: float, error: float) -> tuple[float, int]:
    """The effect drawn towards none, and how surely (0-100) it has its sign."""
    weight = PRIOR_R**2 / (PRIOR_R**2 + error**2)
    spread = PRIOR_R * error / np.sqrt(PRIOR_R**2 + error**2)
    sure = float(ndtr(abs(effect * weight) / spread)) if spread > 0 else 1.0
    return effect * weight, int(np.floor(100 * sure))


def _key(kind: str, parts: Sequence[tuple[str, str]]) -> str:
    text = "\n".join([kind, *sorted(f"{name}={words}" for name, words in parts)])
    return hashlib.sha256(text.encode()).hexdigest()


def _regularity(
    candidate: _Candidate,
    test: tuple[float, float],
    q: float,
    tried: int,
    sample: Sample,
    rows: I64,
) -> Regularity:
    effect, confidence = shrunk(*test)
    return _described(
        "conditions",
        candidate.category,
        f"Trades {candidate.words}",
        candidate.parts,
        candidate.inside,
        (effect, confidence, q, tried),
        sample,
        rows,
    )


def _of_causes(sample: Sample, rows: I64) -> Iterator[Regularity]:
    """Causes that came first in several trades: what each took, by count."""
    for number, cause in enumerate(sample.causes):
        inside = sample.cause == number
        n = int(inside.sum())
        if n < LEAST_OF_CAUSE or n == inside.size:
            continue
        mean = float(sample.r[inside].mean())
        confidence = int(np.floor(100 * float(sample.posterior[inside].mean())))
        yield _described(
            "cause",
            "cause",
            f"{CAUSE_LABELS[cause]} came first",
            (("cause", cause),),
            inside,
            (mean, confidence, None, len(sample.causes)),
            sample,
            rows,
        )


def _described(
    kind: str,
    category: str,
    words: str,
    parts: tuple[tuple[str, str], ...],
    inside: Bool,
    judged: tuple[float, int, float | None, int],
    sample: Sample,
    rows: I64,
) -> Regularity:
    effect, confidence, q, tried = judged
    r, won = sample.r[inside], int(sample.won[inside].sum())
    n = int(inside.sum())
    low, high = wilson(won, n)
    half = 1.96 * float(r.std(ddof=1)) / float(np.sqrt(n)) if n > 1 else float("inf")
    mean = float(r.mean())
    return Regularity(
        key=_key(kind, parts),
        kind=kind,
        category=category,
        words=words,
        parts=parts,
        rows=rows[inside],
        n=n,
        won=won,
        rate=won / n,
        low=low,
        high=high,
        other_rate=float(sample.won[~inside].mean()),
        mean_r=mean,
        r_low=mean - half,
        r_high=mean + half,
        other_mean_r=float(sample.r[~inside].mean()),
        effect_r=effect,
        total_r=float(r.sum()),
        confidence=confidence,
        q=q,
        tried=tried,
        recent_mean_r=_recent(sample.entry, sample.r, inside),
        periods=_periods(sample.entry, sample.r, inside),
        regimes=_regimes(sample, inside),
    )


def _recent(entry: I64, r: F64, inside: Bool) -> float:
    """Mean R with a weight that halves every 90 days back from the last trade of the sample."""
    age = (entry.max() - entry[inside]) / HALF_LIFE_NS
    weight = np.exp2(-age)
    return float((weight * r[inside]).sum() / weight.sum())


def _periods(entry: I64, r: F64, inside: Bool) -> tuple[Period, ...]:
    first, last = int(entry.min()), int(entry.max()) + 1
    edges = [first + (last - first) * i // PERIODS for i in range(PERIODS + 1)]
    result = []
    for start, stop in zip(edges, edges[1:], strict=False):
        mine = inside & (entry >= start) & (entry < stop)
        n = int(mine.sum())
        result.append(Period(start, stop, n, float(r[mine].mean()) if n else None))
    return tuple(result)


def _regimes(sample: Sample, inside: Bool) -> tuple[Regime, ...]:
    """By volatility before the entry, where that is known."""
    names = [column.feature.name for column in sample.matrix.columns]
    if "volatility" not in names:
        return ()
    found = []
    for cell in _cells(sample.matrix, "volatility"):
        mine = inside & cell.inside
        if mine.any():
            found.append(Regime(cell.words, int(mine.sum()), float(sample.r[mine].mean())))
    return tuple(found)
