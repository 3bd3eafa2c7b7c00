"""When to try again: what providers say, our own backoff, the circuit breaker, the limiter."""

import asyncio
import threading
from datetime import UTC, datetime

import pytest

from llm.allowance import Allowance
from llm.breaker import Breaker
from llm.errors import RETRYABLE, Kind, LLMError
from llm.limiter import Limiter
from llm.remembered import Remembered
from llm.retry import backoff, retry_after, retrying

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
IN_30_S = "Sun, 01 Mar 2026 12:00:30 GMT"
END = ("https://a.example/v1", "m")


# --- Retry-After --------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "2"}, 2.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after-ms": "x", "retry-after": "9"}, 9.0),
        ({"retry-after": IN_30_S}, 30.0),
        # The provider's own clock counts, wherever ours stands.
        ({"retry-after": IN_30_S, "date": "Sun, 01 Mar 2026 12:00:20 GMT"}, 10.0),
        ({"retry-after": "Sun, 01 Mar 2026 11:00:00 GMT"}, 0.0),
        ({"retry-after": "Sun, 01 Mar 2026 12:00:30 -0000"}, 30.0),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, NOW) == seconds


def test_backoff_doubles_up_to_a_limit() -> None:
    for attempt, full in ((1, 0.5), (2, 1.0), (3, 2.0), (5, 8.0), (9, 8.0)):
        waits = [backoff(attempt) for _ in range(50)]
        assert all(0.75 * full <= wait <= full for wait in waits)
        assert len(set(waits)) > 1


def tries(allowance: Allowance, *errors: LLMError) -> int:
    """How many of these failures in a row the policy asks for; none of their waits is long."""
    done = 0

    async def attempt() -> None:
        nonlocal done
        done += 1
        allowance.take_request()
        raise errors[min(done, len(errors)) - 1]

    with pytest.raises(LLMError):
        asyncio.run(retrying(allowance, 4)(attempt))
    return done


@pytest.mark.parametrize("kind", Kind)
def test_what_is_tried_again(kind: Kind) -> None:
    expected = {Kind.EMPTY: 2}.get(kind, 4 if kind in RETRYABLE else 1)
    assert tries(Allowance(5, timeouts=9), LLMError(kind, retry_after=0.0)) == expected


def test_no_wait_longer_than_what_is_left() -> None:
    assert tries(Allowance(0.2), LLMError(Kind.RATE_LIMITED, retry_after=0.3)) == 1
    assert tries(Allowance(1.0), LLMError(Kind.RATE_LIMITED, retry_after=0.01)) == 4


def test_no_request_beyond_the_allowance() -> None:
    assert tries(Allowance(5, requests=3), LLMError(Kind.SERVER, retry_after=0.0)) == 3


def test_an_allowance_is_the_last_line_of_defence() -> None:
    with pytest.raises(LLMError, match="server"):
        Allowance(5, requests=0).take_request()
    with pytest.raises(LLMError, match="timeout"):
        Allowance(0).take_request()


# --- Breaker ------------------------------------------------------------------------------------
class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker(clock=clock)


def fail(breaker: Breaker, kind: Kind, times: int = 1, **details: float) -> None:
    for _ in range(times):
        breaker.record(END, LLMError(kind, **details))  # type: ignore[arg-type]


def refusal(breaker: Breaker) -> LLMError | None:
    try:
        breaker.permit(END)
    except LLMError as error:
        return error
    return None


@pytest.mark.parametrize("kind", [Kind.SERVER, Kind.TIMEOUT, Kind.CONNECTION, Kind.BAD_BODY])
def test_opens_after_five_failures_in_a_row(breaker: Breaker, kind: Kind) -> None:
    fail(breaker, kind, 4)
    assert refusal(breaker) is None
    fail(breaker, kind)
    error = refusal(breaker)
    assert error is not None
    assert (error.kind, error.because, error.retry_after) == (Kind.CIRCUIT_OPEN, kind, 60.0)
    assert breaker.is_open(END)


def test_an_answer_in_between_starts_the_count_again(breaker: Breaker) -> None:
    fail(breaker, Kind.SERVER, 4)
    breaker.record(END, None)
    fail(breaker, Kind.SERVER, 4)
    assert refusal(breaker) is None


def test_failures_far_apart_do_not_add_up(breaker: Breaker, clock: Clock) -> None:
    for _ in range(20):
        fail(breaker, Kind.SERVER)
        clock.now += 16
    assert refusal(breaker) is None


@pytest.mark.parametrize("kind", [Kind.AUTH, Kind.QUOTA, Kind.NOT_FOUND])
def test_opens_long_on_what_an_operator_must_mend(
    breaker: Breaker, clock: Clock, kind: Kind
) -> None:
    fail(breaker, kind)
    clock.now += 599
    assert refusal(breaker) is not None
    clock.now += 2
    assert refusal(breaker) is None


@pytest.mark.parametrize(
    "kind", [Kind.BAD_REQUEST, Kind.TOO_LONG, Kind.REFUSED, Kind.FILTERED, Kind.EMPTY, Kind.TOO_BIG]
)
def test_an_endpoint_that_answers_is_not_left_alone(breaker: Breaker, kind: Kind) -> None:
    fail(breaker, kind, 20)
    assert refusal(breaker) is None


def test_a_request_to_slow_down_counts_once_a_call(breaker: Breaker) -> None:
    fail(breaker, Kind.RATE_LIMITED, 20)
    assert refusal(breaker) is None
    for _ in range(5):
        breaker.gave_up(END)
    assert refusal(breaker) is not None


def test_a_long_request_to_wait_is_kept_for_everyone(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, Kind.RATE_LIMITED, retry_after=300)
    clock.now += 299
    assert refusal(breaker) is not None
    clock.now += 2
    assert refusal(breaker) is None


def test_one_probe_at_a_time(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, Kind.SERVER, 5)
    clock.now += 61
    assert refusal(breaker) is None
    assert refusal(breaker) is not None
    breaker.record(END, None)
    assert refusal(breaker) is None
    assert refusal(breaker) is None


@pytest.mark.parametrize("kind", [Kind.SERVER, Kind.RATE_LIMITED])
def test_a_failed_probe_opens_it_again(breaker: Breaker, clock: Clock, kind: Kind) -> None:
    fail(breaker, Kind.SERVER, 5)
    clock.now += 61
    breaker.permit(END)
    fail(breaker, kind)
    clock.now += 59
    assert refusal(breaker) is not None


def test_a_probe_that_never_reports_is_forgotten(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, Kind.SERVER, 5)
    clock.now += 61
    breaker.permit(END)
    clock.now += 121
    assert refusal(breaker) is None


def test_a_cancelled_probe_makes_room(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, Kind.SERVER, 5)
    clock.now += 61
    breaker.permit(END)
    breaker.release(END)
    assert refusal(breaker) is None


def test_late_failures_do_not_prolong_the_pause(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, Kind.SERVER, 5)
    clock.now += 30
    fail(breaker, Kind.SERVER, 5)
    clock.now += 31
    assert refusal(breaker) is None


def test_endpoints_are_apart(breaker: Breaker) -> None:
    fail(breaker, Kind.AUTH)
    breaker.permit((END[0], "another model"))


def test_threads_share_it(breaker: Breaker) -> None:
    threads = [
        threading.Thread(target=lambda: [refusal(breaker) for _ in range(200)]) for _ in range(8)
    ]
    fail(breaker, Kind.SERVER, 5)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert refusal(breaker) is not None


# --- Limiter and memory -------------------------------------------------------------------------
def test_as_many_at_once_as_allowed_and_fewer_after_a_429() -> None:
    async def scenario() -> tuple[int, int]:
        limiter = Limiter(8)
        now = most = 0

        async def call() -> None:
            nonlocal now, most
            async with limiter.slot():
                now += 1
                most = max(most, now)
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                now -= 1

        await asyncio.gather(*(call() for _ in range(50)))
        before, most = most, 0
        limiter.slow_down()
        await asyncio.gather(*(call() for _ in range(50)))
        return before, most

    assert asyncio.run(scenario()) == (8, 4)


def test_a_cancelled_wait_takes_no_place() -> None:
    async def scenario() -> None:
        limiter = Limiter(1)
        async with limiter.slot():
            waiting = [asyncio.create_task(_enter(limiter)) for _ in range(3)]
            await asyncio.sleep(0)
            waiting[0].cancel()
            await asyncio.sleep(0)
        # Its turn comes and it is cancelled in the same moment.
        waiting[1].cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        assert not waiting[2].cancelled()
        async with asyncio.timeout(1), limiter.slot():
            pass

    asyncio.run(scenario())


async def _enter(limiter: Limiter) -> None:
    async with limiter.slot():
        pass


def test_what_was_learned_is_forgotten_after_an_hour(clock: Clock) -> None:
    memory: Remembered[str, int] = Remembered(clock=clock, most=3)
    memory.put("a", 1)
    clock.now += 3599
    assert memory.get("a") == 1
    clock.now += 2
    assert memory.get("a") is None
    for index in range(50):
        memory.put(str(index), index)
    assert memory.get("49") == 49
    assert len(memory._entries) <= 3
