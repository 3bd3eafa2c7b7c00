from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.db.models.signals import post_save


def give_desk(*, instance: Any, created: bool, raw: bool, **_: Any) -> None:
    """A new user gets a desk and an account; a fixture brings its own."""
    from trading.services.accounts import ensure_personal_desk

    if created and not raw:
        ensure_personal_desk(user=instance)


class TradingConfig(AppConfig):
    name = "trading"
    default_auto_field = "django.db.models.BigAutoField"
    verbose_name = "Trading"

    def ready(self) -> None:
        post_save.connect(
            give_desk, sender=settings.AUTH_USER_MODEL, dispatch_uid="trading.give_desk"
        )
