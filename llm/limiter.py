"""How many calls of one operation are under way at once; fewer after the provider says so."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

HALVED_SECONDS: Final = 30.0


class Limiter:
    """Belongs to one event loop, as everything of an operation does."""

    def __init__(self, limit: int) -> None:
        self._full = limit
        self._halved_until = 0.0
        self._active = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def limit(self) -> int:
        return self._full if time.monotonic() >= self._halved_until else max(1, self._full // 2)

    def slow_down(self) -> None:
        """Half as many for the next half minute."""
        self._halved_until = time.monotonic() + HALVED_SECONDS

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        await self._acquire()
        try:
            yield
        finally:
            self._active -= 1
            self._wake()

    async def _acquire(self) -> None:
        if self._active < self.limit and not self._waiting:
            self._active += 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                # Cancelled in the same moment its turn came: the slot goes to the next.
                self._active -= 1
                self._wake()
            raise

    def _wake(self) -> None:
        while self._waiting and self._active < self.limit:
            turn = self._waiting.popleft()
            if not turn.done():
                self._active += 1
                turn.set_result(None)
