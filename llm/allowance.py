"""What one logical call may spend."""

from __future__ import annotations

import time

from llm.errors import Kind, LLMError
from llm.types import Usage


class Allowance:
    """What one logical call may still spend: seconds, HTTP requests and timeouts.

    One allowance covers every attempt, wait, change of format and repair of the call. The clock
    starts when it is made. `lost` adds up the tokens of attempts that brought no answer.
    """

    def __init__(self, seconds: float, *, requests: int = 6, timeouts: int = 2) -> None:
        self._ends = time.monotonic() + seconds
        self._requests = requests
        self.spent = 0
        self.timeouts_left = timeouts
        self.lost = Usage()

    @property
    def seconds_left(self) -> float:
        return max(0.0, self._ends - time.monotonic())

    @property
    def requests_left(self) -> int:
        return self._requests - self.spent

    def take_request(self) -> None:
        """Count a request about to be sent. Raises LLMError(timeout or server) when none is left:
        callers look at `requests_left` first, so this is the last line of defence."""
        if self.seconds_left <= 0:
            raise LLMError(Kind.TIMEOUT, requests=self.spent)
        if self.requests_left <= 0:
            raise LLMError(Kind.SERVER, requests=self.spent)
        self.spent += 1
