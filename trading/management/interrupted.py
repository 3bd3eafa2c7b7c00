"""What an interrupted import left: read from the database, which alone knows."""

from __future__ import annotations

from trading.models import ImportBatch


def newest_import() -> int:
    """The number of the last import so far, 0 without any."""
    return ImportBatch.objects.order_by("-pk").values_list("pk", flat=True).first() or 0


def imports_since(number: int | None) -> str:
    """What was imported after import `number`; None: the import had not begun."""
    if number is not None:
        found = ImportBatch.objects.filter(pk__gt=number).order_by("pk")
        stored = [f"{name} (import {pk})" for pk, name in found.values_list("pk", "file_name")]
        if stored:
            return f"Stored before that, as a whole: {', '.join(stored)}."
    return "Nothing was stored."
