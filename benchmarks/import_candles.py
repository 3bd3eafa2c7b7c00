"""Import a year of minute candles from CSV with every check on, beside `pandas.read_csv`.

    python -m benchmarks.import_candles [--quick] [--rows N]

`pandas.read_csv` of the same file in the same run is the yardstick: it only splits and converts,
`parse` also proves the structure, checks every value and turns times into UTC, `import` stores the
bars as well, each round into a new series. Rounds are interleaved and the median is taken; the
first import of the process, which also loads modules, is `cold_import_seconds`. `peak_mb` is the
process's peak after it, `peak_mb_before` before it. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

YEAR_OF_MINUTES = 372_379
QUICK = 40_000
SYMBOLS = ("GBPUSD", "AUDUSD", "NZDUSD", "EURGBP", "EURCHF")  # a fresh series a round
PART = 50_000


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a small run")
    parser.add_argument("--rows", type=int, help="rows of the file")
    given = parser.parse_args(arguments)
    rows = given.rows or (QUICK if given.quick else YEAR_OF_MINUTES)
    with tempfile.TemporaryDirectory(prefix="inquest-bench-") as folder:
        os.environ["INQUEST_DATA_DIR"] = folder
        os.environ["DATABASE_URL"] = f"sqlite:///{Path(folder) / 'bench.sqlite3'}"
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
        import django

        django.setup()
        result = run(Path(folder), rows)
    print(json.dumps(result))
    return result


def run(folder: Path, rows: int) -> dict[str, Any]:
    import pandas
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    path = folder / "EURUSD_M1.csv"
    write_file(path, rows)
    before = peak_mb()
    cold = seconds(lambda: store(path))
    peak = peak_mb()
    times: dict[str, list[float]] = {"parse": [], "pandas": [], "import": []}
    for symbol in SYMBOLS:
        fresh = folder / f"{symbol}_M1.csv"
        fresh.hardlink_to(path)
        times["import"].append(seconds(lambda fresh=fresh: store(fresh)))
        times["parse"].append(seconds(lambda: parse(path)))
        times["pandas"].append(seconds(lambda: pandas.read_csv(path)))
    again = seconds(lambda: store(path))
    load = min(seconds(load_all) for _ in range(3))
    median = {name: statistics.median(values) for name, values in times.items()}
    return {
        "benchmark": "import_candles",
        "rows": rows,
        "file_mb": round(path.stat().st_size / 2**20, 1),
        "parse_seconds": round(median["parse"], 4),
        "pandas_seconds": round(median["pandas"], 4),
        "ratio": round(median["parse"] / median["pandas"], 2),
        "import_seconds": round(median["import"], 3),
        "import_ratio": round(median["import"] / median["pandas"], 2),
        "cold_import_seconds": round(cold, 3),
        "reimport_seconds": round(again, 3),
        "load_verified_seconds": round(load, 4),
        "rows_per_s": round(rows / median["import"]),
        "peak_mb_before": before,
        "peak_mb": peak,
    }


def write_file(path: Path, rows: int) -> None:
    """Minutes of currency trading hours, a random walk in points; written a part at a time, so
    that making the file does not hide how much memory reading it takes."""
    import numpy as np

    from trading.core.sessions import is_open

    rng = np.random.default_rng(11)
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    minute = int(datetime(2010, 1, 4, tzinfo=UTC).timestamp()) // 60
    price, left = 110_000, rows
    with path.open("w") as out:
        out.write("time,open,high,low,close,volume\n")
        while left:
            minutes = np.arange(minute, minute + PART)
            minute += PART
            minutes = minutes[is_open("fx", minutes * 60 * 10**9)][:left]
            left -= minutes.size
            steps = rng.integers(-5, 6, (minutes.size, 3))
            for at, (move, up, down) in zip(minutes.tolist(), steps.tolist(), strict=True):
                close = price + move if 90_000 < price + move < 130_000 else price - move
                high, low = max(price, close) + abs(up), min(price, close) - abs(down)
                moment = epoch + timedelta(minutes=at)
                shown = ",".join(f"{value / 1e5:.5f}" for value in (price, high, low, close))
                out.write(f"{moment:%Y-%m-%dT%H:%M:%SZ},{shown},{100 + up * 9 + down}\n")
                price = close


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def parse(path: Path) -> int:
    from trading.core.instruments import describe
    from trading.importers.candle_checks import check_series
    from trading.importers.candle_files import read_candle_file
    from trading.importers.contract import Hint, ReadOptions

    options = ReadOptions(now_ns=time.time_ns())
    with path.open("rb") as stream:
        raw = read_candle_file(stream, path.name, options)
    return len(check_series(raw, describe("EURUSD"), Hint("EURUSD", "argument"), options))


def store(path: Path) -> None:
    from trading.importers.contract import ReadOptions
    from trading.importers.sources import file_at
    from trading.services.candle_imports import ImportRequest, import_candles

    request = ImportRequest(options=ReadOptions(now_ns=time.time_ns()))
    import_candles(files=[file_at(path)], request=request)


def load_all() -> None:
    from trading.models import CandleSeries
    from trading.selectors.candles import forget_decoded, load_candles

    forget_decoded()
    load_candles(CandleSeries.objects.get(instrument__symbol="EURUSD"))


def peak_mb() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // (1024 if sys.platform != "darwin" else 1024 * 1024)


if __name__ == "__main__":
    main()
