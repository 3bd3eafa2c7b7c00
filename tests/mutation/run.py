"""Plant faults in a module, one a child process, and see whether its tests notice.

    python -m tests.mutation.run post_mortem.core.labeler [--sample 80] [--seed 1] [--all]

Every fault a child process of this one: what is slow to import is imported once, here, and the
module under test only there, with its fault. Prints a line for each survivor and one JSON object.
"""

from __future__ import annotations

import argparse
import ast
import importlib.util
import json
import os
import random
import resource
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder, SourceLoader
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import CodeType
from typing import Any

from tests.examples import FACTOR_VARIABLE
from tests.mutation.equivalent import EQUIVALENT
from tests.mutation.mutator import Mutant, mutants, planted

ROOT = Path(__file__).resolve().parents[2]
_LABELS = (
    *("test_boundaries", "test_label_results", "test_label_orders", "test_label_trades"),
    *("test_label_markets", "test_label_edges", "test_replay", "test_resolution"),
    "test_symmetries",
)
# The tests of each module, those first that find most in the least time.
TESTS: dict[str, tuple[str, ...]] = {
    "post_mortem.core.blocks": ("test_compiled", "test_replay"),
    "post_mortem.core.replay": _LABELS,
    "post_mortem.core.labeler": _LABELS,
    "post_mortem.core.setups": ("test_setups", "test_setup_rates", "test_symmetries"),
}
SAMPLE, SEED = 80, 1
_EXAMPLES_FACTOR = 0.4  # of the properties: fewer find a little less and take much less
_LONGEST_SECONDS = 180  # of processor time: a fault that makes a loop endless is noticed by this


class _Planted(MetaPathFinder, SourceLoader):
    """Imports one module from a changed tree, every other one as always."""

    def __init__(self, module: str, path: Path, tree: ast.Module) -> None:
        self.module, self.path, self.tree = module, path, tree

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name != self.module:
            return None
        return importlib.util.spec_from_loader(name, self, origin=str(self.path))

    def get_filename(self, fullname: str) -> str:
        return str(self.path)

    def get_data(self, path: str | bytes) -> bytes:
        return self.path.read_bytes()

    def get_code(self, fullname: str) -> CodeType:
        return compile(self.tree, str(self.path), "exec")


def source_of(module: str) -> tuple[Path, str]:
    path = ROOT / f"{module.replace('.', '/')}.py"
    return path, path.read_text()


def chosen(module: str, sample: int, seed: int) -> list[Mutant]:
    """A sample of the faults of a module, without those known to change nothing."""
    known = EQUIVALENT.get(module, {})
    every = [mutant for mutant in mutants(source_of(module)[1]) if mutant.key not in known]
    if sample >= len(every):
        return every
    picked = random.Random(seed).sample(range(len(every)), sample)
    return [every[i] for i in sorted(picked)]


def survives(module: str, mutant: Mutant | None) -> bool:
    """Whether the tests pass with the fault, or, with None, as things are."""
    path, source = source_of(module)
    tree = ast.parse(source) if mutant is None else planted(source, mutant)
    child = os.fork()
    if child == 0:
        # Not the clock on the wall: on a busy machine that would count a wait as noticing.
        resource.setrlimit(resource.RLIMIT_CPU, (_LONGEST_SECONDS, _LONGEST_SECONDS))
        os._exit(_tests_fail(module, path, tree))
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def _tests_fail(module: str, path: Path, tree: ast.Module) -> int:
    """In the child: run the module's tests with the planted tree."""
    import pytest
    from hypothesis import HealthCheck, Phase, settings

    settings.register_profile(
        "mutation",
        phases=[Phase.explicit, Phase.generate],
        derandomize=True,
        database=None,
        print_blob=False,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    settings.load_profile("mutation")
    os.environ[FACTOR_VARIABLE] = str(_EXAMPLES_FACTOR)
    sys.meta_path.insert(0, _Planted(module, path, tree))
    options = ["-x", "-q", "--noconftest", "--import-mode=importlib", "-c", os.devnull]
    options += [f"--rootdir={ROOT}", "-o", f"pythonpath={ROOT}"]
    for plugin in ("django", "randomly", "xdist", "cacheprovider"):
        options += ["-p", f"no:{plugin}"]
    files = [str(ROOT / "tests/core" / f"{name}.py") for name in TESTS[module]]
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
        try:
            return int(pytest.main([*options, *files]))
        except BaseException:  # noqa: BLE001 - whatever it was, the fault was noticed
            return 1


def run(module: str, sample: int, seed: int) -> dict[str, Any]:
    """Plant a sample of faults. The tests must pass without any, else nothing is said."""
    for name in ("numpy", "pytest", "hypothesis.strategies", "post_mortem.core.compiled"):
        importlib.import_module(name)
    if not survives(module, None):
        raise SystemExit(f"the tests of {module} fail without any fault")
    faults = chosen(module, sample, seed)
    survivors = []
    for mutant in faults:
        if survives(module, mutant):
            survivors.append(mutant)
            sys.stderr.write(f"survived: {module}:{mutant.line} {mutant.key}\n")
    killed = len(faults) - len(survivors)
    return {
        "module": module,
        "killed": killed,
        "planted": len(faults),
        "score": round(killed / max(len(faults), 1), 3),
        "equivalent": len(EQUIVALENT.get(module, {})),
        "possible": len(mutants(source_of(module)[1])),
        "seed": seed,
        "survivors": [f"{mutant.line}: {mutant.key}" for mutant in survivors],
    }


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("module", choices=sorted(TESTS))
    parser.add_argument("--sample", type=int, default=SAMPLE)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--all", action="store_true", help="every fault")
    options = parser.parse_args(arguments)
    sample = sys.maxsize if options.all else options.sample
    sys.stdout.write(json.dumps(run(options.module, sample, options.seed)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
