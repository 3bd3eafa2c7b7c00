"""Values of a JSON body that several views take."""

from __future__ import annotations

from typing import Any

from trading.core.errors import UserError

from .base import MAX_ID


def asked_account(values: dict[str, Any]) -> int | str | None:
    """Take the account's id or name out of a body; None when there is none."""
    value = values.pop("account", None)
    if value is None or (isinstance(value, str) and value.strip() and not value.isdecimal()):
        return value
    if type(value) is not int or not 1 <= value <= MAX_ID:
        raise UserError("bad_id", "account is the id or the name of an account", field="account")
    return value
