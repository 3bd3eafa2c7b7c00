"""Cases of the open splits in files, for fitting; the validation split stays closed.

Both generators are mixed, so that what is fitted suits none alone; real candles stay unseen."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from . import run, variants
from .engines import ours
from .truth import Sample

OPEN_SPLITS = ("train", "dev")


class ClosedSplit(ValueError):
    """Single cases of the validation split are not to be looked at."""


def write(split: str, path: Path, size: run.Size) -> dict[str, Any]:
    """Portable cases into `path`, one a line in the order of their ids, and their truths into
    `path` with `.truth.jsonl` appended; `.causes.json` has id and cause alone."""
    lines, causes = [], {}
    for sample in _samples(split, size):
        causes[sample.truth.id] = sample.truth.cause
        truth = json.dumps(sample.truth.as_json())
        lines.append((sample.truth.id, json.dumps(sample.case), truth))
    lines.sort()
    truths = path.with_name(path.name + ".truth.jsonl")
    path.write_text("".join(case + "\n" for _, case, _ in lines))
    truths.write_text("".join(truth + "\n" for _, _, truth in lines))
    path.with_name(path.name + ".causes.json").write_text(json.dumps(causes, sort_keys=True))
    return {"split": split, "cases": len(lines), "file": str(path), "truths": str(truths)}


def show(split: str, name: str, size: run.Size) -> dict[str, Any] | None:
    """One case, its truth and the answer; None where the split has no such case."""
    for sample in _samples(split, size):
        if sample.truth.id == name:
            answer = ours(sample.case)
            return {
                "truth": sample.truth.as_json(),
                "answer": {"ranked": answer.ranked, "posterior": answer.posterior},
                "case": sample.case,
            }
    return None


def _samples(split: str, size: run.Size) -> Iterator[Sample]:
    """Every case of both generators, and its variants with a feed missing."""
    if split not in OPEN_SPLITS:
        raise ClosedSplit(f"single cases of {split} are not shown; use {' or '.join(OPEN_SPLITS)}")
    for suite in (run.first_suite(split, size.first), run.second_suite(split, size.second)):
        for number, sample in enumerate(suite):
            found = (sample, variants.blind(sample), run.lacking(number, sample))
            yield from (one for one in found if one is not None)
