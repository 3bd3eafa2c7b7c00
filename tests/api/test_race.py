"""Fifty clients, one version: one succeeds, the others are told, on both databases."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from post_mortem.models import RecommendationHistory
from tests.api.race import CLIENTS, toggle

EXPECTED = {200: 1, 412: CLIENTS - 1}


def test_on_a_sqlite_file(tmp_path: Path) -> None:
    # A process of its own: the tests' own SQLite database is in memory, where locks differ.
    environment = {
        **os.environ,
        "DATABASE_URL": f"sqlite:///{tmp_path / 'race.sqlite3'}",
        "INQUEST_DATA_DIR": str(tmp_path),
        "DJANGO_SETTINGS_MODULE": os.environ["DJANGO_SETTINGS_MODULE"],
    }
    done = subprocess.run(
        [sys.executable, "-m", "tests.api.race"],
        env=environment,
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    result = json.loads(done.stdout)
    assert {int(k): v for k, v in result["statuses"].items()} == EXPECTED
    assert (result["rows"], result["history"]) == (1, 1)


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_on_postgresql() -> None:
    assert dict(toggle()) == EXPECTED
    assert RecommendationHistory.objects.count() == 1
