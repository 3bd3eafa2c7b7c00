"""What a fresh interpreter looks like after some statements, or says of a database in a file."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


def loaded_after_the_urls(modules: Sequence[str], also_import: Sequence[str] = ()) -> list[str]:
    """Which of `modules` a process has imported once it has loaded the URLconf."""
    program = (
        "import django, importlib, json, sys; django.setup();"
        "from django.urls import get_resolver; get_resolver().url_patterns;"
        f"[importlib.import_module(name) for name in {list(also_import)!r}];"
        f"json.dump([m for m in {list(modules)!r} if m in sys.modules], sys.stdout)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={"DJANGO_SETTINGS_MODULE": "config.settings"},
    )
    assert done.returncode == 0, done.stderr
    loaded: list[str] = json.loads(done.stdout)
    return loaded


def on_a_sqlite_file(module: str, folder: Path) -> dict[str, Any]:
    """What a module prints as JSON, run on a new database in that folder: the tests' own is in
    memory, where locks differ."""
    environment = {
        **os.environ,
        "DATABASE_URL": f"sqlite:///{folder / 'race.sqlite3'}",
        "INQUEST_DATA_DIR": str(folder),
        "DJANGO_SETTINGS_MODULE": os.environ["DJANGO_SETTINGS_MODULE"],
    }
    done = subprocess.run(
        [sys.executable, "-m", module],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found
