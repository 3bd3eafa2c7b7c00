"""What the API's views have in common."""

from __future__ import annotations

from typing import Any, ClassVar

from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.views import APIView

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
    """A GET of pages. Subclasses give the ordered rows that this user may see."""

    row_class: ClassVar[type[BaseSerializer[Any]]]
    paging = (Pages.page_query_param, Pages.page_size_query_param)
    # Named for the schema, which describes the pages from it.
    pagination_class = Pages

    def rows(self, request: Request) -> Any:
        raise NotImplementedError(f"{type(self).__name__} implements rows()")

    def get(self, request: Request) -> Response:
        pages = Pages()
        page = pages.paginate_queryset(self.rows(request), request, self)
        context = {"request": request}
        data = self.row_class(page, many=True, context=context).data
        return pages.get_paginated_response(data)
