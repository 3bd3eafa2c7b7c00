"""`manage.py create_token USER`: make an API token and print it, this once."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any, Final

from django.contrib.auth import get_user_model
from django.core.management.base import CommandParser
from django.utils import timezone

from post_mortem.models import ApiToken
from post_mortem.services import tokens
from trading.core.errors import NotFoundError
from trading.management.base import InquestCommand, Summary

_CENTURY: Final = 36_500


class Command(InquestCommand):
    help = "Make an API token. It is shown once: only its hash is stored."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("user", help="name of the user it acts for")
        parser.add_argument("--name", default="command line", help="what it is for")
        parser.add_argument("--scope", choices=ApiToken.Scope.values, default=ApiToken.Scope.READ)
        parser.add_argument("--days", type=int, help="days until it expires; default: never")

    def run(self, *, user: str, name: str, scope: str, days: int | None, **_: Any) -> Summary:
        owner = get_user_model().objects.filter(username=user, is_active=True).first()
        if owner is None:
            raise NotFoundError("no_such_user", f"There is no active user {user!r}.", field="user")
        now = timezone.now()
        expires_at = None if days is None else now + timedelta(days=max(0, min(days, _CENTURY)))
        token, secret = tokens.create_token(
            user=owner, name=name, scope=scope, expires_at=expires_at, now=now
        )
        return {
            "token": secret,
            "user": owner.get_username(),
            "name": token.name,
            "scope": token.scope,
            "expires_at": expires_at.isoformat() if expires_at else None,
        }

    def lines(self, summary: Summary) -> Iterable[str]:
        until = summary["expires_at"] or "it is revoked"
        yield f"{summary['user']} may {summary['scope']} with this token until {until}:"
        yield str(summary["token"])
