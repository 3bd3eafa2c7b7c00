"""What pages write beyond `core.display`: amounts apart from their currency, moments in the
reader's zone, lists and plurals."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

from post_mortem.core import display

DASH = "\N{EN DASH}"


def amount(value: Decimal | float) -> str:
    """Money without its currency, which stays readable where the amount is masked."""
    return display.money(float(value), "")


def total_r(value: float) -> str:
    return f"{display.fixed(value, 1, signed=True)} R"


def exact(value: Decimal) -> str:
    """A decimal as it was written, only with a true minus."""
    return format(value, "f").replace("-", display.MINUS)


def moment(value: datetime, *, year: bool, seconds: bool = False) -> str:
    """'Fri 2 May 12:29', with the year where it is not the reader's, in the zone of `value`."""
    return f"{day(value, year=year)} {clock(value, seconds=seconds)}"


def listed(value: datetime, *, year: bool) -> str:
    """'2 May 12:29': as short as a table needs it."""
    return f"{value.day} {value:%b}{f' {value.year}' if year else ''} {clock(value)}"


def clock(value: datetime, *, seconds: bool = False) -> str:
    return f"{value:%H:%M:%S}" if seconds else f"{value:%H:%M}"


def day(value: datetime, *, year: bool) -> str:
    return f"{value:%a} {value.day} {value:%b}{f' {value.year}' if year else ''}"


def listing(words: Iterable[str], last: str = "and") -> str:
    """'a', 'a and b', 'a, b and c'."""
    items = list(words)
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} {last} {items[-1]}"


def plural(n: int, one: str, many: str | None = None) -> str:
    return f"{n:,} {one if n == 1 else many or one + 's'}"
