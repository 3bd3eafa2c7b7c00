"""Who is looking: the accounts they may see, their zone, and whether a demo desk is among them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

from trading.models import Account, editable_accounts, visible_accounts


@dataclass(frozen=True)
class Viewer:
    """A signed-in user's view of the site. `zone` is that of the user's own first account."""

    user: Any
    accounts: tuple[Account, ...]

    @cached_property
    def zone(self) -> ZoneInfo:
        own = [account for account in self.accounts if account.owner_id == self.user.pk]
        first = next(iter(own or self.accounts), None)
        return ZoneInfo(first.time_zone) if first else ZoneInfo("UTC")

    @property
    def has_demo(self) -> bool:
        return any(account.desk.is_demo for account in self.accounts)

    @property
    def has_several(self) -> bool:
        return len(self.accounts) > 1

    def account(self, pk: int) -> Account | None:
        return next((account for account in self.accounts if account.pk == pk), None)


def viewer_of(user: Any) -> Viewer:
    accounts = visible_accounts(user).select_related("desk").order_by("pk")
    return Viewer(user=user, accounts=tuple(accounts))


def can_edit(user: Any, account_id: int) -> bool:
    return editable_accounts(user).filter(pk=account_id).exists()
