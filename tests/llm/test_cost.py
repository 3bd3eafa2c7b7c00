"""Prices and budgets: arithmetic that can be checked by hand."""

import random
from decimal import Decimal

import pytest

from llm.cost import (
    Budget,
    Price,
    Reservation,
    cost,
    parse_price,
    reservation,
    reserve,
    settle,
    worst_case,
)
from llm.errors import LLMError
from llm.types import ChatRequest, Message, Usage

PRICE = Price(Decimal("2.50"), Decimal("10"), Decimal("1.25"))
REQUEST = ChatRequest((Message("system", "s" * 600), Message("user", "u" * 400)), max_tokens=100)


@pytest.mark.parametrize(
    ("usage", "price", "expected"),
    [
        (Usage(1_000_000, 0), PRICE, "2.5"),
        (Usage(0, 1_000_000), PRICE, "10"),
        (Usage(1_000_000, 0, cached=400_000), PRICE, "2.0"),
        (Usage(1_000_000, 0, cached=400_000), Price(Decimal("2.50"), Decimal(10)), "2.5"),
        (Usage(1, 0), PRICE, "0.000003"),
        (Usage(), PRICE, "0"),
        (Usage(10, 10), Price(Decimal(0), Decimal(0)), "0"),
    ],
)
def test_cost(usage: Usage, price: Price, expected: str) -> None:
    assert cost(usage, price) == Decimal(expected)


def test_an_unknown_price_is_no_cost_of_zero() -> None:
    assert cost(Usage(10, 10), None) is None


@pytest.mark.parametrize(
    ("text", "price"),
    [
        ("", None),
        ("2.50/10", Price(Decimal("2.50"), Decimal(10))),
        (" 2.50 / 10 / 1.25 ", PRICE),
        ("0/0", Price(Decimal(0), Decimal(0))),
    ],
)
def test_prices_from_settings(text: str, price: Price | None) -> None:
    assert parse_price(text) == price


@pytest.mark.parametrize("text", ["5", "1/2/3/4", "a/b", "1,5/2", "-1/2", "nan/1", "1e3/1", "1//2"])
def test_bad_prices_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="per million tokens"):
        parse_price(text)


def test_a_negative_price_is_refused() -> None:
    with pytest.raises(ValueError, match=r"Price\.completion"):
        Price(Decimal(1), Decimal(-1))


def test_the_worst_case() -> None:
    assert worst_case(REQUEST) == Usage(6 * 1200, 6 * 200, estimated=True)


def test_reserve_then_settle() -> None:
    asked = reservation(REQUEST, PRICE)
    assert asked == Reservation(8400, Decimal("0.03"))
    budget = reserve(Budget(token_cap=10_000, money_cap=Decimal("0.05")), asked)
    assert (budget.tokens_reserved, budget.money_reserved) == (8400, Decimal("0.03"))
    budget = settle(budget, asked, Usage(300, 50), PRICE)
    assert budget == Budget(10_000, Decimal("0.05"), 350, 0, Decimal("0.00125"), Decimal(0))


@pytest.mark.parametrize(
    "budget",
    [
        Budget(token_cap=8399),
        Budget(token_cap=9000, tokens_spent=601),
        Budget(token_cap=9000, tokens_reserved=601),
        Budget(money_cap=Decimal("0.0299")),
        Budget(money_cap=Decimal("0.04"), money_spent=Decimal("0.0101")),
        Budget(money_cap=Decimal("0.04"), money_reserved=Decimal("0.0101")),
    ],
)
def test_what_a_cap_does_not_allow(budget: Budget) -> None:
    with pytest.raises(LLMError, match="budget"):
        reserve(budget, reservation(REQUEST, PRICE))


def test_a_cap_on_money_needs_a_price() -> None:
    with pytest.raises(LLMError, match="budget"):
        reserve(Budget(money_cap=Decimal(1000)), reservation(REQUEST, None))
    assert reserve(Budget(token_cap=10_000), reservation(REQUEST, None)).money_reserved == 0


def test_no_order_of_calls_overdraws_a_budget() -> None:
    """Whatever the calls use, within their worst case, and whenever they end."""
    generator = random.Random(7)
    asked = reservation(REQUEST, PRICE)
    most = worst_case(REQUEST)
    for _ in range(200):
        budget = Budget(token_cap=30_000, money_cap=Decimal("0.10"))
        under_way = 0
        for _ in range(60):
            if under_way and generator.random() < 0.5:
                used = Usage(
                    generator.randint(0, most.prompt), generator.randint(0, most.completion)
                )
                budget = settle(budget, asked, used, PRICE)
                under_way -= 1
                continue
            try:
                budget = reserve(budget, asked)
                under_way += 1
            except LLMError:
                pass
        assert budget.tokens_spent + budget.tokens_reserved <= 30_000
        assert budget.money_spent + budget.money_reserved <= Decimal("0.10")
        assert budget.tokens_reserved == under_way * asked.tokens
