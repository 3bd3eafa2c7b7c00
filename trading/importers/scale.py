"""Are prices in the right unit? A file in points, or a thousand times too large, is refused.

The yardstick is coarse on purpose: what one US dollar buys of each currency, to an order of
magnitude over the last decades. A median close more than a factor of thirty from the quotient of
two yardsticks is no market move but another unit.
"""

from __future__ import annotations

import numpy as np

from trading.core.instruments import InstrumentSpec

from .contract import ParsedCandles, RawCandles

FACTOR = 30.0

_UNITS_PER_DOLLAR = {
    "AUD": 1.4, "BRL": 4.0, "CAD": 1.3, "CHF": 1.0, "CNH": 7.0, "CZK": 22.0, "DKK": 6.5,
    "EUR": 0.9, "GBP": 0.7, "HKD": 7.8, "HUF": 300.0, "ILS": 3.6, "INR": 70.0, "JPY": 115.0,
    "KRW": 1200.0, "MXN": 17.0, "NOK": 8.5, "NZD": 1.5, "PLN": 3.8, "RON": 4.2, "RUB": 60.0,
    "SEK": 8.5, "SGD": 1.35, "THB": 33.0, "TRY": 8.0, "TWD": 31.0, "USD": 1.0, "ZAR": 14.0,
    "XAU": 1 / 1500.0, "XAG": 1 / 22.0, "XPT": 1 / 1000.0, "XPD": 1 / 1000.0,
}  # fmt: skip


def usual_price(spec: InstrumentSpec) -> float | None:
    """The order of magnitude of a currency or metal price; None where none is known."""
    base, quote = _UNITS_PER_DOLLAR.get(spec.base), _UNITS_PER_DOLLAR.get(spec.quote)
    if spec.kind not in ("fx", "metal") or base is None or quote is None:
        return None
    return quote / base


def median_close(candles: RawCandles | ParsedCandles) -> float:
    """Median close as a price (of the bid for quotes)."""
    return float(np.median(candles.prices[3])) / 10.0**candles.decimals


def scale_problem(candles: RawCandles, spec: InstrumentSpec) -> str | None:
    """What is suspect about the unit of the prices, or None."""
    usual = usual_price(spec)
    if usual is None:
        return None
    median = median_close(candles)
    if usual / FACTOR < median < usual * FACTOR:
        return None
    return (
        f"prices of {spec.symbol} are usually near {usual:.3g}, this file's near {median:.6g}: "
        "they look like points or another unit; convert them to prices first"
    )
