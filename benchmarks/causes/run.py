"""The run: make the suites, ask everyone, add up."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from post_mortem.core.diagnose import diagnose_case

from . import engines, first, real, score, second, tells, variants
from .candles_on_disk import Series, load
from .score import Answer
from .truth import NAMED, Sample, Truth

Engine = Callable[[dict[str, Any]], Answer]
SPLITS = first.SPLITS
SUITES = ("first", "second", "real")
DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"
_RERUN_EVERY = 40
_IRRELEVANT_EVERY = 3


@dataclass(frozen=True)
class Size:
    """Cases of each named cause; unknown has twice, compound as many."""

    first: int
    blind: int
    train: int
    second: int
    real: int


FULL = Size(first=80, blind=40, train=70, second=30, real=24)
FIT = Size(first=120, blind=0, train=0, second=60, real=0)  # of an export, to fit a table on
QUICK = Size(first=6, blind=4, train=8, second=3, real=2)


def first_suite(split: str, each: int) -> Iterator[Sample]:
    """The cases of generator 1: every cause, losers with nothing wrong, compounds."""
    counts = {**dict.fromkeys(NAMED, each), "unknown": 2 * each, "compound": each}
    return (first.make(split, kind, i) for kind, count in counts.items() for i in range(count))


def second_suite(split: str, each: int) -> Iterator[Sample]:
    """The cases of generator 2: every cause, and losers with nothing wrong."""
    counts = {**dict.fromkeys(NAMED, each), "unknown": 2 * each}
    return (second.make(split, kind, i) for kind, count in counts.items() for i in range(count))


def lacking(number: int, sample: Sample) -> Sample | None:
    """Case number `number` of a suite without a feed that does not matter; every third has one."""
    return variants.irrelevant(sample, number) if number % _IRRELEVANT_EVERY == 0 else None


def benchmark(split: str, size: Size, data: Path, only: str | None = None) -> dict[str, Any]:
    """Everything `python -m benchmarks.causes` reports, as one JSON object.

    The first suite's figures stand at the top level, those of the others under their names. `only`
    leaves the other suites out (null)."""
    started = time.perf_counter()
    learned, reason = _learned(split, size)
    result: dict[str, Any] = {"benchmark": "causes", "split": split}
    result |= {"second": None, "real": None, "real_missing": None}
    result["learned_missing"] = reason or None
    if only in (None, "first"):
        result |= suite(first_suite(split, size.first), learned, size)
    if only in (None, "second"):
        result["second"] = suite(second_suite(split, size.second), learned, size)
    if only in (None, "real"):
        series, result["real_missing"] = real_series(data)
        if series:
            result["real"] = suite(real.suite(series, split, size.real), learned, size)
            result["real"]["tells"] = None  # a series shows which causes were planted on it
    result["seconds"] = round(time.perf_counter() - started, 1)
    return result


def real_series(data: Path) -> tuple[list[Series], str | None]:
    """The real candles, or why there are none."""
    if not data.is_dir():
        return [], f"there is no folder {data.name} of real candles; --data names one"
    try:
        return load(data), None
    except OSError as error:
        return [], f"the folder of real candles is not complete: {error}"


def _learned(split: str, size: Size) -> tuple[Engine | None, str]:
    """A ranker fitted on the train split (on dev where train is what is judged)."""
    reason = engines.lightgbm_missing()
    if reason:
        return None, reason
    source = "dev" if split == "train" else "train"
    return engines.Learned(first_suite(source, size.train)), ""


@dataclass
class _Tally:
    """Answers as they come in; cases are large, so none is kept but a few to be run again."""

    truths: list[Truth] = field(default_factory=list)
    ours: list[Answer] = field(default_factory=list)
    naive: list[Answer] = field(default_factory=list)
    learned: list[Answer] = field(default_factory=list)
    nuisances: list[dict[str, float]] = field(default_factory=list)
    blind: dict[str, list[bool]] = field(default_factory=dict)  # by removed feed
    whole: list[bool] = field(default_factory=list)
    without: list[bool] = field(default_factory=list)
    again: list[dict[str, Any]] = field(default_factory=list)


def suite(samples: Iterable[Sample], learned: Engine | None, size: Size) -> dict[str, Any]:
    """Figures of one suite for the engine, the naive rules, the learned ranker, and silence."""
    tally = _Tally()
    blinded: Counter[str] = Counter()
    for number, sample in enumerate(samples):
        _ask(tally, number, sample, learned)
        blind = variants.blind(sample)
        if blind is not None and blinded[sample.truth.cause] < size.blind:
            blinded[sample.truth.cause] += 1
            silent = engines.ours(blind.case).first == "unknown"
            tally.blind.setdefault(blind.truth.removed, []).append(silent)
    result = score.figures(tally.truths, tally.ours)
    result["compound"] = score.compounds(tally.truths, tally.ours)
    result |= _missing_feeds(tally)
    result["naive"] = _brief(score.figures(tally.truths, tally.naive))
    silence = [truth.cause == "unknown" for truth in tally.truths]
    result["always_unknown"] = round(float(np.mean(silence)), 4)
    result["learned"] = _brief(score.figures(tally.truths, tally.learned)) if learned else None
    result["tells"] = tells.audit(tally.truths, tally.nuisances)
    return result | _speed(tally.again)


def _ask(tally: _Tally, number: int, sample: Sample, learned: Engine | None) -> None:
    tally.truths.append(sample.truth)
    answer = engines.ours(sample.case)
    tally.ours.append(answer)
    tally.naive.append(engines.naively(sample.case))
    if learned is not None:
        tally.learned.append(learned(sample.case))
    tally.nuisances.append(tells.nuisances(sample.case))
    without = lacking(number, sample)
    if without is not None:
        tally.whole.append(answer.first == sample.truth.cause)
        tally.without.append(engines.ours(without.case).first == sample.truth.cause)
    if number % _RERUN_EVERY == 0:
        tally.again.append(sample.case)


def _missing_feeds(tally: _Tally) -> dict[str, Any]:
    """How often silence followed a missing decisive feed, and what an irrelevant one cost."""
    silent = [quiet for found in tally.blind.values() for quiet in found]
    whole, without = float(np.mean(tally.whole)), float(np.mean(tally.without))
    return score.rounded(
        {
            "abstain_missing": float(np.mean(silent)) if silent else None,
            "blind": len(silent),
            "abstain_by_feed": {k: float(np.mean(v)) for k, v in sorted(tally.blind.items())},
            "irrelevant": {
                "cases": len(tally.whole),
                "ac1_whole": whole,
                "ac1_without": without,
                "drop": whole - without,
            },
        }
    )


def _brief(figures: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in figures.items() if key not in ("confusion", "cases")}


def _speed(cases: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Milliseconds an audit of a portable case, and whether a second run of the case, through
    JSON text, gives the same evidence to the byte."""
    hashes = [diagnose_case(case)["evidence_hash"] for case in cases]
    started = time.perf_counter()
    for case in cases:
        diagnose_case(case)
    per_case = (time.perf_counter() - started) / len(cases)
    again = [diagnose_case(json.loads(json.dumps(case)))["evidence_hash"] for case in cases]
    return {"ms_per_audit": round(1000 * per_case, 2), "rerun_equal": hashes == again}
