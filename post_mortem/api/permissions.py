"""What a token may do. What a user may see and change is decided by the querysets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rest_framework.permissions import SAFE_METHODS, IsAuthenticated
from rest_framework.request import Request

from post_mortem.models import ApiToken

if TYPE_CHECKING:
    # Importing it needs the settings, which name this module.
    from rest_framework.views import APIView


class MayUseApi(IsAuthenticated):
    """Signed in; and a token made for reading does not write, wherever it is used."""

    message = "This token may only read."

    def has_permission(self, request: Request, view: APIView) -> bool:
        if not super().has_permission(request, view):
            return False
        token = request.auth
        if not isinstance(token, ApiToken) or request.method in SAFE_METHODS:
            return True
        return bool(token.scope == ApiToken.Scope.WRITE)
