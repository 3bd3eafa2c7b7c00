"""The two processes of `serve` start and stop together, and leave nothing behind."""

import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from post_mortem.management.commands import serve

SLEEP = "import time; time.sleep(60)"
SAY_READY = "import pathlib, sys; pathlib.Path(sys.argv[1]).touch(); "
IGNORE = (
    "import signal; [signal.signal(s, signal.SIG_IGN) for s in (signal.SIGINT, signal.SIGTERM)]; "
)


def python(program: str, *arguments: object) -> list[str]:
    return [sys.executable, "-c", program, *map(str, arguments)]


def stop_once(group: serve.ProcessGroup, *files: Path) -> threading.Thread:
    """Ask the group to stop as soon as its children have said that they run."""

    def wait_and_stop() -> None:
        deadline = time.monotonic() + 20
        while not all(file.exists() for file in files) and time.monotonic() < deadline:
            time.sleep(0.02)
        group.ask_to_stop(signal.SIGTERM, None)

    thread = threading.Thread(target=wait_and_stop)
    thread.start()
    return thread


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A killed grandchild whose new parent has not reaped it yet is no longer running.
    status = Path(f"/proc/{pid}/stat")
    return not (status.exists() and status.read_text().rpartition(")")[2].split()[0] == "Z")


def test_one_that_ends_by_itself_stops_the_other() -> None:
    group = serve.ProcessGroup()
    ended = group.run([python(SLEEP), python("raise SystemExit(3)")])
    assert ended is not None
    assert ended.returncode == 3
    assert all(child.returncode is not None for child in group._children)


def test_a_stop_that_was_asked_for_is_no_failure(tmp_path: Path) -> None:
    group = serve.ProcessGroup()
    files = [tmp_path / "a", tmp_path / "b"]
    thread = stop_once(group, *files)
    assert group.run([python(SAY_READY + SLEEP, file) for file in files]) is None
    thread.join()
    assert [child.returncode for child in group._children] == [-signal.SIGTERM] * 2


def test_one_that_ignores_the_signal_is_killed_after_the_grace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve, "GRACE_SECONDS", 0.3)
    group = serve.ProcessGroup()
    thread = stop_once(group, tmp_path / "a")
    assert group.run([python(IGNORE + SAY_READY + SLEEP, tmp_path / "a")]) is None
    thread.join()
    assert group._children[0].returncode == -signal.SIGKILL


def test_what_a_child_started_goes_with_it(tmp_path: Path) -> None:
    grandchild = tmp_path / "grandchild"
    program = (
        "import pathlib, subprocess, sys, os;"
        f"p = subprocess.Popen([sys.executable, '-c', {IGNORE + SLEEP!r}]);"
        "part = pathlib.Path(sys.argv[1] + '.part'); part.write_text(str(p.pid));"
        f"part.rename(sys.argv[1]); {SLEEP}"
    )
    group = serve.ProcessGroup()
    thread = stop_once(group, grandchild)
    group.run([python(program, grandchild)])
    thread.join()
    deadline = time.monotonic() + 5
    while is_running(int(grandchild.read_text())) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not is_running(int(grandchild.read_text()))


def test_it_says_that_it_serves_once_it_answers() -> None:
    group = serve.ProcessGroup()
    asked: list[int] = []
    said: list[int] = []

    def ready() -> bool:
        asked.append(len(said))
        return len(asked) > 2

    def stop() -> None:
        said.append(len(asked))
        group.ask_to_stop(signal.SIGINT, None)

    assert group.run([python(SLEEP)], ready, stop) is None
    assert (asked, said) == ([0, 0, 0], [3])


def test_a_stop_before_the_start_starts_nothing() -> None:
    group = serve.ProcessGroup()
    group.ask_to_stop(signal.SIGINT, None)
    assert group.run([python(SLEEP)]) is None
    assert group._children == []


def test_a_taken_port_is_said_before_anything_starts(settings) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        settings.BIND, settings.PORT = taken.getsockname()
        with pytest.raises(CommandError, match=f"port {settings.PORT}.*Choose another with PORT"):
            call_command("serve")
