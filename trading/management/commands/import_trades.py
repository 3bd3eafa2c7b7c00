"""Import trades: `python manage.py import_trades FILE --account NAME`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.core.management.base import CommandParser

from trading.importers.trades import FORMATS
from trading.importers.trades_columns import FIELDS, parse_mapping
from trading.importers.trades_contract import TradeOptions
from trading.management import owned
from trading.management.base import InquestCommand, Summary, counted
from trading.management.interrupted import imports_since, newest_import
from trading.services.trades import import_trades


class Command(InquestCommand):
    help = (
        "Import trades from a freqtrade backtest result (JSON or ZIP) or a CSV of executions or "
        "round trips. Executions become trades by FIFO; importing a file again adds nothing."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        owned.add_arguments(parser)
        parser.add_argument(
            "--account", required=True, metavar="NAME", help="account; made if it is missing"
        )
        parser.add_argument("--format", choices=FORMATS, default="auto")
        parser.add_argument(
            "--map",
            action="append",
            default=[],
            metavar="COLUMN=FIELD",
            help=f"what a column means, remembered for this header; fields: {', '.join(FIELDS)}; "
            "or ignore",
        )
        parser.add_argument("--symbol", help="what was traded, where no column says it")
        parser.add_argument("--strategy", help="strategy of the trades, where no column says it")
        parser.add_argument("--timeframe", help="timeframe traded on, like 5m or 1h")
        parser.add_argument("--dialect", choices=("decimal-comma",), help="1,2345 means 1.2345")

    _before: int | None = None

    def run(self, **options: Any) -> Summary:
        self._before = newest_import()
        given = TradeOptions(
            tz=options["tz"],
            format=options["format"],
            mapping=parse_mapping(options["map"]),
            date_order=options["date_order"],
            decimal_comma=options["dialect"] == "decimal-comma",
            encoding=options["encoding"],
            symbol=options["symbol"],
            strategy=options["strategy"],
            timeframe=options["timeframe"],
            partial=options["skip_bad_rows"],
        )
        return owned.import_file(self, "trades", import_trades, given, options)

    def kept(self) -> str:
        return imports_since(self._before)

    def lines(self, summary: Summary) -> Iterator[str]:
        values: Any = summary
        yield from owned.owner_lines(values)
        yield (
            f"{values['file']}: {values['format']}, {values['layout'].replace('_', ' ')}, times "
            f"{values['time_zone'] or 'with their offsets'}, account {values['account']} of "
            f"{values['user']}"
        )
        yield from owned.row_lines(values)
        verb = "would be " if values["dry_run"] else ""
        yield (
            f"{counted(values['rows_read'], 'row')}: "
            f"{counted(values['trades_new'], 'trade')} {verb}new, "
            f"{values['trades_updated']:,} {verb}updated, {_duplicates(values):,} duplicates, "
            f"{values['rows_skipped']:,} skipped"
        )
        for currency, sums in values["pnl"].items():
            yield f"result {sums['net']} {currency} net, {sums['gross']} before costs"


def _duplicates(values: Any) -> int:
    return int(values["trades_duplicate"] + values["executions_duplicate"])
