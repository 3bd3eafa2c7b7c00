"""Write one batch while the next is computed.

The database driver and numpy let go of the interpreter for most of their work, so on two cores a
long run takes little more than the longer of the two halves. One batch is under way at most, which
bounds the memory, and results come back in order on the calling thread.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from types import TracebackType
from typing import Generic, TypeVar

from django.db import connection

Result = TypeVar("Result")


def can_write_behind() -> bool:
    """Whether another connection sees what this one sees: not inside a transaction, and not where
    the database lives in this connection's memory."""
    if connection.in_atomic_block:
        return False
    in_memory = getattr(connection, "is_in_memory_db", None)
    return in_memory is None or not in_memory()


class WriteBehind(Generic[Result]):
    """`submit(call, done)`: run `call` (on another thread if `active`), then `done` with its result
    on this thread. Leaving the block waits for the last one; an error of a call is raised there."""

    def __init__(self, *, active: bool) -> None:
        self._pool = ThreadPoolExecutor(1, "write-behind") if active else None
        self._pending: tuple[Future[Result], Callable[[Result], None]] | None = None

    def submit(self, call: Callable[[], Result], done: Callable[[Result], None]) -> None:
        if self._pool is None:
            done(call())
            return
        self.settle()
        self._pending = self._pool.submit(call), done

    def settle(self) -> None:
        """Wait for the batch under way."""
        if self._pending is not None:
            future, done = self._pending
            self._pending = None
            done(future.result())

    def __enter__(self) -> WriteBehind[Result]:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._pool is None:
            return
        try:
            if error is None:
                self.settle()
        finally:
            self._pool.submit(_close_connection)
            self._pool.shutdown(wait=True)


def _close_connection() -> None:
    """Close the connection of the thread that runs this; here it is looked up, not before."""
    connection.close()


@contextmanager
def collector_at_rest(*, active: bool) -> Iterator[None]:
    """No search for reference cycles meanwhile: a run makes millions of rows and no cycles among
    them, and looking through all of them again and again is a tenth of its time."""
    pause = active and gc.isenabled()
    if pause:
        gc.disable()
    try:
        yield
    finally:
        if pause:
            gc.enable()
