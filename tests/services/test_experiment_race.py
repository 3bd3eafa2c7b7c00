"""Two draws and two starts at once, on both databases: one of each, and every seal holds."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.services.experiment_race import AT_ONCE, race

EXPECTED = {
    "started": {"started": 1, "overlaps": AT_ONCE - 1},
    # Fourteen days ahead of a Wednesday are ten working days; nine days later, seven more.
    "drawn_later": 7,
    "rows": 17,
    "twice": 0,
    "faults": [],
}


def test_on_a_sqlite_file(tmp_path: Path) -> None:
    # A process of its own: the tests' own SQLite database is in memory, where locks differ.
    environment = {
        **os.environ,
        "DATABASE_URL": f"sqlite:///{tmp_path / 'race.sqlite3'}",
        "INQUEST_DATA_DIR": str(tmp_path),
        "DJANGO_SETTINGS_MODULE": os.environ["DJANGO_SETTINGS_MODULE"],
    }
    done = subprocess.run(
        [sys.executable, "-m", "tests.services.experiment_race"],
        env=environment,
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout) == EXPECTED


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_on_postgresql() -> None:
    assert race() == EXPECTED
