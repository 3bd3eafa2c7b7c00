"""The audit for tells finds one that is put there, and none in the generators."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from benchmarks.causes import first, tells
from benchmarks.causes.truth import Sample
from post_mortem.core.types import CAUSES

EACH = 8


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    return [first.make("train", cause, i) for cause in CAUSES for i in range(EACH)]


def audited(samples: list[Sample]) -> dict[str, Any]:
    truths = [sample.truth for sample in samples]
    return tells.audit(truths, [tells.nuisances(sample.case) for sample in samples])


def test_the_generator_has_no_tell(samples: list[Sample]) -> None:
    found = audited(samples)
    assert found["cases"] == EACH * len(CAUSES)
    assert found["found"] is False, found


def longer_lists(sample: Sample, number: int) -> dict[str, Any]:
    rows = sample.case["outages"]
    extra = {"start": "2020-01-01T00:00:00Z", "end": "2020-01-01T00:01:00Z", "what": "x"}
    return {**sample.case, "outages": [*rows, *[extra] * (3 * number)]}


def speaking_ids(sample: Sample, number: int) -> dict[str, Any]:
    return {**sample.case, "id": f"{number:06x}{sample.case['id'][6:]}"}


def winning_after_all(sample: Sample, number: int) -> dict[str, Any]:
    """After a planted event prices go where the trade wanted to go."""
    case = copy.deepcopy(sample.case)
    if sample.truth.cause in ("unknown", "model_error", "detector_misid", "false_positive"):
        return case
    n = len(case["candles"]["close"])
    sign = 1 if case["signal"]["side"] == "long" else -1
    for i in range(n - 11, n):
        step = sign * 0.01 * (i - n + 11)
        case["candles"]["close"][i] *= 1 + step
    return case


def rounder_prices(sample: Sample, number: int) -> dict[str, Any]:
    digits = 1 if number % 2 else 6
    trade = {**sample.case["trade"], "exit": float(f"{sample.case['trade']['exit']:.{digits}e}")}
    return {**sample.case, "trade": trade}


@pytest.mark.parametrize(
    ("spoil", "told_by"),
    [
        (longer_lists, "n_outages"),
        (speaking_ids, "id"),
        (winning_after_all, None),
        (rounder_prices, "exit_digits"),
    ],
)
def test_a_planted_tell_is_found(
    samples: list[Sample],
    spoil: Callable[[Sample, int], dict[str, Any]],
    told_by: str | None,
) -> None:
    spoiled = [
        Sample(spoil(sample, CAUSES.index(sample.truth.cause)), sample.truth) for sample in samples
    ]
    found = audited(spoiled)
    assert found["found"] is True, found
    if told_by:
        assert found["tells_most"] == told_by


def test_too_few_cases_say_nothing(samples: list[Sample]) -> None:
    assert audited(samples[:3])["found"] is None
