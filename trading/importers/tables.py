"""Delimited text to byte ranges of its cells, whole blocks at a time.

No cell is copied or converted here: a block of text becomes arrays of starts and ends, one row a
line, after the structure is proved (every line has as many cells as the header). Lines that break
it are reported with their number, never shifted or padded.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass

import numpy as np

from .contract import I64, Bool, Bytes, ProblemLog, refuse
from .sources import MAX_COLUMNS, MAX_LINE_BYTES

_NEWLINE, _RETURN, _SPACE = 10, 13, 32
# Separates cells of a block that had to be unquoted; never part of accepted text.
UNQUOTED = "\x1f"
DELIMITERS = (",", ";", "\t", "|")


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """Cells of n lines: `start[c]` and `end[c]` are arrays of shape (n,) into `data`."""

    data: Bytes
    start: I64  # (columns, n)
    end: I64
    line: I64  # (n,)
    spaced: bool = True  # whether some cell may have spaces around its text

    def __len__(self) -> int:
        return int(self.line.shape[0])

    def text(self, column: int, row: int) -> str:
        raw = self.data[self.start[column, row] : self.end[column, row]].tobytes()
        return raw.decode("utf-8", "replace").strip()

    def trimmed(self, column: int) -> tuple[I64, I64]:
        """Start and end of a column without spaces around the text."""
        start, end = self.start[column], self.end[column]
        while start.size and self.spaced:
            left = (start < end) & (self.data[start] == _SPACE)
            right = (start < end) & (self.data[end - 1] == _SPACE)
            if not left.any() and not right.any():
                break
            start, end = start + left, end - (right & (end - left > start))
        return start, end


def split_block(
    block: bytes, first_line: int, delimiter: str, columns: int, log: ProblemLog
) -> Cells:
    """Cells of a block of whole lines. Logs column_count and malformed_csv with line numbers."""
    if b'"' in block:
        block = _unquote(block, first_line, delimiter, log)
        delimiter = UNQUOTED
    data = np.frombuffer(block, np.uint8)
    newline = data == _NEWLINE
    border = (data == ord(delimiter)) | newline
    sep = np.flatnonzero(border)
    returns = b"\r" in block
    spaced = _has_outer_spaces(data, border | (data == _RETURN) if returns else border)
    rows = int(np.count_nonzero(newline))
    if sep.size == rows * columns and newline[sep[columns - 1 :: columns]].all():
        end = np.ascontiguousarray(sep.reshape(-1, columns).T)
        line_end, lines = end[-1], first_line + np.arange(rows)
        line_start = np.concatenate([[0], line_end[:-1] + 1])
        _check_lengths(line_end - line_start, first_line, log)
    else:
        end, line_start, lines = _uneven_lines(data, sep, newline, columns, first_line, log)
    start = np.empty(end.shape, np.int64)
    start[0] = line_start
    np.add(end[:-1], 1, out=start[1:])
    if returns:
        end[-1] -= (end[-1] > start[-1]) & (data[end[-1] - 1] == _RETURN)
    return Cells(data, start, end, lines, spaced)


def _has_outer_spaces(data: Bytes, border: Bool) -> bool:
    """Whether a space touches a border of a cell."""
    space = data == _SPACE
    if not space.any():
        return False
    touches = (space[1:] & border[:-1]).any() or (space[:-1] & border[1:]).any()
    return bool(space[0] or touches)


def _check_lengths(lengths: I64, first_line: int, log: ProblemLog) -> None:
    longest = int(lengths.max(initial=0))
    if longest > MAX_LINE_BYTES:
        row = first_line + int(lengths.argmax())
        raise refuse(log.file, "line_limit", f"a line is {longest:,} bytes long", row=row)


def _uneven_lines(
    data: Bytes, sep: I64, newline: Bool, columns: int, first_line: int, log: ProblemLog
) -> tuple[I64, I64, I64]:
    """Ends of cells (columns, n), starts and numbers of the lines that have as many cells as they
    should; the others are reported, or passed over when blank."""
    last_cell = np.flatnonzero(newline[sep])
    counts = np.diff(last_cell, prepend=-1)
    line_end = sep[last_cell]
    line_start = np.concatenate([[0], line_end[:-1] + 1])
    lines = first_line + np.arange(line_end.size)
    _check_lengths(line_end - line_start, first_line, log)
    keep = _explain(counts == columns, counts, columns, line_start, line_end, data, lines, log)
    ends = sep[last_cell[keep][:, None] - np.arange(columns - 1, -1, -1)].T
    return np.ascontiguousarray(ends), line_start[keep], lines[keep]


def _explain(
    keep: Bool,
    counts: I64,
    columns: int,
    line_start: I64,
    line_end: I64,
    data: Bytes,
    lines: I64,
    log: ProblemLog,
) -> Bool:
    """Report lines with a wrong number of cells; blank lines are passed over."""
    length = line_end - line_start
    blank = (length == 0) | ((length == 1) & (data[line_start] == _RETURN))
    wrong = np.flatnonzero(~keep & ~blank)
    if wrong.size:
        log.add(
            "column_count",
            f"the line has {int(counts[wrong[0]])} cells, {columns} are expected",
            rows=lines[wrong],
        )
    kept: Bool = keep & ~blank
    return kept


def _unquote(block: bytes, first_line: int, delimiter: str, log: ProblemLog) -> bytes:
    """The block with quotes resolved and cells separated by UNQUOTED."""
    out = []
    for number, line in enumerate(block.decode().split("\n")[:-1], first_line):
        try:
            rows = list(csv.reader([line.removesuffix("\r")], delimiter=delimiter, strict=True))
        except csv.Error as error:
            raise refuse(log.file, "malformed_csv", f"bad quoting: {error}", row=number) from error
        cells = rows[0] if rows else []
        if any(UNQUOTED in cell or "\n" in cell for cell in cells):
            raise refuse(log.file, "binary_content", "a cell holds a control character", row=number)
        out.append(UNQUOTED.join(cells))
    return ("\n".join(out) + "\n").encode()


def first_cells(line: bytes, delimiter: str, file: str) -> list[str]:
    """Cells of the header line."""
    text = line.decode("utf-8", "replace").rstrip("\r\n")
    try:
        return [cell.strip() for cell in next(csv.reader([text], delimiter=delimiter, strict=True))]
    except (csv.Error, StopIteration) as error:
        raise refuse(file, "malformed_csv", f"bad quoting: {error}", row=1) from error


def find_delimiter(line: bytes, file: str) -> str:
    """The delimiter of a header or first line; more than one candidate is refused (`dialect`)."""
    present = [mark for mark in DELIMITERS if mark.encode() in line]
    if len(present) == 1:
        return present[0]
    if not present:
        raise refuse(
            file, "missing_columns", "one column only: expected , ; tab or | between columns", row=1
        )
    counts = {mark: line.count(mark.encode()) for mark in present}
    best = max(counts, key=lambda mark: counts[mark])
    # A header's names hold no delimiters, so a second mark that is nearly as frequent is a riddle.
    if sum(counts.values()) > 1.5 * counts[best] or counts[best] < 4:
        shown = " and ".join(repr(mark) for mark in present)
        raise refuse(
            file, "dialect", f"the delimiter is unclear: the first line has {shown}", row=1
        )
    return best


def check_first_line(head: bytes, file: str) -> bytes:
    """The first line of a file's head; refuses absurd widths and lengths."""
    line, newline, _ = head.partition(b"\n")
    widest = max(line.count(mark.encode()) for mark in DELIMITERS) + 1
    if widest > MAX_COLUMNS:
        raise refuse(file, "column_limit", f"more than {MAX_COLUMNS} columns", row=1)
    if not newline and len(head) >= MAX_LINE_BYTES:
        raise refuse(file, "line_limit", "the first line is longer than 64 kB", row=1)
    return line


def records_block(records: list[list[str]]) -> bytes:
    """Cells of records that came from another syntax, as a block that `split_block` reads."""
    return ("\n".join(map(UNQUOTED.join, records)) + "\n").encode()
