"""How often the true cause is named: markets with planted causes, diagnosed by the public path.

    python -m benchmarks.causes [--quick] [--split train|dev|validation]
    python -m benchmarks.causes --export dev FILE.jsonl

A full run takes about five minutes on one core, `--quick` under half a minute. Prints tables on
stderr and one JSON object on stdout, last. Single cases of the validation split are never shown or
written: constants are chosen on train and dev, and only sums are read from validation.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from . import export, report, run


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.causes",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="a small run")
    parser.add_argument("--split", choices=run.SPLITS, default="validation")
    parser.add_argument("--only", choices=run.SUITES, help="one suite instead of all")
    parser.add_argument("--data", type=Path, default=run.DATA, help="folder of real candles")
    parser.add_argument("--markdown", action="store_true", help="print the table of README instead")
    parser.add_argument("--json", action="store_true", help="print the JSON object alone")
    parser.add_argument(
        "--export",
        nargs=2,
        metavar=("SPLIT", "FILE"),
        help="write the cases of train or dev as portable cases, truths beside in "
        "FILE.truth.jsonl and, for fit_calibration, in FILE.causes.json",
    )
    parser.add_argument(
        "--show", metavar="ID", help="print one case of train or dev with its truth"
    )
    options = parser.parse_args(arguments)
    size = run.QUICK if options.quick else run.FULL
    exported = run.QUICK if options.quick else run.FIT
    if options.export:
        split, path = options.export
        if split not in export.OPEN_SPLITS:
            parser.error(f"--export writes {' or '.join(export.OPEN_SPLITS)}, not {split!r}")
        result = export.write(split, Path(path), exported)
        print(json.dumps(result))
        return result
    if options.show:
        if options.split not in export.OPEN_SPLITS:
            parser.error("--show needs --split train or dev: validation cases are never shown")
        shown = export.show(options.split, options.show, exported)
        if shown is None:
            parser.error(f"{options.split} has no case {options.show}")
        print(json.dumps(shown))
        return shown
    result = run.benchmark(options.split, size, options.data, options.only)
    if options.markdown:
        print(report.markdown(result))
    elif not options.json:
        print(report.table(result), file=sys.stderr)
    print(json.dumps(result))
    return result


if __name__ == "__main__":
    main()
