"""What the columns of a candle table are, by the names in its header or by a declared layout."""

from __future__ import annotations

import re
from dataclasses import dataclass

from trading.core.candles import QUOTE_COLUMNS
from trading.core.types import SeriesKind

from .contract import PRICE_ROLES, refuse

# Earlier names win where a file has several. MT5 writes TICKVOL and an all-zero VOL.
_TIME_NAMES = (
    "datetime", "date_time", "timestamp", "time_utc", "utc_time", "open_time", "opentime",
    "gmt_time", "date_utc", "local_time", "ts", "time", "date", "unix", "t",
)  # fmt: skip
_NAMES: dict[str, tuple[str, ...]] = {
    "open": ("open", "o", "open_price", "openprice", "price_open"),
    "high": ("high", "h", "high_price", "highprice", "price_high", "max"),
    "low": ("low", "l", "low_price", "lowprice", "price_low", "min"),
    "close": ("close", "c", "close_price", "closeprice", "price_close", "last"),
    "volume": ("tickvol", "tick_volume", "volume", "vol", "v", "volume_base", "size"),
    "symbol": ("symbol", "ticker", "pair", "instrument"),
}
for _side_role in QUOTE_COLUMNS:
    _side, _price = _side_role.split("_")
    _NAMES[_side_role] = (_side_role, _side + _price, f"{_price}_{_side}", f"{_side}_{_price[0]}")
_UTC_NAMES = frozenset(("time_utc", "utc_time", "gmt_time", "date_utc"))
_DATE_NAMES, _CLOCK_NAMES = ("date",), ("time", "hour")
HEADERLESS_HINT = "the first line is no header: declare the layout with --format {}"


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the parts of a row are. `roles` maps a role (time, open, bid_open, volume, symbol) to a
    column index; `date_and_clock` says that the clock stands in the column after the time column.
    `zone` is the zone the layout itself states, if it does."""

    delimiter: str
    columns: int
    roles: dict[str, int]
    kind: SeriesKind
    header_lines: int
    date_and_clock: bool = False
    zone: str | None = None
    ignored: tuple[str, ...] = ()

    @property
    def price_roles(self) -> tuple[str, ...]:
        return QUOTE_COLUMNS if self.kind == SeriesKind.BID_ASK else PRICE_ROLES


def of_columns(delimiter: str, columns: str, *, zone: str | None = None) -> Layout:
    """The layout of rows without a header; `columns` names the roles in order, `ignored` skips."""
    names = columns.split()
    roles = {name: i for i, name in enumerate(names) if name not in ("clock", "ignored")}
    kind = SeriesKind.BID_ASK if QUOTE_COLUMNS[0] in roles else SeriesKind.TRADE
    return Layout(delimiter, len(names), roles, kind, 0, "clock" in names, zone)


_BARS = "time open high low close volume"
BINANCE_COLUMNS = _BARS + " ignored" * 6
# Layouts without a header line, chosen by name with --format.
HEADERLESS: dict[str, Layout] = {
    # HistData's documentation: Eastern Standard Time without daylight saving.
    "histdata": of_columns(";", _BARS, zone="UTC-5"),
    "mt4": of_columns(",", "time clock open high low close volume"),
    "binance": of_columns(",", BINANCE_COLUMNS),
}


def plain_name(text: str) -> str:
    """A header name without decoration: `<TICKVOL>` -> tickvol, `Open Price` -> open_price."""
    name = re.sub(r"[^a-z0-9]+", "_", text.strip().strip("<>").lower())
    return name.strip("_")


def layout_of_header(cells: list[str], delimiter: str, file: str) -> Layout:
    """The layout a header line states. Codes: duplicate_column, missing_columns."""
    names = [plain_name(cell) for cell in cells]
    if cells[0][:1].isdigit():
        hint = HEADERLESS_HINT.format(_headerless_name(cells, delimiter))
        raise refuse(file, "missing_columns", hint, row=1)
    twice = sorted({cell for cell in cells if cell and cells.count(cell) > 1})
    twice = twice or sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise refuse(file, "duplicate_column", f"the column {twice[0][:40]!a} occurs twice", row=1)
    roles = {role: i for role, known in _NAMES.items() if (i := _find(names, known)) is not None}
    kind = SeriesKind.TRADE
    if all(role in roles for role in QUOTE_COLUMNS):
        kind = SeriesKind.BID_ASK
    time, paired = _time_column(names)
    if time is not None:
        roles["time"] = time
    wanted = ("time", *(QUOTE_COLUMNS if kind == SeriesKind.BID_ASK else PRICE_ROLES))
    missing = [role for role in wanted if role not in roles]
    if missing:
        raise refuse(file, "missing_columns", f"missing columns: {', '.join(missing)}", row=1)
    used = {i for role, i in roles.items() if role in (*wanted, "volume", "symbol")}
    used |= {roles["time"] + 1} if paired else set()
    return Layout(
        delimiter,
        len(cells),
        roles,
        kind,
        1,
        paired,
        "UTC" if names[roles["time"]] in _UTC_NAMES else None,
        tuple(cell or "(unnamed)" for i, cell in enumerate(cells) if i not in used),
    )


def _find(names: list[str], known: tuple[str, ...]) -> int | None:
    return next((names.index(name) for name in known if name in names), None)


def _time_column(names: list[str]) -> tuple[int | None, bool]:
    """Index of the time column, and whether the clock is in the column after it."""
    date = _find(names, _DATE_NAMES)
    better = _find(names, _TIME_NAMES[: _TIME_NAMES.index("time")])
    after = names[date + 1 : date + 2] if date is not None else []
    if better is None and after and after[0] in _CLOCK_NAMES:
        return date, True
    found = _find(names, _TIME_NAMES)
    # A table saved with its index has no name over the first column.
    if found is None and names and not names[0]:
        return 0, False
    return found, False


def _headerless_name(cells: list[str], delimiter: str) -> str:
    if delimiter == ";" and re.fullmatch(r"\d{8} \d{6}", cells[0]):
        return "histdata"
    if len(cells) == 12:
        return "binance"
    if len(cells) == 7 and re.fullmatch(r"\d{4}\.\d\d\.\d\d", cells[0]):
        return "mt4"
    return "one of " + ", ".join(sorted(HEADERLESS))
