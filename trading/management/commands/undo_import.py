"""Take an import back: `python manage.py undo_import IMPORT`; without one, list them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.core.management.base import CommandParser

from trading.management.base import InquestCommand, Summary
from trading.models import ImportBatch
from trading.services.imports import undo_import

_LISTED = 50


class Command(InquestCommand):
    help = (
        "Take back everything that one import added, whoever brought it in. Without a number: "
        "list the last imports that are kept."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("import_id", nargs="?", type=int, metavar="IMPORT")

    _import_id: int | None = None

    def run(self, **options: Any) -> Summary:
        self._import_id = import_id = options["import_id"]
        if import_id is None:
            kept = ImportBatch.objects.filter(status=ImportBatch.Status.DONE)
            some = kept.select_related("account", "desk").defer("undo_data")[:_LISTED]
            return {"imports": [_row(batch) for batch in some], "kept": kept.count()}
        counts = undo_import(batch_id=import_id, user=None)
        return {"import": _row(ImportBatch.objects.get(pk=import_id)), **counts}

    def kept(self) -> str:
        undone = ImportBatch.objects.filter(pk=self._import_id, status=ImportBatch.Status.UNDONE)
        return "The import was taken back before that." if undone else "Nothing was taken back."

    def lines(self, summary: Summary) -> Iterator[str]:
        values: Any = summary
        if "import" in values:
            yield f"Taken back: {_line(values['import'])}"
            return
        for row in values["imports"]:
            yield _line(row)
        left = values["kept"] - len(values["imports"])
        if left:
            yield f"and {left:,} earlier"
        if not values["kept"]:
            yield "no import is kept"


def _row(batch: ImportBatch) -> dict[str, object]:
    owner = batch.account or batch.desk
    return {
        "id": batch.pk,
        "at": batch.created_at.isoformat(timespec="seconds"),
        "kind": batch.kind,
        "file": batch.file_name,
        "of": str(owner) if owner else "everybody",
        "counts": {name: count for name, count in batch.counts.items() if count},
    }


def _line(row: dict[str, Any]) -> str:
    counts = ", ".join(f"{name.replace('_', ' ')} {n:,}" for name, n in row["counts"].items())
    return f"import {row['id']}: {row['kind']} {row['file']}, {row['of']}, {row['at']}: {counts}"
