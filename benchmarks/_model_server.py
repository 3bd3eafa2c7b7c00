"""A model server in a process of its own that answers what it is asked, honestly and slowly.

    python -m benchmarks._model_server [--latency 0.2] [--faults 0.05]

Its address is the first line it prints; `GET /v1/count` tells how many requests came. Every so many
requests, spread by a hash of their number, are answered with 429 or 500 instead.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import urllib.request
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from benchmarks._model import honest_answer
from tests.llm.replies import ROWS, Exchange, Reply, as_json
from tests.llm.server import FaultServer

FAULTS = ("429_ms", "500")


class HonestServer(FaultServer):
    """Keeps no request, so that it can be asked for hours. An answer is made once a prompt."""

    def __init__(self, latency: float, faults: float) -> None:
        super().__init__(honest_answer, latency)
        self._faults = faults
        self._made: dict[int, str] = {}

    def _reply(self, path: str, headers: dict[str, str], raw: bytes) -> Reply:
        if path.endswith("/count"):
            return as_json({"count": self.count})
        row = self._row(self.count)
        self.count += 1
        body = json.loads(raw)
        key = zlib.crc32(body["messages"][-1]["content"].partition("OUTCOME")[2].encode())
        if row == "ok" and key not in self._made:
            self._made[key] = honest_answer(body)
        return ROWS[row](Exchange(body, headers, self._made.get(key, "")))

    def _row(self, number: int) -> str:
        drawn = zlib.crc32(f"request {number}".encode())
        if drawn % 10_000 >= self._faults * 10_000:
            return "ok"
        return FAULTS[drawn % len(FAULTS)]


@contextmanager
def honest_server(latency: float, faults: float = 0.0) -> Iterator[str]:
    """The address of such a server in another process."""
    command = [sys.executable, "-m", "benchmarks._model_server", "--latency", str(latency)]
    process = subprocess.Popen(
        [*command, "--faults", str(faults)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()


def requests_seen(url: str) -> int:
    with urllib.request.urlopen(f"{url}/count", timeout=30) as answer:  # noqa: S310 - localhost
        counted: dict[str, Any] = json.load(answer)
    return int(counted["count"])


async def _main(latency: float, faults: float) -> None:
    server = HonestServer(latency, faults)
    listening = await server.listen()
    sys.stdout.write(server.url + "\n")
    sys.stdout.flush()
    await listening.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Serve until killed; prints its address first.")
    parser.add_argument("--latency", type=float, default=0.2, help="seconds before every reply")
    parser.add_argument("--faults", type=float, default=0.0, help="share of 429 and 500")
    options = parser.parse_args()
    with suppress(KeyboardInterrupt):
        asyncio.run(_main(options.latency, options.faults))
