"""Every error of the API is JSON: `{"code", "detail", "field"?, "row"?}`, never a page.

The exception's type says who must act, and so gives the status: a user's error is 4xx, one that
passes by itself is 503 with `Retry-After`, everything else is ours: 500, logged.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from django.conf import settings
from django.core.exceptions import (
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
)
from django.db import DatabaseError, DataError, IntegrityError, InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.http.multipartparser import MultiPartParserError
from django.views import defaults
from rest_framework import exceptions
from rest_framework.response import Response

from trading.core.errors import (
    ConflictError,
    FileError,
    InquestError,
    NotFoundError,
    RetryLaterError,
    UserError,
)

logger = logging.getLogger(__name__)

_RETRY_SECONDS: Final = 5
_UNPROCESSABLE: Final = 422
# Codes whose status differs from that of their type.
_STATUS_BY_CODE: Final[Mapping[str, int]] = {
    "unknown_field": 400,
    "unknown_parameter": 400,
    "read_only_field": 400,
    "idempotency_key_invalid": 400,
    "not_permitted": 403,
    "version_stale": 412,
    "version_required": 428,
    "too_many_ids": 413,
    "file_too_large": 413,
    "decompressed_limit": 413,
    "archive_limit": 413,
    "column_limit": 413,
    "line_limit": 413,
    "row_limit": 413,
    "storage_full": 507,
}


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    code: str
    detail: str
    extra: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def body(self) -> dict[str, Any]:
        return {"code": self.code, "detail": self.detail, **self.extra}


def exception_handler(error: Exception, context: Mapping[str, Any]) -> Response:
    """What the framework calls for every exception of a view."""
    answer = answer_to(error)
    if answer.status == 500:
        request = context.get("request")
        path = getattr(request, "path", "?")
        logger.error("%s on %s", type(error).__name__, path, exc_info=error)
    return Response(answer.body, status=answer.status, headers=answer.headers)


def answer_to(error: Exception) -> Answer:
    if isinstance(error, InquestError):
        return _inquest_error(error)
    if isinstance(error, exceptions.APIException):
        return _api_exception(error)
    if isinstance(error, DatabaseError | InterfaceError):
        return _database_error(error)
    return _django_error(error)


def _inquest_error(error: InquestError) -> Answer:
    extra: dict[str, Any] = {}
    if isinstance(error, UserError):
        status = _user_status(error)
        extra = {k: v for k in ("field", "row") if (v := getattr(error, k)) is not None}
        if isinstance(error, FileError):
            extra["problems"] = [problem.as_dict() for problem in error.problems]
    elif isinstance(error, RetryLaterError):
        return _later(error.code, error.detail)
    else:
        status = _STATUS_BY_CODE.get(error.code, 500)
    return Answer(status, error.code, error.detail, extra)


def _user_status(error: UserError) -> int:
    if error.code in _STATUS_BY_CODE:
        return _STATUS_BY_CODE[error.code]
    if isinstance(error, NotFoundError):
        return 404
    return 409 if isinstance(error, ConflictError) else _UNPROCESSABLE


def _api_exception(error: exceptions.APIException) -> Answer:
    headers = {}
    if challenge := getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = challenge
    if isinstance(error, exceptions.Throttled) and error.wait is not None:
        headers["Retry-After"] = str(int(error.wait))
    where, leaf = _first_leaf(error.detail, "")
    extra = {"field": where} if where else {}
    code = str(getattr(leaf, "code", None) or error.default_code)
    return Answer(error.status_code, code, str(leaf), extra, headers)


def _first_leaf(detail: Any, where: str) -> tuple[str, Any]:
    """The first message of a validation error and the path of its field, as in `ids[3]`."""
    if isinstance(detail, Mapping) and detail:
        key, value = next(iter(detail.items()))
        if isinstance(key, int):
            return _first_leaf(value, f"{where}[{key}]")
        if key == "non_field_errors":
            return _first_leaf(value, where)
        return _first_leaf(value, f"{where}.{key}" if where else str(key))
    if isinstance(detail, list) and detail:
        index, value = next((i, v) for i, v in enumerate(detail) if v)
        nested = isinstance(value, Mapping | list)
        return _first_leaf(value, f"{where}[{index}]" if nested else where)
    return where, detail


def _database_error(error: Exception) -> Answer:
    text = str(error).lower()
    if "disk is full" in text or "no space left" in text:
        return Answer(507, "storage_full", "The disk of the database is full; nothing was saved.")
    if isinstance(error, IntegrityError):
        return Answer(409, "conflict", "Something this refers to was changed by somebody else.")
    if isinstance(error, DataError):
        return Answer(_UNPROCESSABLE, "out_of_range", "A value does not fit into the database.")
    if isinstance(error, OperationalError | InterfaceError):
        busy = "locked" in text or "deadlock" in text or "serialize" in text
        if busy:
            return _later("database_busy", "The database is busy; nothing was saved. Try again.")
        return _later("database_unavailable", "The database cannot do this now. Try again.")
    return _unexpected()


def _django_error(error: Exception) -> Answer:
    if isinstance(error, Http404):
        return Answer(404, "not_found", "Not found.")
    if isinstance(error, PermissionDenied):
        return Answer(403, "permission_denied", "This is not yours to do.")
    if isinstance(error, RequestDataTooBig):
        limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE // (1024 * 1024)
        return Answer(413, "body_too_large", f"The body is larger than {limit} MB.")
    if isinstance(error, SuspiciousOperation | MultiPartParserError):
        return Answer(400, "bad_request", "The request is malformed.")
    return _unexpected()


def _later(code: str, detail: str) -> Answer:
    return Answer(503, code, detail, headers={"Retry-After": str(_RETRY_SECONDS)})


def _unexpected() -> Answer:
    return Answer(500, "internal_error", "Something went wrong here. It has been logged.")


# --- Errors outside of the API's views: unknown addresses, refused hosts -------------------------
def _is_api(request: HttpRequest) -> bool:
    return request.path_info.startswith("/api/")


def _json(answer: Answer) -> HttpResponse:
    return JsonResponse(answer.body, status=answer.status, headers=answer.headers)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    if _is_api(request):
        return _json(_django_error(SuspiciousOperation()))
    return defaults.bad_request(request, exception)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    if _is_api(request):
        return _json(_django_error(PermissionDenied()))
    return defaults.permission_denied(request, exception)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    if _is_api(request):
        return _json(_django_error(Http404()))
    return defaults.page_not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    return _json(_unexpected()) if _is_api(request) else defaults.server_error(request)
