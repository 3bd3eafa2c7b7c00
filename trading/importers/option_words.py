"""Importers name the options of their commands; other doors call the same things by other names."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from trading.core.errors import FileError, UserError

_OPTION = re.compile(r"--([a-z]+(?:-[a-z]+)*)(?: (decimal-comma|dmy or mdy|dmy|mdy))?")


def without_options(text: str, named: Callable[[str, str], str]) -> str:
    """The message with `named(option, value)` in place of `--option value`; value may be empty."""
    return _OPTION.sub(lambda found: named(found[1], found[2] or ""), text)


def error_without_options(error: UserError, named: Callable[[str, str], str]) -> UserError:
    """The same error in the words of another door."""
    if isinstance(error, FileError):
        problems = (replace(p, detail=without_options(p.detail, named)) for p in error.problems)
        return FileError(error.file, tuple(problems))
    detail = without_options(error.detail, named)
    return type(error)(error.code, detail, field=error.field, row=error.row)
