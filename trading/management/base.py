"""What every command of Inquest has in common.

A command subclasses `InquestCommand`, adds its arguments and implements `run`, which returns one
summary dict. The base prints that summary (as lines, or with `--json` as one JSON object on
stdout), draws progress on stderr when that is a terminal, and turns errors into exit statuses:

    0  done        1  failed (an operator's or a passing trouble)        2  bad input

Errors go to stderr, one line each: `file, line N: detail [code]`. With `--json` the same errors
are one JSON object on stdout, so a program reads stdout alone. An interrupt (Ctrl-C) is a failure
that says what was kept.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NoReturn

from django.core.management.base import BaseCommand, CommandError, CommandParser, OutputWrapper

from trading.core.errors import FileError, InquestError, OperatorError, Problem, UserError

Summary = Mapping[str, object]

_BAR_WIDTH = 30
_REDRAW_SECONDS = 0.1


class Progress:
    """A counter that draws itself on a terminal. Call `advance` as work is done."""

    def __init__(self, out: OutputWrapper, total: int, label: str, *, drawn: bool) -> None:
        self.total = total
        self.label = label
        self.done = 0
        self._out = out
        self._drawn = drawn
        self._next_draw = 0.0

    def advance(self, count: int = 1) -> None:
        """Count `count` more units as done."""
        self.done += count
        now = time.monotonic()
        if self._drawn and now >= self._next_draw:
            self._next_draw = now + _REDRAW_SECONDS
            self._draw()

    def finish(self) -> None:
        if self._drawn:
            self._draw()
            self._out.write("\n", style_func=str, ending="")

    def _draw(self) -> None:
        share = min(1.0, self.done / self.total) if self.total else 1.0
        filled = round(share * _BAR_WIDTH)
        bar = "#" * filled + "." * (_BAR_WIDTH - filled)
        line = f"\r{self.label} [{bar}] {self.done:,}/{self.total:,}"
        self._out.write(line, style_func=str, ending="")
        self._out.flush()


class InquestCommand(BaseCommand):
    """Base of every command: `--json`, progress, exit statuses. Subclasses implement `run`."""

    verbosity = 1

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        parser.add_argument("--json", action="store_true", help="print one JSON summary on stdout")
        return parser

    def run(self, **options: Any) -> Summary:
        """Do the work and say what was done. Options are the parsed arguments."""
        raise NotImplementedError(f"{type(self).__name__} implements run()")

    def lines(self, summary: Summary) -> Iterable[str]:
        """The summary as text for people; override for anything but `name: value` lines."""
        return (f"{name.replace('_', ' ')}: {_shown(value)}" for name, value in summary.items())

    def kept(self) -> str:
        """What is left of a run that was interrupted. Override where that may be something."""
        return "Nothing was stored."

    def exit_status(self, summary: Summary) -> int:
        """0, or 1 when the work was done and what it found counts as a failure."""
        return 0

    @contextmanager
    def progress(self, total: int, label: str) -> Iterator[Progress]:
        """Progress over `total` units, drawn on stderr only if that is a terminal."""
        bar = Progress(self.stderr, total, label, drawn=self.verbosity > 0 and self.stderr.isatty())
        try:
            yield bar
        finally:
            bar.finish()

    def handle(self, *args: object, **options: Any) -> None:
        self.verbosity = options["verbosity"]
        try:
            summary = self.run(**options)
        except InquestError as error:
            self._fail(error, as_json=options["json"])
        except KeyboardInterrupt:
            stopped = OperatorError("interrupted", f"Stopped. {self.kept()}")
            self._fail(stopped, as_json=options["json"])
        if options["json"]:
            self.stdout.write(json.dumps(summary, default=str, allow_nan=False))
        else:
            for line in self.lines(summary):
                self.stdout.write(line)
        if status := self.exit_status(summary):
            raise CommandError("", returncode=status)

    def execute(self, *args: Any, **options: Any) -> str | None:
        try:
            return super().execute(*args, **options)
        except CommandError as error:
            # Django would put the name of the exception class in front of the message.
            if not getattr(self, "_called_from_command_line", False) or options.get("traceback"):
                raise
            if str(error):
                self.stderr.write(str(error))
            sys.exit(error.returncode)

    def _fail(self, error: InquestError, *, as_json: bool) -> NoReturn:
        if as_json:
            self.stdout.write(json.dumps(error_as_dict(error), default=str))
        status = 2 if isinstance(error, UserError) else 1
        raise CommandError("\n".join(error_lines(error)), returncode=status) from error


def error_lines(error: InquestError) -> list[str]:
    """One line a problem, fatal ones first: `file, line N: detail [code]`."""
    if isinstance(error, FileError):
        ranked = sorted(error.problems, key=lambda problem: not problem.fatal)
        return [problem_line(error.file, problem) for problem in ranked]
    return [f"{error.detail} [{error.code}]"]


def problem_line(file: str, problem: Problem) -> str:
    where = f"{file}, line {problem.rows[0]}" if problem.rows else file
    level = "" if problem.fatal else "warning: "
    more = f" ({problem.count:,} times)" if problem.count > 1 else ""
    return f"{where}: {level}{problem.detail}{more} [{problem.code}]"


def warning_line(warning: Mapping[str, Any]) -> str:
    """A warning of an accepted file (`Problem.as_dict`) as an indented line of a summary."""
    row, count = warning["row"], warning["count"]
    where = f"line {row}" if row else ""
    if count > 1:
        where = f"{count:,} in all" + (f", the first at {where}" if row else "")
    shown = f" ({where})" if where else ""
    return f"  warning: {warning['detail']}{shown} [{warning['code']}]"


def counted(number: int, noun: str) -> str:
    """`1 trade`, `2,000 trades`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def error_as_dict(error: InquestError) -> dict[str, object]:
    """The error as JSON: `code`, `detail`, then `field`, `row`, `file`, `problems` when known."""
    result: dict[str, object] = {"code": error.code, "detail": error.detail}
    if isinstance(error, UserError):
        result.update({k: v for k in ("field", "row") if (v := getattr(error, k)) is not None})
    if isinstance(error, FileError):
        result["file"] = error.file
        result["problems"] = [problem.as_dict() for problem in error.problems]
    return result


def _shown(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, (list, tuple)):
        return ", ".join(str(item) for item in value) or "none"
    return str(value)
