"""Run the database's part of the suite on PostgreSQL: `python -m tests.on_postgres [options]`."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from tests.available import in_ci, postgres_url

ROOT: Final = Path(__file__).resolve().parent.parent
PARTS: Final = ("tests/trading", "tests/services", "tests/api")
_NO_TESTS_COLLECTED: Final = 5


def main(options: list[str]) -> int:
    server = postgres_url()
    if server is None:
        missing = "No PostgreSQL server answers on localhost: its part of the tests was"
        sys.stderr.write(f"{missing} {'needed in CI.' if in_ci() else 'skipped.'}\n")
        return 1 if in_ci() else 0
    # A name of its own: two runs on one server do not meet.
    url = urlsplit(server)._replace(path=f"/inquest_{os.getpid()}").geturl()
    parts = [part for part in PARTS if (ROOT / part).is_dir()]
    sys.stdout.write(f"On PostgreSQL: {' '.join(parts)}\n")
    sys.stdout.flush()
    command = [sys.executable, "-m", "pytest", *options, *parts]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, "DATABASE_URL": url}, check=False)
    return 0 if done.returncode == _NO_TESTS_COLLECTED else done.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
