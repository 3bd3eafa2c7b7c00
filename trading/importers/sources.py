"""Bytes of an input file, safely: encodings, gzip, zip archives, limits on size and line length.

Every reader works in blocks that end at a line end, so a file of any size needs little memory and
a hostile one is refused before it takes more.
"""

from __future__ import annotations

import codecs
import gzip
import io
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

import numpy as np

from .contract import refuse

BLOCK_BYTES = 1024 * 1024
HEAD_BYTES = 64 * 1024
MAX_LINE_BYTES = 64 * 1024
MAX_COLUMNS = 512
MAX_FILE_BYTES = 4 * 1024**3
MAX_UNPACKED_BYTES = 2 * 1024**3
MAX_MEMBERS = 100
# Text of market data shrinks 3 to 20 times; a bomb shrinks about a thousand times.
_MAX_RATIO = 200
_RATIO_FROM_BYTES = 8 * 1024 * 1024

_ZIP = b"PK\x03\x04"
_EMPTY_ZIP = b"PK\x05\x06"
_GZIP = b"\x1f\x8b"
_BINARY_MAGIC = {
    _ZIP: "a ZIP archive",
    _EMPTY_ZIP: "an empty ZIP archive",
    _GZIP: "a gzip file",
    b"ARROW1": "a feather file",
    b"PAR1": "a Parquet file",
    b"SQLite format 3": "a database",
    b"%PDF": "a PDF",
    b"\x89PNG": "a picture",
    b"BZh": "a bzip2 file",
    b"\xfd7zXZ": "an xz file",
    b"\x28\xb5\x2f\xfd": "a zstd file",
}
_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
ENCODINGS = ("utf-8", "utf-16", "utf-16le", "utf-16be", "latin-1", "cp1252")


@dataclass(frozen=True, slots=True)
class Member:
    """One file of an archive, opened by `read`."""

    name: str
    size: int


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file to import: the name shown in messages, and how to open it (seekable)."""

    name: str
    open: Callable[[], IO[bytes]]


def file_at(path: Path) -> InputFile:
    """The file at a path. Codes: not_readable, not_a_file, file_limit."""
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise refuse(str(path), "not_a_file", "this is no file")
        path.open("rb").close()
    except OSError as error:
        reason = (error.strerror or "it cannot be read").lower()
        raise refuse(str(path), "not_readable", reason) from error
    if size > MAX_FILE_BYTES:
        raise refuse(str(path), "file_limit", f"files may have {MAX_FILE_BYTES // 1024**3} GB")
    return InputFile(path.name, lambda: path.open("rb"))


def binary_kind(head: bytes) -> str | None:
    """What a file that is not text is, by its first bytes."""
    return next((what for magic, what in _BINARY_MAGIC.items() if head.startswith(magic)), None)


def is_zip(head: bytes) -> bool:
    return head.startswith((_ZIP, _EMPTY_ZIP))


def is_gzip(head: bytes) -> bool:
    return head.startswith(_GZIP)


def check_text(head: bytes, file: str, encoding: str | None) -> None:
    """Refuse what is not text in the declared encoding (UTF-8 unless declared)."""
    if not head:
        raise refuse(file, "empty_file", "the file is empty")
    what = binary_kind(head)
    if what:
        raise refuse(file, "binary_content", f"expected text, the file is {what}")
    if encoding is not None and encoding.lower().startswith("utf-16"):
        return
    if head.startswith(_UTF16_MARKS) or _looks_utf16(head):
        raise refuse(
            file,
            "encoding",
            "the text looks like UTF-16: declare it with --encoding utf-16le",
            row=1,
        )


def _looks_utf16(head: bytes) -> bool:
    sample = head[:400]
    zeros = (sample[0::2].count(0), sample[1::2].count(0))
    return len(sample) >= 8 and max(zeros) > 0.8 * (len(sample) // 2) and min(zeros) == 0


def unpacked(stream: IO[bytes], file: str) -> gzip.GzipFile:
    """The text inside a gzip stream, after making sure that it is no bomb."""
    size = 0
    try:
        with gzip.GzipFile(fileobj=stream) as packed:
            while block := packed.read(BLOCK_BYTES):
                size += len(block)
                ratio = size / max(1, stream.tell())
                if size > MAX_UNPACKED_BYTES or (size > _RATIO_FROM_BYTES and ratio > _MAX_RATIO):
                    raise refuse(
                        file,
                        "decompressed_limit",
                        f"the file unpacks to more than {size // 2**20} MB, {ratio:.0f} times its "
                        "size: refused as a decompression bomb",
                    )
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise refuse(file, "malformed_archive", f"the gzip file is damaged: {error}") from error
    stream.seek(0)
    return gzip.GzipFile(fileobj=stream)


def zip_members(stream: IO[bytes], file: str) -> tuple[zipfile.ZipFile, list[Member]]:
    """The members of a zip after checking their number, paths, sizes and nature.

    Codes: malformed_archive, archive_limit, unsafe_path, decompressed_limit.
    """
    try:
        archive = zipfile.ZipFile(stream)
    except (zipfile.BadZipFile, ValueError, OSError) as error:
        raise refuse(file, "malformed_archive", f"the ZIP archive is damaged: {error}") from error
    entries = [entry for entry in archive.infolist() if not entry.is_dir()]
    if len(entries) > MAX_MEMBERS:
        raise refuse(
            file, "archive_limit", f"{len(entries):,} files in the archive, at most {MAX_MEMBERS}"
        )
    for entry in entries:
        path = PurePosixPath(entry.filename.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or ":" in entry.filename:
            shown = ascii(entry.filename[:60])
            raise refuse(file, "unsafe_path", f"the archive holds the path {shown}")
        if entry.flag_bits & 1:
            raise refuse(file, "malformed_archive", "the archive is encrypted")
    _check_sizes(entries, file)
    for entry in entries:
        with archive.open(entry) as member:
            nested = is_zip(head := member.read(8)) or is_gzip(head)
        if nested or entry.filename.lower().endswith((".zip", ".gz", ".7z", ".rar", ".tar")):
            raise refuse(file, "archive_limit", "an archive inside the archive is not unpacked")
    return archive, [Member(entry.filename, entry.file_size) for entry in entries]


def _check_sizes(entries: list[zipfile.ZipInfo], file: str) -> None:
    size = sum(entry.file_size for entry in entries)
    ratio = size / max(1, sum(entry.compress_size for entry in entries))
    if size > MAX_UNPACKED_BYTES or (size > _RATIO_FROM_BYTES and ratio > _MAX_RATIO):
        raise refuse(
            file,
            "decompressed_limit",
            f"the archive says it unpacks to {size // 2**20:,} MB, {ratio:.0f} times its size",
        )


def text_blocks(
    stream: IO[bytes] | gzip.GzipFile, file: str, encoding: str | None
) -> Iterator[bytes]:
    """UTF-8 bytes in blocks that end with a line end. Line ends are LF or CRLF.

    Codes: line_limit, binary_content (a NUL), encoding; the line is named.
    """
    decode = _decoder(encoding, file)
    rest = b""
    line = 1
    first = True
    while True:
        raw = stream.read(BLOCK_BYTES)
        block = rest + decode(raw, not raw)
        if first:
            block, first = block.removeprefix(codecs.BOM_UTF8), False
        if b"\r" in block and b"\n" not in block[:HEAD_BYTES]:
            block = block.replace(b"\r", b"\n")
        cut = block.rfind(b"\n") + 1 if raw else len(block)
        whole, rest = block[:cut], block[cut:]
        if len(rest) > MAX_LINE_BYTES:
            raise refuse(file, "line_limit", _LONG_LINE, row=line + whole.count(b"\n"))
        if whole:
            whole = whole if whole.endswith(b"\n") else whole + b"\n"
            _check_block(whole, line, file)
            yield whole
            line += count_lines(whole)
        if not raw:
            return


def count_lines(block: bytes) -> int:
    """How many line ends a block holds."""
    return int(np.count_nonzero(np.frombuffer(block, np.uint8) == 10))


_LONG_LINE = f"a line is longer than {MAX_LINE_BYTES // 1024} kB"


def _check_block(block: bytes, first_line: int, file: str) -> None:
    nul = block.find(b"\0")
    if nul >= 0:
        row = first_line + block.count(b"\n", 0, nul)
        raise refuse(file, "binary_content", "the text holds a NUL byte", row=row)
    if block.isascii():
        return
    try:
        block.decode()
    except UnicodeDecodeError as error:
        row = first_line + block.count(b"\n", 0, error.start)
        raise refuse(
            file,
            "encoding",
            f"byte 0x{block[error.start]:02X} is not UTF-8: declare the encoding with --encoding",
            row=row,
        ) from error


def _decoder(encoding: str | None, file: str) -> Callable[[bytes, bool], bytes]:
    name = (encoding or "utf-8").lower()
    if name in ("utf-8", "utf8"):
        return lambda raw, final: raw
    if name not in ENCODINGS:
        raise refuse(
            file, "encoding", f"unknown encoding {name[:20]!a}: one of {', '.join(ENCODINGS)}"
        )
    decoder = codecs.getincrementaldecoder(name)()

    def decode(raw: bytes, final: bool) -> bytes:
        try:
            return decoder.decode(raw, final).lstrip("\ufeff").encode()
        except UnicodeError as error:
            raise refuse(file, "encoding", f"the text is not {name}: {error}") from error

    return decode


def read_head(stream: IO[bytes] | gzip.GzipFile) -> bytes:
    head = stream.read(HEAD_BYTES)
    stream.seek(0)
    return head


def as_stream(data: bytes) -> IO[bytes]:
    return io.BytesIO(data)
