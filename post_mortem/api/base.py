"""What the API's views have in common."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db.models import QuerySet
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.views import APIView

from trading.models import OwnedQuerySet, visible_accounts

from .fields import Query, StrictSerializer
from .pagination import Pages


class Endpoint(APIView):
    """Refuses parameters it does not know. `query_class` lists those of GET, `post_query_class`
    those of POST; every other method takes none."""

    query_class: ClassVar[type[Query]] = Query
    post_query_class: ClassVar[type[Query]] = Query
    paging: ClassVar[tuple[str, ...]] = ()

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        self.wanted = self._wanted(request)

    def _wanted(self, request: Request) -> dict[str, Any]:
        """The parameters of the address, checked."""
        given = {}
        for name, values in request.query_params.lists():
            if len(values) > 1:
                raise ValidationError({name: ["Given more than once."]}, code="repeated_parameter")
            given[name] = values[0]
        classes = {"GET": self.query_class, "HEAD": self.query_class, "POST": self.post_query_class}
        paging = self.paging if request.method in ("GET", "HEAD") else ()
        query = classes.get(request.method or "", Query)(
            data={name: value for name, value in given.items() if name not in paging}
        )
        query.is_valid(raise_exception=True)
        return dict(query.validated_data)

    def body(self, request: Request, serializer: type[StrictSerializer]) -> dict[str, Any]:
        """The body of a request, checked."""
        checked = serializer(data=request.data)
        checked.is_valid(raise_exception=True)
        return dict(checked.validated_data)


class ListEndpoint(Endpoint):
    """A GET of pages. Subclasses give the ordered rows that this user may see, and what a row
    takes along: a page is found by ids alone, which an index can do, before anything is joined."""

    row_class: ClassVar[type[BaseSerializer[Any]]]
    paging = (Pages.page_query_param, Pages.page_size_query_param)
    # Named for the schema, which describes the pages from it.
    pagination_class = Pages

    def rows(self, request: Request) -> QuerySet[Any]:
        raise NotImplementedError(f"{type(self).__name__} implements rows()")

    def whole(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """`rows` with everything that `row_class` shows."""
        return rows

    def get(self, request: Request) -> Response:
        pages = Pages()
        rows = self.rows(request)
        ids = pages.paginate_queryset(rows.values_list("pk", flat=True), request, self) or []
        found = {row.pk: row for row in self.whole(rows.model._default_manager.filter(pk__in=ids))}
        # A row deleted between the two queries is simply not there any more.
        page = [found[pk] for pk in ids if pk in found]
        data = self.row_class(page, many=True, context={"request": request}).data
        return pages.get_paginated_response(data)


def visible(rows: OwnedQuerySet, user: Any) -> QuerySet[Any]:
    """What the user may see, with the accounts spelled out: an index that starts with the account
    then gives the order, which it cannot for a subquery."""
    accounts = list(visible_accounts(user).values_list("pk", flat=True))
    return rows.visible_to(user).filter(account__in=accounts)
