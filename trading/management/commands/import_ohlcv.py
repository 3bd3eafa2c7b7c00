"""Import candles: `python manage.py import_ohlcv FILE...`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from trading.importers.candle_files import FORMATS
from trading.importers.contract import ReadOptions
from trading.importers.sources import ENCODINGS, file_at
from trading.management.base import InquestCommand, Summary, counted, warning_line
from trading.management.interrupted import imports_since, newest_import
from trading.services.candle_imports import ImportRequest, import_candles


class Command(InquestCommand):
    help = (
        "Import candles from CSV, JSON, freqtrade feather or Lean ZIP files. Several files are one "
        "import: all are stored or none. Symbol and timeframe may be left out where the content or "
        "a known file name states them."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("files", nargs="*", type=Path, metavar="FILE")
        parser.add_argument("--csv", action="append", type=Path, default=[], metavar="FILE")
        parser.add_argument("--symbol", help="what the files hold, like EURUSD or ETH/BTC")
        parser.add_argument("--timeframe", help="length of a bar, like 1m, 5m, 1h")
        parser.add_argument("--tz", help="zone of times without one, like Europe/Berlin or UTC-5")
        parser.add_argument("--format", choices=FORMATS, default="auto")
        parser.add_argument(
            "--source", help="where the data comes from; series of different sources never mix"
        )
        parser.add_argument("--encoding", choices=ENCODINGS, help="text encoding, default UTF-8")
        parser.add_argument("--dialect", choices=("decimal-comma",), help="1,2345 means 1.2345")
        parser.add_argument("--date-order", choices=("dmy", "mdy"), help="of dates like 01/02/2024")
        parser.add_argument(
            "--allow-non-positive", action="store_true", help="accept prices at or below zero"
        )
        parser.add_argument(
            "--revise", action="store_true", help="let a file replace most of the stored bars"
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="read and check, show what would change"
        )

    _before: int | None = None

    def run(self, **options: Any) -> Summary:
        self._before = newest_import()
        paths = [*options["files"], *options["csv"]]
        request = ImportRequest(
            options=ReadOptions(
                now_ns=time.time_ns(),
                symbol=options["symbol"],
                timeframe=options["timeframe"],
                tz=options["tz"],
                encoding=options["encoding"],
                decimal_comma=options["dialect"] == "decimal-comma",
                date_order=options["date_order"],
                allow_non_positive=options["allow_non_positive"],
            ),
            format=options["format"],
            source=options["source"],
            dry_run=options["dry_run"],
            revise=options["revise"],
        )
        files = [file_at(path) for path in paths]
        with self.progress(len(files), "files") as bar:
            return import_candles(files=files, request=request, on_file=bar.advance).as_dict()

    def kept(self) -> str:
        return imports_since(self._before)

    def lines(self, summary: Summary) -> Iterator[str]:
        files: Any = summary["files"]
        verb = "would be " if summary["dry_run"] else ""
        for file in files:
            yield from _file_lines(file, verb)
        yield (
            f"{counted(len(files), 'file')}, {counted(summary['read'], 'row')}: "
            f"{counted(summary['inserted'], 'bar')} {verb}inserted, "
            f"{summary['updated']:,} {verb}updated, {summary['unchanged']:,} unchanged"
        )


def _file_lines(file: dict[str, Any], verb: str) -> Iterator[str]:
    yield (
        f"{file['file']}: {file['symbol']} ({file['symbol_from']}) {file['timeframe']} "
        f"({file['timeframe_from']}), {file['kind']}, {file['format']}, source {file['source']}, "
        f"times {file['time_zone'] or 'UTC'}"
    )
    yield (
        f"  {file['first']} to {file['last']}, {counted(file['read'], 'row')}: "
        f"{file['inserted']:,} {verb}inserted, {file['updated']:,} {verb}updated, "
        f"{file['unchanged']:,} unchanged, "
        f"{file['duplicates']:,} duplicates dropped"
    )
    for row in file["preview"] if file["inserted"] or file["updated"] else []:
        yield "  " + " ".join(str(value) for value in row.values())
    for note in file["notes"]:
        yield f"  note: {note}"
    for warning in file["warnings"]:
        yield warning_line(warning)
