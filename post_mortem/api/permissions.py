"""Who may do what. What a user may see is decided by the querysets; here is the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rest_framework.permissions import SAFE_METHODS, IsAuthenticated
from rest_framework.request import Request

from post_mortem.models import ApiToken
from trading.core.errors import NotFoundError, UserError
from trading.models import OwnedQuerySet, editable_accounts

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


def readable(queryset: OwnedQuerySet, user: Any, **lookup: Any) -> Any:
    """The one row, or 404: a foreign row and one that does not exist are the same."""
    row = queryset.visible_to(user).filter(**lookup).first()
    if row is None:
        raise NotFoundError("not_found", "Not found.")
    return row


def writable(queryset: OwnedQuerySet, user: Any, **lookup: Any) -> Any:
    """The one row; 404 when the user may not even read it, 403 when only reading is allowed."""
    row = readable(queryset, user, **lookup)
    if not editable_accounts(user).filter(pk=row.account_id).exists():
        raise UserError("not_permitted", "You may read this, not change it.")
    return row
