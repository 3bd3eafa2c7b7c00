"""Whatever a model's server does, at every entrance: nothing escapes, a narrative stands with its
reason, calls are few and short, and no log repeats a key, a prompt or a note.

Every row of the fault matrix alone and seeded sequences are long runs; a few rows are not.
"""

from __future__ import annotations

import json
import logging
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from io import StringIO
from typing import Any, Final

import pytest
from asgiref.sync import async_to_sync
from django.core.management import call_command
from django.test import override_settings
from rest_framework.test import APIClient

from post_mortem.core.types import Outcome
from post_mortem.jobs import work_once
from post_mortem.models import LLMAnswer, LLMCall, LLMSpend, TradeAnalysis
from post_mortem.services import PostMortemService
from post_mortem.services.narratives import narrate_audits
from tests.llm.replies import ROWS
from tests.llm.server import FaultServer
from tests.services.model_world import forget_servers, make_audits, model_server
from trading.models import Account, Trade

pytestmark = pytest.mark.django_db

SECONDS: Final = 2
MOST_REQUESTS: Final = 6
# The deadline of a call, and what a loaded machine may take to notice it.
MOST_MS: Final = (SECONDS + 2) * 1_000
KEY, NOTE, PROMPT = "sk-canary-of-the-key", "canary of the note", "You word the post-mortem"
FAST: Final = ("401", "429_hour", "reset_mid", "prose", "xss", "ok")
# Sentences of rows that say what must not be shown.
FORBIDDEN: Final = ("37.4", "E999", "evil.invalid", "<script>")


@dataclass(frozen=True)
class Desk:
    server: FaultServer
    user: Any
    trades: list[int]

    def reset(self) -> None:
        """As before any model was asked."""
        forget_servers()
        self.server.clear()
        LLMAnswer.objects.all().delete()
        LLMCall.objects.all().delete()
        LLMSpend.objects.all().delete()
        narrate_audits(audit_ids=list(audits()), force=True)


def audits() -> Sequence[int]:
    return list(TradeAnalysis.objects.values_list("audit_id", flat=True))


# --- the entrances --------------------------------------------------------------------------------


def one_trade(desk: Desk) -> None:
    async_to_sync(PostMortemService().analyze_trade)(desk.trades[0])


def a_batch(desk: Desk) -> None:
    found = async_to_sync(PostMortemService().analyze_trade_batch)(desk.trades, 20)
    assert all(isinstance(one, TradeAnalysis) for one in found)


def the_api(desk: Desk) -> None:
    answer = _client(desk).post(f"/api/post-mortem/analyses/{desk.trades[0]}/?wait=1", {})
    assert answer.status_code == 200
    told = answer.json()
    assert told["source"] in ("template", "llm", "llm_repaired", "llm_pruned")
    assert (told["source_reason"] == "") == (told["source"] != "template")


def a_worker(desk: Desk) -> None:
    answer = _client(desk).post(f"/api/post-mortem/analyses/{desk.trades[0]}/", {})
    assert answer.status_code == 202
    while work_once(worker="w"):
        pass
    job = _client(desk).get(answer.json()["status_url"]).json()
    assert (job["status"], job["failed"]) == ("completed", 0)


def the_command(desk: Desk) -> None:
    out = StringIO()
    call_command("run_autopsy", "--force", "--json", stdout=out, stderr=StringIO())
    assert json.loads(out.getvalue())["narratives_worded"] <= len(desk.trades)


def _client(desk: Desk) -> APIClient:
    client = APIClient()
    client.force_login(desk.user)
    return client


ENTRANCES: Final[dict[str, tuple[Callable[[Desk], None], int]]] = {
    "one_trade": (one_trade, 2),
    "a_batch": (a_batch, 20),
    "the_api": (the_api, 2),
    "a_worker": (a_worker, 2),
    "the_command": (the_command, 3),
}


@pytest.fixture(params=ENTRANCES)
def entrance(request: pytest.FixtureRequest) -> Iterator[tuple[Callable[[Desk], None], Desk]]:
    enter, count = ENTRANCES[request.param]
    with model_server() as server:
        make_audits(count)
        Trade.objects.update(notes=NOTE)
        user = Account.objects.get(pk=Trade.objects.values_list("account_id", flat=True)[0]).owner
        desk = Desk(server, user, list(Trade.objects.order_by("pk").values_list("pk", flat=True)))
        with override_settings(
            LLM_MODEL="m1",
            OPENAI_API_KEY=KEY,
            OPENAI_BASE_URL=server.url,
            LLM_SEND_NOTES=True,
            LLM_TIMEOUT=SECONDS,
        ):
            yield enter, desk


# --- what holds at each ---------------------------------------------------------------------------


def holds(desk: Desk, caplog: pytest.LogCaptureFixture, what: str) -> None:
    asked = Counter(_evidence(request.body) for request in desk.server.requests)
    # On a busy machine a try can time out before the server has read it: it is told all the same.
    told = LLMCall.objects.values_list("outcome", flat=True)
    assert asked or set(told) == {"timeout"}, what
    assert max(asked.values(), default=0) <= MOST_REQUESTS, what
    for call in LLMCall.objects.all():
        assert call.requests <= MOST_REQUESTS, what
        # On the clock that does not jump. Without a deadline a hanging server would take an hour.
        assert call.ms <= MOST_MS, (what, call.ms)
    assert TradeAnalysis.objects.count() == len(desk.trades), what
    stored = TradeAnalysis.objects.values("source", "source_reason", "analysis_data", "grounding")
    reasons = {row["source_reason"] for row in stored if row["source"] == "template"}
    called = set(LLMCall.objects.exclude(outcome="ok").values_list("outcome", flat=True))
    assert reasons - {""} == called, what
    # Without times, whose digits may be those of a forbidden figure.
    calls = [
        {k: v for k, v in row.items() if k != "created_at"} for row in LLMCall.objects.values()
    ]
    written = json.dumps([list(stored), calls], default=str)
    assert [part for part in (*FORBIDDEN, KEY, NOTE, PROMPT) if part in written] == [], what
    # Of a trade that won it is true.
    lost = TradeAnalysis.objects.exclude(audit__outcome=Outcome.SUCCEEDED)
    assert "was a success" not in json.dumps(list(lost.values("analysis_data"))), what
    for record in caplog.records:
        said = f"{record.getMessage()} {record.args} {record.exc_text} {record.exc_info}"
        assert not any(part in said for part in (KEY, NOTE, PROMPT)), (what, record.name)
    caplog.clear()


def _evidence(body: dict[str, Any]) -> str:
    return next(m["content"] for m in body["messages"] if m["role"] == "user").partition("OUT")[2]


def play(
    entrance: tuple[Callable[[Desk], None], Desk],
    rows: Sequence[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    enter, desk = entrance
    with caplog.at_level(logging.DEBUG):
        for row in rows:
            desk.reset()
            desk.server.play(row)
            enter(desk)
            holds(desk, caplog, row)


def test_a_few_faults(entrance: Any, caplog: pytest.LogCaptureFixture) -> None:
    play(entrance, FAST, caplog)


@pytest.mark.slow
def test_every_fault_alone(entrance: Any, caplog: pytest.LogCaptureFixture) -> None:
    play(entrance, sorted(set(ROWS) - set(FAST)), caplog)


@pytest.mark.slow
def test_faults_in_any_order(entrance: Any, caplog: pytest.LogCaptureFixture) -> None:
    enter, desk = entrance
    with caplog.at_level(logging.DEBUG):
        for seed in range(25):
            rng = random.Random(seed)
            drawn = [rng.choice(sorted(ROWS)) for _ in range(400)]
            desk.reset()
            desk.server.choose(lambda number, _, drawn=drawn: drawn[number % len(drawn)])
            enter(desk)
            holds(desk, caplog, f"seed {seed}")


def test_the_note_does_reach_the_model(entrance: Any) -> None:
    """The canaries could be found: they are sent."""
    enter, desk = entrance
    enter(desk)
    sent = json.dumps([[r.body, r.headers] for r in desk.server.requests])
    assert all(part in sent for part in (KEY, NOTE, PROMPT))
