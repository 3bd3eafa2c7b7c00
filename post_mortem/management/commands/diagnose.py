"""`diagnose`: labels and causes for portable cases, without a database."""

from __future__ import annotations

import gzip
import json
import os
import tempfile
import zlib
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NoReturn

from post_mortem.core.diagnose import diagnose_case
from trading.core.errors import FileError, Problem, UserError
from trading.management.base import InquestCommand, Summary


class Command(InquestCommand):
    help = "Label portable cases and rank the causes of their losses; needs no database."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="cases, one JSON object a line (.jsonl, .gz)")
        parser.add_argument("--output", type=Path, help="write the answers here, one a line")

    def run(self, **options: Any) -> Summary:
        """Answer every case or none: a bad line stops the run before anything is written."""
        path: Path = options["file"]
        answers = []
        with self.progress(_count_lines(path), "cases") as progress:
            for number, line in _lines(path):
                answers.append(_answer(path, number, line))
                progress.advance()
        outcomes = Counter(answer["label"]["outcome"] for answer in answers)
        first = Counter(answer["causes"][0]["cause"] for answer in answers if answer["causes"])
        summary: dict[str, object] = {
            "cases": len(answers),
            "outcomes": dict(sorted(outcomes.items())),
            "first_causes": dict(sorted(first.items())),
        }
        if options["output"] is None:
            return summary | {"answers": answers}
        _write_whole(options["output"], answers)
        return summary | {"output": str(options["output"])}

    def lines(self, summary: Summary) -> Iterable[str]:
        """The answers themselves where no file takes them, else what was done."""
        if "answers" in summary:
            return map(_dumped, summary["answers"])  # type: ignore[call-overload]
        return super().lines(summary)


def _answer(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        case = json.loads(line, parse_constant=_no_constant, object_pairs_hook=_no_duplicates)
        if not isinstance(case, dict):
            raise UserError("bad_json", "expected one JSON object")
        return diagnose_case(case)
    except (json.JSONDecodeError, RecursionError) as error:
        _refuse(path, number, UserError("bad_json", f"not JSON: {error}"))
    except UserError as error:
        _refuse(path, number, error)


def _refuse(path: Path, number: int, error: UserError) -> NoReturn:
    problem = Problem(error.code, error.detail, fatal=True, field=error.field, rows=(number,))
    raise FileError(str(path), (problem,)) from error


def _no_constant(name: str) -> NoReturn:
    raise UserError("not_finite", f"{name} is no JSON number")


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        twice = next(key for key, n in Counter(key for key, _ in pairs).items() if n > 1)
        raise UserError("duplicate_key", f"the key {twice!r} is there twice", field=twice)
    return result


def _lines(path: Path) -> Iterator[tuple[int, str]]:
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
        _refuse(path, number + 1, UserError("unreadable", f"cannot be read: {error}"))


def _count_lines(path: Path) -> int:
    return sum(1 for _ in _lines(path))


def _dumped(answer: object) -> str:
    return json.dumps(answer, allow_nan=False)


def _write_whole(path: Path, answers: Iterable[object]) -> None:
    """The whole file appears at once, under its name, or not at all."""
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise UserError("output", f"cannot write {path}: {error}") from error
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            out.writelines(_dumped(answer) + "\n" for answer in answers)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
