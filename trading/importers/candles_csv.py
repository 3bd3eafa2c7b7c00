"""Candles from delimited text, with a header or in a headerless layout named by the user.

Reads blocks of a megabyte, so the text of a file is never held whole.
"""

from __future__ import annotations

from collections.abc import Iterable

from .candle_table import MAX_FATAL, TableReader
from .contract import ProblemLog, RawCandles, ReadOptions, refuse
from .layouts import HEADERLESS, layout_of_header
from .tables import check_first_line, find_delimiter, first_cells


def parse_csv(
    blocks: Iterable[bytes], file: str, options: ReadOptions, format_name: str = "csv"
) -> RawCandles:
    """Read a delimited file whose layout is in its header, or named by a headerless format."""
    log = ProblemLog(file)
    layout = HEADERLESS.get(format_name)
    reader: TableReader | None = None
    for block in blocks:
        if reader is None:
            first = check_first_line(block, file)
            if layout is None:
                delimiter = find_delimiter(first, file)
                layout = layout_of_header(first_cells(first, delimiter, file), delimiter, file)
                block = block[len(first) + 1 :]
            reader = TableReader(layout, options, log, 1 + layout.header_lines)
        reader.add(block)
        if log.fatal_count > MAX_FATAL:
            break
    if reader is None:
        raise refuse(file, "empty_file", "the file is empty")
    return reader.finish(format_name)
