"""Liveness and readiness, for whatever restarts the process or sends it requests."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from django.db import DatabaseError
from django.http import HttpRequest, JsonResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from post_mortem.selectors import health as selector

logger = logging.getLogger(__name__)


@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """The process answers. Says nothing about the database."""
    return _answer({"status": "live"})


@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """200 when the database answers and can be written, else 503; with the backlog of work."""
    try:
        writable = selector.database_is_writable()
        backlog = selector.backlog(now=timezone.now())
    except DatabaseError:
        logger.exception("The database does not answer")
        return _answer({"status": "unavailable", "database": "unreachable"}, status=503)
    if not writable:
        body = {"status": "unavailable", "database": "read_only", "backlog": backlog}
        return _answer(body, status=503)
    return _answer({"status": "ready", "database": "ok", "backlog": backlog})


def _answer(body: Mapping[str, object], status: int = 200) -> JsonResponse:
    headers = {"Cache-Control": "no-store"}
    if status == 503:
        headers["Retry-After"] = "5"
    return JsonResponse(dict(body), status=status, headers=headers)
