"""Import signals: `python manage.py import_signals FILE`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.core.management.base import CommandParser
from django.db import transaction

from trading.importers.signals import COLUMNS
from trading.importers.trades_contract import TradeOptions
from trading.management import owned
from trading.management.base import InquestCommand, Summary
from trading.services.accounts import account_for
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

    def run(self, **options: Any) -> Summary:
        given = TradeOptions(
            tz=options["tz"],
            date_order=options["date_order"],
            encoding=options["encoding"],
            partial=options["skip_bad_rows"],
        )
        data = owned.content_of(options["file"])
        # A user or an account made for a file that is refused goes with it.
        with transaction.atomic(), self.progress(0, "signals") as bar:
            owner = account_for(account=options["account"], username=options["user"])
            result = import_signals(
                account=owner.account,
                data=data,
                file_name=options["file"].name,
                options=given,
                created_by=owner.user,
                dry_run=options["dry_run"],
                progress=owned.progress_on(bar),
            )
            if options["dry_run"]:
                transaction.set_rollback(True)
        return {**result.summary, **owned.owner_summary(owner)}

    def lines(self, summary: Summary) -> Iterator[str]:
        values: Any = summary
        yield from owned.owner_lines(values)
        yield f"{values['file']}: {values['format']}, account {values['account']}"
        yield from owned.row_lines(values)
        verb = "would be " if values["dry_run"] else ""
        yield (
            f"{values['rows_read']:,} rows: {values['signals_new']:,} signals {verb}new, "
            f"{values['signals_duplicate']:,} duplicates, {values['rows_skipped']:,} skipped"
        )
