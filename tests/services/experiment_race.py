"""Many draw one experiment at once and start others on the same trades:
`python -m tests.services.experiment_race` on the database given."""

from __future__ import annotations

import json
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier
from typing import Any

AT_ONCE = 8
NOW = datetime(2026, 3, 4, 15, tzinfo=UTC)


def race() -> dict[str, Any]:
    """What came of it: experiments started, rows, units drawn twice, and faults found."""
    from django.db import connections

    from post_mortem.models import Experiment, ExperimentAssignment
    from post_mortem.selectors.experiments import faults
    from post_mortem.services.experiment_draws import draw
    from post_mortem.services.experiments import start_experiment
    from tests.services.factories import make_account
    from trading.core.errors import UserError

    account = make_account()
    together = Barrier(AT_ONCE)

    def start(n: int) -> str:
        together.wait()
        try:
            start_experiment(
                account=account,
                recommendation=None,
                name=f"Test {n}",
                rule="Wait.",
                unit="day",
                scope={},
                starts_on=None,
                shadow=False,
                strict=False,
                user=account.owner,
                now=NOW,
            )
        except UserError as error:
            return error.code
        finally:
            connections.close_all()
        return "started"

    def draw_later(n: int) -> int:
        together.wait()
        try:
            return draw(now=NOW + timedelta(days=9))
        finally:
            connections.close_all()

    with ThreadPoolExecutor(AT_ONCE) as pool:
        started = Counter(pool.map(start, range(AT_ONCE)))
        drawn = sum(pool.map(draw_later, range(AT_ONCE)))
    keys = Counter(ExperimentAssignment.objects.values_list("experiment", "unit_key"))
    return {
        "started": dict(started),
        "drawn_later": drawn,
        "rows": sum(keys.values()),
        "twice": sum(n > 1 for n in keys.values()),
        "faults": [fault for e in Experiment.objects.all() for fault in faults(e)],
    }


def main() -> None:
    import django
    from django.core.management import call_command
    from django.test.utils import setup_test_environment

    django.setup()
    setup_test_environment()
    call_command("migrate", verbosity=0)
    sys.stdout.write(json.dumps(race()))


if __name__ == "__main__":
    main()
