"""`diagnose` on a file of 1,000 portable cases of about a thousand bars, on one core.

    python -m benchmarks.diagnose [--quick]

The command runs as anybody would run it, in a process of its own that may use one core and whose
database does not exist; its time includes starting Python and reading the file. Beside it, on the
same file: `json.loads` alone, below which nothing that reads the file can get, and a first attempt
(a pandas frame a case, a loop over the bars of the trade's life, seven threshold rules), which
must agree about how the signals ended. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.causes import first, naive
from post_mortem.core.types import CAUSES

ROOT = Path(__file__).resolve().parents[1]
# Making a case takes longer than answering it, so each is asked more than once, by another name.
FULL = {"made": 10, "times": 10, "sample": 110}
QUICK = {"made": 1, "times": 2, "sample": 10}
KINDS = (*CAUSES[:-1], "unknown")
_NOWHERE = "postgres://nobody:none@127.0.0.1:1/none"
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a small run")
    size = QUICK if parser.parse_args(arguments).quick else FULL
    with tempfile.TemporaryDirectory(prefix="inquest-bench-") as folder:
        result = run(Path(folder), size)
    print(json.dumps(result))
    return result


def run(folder: Path, size: dict[str, int]) -> dict[str, Any]:
    cases = [first.make("train", kind, i).case for kind in KINDS for i in range(size["made"])]
    path = folder / "cases.jsonl"
    lines = list(named(cases, size["times"]))
    path.write_text("".join(lines))
    command = diagnosed(path, folder / "answers.jsonl")
    few = folder / "one.jsonl"
    few.write_text(lines[0])
    start = diagnosed(few, folder / "one.answers.jsonl")
    parsing = cpu_seconds(lambda: [json.loads(line) for line in lines])
    attempt = first_attempts(lines[: size["sample"]])
    answers = [json.loads(line) for line in (folder / "answers.jsonl").read_text().splitlines()]
    per_case = command["cpu"] / len(lines)
    return {
        "benchmark": "diagnose",
        "cases": len(lines),
        "distinct": len(cases),
        "bars_a_case": round(sum(len(c["candles"]["time"]) for c in cases) / len(cases)),
        "file_mb": round(path.stat().st_size / 2**20, 1),
        "seconds": round(command["wall"], 3),
        "cpu_seconds": round(command["cpu"], 3),
        "start_seconds": round(start["cpu"], 3),
        "ms_a_case": round(1000 * per_case, 2),
        "json_loads_seconds": round(parsing, 3),
        "ratio_json_loads": round(command["cpu"] / parsing, 1),
        "first_attempt_ms_a_case": round(1000 * attempt["seconds"] / attempt["cases"], 2),
        "first_attempt_agree": agreement(answers, attempt["outcomes"]),
        "ratio": round(attempt["seconds"] / attempt["cases"] / per_case, 2),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024),
    }


def named(cases: list[dict[str, Any]], times: int) -> Iterator[str]:
    for again in range(times):
        for case in cases:
            yield json.dumps(case | {"id": f"{case['id']}-{again}"}) + "\n"


def diagnosed(path: Path, output: Path) -> dict[str, float]:
    """Wall and CPU seconds of the command on one core."""
    core = min(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    environment = os.environ | dict.fromkeys(_ONE_THREAD, "1") | {"DATABASE_URL": _NOWHERE}
    before, started = children_seconds(), time.perf_counter()
    subprocess.run(
        [sys.executable, "manage.py", "diagnose", str(path), "--output", str(output), "--json"],
        cwd=ROOT,
        env=environment,
        check=True,
        stdout=subprocess.DEVNULL,
        preexec_fn=None if core is None else lambda: os.sched_setaffinity(0, {core}),
    )
    return {"wall": time.perf_counter() - started, "cpu": children_seconds() - before}


def children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def cpu_seconds(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


# --- the first attempt --------------------------------------------------------------------------


def first_attempts(lines: list[str]) -> dict[str, Any]:
    import pandas  # noqa: F401 - its import is not part of the time

    outcomes: list[str | None] = []

    def answer() -> None:
        for line in lines:
            case = json.loads(line)
            outcomes.append(walked(case))
            naive.answer(case)

    return {"seconds": cpu_seconds(answer), "cases": len(lines), "outcomes": outcomes}


def walked(case: dict[str, Any]) -> str | None:
    """Whether stop or target came first, bar by bar; None where a trade's fills decide."""
    import pandas as pd

    candles = case["candles"]
    columns = {name: candles[name] for name in ("time", "open", "high", "low", "close")}
    frame = pd.DataFrame(columns)
    frame["time"] = pd.to_datetime(frame["time"], unit="s", utc=True)
    signal = case["signal"]
    entered = pd.Timestamp(signal["time"])
    long = signal["side"] == "long"
    stop, target = signal["stop_loss"], signal["take_profit"]
    ends = None if case["horizon"] == "TRADE" else entered + pd.Timedelta(hours=_hours(case))
    bar = frame["time"].iloc[1] - frame["time"].iloc[0]
    for row in frame[frame["time"] >= entered].itertuples():
        if ends is not None and row.time + bar > ends:
            break
        if (row.low <= stop) if long else (row.high >= stop):
            return "failed" if ends is not None else None
        if (row.high >= target) if long else (row.low <= target):
            return "succeeded" if ends is not None else None
    return None


def _hours(case: dict[str, Any]) -> int:
    return {"1H": 1, "4H": 4, "24H": 24, "7D": 168}[case["horizon"]]


def agreement(answers: list[dict[str, Any]], outcomes: list[str | None]) -> float | None:
    """Share of the outcomes that the first attempt is sure of which are the command's."""
    pairs = [(a["label"]["outcome"], o) for a, o in zip(answers, outcomes, strict=False) if o]
    return round(sum(a == b for a, b in pairs) / len(pairs), 4) if pairs else None


if __name__ == "__main__":
    main()
