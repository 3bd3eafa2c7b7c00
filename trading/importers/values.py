"""Single values of a trade or signal as text: numbers, sides, times. Strict and exact.

Each reader raises `UserError` with the name of the field; the caller adds the row.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np

from trading.core.errors import UserError
from trading.core.types import NS_PER_SECOND
from trading.fields import MAX_LENGTH, MAX_PLACES, decimal_text

from .zones import Zone, to_utc

NS_PER_MS = 1_000_000
NO_ZONE = "the times carry no offset: say with --tz in which zone they are"
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?", re.ASCII)
_EPOCH_UNITS = {10: NS_PER_SECOND, 13: NS_PER_MS, 16: 1_000, 19: 1}
_ISO = re.compile(
    r"(?P<y>\d{4})(?P<s>[-./])(?P<m>\d{1,2})(?P=s)(?P<d>\d{1,2})(?P<rest>.*)", re.ASCII | re.S
)
_LOCAL = re.compile(
    r"(?P<p>\d{1,2})(?P<s>[-./])(?P<q>\d{1,2})(?P=s)(?P<y>\d{4}|\d{2})(?P<rest>.*)",
    re.ASCII | re.S,
)
_CLOCK = re.compile(
    r"(?:[T ,;]\s*(?P<H>\d{1,2}):(?P<M>\d{2})(?::(?P<S>\d{2})(?:[.,](?P<f>\d{1,9}))?)?"
    r"(?:\s?(?P<half>[AaPp])[Mm])?)?"
    r"\s?(?P<zone>Z|UTC|GMT|(?P<sign>[+-])(?P<zh>\d{2}):?(?P<zm>\d{2})?)?",
    re.ASCII,
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EARLIEST_YEAR, _LATEST_YEAR = 1980, 2100

_SIDES = {
    **dict.fromkeys(("b", "buy", "bot", "bought", "bto", "btc", "bc", "buy to cover", "cover"), 1),
    **dict.fromkeys(("s", "sell", "sld", "sold", "sto", "stc", "ss", "sell short", "short"), -1),
}
_POSITION_SIDES = {
    **dict.fromkeys(("long", "l", "buy", "b"), 1),
    **dict.fromkeys(("short", "s", "sell", "ss"), -1),
}


def read_decimal(text: str, field: str, *, comma: bool = False) -> Decimal:
    """The number exactly as written. With `comma` the decimal mark is a comma.

    Codes: missing, bad_number, dialect, not_finite, precision (longer than can be kept).
    """
    plain = text.strip().replace("\u00a0", "").replace("\u202f", "")
    if not plain:
        raise UserError("missing", f"{field} is empty", field=field)
    if "," in plain and not comma:
        raise UserError(
            "dialect",
            f"{field} is {_shown(text)}: declare a decimal comma with --dialect "
            "decimal-comma, or write no thousands separator",
            field=field,
        )
    if comma:
        plain = plain.replace(".", "?").replace(",", ".")
    if plain.lower().lstrip("+-") in ("nan", "inf", "infinity"):
        raise UserError("not_finite", f"{field} is {_shown(text)}, not finite", field=field)
    if not _NUMBER.fullmatch(plain):
        raise UserError("bad_number", f"{field} is {_shown(text)}, not a number", field=field)
    return keepable(Decimal(plain), field)


def as_decimal(value: object, field: str) -> Decimal:
    """A number of a JSON document, exactly: int, Decimal, text, or the shortest text of a float."""
    if isinstance(value, bool) or value is None:
        raise UserError("bad_number", f"{field} is {_shown(value)}, not a number", field=field)
    if isinstance(value, Decimal | int):
        return keepable(Decimal(value), field)
    if isinstance(value, float):
        return keepable(Decimal(repr(value)), field)
    if isinstance(value, str):
        return read_decimal(value, field)
    raise UserError("bad_number", f"{field} is {_shown(value)}, not a number", field=field)


def keepable(value: Decimal, field: str) -> Decimal:
    """The number itself if it can be stored with every digit; nothing is ever rounded."""
    exponent = value.as_tuple().exponent
    if not isinstance(exponent, int):
        raise UserError("not_finite", f"{field} is not finite", field=field)
    if -exponent > MAX_PLACES or exponent > MAX_LENGTH or len(decimal_text(value)) > MAX_LENGTH:
        raise UserError(
            "precision",
            f"{field} is {_shown(value)}: at most {MAX_PLACES} decimals and {MAX_LENGTH} "
            "characters are kept, and nothing is rounded",
            field=field,
        )
    return value


def positive(value: Decimal, field: str, code: str) -> Decimal:
    """The number if it is above zero."""
    if value <= 0:
        raise UserError(code, f"{field} is {value}, expected above zero", field=field)
    return value


def read_side(text: str, field: str = "side") -> int:
    """+1 for a buy, -1 for a sell, by the words brokers use; `choice` for anything else."""
    return _one_of(text, field, _SIDES, "B S BUY SELL SS BC")


def read_position_side(text: str, field: str = "side") -> int:
    """+1 for a long, -1 for a short position."""
    return _one_of(text, field, _POSITION_SIDES, "long short buy sell")


def _one_of(text: str, field: str, known: dict[str, int], expected: str) -> int:
    found = known.get(" ".join(text.lower().replace("_", " ").split()))
    if found is None:
        shown = _shown(text) if text.strip() else "empty"
        raise UserError("choice", f"{field} is {shown}: expected one of {expected}", field=field)
    return found


@dataclass(frozen=True, slots=True)
class WrittenTime:
    """A time as written: ns since 1970, in UTC when `zoned`, else by some clock on a wall."""

    ns: int
    zoned: bool


def read_time(text: str, field: str, *, date_order: str | None = None) -> WrittenTime:
    """`2024-01-02T03:04:05.678+01:00` with usual variations, `31/12/2024 15:00`, epoch digits.

    Codes: missing, bad_time, date_order, out_of_range, precision (finer than a microsecond).
    """
    plain = text.strip()
    if not plain:
        raise UserError("missing", f"{field} is empty", field=field)
    if plain.isascii() and plain.isdigit() and len(plain) in _EPOCH_UNITS:
        return WrittenTime(in_range(int(plain) * _EPOCH_UNITS[len(plain)], text, field), True)
    if iso := _ISO.fullmatch(plain):
        year, month, day = int(iso["y"]), int(iso["m"]), int(iso["d"])
        rest = iso["rest"]
    elif local := _LOCAL.fullmatch(plain):
        year, month, day = _local_date(local, date_order, text, field)
        rest = local["rest"]
    else:
        raise UserError("bad_time", f"{field} is {_shown(text)}, not a time", field=field)
    clock = _CLOCK.fullmatch(rest)
    if clock is None or (rest and clock["H"] is None):
        raise UserError("bad_time", f"{field} is {_shown(text)}, not a time", field=field)
    return _moment((year, month, day), clock, text, field)


def _local_date(
    match: re.Match[str], date_order: str | None, text: str, field: str
) -> tuple[int, int, int]:
    first, second, year = int(match["p"]), int(match["q"]), int(match["y"])
    year += 2000 if year < 100 else 0
    # Dots are written day first, everywhere they are used.
    order = date_order or ("dmy" if match["s"] == "." else None)
    if order is None and first > 12:
        order = "dmy"
    if order is None and second > 12:
        order = "mdy"
    if order is None:
        raise UserError(
            "date_order",
            f"{field} is {_shown(text)}: day and month cannot be told apart, "
            "declare --date-order dmy or mdy",
            field=field,
        )
    return (year, second, first) if order == "dmy" else (year, first, second)


def _moment(date: tuple[int, int, int], clock: re.Match[str], text: str, field: str) -> WrittenTime:
    hour, minute, second = (int(clock[name] or 0) for name in "HMS")
    fraction = (clock["f"] or "").ljust(9, "0")
    if fraction[6:].strip("0"):
        raise UserError(
            "precision", f"{field} is {_shown(text)}: kept to the microsecond", field=field
        )
    if clock["half"]:
        if not 1 <= hour <= 12:
            raise UserError("bad_time", f"{field} is {_shown(text)}, not a time", field=field)
        hour = hour % 12 + (12 if clock["half"].lower() == "p" else 0)
    try:
        moment = datetime(*date, hour, minute, second, tzinfo=UTC)
    except ValueError:
        raise UserError(
            "out_of_range", f"{field} is {_shown(text)}, no such time", field=field
        ) from None
    if clock["sign"]:
        offset = timedelta(hours=int(clock["zh"]), minutes=int(clock["zm"] or 0))
        moment -= -offset if clock["sign"] == "-" else offset
    seconds = (moment - _EPOCH) // timedelta(seconds=1)
    ns = seconds * NS_PER_SECOND + int(fraction)
    return WrittenTime(in_range(ns, text, field), clock["zone"] is not None)


def in_range(ns: int, text: str, field: str) -> int:
    """The time if it is one in which markets were traded; else `out_of_range`."""
    year = (_EPOCH + timedelta(seconds=ns // NS_PER_SECOND)).year
    if not _EARLIEST_YEAR <= year <= _LATEST_YEAR:
        raise UserError(
            "out_of_range",
            f"{field} is {_shown(text)}, not between {_EARLIEST_YEAR} and {_LATEST_YEAR}",
            field=field,
        )
    return ns


def times_utc(
    written: Sequence[WrittenTime | None], zone: Zone | None
) -> list[int | UserError | None]:
    """UTC ns of each time, or what is wrong with it; an explicit offset wins over `zone`.

    Codes: nonexistent_time, ambiguous_time. None stays None. Without a zone a time that needs one
    raises timezone_required.
    """
    result: list[int | UserError | None] = [None if w is None else w.ns for w in written]
    local = [i for i, w in enumerate(written) if w is not None and not w.zoned]
    if not local:
        return result
    if zone is None:
        raise UserError("timezone_required", NO_ZONE, field="tz")
    civil = np.array([result[i] for i in local], np.int64)
    converted = to_utc(civil, zone)
    for position, i in enumerate(local):
        clock = (_EPOCH + timedelta(microseconds=int(civil[position]) // 1000)).isoformat(" ")[:19]
        if converted.missing[position]:
            detail = f"{clock} does not exist in {zone.name}: clocks were put forward"
            result[i] = UserError("nonexistent_time", detail, field="time")
        elif converted.double[position]:
            detail = f"{clock} was twice in {zone.name}: clocks were put back; write the offset"
            result[i] = UserError("ambiguous_time", detail, field="time")
        else:
            result[i] = int(converted.utc[position])
    return result


def _shown(value: object) -> str:
    text = str(value)
    return f"{text if len(text) <= 40 else text[:37] + '...'!a}"
