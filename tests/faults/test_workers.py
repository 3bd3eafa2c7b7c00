"""Workers killed in the middle of a batch: nothing lost, nothing twice, the tables exact."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.faults.desk import GROUP, TRADES

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
KILLS = 20
WORKER = ("manage.py", "run_worker", "--drain")


class Place:
    """A database file of its own and the processes that use it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environ = {
            **os.environ,
            "DATABASE_URL": f"sqlite:///{folder / 'desk.sqlite3'}",
            "INQUEST_DATA_DIR": str(folder),
            "DJANGO_SETTINGS_MODULE": "config.settings",
        }

    def run(self, *arguments: str) -> str:
        command = [sys.executable, *arguments]
        done = subprocess.run(
            command, cwd=ROOT, env=self.environ, check=True, capture_output=True, text=True
        )
        return done.stdout

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, *arguments],
            cwd=ROOT,
            env=self.environ,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def fingerprint(self) -> dict[str, Any]:
        return json.loads(self.run("-m", "tests.faults.desk", "print"))


@contextmanager
def running(place: Place, count: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    workers = [place.start(*WORKER) for _ in range(count)]
    try:
        yield workers
    finally:
        for worker in workers:
            if worker.poll() is None:
                worker.kill()
            worker.wait()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    folder = tmp_path / "first"
    folder.mkdir()
    made = Place(folder)
    made.run("-m", "tests.faults.desk", "make")
    return made


def undisturbed(place: Place, tmp_path: Path) -> dict[str, Any]:
    folder = tmp_path / "second"
    shutil.copytree(place.folder, folder)
    other = Place(folder)
    other.run(*WORKER)
    return other.fingerprint()


def suspend_outside_a_transaction(worker: subprocess.Popen[bytes], place: Place) -> None:
    """A process stopped inside one would hold the database's only write lock for ever."""
    while True:
        worker.send_signal(signal.SIGSTOP)
        with closing(sqlite3.connect(place.folder / "desk.sqlite3", timeout=0.2)) as database:
            try:
                database.execute("begin immediate")
                return
            except sqlite3.OperationalError:
                worker.send_signal(signal.SIGCONT)
        time.sleep(0.05)


def exact(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert {k: v for k, v in found.items() if k != "attempts"} == {
        k: v for k, v in expected.items() if k != "attempts"
    }


def test_killed_workers_lose_and_repeat_nothing(place: Place, tmp_path: Path) -> None:
    expected = undisturbed(place, tmp_path)
    assert expected["job"] == ["completed", TRADES, 0]
    assert expected["attempts"] == TRADES // GROUP
    chance = random.Random(5)
    with running(place, 2) as workers:
        for _ in range(KILLS):
            # Long enough to start and claim, at a random moment of whatever it does then.
            time.sleep(0.9 + chance.random())
            victim = workers.pop(0)
            victim.send_signal(signal.SIGKILL)
            victim.wait()
            workers.append(place.start(*WORKER))
        for worker in workers:
            assert worker.wait(timeout=300) == 0
    found = place.fingerprint()
    exact(found, expected)


def test_four_workers_do_what_one_does(place: Place, tmp_path: Path) -> None:
    expected = undisturbed(place, tmp_path)
    with running(place, 4) as workers:
        for worker in workers:
            assert worker.wait(timeout=300) == 0
    found = place.fingerprint()
    exact(found, expected)
    assert found["attempts"] == expected["attempts"]


def test_a_terminated_worker_finishes_its_item_and_goes(place: Place) -> None:
    with running(place, 1) as (worker,):
        time.sleep(2.5)
        worker.terminate()
        assert worker.wait(timeout=30) == 0
    code = "import django; django.setup(); from post_mortem.models import JobItem; "
    code += "print(JobItem.objects.filter(status='running').count())"
    assert place.run("-c", code).strip() == "0"


def test_a_suspended_worker_cannot_write_late(place: Place, tmp_path: Path) -> None:
    expected = undisturbed(place, tmp_path)
    with running(place, 1) as (sleeper,):
        time.sleep(2.0)
        suspend_outside_a_transaction(sleeper, place)
        try:
            place.run(*WORKER)  # waits for the lease, then does the item itself
            found = place.fingerprint()
        finally:
            sleeper.send_signal(signal.SIGCONT)
        assert sleeper.wait(timeout=60) == 0
    exact(found, expected)
    exact(place.fingerprint(), expected)
