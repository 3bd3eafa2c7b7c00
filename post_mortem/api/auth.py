"""`Authorization: Bearer <token>`. Every way in which a token can be bad gets the same answer."""

from __future__ import annotations

import logging
from typing import Any, Final

from django.db import DatabaseError
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from post_mortem.models import ApiToken
from post_mortem.services import tokens

logger = logging.getLogger(__name__)
_LONGEST: Final = 200


class TokenAuthentication(BaseAuthentication):
    """`request.auth` is the `ApiToken`; None for a session."""

    def authenticate(self, request: Request) -> tuple[Any, ApiToken] | None:
        scheme, _, rest = get_authorization_header(request).partition(b" ")
        if scheme.lower() != b"bearer":
            return None
        secret = rest.strip().decode("latin-1")[:_LONGEST]
        now = timezone.now()
        token = tokens.valid_token(secret=secret, now=now)
        if token is None:
            raise AuthenticationFailed("This token is not valid.", code="bad_token")
        try:
            tokens.record_use(token=token, now=now)
        except DatabaseError:
            # Reads keep working while the database cannot be written.
            logger.warning("Could not record the use of token %s", token.prefix)
        return token.user, token

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="inquest"'
