"""`remove_demo`: take the simulated desks away, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from post_mortem.services.demo import remove_demo
from trading.management.base import InquestCommand, Summary


class Command(InquestCommand):
    help = "Remove every simulated desk with all that is on it, and the demo login."

    def run(self, **options: Any) -> Summary:
        return remove_demo()

    def lines(self, summary: Summary) -> Iterable[str]:
        if not summary["desks"]:
            yield "There is no simulated desk."
            return
        yield f"Removed {summary['trades']} simulated trades and {summary['signals']} signals."
