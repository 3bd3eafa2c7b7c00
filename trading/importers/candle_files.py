"""One door to every candle format: recognise by content, read, add what the file name says."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import IO

from .candles_csv import parse_csv
from .candles_json import parse_json
from .contract import Hint, RawCandles, ReadOptions, blamed_on, refuse
from .file_names import canonical_timeframe, parts_of_name
from .freqtrade import MAGIC, parse_feather
from .layouts import HEADERLESS
from .lean import is_lean, parse_lean
from .sources import (
    check_text,
    is_gzip,
    is_zip,
    read_head,
    text_blocks,
    unpacked,
    zip_members,
)
from .tables import check_first_line

FORMATS = ("auto", "csv", *sorted(HEADERLESS), "json", "freqtrade", "lean")
_TEXT_SUFFIXES = (".csv", ".txt", ".tsv", ".json")


def read_candle_file(
    stream: IO[bytes], name: str, options: ReadOptions, format_name: str = "auto"
) -> RawCandles:
    """Read a candle file of any known format.

    `stream` must be seekable. `name` is shown in errors and may add symbol and timeframe where the
    content says nothing. Raises FileError with every problem found.
    """
    with blamed_on(name):
        if format_name not in FORMATS:
            raise refuse(
                name, "format", f"unknown format {format_name[:20]!a}: {', '.join(FORMATS)}"
            )
        raw = _read(stream, name, options, format_name)
        parts = parts_of_name(name)
        if raw.symbol is None and parts.symbol:
            raw = replace(raw, symbol=Hint(parts.symbol, "file name"))
        if raw.timeframe is None and parts.timeframe:
            raw = replace(raw, timeframe=Hint(parts.timeframe, "file name"))
        if options.timeframe:
            canonical = canonical_timeframe(options.timeframe)
            raw = replace(raw, timeframe=Hint(canonical, "argument"))
        return raw


def detect(head: bytes, name: str) -> str:
    """The format of a file by its first bytes: csv, json, freqtrade, or lean (any zip).

    A name that promises text over binary content is refused (`binary_content`).
    """
    if is_zip(head) or head.startswith(MAGIC):
        if name.lower().endswith(_TEXT_SUFFIXES):
            what = "a ZIP archive" if is_zip(head) else "a feather file"
            raise refuse(name, "binary_content", f"the name promises text, the file is {what}")
        return "lean" if is_zip(head) else "freqtrade"
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    return "json" if start in (b"[", b"{") else "csv"


def _read(stream: IO[bytes], name: str, options: ReadOptions, format_name: str) -> RawCandles:
    head = read_head(stream)
    if is_gzip(head):
        stream = _opened_gzip(stream, name)
        head = read_head(stream)
    if not head:
        raise refuse(name, "empty_file", "the file is empty")
    found = detect(head, name)
    wanted = found if format_name == "auto" else format_name
    if wanted == "freqtrade" and found == "json":
        wanted = "json"
    if wanted == "freqtrade":
        return parse_feather(stream, name, options)
    if found == "lean":
        return _read_zip(stream, name, options, wanted)
    check_text(head, name, options.encoding)
    if wanted == "json":
        return parse_json(stream, name, options)
    if wanted == "lean":
        raise refuse(name, "format", "Lean's files are ZIP archives, this is none")
    if options.encoding is None:
        check_first_line(head, name)
    return parse_csv(text_blocks(stream, name, options.encoding), name, options, wanted)


def _opened_gzip(stream: IO[bytes], name: str) -> IO[bytes]:
    if name.lower().endswith(_TEXT_SUFFIXES):
        raise refuse(name, "binary_content", "the name promises text, the file is gzip")
    inner = io.BufferedReader(unpacked(stream, name))
    if is_gzip(read_head(inner)) or is_zip(read_head(inner)):
        raise refuse(name, "archive_limit", "an archive inside the archive is not unpacked")
    return inner


def _read_zip(stream: IO[bytes], name: str, options: ReadOptions, wanted: str) -> RawCandles:
    archive, members = zip_members(stream, name)
    with archive:
        if len(members) != 1:
            detail = f"{len(members)} files in the archive: expected one"
            raise refuse(name, "archive_limit", detail)
        member = members[0].name
        with archive.open(member) as data:
            head = data.read(4096)
        with archive.open(member) as data:
            check_text(head, name, options.encoding)
            blocks = text_blocks(data, name, options.encoding)
            if is_lean(member, head):
                return parse_lean(blocks, member, name, options)
            chosen = "csv" if wanted == "lean" else wanted
            raw = parse_csv(blocks, name, options, chosen)
    return replace(raw, notes=(f"member {member}", *raw.notes))
