"""Signals, trades and imports over HTTP."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from rest_framework.test import APIClient

from tests.trading.owners import an_account, contents
from trading.api import imports
from trading.models import (
    Account,
    CandleSeries,
    ImportBatch,
    Membership,
    NewsEvent,
    Role,
    Signal,
    Trade,
)

pytestmark = pytest.mark.django_db

SIGNALS, TRADES = "/api/trading/signals/", "/api/trading/trades/"
SIGNAL: dict[str, Any] = {
    "external_id": "s-1",
    "time": "2024-03-04T13:00:00+01:00",
    "symbol": "EUR/USD",
    "timeframe": "1h",
    "side": "long",
    "entry": "1.08500",
    "stop_loss": 1.084,
    "claimed_setups": ["bos"],
}
BUY = {
    "time": "2024-03-04T12:00:00Z", "symbol": "EURUSD", "side": "buy", "quantity": "2",
    "price": "1.10", "commission": "-1", "strategy": "dip", "timeframe": "5m",
}  # fmt: skip
SELL = BUY | {"time": "2024-03-04T12:05:00Z", "side": "sell", "price": "1.20"}
FILLS = """Date,Time,Symbol,Quantity,Price,Side,Commission,TransFee,ECNFee
2024-03-04,07:00:00,EURUSD,1000,1.0850,B,,,
2024-03-04,08:00:00,EURUSD,1000,1.0860,S,,,
"""


@pytest.fixture
def account() -> Account:
    return an_account("ann")


@pytest.fixture
def client(account: Account) -> APIClient:
    return client_of(account)


def client_of(account: Account) -> APIClient:
    client = APIClient()
    client.force_login(account.owner)
    return client


def without(values: dict[str, Any], name: str) -> dict[str, Any]:
    return {k: v for k, v in values.items() if k != name}


def upload(client: APIClient, what: str, text: str | bytes, **fields: Any) -> Any:
    data = text.encode() if isinstance(text, str) else text
    form = {"file": SimpleUploadedFile("upload.csv", data), **fields}
    return client.post(f"/api/trading/{what}/import/", form, format="multipart")


# --- Signals --------------------------------------------------------------------------------------
def test_a_signal_is_posted_once(client: APIClient, account: Account) -> None:
    first = client.post(SIGNALS, SIGNAL, format="json")
    again = client.post(SIGNALS, SIGNAL, format="json")
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json() == client.get(SIGNALS).json()["results"][0]
    row = first.json()
    assert (row["account"], row["symbol"], row["side"]) == (account.pk, "EURUSD", "long")
    assert (row["entry"], row["stop_loss"], row["take_profit"]) == ("1.08500", "1.084", None)
    assert (row["time"], row["claimed_setups"]) == ("2024-03-04T12:00:00Z", ["bos"])
    other = client.post(SIGNALS, SIGNAL | {"entry": "1.086"}, format="json")
    assert (other.status_code, other.json()["code"]) == (409, "conflicting_duplicate")


@pytest.mark.parametrize(
    ("changes", "status", "code", "field"),
    [
        ({"stop_loss": "1.09"}, 422, "sl_side", "stop_loss"),
        ({"take_profit": "1.085"}, 422, "tp_side", "take_profit"),
        ({"side": "LONGG"}, 422, "choice", "side"),
        ({"side": None}, 422, "missing", "side"),
        ({"time": "2024-03-04T13:00:00"}, 422, "timezone_required", "time"),
        ({"entry": "1." + "1" * 41}, 422, "precision", "entry"),
        ({"entry": []}, 422, "bad_number", "entry"),
        ({"claimed_setups": ["BOS"]}, 422, "choice", "claimed_setups"),
        ({"symbol": "<script>"}, 422, "bad_symbol", "symbol"),
        ({"account": "1"}, 422, "bad_id", "account"),
        ({"account": "Nobody's"}, 404, "not_found", "account"),
        ({"account": 999_999_999}, 404, "not_found", None),
        ({"id": 5}, 400, "unknown_field", "id"),
        ({"owner": 1}, 400, "unknown_field", "owner"),
        ({"source": "trade"}, 400, "unknown_field", "source"),
    ],
)
def test_a_bad_signal_changes_nothing(
    client: APIClient, changes: dict[str, Any], status: int, code: str, field: str | None
) -> None:
    before = contents()
    response = client.post(SIGNALS, SIGNAL | changes, format="json")
    answer = response.json()
    assert (response.status_code, answer["code"], answer.get("field")) == (status, code, field)
    assert contents() == before


def test_bodies_that_are_no_objects(client: APIClient) -> None:
    for url in (SIGNALS, TRADES):
        assert client.post(url, [SIGNAL], format="json").status_code == 400
        assert client.post(url, "x", content_type="text/plain").status_code == 415
        assert client.post(url, {"a": "b"}, format="multipart").status_code == 415
        for method in (client.put, client.patch, client.delete):
            assert method(url, {}, format="json").status_code == 405


# --- Trades ---------------------------------------------------------------------------------------
def test_executions_become_trades(client: APIClient, account: Account) -> None:
    body = {"account": account.pk, "executions": [BUY, SELL]}
    dry = client.post(TRADES, body | {"dry_run": True}, format="json")
    assert (dry.status_code, dry.json()["trades_new"], Trade.objects.count()) == (200, 1, 0)
    first = client.post(TRADES, body, format="json")
    assert (first.status_code, first.json()["pnl"]) == (
        201, {"USD": {"gross": "0.20", "net": "-1.80"}},
    )  # fmt: skip
    again = client.post(TRADES, body, format="json")
    assert (again.status_code, again.json()["executions_duplicate"]) == (200, 2)
    (row,) = client.get(TRADES).json()["results"]
    assert (row["side"], row["quantity"], row["entry_price"], row["exit_price"]) == (
        "long", "2", "1.10", "1.20",
    )  # fmt: skip
    assert (row["net_pnl"], row["commission"], row["strategy"]) == ("-1.80", "-2", "dip")
    assert Signal.objects.get(pk=row["signal"]).timeframe == "5m"


def test_a_json_number_is_taken_for_its_shortest_text(client: APIClient) -> None:
    client.post(TRADES, {"executions": [BUY | {"price": 0.1, "quantity": 3}]}, format="json")
    assert Trade.objects.get().entry_price == Decimal("0.1")


@pytest.mark.parametrize(
    ("changes", "status", "code", "field"),
    [
        ({"quantity": 0}, 422, "quantity", "quantity"),
        ({"quantity": -1}, 422, "quantity", "quantity"),
        ({"quantity": None}, 422, "bad_number", "quantity"),
        ({"quantity": True}, 422, "bad_number", "quantity"),
        ({"price": "x"}, 422, "bad_number", "price"),
        ({"price": 0}, 422, "non_positive_price", "price"),
        ({"side": "LONGG"}, 422, "choice", "side"),
        ({"side": None}, 422, "choice", "side"),
        ({"side": 1}, 422, "bad_text", "side"),
        ({"time": "2024-03-04T12:00:00"}, 422, "timezone_required", "time"),
        ({"time": None}, 422, "missing", "time"),
        ({"symbol": "=cmd|x"}, 422, "bad_symbol", "symbol"),
        ({"timeframe": "5x"}, 422, "timeframe", "timeframe"),
        ({"strategy": "x" * 81}, 422, "too_long", "strategy"),
        ({"success_score": 99}, 400, "unknown_field", "success_score"),
    ],
)
def test_a_bad_execution_names_its_row_and_changes_nothing(
    client: APIClient, changes: dict[str, Any], status: int, code: str, field: str
) -> None:
    before = contents()
    response = client.post(TRADES, {"executions": [BUY, SELL | changes]}, format="json")
    answer = response.json()
    assert (response.status_code, answer["code"], answer["field"], answer["row"]) == (
        status, code, field, 2,
    )  # fmt: skip
    assert contents() == before


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 400, "invalid"),
        ({"executions": {}}, 400, "invalid"),
        ({"executions": [], "dry_run": "yes"}, 400, "invalid"),
        ({"executions": []}, 422, "no_rows"),
        ({"executions": ["x"]}, 422, "malformed_json"),
        ({"executions": [BUY], "user": 1}, 400, "unknown_field"),
        ({"executions": [BUY] * 50_001}, 413, "row_limit"),
    ],
)
def test_bodies_that_hold_no_executions(
    client: APIClient, body: dict[str, Any], status: int, code: str
) -> None:
    response = client.post(TRADES, body, format="json")
    assert (response.status_code, response.json()["code"]) == (status, code)


def test_among_several_accounts_none_is_guessed(client: APIClient, account: Account) -> None:
    Account.objects.create(desk=account.desk, owner=account.owner, name="Second")
    response = client.post(TRADES, {"executions": [BUY]}, format="json")
    assert (response.status_code, response.json()["code"]) == (422, "account_required")
    assert response.json()["detail"].startswith(f"Say which account: yours are Main ({account.pk})")
    named = {"executions": [BUY], "account": "Second"}
    assert client.post(TRADES, named, format="json").json()["account"] == "Second"
    text = SIGNAL | {"account": "Second"}
    assert client.post(SIGNALS, text, format="json").status_code == 201
    assert upload(client, "trades", FILLS, tz="UTC", account="Main").json()["account"] == "Main"
    absent = upload(client, "trades", FILLS, tz="UTC", account="Third")
    assert (absent.status_code, "Second (" in absent.json()["detail"]) == (404, True)
    assert upload(client, "trades", FILLS, tz="UTC", account="9" * 30).status_code == 400
    # What another's account is called is not told.
    assert client_of(an_account("bob")).post(TRADES, named, format="json").status_code == 404


# --- Lists ----------------------------------------------------------------------------------------
def days(n: int) -> str:
    return (datetime(2024, 3, 4, 12, tzinfo=UTC) + timedelta(days=n)).isoformat()


def test_lists_are_filtered_and_paged(client: APIClient) -> None:
    fills = [BUY | {"time": days(n), "symbol": "EURUSD"} for n in (0, 2)]
    fills += [SELL | {"time": days(1)}, BUY | {"time": days(3), "symbol": "GBPUSD"}]
    client.post(TRADES, {"executions": fills}, format="json")

    def found(url: str = TRADES, **query: Any) -> list[str]:
        rows = client.get(url, query).json()["results"]
        return [row["opened_at" if url == TRADES else "time"][:10] for row in rows]

    assert found() == ["2024-03-07", "2024-03-06", "2024-03-04"]
    assert found(symbol="EURUSD") == ["2024-03-06", "2024-03-04"]
    assert found(state="open", symbol="EURUSD") == ["2024-03-06"]
    assert found(state="closed") == ["2024-03-04"]
    assert found(**{"from": "2024-03-06", "to": "2024-03-06"}) == ["2024-03-06"]
    assert found(strategy="other") == []
    assert found(page_size=2, page=2) == ["2024-03-04"]
    assert found(SIGNALS, source="trade", symbol="GBPUSD") == ["2024-03-07"]
    assert found(SIGNALS, source="feed") == []
    assert client.get(TRADES, {"page": 9}).status_code == 404


@pytest.mark.parametrize(
    "query",
    [
        "ordering=user__password", "symbol__regex=(a%2B)%2B$", "page=-1", "page_size=1e9",
        "page=0", "account=x", "state=half", "from=soon", "from=2024-03-04T12:00:00",
        "to=0001-01-01", "symbol=A&symbol=B", "source=a",
    ],
)  # fmt: skip
def test_parameters_that_mean_nothing_are_refused(client: APIClient, query: str) -> None:
    response = client.get(f"{TRADES}?{query}")
    assert response.status_code == 400
    assert set(response.json()) == {"code", "detail", "field"}


def test_a_list_costs_the_same_queries_for_any_number_of_rows(
    client: APIClient, django_assert_num_queries: Any
) -> None:
    fills = [BUY | {"time": days(n), "symbol": f"T{n}"} for n in range(30)]
    client.post(TRADES, {"executions": fills}, format="json")
    for url in (TRADES, SIGNALS):
        client.get(url)
        with django_assert_num_queries(4):  # session, user, count, rows
            assert len(client.get(url).json()["results"]) == 30


def test_others_see_and_change_nothing(client: APIClient, account: Account) -> None:
    client.post(TRADES, {"executions": [BUY]}, format="json")
    client.post(SIGNALS, SIGNAL, format="json")
    before = contents()
    stranger = client_of(an_account("bob"))
    for url, body in ((SIGNALS, SIGNAL), (TRADES, {"executions": [BUY]})):
        assert stranger.get(url).json()["count"] == 0
        assert stranger.post(url, {**body, "account": account.pk}, format="json").status_code == 404
        assert APIClient().get(url).status_code == 401
    answer = upload(stranger, "trades", FILLS, tz="UTC", account=account.pk)
    assert answer.status_code == 404
    reviewer = an_account("eve")
    Membership.objects.create(user=reviewer.owner, desk=account.desk, role=Role.REVIEWER)
    reading = client_of(reviewer)
    assert reading.get(TRADES).json()["count"] == 1
    body = {"account": account.pk, "executions": [SELL]}
    assert reading.post(TRADES, body, format="json").status_code == 403
    assert upload(reading, "candles", "x", desk=account.desk_id).status_code == 403
    assert contents() == before


# --- Files ----------------------------------------------------------------------------------------
def test_a_file_of_trades(client: APIClient) -> None:
    assert upload(client, "trades", FILLS, tz="UTC", dry_run="true").json()["trades_new"] == 1
    assert Trade.objects.count() == 0
    first = upload(client, "trades", FILLS, tz="UTC")
    assert (first.status_code, first.json()["trades_new"]) == (200, 1)
    assert first.json()["import_id"] == ImportBatch.objects.get().pk
    again = upload(client, "trades", FILLS, tz="UTC").json()
    assert (again["trades_new"], again["executions_duplicate"], again["import_id"]) == (0, 2, None)


def test_columns_of_an_upload_are_mapped(client: APIClient) -> None:
    text = "When,Symbol,Side,Qty,Rate\n2024-03-04T12:00:00Z,EURUSD,buy,1,1.1\n"
    refused = upload(client, "trades", text)
    assert (refused.status_code, refused.json()["code"]) == (422, "missing_columns")
    mapped = upload(client, "trades", text, map=["When=time", "Rate=price"])
    assert mapped.json()["executions_new"] == 1


@pytest.mark.parametrize(
    ("text", "fields", "status", "code"),
    [
        (FILLS, {}, 422, "timezone_required"),
        (FILLS, {"tz": "Mars"}, 422, "timezone"),
        ("", {}, 422, "empty_file"),
        (FILLS, {"tz": "UTC", "owner": "1"}, 400, "unknown_field"),
        (FILLS, {"format": "mt9"}, 400, "invalid_choice"),
        (FILLS.replace(",B,", ",X,"), {"tz": "UTC"}, 422, "choice"),
        ("PK\x03\x04", {}, 422, "malformed_archive"),
    ],
)
def test_a_bad_upload_changes_nothing(
    client: APIClient, text: str, fields: dict[str, Any], status: int, code: str
) -> None:
    response = upload(client, "trades", text, **fields)
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert (Trade.objects.count(), ImportBatch.objects.count()) == (0, 0)


def test_an_upload_is_told_what_to_send_not_what_to_type(client: APIClient) -> None:
    answer = upload(client, "trades", FILLS).json()
    assert (answer["field"], answer["row"]) == ("tz", 2)
    assert "the times carry no offset: say with tz in which zone they are" in answer["detail"]
    american = upload(client, "trades", FILLS.replace("2024-03-04", "03/04/2024"), tz="UTC").json()
    assert "declare date_order=dmy or mdy" in american["detail"]
    comma = upload(client, "trades", FILLS.replace("1.0850", '"1,0850"'), tz="UTC").json()
    assert "decimal_comma=true" in comma["detail"]
    assert "--" not in str(comma | american)
    stop = (
        "open_time,side,qty,symbol,entry,close_time,exit,stop\n"
        "2024-03-04T12:00:00Z,long,1,EURUSD,1.1,2024-03-04T13:00:00Z,1.2,1.0\n"
    )
    (warning,) = upload(client, "trades", stop).json()["warnings"]
    assert "map stop=stop_loss_initial" in warning["detail"]
    assert "--" not in warning["detail"]


def test_every_parameter_that_is_not_known_is_named(client: APIClient) -> None:
    answer = client.get(f"{TRADES}?limit=1&owner=9").json()
    assert (answer["field"], answer["detail"][:21]) == ("limit", "Unknown limit, owner:")
    assert "symbol" in answer["detail"]
    assert client.get(f"{TRADES}?page=99").json()["detail"] == "There is no page 99."


def test_uploads_need_a_file_of_reasonable_size(
    client: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = "/api/trading/trades/import/"
    assert client.post(url, {"tz": "UTC"}, format="multipart").status_code == 400
    assert client.post(url, {"tz": "UTC"}, format="json").status_code == 415
    monkeypatch.setattr(imports, "MAX_UPLOAD_BYTES", 10)
    response = upload(client, "trades", FILLS, tz="UTC")
    assert (response.status_code, response.json()["code"]) == (413, "file_too_large")


CANDLES = "time,open,high,low,close,volume\n" + "".join(
    f"2024-03-04T12:{minute:02d}:00Z,1.10000,1.10020,1.09990,1.10010,5\n" for minute in range(10)
)
NEWS = "time,currency,title,impact\n2024-03-08T13:30:00Z,USD,Payrolls,high\n"


def test_candles_and_news_of_ones_own_desk(client: APIClient, account: Account) -> None:
    answer = upload(client, "candles", CANDLES, symbol="EURUSD", timeframe="1m")
    assert (answer.status_code, answer.json()["inserted"]) == (200, 10)
    assert CandleSeries.objects.get().desk == account.desk
    answer = upload(client, "news", NEWS)
    assert (answer.status_code, answer.json()["inserted"]) == (200, 1)
    assert NewsEvent.objects.get().desk == account.desk


def test_shared_market_data_is_an_administrators(client: APIClient, account: Account) -> None:
    for what, text in (("candles", CANDLES), ("news", NEWS)):
        answer = upload(client, what, text, shared="true")
        assert (answer.status_code, answer.json()["code"]) == (403, "not_permitted")
    account.owner.is_superuser = True
    account.owner.save()
    assert upload(client, "news", NEWS, shared="true").status_code == 200
    assert NewsEvent.objects.get().desk is None
    stranger = an_account("bob")
    assert upload(client, "news", NEWS, desk=stranger.desk_id).status_code == 404


@pytest.mark.realdata
def test_the_real_result_over_http(client: APIClient, shared_data: Path) -> None:
    data = (shared_data / "freqtrade" / "backtest-result.json").read_bytes()
    assert upload(client, "trades", data).json()["trades_new"] == 179
    assert upload(client, "trades", data).json()["trades_duplicate"] == 179
    rows = client.get(TRADES, {"page_size": 200}).json()
    assert (rows["count"], len(rows["results"])) == (179, 179)
    (strategy,) = json.loads(data, parse_float=str)["strategy"].values()
    written = {format(Decimal(trade["close_rate"]), "f") for trade in strategy["trades"]}
    assert {row["exit_price"] for row in rows["results"]} == written
