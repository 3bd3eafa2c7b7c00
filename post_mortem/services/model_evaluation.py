"""How well a model words evidence: golden cases asked, answers graded, figures added up."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from statistics import quantiles
from typing import Any, Final

from asgiref.sync import async_to_sync
from django.conf import settings
from django.db import transaction

from llm.client import open_chat
from llm.config import LLMConfig
from llm.cost import cost
from llm.prompts import FOLDER
from post_mortem.core.claims import Ground
from post_mortem.core.grading import Expected, Given, Grade, failed_gates, grade, poor, summarise
from post_mortem.core.types import ExitReason, Outcome
from post_mortem.services import llm_ledger as ledger
from post_mortem.services.answering import Ask, Examined, examine, most_it_takes
from post_mortem.services.model_narratives import SECTIONS
from post_mortem.services.trade_prompt import PURPOSE, prompt_of
from trading.core.errors import OperatorError, UserError

CASES: Final = FOLDER / "cases"
SCHEMA: Final = "inquest.bundle/1"
EVALUATION: Final = "evaluation"
_MOST_LISTED: Final = 30
# With one of these nobody else's question will be answered either.
_HOPELESS: Final = frozenset(("auth", "quota", "not_found", "connection", "circuit_open"))
_CONTEXT: Final = (
    "verdict", "outcome", "facts", "ranked", "ruled_out", "unchecked", "texts", "left_out",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ShownFact:
    """A fact of a golden case."""

    id: str
    kind: str
    slots: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class GoldenCase:
    """Evidence as a model is shown it, and what a right answer does with it."""

    id: str
    context: Mapping[str, Any] = field(repr=False)
    outcome: int
    exit_reason: int
    side: int
    expected: Expected = field(repr=False)

    def ground(self, nonce: str) -> Ground:
        return Ground(
            {f["id"]: ShownFact(f["id"], f["kind"], f["slots"]) for f in self.context["facts"]},
            self.outcome,
            self.exit_reason,
            self.side,
            self.expected.causes,
            (nonce,),
        )


def load_cases(folder: Path = CASES) -> list[GoldenCase]:
    """The cases in a folder, in the order of their names. Raises UserError `cases`."""
    files = sorted(folder.glob("*.json")) if folder.is_dir() else []
    if not files:
        raise UserError("cases", f"There is no case (*.json) in {folder}.", field="cases")
    return [_case(file) for file in files]


def _case(file: Path) -> GoldenCase:
    try:
        return parse_case(json.loads(file.read_text()))
    except (ValueError, KeyError, TypeError, OSError) as error:
        what = f"lacks {error}" if isinstance(error, KeyError) else str(error)[:200]
        detail = f"{file.name} is not a case of {SCHEMA}: {what}."
        raise UserError("cases", detail, field="cases") from error


def parse_case(given: Mapping[str, Any]) -> GoldenCase:
    """Raises KeyError, ValueError or TypeError for what is no case."""
    if given["schema"] != SCHEMA:
        raise ValueError(f"its schema is {given['schema']!r}")
    context = {name: given["context"][name] for name in _CONTEXT}
    ranked = context["ranked"]
    return GoldenCase(
        id=given["id"],
        context=context,
        outcome=Outcome[context["outcome"].upper()],
        exit_reason=ExitReason[given["exit_reason"].upper()],
        side={"long": 1, "short": -1}[given["side"]],
        expected=Expected(
            causes=tuple(view["cause"] for view in ranked),
            cause_facts={view["cause"]: tuple(view["for_ids"]) for view in ranked},
            abstains=given["abstains"],
            planted=tuple(given["planted"]),
        ),
    )


@dataclass(frozen=True, slots=True)
class Evaluation:
    """`figures` as of `core.grading.summarise`, with tokens, cost and time; `failed` names gates;
    `poor` says of single answers what was wrong, `case: what`."""

    model: str
    cases: int
    runs: int
    figures: Mapping[str, Any]
    failed: tuple[str, ...]
    poor: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "cases": self.cases,
            "runs": self.runs,
            **self.figures,
            "failed_gates": list(self.failed),
            "poor": list(self.poor),
        }


def evaluate(
    *,
    model: str,
    cases: Sequence[GoldenCase],
    runs: int,
    now: datetime,
    config: LLMConfig | None = None,
    progress: Callable[[int], None] | None = None,
) -> Evaluation:
    """Ask `model` about every case `runs` times. Raises OperatorError `not_configured`, `paused`,
    `budget`, `model` (nobody answers there)."""
    config = config or _config(model)
    asked = [(case, _ask(case, config)) for _ in range(runs) for case in cases]
    grades: list[Grade] = []
    spent: list[ledger.Spent] = []
    found: list[str] = []
    size = config.concurrency
    for start in range(0, len(asked), size):
        chunk = asked[start : start + size]
        examined = _asked([ask for _, ask in chunk], config, now)
        if start == 0 and all(one.outcome.reason in _HOPELESS for one in examined):
            reason = examined[0].outcome.reason
            raise OperatorError("model", f"{ledger.host_of(config)} does not answer ({reason}).")
        for (case, ask), one in zip(chunk, examined, strict=True):
            given = Given(one.first, one.outcome.answer, one.is_valid_first, one.outcome.source)
            graded = grade(given, ask.ground, case.expected)
            grades.append(graded)
            spent.append(one.spent)
            found += [f"{case.id}: {what}" for what in poor(graded)]
        if progress:
            progress(len(chunk))
    figures = {**summarise(grades), **_spending(spent)}
    listed = tuple(dict.fromkeys(found))[:_MOST_LISTED]
    return Evaluation(model, len(cases), runs, figures, failed_gates(figures), listed)


def _config(model: str) -> LLMConfig:
    if settings.LLM_PAUSED:
        raise OperatorError("paused", "Calls to models are paused: LLM_PAUSED is 1.")
    config = ledger.configured(model)
    if not config.enabled:
        detail = "Set OPENAI_API_KEY, or OPENAI_BASE_URL for a server of your own."
        raise OperatorError("not_configured", detail)
    return config


def _ask(case: GoldenCase, config: LLMConfig) -> Ask:
    from post_mortem.services.answer_shapes import TradeAnswer

    nonce = secrets.token_hex(8)
    prompt = prompt_of(case.context, nonce)
    asked = ledger.Asked(
        account_id=None,
        user_id=None,
        purpose=EVALUATION,
        model=config.model,
        host=ledger.host_of(config),
        prompt=f"{PURPOSE}/{prompt.rendered.version}",
        prompt_sha256=prompt.rendered.sha256,
        evidence_hash="",
    )
    return Ask(
        key=f"{case.id}:{nonce}",
        asked=asked,
        prompt=PURPOSE,
        rendered=prompt.rendered,
        shape=TradeAnswer,
        ground=case.ground(nonce),
        # What is not sound is left out here, not replaced: the model's words are graded.
        fallback={},
        sections=SECTIONS,
    )


def _asked(asks: Sequence[Ask], config: LLMConfig, now: datetime) -> list[Examined]:
    """Within the budgets of everybody, and in the ledger, but never from what is kept."""
    limits = ledger.caps(None, now)
    held = [most_it_takes(ask, ledger.model_price()) for ask in asks]
    if ledger.reserve_first(held, limits) < len(held):
        raise OperatorError("budget", "The budget for models is spent, or too small for this.")
    examined = async_to_sync(_examined)(asks, config)
    with transaction.atomic():
        ledger.settle_all(
            [(one, e.spent.usage, limits) for one, e in zip(held, examined, strict=True)]
        )
        ledger.record_all([(a.asked, e.spent) for a, e in zip(asks, examined, strict=True)])
    return examined


async def _examined(asks: Sequence[Ask], config: LLMConfig) -> list[Examined]:
    async with open_chat(config) as chat:
        seconds = config.background_seconds
        return list(await asyncio.gather(*(examine(ask, chat, seconds) for ask in asks)))


def _spending(spent: Sequence[ledger.Spent]) -> dict[str, Any]:
    """Tokens and money in all, milliseconds of the calls that brought an answer."""
    price = ledger.model_price()
    ms = sorted(one.ms for one in spent if one.outcome == "ok")
    cuts = quantiles(ms, n=20, method="inclusive") if len(ms) > 1 else ms * 19
    costs = [cost(one.usage, price) or Decimal(0) for one in spent]
    return {
        "tokens_in": sum(one.usage.prompt for one in spent),
        "tokens_out": sum(one.usage.completion for one in spent),
        "tokens_estimated": any(one.usage.estimated for one in spent),
        "requests": sum(one.requests for one in spent),
        "cost": None if price is None else float(sum(costs, Decimal(0))),
        "ms_p50": round(cuts[9]) if cuts else None,
        "ms_p95": round(cuts[18]) if cuts else None,
    }
