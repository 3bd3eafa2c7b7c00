from collections.abc import Iterator

import pytest

from llm import openai_compatible
from llm.breaker import BREAKER
from tests.llm.server import FaultServer


@pytest.fixture
def llm_server() -> Iterator[FaultServer]:
    """A model server on localhost; nothing that was learned about another one is remembered."""
    BREAKER.reset()
    openai_compatible._DIALECTS.clear()
    with FaultServer() as server:
        yield server
    BREAKER.reset()
