"""`/api/trading/{candles,trades,news}/import/`: files as `multipart/form-data`, read at once."""

from __future__ import annotations

import io
import time
from typing import Any

from django.core.files.uploadedfile import UploadedFile
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from trading.core.errors import UserError
from trading.importers import candle_files
from trading.importers import trades as trade_files
from trading.importers.contract import ReadOptions
from trading.importers.news import NewsOptions
from trading.importers.option_words import error_without_options, without_options
from trading.importers.sources import ENCODINGS, InputFile
from trading.importers.trades_columns import parse_mapping
from trading.importers.trades_contract import TradeOptions
from trading.services.accounts import account_chosen, market_data_desk
from trading.services.candle_imports import ImportRequest, import_candles
from trading.services.news import import_news
from trading.services.trades import import_trades

from .base import MAX_ID, Endpoint, StrictSerializer, answers
from .rows import SummarySerializer

MAX_UPLOAD_BYTES = 64 * 1024 * 1024


class UploadIn(StrictSerializer):
    file = serializers.FileField(allow_empty_file=True)
    tz = serializers.CharField(required=False, help_text="Zone of times without an offset")
    date_order = serializers.ChoiceField(["dmy", "mdy"], required=False)
    encoding = serializers.ChoiceField(list(ENCODINGS), required=False)
    dry_run = serializers.BooleanField(default=False)


@extend_schema_field(OpenApiTypes.STR)
class AccountField(serializers.CharField):
    """An account by its id or its name."""

    def to_internal_value(self, data: Any) -> Any:
        text = super().to_internal_value(data)
        if not (text.isascii() and text.isdecimal()):
            return text
        if len(text) > len(str(MAX_ID)) or not 1 <= int(text) <= MAX_ID:
            raise serializers.ValidationError("No id of an account.", code="bad_id")
        return int(text)


class TradesUploadIn(UploadIn):
    account = AccountField(required=False, help_text="Id or name; default: your only account")
    format = serializers.ChoiceField(list(trade_files.FORMATS), default=trade_files.AUTO)
    map = serializers.ListField(
        child=serializers.CharField(), default=list, help_text="COLUMN=FIELD, repeated"
    )
    symbol = serializers.CharField(required=False)
    strategy = serializers.CharField(max_length=80, required=False)
    timeframe = serializers.CharField(max_length=6, required=False)
    decimal_comma = serializers.BooleanField(default=False)
    skip_bad_rows = serializers.BooleanField(default=False)


class MarketDataUploadIn(UploadIn):
    desk = serializers.IntegerField(
        min_value=1, max_value=MAX_ID, required=False, help_text="Default: your own desk"
    )
    shared = serializers.BooleanField(default=False, help_text="For every desk; administrators")


class CandlesUploadIn(MarketDataUploadIn):
    format = serializers.ChoiceField(list(candle_files.FORMATS), default="auto")
    symbol = serializers.CharField(required=False)
    timeframe = serializers.CharField(max_length=6, required=False)
    source = serializers.CharField(max_length=60, required=False)  # type: ignore[assignment]
    decimal_comma = serializers.BooleanField(default=False)
    revise = serializers.BooleanField(default=False)


class NewsUploadIn(MarketDataUploadIn):
    year = serializers.IntegerField(min_value=1980, max_value=2100, required=False)


def uploaded(file: UploadedFile[Any]) -> bytes:
    """The bytes of an upload; too large a one is a UserError `file_too_large`."""
    if (file.size or 0) > MAX_UPLOAD_BYTES:
        limit = MAX_UPLOAD_BYTES // 2**20
        raise UserError("file_too_large", f"The file is larger than {limit} MB.", field="file")
    return bytes(file.read())


def as_input(file: UploadedFile[Any]) -> InputFile:
    data = uploaded(file)
    return InputFile(name_of(file), lambda: io.BytesIO(data))


def name_of(file: UploadedFile[Any]) -> str:
    return file.name or "upload"


def _field(option: str, value: str) -> str:
    """The field of an upload for an option of a command."""
    if option == "dialect":
        return "decimal_comma=true"
    name = option.replace("-", "_")
    return f"{name}={value}" if value else name


class _Upload(Endpoint):
    parser_classes = [MultiPartParser]

    def handle_exception(self, error: Exception) -> Response:
        if isinstance(error, UserError):
            error = error_without_options(error, _field)
        return super().handle_exception(error)


class TradesImport(_Upload):
    @extend_schema(
        operation_id="trades_import",
        request={"multipart/form-data": TradesUploadIn},
        responses=answers({200: SummarySerializer}, 403, 404, 413, 415, 422),
    )
    def post(self, request: Request) -> Response:
        """Import a file of trades. Importing it again adds nothing; `dry_run` only shows."""
        given = self.form_of(request, TradesUploadIn)
        account = account_chosen(user=request.user, asked=given.get("account"))
        options = TradeOptions(
            tz=given.get("tz"),
            format=given["format"],
            mapping=parse_mapping(given["map"]),
            date_order=given.get("date_order"),
            decimal_comma=given["decimal_comma"],
            encoding=given.get("encoding"),
            symbol=given.get("symbol"),
            strategy=given.get("strategy"),
            timeframe=given.get("timeframe"),
            partial=given["skip_bad_rows"],
        )
        result = import_trades(
            account=account,
            data=uploaded(given["file"]),
            file_name=name_of(given["file"]),
            options=options,
            created_by=request.user,
            dry_run=given["dry_run"],
        )
        warnings = [
            {**warning, "detail": without_options(warning["detail"], _field)}
            for warning in result.summary["warnings"]
        ]
        return Response({**result.summary, "warnings": warnings})


class CandlesImport(_Upload):
    @extend_schema(
        operation_id="candles_import",
        request={"multipart/form-data": CandlesUploadIn},
        responses=answers({200: OpenApiTypes.OBJECT}, 403, 404, 413, 415, 422),
    )
    def post(self, request: Request) -> Response:
        """Import a file of candles for a desk you lead. Importing it again changes nothing."""
        given = self.form_of(request, CandlesUploadIn)
        desk = _desk(request.user, given)
        options = ReadOptions(
            now_ns=time.time_ns(),
            symbol=given.get("symbol"),
            timeframe=given.get("timeframe"),
            tz=given.get("tz"),
            encoding=given.get("encoding"),
            decimal_comma=given["decimal_comma"],
            date_order=given.get("date_order"),
        )
        asked = ImportRequest(
            options=options,
            format=given["format"],
            source=given.get("source"),
            desk=desk,
            user=request.user,
            dry_run=given["dry_run"],
            revise=given["revise"],
        )
        result = import_candles(files=[as_input(given["file"])], request=asked)
        return Response(result.as_dict())


class NewsImport(_Upload):
    @extend_schema(
        operation_id="news_import",
        request={"multipart/form-data": NewsUploadIn},
        responses=answers({200: OpenApiTypes.OBJECT}, 403, 404, 413, 415, 422),
    )
    def post(self, request: Request) -> Response:
        """Import an economic calendar for a desk you lead."""
        given = self.form_of(request, NewsUploadIn)
        desk = _desk(request.user, given)
        result = import_news(
            file=as_input(given["file"]),
            options=NewsOptions(
                tz=given.get("tz"),
                year=given.get("year"),
                encoding=given.get("encoding"),
                date_order=given.get("date_order"),
            ),
            desk=desk,
            user=request.user,
            dry_run=given["dry_run"],
        )
        return Response(result)


def _desk(user: Any, given: dict[str, Any]) -> Any:
    return market_data_desk(user=user, desk_id=given.get("desk"), shared=given["shared"])
