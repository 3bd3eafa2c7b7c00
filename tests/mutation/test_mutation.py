"""The tests of the label core notice at least four of five planted faults, module by module."""

from __future__ import annotations

import ast
import json
import subprocess
import sys

import pytest

from tests.mutation import run
from tests.mutation.equivalent import EQUIVALENT
from tests.mutation.mutator import mutants, planted

LEAST_SCORE = 0.8
SOURCE = '''
"""Not this."""
LIMIT = 3


def clip(value: int | None, up: bool = True) -> int:
    """Nor this."""
    if value is None:
        raise ValueError("nor " + "this")
    found = min(value, LIMIT) if up else -value
    return found + 1
'''
CHANGES = [
    "module: 3 -> 4",
    "clip: True -> False",
    "clip: if value is None -> if not value is None",
    "clip: value is None -> value is not None",
    "clip: min(value, LIMIT) if up else -value -> min(value, LIMIT) if not up else -value",
    "clip: min -> max",
    "clip: -value -> value",
    "clip: found + 1 -> found - 1",
    "clip: 1 -> 2",
]


def test_what_can_be_planted() -> None:
    assert sorted(mutant.key for mutant in mutants(SOURCE)) == sorted(CHANGES)


@pytest.mark.parametrize("key", CHANGES)
def test_one_fault_at_a_time(key: str) -> None:
    (mutant,) = (each for each in mutants(SOURCE) if each.key == key)
    before = ast.unparse(ast.parse(SOURCE)).splitlines()
    after = ast.unparse(planted(SOURCE, mutant)).splitlines()
    assert sum(a != b for a, b in zip(before, after, strict=True)) == 1


def test_the_same_change_twice_has_two_names() -> None:
    assert [each.key for each in mutants("a = 1\nb = 1\n")] == [
        "module: 1 -> 2",
        "module: 1 -> 2 (2)",
    ]


@pytest.mark.parametrize("module", sorted(EQUIVALENT))
def test_what_is_excused_exists_and_has_a_reason(module: str) -> None:
    keys = {mutant.key for mutant in mutants(run.source_of(module)[1])}
    assert set(EQUIVALENT[module]) <= keys
    assert all(reason.strip() for reason in EQUIVALENT[module].values())


@pytest.mark.slow
@pytest.mark.parametrize("module", sorted(run.TESTS))
def test_planted_faults_are_noticed(module: str) -> None:
    command = [sys.executable, "-m", "tests.mutation.run", module]
    done = subprocess.run(command, cwd=run.ROOT, stdout=subprocess.PIPE, text=True, check=True)
    found = json.loads(done.stdout)
    sys.stderr.write(f"{module}: {found['killed']} of {found['planted']} faults noticed\n")
    assert found["score"] >= LEAST_SCORE, found["survivors"]
