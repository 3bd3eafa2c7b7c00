"""Fifty clients, one version: one succeeds, the others are told, on both databases."""

from pathlib import Path

import pytest

from post_mortem.models import RecommendationHistory
from tests.api.race import CLIENTS, toggle
from tests.processes import on_a_sqlite_file

EXPECTED = {200: 1, 412: CLIENTS - 1}


def test_on_a_sqlite_file(tmp_path: Path) -> None:
    result = on_a_sqlite_file("tests.api.race", tmp_path)
    assert {int(k): v for k, v in result["statuses"].items()} == EXPECTED
    assert (result["rows"], result["history"]) == (1, 1)


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_on_postgresql() -> None:
    assert dict(toggle()) == EXPECTED
    assert RecommendationHistory.objects.count() == 1
