"""A local OpenAI-compatible server that misbehaves on request.

    with FaultServer() as server:
        server.play("500", "reset_mid", "ok")      # one row a request; the last one repeats
        ...                                         # LLMConfig(base_url=server.url, model="m")
        assert [r.row for r in server.requests] == ["500", "reset_mid", "ok"]

It runs in a thread of its own with its own event loop. `python -m tests.llm.server` runs it as a
process, for measurements that must not share an interpreter.
"""

import argparse
import asyncio
import json
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Self

from tests.llm.replies import ROWS, Exchange, Reply

Answer = str | Callable[[dict[str, Any]], str]
Chooser = Callable[[int, dict[str, Any]], str]


@dataclass(frozen=True)
class Received:
    """A request that arrived: `at` on the monotonic clock."""

    row: str
    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    at: float


class FaultServer:
    """`answer`: the text of the model's message, or a function of the request's body. `latency`:
    seconds before every reply. All attributes may be changed between requests."""

    def __init__(self, answer: Answer = '{"answer": "yes, it does"}', latency: float = 0.0) -> None:
        self.answer = answer
        self.latency = latency
        self.requests: list[Received] = []
        self.count = 0
        self._scripts: dict[str, list[str]] = {}
        self._choose: Chooser = self._next_row
        self._loop = asyncio.new_event_loop()
        self._writers: set[asyncio.StreamWriter] = set()
        self._port = 0

    # --- for the test ---------------------------------------------------------------------------
    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/v1"

    def play(self, *rows: str, model: str = "") -> None:
        """These rows, one a request, from the next request on; the last one repeats. With `model`
        only for requests to that model, so that many scripts can be played at once."""
        unknown = set(rows) - ROWS.keys()
        if unknown or not rows:
            raise ValueError(f"no such rows: {sorted(unknown)}")
        self._scripts[model] = list(rows)
        self._choose = self._next_row

    def _next_row(self, index: int, body: dict[str, Any]) -> str:
        script = self._scripts.get(body.get("model", "")) or self._scripts.get("") or ["ok"]
        return script.pop(0) if len(script) > 1 else script[0]

    def choose(self, chooser: Chooser) -> None:
        """Let a function of the request's number (from 0) and body name the row."""
        self._choose = chooser

    def sent_to(self, model: str) -> list[Received]:
        return [request for request in self.requests if request.body.get("model") == model]

    def clear(self) -> None:
        """Forget the requests and the scripts: every next one is answered well."""
        self.requests.clear()
        self.count = 0
        self._scripts.clear()
        self._choose = self._next_row

    def __enter__(self) -> Self:
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), daemon=True)
        self._thread.start()
        if not started.wait(10):
            raise RuntimeError("the server did not start")
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    # --- the server -----------------------------------------------------------------------------
    def _run(self, started: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self.listen())
        started.set()
        self._loop.run_forever()
        for writer in self._writers:
            writer.transport.abort()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.close()

    async def listen(self, port: int = 0) -> asyncio.Server:
        server = await asyncio.start_server(self._serve, "127.0.0.1", port, backlog=512)
        self._port = server.sockets[0].getsockname()[1]
        return server

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while await self._exchange(reader, writer):
                pass
        self._writers.discard(writer)
        writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; false when the connection is over."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        path = head[0].split(" ")[1]
        pairs = (line.partition(":") for line in head[1:] if line)
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        raw = await reader.readexactly(int(headers.get("content-length", 0)))
        reply = self._reply(path, headers, raw)
        if delay := self.latency + reply.first_byte_after:
            await asyncio.sleep(delay)
        return await _send(reply, writer)

    def _reply(self, path: str, headers: dict[str, str], raw: bytes) -> Reply:
        body = json.loads(raw) if raw else {}
        row = self._choose(self.count, body)
        self.count += 1
        self.requests.append(Received(row, path, headers, body, time.monotonic()))
        answer = self.answer if isinstance(self.answer, str) else self.answer(body)
        return ROWS[row](Exchange(body, headers, answer))


class SteadyServer(FaultServer):
    """Reads no request and keeps none: the same reply every time, for measurements."""

    def __init__(self, answer: str, latency: float, row: str) -> None:
        super().__init__(answer, latency)
        self._always = ROWS[row](Exchange({"model": "m"}, {}, answer))

    def _reply(self, path: str, headers: dict[str, str], raw: bytes) -> Reply:
        return self._always


async def _send(reply: Reply, writer: asyncio.StreamWriter) -> bool:
    if reply.hang:
        await asyncio.sleep(3600)
    if reply.reset_at == -1:
        writer.transport.abort()
        return False
    if reply.raw is not None:
        writer.write(reply.raw)
        await writer.drain()
        return False
    writer.write(_head(reply))
    if reply.drip is not None:
        for byte in reply.body:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(reply.drip)
        return True
    writer.write(reply.body if reply.reset_at is None else reply.body[: reply.reset_at])
    await writer.drain()
    if reply.reset_at is not None:
        await asyncio.sleep(0.02)
        writer.transport.abort()
    return reply.reset_at is None and not reply.announce_more


def _head(reply: Reply) -> bytes:
    try:
        phrase = HTTPStatus(reply.status).phrase
    except ValueError:
        phrase = "Unknown"
    headers = {"content-length": str(len(reply.body) + reply.announce_more), **reply.headers}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {reply.status} {phrase}\r\n{lines}\r\n".encode()


async def _main(latency: float, row: str, answer: str) -> None:
    server = SteadyServer(answer, latency, row)
    listening = await server.listen()
    sys.stdout.write(server.url + "\n")
    sys.stdout.flush()
    await listening.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Serve until killed; prints its address first.")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before every reply")
    parser.add_argument("--row", default="ok", choices=ROWS)
    parser.add_argument("--answer", default='{"answer": "yes, it does"}')
    options = parser.parse_args()
    with suppress(KeyboardInterrupt):
        asyncio.run(_main(options.latency, options.row, options.answer))
