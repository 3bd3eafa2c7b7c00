from datetime import UTC, datetime
from decimal import Decimal

import pytest

from post_mortem.pages import formats


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Decimal("-164"), "−164.00"),
        (Decimal("9999.99"), "+9,999.99"),
        (Decimal("10000"), "+10,000"),
        (Decimal("-12345.67"), "−12,346"),
        (Decimal("0"), "0.00"),
        (-0.001, "−0.00100000"),
    ],
)
def test_amounts(value: Decimal | float, text: str) -> None:
    assert formats.amount(value) == text


def test_totals_of_r_have_one_decimal() -> None:
    assert formats.total_r(6.44) == "+6.4 R"
    assert formats.total_r(-0.04) == "0.0 R"


def test_decimals_stay_as_they_were_written() -> None:
    assert formats.exact(Decimal("-0.10")) == "−0.10"
    assert formats.exact(Decimal("1E-8")) == "0.00000001"


def test_moments() -> None:
    at = datetime(2014, 5, 2, 12, 29, 7, tzinfo=UTC)
    assert formats.moment(at, year=False) == "Fri 2 May 12:29"
    assert formats.moment(at, year=True, seconds=True) == "Fri 2 May 2014 12:29:07"


@pytest.mark.parametrize(
    ("words", "text"),
    [([], ""), (["a"], "a"), (["a", "b"], "a and b"), (list("abc"), "a, b and c")],
)
def test_listing(words: list[str], text: str) -> None:
    assert formats.listing(words) == text


def test_plural() -> None:
    assert formats.plural(1, "trade") == "1 trade"
    assert formats.plural(1790, "trade") == "1,790 trades"
    assert formats.plural(2, "analysis", "analyses") == "2 analyses"
