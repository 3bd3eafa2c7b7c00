"""Ask a model many questions: kept answers, budgets, a window of calls, ledger, grounding.

Calls run on an event loop, a fixed number side by side: the next one starts as one ends, and none
waits for the slowest of a group. The database stays in the caller's thread, where questions are
made, budgets reserved and results written, in batches, while calls are under way. What was paid for
is in the ledger within a moment, so a process that is killed loses the record of a few calls.
Nothing here raises for a model's fault: every question gets an `Outcome`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import groupby
from typing import Any, Final

from asgiref.sync import async_to_sync, sync_to_async
from django.db import DatabaseError, transaction

from llm.client import ChatModel, open_chat
from llm.config import LLMConfig
from llm.cost import Price, Reservation
from llm.types import Usage
from post_mortem.services import llm_ledger as ledger
from post_mortem.services.answering import Ask, Outcome, answer, most_it_takes

__all__ = ["Ask", "Outcome", "ask_all", "ask_each"]

logger = logging.getLogger(__name__)

# Results that come within a moment of each other are written together.
_LINGER_SECONDS: Final = 0.2
_BEAT_SECONDS: Final = 10.0

Keep = Callable[[Sequence[tuple[Ask, Outcome]]], None]


def ask_all(
    asks: Sequence[Ask], config: LLMConfig, *, now: datetime, interactive: bool = False
) -> list[Outcome]:
    """One outcome a question, in order. Questions with the same key are asked once."""
    results: dict[str, Outcome] = {}

    def keep(settled: Sequence[tuple[Ask, Outcome]]) -> None:
        results.update({ask.key: outcome for ask, outcome in settled})

    size = max(1, config.concurrency)
    chunks = (asks[start : start + size] for start in range(0, len(asks), size))
    ask_each(chunks, config, now=now, keep=keep, interactive=interactive)
    return [results[ask.key] for ask in asks]


def ask_each(
    chunks: Iterable[Sequence[Ask]],
    config: LLMConfig,
    *,
    now: datetime,
    keep: Keep,
    interactive: bool = False,
    beat: Callable[[], None] | None = None,
) -> None:
    """Ask the questions of every chunk, made as they are needed, and hand what came of them to
    `keep`, in this thread and in the order of arrival. `beat` is called every few seconds at least;
    what it raises ends the run, after what came until then was kept."""
    if not config.enabled:
        for chunk in chunks:
            keep([(ask, Outcome("template", reason="disabled")) for ask in chunk])
        return
    seconds = config.interactive_seconds if interactive else config.background_seconds
    desk = _Desk(iter(chunks), now, keep, beat or (lambda: None))
    first = desk.next_called()
    if first.held:
        # Only now: with everything kept from before, neither a loop nor a client is made.
        async_to_sync(_Window(desk, config, seconds).run)(first)


# --- in the caller's thread: the database ---------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Held:
    """A question and what was set aside for it."""

    ask: Ask
    held: Reservation


@dataclass(frozen=True, slots=True)
class _Done:
    held: _Held
    outcome: Outcome
    spent: ledger.Spent


@dataclass(slots=True)
class _Batch:
    """`refused`: for lack of budget, which calls under way may yet give back."""

    held: list[_Held] = field(default_factory=list)
    refused: list[Ask] = field(default_factory=list)
    is_last: bool = False


class _Desk:
    """Where questions come from and results go to. Used by one thread at a time."""

    def __init__(
        self,
        chunks: Iterator[Sequence[Ask]],
        now: datetime,
        keep: Keep,
        beat: Callable[[], None],
    ) -> None:
        self._chunks = chunks
        self._now = now
        self._keep = keep
        self._beat = beat
        self._price: Price | None = ledger.model_price()
        # Those that wait for the answer to the same question, by its key.
        self._waiting: dict[str, list[Ask]] = {}
        self._failed: dict[str, Outcome] = {}
        self._held: dict[int, _Held] = {}

    def next_called(self) -> _Batch:
        """The next questions that have to be sent, past those that need not; empty at the end."""
        while True:
            batch = self.next_batch([])
            if batch.refused and not batch.held:
                self.give_up(batch.refused)
            if batch.held or batch.is_last:
                return batch

    def next_batch(self, refused: Sequence[Ask]) -> _Batch:
        """Those refused before, else the next chunk without what is kept, with budgets reserved."""
        fresh = list(refused)
        if not fresh:
            chunk = next(self._chunks, None)
            if chunk is None:
                return _Batch(is_last=True)
            fresh = self._fresh(chunk)
        batch = _Batch()
        for _, asks in groupby(fresh, key=lambda ask: ask.asked.user_id):
            self._reserve(list(asks), batch)
        return batch

    def _fresh(self, chunk: Sequence[Ask]) -> list[Ask]:
        """The first of each question that nobody has answered; what is known is kept at once."""
        kept = ledger.kept_answers([ask.key for ask in chunk], self._now)
        fresh, known = [], []
        for ask in chunk:
            if row := kept.get(ask.key):
                told = Outcome(row.source, row.answer, grounding=row.grounding, cached=True)
                known.append((ask, told))
            elif ask.key in self._failed:
                known.append((ask, self._failed[ask.key]))
            elif ask.key in self._waiting:
                self._waiting[ask.key].append(ask)
            else:
                self._waiting[ask.key] = []
                fresh.append(ask)
        if known:
            self._keep(known)
        return fresh

    def _reserve(self, asks: list[Ask], batch: _Batch) -> None:
        """All have the same limits. As many as these allow, from the first on."""
        limits = self._caps(asks[0])
        most = [most_it_takes(ask, self._price) for ask in asks]
        done = 0
        while done < len(asks):
            granted = ledger.reserve_first(most[done:], limits)
            if not granted:
                break
            chosen = slice(done, done + granted)
            held = [_Held(ask, one) for ask, one in zip(asks[chosen], most[chosen], strict=True)]
            self._held |= {id(item): item for item in held}
            batch.held += held
            done += granted
        batch.refused += asks[done:]

    def _caps(self, ask: Ask) -> tuple[ledger.Cap, ...]:
        return ledger.caps(ask.asked.user_id, self._now)

    def give_up(self, refused: Sequence[Ask]) -> None:
        """No budget, and nothing under way that could give any back."""
        outcome = Outcome("template", reason="budget")
        self._keep([pair for ask in refused for pair in self._resolved(ask, outcome)])

    def release(self, begun: Collection[int]) -> None:
        """Give back what was set aside for questions that are not asked after all."""
        left = [item for key, item in self._held.items() if key not in begun]
        ledger.settle_all([(item.held, None, self._caps(item.ask)) for item in left])

    def write_and_beat(self, done: Sequence[_Done]) -> None:
        if done:
            self.write(done)
        self._beat()

    def write(self, done: Sequence[_Done]) -> None:
        """What was paid for first; then what came of it, which may be asked for again unpaid."""
        with transaction.atomic():
            ledger.settle_all([(d.held.held, d.spent.usage, self._caps(d.held.ask)) for d in done])
            ledger.record_all([(d.held.ask.asked, d.spent) for d in done])
            ledger.keep_answers(
                [
                    ledger.Settled(ask.key, ask.asked, told.answer, told.source, told.grounding)
                    for ask, told in ((d.held.ask, d.outcome) for d in done)
                    if told.answer is not None
                ]
            )
        for one in done:
            del self._held[id(one.held)]
        self._keep([pair for d in done for pair in self._resolved(d.held.ask, d.outcome)])

    def _resolved(self, ask: Ask, outcome: Outcome) -> list[tuple[Ask, Outcome]]:
        if outcome.answer is None:
            self._failed[ask.key] = outcome
        same = replace(outcome, cached=outcome.answer is not None)
        return [(ask, outcome), *((other, same) for other in self._waiting.pop(ask.key, ()))]


# --- on the event loop: the calls -----------------------------------------------------------------


class _Window:
    """Calls side by side, fed and emptied by the desk in the caller's thread."""

    def __init__(self, desk: _Desk, config: LLMConfig, seconds: float) -> None:
        self._desk = desk
        self._config = config
        self._seconds = seconds
        self._queue: asyncio.Queue[_Held] = asyncio.Queue(config.concurrency)
        self._done: list[_Done] = []
        self._begun: set[int] = set()
        self._unsettled = 0
        self._is_fed = False
        self._wake = asyncio.Event()
        self._given_back = asyncio.Event()

    async def run(self, first: _Batch) -> None:
        async with open_chat(self._config) as chat:
            workers = (self._work(chat) for _ in range(self._config.concurrency))
            tasks = [asyncio.create_task(one) for one in (self._feed(first), *workers)]
            for task in tasks:
                task.add_done_callback(lambda _: self._wake.set())
            try:
                await self._empty(tasks)
            except BaseException:
                await _stopped(tasks)
                with suppress(DatabaseError):
                    await self._write(self._desk.write)
                    await _in_callers_thread(self._desk.release, self._begun)
                raise
            await _stopped(tasks)

    async def _feed(self, batch: _Batch) -> None:
        """Keeps a call ahead of every one under way."""
        while not batch.is_last:
            for item in batch.held:
                self._unsettled += 1
                await self._queue.put(item)
            if batch.refused and not batch.held:
                if self._unsettled or self._given_back.is_set():
                    await self._given_back.wait()
                else:
                    await _in_callers_thread(self._desk.give_up, batch.refused)
                    batch.refused = []
            self._given_back.clear()
            batch = await _in_callers_thread(self._desk.next_batch, batch.refused)
        self._is_fed = True
        self._wake.set()

    async def _work(self, chat: ChatModel) -> None:
        while True:
            item = await self._queue.get()
            self._begun.add(id(item))
            try:
                outcome, spent = await answer(item.ask, chat, self._seconds)
            except Exception as error:  # noqa: BLE001 - its text may hold the prompt or the answer
                logger.error("a question failed: %s", type(error).__name__)
                outcome = Outcome("template", reason="unexpected")
                spent = ledger.Spent("unexpected", Usage(), 0, 0, "template")
            self._done.append(_Done(item, outcome, spent))
            self._wake.set()

    async def _empty(self, tasks: Sequence[asyncio.Task[None]]) -> None:
        """Write what came, until everything has come."""
        while not (self._is_fed and self._unsettled == 0):
            with suppress(TimeoutError):
                async with asyncio.timeout(_BEAT_SECONDS):
                    await self._wake.wait()
            self._wake.clear()
            for task in tasks:
                if task.done():
                    task.result()
            await self._linger()
            await self._write(self._desk.write_and_beat)

    async def _linger(self) -> None:
        """A moment for more results, unless enough are there or none is to come."""
        enough = 2 * self._config.concurrency
        with suppress(TimeoutError):
            async with asyncio.timeout(_LINGER_SECONDS):
                while 0 < len(self._done) < min(enough, self._unsettled):
                    self._wake.clear()
                    await self._wake.wait()

    async def _write(self, write: Callable[[Sequence[_Done]], None]) -> None:
        done, self._done = self._done, []
        await _in_callers_thread(write, done)
        self._unsettled -= len(done)
        self._begun -= {id(one.held) for one in done}
        if done:
            self._given_back.set()


async def _stopped(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _in_callers_thread(call: Callable[..., Any], *arguments: Any) -> Any:
    """Where the caller's connection is, inside its transaction if it has one."""
    return await sync_to_async(call, thread_sensitive=True)(*arguments)
