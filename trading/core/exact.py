"""Exact decimal arithmetic on fills.

Sums and products are exact or they raise; the only roundings are in `quotient` and `stored`, and
both say where they round. Python's default context would round a product to 28 digits unasked.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import ROUND_HALF_EVEN, Context, Decimal, DivisionByZero, Inexact, InvalidOperation

# Places of a derived figure that has no finite decimal text, or a longer one.
DERIVED_PLACES = 20
ZERO = Decimal(0)

# Two numbers of 64 characters have a product of 128; sums of many add a few digits.
_EXACT = Context(prec=400, traps=[Inexact, InvalidOperation, DivisionByZero])
_ROUNDED = Context(prec=400, rounding=ROUND_HALF_EVEN, traps=[InvalidOperation, DivisionByZero])
_UNIT = Decimal(1).scaleb(-DERIVED_PLACES)


def product(*factors: Decimal) -> Decimal:
    """The exact product."""
    result = Decimal(1)
    for factor in factors:
        result = _EXACT.multiply(result, factor)
    return result


def total(values: Iterable[Decimal]) -> Decimal:
    """The exact sum; zero for none."""
    result = ZERO
    for value in values:
        result = _EXACT.add(result, value)
    return result


def difference(minuend: Decimal, subtrahend: Decimal) -> Decimal:
    """The exact difference."""
    return _EXACT.subtract(minuend, subtrahend)


def stored(value: Decimal) -> Decimal:
    """A derived figure as it is kept: exact up to 20 places, beyond that half-even rounded."""
    exponent = value.as_tuple().exponent
    if isinstance(exponent, int) and -exponent > DERIVED_PLACES:
        return value.quantize(_UNIT, context=_ROUNDED)
    return value


def quotient(dividend: Decimal, divisor: Decimal) -> Decimal:
    """dividend / divisor, exact where that takes up to 20 places, else half-even rounded there."""
    value = _ROUNDED.divide(dividend, divisor)
    return stored(value)
