"""Long runs: random sequences of faults, mutilated answers, a batch with a few faults in it."""

import asyncio
import json
import random

import pytest

from llm.breaker import Breaker
from llm.client import ChatModel, open_chat
from llm.errors import LLMError
from llm.extract import extract
from llm.structured import Answer, Question, ask
from tests.llm.asking import config
from tests.llm.replies import ROWS
from tests.llm.server import FaultServer
from tests.llm.test_structured import GOOD, MESSAGES, TEXT, Report

DEADLINE = 6.0
PLAYED = sorted(ROWS)


async def _asked(chat: ChatModel, seconds: float) -> Answer[Report] | LLMError:
    try:
        return await ask(chat, Question(MESSAGES, Report, max_tokens=100), seconds)
    except LLMError as error:
        return error


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_random_sequences_end_in_time_and_in_our_errors(seed: int) -> None:
    generator = random.Random(seed)
    scripts = {
        f"sequence-{seed}-{i}": generator.choices(PLAYED, k=generator.randint(1, 7))
        for i in range(60)
    }
    with FaultServer(TEXT) as server:
        for name, rows in scripts.items():
            server.play(*rows, model=name)

        async def one(name: str) -> tuple[float, Answer[Report] | LLMError]:
            loop = asyncio.get_running_loop()
            started = loop.time()
            async with open_chat(config(server.url, name), breaker=Breaker()) as chat:
                answer = await _asked(chat, DEADLINE)
            return loop.time() - started, answer

        async def everything() -> list[tuple[float, Answer[Report] | LLMError]]:
            return await asyncio.gather(*(one(name) for name in scripts))

        for (name, rows), (seconds, _) in zip(
            scripts.items(), asyncio.run(everything()), strict=True
        ):
            assert seconds <= DEADLINE + 2, rows
            assert 1 <= len(server.sent_to(name)) <= 6, rows


@pytest.mark.slow
def test_a_batch_with_a_few_faults_gets_all_its_answers() -> None:
    """500 rows, one request in twenty a 429 or a 500: every row answered, few requests more."""
    generator = random.Random(11)
    with FaultServer(TEXT) as server:
        server.choose(
            lambda index, body: (
                generator.choice(["429_ms", "500"]) if generator.random() < 0.05 else "ok"
            )
        )

        async def batch() -> list[Answer[Report] | LLMError]:
            settings = config(server.url, concurrency=8)
            async with open_chat(settings, breaker=Breaker()) as chat:
                return await asyncio.gather(*(_asked(chat, 60) for _ in range(500)))

        answers = asyncio.run(batch())
        assert all(isinstance(answer, Answer) for answer in answers)
        assert server.count <= 1.15 * len(answers)


@pytest.mark.slow
def test_no_mutilated_answer_raises_or_is_made_up() -> None:
    """An answer with characters lost, doubled, swapped or inserted is found whole or not at all."""
    generator = random.Random(3)
    alphabet = '{}[]",:\\`<>/ \n\x00\ud800u0naN9e-' + "think"
    known = set(json.dumps(GOOD).split('"'))
    for _ in range(30_000):
        characters = list(TEXT)
        for _ in range(generator.randint(1, 12)):
            at = generator.randrange(len(characters))
            characters[at] = generator.choice(["", generator.choice(alphabet), characters[at] * 2])
        text = "".join(characters)
        found = extract(text, Report)
        assert (found.value is None) == bool(found.problems)
        if found.value is not None and found.value.summary not in known:
            # What it says stands in the text as it is, escapes aside: nothing was completed.
            assert found.value.summary in text or "\\" in text
