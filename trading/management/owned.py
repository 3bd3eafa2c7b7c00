"""What the commands that import into an account share: its arguments, the file, the text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from django.core.management.base import CommandParser
from django.db import transaction

from trading.importers.sources import ENCODINGS, file_at
from trading.importers.trades import MAX_FILE_BYTES
from trading.importers.trades_contract import TradeOptions
from trading.management.base import InquestCommand, Progress, Summary, warning_line
from trading.services.accounts import Owner, account_for
from trading.services.trade_rows import Progress as ShowProgress

_SHOWN_SKIPS = 20


def add_arguments(parser: CommandParser) -> None:
    """Arguments of both commands, after their own."""
    parser.add_argument("file", type=Path, metavar="FILE")
    parser.add_argument("--user", help="whose account it is, where there are several users")
    parser.add_argument("--tz", help="zone of times without one, like Europe/Berlin or UTC-5")
    parser.add_argument("--date-order", choices=("dmy", "mdy"), help="of dates like 01/02/2024")
    parser.add_argument("--encoding", choices=ENCODINGS, help="text encoding, default UTF-8")
    parser.add_argument(
        "--skip-bad-rows", action="store_true", help="import the good rows and list the bad ones"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="read and check, show what would change"
    )


class Imported(Protocol):
    """What an import gives back."""

    @property
    def summary(self) -> Mapping[str, Any]: ...


def import_file(
    command: InquestCommand,
    what: str,
    importer: Callable[..., Imported],
    given: TradeOptions,
    options: Mapping[str, Any],
) -> Summary:
    """Run one of the importers on the file and account of the command line, or try it out."""
    data = content_of(options["file"])
    # A user or an account made for a file that is refused goes with it.
    with transaction.atomic(), command.progress(0, what) as bar:
        owner = account_for(account=options["account"], username=options["user"])
        result = importer(
            account=owner.account,
            data=data,
            file_name=options["file"].name,
            options=given,
            created_by=owner.user,
            dry_run=options["dry_run"],
            progress=progress_on(bar),
        )
        if options["dry_run"]:
            transaction.set_rollback(True)
    return {**result.summary, **owner_summary(owner)}


def content_of(path: Path) -> bytes:
    """The bytes of a file, one more than allowed at the most."""
    with file_at(path).open() as stream:
        return stream.read(MAX_FILE_BYTES + 1)


def progress_on(bar: Progress) -> ShowProgress:
    """Shows rows done of rows in all on a bar made before the file was read."""

    def show(step: int, total: int) -> None:
        bar.total = total
        bar.advance(step)

    return show


def owner_summary(owner: Owner) -> dict[str, object]:
    return {
        "user": owner.user.get_username(),
        "user_new": owner.user_new,
        "account_new": owner.account_new,
    }


def owner_lines(summary: Mapping[str, Any]) -> Iterator[str]:
    made = "would make" if summary["dry_run"] else "made"
    if summary["user_new"]:
        yield f"{made} the local user {summary['user']}" + (
            ""
            if summary["dry_run"]
            else f", who has no password yet: python manage.py changepassword {summary['user']}"
        )
    if summary["account_new"]:
        yield f"{made} the account {summary['account']} of {summary['user']}"


def row_lines(summary: Mapping[str, Any]) -> Iterator[str]:
    """The first rows as understood, what was skipped and why, warnings."""
    for row in summary["preview"]:
        yield "  " + " ".join(str(value) for value in row.values() if value not in (None, ""))
    for skipped in summary["skipped"][:_SHOWN_SKIPS]:
        yield f"  skipped line {skipped['row']}: {skipped['detail']} [{skipped['code']}]"
    if summary["rows_skipped"] > _SHOWN_SKIPS:
        yield f"  and {summary['rows_skipped'] - _SHOWN_SKIPS:,} more"
    for warning in summary["warnings"]:
        yield warning_line(warning)
