"""Instruments: canonical symbols, points and pips.

A symbol names what is traded: `EURUSD` for currencies and metals, `ETH/BTC` for crypto, a plain
name for the rest. Point is the grid of stored prices; pip is the unit in which traders speak.
Crypto and indices have no pip convention: there pip equals point and pages show basis points and R.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

from .errors import UserError

FIAT = frozenset(
    {
        "AUD", "BRL", "CAD", "CHF", "CNH", "CZK", "DKK", "EUR", "GBP", "HKD", "HUF", "ILS", "INR",
        "JPY", "KRW", "MXN", "NOK", "NZD", "PLN", "RON", "RUB", "SEK", "SGD", "THB", "TRY", "TWD",
        "USD", "ZAR",
    }
)  # fmt: skip
METALS = frozenset(("XAU", "XAG", "XPT", "XPD"))
# Quote currencies whose pairs are priced with two fewer decimals (pip 0.01, point 0.001).
_TWO_DECIMAL_QUOTES = frozenset(("JPY", "HUF", "KRW", "THB", "TWD", "INR", "RUB"))
_METAL_PIP = {
    "XAU": Decimal("0.1"),
    "XAG": Decimal("0.01"),
    "XPT": Decimal("0.1"),
    "XPD": Decimal("0.1"),
}
_METAL_POINT = {
    "XAU": Decimal("0.01"),
    "XAG": Decimal("0.001"),
    "XPT": Decimal("0.01"),
    "XPD": Decimal("0.01"),
}
_SYMBOL = re.compile(r"^[A-Z0-9][A-Z0-9./:_-]{0,29}$")
MAX_DECIMALS = 8


@dataclass(frozen=True, slots=True)
class InstrumentSpec:
    """What an instrument is. `point`, `pip` and `tick` are prices; `kind` is
    fx, metal, crypto or other; `base` and `quote` are empty when the name does not tell."""

    symbol: str
    base: str
    quote: str
    kind: str
    point: Decimal
    pip: Decimal
    tick: Decimal


def clean_symbol(text: str) -> str:
    """Upper-case a user's symbol and refuse anything that is not one (`bad_symbol`)."""
    symbol = text.strip().upper()
    if not _SYMBOL.match(symbol):
        shown = text if len(text) <= 40 else text[:37] + "..."
        raise UserError(
            "bad_symbol",
            f"{shown!a} is not a symbol: expected up to 30 letters, digits and . / : _ -",
            field="symbol",
        )
    return symbol


def canonical_symbol(text: str) -> str:
    """`eur_usd`, `EUR/USD` -> `EURUSD`; `eth_btc`, `ETH-BTC` -> `ETH/BTC`; others upper-cased."""
    symbol = clean_symbol(text)
    parts = re.split(r"[/_-]", symbol)
    if len(parts) == 2 and all(parts):
        base, quote = parts
        known = FIAT | METALS
        return base + quote if base in known and quote in known else f"{base}/{quote}"
    return symbol


def describe(symbol: str, *, decimals: int | None = None) -> InstrumentSpec:
    """Default description of a canonical symbol.

    `decimals` is how many decimals its prices are seen with; it sets the point where no convention
    does (crypto, indices). Conventions: FX point 0.00001 and pip 0.0001, with a JPY-like quote
    0.001 and 0.01 (Oanda `pipLocation`); gold pip 0.1. All editable per desk afterwards.
    """
    base, quote, kind = _split(symbol)
    if kind == "fx":
        small = quote in _TWO_DECIMAL_QUOTES
        point = Decimal("0.001") if small else Decimal("0.00001")
        pip = Decimal("0.01") if small else Decimal("0.0001")
        return InstrumentSpec(symbol, base, quote, kind, point, pip, point)
    if kind == "metal":
        point = _METAL_POINT[base]
        return InstrumentSpec(symbol, base, quote, kind, point, _METAL_PIP[base], point)
    if decimals is None:
        raise UserError(
            "unknown_instrument",
            f"no price convention for {symbol}: import candles first or add the instrument",
            field="symbol",
        )
    if decimals > MAX_DECIMALS:
        raise UserError("precision", f"{symbol} has prices with more than {MAX_DECIMALS} decimals")
    point = Decimal(1).scaleb(-decimals)
    return InstrumentSpec(symbol, base, quote, kind, point, point, point)


def _split(symbol: str) -> tuple[str, str, str]:
    if "/" in symbol:
        base, quote = symbol.split("/", 1)
        return base, quote.split(":")[0], "crypto"
    if len(symbol) == 6:
        base, quote = symbol[:3], symbol[3:]
        if base in METALS and quote in FIAT:
            return base, quote, "metal"
        if base in FIAT and quote in FIAT:
            return base, quote, "fx"
    return "", "", "other"


# Home currency of the index a name stands for; news in that currency moves it.
_INDEX_CURRENCY = {
    "US30": "USD", "US500": "USD", "NAS100": "USD", "SPX500": "USD", "US100": "USD",
    "GER40": "EUR", "DE40": "EUR", "DAX": "EUR", "FRA40": "EUR", "EU50": "EUR", "STOXX50": "EUR",
    "UK100": "GBP", "JP225": "JPY", "NI225": "JPY", "AUS200": "AUD", "HK50": "HKD",
}  # fmt: skip


def news_currencies(symbol: str) -> tuple[str, ...]:
    """Currencies whose news is relevant: both legs of FX, USD for metals and crypto, the home
    currency of a known index, nothing for a name that tells nothing."""
    base, quote, kind = _split(symbol)
    if kind == "fx":
        return (base, quote)
    if kind == "metal":
        return ("USD",) if quote == "USD" else ("USD", quote)
    if kind == "crypto":
        return ("USD",)
    home = _INDEX_CURRENCY.get(symbol.split(".")[0])
    return (home,) if home else ()
