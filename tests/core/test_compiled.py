"""The walk compiled by numba: to the last bit what NumPy says, and never needed."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from post_mortem.core import blocks, compiled
from post_mortem.core.blocks import Bars, Walk, walk, worth_compiling
from post_mortem.core.replay import replay
from tests.core.cases import batch, market
from tests.core.test_replay import random_candles, random_row, same_paths
from tests.examples import examples

ROOT = Path(__file__).resolve().parents[2]
MODULE = "post_mortem.core.compiled"


def walked(seed: int, bars: int, step: int, *, compiled: bool | None, offset: int = 0) -> Walk:
    """Sixty random windows of every length, some of them empty, with near and far barriers."""
    rng = np.random.default_rng(seed)
    close = np.cumsum(rng.integers(-step, step + 1, bars))
    high, low = close + rng.integers(0, step + 1, bars), close - rng.integers(0, step + 1, bars)
    first = rng.integers(0, bars + 1, 60)
    end = np.minimum(first + rng.choice([-3, 0, 1, 7, 8, 70, 600, 5000, bars], 60), bars)
    at = close[np.minimum(first, bars - 1)]
    far = rng.choice([1, 5, 40, 400, 10**12], (2, 60))
    stop = np.where(rng.random(60) < 0.1, np.iinfo(np.int64).min, at - far[0])
    target = np.where(rng.random(60) < 0.1, np.iinfo(np.int64).max, at + far[1])
    moved = (np.where(np.abs(level) > 2**62, level, level + offset) for level in (stop, target))
    return walk(Bars(high + offset, low + offset), first, end, *moved, compiled=compiled)


def assert_same(a: Walk, b: Walk) -> None:
    for field in fields(Walk):
        one, other = getattr(a, field.name), getattr(b, field.name)
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other, field.name)


@examples(200)
@given(
    seed=st.integers(0, 2**32 - 1),
    bars=st.sampled_from([1, 2, 7, 8, 9, 63, 64, 65, 511, 513, 4096, 4097, 9000, 20_000]),
    step=st.sampled_from([0, 1, 3, 50]),
    offset=st.sampled_from([0, -(2**20), 2**40]),
)
@example(seed=0, bars=20_000, step=0, offset=0)
def test_compiled_is_the_lockstep(seed: int, bars: int, step: int, offset: int) -> None:
    plain = walked(seed, bars, step, compiled=False, offset=offset)
    assert_same(walked(seed, bars, step, compiled=True, offset=offset), plain)


def test_the_windows_above_reach_every_level_and_every_kind_of_end() -> None:
    hits, longest = set(), 0
    for seed in range(20):
        result = walked(seed, 20_000, 3, compiled=True)
        hits |= set(result.hit.tolist())
        longest = max(longest, int(result.high_bar.max()))
    assert hits == {0, 1, 2, 3}
    assert longest > blocks._TOP


def test_the_loop_says_the_same_before_it_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """What coverage and debuggers see is what is compiled."""
    expected = walked(4, 600, 3, compiled=True)
    for name in ("_largest_group", "_first_bar", "walk_cases"):
        monkeypatch.setattr(compiled, name, getattr(compiled, name).py_func)
    with np.errstate(all="raise"):
        assert_same(walked(4, 600, 3, compiled=True), expected)


@pytest.mark.parametrize("quotes", [False, True])
def test_replay_hands_the_choice_on(quotes: bool) -> None:
    rng = np.random.default_rng(8)
    where = market(random_candles(rng, 900, step=3, quotes=quotes))
    one = batch(where, *(random_row(rng, where, 900) for _ in range(80)))
    assert (one.entry_kind > 0).any()
    same_paths(replay(one, compiled=True), replay(one, compiled=False))


@pytest.fixture
def walks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many cases each call of the compiled walk is given."""
    seen: list[int] = []

    def spy(*columns: np.ndarray) -> None:
        seen.append(columns[5].size)

    monkeypatch.setattr(compiled, "walk_cases", spy)
    return seen


def test_only_a_large_batch_is_compiled_unasked(
    walks: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    walked(1, 100, 3, compiled=None)
    assert walks == []
    monkeypatch.setattr(blocks, "COMPILED_FROM", 60)
    walked(1, 100, 3, compiled=None)
    assert walks == [60]
    walked(1, 100, 3, compiled=False)
    assert walks == [60]
    monkeypatch.setattr(blocks, "COMPILED_FROM", 61)
    walked(1, 100, 3, compiled=None)
    assert walks == [60]


def test_without_numba_nothing_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = walked(2, 500, 3, compiled=False)
    monkeypatch.setitem(sys.modules, MODULE, None)  # what an import of an absent module meets
    monkeypatch.delattr("post_mortem.core.compiled")
    monkeypatch.setattr(blocks, "COMPILED_FROM", 1)
    assert not worth_compiling(10**9)
    assert_same(walked(2, 500, 3, compiled=None), expected)
    with pytest.raises(ImportError):
        walked(2, 500, 3, compiled=True)


def test_no_folder_for_the_cache_is_no_reason_to_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    njit = compiled.numba.njit

    def nowhere(*function: object, cache: bool = False, **options: object) -> object:
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return njit(*function, **options)  # numba decorates its own with it, in a first compilation

    monkeypatch.setattr(compiled.numba, "njit", nowhere)
    assert compiled._compile(lambda number: number + 1)(2) == 3


def test_one_case_loads_no_numba() -> None:
    """A page that judges a case must not wait for a compiler."""
    program = (
        "import sys; from post_mortem.core.replay import replay;"
        "from tests.core.cases import batch, candles, market, signal;"
        "one = batch(market(candles([(100, 101, 99, 100)] * 9)), signal());"
        "print(int(replay(one).exit[0]), 'numba' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("3 False\n", "")
