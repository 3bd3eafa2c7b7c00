"""Audits with the narrator's texts, and a model server that answers honestly about them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from benchmarks._model import honest_answer
from llm import openai_compatible, structured
from llm.breaker import BREAKER
from post_mortem.models import TradeAnalysis
from post_mortem.services.audits import run_autopsy
from post_mortem.services.narratives import narrate_audits
from tests.llm.server import FaultServer
from tests.services.factories import (
    MONDAY,
    make_account,
    make_candles,
    make_instrument,
    make_signal,
    make_trade,
    price,
    walk,
)
from trading.models import Account

NOW = datetime(2024, 5, 8, tzinfo=UTC)
BARS = 12_000


def forget_servers() -> None:
    """Nothing that was learned about a server is remembered."""
    BREAKER.reset()
    openai_compatible._DIALECTS.clear()
    structured._WORKING.clear()


@contextmanager
def model_server() -> Iterator[FaultServer]:
    forget_servers()
    with FaultServer(answer=honest_answer) as running:
        yield running
    forget_servers()


def make_trades(count: int, account: Account | None = None) -> Account:
    """Trades on one random market, half an hour to a day apart."""
    account, instrument = account or make_account(), make_instrument()
    closes = walk(BARS, seed=4)
    make_candles(instrument, closes)
    for i in range(count):
        bar = 8_000 + (BARS - 8_400) * i // count
        entry = int(closes[bar - 1])
        levels = {"stop_loss": price(entry - 60), "take_profit": price(entry + 120)}
        signal = make_signal(
            account,
            instrument,
            time=MONDAY + timedelta(minutes=bar),
            entry_price=price(entry),
            **levels,
        )
        make_trade(signal, closed_at=signal.time + timedelta(hours=3))
    return account


def make_audits(count: int) -> list[int]:
    """Ids of the TRADE audits, lost ones first, each narrated by the narrator."""
    account = make_trades(count)
    ids = run_autopsy(account_ids=[account.pk], now=NOW).audit_ids
    narrate_audits(audit_ids=ids)
    lost_first = TradeAnalysis.objects.order_by("-audit__outcome", "pk")
    return list(lost_first.values_list("audit_id", flat=True))
