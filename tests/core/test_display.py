from decimal import Decimal

import pytest

from post_mortem.core import display
from trading.core.types import NS_PER_HOUR, NS_PER_MINUTE, NS_PER_SECOND

M = "\u2212"


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (display.r_multiple(-1.089), f"{M}1.09 R"),
        (display.r_multiple(1.8), "+1.80 R"),
        (display.r_multiple(0.42, signed=False), "0.42 R"),
        (display.r_multiple(-0.001), "0.00 R"),
        (display.pips(-16.44, signed=True), f"{M}16.4 pips"),
        (display.percent(0.523), "52 %"),
        (display.percent(0.041), "4.1 %"),
        (display.percent(0.09), "9 %"),
        (display.percent(1.0), "100 %"),
        (display.price(1.38476, Decimal("0.00001")), "1.38476"),
        (display.price(81.082, Decimal("0.001")), "81.082"),
        (display.price(12345.0, Decimal("1")), "12345"),
        (display.money(-164, "USD"), f"{M}164.00 USD"),
        (display.money(12345.6, "USD"), "+12,346 USD"),
        (display.money(-0.0001, "BTC"), f"{M}0.00010000 BTC"),
        (display.times(6.08), "6.1 times"),
        (display.duration(3 * NS_PER_HOUR + 10 * NS_PER_MINUTE), "3 h 10 min"),
        (display.duration(NS_PER_MINUTE), "1 min"),
        (display.duration(40 * NS_PER_SECOND), "40 s"),
        (display.duration(52 * NS_PER_HOUR), "2 d 4 h"),
        (display.duration(24 * NS_PER_HOUR + 5 * NS_PER_MINUTE), "1 d"),
        (display.moment(1399033800 * NS_PER_SECOND), "2014-05-02 12:30 UTC"),
        (display.by_unit(3, "bars", Decimal(1)), "3 bars"),
        (display.by_unit(1, "bars", Decimal(1)), "1 bar"),
    ],
)
def test_how_numbers_are_written(written, expected):
    assert written == expected


def test_an_unknown_number_is_never_formatted():
    with pytest.raises(ValueError, match="no display"):
        display.by_unit(float("nan"), "R", Decimal(1))


def test_an_unknown_unit_is_an_error():
    with pytest.raises(KeyError):
        display.by_unit(1.0, "furlong", Decimal(1))
