"""The long runs, and one report: `python -m tests.torture`. What was not run reads NOT RUN."""

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.examples import FACTOR_VARIABLE

ROOT: Final = Path(__file__).resolve().parent.parent
_NO_TESTS_COLLECTED: Final = 5


@dataclass(frozen=True, slots=True)
class Part:
    """Tests of a folder: the slow ones, or properties on so many times the usual examples."""

    name: str
    folder: str
    examples: int = 1


PARTS: Final = (
    Part("faults", "tests/faults"),
    Part("soak", "tests/soak"),
    Part("fuzz", "tests/fuzz"),
    Part("mutation", "tests/mutation"),
    Part("examples", "tests/core", examples=25),
    Part("slow tests of the rest", "tests"),
)


def run(part: Part) -> str:
    if not (ROOT / part.folder).is_dir():
        return "NOT RUN (does not exist yet)"
    started = time.monotonic()
    marked = "slow" if part.examples == 1 else "hypothesis and not slow"
    command = [sys.executable, "-m", "pytest", "-q", "-m", marked, part.folder]
    if part.folder == "tests":
        others = (other.folder for other in PARTS if other is not part and other.examples == 1)
        command += [f"--ignore={folder}" for folder in others]
    environment = {**os.environ, FACTOR_VARIABLE: str(part.examples)}
    done = subprocess.run(command, cwd=ROOT, check=False, stdout=sys.stderr, env=environment)
    status = done.returncode
    if status == _NO_TESTS_COLLECTED:
        return "NOT RUN (no such test exists yet)"
    return f"{'failed' if status else 'passed'} in {time.monotonic() - started:.0f} s"


def main() -> int:
    results = {part.name: run(part) for part in PARTS}
    for name, result in results.items():
        sys.stdout.write(f"{name:<24}{result}\n")
    return int(any(result.startswith("failed") for result in results.values()))


if __name__ == "__main__":
    sys.exit(main())
