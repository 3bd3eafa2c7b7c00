"""The window of calls: nobody waits for the slowest, budgets hold, what came is kept."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.db import DatabaseError, connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from benchmarks._model import honest_answer
from llm.config import LLMConfig
from post_mortem.models import LLMAnswer, LLMCall, LLMSpend, TradeAnalysis
from post_mortem.services import answering, asking
from post_mortem.services.analyst import PostMortemService
from post_mortem.services.asking import ask_all
from post_mortem.services.model_narratives import questions, word_narratives
from post_mortem.services.narratives import narrate_audits
from tests.llm.server import FaultServer
from tests.services.model_world import NOW, make_audits, make_trades, model_server
from trading.core.errors import NotFoundError
from trading.models import Trade

pytestmark = pytest.mark.django_db
COUNT = 12


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with model_server() as running:
        yield running


@pytest.fixture
def audits() -> list[int]:
    return make_audits(COUNT)


def config(server: FaultServer, **changes: Any) -> LLMConfig:
    return LLMConfig(model="m1", base_url=server.url, **({"concurrency": 3} | changes))


def word(audits: list[int], server: FaultServer, **changes: Any) -> Any:
    beat = changes.pop("beat", None)
    return word_narratives(audit_ids=audits, now=NOW, config=config(server, **changes), beat=beat)


def spent() -> dict[str, int]:
    row = LLMSpend.objects.get(scope__startswith="user:")
    return {"reserved": row.tokens_reserved, "used": row.tokens_used, "calls": row.calls}


def test_a_slow_answer_holds_up_no_other(audits: list[int], server: FaultServer) -> None:
    first: list[str] = []

    def hangs_for_the_first(_: int, body: dict[str, Any]) -> str:
        text = body["messages"][-1]["content"].partition("OUTCOME")[2]
        first.append(text)
        return "hang" if text == first[0] else "ok"

    server.choose(hangs_for_the_first)
    done = word(audits, server, attempt_seconds=2.5, background_seconds=4)
    assert (done.written, done.reasons) == (COUNT - 1, {"timeout": 1})
    # Everything else was asked before the first was given up and asked again.
    assert [i for i, text in enumerate(first) if text == first[0]] == [0, COUNT]


def test_calls_are_made_side_by_side_and_never_more_than_allowed(
    audits: list[int], server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, most = 0, 0
    real = asking.answer

    async def counted(*arguments: Any) -> Any:
        nonlocal now, most
        now += 1
        most = max(most, now)
        try:
            return await real(*arguments)
        finally:
            now -= 1

    monkeypatch.setattr(asking, "answer", counted)
    server.latency = 0.05
    assert word(audits, server, concurrency=4).written == COUNT
    assert most == 4


def test_the_same_question_is_asked_once(audits: list[int], server: FaultServer) -> None:
    (ask,) = questions(audits[:1], config(server))
    server.latency = 0.1
    outcomes = ask_all([ask] * 5, config(server), now=NOW)
    assert len(server.requests) == 1
    assert {o.source for o in outcomes} == {"llm"}
    assert [o.cached for o in outcomes] == [True] * 5 or not outcomes[0].cached
    server.play("400")
    LLMAnswer.objects.all().delete()
    failed = ask_all([ask] * 5, config(server), now=NOW)
    assert len(server.requests) == 2
    assert {o.reason for o in failed} == {"bad_request"}


def test_a_budget_for_few_at_a_time_serves_all_of_them(
    audits: list[int], server: FaultServer
) -> None:
    """What a call may take is set aside, what it took is much less: the rest is given back."""
    (ask,) = questions(audits[:1], config(server))
    most = answering.most_it_takes(ask, None).tokens
    with override_settings(LLM_DAILY_TOKENS=int(2.5 * most)):
        done = word(audits, server)
    assert done.written == COUNT
    assert spent()["reserved"] == 0
    assert spent()["calls"] == COUNT


def test_a_budget_that_ends_ends_the_calls(audits: list[int], server: FaultServer) -> None:
    (ask,) = questions(audits[:1], config(server))
    most = answering.most_it_takes(ask, None).tokens
    with override_settings(LLM_DAILY_TOKENS=int(1.05 * most)):
        done = word(audits, server)
    assert 0 < done.written < COUNT
    assert done.reasons == {"budget": COUNT - done.written}
    assert len(server.requests) == done.written
    assert spent()["used"] <= 1.05 * most
    assert spent()["reserved"] == 0


def test_what_came_before_the_end_is_kept(audits: list[int], server: FaultServer) -> None:
    class Taken(Exception):
        pass

    beats = 0

    def beat() -> None:
        nonlocal beats
        beats += 1
        if beats == 2:
            raise Taken

    server.latency = 0.3
    with pytest.raises(Taken):
        word(audits, server, beat=beat, concurrency=2)
    worded = TradeAnalysis.objects.exclude(source="template").count()
    assert 0 < worded < COUNT
    assert worded == LLMCall.objects.count() == LLMAnswer.objects.count() == spent()["calls"]
    # What was under way when it ended stays counted as if it had been used up; no more than that.
    (ask,) = questions(audits[-1:], config(server))
    assert spent()["reserved"] <= 2 * 1.2 * answering.most_it_takes(ask, None).tokens
    asked = len(server.requests)
    assert word(audits, server).written == COUNT - worded
    assert len(server.requests) == asked + COUNT - worded


def test_only_a_part_of_the_work_is_lost_with_the_client(
    audits: list[int], server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error of the database ends the run; what had come is in the ledger."""
    real, batches = asking._Desk.write, []

    def fails_later(desk: Any, done: Any) -> None:
        batches.append(len(done))
        if len(batches) == 2:
            raise DatabaseError("disk full")
        real(desk, done)

    monkeypatch.setattr(asking._Desk, "write", fails_later)
    server.latency = 0.3
    with pytest.raises(DatabaseError):
        word(audits, server, concurrency=2)
    assert LLMCall.objects.count() >= batches[0]
    assert TradeAnalysis.objects.exclude(source="template").count() >= batches[0]


def test_the_database_is_asked_in_batches(audits: list[int], server: FaultServer) -> None:
    server.latency = 0.05
    with CaptureQueriesContext(
        connection,
    ) as captured:
        word(audits, server, concurrency=6)
    assert len(captured) <= 6 * COUNT


def test_kept_answers_need_no_client(
    audits: list[int], server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    word(audits, server)
    narrate_audits(audit_ids=audits, force=True)
    monkeypatch.setattr(asking, "open_chat", None)
    assert word(audits, server).cached == COUNT


def test_an_error_of_ours_costs_one_narrative_and_says_nothing(
    audits: list[int],
    server: FaultServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    real, seen = answering.inspect, []

    def fails_once(*arguments: Any) -> Any:
        seen.append(arguments)
        if len(seen) == 2:
            raise ValueError("quotes the prompt")
        return real(*arguments)

    monkeypatch.setattr(answering, "inspect", fails_once)
    with caplog.at_level(logging.DEBUG):
        done = word(audits, server)
    assert (done.written, done.reasons) == (COUNT - 1, {"unexpected": 1})
    assert "ValueError" in caplog.text
    assert "quotes the prompt" not in caplog.text


def test_a_record_that_cannot_be_read_stops_no_other(
    audits: list[int], server: FaultServer
) -> None:
    analysis = TradeAnalysis.objects.get(audit_id=audits[1])
    analysis.audit.record = b"not a record"
    analysis.audit.save(update_fields=["record"])
    assert word(audits, server).written == COUNT - 1


def test_a_batch_of_the_service_is_asked_side_by_side(server: FaultServer) -> None:
    make_trades(4)
    server.latency = 0.05
    ids = [*Trade.objects.values_list("pk", flat=True), 987_654]
    with override_settings(LLM_MODEL="m1", OPENAI_BASE_URL=server.url):
        *found, missing = async_to_sync(PostMortemService().analyze_trade_batch)(ids, 4)
    assert [a.trade_id for a in found] == ids[:4]
    assert {a.source for a in found} == {"llm"}
    assert isinstance(missing, NotFoundError)


@pytest.mark.django_db(transaction=True)
def test_callers_with_a_loop_of_their_own(server: FaultServer) -> None:
    make_trades(2)
    ids = list(Trade.objects.values_list("pk", flat=True))

    async def both() -> list[Any]:
        service = PostMortemService()
        try:
            return [await service.analyze_trade(ids[0]), *await service.analyze_trade_batch(ids)]
        finally:
            await sync_to_async(lambda: connection.close())()  # the thread's own

    with override_settings(LLM_MODEL="m1", OPENAI_BASE_URL=server.url):
        first, again, other = asyncio.run(both())
    assert [first.source, again.source, other.source] == ["llm"] * 3
    assert (first.pk, len(server.requests)) == (again.pk, 2)


def test_a_model_that_lies_about_one_is_pruned_there_only(
    audits: list[int], server: FaultServer
) -> None:
    def lies(body: dict[str, Any]) -> str:
        answer = json.loads(honest_answer(body))
        if len(server.requests) == 1:
            answer["performance_analysis"]["overall_evaluation"] += " It lost 48 pips."
        return json.dumps(answer)

    server.answer = lies
    word(audits, server, concurrency=1)
    sources = list(TradeAnalysis.objects.order_by("source").values_list("source", flat=True))
    assert sources == ["llm"] * (COUNT - 1) + ["llm_repaired"]
