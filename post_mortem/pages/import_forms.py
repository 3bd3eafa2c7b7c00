"""From an uploaded form to a call of the importers."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, QueryDict

from trading.core.errors import UserError
from trading.importers.contract import ReadOptions
from trading.importers.news import NewsOptions
from trading.importers.sources import InputFile
from trading.importers.trades_columns import parse_mapping
from trading.importers.trades_contract import TradeOptions
from trading.models import Account, Membership, Role
from trading.services.candle_imports import ImportRequest, import_candles
from trading.services.news import import_news
from trading.services.signals import import_signals
from trading.services.trades import import_trades

KINDS: Mapping[str, tuple[str, str]] = {
    "trades": ("Trades", "A freqtrade result (JSON, ZIP), or a CSV of round trips or executions."),
    "candles": ("Candles", "CSV, JSON, freqtrade feather, or a Lean ZIP."),
    "news": ("News", "A calendar as CSV: time, currency, title, impact."),
    "signals": ("Signals", "CSV or JSONL: time, symbol, side, entry, stop_loss, take_profit ..."),
}
MAX_UPLOAD = 512 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Upload:
    kind: str
    file: UploadedFile
    account: Account
    options: QueryDict

    def text(self, name: str) -> str | None:
        return self.options.get(name, "").strip() or None


def read_upload(request: HttpRequest, accounts: list[Account]) -> Upload:
    """Check what every kind needs: a kind, a file, an account that the user may change."""
    kind = request.POST.get("kind", "")
    if kind not in KINDS:
        raise UserError("kind", f"Choose what the file holds: {', '.join(KINDS)}.", field="kind")
    file = request.FILES.get("file")
    if file is None:
        raise UserError("no_file", "Choose a file first.", field="file")
    if (file.size or 0) > MAX_UPLOAD:
        size = MAX_UPLOAD // 1024**2
        detail = f"Files up to {size} MB can be uploaded; import larger ones from the command line."
        raise UserError("file_too_large", detail, field="file")
    asked = request.POST.get("account", "")
    account = next((a for a in accounts if str(a.pk) == asked), accounts[0] if accounts else None)
    if account is None or (asked and str(account.pk) != asked):
        raise UserError("account", "Choose an account that you may change.", field="account")
    return Upload(kind, file, account, request.POST)


def run(upload: Upload, *, user: Any, dry_run: bool) -> dict[str, Any]:
    """Import, or do all of it and keep nothing; the importer's summary either way."""
    by_kind = {"trades": _trades, "signals": _signals, "candles": _candles, "news": _news}
    return by_kind[upload.kind](upload, user, dry_run)


def _trades(upload: Upload, user: Any, dry_run: bool) -> dict[str, Any]:
    pairs = [line for line in upload.options.get("mapping", "").splitlines() if line.strip()]
    options = TradeOptions(
        tz=upload.text("tz"),
        mapping=parse_mapping(pairs),
        date_order=upload.text("date_order"),
        decimal_comma=bool(upload.text("decimal_comma")),
        symbol=upload.text("symbol"),
        timeframe=upload.text("timeframe"),
        partial=bool(upload.text("partial")),
    )
    return import_trades(
        account=upload.account,
        data=upload.file.read(),
        file_name=upload.file.name or "upload",
        options=options,
        created_by=user,
        dry_run=dry_run,
    ).summary


def _signals(upload: Upload, user: Any, dry_run: bool) -> dict[str, Any]:
    return import_signals(
        account=upload.account,
        data=upload.file.read(),
        file_name=upload.file.name or "upload",
        options=TradeOptions(
            tz=upload.text("tz"),
            date_order=upload.text("date_order"),
            decimal_comma=bool(upload.text("decimal_comma")),
            timeframe=upload.text("timeframe"),
            partial=bool(upload.text("partial")),
        ),
        created_by=user,
        dry_run=dry_run,
    ).summary


def _candles(upload: Upload, user: Any, dry_run: bool) -> dict[str, Any]:
    _must_lead(user, upload.account)
    options = ReadOptions(
        now_ns=time.time_ns(),
        symbol=upload.text("symbol"),
        timeframe=upload.text("timeframe"),
        tz=upload.text("tz"),
        decimal_comma=bool(upload.text("decimal_comma")),
        date_order=upload.text("date_order"),
    )
    request = ImportRequest(options=options, desk=upload.account.desk, user=user, dry_run=dry_run)
    return import_candles(files=[_input(upload)], request=request).as_dict()


def _news(upload: Upload, user: Any, dry_run: bool) -> dict[str, Any]:
    _must_lead(user, upload.account)
    options = NewsOptions(
        tz=upload.text("tz"), year=_year(upload.text("year")), date_order=upload.text("date_order")
    )
    return import_news(
        file=_input(upload), options=options, desk=upload.account.desk, user=user, dry_run=dry_run
    )


def _input(upload: Upload) -> InputFile:
    def opened() -> Any:
        # Importers close what they open; the upload must outlive that.
        upload.file.open("rb")
        return upload.file.file

    return InputFile(upload.file.name or "upload", opened)


def _must_lead(user: Any, account: Account) -> None:
    """Candles and news are the desk's, and everybody on it is judged by them."""
    led = Membership.objects.filter(user=user, desk=account.desk_id, role__gte=Role.LEAD)
    if not led.exists():
        raise UserError(
            "not_permitted", "Only who leads this desk may import its candles and news."
        )


def _year(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) == 4):
        raise UserError("year", "A year has four digits, like 2014.", field="year")
    return int(text)
