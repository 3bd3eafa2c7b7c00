"""What an importer of trades or signals takes and returns. Pure: no database, no clock.

A file holds either executions, from which the caller builds round trips, or round trips as their
source built them. Every row ends as a fill, as a trip, as `Skipped` with its reason, or as a
problem that refuses the file; with `partial` a bad row is skipped instead. Rows are numbered as in
the file: the line of a text, the position of a record in JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from trading.core.errors import Problem, UserError

from .contract import ProblemLog

MAX_ROWS = 500_000


class Layout(StrEnum):
    EXECUTIONS = "executions"
    ROUND_TRIPS = "round_trips"


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeOptions:
    """What the user declared about a file; None or empty means: the content must say it.

    `tz` is an IANA zone or an offset. `mapping` gives the field of a column by its header.
    `date_order` is dmy or mdy. `symbol`, `strategy`, `timeframe` stand in where a file has no such
    column. `partial` skips bad rows instead of refusing the file.
    """

    tz: str | None = None
    format: str = "auto"
    mapping: Mapping[str, str] = field(default_factory=dict)
    date_order: str | None = None
    decimal_comma: bool = False
    encoding: str | None = None
    symbol: str | None = None
    strategy: str | None = None
    timeframe: str | None = None
    partial: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FillRow:
    """One execution as the file gives it. `time` ns UTC, `side` +1 buy or -1 sell.

    `commission` is signed: negative = paid. None or empty = not in the file, here and below.
    """

    line: int
    symbol: str
    time: int
    side: int
    quantity: Decimal
    price: Decimal
    commission: Decimal | None = None
    external_id: str = ""
    currency: str = ""
    strategy: str = ""
    timeframe: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TripRow:
    """One round trip as the file gives it; open when `closed_at` is None. Times are ns UTC.

    `stop_initial` is given only where the file proves that the stop stood there at the entry.
    `gross_pnl` and `net_pnl` are the file's own figures. `exit_reason` is sl, tp, time, manual or
    empty, `exit_reason_text` what the file says.
    """

    line: int
    symbol: str
    side: int
    quantity: Decimal
    opened_at: int
    entry_price: Decimal
    closed_at: int | None = None
    exit_price: Decimal | None = None
    requested_entry: Decimal | None = None
    requested_exit: Decimal | None = None
    stop_initial: Decimal | None = None
    stop_final: Decimal | None = None
    take_profit: Decimal | None = None
    commission: Decimal | None = None
    swap: Decimal | None = None
    gross_pnl: Decimal | None = None
    net_pnl: Decimal | None = None
    currency: str = ""
    exit_reason: str = ""
    exit_reason_text: str = ""
    strategy: str = ""
    timeframe: str = ""
    external_id: str = ""
    tags: tuple[str, ...] = ()
    notes: str = ""


@dataclass(frozen=True, slots=True)
class Skipped:
    """A row that became nothing, and why."""

    line: int
    code: str
    detail: str

    def as_dict(self) -> dict[str, object]:
        return {"row": self.line, "code": self.code, "detail": self.detail}


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedTrades:
    """What one file holds. `rows_read` = fills + trips + skipped.

    `header_hash` identifies the layout of a table and `mapping` the fields that were read from it;
    both are empty for a format that needs none. `problems` are warnings.
    """

    file: str
    format: str
    layout: Layout
    fills: tuple[FillRow, ...] = ()
    trips: tuple[TripRow, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()
    header_hash: str = ""
    mapping: Mapping[str, str] = field(default_factory=dict)
    time_zone: str = "UTC"

    @property
    def rows_read(self) -> int:
        return len(self.fills) + len(self.trips) + len(self.skipped)


@dataclass(slots=True)
class RowLog:
    """Sends what is wrong with single rows to the problems of a file, or to the skipped rows."""

    log: ProblemLog
    partial: bool
    skipped: list[Skipped] = field(default_factory=list)

    def bad(self, line: int, error: UserError) -> None:
        """A row that cannot be read."""
        if self.partial:
            self.skip(line, error.code, error.detail)
        else:
            self.log.add(error.code, error.detail, rows=[line], column=error.field)

    def skip(self, line: int, code: str, detail: str) -> None:
        """A row that is no trade."""
        self.skipped.append(Skipped(line, code, detail))
