"""Desks, accounts and who they belong to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction

from trading.core.errors import NotFoundError, UserError
from trading.models import Account, Desk, Membership, Role, editable_accounts, visible_accounts

LOCAL_USER = "trader"
PERSONAL_ACCOUNT = "Main"
_NAME_LENGTH = 80


@transaction.atomic
def ensure_personal_desk(*, user: Any) -> Account:
    """A desk of the user's own with one account, made once; the user runs it."""
    own = Account.objects.filter(owner=user, desk__is_demo=False).order_by("pk").first()
    if own is not None:
        return own
    desk = Desk.objects.create(name=f"{user.get_username()}'s desk"[:_NAME_LENGTH])
    Membership.objects.create(user=user, desk=desk, role=Role.ADMIN)
    return Account.objects.create(desk=desk, owner=user, name=PERSONAL_ACCOUNT)


def find_account(*, user: Any, name: str) -> Account | None:
    """The account of this name that the user may change, the user's own first."""
    found = list(editable_accounts(user).filter(name=name).order_by("pk")[:100])
    own = [account for account in found if account.owner_id == user.pk]
    candidates = own or found
    if len(candidates) > 1:
        desks = ", ".join(str(account.desk) for account in candidates)
        raise UserError(
            "account_ambiguous",
            f"{name!r} is an account of several desks: {desks}",
            field="account",
        )
    return candidates[0] if candidates else None


@transaction.atomic
def get_or_create_account(*, user: Any, name: str) -> tuple[Account, bool]:
    """(account, whether it is new): the user's account of this name, made on the personal desk."""
    wanted = _checked_name(name)
    found = find_account(user=user, name=wanted)
    if found is not None:
        return found, False
    desk = ensure_personal_desk(user=user).desk
    return Account.objects.get_or_create(desk=desk, name=wanted, defaults={"owner": user})


def _checked_name(name: str) -> str:
    wanted = name.strip()
    if not wanted or len(wanted) > _NAME_LENGTH:
        raise UserError(
            "account", f"an account's name has 1 to {_NAME_LENGTH} characters", field="account"
        )
    return wanted


@transaction.atomic
def local_user(*, username: str | None = None) -> tuple[Any, bool]:
    """(user, whether it is new) for whom a command works.

    The named user; else the only one there is; on a database without users a local one, who
    cannot sign in until a password is set. Among several none is guessed.
    """
    users: Any = get_user_model()._default_manager
    if username is not None:
        found = users.filter(username=username).first()
        if found is None:
            raise NotFoundError("no_such_user", f"there is no user {username!r}", field="user")
        return found, False
    existing = list(users.order_by("pk")[:2])
    if len(existing) > 1:
        raise UserError(
            "user_required", "there are several users: say for whom with --user", field="user"
        )
    if existing:
        return existing[0], False
    created: AbstractBaseUser = users.create_user(username=LOCAL_USER)
    ensure_personal_desk(user=created)
    return created, True


def account_chosen(*, user: Any, asked: int | str | None) -> Account:
    """The account that a user may change, by its id or its name; unsaid the user's only one.

    One that is not visible does not exist (NotFoundError); one that may only be read is a UserError
    `not_permitted`.
    """
    if asked is None:
        own = list(Account.objects.filter(owner=user).order_by("pk")[:2])
        if len(own) != 1:
            detail = f"Say which account: {_accounts_of(user)}."
            raise UserError("account_required", detail, field="account")
        return own[0]
    if isinstance(asked, str):
        named = find_account(user=user, name=asked)
        if named is None:
            detail = f"No account of this name: {_accounts_of(user)}."
            raise NotFoundError("not_found", detail, field="account")
        return named
    account = visible_accounts(user).filter(pk=asked).select_related("desk").first()
    if account is None:
        raise NotFoundError("not_found", "Not found.")
    if not editable_accounts(user).filter(pk=asked).exists():
        raise UserError("not_permitted", "You may read this, not change it.")
    return account


def _accounts_of(user: Any) -> str:
    rows = editable_accounts(user).order_by("pk")[:20]
    return "yours are " + (", ".join(f"{row.name} ({row.pk})" for row in rows) or "none")


def market_data_desk(*, user: Any, desk_id: int | None, shared: bool = False) -> Desk | None:
    """Whose candles and news a user may add: a desk the user leads, without an id the personal
    one; None, for everybody's, is an administrator's to choose."""
    if shared:
        if not user.is_superuser:
            raise UserError("not_permitted", "Shared market data is added by an administrator.")
        return None
    if desk_id is None:
        return ensure_personal_desk(user=user).desk
    membership = Membership.objects.filter(user=user, desk=desk_id).select_related("desk").first()
    if membership is None:
        raise NotFoundError("not_found", "Not found.")
    if membership.role < Role.LEAD:
        raise UserError("not_permitted", "You may read this, not change it.")
    return membership.desk


@dataclass(frozen=True, slots=True)
class Owner:
    """For whom a command works; `user_new` and `account_new` say what it made for that."""

    user: Any
    account: Account
    user_new: bool
    account_new: bool


@transaction.atomic
def account_for(*, account: str | None, username: str | None = None) -> Owner:
    """The account a command works on, for `local_user(username)`.

    A named one is made when it is missing; without a name it is the user's only one.
    """
    user, user_new = local_user(username=username)
    if account is not None and user_new:
        # Their only account is the one asked for.
        personal = ensure_personal_desk(user=user)
        personal.name = _checked_name(account)
        personal.save(update_fields=["name"])
        return Owner(user, personal, user_new, account_new=True)
    if account is not None:
        found, account_new = get_or_create_account(user=user, name=account)
        return Owner(user, found, user_new, account_new)
    own = list(Account.objects.filter(owner=user).order_by("pk"))
    if len(own) > 1:
        names = ", ".join(each.name for each in own)
        detail = f"{user} has several accounts: say which with --account: {names}"
        raise UserError("account_required", detail, field="account")
    return Owner(user, own[0] if own else ensure_personal_desk(user=user), user_new, not own)
