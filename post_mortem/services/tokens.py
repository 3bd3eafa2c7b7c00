"""API tokens: made here, stored hashed, found by hash."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import transaction
from django.db.models import Q

from post_mortem.models import ApiToken
from trading.core.errors import UserError

_MARK: Final = "inq_"
_SHOWN: Final = 10
# Nobody needs the minute of the last use, and a read should not write more often than this.
_USE_RECORDED_EVERY: Final = timedelta(hours=1)


def hash_of(secret: str) -> str:
    """The sha256 under which a token is stored, hexadecimal."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


@transaction.atomic
def create_token(
    *, user: Any, name: str, scope: str, expires_at: datetime | None, now: datetime
) -> tuple[ApiToken, str]:
    """Make a token for `user`. The second value is the secret, which cannot be read again.

    Raises `UserError`: `bad_scope`, `bad_name` (empty or over 80 characters), `bad_expiry` (not
    after `now`)."""
    if scope not in ApiToken.Scope.values:
        raise UserError("bad_scope", f"A scope is read or write, not {scope!r}.", field="scope")
    if not 0 < len(name) <= 80:
        raise UserError("bad_name", "A token needs a name of 1 to 80 characters.", field="name")
    if expires_at is not None and expires_at <= now:
        raise UserError("bad_expiry", "A token must expire in the future.", field="expires_at")
    secret = _MARK + secrets.token_urlsafe(32)
    token = ApiToken.objects.create(
        user=user,
        name=name,
        prefix=secret[:_SHOWN],
        sha256=hash_of(secret),
        scope=scope,
        expires_at=expires_at,
    )
    return token, secret


def valid_token(*, secret: str, now: datetime) -> ApiToken | None:
    """The token that may be used now, or None. One indexed query, whatever the reason for None."""
    return (
        ApiToken.objects.select_related("user")
        .filter(
            Q(expires_at=None) | Q(expires_at__gt=now),
            sha256=hash_of(secret),
            revoked_at=None,
            user__is_active=True,
        )
        .first()
    )


def record_use(*, token: ApiToken, now: datetime) -> bool:
    """Note that the token was used; True if that was worth a write."""
    if token.last_used_at is not None and now - token.last_used_at < _USE_RECORDED_EVERY:
        return False
    # Opened only here: on SQLite a transaction is a claim to write, which a read must not make.
    with transaction.atomic():
        return bool(ApiToken.objects.filter(pk=token.pk).update(last_used_at=now))


def revoke_token(*, token: ApiToken, now: datetime) -> None:
    """Revoke for good; a token revoked before keeps its time."""
    ApiToken.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=now)
