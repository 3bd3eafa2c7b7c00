"""The errors of Inquest. The type says who must act.

InquestError
├── UserError            the user must act: a bad file, field or argument  (exit 2, HTTP 4xx)
│   ├── FileError        something in a file: carries file, row and field
│   ├── NotFoundError    a named thing does not exist or is not visible to this user
│   └── ConflictError    somebody else changed it first (stale version, running job)
├── OperatorError        the operator must act: configuration, database    (exit 1, HTTP 5xx)
└── RetryLaterError      nobody must act: try again later (locked, rate limited)
"""

from __future__ import annotations

from dataclasses import dataclass


class InquestError(Exception):
    """Base of all errors raised on purpose. `code` is stable and machine readable."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


class UserError(InquestError):
    def __init__(
        self, code: str, detail: str, *, field: str | None = None, row: int | None = None
    ) -> None:
        super().__init__(code, detail)
        self.field = field
        self.row = row


class NotFoundError(UserError):
    pass


class ConflictError(UserError):
    pass


class OperatorError(InquestError):
    pass


class RetryLaterError(InquestError):
    pass


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding about an input file: refused (`fatal`) or accepted with a warning.

    `rows` are 1-based line numbers of the file (the header is line 1), at most the first 20;
    `count` says how many there are in all.
    """

    code: str
    detail: str
    fatal: bool
    field: str | None = None
    rows: tuple[int, ...] = ()
    count: int = 1

    def as_dict(self) -> dict[str, object]:
        return {
            "code": self.code,
            "detail": self.detail,
            "fatal": self.fatal,
            "field": self.field,
            "row": self.rows[0] if self.rows else None,
            "rows": list(self.rows),
            "count": self.count,
        }


class FileError(UserError):
    """A file that was refused, with everything found wrong in it."""

    def __init__(self, file: str, problems: tuple[Problem, ...]) -> None:
        first = next((p for p in problems if p.fatal), problems[0])
        row = first.rows[0] if first.rows else None
        where = f"{file}, line {row}" if row else file
        super().__init__(first.code, f"{where}: {first.detail}", field=first.field, row=row)
        self.file = file
        self.problems = problems
