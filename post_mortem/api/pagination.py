"""Pages of a list: `?page=` and `?page_size=`, the second clamped to what a page may cost."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from rest_framework.exceptions import ValidationError
from rest_framework.pagination import PageNumberPagination
from rest_framework.request import Request
from rest_framework.views import APIView


class Pages(PageNumberPagination):
    """The order of a list ends with its primary key, so that no row is on two pages."""

    page_size = 50
    page_size_query_param = "page_size"
    max_page_size = 200
    last_page_strings = ()

    def paginate_queryset(
        self, queryset: QuerySet[Any], request: Request, view: APIView | None = None
    ) -> list[Any] | None:
        for name in (self.page_query_param, self.page_size_query_param):
            _check(name, request.query_params.get(name))
        return super().paginate_queryset(queryset, request, view)


def _check(name: str, value: str | None) -> None:
    if value is None:
        return
    if not (value.isascii() and value.isdecimal() and int(value[:18]) > 0 and len(value) <= 18):
        message = "A whole number from 1 on."
        raise ValidationError({name: [message]}, code="bad_page")
