"""What a known file name may add: a symbol, a timeframe or a date. Never the format."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from pathlib import PurePath

from trading.core.errors import UserError
from trading.core.instruments import FIAT, METALS
from trading.core.types import timeframe_name, timeframe_ns

_TIMEFRAME = r"(?P<timeframe>\d{1,3}[smhdwSHDW]|[MHDWmhdw]\d{1,3})"
_PATTERNS = (
    # ETH_BTC-5m.feather, ETH_USDT_USDT-1h-futures.feather
    re.compile(rf"(?P<symbol>[A-Z0-9]+_[A-Z0-9]+)(?:_[A-Z0-9]+)?-{_TIMEFRAME}(?:-futures|-spot)?"),
    # DAT_ASCII_EURUSD_M1_2012
    re.compile(rf"DAT_ASCII_(?P<symbol>[A-Z0-9]+)_{_TIMEFRAME}_\d{{4,6}}"),
    # BTCUSDT-1m-2024-01, EURUSD-5m, EURUSD_M1, EURUSD 1h, USDJPYh1
    re.compile(
        rf"(?P<symbol>[A-Za-z]{{6}}|[A-Z0-9]{{5,12}})[-_ ]{_TIMEFRAME}"
        r"(?:[-_ ]\d{4}(?:-\d\d){0,2})?"
    ),
    re.compile(rf"(?P<symbol>[A-Z]{{6}}){_TIMEFRAME}"),
)
_LEAN_MEMBER = re.compile(
    r"(?P<date>\d{8})_(?P<symbol>[a-z0-9]+)_(?P<resolution>second|minute)_(?P<what>quote|trade)"
)


@dataclass(frozen=True, slots=True)
class NameParts:
    """What a name says; empty strings where it says nothing."""

    symbol: str = ""
    timeframe: str = ""


def parts_of_name(name: str) -> NameParts:
    """Symbol and timeframe of a known kind of file name, else nothing."""
    stem = PurePath(name).name
    for suffix in (".gz", ".csv", ".txt", ".tsv", ".json", ".feather", ".zip"):
        stem = stem.removesuffix(suffix)
    for pattern in _PATTERNS:
        match = pattern.fullmatch(stem)
        if match:
            try:
                return NameParts(match["symbol"].upper(), canonical_timeframe(match["timeframe"]))
            except UserError:
                return NameParts()
    letters = stem.upper()
    known = FIAT | METALS
    if len(letters) == 6 and letters[:3] in known and letters[3:] in FIAT:
        return NameParts(letters)
    return NameParts()


def canonical_timeframe(text: str) -> str:
    """`M5`, `5M`, `5m` -> `5m`; `H1`, `60m` -> `1h`. Unknown: UserError `timeframe`."""
    name = text.strip()
    if name[:1].isalpha() and name[1:].isdigit():
        name = name[1:] + name[:1]
    return timeframe_name(timeframe_ns(name.lower()))


@dataclass(frozen=True, slots=True)
class LeanName:
    """A day of Lean data: its date, symbol, timeframe and whether it holds quotes."""

    date: dt.date
    symbol: str
    timeframe: str
    quotes: bool


def lean_member(name: str) -> LeanName | None:
    """Parts of a member such as `20140502_eurusd_minute_quote.csv`, or None."""
    match = _LEAN_MEMBER.fullmatch(PurePath(name).name.removesuffix(".csv"))
    if not match:
        return None
    try:
        date = dt.datetime.strptime(match["date"], "%Y%m%d").replace(tzinfo=dt.UTC).date()
    except ValueError:
        return None
    timeframe = {"second": "1s", "minute": "1m"}[match["resolution"]]
    return LeanName(date, match["symbol"].upper(), timeframe, match["what"] == "quote")
