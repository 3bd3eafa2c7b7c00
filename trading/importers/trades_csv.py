"""Tables of executions or of round trips: CSV with a header, columns known or mapped.

Signs: `fee` columns hold costs as positive numbers and are added up; a `commission` column is
signed as the account saw it, negative = paid. A column that is only called commission and holds
no negative number could be either and is refused until it is mapped to one of the two.

A `stop_loss` column without a word about its time is the last stop, with a warning: R needs the
initial one, which `--map Stop=stop_loss_initial` declares.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, TypeVar

from trading.core.errors import UserError
from trading.core.exact import product, total
from trading.core.instruments import clean_symbol
from trading.core.types import timeframe_ns

from .contract import ProblemLog, refuse
from .sources import HEAD_BYTES, as_stream, check_text, text_blocks
from .tables import check_first_line, find_delimiter
from .trades_columns import Columns, find_columns, header_hash, plain_header
from .trades_contract import (
    MAX_ROWS,
    FillRow,
    Layout,
    ParsedTrades,
    RowLog,
    TradeOptions,
    TripRow,
)
from .values import (
    NO_ZONE,
    WrittenTime,
    positive,
    read_decimal,
    read_position_side,
    read_side,
    read_time,
    times_utc,
)
from .zones import Zone, parse_zone

Built = TypeVar("Built")
_LENGTHS: Final = {"external_id": 120, "strategy": 80, "currency": 12, "exit_reason": 60}
_EXIT_WORDS: Final = {
    **dict.fromkeys(("sl", "stop", "stop_loss", "stoploss", "stopped"), "sl"),
    **dict.fromkeys(("tp", "target", "take_profit", "takeprofit"), "tp"),
    **dict.fromkeys(("time", "timeout", "expired", "expiry"), "time"),
    **dict.fromkeys(("manual", "close", "closed", "discretionary"), "manual"),
}


@dataclass(frozen=True, slots=True)
class Table:
    """A header and the rows below it with their lines."""

    header: list[str]
    rows: list[tuple[int, list[str]]]


def read_table(data: bytes, file: str, encoding: str | None) -> Table:
    """The cells of a delimited text. Codes: empty_file, no_rows, malformed_csv, row_limit and
    those of `sources` and `tables`."""
    head = data[:HEAD_BYTES]
    check_text(head, file, encoding)
    text = b"".join(text_blocks(as_stream(data), file, encoding)).decode()
    first = text.lstrip("\n").split("\n", 1)[0].encode()
    delimiter = find_delimiter(check_first_line(first + b"\n", file), file)
    reader = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True)
    rows: list[tuple[int, list[str]]] = []
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                rows.append((reader.line_num, [cell.strip() for cell in cells]))
            if len(rows) > MAX_ROWS + 1:
                raise refuse(file, "row_limit", f"more than {MAX_ROWS:,} rows")
    except csv.Error as error:
        raise refuse(file, "malformed_csv", f"bad quoting: {error}", row=reader.line_num) from error
    if len(rows) < 2:
        raise refuse(file, "no_rows", "the table has a header and no rows")
    return Table(rows[0][1], rows[1:])


def header_hash_of(data: bytes, file: str, encoding: str | None) -> str:
    """What identifies the layout of this table (`trades_columns.header_hash`)."""
    return header_hash(read_table(data, file, encoding).header)


def parse(data: bytes, file: str, options: TradeOptions) -> ParsedTrades:
    """The fills or trips of a table. Raises `FileError` with everything that is wrong."""
    table = read_table(data, file, options.encoding)
    columns = find_columns(table.header, options.mapping, file)
    if "symbol" not in columns.at and not options.symbol:
        raise refuse(file, "symbol_required", "no column names the symbol: say it with --symbol")
    zone = parse_zone(options.tz) if options.tz else None
    if options.timeframe:
        timeframe_ns(options.timeframe)
    log = ProblemLog(file)
    rows = RowLog(log, options.partial)
    read = [_Row(line, cells, columns, options) for line, cells in table.rows]
    fills: tuple[FillRow, ...] = ()
    trips: tuple[TripRow, ...] = ()
    if columns.layout == Layout.EXECUTIONS:
        moments = _moments(read, ("time",), zone, rows, file)
        fills = _oldest_first(_built(moments, _fill, rows))
    else:
        moments = _moments(read, ("opened_at", "closed_at"), zone, rows, file)
        trips = tuple(_built(moments, _trip, rows))
    commissions = [fill.commission for fill in fills] + [trip.commission for trip in trips]
    _check_commission_sign(columns, commissions, log)
    _warn_of_stop(columns, trips, log)
    log.raise_if_fatal()
    unread = f"columns not read: {', '.join(columns.unread)}" if columns.unread else ""
    return ParsedTrades(
        file=file,
        format=columns.format,
        layout=columns.layout,
        fills=fills,
        trips=trips,
        skipped=tuple(sorted(rows.skipped, key=lambda row: row.line)),
        problems=log.problems,
        notes=(unread,) if unread else (),
        header_hash=columns.header_hash,
        mapping=columns.mapping,
        # A zone that no time needed was not used.
        time_zone=zone.name if zone and any(timed.local for timed in moments) else "",
    )


@dataclass(frozen=True, slots=True)
class _Row:
    """One row by field."""

    line: int
    cells: Sequence[str]
    columns: Columns
    options: TradeOptions

    def has(self, field: str) -> bool:
        return field in self.columns.at

    def text(self, field: str, default: str | None = None) -> str:
        at = self.columns.at.get(field)
        text = self.cells[at[0]] if at else ""
        text = text or default or ""
        if len(text) > _LENGTHS.get(field, 10_000):
            raise UserError(
                "too_long", f"{field} has more than {_LENGTHS[field]} characters", field=field
            )
        return text

    def number(self, field: str) -> Decimal:
        return read_decimal(self.text(field), field, comma=self.options.decimal_comma)

    def optional(self, field: str) -> Decimal | None:
        return self.number(field) if self.text(field) else None

    def level(self, field: str) -> Decimal | None:
        """A price level; statements write zero for none."""
        value = self.optional(field)
        return value if value else None

    @property
    def costs(self) -> Decimal | None:
        """Commission and fees, negative = paid; None when no cell says anything."""
        known = [
            product(Decimal(-1), read_decimal(text, "fee", comma=self.options.decimal_comma))
            for i in self.columns.at.get("fee", ())
            if (text := self.cells[i])
        ]
        signed = self.optional("commission")
        known += [] if signed is None else [signed]
        return total(known) if known else None

    @property
    def timeframe(self) -> str:
        name = self.text("timeframe", self.options.timeframe)
        if name:
            timeframe_ns(name)
        return name

    @property
    def symbol(self) -> str:
        return clean_symbol(self.text("symbol", self.options.symbol))


@dataclass(frozen=True, slots=True)
class _Timed:
    """A row and its times, UTC ns; None where a cell is empty. `local`: one had no offset."""

    row: _Row
    times: tuple[int | None, ...]
    local: bool

    def at(self, index: int) -> int:
        time = self.times[index]
        if time is None:
            raise UserError("missing", "a time is empty", field="time")
        return time


def _moments(
    read: Sequence[_Row], fields: Sequence[str], zone: Zone | None, rows: RowLog, file: str
) -> list[_Timed]:
    kept: list[_Row] = []
    written: list[list[WrittenTime | None]] = []
    for row in read:
        try:
            _check_width(row)
            written.append([_written(row, field) for field in fields])
            kept.append(row)
        except UserError as error:
            rows.bad(row.line, row.columns.in_headers(error))
    if zone is None:
        for row, times in zip(kept, written, strict=True):
            if any(time is not None and not time.zoned for time in times):
                raise refuse(file, "timezone_required", NO_ZONE, row=row.line, field="tz")
    columns = [times_utc([times[i] for times in written], zone) for i in range(len(fields))]
    result = []
    for i, (row, times) in enumerate(zip(kept, written, strict=True)):
        moments = [column[i] for column in columns]
        wrong = next((m for m in moments if isinstance(m, UserError)), None)
        if wrong is not None:
            rows.bad(row.line, wrong)
            continue
        known = tuple(m for m in moments if not isinstance(m, UserError))
        local = any(time is not None and not time.zoned for time in times)
        result.append(_Timed(row, known, local))
    return result


def _check_width(row: _Row) -> None:
    expected = row.columns.width
    if len(row.cells) != expected:
        raise UserError(
            "column_count", f"the line has {len(row.cells)} cells, {expected} are expected"
        )


def _written(row: _Row, field: str) -> WrittenTime | None:
    order = row.options.date_order
    if field == "time" and not row.has("time"):
        text = f"{row.text('date')} {row.text('clock')}".strip()
        return read_time(text, "date", date_order=order)
    text = row.text(field)
    if not text and field == "closed_at":
        return None
    return read_time(text, field, date_order=order)


def _built(
    moments: Sequence[_Timed], build: Callable[[_Timed], Built], rows: RowLog
) -> list[Built]:
    result = []
    for timed in moments:
        try:
            result.append(build(timed))
        except UserError as error:
            rows.bad(timed.row.line, timed.row.columns.in_headers(error))
    return result


def _fill(timed: _Timed) -> FillRow:
    row, time = timed.row, timed.at(0)
    side, quantity = _side_and_quantity(row)
    return FillRow(
        line=row.line,
        symbol=row.symbol,
        time=time,
        side=side,
        quantity=quantity,
        price=positive(row.number("price"), "price", "non_positive_price"),
        commission=row.costs,
        external_id=row.text("external_id"),
        currency=row.text("currency"),
        strategy=row.text("strategy", row.options.strategy),
        timeframe=row.timeframe,
    )


def _side_and_quantity(row: _Row) -> tuple[int, Decimal]:
    if not row.has("signed_quantity"):
        return read_side(row.text("side")), positive(row.number("quantity"), "quantity", "quantity")
    signed = row.number("signed_quantity")
    if signed == 0:
        raise UserError("quantity", "signed_quantity is 0", field="signed_quantity")
    return (1, signed) if signed > 0 else (-1, signed.copy_negate())


def _trip(timed: _Timed) -> TripRow:
    row, opened, closed = timed.row, timed.at(0), timed.times[1]
    leaving = row.optional("exit_price")
    if (closed is None) != (leaving is None):
        absent = "closed_at" if closed is None else "exit_price"
        raise UserError("missing", f"{absent} is empty: both or none", field=absent)
    if closed is not None and closed < opened:
        raise UserError("time_order", "closed before it was opened", field="closed_at")
    if leaving is not None:
        positive(leaving, "exit_price", "non_positive_price")
    reason = row.text("exit_reason")
    return TripRow(
        line=row.line,
        symbol=row.symbol,
        side=read_position_side(row.text("side")),
        quantity=positive(row.number("quantity"), "quantity", "quantity"),
        opened_at=opened,
        entry_price=positive(row.number("entry_price"), "entry_price", "non_positive_price"),
        closed_at=closed,
        exit_price=leaving,
        requested_entry=row.level("requested_entry"),
        requested_exit=row.level("requested_exit"),
        stop_initial=row.level("stop_loss_initial"),
        stop_final=row.level("stop_loss_final"),
        take_profit=row.level("take_profit"),
        commission=row.costs,
        swap=row.optional("swap"),
        gross_pnl=row.optional("gross_pnl"),
        net_pnl=row.optional("net_pnl"),
        currency=row.text("currency"),
        exit_reason=_EXIT_WORDS.get("_".join(reason.lower().split()), ""),
        exit_reason_text=reason,
        strategy=row.text("strategy", row.options.strategy),
        timeframe=row.timeframe,
        external_id=row.text("external_id"),
        tags=tuple(tag for part in row.text("tags").split(";") if (tag := part.strip())),
        notes=row.text("notes"),
    )


def _oldest_first(fills: Sequence[FillRow]) -> tuple[FillRow, ...]:
    """Fills as they happened. Platforms list the newest first or last; fills of one moment stand
    in the order of the rest of the file."""
    pairs = list(zip(fills, fills[1:], strict=False))
    falling = sum(later.time < earlier.time for earlier, later in pairs)
    rising = sum(later.time > earlier.time for earlier, later in pairs)
    in_order = list(reversed(fills)) if falling > rising else list(fills)
    return tuple(sorted(in_order, key=lambda fill: fill.time))


def _check_commission_sign(
    columns: Columns, commissions: Sequence[Decimal | None], log: ProblemLog
) -> None:
    if "commission" not in columns.at or "commission" in columns.declared:
        return
    known = [value for value in commissions if value]
    if known and all(value > 0 for value in known):
        log.add(
            "commission_sign",
            "no commission is negative: say whether they were paid (--map COLUMN=fee) or received "
            "(--map COLUMN=commission)",
            column="commission",
        )


def _warn_of_stop(columns: Columns, trips: Sequence[TripRow], log: ProblemLog) -> None:
    """R needs the stop of the entry; a column called stop does not say that it is that one."""
    if "stop_loss_final" in columns.declared or "stop_loss_initial" in columns.at:
        return
    header = next((h for h, field in columns.mapping.items() if field == "stop_loss_final"), "")
    rows = [trip.line for trip in trips if trip.stop_final is not None]
    if plain_header(header) != "stop_loss_final" and rows:
        log.add(
            "stop_of_unknown_time",
            f"{header} does not say when the stop stood there: it is read as the last one, and "
            f"without the stop at entry there is no R. If it is that one: "
            f"--map {header}=stop_loss_initial",
            rows=rows,
            column=header,
            fatal=False,
        )
