"""Circuit breaker: an endpoint that keeps failing is left alone for a while.

One per process, kept by (address, model). It holds plain numbers under a thread's lock and no
asyncio primitive, because calls come from as many event loops as there are threads.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from llm.errors import Kind, LLMError

Endpoint = tuple[str, str]

# Nobody's next call can do better until an operator acts.
_OPEN_LONG: Final = frozenset({Kind.AUTH, Kind.QUOTA, Kind.NOT_FOUND})
_COUNTED: Final = frozenset({Kind.SERVER, Kind.TIMEOUT, Kind.CONNECTION, Kind.BAD_BODY})


@dataclass(slots=True)
class _Circuit:
    failures: deque[float] = field(default_factory=deque)
    open_until: float | None = None
    because: Kind | None = None
    probe_until: float = 0.0


class Breaker:
    """Opens for `pause` seconds after `threshold` failures in a row within `window` seconds, and
    for `long_pause` on a refused key, spent credit or an unknown model. After a pause one probe is
    let through; it closes the circuit or opens it again. A probe that never reports back is
    forgotten after `probe_seconds`."""

    def __init__(
        self,
        *,
        threshold: int = 5,
        window: float = 60.0,
        pause: float = 60.0,
        long_pause: float = 600.0,
        probe_seconds: float = 120.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.threshold = threshold
        self.window = window
        self.pause = pause
        self.long_pause = long_pause
        self.probe_seconds = probe_seconds
        self._clock = clock
        self._circuits: dict[Endpoint, _Circuit] = {}
        self._lock = threading.Lock()

    def permit(self, endpoint: Endpoint) -> None:
        """Raise LLMError(circuit_open) with the seconds to wait, or let one request through."""
        now = self._clock()
        with self._lock:
            circuit = self._circuits.get(endpoint)
            if circuit is None or circuit.open_until is None:
                return
            until = max(circuit.open_until, circuit.probe_until)
            if now >= until:
                circuit.probe_until = now + self.probe_seconds
                return
            because = circuit.because
        raise LLMError(Kind.CIRCUIT_OPEN, retry_after=until - now, because=because)

    def is_open(self, endpoint: Endpoint) -> bool:
        with self._lock:
            circuit = self._circuits.get(endpoint)
            return (
                circuit is not None
                and circuit.open_until is not None
                and self._clock() < max(circuit.open_until, circuit.probe_until)
            )

    def record(self, endpoint: Endpoint, error: LLMError | None) -> None:
        """What became of a request that was let through; None for an answer."""
        now = self._clock()
        with self._lock:
            circuit = self._circuits.setdefault(endpoint, _Circuit())
            probing = circuit.open_until is not None and circuit.probe_until > 0
            pause = self._pause_for(circuit, error, now, probing)
            if pause > 0 and error is not None:
                circuit.open_until = now + pause
                circuit.because = error.kind
                circuit.probe_until = 0.0
                circuit.failures.clear()
            elif not self._fails(error):
                del self._circuits[endpoint]

    def gave_up(self, endpoint: Endpoint) -> None:
        """A whole call ended because the provider kept asking to slow down: one failure. A single
        such answer is none, since the server is well and says so."""
        self.record(endpoint, LLMError(Kind.SERVER))

    def release(self, endpoint: Endpoint) -> None:
        """A request was given up before it said anything, as on cancellation."""
        with self._lock:
            if circuit := self._circuits.get(endpoint):
                circuit.probe_until = 0.0

    def reset(self) -> None:
        with self._lock:
            self._circuits.clear()

    @staticmethod
    def _fails(error: LLMError | None) -> bool:
        return error is not None and (error.kind in _COUNTED or error.kind == Kind.RATE_LIMITED)

    def _pause_for(
        self, circuit: _Circuit, error: LLMError | None, now: float, probing: bool
    ) -> float:
        """How long to open for: 0 leaves the circuit as it is."""
        if error is None:
            return 0.0
        if error.kind in _OPEN_LONG:
            return self.long_pause
        if error.kind == Kind.RATE_LIMITED:
            asked = error.retry_after or 0.0
            return min(self.long_pause, asked) if asked >= self.pause else probing * self.pause
        if error.kind not in _COUNTED:
            return 0.0
        if circuit.open_until is not None:
            # Late failures of calls that were under way when it opened do not prolong the pause.
            return probing * self.pause
        circuit.failures.append(now)
        while circuit.failures[0] < now - self.window:
            circuit.failures.popleft()
        return self.pause if len(circuit.failures) >= self.threshold else 0.0


BREAKER: Final = Breaker()


def _after_fork() -> None:
    # Another thread may have held the lock when this process was forked; it will never let go.
    BREAKER._lock = threading.Lock()


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_after_fork)
