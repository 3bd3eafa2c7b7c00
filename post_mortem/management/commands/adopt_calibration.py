"""`adopt_calibration`: make a desk use a fitted table, the shipped one, or the one before."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from post_mortem.core.calibration_table import SHIPPED, Table, read_table
from post_mortem.management.case_files import text_of
from post_mortem.management.desks import desk_named
from post_mortem.models import CalibrationAdoption, InsightAudit
from post_mortem.selectors.calibrations import calibration_in_force
from post_mortem.services.calibrations import adopt_table, undo_adoption
from trading.management.base import InquestCommand, Summary
from trading.services.accounts import local_user


class Command(InquestCommand):
    help = "Make a desk use a calibration table; audits it judges otherwise become stale."

    def add_arguments(self, parser: ArgumentParser) -> None:
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument("--table", type=Path, help="a table of fit_calibration")
        what.add_argument("--shipped", action="store_true", help="the table Inquest comes with")
        what.add_argument("--undo", action="store_true", help="the table the desk used before")
        what.add_argument("--list", action="store_true", help="who adopted what, newest first")
        parser.add_argument("--desk", required=True, help="its name or id")
        parser.add_argument("--user", help="who adopts it (must lead the desk); else the operator")
        parser.add_argument("--note", default="", help="why")

    def run(self, **options: Any) -> Summary:
        desk = desk_named(options["desk"])
        user = local_user(username=options["user"])[0] if options["user"] else None
        with self.progress(1, "adoptions") as bar:
            if options["undo"]:
                undo_adoption(desk=desk, user=user, note=options["note"])
            elif not options["list"]:
                adopt_table(desk=desk, table=_table(options), user=user, note=options["note"])
            bar.advance()
        return {
            "desk": desk.name,
            "version": calibration_in_force(desk).table.version,
            "stale_audits": InsightAudit.objects.filter(account__desk=desk, is_stale=True).count(),
            "history": [_row(row) for row in _history(desk.pk)],
        }

    def lines(self, summary: Summary) -> Iterable[str]:
        stale: Any = summary["stale_audits"]
        yield f"{summary['desk']} uses {summary['version']}; {stale:,} audits stale"
        history: Any = summary["history"]
        for row in history:
            when = f"{row['at']:%Y-%m-%d %H:%M}"
            yield f"  {when} {row['by']}: {row['version']} {row['note']}".rstrip()


def _table(options: dict[str, Any]) -> Table | None:
    return None if options["shipped"] else read_table(text_of(options["table"]))


def _history(desk: int) -> Iterable[CalibrationAdoption]:
    return CalibrationAdoption.objects.filter(desk=desk).select_related("table", "adopted_by")


def _row(row: CalibrationAdoption) -> dict[str, Any]:
    return {
        "at": row.adopted_at,
        "by": row.adopted_by.get_username() if row.adopted_by else "the operator",
        "version": row.table.version if row.table else f"shipped ({SHIPPED.version})",
        "note": row.note,
    }
