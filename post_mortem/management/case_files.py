"""What the commands that read portable cases share: their file, its lines, and their answers."""

from __future__ import annotations

import gzip
import json
import os
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from post_mortem.core.strict_json import json_object
from trading.core.errors import FileError, Problem, UserError
from trading.management.base import InquestCommand, Summary


class AnsweringCommand(InquestCommand):
    """A command that answers every case of a file, or none."""

    def given(
        self, answers: Sequence[dict[str, Any]], output: Path | None, counts: Summary
    ) -> Summary:
        """The counts, with the answers themselves or the file that took them."""
        if output is None:
            return counts | {"answers": answers}
        write_whole(output, map(dumped, answers))
        return counts | {"output": str(output)}

    def lines(self, summary: Summary) -> Iterable[str]:
        """The answers themselves where no file takes them, else what was done."""
        if "answers" in summary:
            return map(dumped, summary["answers"])  # type: ignore[call-overload]
        return super().lines(summary)


def cases_in(path: Path) -> Iterator[tuple[int, dict[str, object]]]:
    """Line number and case of every line that is not blank, plain or gzipped (`.gz`)."""
    for number, line in lines_of(path):
        try:
            yield number, json_object(line)
        except UserError as error:
            refuse(path, number, error)


def lines_of(path: Path) -> Iterator[tuple[int, str]]:
    """Numbered lines that are not blank, of a plain or gzipped file."""
    opener = gzip.open if path.suffix == ".gz" else open
    number = 0
    try:
        with opener(path, "rt", encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield number, line
    except FileNotFoundError:
        raise UserError("no_such_file", f"there is no file {path}") from None
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        refuse(path, number + 1, UserError("unreadable", f"cannot be read: {error}"))


def count_lines(path: Path) -> int:
    return sum(1 for _ in lines_of(path))


def refuse(path: Path, number: int, error: UserError) -> NoReturn:
    """The error as one of a line of a file."""
    problem = Problem(error.code, error.detail, fatal=True, field=error.field, rows=(number,))
    raise FileError(str(path), (problem,)) from error


def text_of(path: Path) -> str:
    """A whole text file. Raises UserError."""
    return "".join(line for _, line in lines_of(path))


def dumped(answer: object) -> str:
    return json.dumps(answer, allow_nan=False)


def write_whole(path: Path, lines: Iterable[str]) -> None:
    """The whole file appears at once, under its name, or not at all."""
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise UserError("output", f"cannot write {path}: {error}") from error
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            out.writelines(line + "\n" for line in lines)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
