"""`remove_demo`: take the simulated desks away, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from post_mortem.services.demo import DEMO_USER, remove_demo
from trading.management.base import InquestCommand, Summary
from trading.models import Desk


class Command(InquestCommand):
    help = (
        "Remove every simulated desk with all that is on it, and the demo login unless it owns "
        "anything else."
    )

    def run(self, **options: Any) -> Summary:
        return remove_demo()

    def kept(self) -> str:
        left = Desk.objects.filter(is_demo=True).exists()
        return "Nothing was removed." if left else "The simulated desk is gone."

    def lines(self, summary: Summary) -> Iterable[str]:
        if not summary["desks"]:
            yield "There is no simulated desk."
        else:
            yield f"Removed {summary['trades']} simulated trades and {summary['signals']} signals."
        if summary["logins_kept"]:
            yield (
                f"The login {DEMO_USER} stays, because it owns imports of yours. Give it a "
                f"password of your own: python manage.py changepassword {DEMO_USER}"
            )
