"""One row that a user asks for by name, or the error that says no more than it must."""

from __future__ import annotations

from typing import Any

from trading.core.errors import NotFoundError, UserError
from trading.models import OwnedQuerySet, editable_accounts


def readable(queryset: OwnedQuerySet, *, user: Any, **lookup: Any) -> Any:
    """The one row of `queryset` matching `lookup`. Raises `NotFoundError`, the same for a foreign
    row and for one that does not exist."""
    row = queryset.visible_to(user).filter(**lookup).first()
    if row is None:
        raise NotFoundError("not_found", "Not found.")
    return row


def writable(queryset: OwnedQuerySet, *, user: Any, **lookup: Any) -> Any:
    """As `readable`; raises `UserError` `not_permitted` where the user may only read."""
    row = readable(queryset, user=user, **lookup)
    if not editable_accounts(user).filter(pk=row.account_id).exists():
        raise UserError("not_permitted", "You may read this, not change it.")
    return row
