"""`import_trades` and `import_signals` as a person or a program runs them."""

from __future__ import annotations

import io
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command

from tests.trading.candle_texts import text as candle_text
from tests.trading.owners import an_account
from trading.core.errors import NotFoundError, UserError
from trading.core.instruments import describe
from trading.models import (
    Account,
    CandleSeries,
    Desk,
    Instrument,
    InstrumentAlias,
    NewsEvent,
    Signal,
    Trade,
)
from trading.services.accounts import (
    LOCAL_USER,
    account_for,
    ensure_personal_desk,
    get_or_create_account,
)
from trading.services.instruments import ensure_instrument, find_instrument

pytestmark = pytest.mark.django_db
FILLS = """Date,Time,Symbol,Quantity,Price,Side,Commission,TransFee,ECNFee
2024-03-04,07:00:00,EURUSD,1000,1.0850,B,,,
2024-03-04,08:00:00,EURUSD,1000,1.0860,S,,,
"""
SIGNAL = (
    '{"time": "2024-03-04T12:00:00Z", "symbol": "EURUSD", "timeframe": "1h", "side": "long",'
    ' "entry": 1.085}'
)


@pytest.fixture
def fills(tmp_path: Path) -> Path:
    path = tmp_path / "fills.csv"
    path.write_text(FILLS)
    return path


@pytest.fixture
def signals(tmp_path: Path) -> Path:
    path = tmp_path / "signals.jsonl"
    path.write_text(SIGNAL)
    return path


def run(name: str, *arguments: object) -> str:
    out = io.StringIO()
    call_command(name, *map(str, arguments), stdout=out)
    return out.getvalue()


def run_json(name: str, *arguments: object) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(run(name, *arguments, "--json"))
    return result


def failed(name: str, *arguments: object) -> tuple[int, str, dict[str, Any]]:
    out = io.StringIO()
    with pytest.raises(CommandError) as caught:
        call_command(name, *map(str, arguments), "--json", stdout=out)
    return caught.value.returncode, str(caught.value), json.loads(out.getvalue())


# --- Trades ---------------------------------------------------------------------------------------
def test_an_empty_database_gets_a_user_and_the_account(fills: Path) -> None:
    text = run("import_trades", fills, "--account", "Live", "--tz", "UTC")
    user = get_user_model().objects.get()
    assert (user.get_username(), user.has_usable_password()) == (LOCAL_USER, False)
    assert f"manage.py changepassword {LOCAL_USER}" in text
    assert "2 rows: 1 trade new" in text
    assert "result 1.0000 USD net" in text
    assert [a.name for a in Account.objects.all()] == ["Live"]
    assert Trade.objects.get().account.owner == user
    again = run("import_trades", fills, "--account", "Live", "--tz", "UTC")
    assert "changepassword" not in again
    assert "0 trades new, 0 updated, 2 duplicates, 0 skipped" in again


def test_the_summary_for_programs(fills: Path) -> None:
    summary = run_json("import_trades", fills, "--account", "Live", "--tz", "America/New_York")
    assert summary["trades_new"] == 1
    assert (summary["user"], summary["user_new"], summary["account_new"]) == ("trader", True, True)
    assert summary["preview"][0] == {
        "row": 2, "symbol": "EURUSD", "time": "2024-03-04T12:00:00+00:00", "side": "buy",
        "price": "1.0850", "quantity": "1000", "commission": None,
    }  # fmt: skip
    assert summary["pnl"] == {"USD": {"gross": "1.0000", "net": "1.0000"}}


def test_a_dry_run_leaves_not_even_the_user(fills: Path) -> None:
    text = run("import_trades", fills, "--account", "Live", "--tz", "UTC", "--dry-run")
    assert "1 trade would be new" in text
    assert "would make the local user trader\nwould make the account Live of trader\n" in text
    assert "account Live of trader" in text.splitlines()[2]
    for model in (Trade, Signal, Instrument, Account, Desk, get_user_model()):
        assert model._default_manager.count() == 0


def test_bad_input_is_two_and_leaves_nothing(fills: Path, tmp_path: Path) -> None:
    status, text, error = failed("import_trades", fills, "--account", "Live")
    assert (status, error["code"], error["row"]) == (2, "timezone_required", 2)
    assert "fills.csv, line 2:" in text
    assert get_user_model().objects.count() == 0
    status, _, error = failed("import_trades", tmp_path / "none.csv", "--account", "Live")
    assert (status, error["code"]) == (2, "not_readable")
    status, _, error = failed(
        "import_trades", fills, "--account", "Live", "--tz", "UTC", "--map", "Side"
    )
    assert (status, error["code"]) == (2, "mapping")


def test_bad_rows_are_skipped_on_request(fills: Path) -> None:
    fills.write_text(FILLS + "2024-03-04,09:00:00,EURUSD,0,1.1,B,,,\n")
    text = run("import_trades", fills, "--account", "A", "--tz", "UTC", "--skip-bad-rows")
    assert "skipped line 4: Quantity is 0, expected above zero [quantity]" in text
    assert Trade.objects.count() == 1


def test_columns_are_mapped_once(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_text("When,Symbol,Side,Qty,Rate\n2024-03-04T12:00:00Z,EURUSD,buy,1,1.1\n")
    run("import_trades", path, "--account", "A", "--map", "When=time", "--map", "Rate=price")
    path.write_text("When,Symbol,Side,Qty,Rate\n2024-03-04T13:00:00Z,EURUSD,sell,1,1.2\n")
    run("import_trades", path, "--account", "A")
    assert Trade.objects.get().gross_pnl == Decimal("0.1")


def test_among_several_users_none_is_guessed(fills: Path) -> None:
    an_account("ann")
    bob = an_account("bob")
    status, _, error = failed("import_trades", fills, "--account", "Main", "--tz", "UTC")
    assert (status, error["code"]) == (2, "user_required")
    status, _, error = failed(
        "import_trades", fills, "--account", "Main", "--tz", "UTC", "--user", "eve"
    )
    assert (status, error["code"]) == (2, "no_such_user")
    run("import_trades", fills, "--account", "Main", "--tz", "UTC", "--user", "bob")
    assert Trade.objects.get().account == bob


# --- Signals --------------------------------------------------------------------------------------
def test_signals_go_to_the_only_account(signals: Path) -> None:
    text = run("import_signals", signals)
    assert "1 signal new, 0 duplicates, 0 skipped" in text
    assert run_json("import_signals", signals)["signals_duplicate"] == 1
    run("import_signals", signals, "--account", "Second")
    assert Signal.objects.count() == 2
    status, _, error = failed("import_signals", signals)
    assert (status, error["code"]) == (2, "account_required")


def test_among_several_accounts_the_option_and_the_names_are_told(signals: Path) -> None:
    account = an_account("trader")
    Account.objects.create(desk=account.desk, owner=account.owner, name="Second")
    code, said, _ = failed("import_signals", signals)
    assert (code, "say which with --account: Main, Second" in said) == (2, True)


def test_signals_without_a_timeframe_take_the_one_declared(tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    path.write_text("time;symbol;side;entry\n2024-03-04T12:00:00Z;EURUSD;long;1,085\n")
    run("import_signals", path, "--timeframe", "1h", "--dialect", "decimal-comma")
    assert Signal.objects.get().entry_price == Decimal("1.085")


def test_a_bad_signal_is_two_and_leaves_nothing(signals: Path) -> None:
    signals.write_text(SIGNAL.replace("}", ', "stop_loss": 1.09}'))
    status, text, error = failed("import_signals", signals)
    assert (status, error["code"], error["field"]) == (2, "sl_side", "stop_loss")
    assert "signals.jsonl, line 1:" in text
    assert get_user_model().objects.count() == Instrument.objects.count() == 0


# --- Accounts -------------------------------------------------------------------------------------
def test_every_new_user_gets_one_desk_and_account() -> None:
    user = get_user_model().objects.create_user(username="ann")
    account = Account.objects.get(owner=user)
    assert ensure_personal_desk(user=user) == account
    user.first_name = "Ann"
    user.save()
    assert (Account.objects.count(), Desk.objects.count()) == (1, 1)
    assert account.desk.memberships.get().get_role_display() == "admin"


def test_accounts_by_name() -> None:
    main, other = an_account("ann"), an_account("bob")
    found, is_new = get_or_create_account(user=main.owner, name="Main")
    assert (found, is_new) == (main, False)  # not the one of the same name on another desk
    made, is_new = get_or_create_account(user=other.owner, name=" Swing ")
    assert (made.name, made.desk, made.owner, is_new) == ("Swing", other.desk, other.owner, True)
    for name in ("", " ", "x" * 81):
        with pytest.raises(UserError):
            get_or_create_account(user=other.owner, name=name)
    with pytest.raises(NotFoundError):
        account_for(account=None, username="eve")


# --- Instruments ----------------------------------------------------------------------------------
def test_conventions_set_points_of_currencies_only() -> None:
    assert ensure_instrument(symbol="eur/usd", decimals=2).point == Decimal("0.00001")
    assert ensure_instrument(symbol="ETH/BTC", decimals=21).point == Decimal("0.00000001")
    with pytest.raises(UserError) as caught:
        ensure_instrument(symbol="US500")
    assert caught.value.code == "unknown_instrument"


def test_candles_correct_the_point_that_fills_suggested() -> None:
    fills_say = ensure_instrument(symbol="ETH/BTC", decimals=8)
    assert ensure_instrument(symbol="ETH/BTC", decimals=3).point == fills_say.point
    refined = ensure_instrument(symbol="ETH/BTC", decimals=6, refine=True)
    assert (refined.pk, refined.point, refined.pip) == (
        fills_say.pk, Decimal("0.000001"), Decimal("0.000001"),
    )  # fmt: skip
    CandleSeries.objects.create(
        instrument=refined, timeframe="5m", source="a", kind="trade", point=refined.point,
        scope_key="x",
    )  # fmt: skip
    assert ensure_instrument(symbol="ETH/BTC", decimals=2, refine=True).point == refined.point


def test_a_point_set_by_hand_stays() -> None:
    made = ensure_instrument(symbol="US500", decimals=1)
    Instrument.objects.filter(pk=made.pk).update(pip=Decimal(1))
    assert ensure_instrument(symbol="US500", decimals=3, refine=True).point == Decimal("0.1")


def test_an_instrument_by_its_aliases() -> None:
    made = ensure_instrument(symbol="EURUSD")
    InstrumentAlias.objects.create(alias="EURUSD.PRO", instrument=made)
    for name in ("EURUSD", "eur_usd", "eurusd.pro"):
        assert find_instrument(name) == made
    assert find_instrument("GBPUSD") is None
    assert made.point == describe("EURUSD").point


# --- Taking back ----------------------------------------------------------------------------------
def test_an_import_of_a_command_is_listed_and_taken_back(tmp_path: Path) -> None:
    calendar = tmp_path / "may.csv"
    calendar.write_text("time,currency,title,impact\n2014-05-02 12:30,USD,Payrolls,high\n")
    assert run("undo_import") == "no import is kept\n"
    batch = run_json("import_news", calendar, "--tz", "America/New_York")["import_id"]
    assert f"import {batch}: news may.csv, everybody" in run("undo_import")
    assert run_json("undo_import")["imports"][0]["id"] == batch
    assert f"Taken back: import {batch}: news may.csv" in run("undo_import", batch)
    assert not NewsEvent.objects.exists()
    assert failed("undo_import", batch)[2]["code"] == "already_undone"
    assert failed("undo_import", batch + 1)[2]["code"] == "not_found"
    assert run("undo_import") == "no import is kept\n"


def test_trades_and_candles_of_a_command_are_taken_back(fills: Path, tmp_path: Path) -> None:
    bars = tmp_path / "EURUSD_M1.csv"
    bars.write_bytes(candle_text())
    trades = run_json("import_trades", fills, "--account", "Live", "--tz", "UTC")["import_id"]
    candles = run_json("import_ohlcv", bars)["files"][0]["import_id"]
    assert run_json("undo_import", trades)["trades_removed"] == 1
    run("undo_import", candles)
    assert not Trade.objects.exists()
    assert not CandleSeries.objects.exists()
