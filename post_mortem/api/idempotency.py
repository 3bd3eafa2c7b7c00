"""`Idempotency-Key`: a request repeated after a lost answer gets that answer, not a second effect.

The key is claimed first, in a transaction of its own, so that a second request in the meantime is
told 409. The effect and its answer are then stored in one transaction: a process killed before
that commit has done nothing, one killed after it has an answer to repeat. Only successes are kept;
a refused request may be corrected and sent again under the same key.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable
from contextlib import nullcontext
from datetime import timedelta
from functools import wraps
from typing import Any, Final

from django.db import DatabaseError, transaction
from django.utils import timezone
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from post_mortem.models import IdempotencyKey
from trading.core.errors import ConflictError, UserError

logger = logging.getLogger(__name__)

HEADER: Final = "Idempotency-Key"
REPLAYED: Final = "Idempotent-Replayed"
KEPT: Final = timedelta(hours=24)
# Longer than any request lives: a claim of that age belongs to a process that is gone.
ABANDONED: Final = timedelta(minutes=5)
MAX_LENGTH: Final = 255

View = Callable[..., Response]


def idempotent(*, atomic: Callable[[Any], bool] = lambda view: True) -> Callable[[View], View]:
    """Decorate a `post` method. `atomic(view)` is False for effects that are idempotent themselves
    and take too long for one transaction."""

    def decorate(post: View) -> View:
        @wraps(post)
        def once(view: Any, request: Request, *args: Any, **kwargs: Any) -> Response:
            key = request.headers.get(HEADER)
            if key is None:
                return post(view, request, *args, **kwargs)
            claim = _claim(request, _checked(key))
            if claim.status_code is not None:
                headers = {REPLAYED: "true"}
                return Response(claim.response, status=claim.status_code, headers=headers)
            try:
                with transaction.atomic() if atomic(view) else nullcontext():
                    response = post(view, request, *args, **kwargs)
                    _keep(claim, response)
            except BaseException:
                _forget(claim)
                raise
            return response

        return once

    return decorate


def _checked(key: str) -> str:
    if not 0 < len(key) <= MAX_LENGTH or not (key.isascii() and key.isprintable()):
        detail = f"{HEADER} is 1 to {MAX_LENGTH} printable ASCII characters."
        raise UserError("idempotency_key_invalid", detail, field=HEADER)
    return key


def _claim(request: Request, key: str) -> IdempotencyKey:
    """The row of this key: fresh and ours, or with the answer to repeat."""
    now = timezone.now()
    IdempotencyKey.objects.filter(user=request.user, created_at__lt=now - KEPT).delete()
    digest = _digest(request)
    scope = {"user": request.user, "method": request.method, "path": _path(request), "key": key}
    row, is_new = IdempotencyKey.objects.get_or_create(**scope, defaults={"body_sha256": digest})
    if is_new:
        return row
    if row.body_sha256 != digest:
        detail = f"This {HEADER} was used for another request."
        raise UserError("idempotency_mismatch", detail, field=HEADER)
    if row.status_code is None:
        _take_over(row)
    return row


def _take_over(row: IdempotencyKey) -> None:
    """Make an abandoned claim ours, or raise: the request that holds it is still at work."""
    now = timezone.now()
    taken = now - row.created_at > ABANDONED and _own(row).update(created_at=now)
    if not taken:
        detail = "The first request with this key is still at work."
        raise ConflictError("idempotency_in_flight", detail, field=HEADER)
    row.created_at = now


def _own(row: IdempotencyKey) -> Any:
    """The row as long as nobody else has taken it over."""
    return IdempotencyKey.objects.filter(
        pk=row.pk, created_at=row.created_at, status_code__isnull=True
    )


def _keep(row: IdempotencyKey, response: Response) -> None:
    content = json.loads(JSONRenderer().render(response.data))
    if not _own(row).update(status_code=response.status_code, response=content):
        detail = "Another request with this key was faster."
        raise ConflictError("idempotency_in_flight", detail, field=HEADER)


def _forget(row: IdempotencyKey) -> None:
    try:
        _own(row).delete()
    except DatabaseError:
        logger.warning("An idempotency key stays claimed for %s", ABANDONED)


def _path(request: Request) -> str:
    path = request.path
    return path if len(path) <= MAX_LENGTH else hashlib.sha256(path.encode()).hexdigest()


def _digest(request: Request) -> str:
    query = request.META.get("QUERY_STRING", "")
    return hashlib.sha256(query.encode() + b"\n" + request.body).hexdigest()
