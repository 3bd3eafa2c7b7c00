"""Files of trades: which format it is, by its content, and the right reader for it."""

from __future__ import annotations

from typing import Final

from trading.core.errors import UserError

from . import trades_csv, trades_freqtrade
from .contract import refuse
from .sources import is_zip
from .trades_columns import GENERIC, TRADERVUE
from .trades_contract import ParsedTrades, TradeOptions

AUTO: Final = "auto"
FORMATS: Final = (AUTO, trades_freqtrade.FORMAT, TRADERVUE, GENERIC)
MAX_FILE_BYTES: Final = 64 * 1024 * 1024
_TABLES: Final = (TRADERVUE, GENERIC)


def detect(data: bytes, file: str, *, declared: str = AUTO) -> str:
    """freqtrade or csv; a declared format is taken by its word. The file's name does not count."""
    if declared not in FORMATS:
        known = ", ".join(FORMATS)
        raise UserError(
            "format", f"unknown format {declared[:40]!a}: one of {known}", field="format"
        )
    if not data:
        raise refuse(file, "empty_file", "the file is empty")
    if len(data) > MAX_FILE_BYTES:
        raise refuse(file, "file_too_large", f"over {MAX_FILE_BYTES // 2**20} MB")
    if declared != AUTO:
        return declared
    if is_zip(data) or data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"{":
        return trades_freqtrade.FORMAT
    return GENERIC


def read_trades(data: bytes, file: str, options: TradeOptions) -> ParsedTrades:
    """The trades of a file. Raises `FileError` with everything that is wrong in it."""
    format_ = detect(data, file, declared=options.format)
    if format_ == trades_freqtrade.FORMAT:
        return trades_freqtrade.parse(data, file, options)
    parsed = trades_csv.parse(data, file, options)
    if format_ == TRADERVUE and parsed.format != TRADERVUE:
        raise refuse(
            file, "missing_columns", "expected Date, Time, Symbol, Quantity, Price, Side", row=1
        )
    return parsed


def layout_hash(data: bytes, file: str, options: TradeOptions) -> str:
    """Identifies the layout of a table whose mapping may be remembered; empty for other formats."""
    if detect(data, file, declared=options.format) not in _TABLES:
        return ""
    return trades_csv.header_hash_of(data, file, options.encoding)
