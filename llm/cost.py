"""What calls cost and what a budget still allows: arithmetic only, no clock and no storage.

Prices come from the caller's settings; none is known here, because they change and differ from
provider to provider. Money is a Decimal in the currency of the prices; an unknown price makes the
cost None, never zero.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import ROUND_UP, Decimal
from typing import Final

from llm.errors import Kind, LLMError
from llm.types import ChatRequest, Usage

_MILLION: Final = Decimal(1_000_000)
_CENT_OF_A_CENT: Final = Decimal("0.000001")


@dataclass(frozen=True, slots=True)
class Price:
    """Per million tokens. Without a price of their own, cached tokens cost what others cost."""

    prompt: Decimal
    completion: Decimal
    cached: Decimal | None = None

    def __post_init__(self) -> None:
        for name in ("prompt", "completion", "cached"):
            value = getattr(self, name)
            if value is not None and not (value.is_finite() and value >= 0):
                raise ValueError(f"Price.{name} is {value}, expected 0 or more")


def parse_price(text: str) -> Price | None:
    """`prompt/completion` or `prompt/completion/cached`, as in 2.50/10; empty is unknown.

    Raises ValueError saying what was expected.
    """
    if not text.strip():
        return None
    parts = [part.strip() for part in text.split("/")]
    plain = all(part.isascii() and part.replace(".", "", 1).isdecimal() for part in parts)
    if not plain or len(parts) not in (2, 3):
        raise ValueError("expected prices per million tokens as in 2.50/10 or 2.50/10/1.25")
    return Price(*(Decimal(part) for part in parts))


def cost(usage: Usage, price: Price | None) -> Decimal | None:
    """Rounded up to a millionth, so that no budget is overdrawn by rounding."""
    if price is None:
        return None
    cached_price = price.prompt if price.cached is None else price.cached
    total = (
        (usage.prompt - usage.cached) * price.prompt
        + usage.cached * cached_price
        + usage.completion * price.completion
    ) / _MILLION
    return total.quantize(_CENT_OF_A_CENT, rounding=ROUND_UP)


def worst_case(request: ChatRequest, requests: int = 6) -> Usage:
    """The most one logical call can use: every request it may send, each with a token a character
    (text that tokenizes worse is rare), the answer that is to be repaired in the prompt, and twice
    the answer's limit after one that was cut off."""
    longest_answer = 2 * request.max_tokens
    return Usage(
        prompt=requests * (request.characters + longest_answer),
        completion=requests * longest_answer,
        estimated=True,
    )


@dataclass(frozen=True, slots=True)
class Budget:
    """A cap on tokens and on money for one period; None caps nothing. `reserved` is promised to
    calls under way, `spent` is settled."""

    token_cap: int | None = None
    money_cap: Decimal | None = None
    tokens_spent: int = 0
    tokens_reserved: int = 0
    money_spent: Decimal = Decimal(0)
    money_reserved: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class Reservation:
    """What a call may at most use; to be settled once, whatever became of it."""

    tokens: int
    money: Decimal | None


def reservation(request: ChatRequest, price: Price | None, requests: int = 6) -> Reservation:
    most = worst_case(request, requests)
    return Reservation(most.prompt + most.completion, cost(most, price))


def reserve(budget: Budget, asked: Reservation) -> Budget:
    """The budget with `asked` set aside. Raises LLMError(budget) when a cap does not allow it, or
    when money is capped and the price is unknown: such a cap could not be kept."""
    tokens = budget.tokens_reserved + asked.tokens
    money = budget.money_reserved + (asked.money or 0)
    too_many = budget.token_cap is not None and budget.tokens_spent + tokens > budget.token_cap
    too_dear = budget.money_cap is not None and (
        asked.money is None or budget.money_spent + money > budget.money_cap
    )
    if too_many or too_dear:
        raise LLMError(Kind.BUDGET)
    return replace(budget, tokens_reserved=tokens, money_reserved=money)


def settle(budget: Budget, asked: Reservation, used: Usage, price: Price | None) -> Budget:
    """The budget after the call: the reservation is released and what was used is spent."""
    return replace(
        budget,
        tokens_reserved=budget.tokens_reserved - asked.tokens,
        tokens_spent=budget.tokens_spent + used.prompt + used.completion,
        money_reserved=budget.money_reserved - (asked.money or 0),
        money_spent=budget.money_spent + (cost(used, price) or 0),
    )
