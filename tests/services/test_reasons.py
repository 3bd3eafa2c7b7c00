"""Outcomes that are no verdict are reached from rows, and say why on the page, in the API and in
the export."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from post_mortem.core.types import Flag, Outcome
from post_mortem.models import InsightAudit, LabelingRule
from post_mortem.selectors.export import exported
from post_mortem.services.audits import run_autopsy
from tests.pages.reading import page, text
from trading.models import Account, Instrument

from .factories import (
    MONDAY,
    make_account,
    make_candles,
    make_instrument,
    make_signal,
    make_trade,
    walk,
)

pytestmark = pytest.mark.django_db

BARS = 30 * 1440
ENTRY = MONDAY + timedelta(days=21)


@pytest.fixture
def account() -> Account:
    return make_account()


@pytest.fixture
def instrument() -> Instrument:
    return make_instrument()


def shown(account: Account, audit: InsightAudit) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """The page's text, the API's row and the export's row."""
    client = Client()
    client.force_login(account.owner)
    path = f"/trades/{audit.trade_id}/" if audit.trade_id else f"/audits/{audit.pk}/"
    rows = list(exported(InsightAudit.objects.filter(pk=audit.pk)))
    api = client.get(reverse("api-audit", args=[audit.pk])).json()
    return text(page(client, path)), api, rows[0]


def audit_of(horizon: str = "4H") -> InsightAudit:
    return InsightAudit.objects.get(horizon=horizon)


def test_filtered_out_by_a_rule_tells_what_it_would_have_done(
    account: Account, instrument: Instrument
) -> None:
    make_candles(instrument, walk(BARS, step=0.1))
    LabelingRule.objects.create(desk=account.desk, horizon="4H", priority=9, min_score=70.0)
    make_signal(account, instrument, score=61.0)
    run_autopsy(horizons=["4H"])
    audit = audit_of()
    assert audit.outcome == Outcome.FILTERED_OUT
    assert audit.shadow_outcome in (Outcome.SUCCEEDED, Outcome.FAILED, Outcome.NEUTRAL)
    said, api, row = shown(account, audit)
    assert "Filtered out: score 61, rule asks 70. It would have " in said
    assert api["reason"]["text"] in said
    assert row["reason"] == api["reason"]["text"]
    assert row["shadow_outcome"] == api["shadow_outcome"]
    assert api["verdict"] == api["reason"]["text"]


def test_filtered_out_because_it_never_filled(account: Account, instrument: Instrument) -> None:
    make_candles(instrument, walk(BARS))
    make_signal(
        account, instrument, entry_kind="limit", entry_price=Decimal("0.50000"),
        stop_loss=Decimal("0.49000"), take_profit=Decimal("0.52000"),
    )  # fmt: skip
    run_autopsy(horizons=["4H"])
    assert audit_of().outcome == Outcome.FILTERED_OUT
    said, api, _ = shown(account, audit_of())
    assert "the entry order never filled" in said
    assert (api["reason"]["code"], api["shadow_outcome"]) == ("not_filled", None)


def bare(account: Account, instrument: Instrument) -> None:
    make_signal(account, instrument)


def coarse(account: Account, instrument: Instrument) -> None:
    make_candles(instrument, walk(200), timeframe="4h")
    make_signal(account, instrument)


def holes(account: Account, instrument: Instrument) -> None:
    make_candles(instrument, walk(60), start=ENTRY)
    make_candles(instrument, walk(1440, 2), start=ENTRY + timedelta(hours=3))
    make_signal(account, instrument)


def late(account: Account, instrument: Instrument) -> None:
    make_candles(instrument, walk(1440), start=ENTRY + timedelta(minutes=1))
    make_signal(account, instrument)


@pytest.mark.parametrize(
    ("rows", "horizon", "flag", "code", "action"),
    [
        (bare, "4H", Flag.NO_DATA, "no_data", "Import EURUSD candles"),
        (coarse, "1H", Flag.HORIZON_TOO_SHORT, "horizon_too_short", "Import 1 h candles, or finer"),
        (holes, "4H", Flag.LOW_COVERAGE, "low_coverage", "Import the missing candles"),
        (late, "4H", Flag.ENTRY_BAR_MISSING, "entry_bar_missing", "Import EURUSD candles"),
    ],
)
def test_what_cannot_be_judged_says_what_it_needs(
    account: Account, instrument: Instrument, rows: Any, horizon: str, flag: Flag, code: str,
    action: str,
) -> None:  # fmt: skip
    rows(account, instrument)
    run_autopsy(horizons=[horizon])
    audit = audit_of(horizon)
    assert audit.outcome == Outcome.NEEDS_REVIEW
    assert audit.needs_manual_review
    assert audit.flags & flag
    said, api, row = shown(account, audit)
    assert (api["reason"]["code"], api["reason"]["action"]) == (code, action)
    assert "Not judged: " in said
    assert action in said
    assert row["reason"].endswith(f"{action}.")


def test_an_open_trade_and_one_beyond_the_data_are_pending(
    account: Account, instrument: Instrument
) -> None:
    make_candles(instrument, walk(BARS))
    signal = make_signal(account, instrument, time=ENTRY + timedelta(days=8))
    make_trade(signal, closed_at=signal.time + timedelta(days=30))
    run_autopsy(horizons=["7D"])
    for horizon in ("7D", "TRADE"):
        _, api, _ = shown(account, audit_of(horizon))
        assert (api["outcome"], api["reason"]["action"]) == ("pending", "Import newer candles")


def test_a_gap_through_the_stop_says_how_far(account: Account, instrument: Instrument) -> None:
    minutes = int((ENTRY - MONDAY).total_seconds()) // 60 + 30
    make_candles(instrument, walk(minutes, step=0.1))
    # Half an hour on it opens thirty pips lower, and the stop is ten away.
    later = walk(1440, start=109_700, step=0.1)
    make_candles(instrument, later, start=ENTRY + timedelta(minutes=30))
    make_signal(account, instrument)
    run_autopsy(horizons=["4H"])
    audit = audit_of()
    assert audit.outcome == Outcome.FAILED
    assert audit.flags == Flag.GAP_THROUGH_STOP | Flag.ENTRY_OUTSIDE_CANDLE
    said, _, _ = shown(account, audit)
    beyond = round((1.099 - audit.exit_price) / 0.0001, 1)
    assert beyond == 20.0
    assert f"Filled at 1.09700, {beyond} pips beyond the stop at 1.09900" in said


def test_an_entry_that_was_not_to_be_had_is_not_judged(
    account: Account, instrument: Instrument
) -> None:
    """The market is at 1.105, the signal says 1.10 and wants 1.102: no win of 2 R."""
    make_candles(instrument, [110_500] * BARS)
    make_signal(account, instrument)
    run_autopsy(horizons=["4H"])
    audit = audit_of()
    assert (audit.outcome, audit.r_multiple) == (Outcome.NEEDS_REVIEW, None)
    assert audit.flags == Flag.ENTRY_OFF_MARKET | Flag.ENTRY_OUTSIDE_CANDLE
    assert audit.needs_manual_review
    said, api, row = shown(account, audit)
    assert api["reason"]["code"] == "entry_off_market"
    assert "at its entry the market was already at or beyond a level" in said
    assert "entry_off_market" in row["flags"]
