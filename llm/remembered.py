"""What an endpoint turned out to accept, remembered for an hour, shared by all threads."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Remembered(Generic[K, V]):
    """A small map that forgets. No lock, so nothing to be held across a fork: entries are replaced
    whole, and two threads that learn the same thing write the same thing."""

    def __init__(
        self,
        seconds: float = 3600.0,
        most: int = 256,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._seconds = seconds
        self._most = most
        self._clock = clock
        self._entries: dict[K, tuple[float, V]] = {}

    def get(self, key: K) -> V | None:
        entry = self._entries.get(key)
        return entry[1] if entry and entry[0] > self._clock() else None

    def put(self, key: K, value: V) -> None:
        if len(self._entries) >= self._most:
            self._entries = {}
        self._entries[key] = (self._clock() + self._seconds, value)

    def clear(self) -> None:
        self._entries = {}
