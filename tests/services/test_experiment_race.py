"""Two draws and two starts at once, on both databases: one of each, and every seal holds."""

from pathlib import Path

import pytest

from tests.processes import on_a_sqlite_file
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
    assert on_a_sqlite_file("tests.services.experiment_race", tmp_path) == EXPECTED


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_on_postgresql() -> None:
    assert race() == EXPECTED
