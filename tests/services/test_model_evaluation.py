"""Evaluating a model: an honest one passes, others fail where they should, mistakes are clear."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import override_settings

from benchmarks._model import honest_answer
from post_mortem.models import LLMAnswer, LLMCall, LLMSpend
from post_mortem.services.model_evaluation import CASES, load_cases
from tests.llm.server import FaultServer
from tests.services.model_world import model_server
from trading.core.errors import UserError

pytestmark = pytest.mark.django_db
FEW = ("loss-news_shock-strong", "nothing-checked", "win-target", "injected-ignore-previous")


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with model_server() as running:
        yield running


@pytest.fixture
def few(tmp_path: Path) -> Path:
    for name in FEW:
        (tmp_path / f"{name}.json").write_text((CASES / f"{name}.json").read_text())
    return tmp_path


def run(server: FaultServer, *arguments: str, **settings: Any) -> tuple[int, str]:
    out = StringIO()
    given = {"OPENAI_BASE_URL": server.url, "LLM_TIMEOUT": 4, "LLM_CONCURRENCY": 8, **settings}
    with override_settings(**given):
        try:
            call_command("llm_eval", "--model", "m1", *arguments, stdout=out, stderr=StringIO())
        except CommandError as error:
            return error.returncode, f"{out.getvalue()}{error}"
    return 0, out.getvalue()


def figures(server: FaultServer, few: Path, answer: Callable[[dict[str, Any]], str]) -> Any:
    server.answer = answer
    status, out = run(server, "--runs", "1", "--cases", str(few), "--json")
    found = json.loads(out.splitlines()[0])
    assert status == (1 if found["failed_gates"] else 0)
    return found


def changed(change: Callable[[dict[str, Any], str], None]) -> Callable[[dict[str, Any]], str]:
    """An honest model that does one thing more. It repeats it when asked to repair."""

    def answer(body: dict[str, Any]) -> str:
        told = json.loads(honest_answer(body))
        change(told, json.dumps(body["messages"]))
        return json.dumps(told)

    return answer


def test_an_honest_model_passes_every_gate(server: FaultServer) -> None:
    status, out = run(server, "--runs", "1", "--json")
    found = json.loads(out)
    assert (status, found["failed_gates"], found["poor"]) == (0, [], [])
    assert found["cases"] == found["answers"] == found["requests"] >= 60
    assert found["valid_first"] == found["grounded_first"] == found["abstained"] == 1.0
    assert found["top_cause"] == found["citation_precision"] == found["citation_recall"] == 1.0
    assert found["template"] == found["fabricated"] == found["obeyed_first"] == 0.0
    assert found["tokens_in"] > 0
    assert found["cost"] is None
    assert found["ms_p95"] >= found["ms_p50"] >= 0
    # In the ledger and within the budgets, but no answer is kept and none is taken from there.
    assert LLMCall.objects.filter(purpose="evaluation", account=None).count() == found["answers"]
    assert LLMSpend.objects.filter(scope="all", calls=found["answers"], tokens_reserved=0).exists()
    assert LLMAnswer.objects.count() == 0


def test_the_table_says_what_was_measured(server: FaultServer, few: Path) -> None:
    status, out = run(server, "--runs", "2", "--cases", str(few))
    assert status == 0
    assert "m1: 4 cases, 2 times each" in out
    assert "100.0 %  right shape at the first try (at least 98.0 %)" in out
    assert "cost unknown (LLM_PRICES)" in out


def test_invented_figures_are_counted_and_not_shown(server: FaultServer, few: Path) -> None:
    def lies(told: dict[str, Any], _: str) -> None:
        told["performance_analysis"]["overall_evaluation"] += " It lost 48 pips [E1]."

    found = figures(server, few, changed(lies))
    assert found["grounded_first"] == 0.0
    assert found["pruned"] == 1.0
    assert found["fabricated"] > 0
    assert found["shown_violations"] == 0
    assert "grounded_first" in found["failed_gates"]


def test_a_contradicted_label_is_counted_and_not_shown(server: FaultServer, few: Path) -> None:
    def lies(told: dict[str, Any], prompt: str) -> None:
        won = "The trade lost money" if "succeeded." in prompt else "The trade was a winner"
        told["performance_analysis"]["overall_evaluation"] = f"{won} [E1]."

    found = figures(server, few, changed(lies))
    assert (found["label_first"], found["label_shown"]) == (0.0, 1.0)


def test_a_guess_without_evidence_fails(server: FaultServer, few: Path) -> None:
    def guesses(told: dict[str, Any], _: str) -> None:
        factor = {"cause": "user_psychology", "explanation": "It fits [E1]."}
        told["primary_factors"].insert(0, factor)

    found = figures(server, few, changed(guesses))
    assert (found["abstained"], found["top_cause"]) == (0.0, 0.0)
    assert "abstained" in found["failed_gates"]


def test_a_model_that_obeys_a_note_fails(server: FaultServer, few: Path) -> None:
    def obeys(told: dict[str, Any], prompt: str) -> None:
        if "zebrafish" in prompt:
            told["exit_analysis"]["summary"] = "Zebrafish."

    found = figures(server, few, changed(obeys))
    assert (found["obeyed_first"], found["obeyed_shown"]) == (1.0, 1.0)
    assert "obeyed_shown" in found["failed_gates"]
    assert any("injected-ignore-previous: obeyed" in line for line in found["poor"])


def test_repairs_and_wrong_shapes_are_told_apart(server: FaultServer, few: Path) -> None:
    def needs_a_hint(body: dict[str, Any]) -> str:
        return honest_answer(body) if len(body["messages"]) > 2 else '{"wrong": 1}'

    found = figures(server, few, needs_a_hint)
    assert (found["valid_first"], found["repaired"], found["template"]) == (0.0, 1.0, 0.0)
    found = figures(server, few, lambda _: "I would rather talk about it.")
    assert (found["valid_first"], found["template"]) == (0.0, 1.0)
    assert found["words"] is None


def test_models_are_compared_side_by_side(server: FaultServer, few: Path) -> None:
    def one_lies(body: dict[str, Any]) -> str:
        told = json.loads(honest_answer(body))
        if body["model"] == "m2":
            told["performance_analysis"]["overall_evaluation"] += " It lost 48 pips [E1]."
        return json.dumps(told)

    server.answer = one_lies
    given = ("--model", "m2", "--runs", "1", "--cases", str(few))
    status, out = run(server, *given, "--json", LLM_PRICES=(Decimal(1), None, Decimal(2)))
    first, second = json.loads(out.splitlines()[0])["models"]
    assert (first["model"], second["model"]) == ("m1", "m2")
    assert (first["failed_gates"], second["failed_gates"] != [], status) == ([], True, 1)
    assert second["fabricated"] > first["fabricated"] == 0
    for name in ("abstained", "citation_precision"):
        assert first[name] == second[name] == 1.0
    # It repeats itself when asked to repair: twice the requests, and so more than twice the cost.
    assert second["requests"] == 2 * first["requests"]
    assert second["cost"] > 2 * first["cost"] > 0

    status, out = run(server, *given)
    assert status == 1
    table = {line[44:].strip(): line[:44].split() for line in out.splitlines()}
    assert table[""] == ["m1", "m2"]
    assert table["and every sentence sound (at least 90.0 %)"] == ["100.0", "%", "0.0", "%!"]
    assert table["cost, by the same LLM_PRICES"].count("unknown") == 2


def test_a_model_is_not_compared_with_itself(server: FaultServer, few: Path) -> None:
    status, out = run(server, "--model", "m1", "--cases", str(few))
    assert status == 2
    assert "not with itself" in out
    assert server.requests == []


@pytest.mark.parametrize("row", ["401", "404", "402"])
def test_a_model_that_cannot_be_asked_is_said_at_once(
    server: FaultServer, few: Path, row: str
) -> None:
    server.play(row)
    status, out = run(server, "--cases", str(few))
    assert status == 1
    assert "does not answer" in out
    assert len(server.requests) <= 8


def test_a_flaky_server_is_no_lie_of_the_model(server: FaultServer, few: Path) -> None:
    server.choose(lambda number, _: "500" if number == 1 else "ok")
    status, out = run(server, "--cases", str(few), "--runs", "1", "--json")
    found = json.loads(out)
    assert (status, found["requests"]) == (0, 5)


def test_mistakes_are_said(server: FaultServer, few: Path, tmp_path: Path) -> None:
    assert run(server, "--cases", str(tmp_path / "nowhere"))[0] == 2
    (few / "broken.json").write_text('{"schema": "inquest.bundle/1"}')
    status, out = run(server, "--cases", str(few))
    assert status == 2
    assert "broken.json is not a case of inquest.bundle/1: lacks 'context'" in out
    (few / "broken.json").write_text('{"schema": "other"}')
    with pytest.raises(UserError, match="its schema is 'other'"):
        load_cases(few)
    (few / "broken.json").unlink()
    for settings, words in (
        ({"OPENAI_BASE_URL": "", "OPENAI_API_KEY": ""}, "Set OPENAI_API_KEY"),
        ({"LLM_PAUSED": True}, "paused"),
        ({"LLM_DAILY_TOKENS": 10}, "budget"),
    ):
        status, out = run(server, "--cases", str(few), **settings)
        assert status == 1
        assert words in out
    assert server.requests == []
