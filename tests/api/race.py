"""Many clients toggle one recommendation: `python -m tests.api.race` on the database given."""

from __future__ import annotations

import json
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

CLIENTS = 50


def toggle() -> Counter[int]:
    """The statuses of `CLIENTS` requests that all read version 1."""
    from django.db import connections
    from django.urls import reverse

    from tests.api.world import make_world

    world = make_world()
    body = {"recommendation_id": world.mine.recommendation.pk, "status": "IGNORED", "version": 1}
    together = Barrier(CLIENTS)

    def one(n: int) -> int:
        client = world.client("owner")
        together.wait()
        try:
            sent = {**body, "notes": f"client {n}"}
            answer = client.post(reverse("api-recommendation-track"), sent, format="json")
            return int(answer.status_code)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(CLIENTS) as pool:
        return Counter(pool.map(one, range(CLIENTS)))


def main() -> None:
    import django
    from django.core.management import call_command
    from django.test.utils import setup_test_environment

    django.setup()
    setup_test_environment()
    call_command("migrate", verbosity=0)
    from post_mortem.models import RecommendationHistory, RecommendationTracking

    statuses = toggle()
    versions = RecommendationTracking.objects.filter(version=2).count()
    result = {
        "statuses": statuses,
        "rows": versions,
        "history": RecommendationHistory.objects.count(),
    }
    sys.stdout.write(json.dumps(result))


if __name__ == "__main__":
    main()
