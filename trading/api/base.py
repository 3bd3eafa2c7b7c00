"""What the views have in common: strict parameters and bodies, pages, exact numbers.

Errors are raised, not built: the handler named in the settings turns them into answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, ClassVar

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import (
    OpenApiResponse,
    extend_schema_field,
    extend_schema_serializer,
)
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.pagination import PageNumberPagination
from rest_framework.parsers import BaseParser, MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.settings import api_settings
from rest_framework.views import APIView

_EARLIEST = datetime(1980, 1, 1, tzinfo=UTC)
_LATEST = datetime(2100, 1, 1, tzinfo=UTC)
MAX_ID = 2**63 - 1
_PARSERS: Any = api_settings.DEFAULT_PARSER_CLASSES
JSON_PARSERS: list[type[BaseParser]] = [p for p in _PARSERS if not issubclass(p, MultiPartParser)]


class StrictSerializer(serializers.Serializer[Any]):
    """Refuses what it does not know: a misspelt name must not be a silent default."""

    unknown_code = "unknown_field"

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping):
            known = {name for name, field in self.fields.items() if not field.read_only}
            unknown = [str(name) for name in data if name not in known]
            if unknown:
                takes = ", ".join(sorted(known)) or "nothing"
                named = f" {', '.join(unknown)}" if len(unknown) > 1 else ""
                detail = f"Unknown{named}: this takes {takes}."
                raise ValidationError({unknown[0]: [detail]}, code=self.unknown_code)
        return super().to_internal_value(data)


class Query(StrictSerializer):
    """The parameters of an address."""

    unknown_code = "unknown_parameter"


@extend_schema_field(OpenApiTypes.STR)
class ExactField(serializers.Field[Any, Any, Any, Any]):
    """A decimal as text with every digit."""

    def to_representation(self, value: Decimal) -> str:
        return format(value, "f")


@extend_schema_field(OpenApiTypes.STR)
class SideField(serializers.Field[Any, Any, Any, Any]):
    """long or short."""

    def to_representation(self, value: int) -> str:
        return "long" if value > 0 else "short"


@extend_schema_field(OpenApiTypes.DATETIME)
class MomentField(serializers.Field[datetime, str, str, Any]):
    """A day (UTC) or a time with its zone. A day as an end includes that day."""

    default_error_messages = {
        "invalid": "A day like 2024-05-31 or a time with its zone like 2024-05-31T14:00:00Z.",
        "range": "A time from 1980 to 2099.",
    }

    def __init__(self, *, is_end: bool = False, **kwargs: Any) -> None:
        self.is_end = is_end
        super().__init__(**kwargs)

    def to_internal_value(self, data: Any) -> datetime:
        try:
            moment = self._read(str(data))
        except (ValueError, OverflowError):
            self.fail("invalid")
        if not _EARLIEST <= moment <= _LATEST:
            self.fail("range")
        return moment

    def _read(self, text: str) -> datetime:
        if not text.isascii() or len(text) > 40:
            raise ValueError(text)
        if len(text) == len("2024-05-31"):
            day = datetime.combine(date.fromisoformat(text), time(), tzinfo=UTC)
            return day + timedelta(days=1) if self.is_end else day
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            raise ValueError(text)
        return moment.astimezone(UTC)


class Pages(PageNumberPagination):
    """`?page=` and `?page_size=`, the second clamped to what a page may cost."""

    page_size = 50
    page_size_query_param = "page_size"
    max_page_size = 200
    last_page_strings = ()
    invalid_page_message = "There is no page {page_number}."

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> Any:
        for name in (self.page_query_param, self.page_size_query_param):
            value = request.query_params.get(name, "1")
            if not (value.isascii() and value.isdecimal() and len(value) < 19 and int(value) > 0):
                raise ValidationError({name: ["A whole number from 1 on."]}, code="bad_page")
        return super().paginate_queryset(queryset, request, view)


class Endpoint(APIView):
    """Refuses parameters it does not know; `query_class` lists those of GET."""

    query_class: ClassVar[type[Query]] = Query
    paging: ClassVar[tuple[str, ...]] = ()

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        given = {}
        for name, values in request.query_params.lists():
            if len(values) > 1:
                raise ValidationError({name: ["Given more than once."]}, code="repeated_parameter")
            given[name] = values[0]
        reads = request.method in ("GET", "HEAD")
        paging = self.paging if reads else ()
        query = (self.query_class if reads else Query)(
            data={name: value for name, value in given.items() if name not in paging}
        )
        query.is_valid(raise_exception=True)
        self.wanted = dict(query.validated_data)

    def object_of(self, request: Request) -> dict[str, Any]:
        """The body, which has to be a JSON object."""
        if not isinstance(request.data, dict):
            raise ValidationError("The body is a JSON object.", code="not_an_object")
        return dict(request.data)

    def form_of(self, request: Request, serializer: type[StrictSerializer]) -> dict[str, Any]:
        """The fields of an upload, checked."""
        checked = serializer(data=request.data)
        checked.is_valid(raise_exception=True)
        return dict(checked.validated_data)


class ListEndpoint(Endpoint):
    """A GET of pages. Subclasses give the ordered rows that this user may see."""

    row_class: ClassVar[type[serializers.BaseSerializer[Any]]]
    paging = (Pages.page_query_param, Pages.page_size_query_param)
    pagination_class = Pages

    def rows(self, request: Request) -> Any:
        raise NotImplementedError(f"{type(self).__name__} implements rows()")

    def get(self, request: Request) -> Response:
        pages = Pages()
        page = pages.paginate_queryset(self.rows(request), request, self)
        return pages.get_paginated_response(self.row_class(page, many=True).data)


@extend_schema_serializer(component_name="TradingError")
class ErrorSerializer(serializers.Serializer[Any]):
    """Every error has this shape."""

    code = serializers.CharField(help_text="Stable, for programs")
    detail = serializers.CharField(help_text="For people")
    field = serializers.CharField(required=False)
    row = serializers.IntegerField(required=False)


_MEANING: Mapping[int, str] = {
    400: "Malformed, or a field or parameter that is not known",
    401: "No valid token or session",
    403: "A token that may only read, or an account or desk that you may only read",
    404: "Absent, or not yours",
    409: "The same id with another content is stored",
    413: "More than one request may carry",
    415: "Another content type than this takes",
    422: "Understood, and not possible: `field` and `row` say where",
    503: "Try again after Retry-After seconds",
}


def answers(success: Mapping[int, Any], *errors: int) -> dict[int, Any]:
    """The responses of one operation: `success` as given, and errors by status."""
    statuses = sorted({400, 401, 503, *errors})
    return {
        **success,
        **{s: OpenApiResponse(ErrorSerializer, description=_MEANING[s]) for s in statuses},
    }
