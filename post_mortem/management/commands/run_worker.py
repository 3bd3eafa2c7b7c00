"""`run_worker`: claim and run queued work until told to stop."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from argparse import ArgumentParser
from collections.abc import Iterable
from types import FrameType
from typing import Any, Final

from django.db import InterfaceError, OperationalError, connection
from django.utils import timezone

from post_mortem.jobs import tend, work_once
from post_mortem.services.jobs import work_is_left
from trading.core.errors import RetryLaterError
from trading.management.base import InquestCommand, Summary

POLL_SECONDS: Final = 0.5
# How often what is due by the clock is looked after, such as the arms of coming days.
TEND_SECONDS: Final = 60.0
_LONGEST_PAUSE: Final = 10.0


class Command(InquestCommand):
    help = "Run queued work. Any number of workers may run at once, on one machine or several."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--once", action="store_true", help="run at most one item, then end")
        parser.add_argument("--drain", action="store_true", help="end when nothing is left to do")

    def run(self, **options: Any) -> Summary:
        worker = f"{socket.gethostname()}:{os.getpid()}"
        stop = threading.Event()
        _stop_on_signal(stop)
        done, trouble, tended = 0, 0, -TEND_SECONDS
        while not stop.is_set():
            try:
                if time.monotonic() - tended >= TEND_SECONDS:
                    tend(now=timezone.now())
                    tended = time.monotonic()
                worked = work_once(worker=worker)
                finished = options["once"] or (
                    not worked and options["drain"] and not work_is_left()
                )
            except (OperationalError, InterfaceError, RetryLaterError) as error:
                trouble += 1
                self.stderr.write(f"waiting: {error}")
                _let_go_of_connection()
                stop.wait(min(_LONGEST_PAUSE, POLL_SECONDS * 2 ** min(trouble, 6)))
                continue
            trouble = 0
            done += worked
            if finished:
                break
            if not worked:
                stop.wait(POLL_SECONDS)
        return {"items": done}

    def lines(self, summary: Summary) -> Iterable[str]:
        yield f"The worker ended; pieces of work done: {summary['items']:,}."


def _let_go_of_connection() -> None:
    """A server that went away is found again by a new connection."""
    if not connection.in_atomic_block:
        connection.close()


def _stop_on_signal(stop: threading.Event) -> None:
    """Finish the item under way, then end. Handlers exist in the main thread only."""
    if threading.current_thread() is not threading.main_thread():
        return

    def ask_to_stop(signum: int, frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, ask_to_stop)
    signal.signal(signal.SIGINT, ask_to_stop)
