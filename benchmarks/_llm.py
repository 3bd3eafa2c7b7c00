"""Our client beside the bare SDK on the same local server: `python -m benchmarks._llm [--quick]`.

The server is a process of its own that answers after a fixed latency, so the ideal wall time is
known: calls x latency / concurrency. `measure` times any asynchronous call against it; the whole
path from evidence to narrative can be measured with the same pieces. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

from llm.client import open_chat
from llm.config import LLMConfig
from llm.types import ChatRequest, Message

LATENCY = 0.2
ANSWER = json.dumps({"text": "The stop was reached after {{E1.held}} [E1]. " * 40})
REQUEST = ChatRequest((Message("system", "rule " * 600), Message("user", "fact " * 600)))
ROUNDS = 3

Call = Callable[[], Awaitable[Any]]
Opened = Callable[[str, int], AbstractAsyncContextManager[Call]]


@contextmanager
def model_server(latency: float = LATENCY, answer: str = ANSWER, row: str = "ok") -> Iterator[str]:
    """The address of a model server in another process."""
    command = [sys.executable, "-m", "tests.llm.server", "--latency", str(latency)]
    process = subprocess.Popen(
        [*command, "--answer", answer, "--row", row], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()


@dataclass(frozen=True)
class Measured:
    """`efficiency`: ideal wall time over wall time. `cpu_ms`: of this process, a call."""

    efficiency: float
    cpu_ms: float
    p99_over_latency_ms: float


async def measure(call: Call, *, calls: int, concurrency: int, latency: float) -> Measured:
    """Make `calls` calls, `concurrency` at a time."""
    took: list[float] = []
    left = iter(range(calls))

    async def worker() -> None:
        for _ in left:
            started = time.perf_counter()
            await call()
            took.append(time.perf_counter() - started)

    cpu, started = time.process_time(), time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(concurrency)))
    wall, cpu = time.perf_counter() - started, time.process_time() - cpu
    ideal = -(-calls // concurrency) * latency
    p99 = sorted(took)[int(len(took) * 0.99) - 1]
    return Measured(ideal / wall, cpu / calls * 1000, (p99 - latency) * 1000)


@asynccontextmanager
async def ours(url: str, concurrency: int) -> AsyncIterator[Call]:
    async with open_chat(LLMConfig(model="m", base_url=url, concurrency=concurrency)) as chat:

        async def call() -> None:
            async with chat.slot():
                await chat.complete(REQUEST, chat.allowance(30))

        yield call


@asynccontextmanager
async def bare_sdk(url: str, concurrency: int) -> AsyncIterator[Call]:
    import openai

    messages: Any = [{"role": m.role, "content": m.text} for m in REQUEST.messages]
    async with openai.AsyncOpenAI(api_key="none", base_url=url, max_retries=0) as sdk:

        async def call() -> None:
            answer = await sdk.chat.completions.create(
                model="m", messages=messages, max_tokens=REQUEST.max_tokens
            )
            assert answer.choices[0].message.content == ANSWER

        yield call


async def _run(opened: Opened, url: str, calls: int, concurrency: int) -> Measured:
    async with opened(url, concurrency) as call:
        # Connections and imports belong to the first calls, not to the rate.
        await asyncio.gather(*(call() for _ in range(concurrency)))
        return await measure(call, calls=calls, concurrency=concurrency, latency=LATENCY)


def compare(url: str, *, calls: int, concurrency: int) -> dict[str, float]:
    """Medians of alternating rounds, so that a busy moment falls on both."""
    results: dict[str, list[Measured]] = {"ours": [], "sdk": []}
    for _ in range(ROUNDS):
        for name, opened in (("ours", ours), ("sdk", bare_sdk)):
            results[name].append(asyncio.run(_run(opened, url, calls, concurrency)))
    found = {
        f"{name}_{key}": statistics.median(getattr(measured, key) for measured in runs)
        for name, runs in results.items()
        for key in ("efficiency", "cpu_ms", "p99_over_latency_ms")
    }
    found["efficiency_ratio"] = found["ours_efficiency"] / found["sdk_efficiency"]
    found["cpu_ratio"] = found["ours_cpu_ms"] / found["sdk_cpu_ms"]
    return {key: round(value, 3) for key, value in found.items()}


def main() -> dict[str, Any]:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    calls = 64 if parser.parse_args().quick else 480
    with model_server() as url:
        report = {
            "benchmark": "llm_client",
            "latency_ms": LATENCY * 1000,
            "calls": calls,
            **{f"c{n}": compare(url, calls=calls, concurrency=n) for n in (8, 32)},
        }
    print(json.dumps(report))
    return report


if __name__ == "__main__":
    main()
