"""Import signals: `python manage.py import_signals FILE`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.core.management.base import CommandParser

from trading.importers.signals import COLUMNS
from trading.importers.trades_contract import TradeOptions
from trading.management import owned
from trading.management.base import InquestCommand, Summary, counted
from trading.management.interrupted import imports_since, newest_import
from trading.services.signals import import_signals


class Command(InquestCommand):
    help = (
        f"Import signals from CSV, JSONL or a JSON array with the columns {', '.join(COLUMNS)}. "
        "Importing a file again adds nothing."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        owned.add_arguments(parser)
        parser.add_argument(
            "--account",
            metavar="NAME",
            help="account, made if it is missing; default: the only one",
        )
        parser.add_argument("--timeframe", help="timeframe of signals that state none, like 1h")
        parser.add_argument("--dialect", choices=("decimal-comma",), help="1,2345 means 1.2345")

    _before: int | None = None

    def run(self, **options: Any) -> Summary:
        self._before = newest_import()
        given = TradeOptions(
            tz=options["tz"],
            date_order=options["date_order"],
            decimal_comma=options["dialect"] == "decimal-comma",
            timeframe=options["timeframe"],
            encoding=options["encoding"],
            partial=options["skip_bad_rows"],
        )
        return owned.import_file(self, "signals", import_signals, given, options)

    def kept(self) -> str:
        return imports_since(self._before)

    def lines(self, summary: Summary) -> Iterator[str]:
        values: Any = summary
        yield from owned.owner_lines(values)
        owner = f"account {values['account']} of {values['user']}"
        yield f"{values['file']}: {values['format']}, {owner}"
        yield from owned.row_lines(values)
        verb = "would be " if values["dry_run"] else ""
        yield (
            f"{counted(values['rows_read'], 'row')}: "
            f"{counted(values['signals_new'], 'signal')} {verb}new, "
            f"{values['signals_duplicate']:,} duplicates, {values['rows_skipped']:,} skipped"
        )
