"""`export_audits`: every audit as one JSON object or CSV row."""

from __future__ import annotations

import csv
import json
import os
import sys
import tempfile
from argparse import ArgumentParser
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from post_mortem.models import InsightAudit
from post_mortem.selectors.export import FIELDS, exported
from trading.core.errors import OperatorError
from trading.management.base import InquestCommand, Summary

# What a spreadsheet would take for a formula; numbers are written as numbers and stay so.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


class Command(InquestCommand):
    help = "Write audits as JSON lines or CSV, to a file or to stdout."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--format", choices=("jsonl", "csv"), default="jsonl")
        parser.add_argument("--output", type=Path, help="write here instead of to stdout")

    def run(self, **options: Any) -> Summary:
        """Write all audits; a file appears whole or not at all."""
        write = _write_csv if options["format"] == "csv" else _write_lines
        audits = InsightAudit.objects.all()
        with self.progress(audits.count(), "audits") as bar:
            rows = _counted(exported(audits), bar.advance)
            if options["output"] is None:
                if not options["json"]:
                    self._to_stdout(write, rows)
                    return {"audits": bar.done}
                return {"audits": list(rows)}
            with _whole_file(options["output"]) as file:
                write(rows, file)
        return {"audits": bar.done, "output": str(options["output"])}

    def _to_stdout(self, write: Any, rows: Iterator[dict[str, Any]]) -> None:
        try:
            write(rows, self.stdout)
        except BrokenPipeError:
            # The reader has seen enough (`| head`); nothing is left to be flushed to it.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    def lines(self, summary: Summary) -> Iterable[str]:
        # Without a file stdout holds the audits and nothing else.
        return super().lines(summary) if "output" in summary else ()


def _counted(rows: Iterable[dict[str, Any]], count: Any) -> Iterator[dict[str, Any]]:
    for row in rows:
        yield row
        count()


def _write_lines(rows: Iterable[dict[str, Any]], out: TextIO) -> None:
    for row in rows:
        out.write(json.dumps(row, allow_nan=False, ensure_ascii=False) + "\n")


def _write_csv(rows: Iterable[dict[str, Any]], out: TextIO) -> None:
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(FIELDS)
    for row in rows:
        writer.writerow([_cell(row[name]) for name in FIELDS])


def _cell(value: Any) -> Any:
    """A CSV cell: lists as JSON, text that looks like a formula with a quote before it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return json.dumps(value, allow_nan=False, ensure_ascii=False)
    if isinstance(value, str) and value.startswith(_FORMULA_STARTS):
        return "'" + value
    return value


@contextmanager
def _whole_file(path: Path) -> Iterator[TextIO]:
    """A file that takes its name only when it is complete."""
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise OperatorError("cannot_write", f"cannot write {path}: {error.strerror}") from error
    try:
        with open(handle, "w", encoding="utf-8", newline="") as file:
            yield file
        Path(name).replace(path)
    except BaseException:
        os.unlink(name)
        raise
