"""Decimal text to exact integers, a column at a time.

A column is a set of byte ranges in one block. The plain shape (ASCII digits with at most one
decimal mark) is read vectorised, one character position a step; any other shape goes to a strict
reader one by one. No value passes through a binary float.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

import numpy as np

from .contract import F64, I64, MAX_DECIMALS, Bool, Bytes, ProblemLog

_PLAIN_LENGTH = 19  # 18 digits and a decimal mark fit an int64
_SHORT_LENGTH = 9  # nine digits fit an int32
_PRICE_LIMIT = 10**9
_POWERS = 10 ** np.arange(19, dtype=np.int64)
_MAX_ODD_VALUES = 2000  # after that many bad values the rest is counted, not examined

_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?")
_COMMA_NUMBER = re.compile(r"[+-]?[0-9]+,[0-9]+")
_NO_NUMBER = frozenset(("", "nan", "null", "none", "na", "n/a", "-nan", "+nan"))
_INFINITE = frozenset(f"{sign}{word}" for sign in ("", "+", "-") for word in ("inf", "infinity"))


@dataclass(frozen=True, slots=True, eq=False)
class Decimals:
    """value = mantissa / 10**places, element-wise; `bad` marks values already reported."""

    mantissa: I64
    places: I64
    bad: Bool

    def at_common_places(self) -> tuple[I64, int]:
        """All values as integers with the same number of decimals."""
        places = int(self.places.max(initial=0))
        if self.places.size and int(self.places.min()) == places:
            return self.mantissa, places
        return self.mantissa * _POWERS[places - self.places], places


def read_decimals(
    data: Bytes, start: I64, end: I64, line: I64, name: str, mark: str, log: ProblemLog
) -> Decimals:
    """Read the column `name`; `mark` is the decimal mark. Problems are logged with their lines:
    not_finite, bad_number, dialect, precision, out_of_range."""
    mantissa, places, plain = _read_plain(data, start, end, ord(mark))
    bad = np.zeros(start.shape, np.bool_)
    odd = np.flatnonzero(~plain)
    if odd.size:
        _read_odd(data, start, end, line, odd, name, mark, (mantissa, places, bad), log)
    deep = np.flatnonzero(places > MAX_DECIMALS)
    if deep.size:
        _trim_zeros(mantissa, places, deep)
        deep = deep[places[deep] > MAX_DECIMALS]
        log.add(
            "precision",
            f"{name} has more than {MAX_DECIMALS} decimals; prices are never rounded",
            rows=line[deep],
            column=name,
        )
        bad[deep], mantissa[deep], places[deep] = True, 1, 0
    huge = np.flatnonzero(np.abs(mantissa) >= _PRICE_LIMIT * _POWERS[places])
    if huge.size:
        log.add("out_of_range", f"{name} is too large", rows=line[huge], column=name)
        bad[huge], mantissa[huge], places[huge] = True, 1, 0
    return Decimals(mantissa, places, bad)


def read_floats(
    data: Bytes, start: I64, end: I64, line: I64, name: str, mark: str, log: ProblemLog
) -> F64:
    """A column where binary floats are good enough (volume): the double nearest to the text.

    Empty cells are NaN; a text that is no number is logged and NaN.
    """
    mantissa, places, plain = _read_plain(data, start, end, ord(mark))
    # Division is correctly rounded while both sides are exact doubles.
    exact = plain & (mantissa < 2**53)
    values: F64 = mantissa / _POWERS[places]
    for i in np.flatnonzero(~exact):
        values[i] = _odd_float(data[start[i] : end[i]].tobytes(), mark, int(line[i]), name, log)
    return values


def _read_plain(data: Bytes, start: I64, end: I64, mark: int) -> tuple[I64, I64, Bool]:
    """Mantissa, decimals and whether the text was plain (else both are meaningless)."""
    length = end - start
    width = int(length.max(initial=0))
    if 0 < width <= _SHORT_LENGTH and int(length.min()) == width:
        uniform = _read_uniform(data, start, width, mark)
        if uniform is not None:
            return uniform
    mantissa = np.zeros(start.shape, np.int64)
    places = np.zeros(start.shape, np.int64)
    plain = (length > 0) & (length <= _PLAIN_LENGTH)
    marked = np.zeros(start.shape, np.bool_)
    last = data.size - 1
    for j in range(min(width, _PLAIN_LENGTH)):
        char = data[np.minimum(start + j, last)]
        digit = char - np.uint8(48)
        live = length > j
        is_digit = (digit < 10) & live
        is_mark = live & (char == mark)
        plain &= is_digit | ~live | (is_mark & ~marked)
        mantissa = np.where(is_digit, mantissa * 10 + digit, mantissa)
        places += is_digit & marked
        marked |= is_mark
    # 19 digits without a mark can wrap around; a lone mark is no number.
    plain &= (length - marked > 0) & (length - marked < _PLAIN_LENGTH)
    return mantissa, places, plain


def _read_uniform(data: Bytes, start: I64, width: int, mark: int) -> tuple[I64, I64, Bool] | None:
    """The usual case: all texts have one width and the mark in one place; None if they have not."""
    mantissa = np.zeros(start.shape, np.int32)
    mark_at = width
    for j in range(width):
        char = data[start + j]
        digit = char - np.uint8(48)
        if digit.max() < 10:
            mantissa *= 10
            mantissa += digit
        elif mark_at == width and width > 1 and (char == mark).all():
            mark_at = j
        else:
            return None
    places = np.full(start.shape, max(0, width - 1 - mark_at), np.int64)
    return mantissa.astype(np.int64), places, np.ones(start.shape, np.bool_)


def _read_odd(
    data: Bytes,
    start: I64,
    end: I64,
    line: I64,
    odd: I64,
    name: str,
    mark: str,
    into: tuple[I64, I64, Bool],
    log: ProblemLog,
) -> None:
    mantissa, places, bad = into
    for position, i in enumerate(odd):
        if log.fatal_count > _MAX_ODD_VALUES:
            rest = odd[position:]
            bad[rest], mantissa[rest], places[rest] = True, 1, 0
            return
        text = data[start[i] : end[i]].tobytes().decode("utf-8", "replace").strip()
        value, code, detail = _strict_decimal(text, mark)
        if value is None:
            log.add(code, f"{name} {detail}", rows=[int(line[i])], column=name)
            bad[i], mantissa[i], places[i] = True, 1, 0
            continue
        mantissa[i], places[i] = value


def _strict_decimal(text: str, mark: str) -> tuple[tuple[int, int] | None, str, str]:
    """((mantissa, places), '', '') or (None, code, what is wrong)."""
    shown = f"{text[:40]!a}"
    if text.lower() in _NO_NUMBER:
        return None, "not_finite", "is empty" if not text else f"is {shown}"
    if text.lower() in _INFINITE:
        return None, "not_finite", f"is {shown}"
    if mark == "." and _COMMA_NUMBER.fullmatch(text):
        return None, "dialect", f"is {shown}: declare a decimal comma with --dialect decimal-comma"
    plain = text if mark == "." else text.replace(".", "?").replace(mark, ".")
    if not _NUMBER.fullmatch(plain):
        return None, "bad_number", f"is {shown}, not a number"
    return _exact(plain, shown)


def _exact(plain: str, shown: str) -> tuple[tuple[int, int] | None, str, str]:
    try:
        value = Decimal(plain)
    except InvalidOperation:
        return None, "bad_number", f"is {shown}, not a number"
    if not np.isfinite(float(value)):
        return None, "not_finite", f"is {shown}, beyond any finite number"
    if abs(value) >= _PRICE_LIMIT:
        return None, "out_of_range", f"is {shown}, too large"
    value = value.normalize()
    exponent = value.as_tuple().exponent
    places = max(0, -exponent) if isinstance(exponent, int) else 0
    if places > MAX_DECIMALS:
        wording = f"is {shown}: more than {MAX_DECIMALS} decimals; prices are never rounded"
        return None, "precision", wording
    return (int(value.scaleb(places)), places), "", ""


def _odd_float(raw: bytes, mark: str, line: int, name: str, log: ProblemLog) -> float:
    text = raw.decode("utf-8", "replace").strip()
    if text.lower() in _NO_NUMBER:
        return float("nan")
    plain = text if mark == "." else text.replace(".", "?").replace(mark, ".")
    if not _NUMBER.fullmatch(plain):
        infinite = text.lower() in _INFINITE
        code, what = ("not_finite", "finite") if infinite else ("bad_number", "a number")
        log.add(code, f"{name} is {text[:40]!a}, not {what}", rows=[line], column=name)
        return float("nan")
    value = float(plain)
    if not np.isfinite(value):
        log.add("not_finite", f"{name} is {text[:40]!a}, not finite", rows=[line], column=name)
        return float("nan")
    return value


def _trim_zeros(mantissa: I64, places: I64, rows: I64) -> None:
    """Drop trailing zeros beyond the decimals that can be kept, in place."""
    while rows.size:
        rows = rows[(places[rows] > MAX_DECIMALS) & (mantissa[rows] % 10 == 0)]
        mantissa[rows] //= 10
        places[rows] -= 1
