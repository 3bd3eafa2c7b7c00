"""`serve`: the web server and one worker, started together and stopped together."""

import os
import signal
import socket
import subprocess
import sys
import time
from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any, Final

from django.conf import settings
from django.core import checks
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

GRACE_SECONDS: Final = 5.0
_POLL_SECONDS: Final = 0.1
# Without its own limit the server waits for every open event stream to end by itself.
_STREAM_GRACE_SECONDS: Final = "2"


class Command(BaseCommand):
    help = "Serve the pages and the API, with one worker beside them, until interrupted."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--no-worker", action="store_true", help="the web server alone")

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.PRODUCTION:
            self.check(include_deployment_checks=True, fail_level=checks.WARNING)
            call_command("collectstatic", interactive=False, verbosity=0)
        _require_free_port()
        commands = [_server_command()]
        if not options["no_worker"]:
            commands.append([*_manage(), "run_worker"])
        group = ProcessGroup()
        # Before anything is started: an early interrupt must not leave a child behind.
        signal.signal(signal.SIGINT, group.ask_to_stop)
        signal.signal(signal.SIGTERM, group.ask_to_stop)
        host = f"[{settings.BIND}]" if ":" in settings.BIND else settings.BIND
        address = f"http://{host}:{settings.PORT}/"
        self._say(f"Starting on {address} ...")
        ended = group.run(
            commands, _answers, lambda: self._say(f"Serving on {address} - Ctrl-C stops it.")
        )
        if ended is not None:
            raise CommandError(
                f"Stopped: {_name(ended)} ended by itself with status {ended.returncode}."
            )

    def _say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()


def _answers() -> bool:
    try:
        with socket.create_connection((settings.BIND, settings.PORT), timeout=_POLL_SECONDS):
            return True
    except OSError:
        return False


def _require_free_port() -> None:
    """Say it here, in one line, before a worker is started beside a server that cannot start."""
    family = socket.AF_INET6 if ":" in settings.BIND else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As the server itself does: a port whose last connections are fading out is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.BIND, settings.PORT))
        except OSError as error:
            raise CommandError(
                f"Cannot serve on {settings.BIND} port {settings.PORT}: {error.strerror}."
                " Choose another with PORT."
            ) from error


def _manage() -> list[str]:
    return [sys.executable, str(settings.BASE_DIR / "manage.py")]


def _server_command() -> list[str]:
    return [
        *(sys.executable, "-m", "uvicorn", "config.asgi:application"),
        *("--host", settings.BIND, "--port", str(settings.PORT)),
        *("--timeout-graceful-shutdown", _STREAM_GRACE_SECONDS),
        # Which forwarded headers count is decided in one place, NUM_PROXIES.
        *("--no-proxy-headers", "--no-server-header", "--no-access-log"),
        *("--log-level", "warning"),
    ]


class ProcessGroup:
    """Children in process groups of their own: a terminal's Ctrl-C reaches them once, from here."""

    def __init__(self) -> None:
        self._stop_signal: int | None = None
        self._children: list[subprocess.Popen[bytes]] = []

    def ask_to_stop(self, signum: int, frame: FrameType | None) -> None:
        self._stop_signal = signum

    def run(
        self,
        commands: Sequence[Sequence[str]],
        is_ready: Callable[[], bool] = lambda: False,
        on_ready: Callable[[], None] = lambda: None,
    ) -> subprocess.Popen[bytes] | None:
        """Run until asked to stop or until one ends; the one that ended by itself. `on_ready` is
        called once, when `is_ready` first says so."""
        ended, ready = None, False
        try:
            for command in commands:
                if self._stop_signal is not None:
                    break
                child = subprocess.Popen(command, start_new_session=True, cwd=settings.BASE_DIR)  # noqa: S603
                self._children.append(child)
            while self._stop_signal is None and ended is None:
                time.sleep(_POLL_SECONDS)
                ended = next((c for c in self._children if c.poll() is not None), None)
                if not ready and ended is None and is_ready():
                    ready = True
                    on_ready()
        finally:
            self._stop_all()
        return ended

    def _stop_all(self) -> None:
        for child in self._children:
            _signal(child, self._stop_signal or signal.SIGTERM)
        deadline = time.monotonic() + GRACE_SECONDS
        for child in self._children:
            try:
                child.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                _signal(child, signal.SIGKILL)
                child.wait()
            # Whatever the child itself started and left.
            _signal(child, signal.SIGKILL)


def _signal(child: subprocess.Popen[bytes], number: int) -> None:
    try:
        os.killpg(child.pid, number)
    except (ProcessLookupError, PermissionError):
        return  # the whole group is gone already; macOS says so with "not permitted"


def _name(child: subprocess.Popen[bytes]) -> str:
    return "the worker" if "run_worker" in str(child.args) else "the web server"
