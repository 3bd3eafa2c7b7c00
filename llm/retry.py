"""Who tries again, when and how often: one tenacity policy; the SDK's own retries are off.

Two policies would multiply: two retries of the SDK times four tries of ours were twelve requests
for one question, each of them billable.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from random import SystemRandom
from typing import Final

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception

from llm.allowance import Allowance
from llm.errors import Kind, LLMError

_FIRST_WAIT: Final = 0.5
_LONGEST_WAIT: Final = 8.0
_JITTER: Final = SystemRandom()
# A model that answered nothing once more will hardly answer the third time.
_MOST_TRIES: Final[Mapping[Kind, int]] = {Kind.EMPTY: 2}


def retrying(
    allowance: Allowance, attempts: int, paused: Callable[[], bool] = lambda: False
) -> AsyncRetrying:
    """The policy of one request: raises the last LLMError when trying again makes no sense.
    `paused` tells whether the endpoint is being left alone by now.

    A wait the allowance has no time for is not begun: the error is raised at once, with the
    `retry_after` the provider gave, so that a job is rescheduled and no worker sleeps.
    """

    def stop(state: RetryCallState) -> bool:
        kind = _error(state).kind
        return (
            state.attempt_number >= min(attempts, _MOST_TRIES.get(kind, attempts))
            or (kind == Kind.TIMEOUT and allowance.timeouts_left <= 0)
            or allowance.requests_left <= 0
            or paused()
            or state.upcoming_sleep >= allowance.seconds_left
        )

    return AsyncRetrying(
        retry=retry_if_exception(lambda e: isinstance(e, LLMError) and e.retryable),
        wait=_wait,
        stop=stop,
        reraise=True,
    )


def _error(state: RetryCallState) -> LLMError:
    error = state.outcome.exception() if state.outcome else None
    if not isinstance(error, LLMError):
        raise TypeError("only an LLMError is tried again")
    return error


def _wait(state: RetryCallState) -> float:
    asked = _error(state).retry_after
    return backoff(state.attempt_number) if asked is None else asked


def backoff(attempt: int) -> float:
    """Seconds before the try after `attempt` (from 1): doubling, with a quarter of jitter."""
    full: float = min(_LONGEST_WAIT, _FIRST_WAIT * 2 ** (attempt - 1))
    return full * _JITTER.uniform(0.75, 1.0)


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Seconds the provider asks to wait: milliseconds, seconds or an HTTP date; None if unsaid.

    Header names in lower case. A date is read against the response's own Date where it has one,
    so that a wrong clock on either side does not matter.
    """
    if (milliseconds := _number(headers.get("retry-after-ms"))) is not None:
        return milliseconds / 1000
    value = headers.get("retry-after")
    if (seconds := _number(value)) is not None:
        return seconds
    until = _date(value)
    if until is None:
        return None
    since = _date(headers.get("date")) or now or datetime.now(UTC)
    return max(0.0, (until - since).total_seconds())


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return max(0.0, value) if math.isfinite(value) else None


def _date(text: str | None) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text or "")
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
