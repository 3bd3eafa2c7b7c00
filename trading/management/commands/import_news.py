"""Import an economic calendar: `python manage.py import_news FILE`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from trading.importers.news import NewsOptions
from trading.importers.sources import ENCODINGS, file_at
from trading.management.base import InquestCommand, Summary, counted, warning_line
from trading.management.interrupted import imports_since, newest_import
from trading.services.news import import_news


class Command(InquestCommand):
    help = (
        "Import an economic calendar (CSV with time, currency, title, impact and optionally "
        "actual, forecast, surprise_z). Impact is high, medium or low, or a colour: red, orange, "
        "yellow or gray."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, metavar="FILE")
        parser.add_argument("--tz", help="zone of times without one, like Asia/Jakarta or UTC+7")
        parser.add_argument("--year", type=int, help="year of dates without one")
        parser.add_argument("--encoding", choices=ENCODINGS, help="text encoding, default UTF-8")
        parser.add_argument("--date-order", choices=("dmy", "mdy"), help="of dates like 01/02/2024")
        parser.add_argument(
            "--dry-run", action="store_true", help="read and check, show what would change"
        )

    _before: int | None = None

    def run(self, **options: Any) -> Summary:
        self._before = newest_import()
        given = NewsOptions(
            tz=options["tz"],
            year=options["year"],
            encoding=options["encoding"],
            date_order=options["date_order"],
        )
        with self.progress(1, "file") as bar:
            result = import_news(
                file=file_at(options["file"]), options=given, dry_run=options["dry_run"]
            )
            bar.advance()
        return result

    def kept(self) -> str:
        return imports_since(self._before)

    def lines(self, summary: Summary) -> Iterator[str]:
        preview: Any = summary["preview"]
        currencies: Any = summary["currencies"]
        warnings: Any = summary["warnings"]
        yield (
            f"{summary['file']}: {summary['covers_from']} to {summary['covers_to']}, "
            f"{' '.join(currencies)}, times {summary['time_zone']}"
        )
        for row in preview:
            yield f"  {row['time']} {row['currency']} {row['title']}"
        for warning in warnings:
            yield warning_line(warning)
        verb = "would be " if summary["dry_run"] else ""
        yield (
            f"{counted(summary['read'], 'row')}: "
            f"{counted(summary['inserted'], 'release')} {verb}inserted, "
            f"{summary['updated']:,} {verb}updated, {summary['unchanged']:,} unchanged, "
            f"{summary['skipped']:,} without a time skipped"
        )
