"""Patterns and plans worded by a model, where it is configured and what it says is grounded.

Which trades belong together, what they cost, and which rule comes first is the engine's. The first
sentence of a pattern, and the rule, its reason, worth and criterion in a plan stay the built-in
narrator's; a model adds a name, an explanation and how to go about it.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar

from django.db import transaction

from llm.config import LLMConfig
from llm.errors import Kind
from llm.prompts import render
from post_mortem.core.claims import Ground
from post_mortem.core.evidence import Fact
from post_mortem.core.grounding import UngroundedError, citations, count_slots
from post_mortem.core.pattern_facts import facts_of, noun_phrase, plan_facts
from post_mortem.models import AnalysisPattern, AutopsyJob, ImprovementPlan, TradeAnalysis
from post_mortem.services import jobs
from post_mortem.services import llm_ledger as ledger
from post_mortem.services.asking import Ask, Outcome, ask_each
from post_mortem.services.model_narratives import UpgradeSummary
from post_mortem.services.patterns import tell
from post_mortem.services.plans import tell_plan
from trading.models import Account

if TYPE_CHECKING:
    from pydantic import BaseModel

WORDS: Final = "pattern_words"
"""The kind of job that asks a model to word patterns or a plan. An item's payload is
{"patterns": [ids]} or {"plan": id}."""
GROUP: Final = 4
MOST_WORDED: Final = 12
_TEMPLATE: Final = TradeAnalysis.Source.TEMPLATE
_TENDENCY: Final[Mapping[str, int]] = {"leak": -1, "edge": 1}
_CLUSTER: Final = "P1"

Row = TypeVar("Row", AnalysisPattern, ImprovementPlan)
Beat = Callable[[], None]


def request_words(
    *,
    account: Account,
    patterns: Sequence[AnalysisPattern] = (),
    plan: ImprovementPlan | None = None,
    user: Any = None,
) -> AutopsyJob | None:
    """Queue the wording of these; None where no model is configured or nothing is to be worded."""
    if not ledger.llm_config().enabled:
        return None
    ids = [row.pk for row in patterns if row.source == _TEMPLATE][:MOST_WORDED]
    items = jobs.groups("patterns", ids, GROUP)
    if plan is not None and plan.source == _TEMPLATE:
        items.append(jobs.Item(f"plan:{plan.pk}", {"plan": plan.pk}))
    if not items:
        return None
    return jobs.enqueue(kind=WORDS, account=account, items=items, user=user)


def word_patterns(
    *,
    pattern_ids: Sequence[int],
    now: datetime,
    user_id: int | None = None,
    config: LLMConfig | None = None,
    interactive: bool = False,
    beat: Beat | None = None,
) -> UpgradeSummary:
    """Ask the configured model to name and explain patterns. Raises nothing for its faults: a
    pattern that it did not word keeps its text and gets the reason. Results are stored as they
    come; `beat` is called meanwhile, and what it raises ends the work."""
    config = config or ledger.llm_config()
    if not config.enabled:
        return _disabled(len(pattern_ids))
    rows = AnalysisPattern.objects.filter(pk__in=list(pattern_ids), source=_TEMPLATE)
    due = rows.select_related("account").order_by("pk")
    asked = [(row, _ask_pattern(row, config, user_id)) for row in due]
    return _word(asked, _store_pattern, config, now, interactive, beat)


def word_plan(
    *,
    plan_id: int,
    now: datetime,
    user_id: int | None = None,
    config: LLMConfig | None = None,
    interactive: bool = False,
    beat: Beat | None = None,
) -> UpgradeSummary:
    """Ask the configured model to word a plan; as `word_patterns`."""
    config = config or ledger.llm_config()
    if not config.enabled:
        return _disabled(1)
    rows = ImprovementPlan.objects.filter(pk=plan_id, source=_TEMPLATE)
    asked = [(row, _ask_plan(row, config, user_id)) for row in rows.select_related("account")]
    return _word(asked, _store_plan, config, now, interactive, beat)


def _disabled(count: int) -> UpgradeSummary:
    return UpgradeSummary(0, 0, 0, {"disabled": count} if count else {})


def _word(
    asked: Sequence[tuple[Row, Ask]],
    store: Callable[[Row, Outcome], str],
    config: LLMConfig,
    now: datetime,
    interactive: bool,
    beat: Beat | None,
) -> UpgradeSummary:
    """`store` says why a text was not used, nothing where it was."""
    rows: dict[str, list[Row]] = {}
    for row, ask in asked:
        rows.setdefault(ask.key, []).append(row)
    counts: Counter[str] = Counter()
    reasons: Counter[str] = Counter()

    def keep(settled: Sequence[tuple[Ask, Outcome]]) -> None:
        for ask, outcome in settled:
            reason = store(rows[ask.key].pop(0), outcome)
            counts.update(asked=1, cached=int(outcome.cached), written=int(not reason))
            if reason:
                reasons[reason] += 1

    size = max(1, config.concurrency)
    asks = [ask for _, ask in asked]
    chunks = (asks[start : start + size] for start in range(0, len(asks), size))
    ask_each(chunks, config, now=now, keep=keep, interactive=interactive, beat=beat)
    return UpgradeSummary(counts["asked"], counts["written"], counts["cached"], dict(reasons))


# --- collect ------------------------------------------------------------------------------------


def _told(facts: Sequence[Fact]) -> list[dict[str, Any]]:
    return [
        {"id": f.id, "text": f.text, "slots": dict(f.slots), "side": f.side, "cause": f.cause}
        for f in facts
    ]


def _ask_pattern(row: AnalysisPattern, config: LLMConfig, user_id: int | None) -> Ask:
    from post_mortem.services.answer_shapes import PatternAnswer

    facts = facts_of(row.statistics)
    label = noun_phrase(row.statistics["parts"])
    context = {
        "clusters": [{"id": _CLUSTER, "label": label, "fact_ids": [f.id for f in facts]}],
        "facts": _told(facts),
        "texts": [],
        "left_out": False,
    }
    own = row.slot_data
    fallback = {
        "patterns": [
            {
                "cluster_id": _CLUSTER,
                "title": own["title"],
                "description": own["description"],
                "hypothesis": "",
                "action_items": [],
            }
        ],
        "insufficient_evidence": [],
    }
    return _ask(
        "patterns",
        PatternAnswer,
        context,
        fallback,
        row,
        row.evidence_hash,
        config,
        user_id,
        Ground(
            facts={fact.id: fact for fact in facts},
            tendency=_TENDENCY.get(row.pattern_type, 0),
        ),
    )


def _ask_plan(plan: ImprovementPlan, config: LLMConfig, user_id: int | None) -> Ask:
    from post_mortem.services.answer_shapes import PlanAnswer

    groups = plan_facts(plan.evidence)
    context = {
        "sources": [
            {
                "id": f"R{number}",
                "area": step["area"],
                "label": step["action"],
                "fact_ids": [fact.id for fact in facts],
            }
            for number, (step, facts) in enumerate(zip(plan.improvements, groups, strict=True), 1)
        ],
        "facts": [fact for facts in groups for fact in _told(facts)],
        "texts": [],
        "left_out": False,
    }
    fallback = {"summary": plan.slot_data["summary"], "items": []}
    facts = {fact.id: fact for group in groups for fact in group}
    return _ask(
        "plan", PlanAnswer, context, fallback, plan, plan.key, config, user_id, Ground(facts=facts)
    )


def _ask(
    purpose: str,
    shape: type[BaseModel],
    context: Mapping[str, Any],
    fallback: Mapping[str, Any],
    row: AnalysisPattern | ImprovementPlan,
    evidence_hash: str,
    config: LLMConfig,
    user_id: int | None,
    ground: Ground,
) -> Ask:
    from llm.structured import schema_text

    nonce = secrets.token_hex(8)
    schema = schema_text(shape)
    rendered = render(purpose, schema=schema, nonce=nonce, **context)
    return Ask(
        key=ledger.answer_key(config, rendered.sha256, schema, context),
        asked=ledger.Asked(
            account_id=row.account_id,
            user_id=user_id if user_id is not None else row.account.owner_id,
            purpose=purpose,
            model=config.model,
            host=ledger.host_of(config),
            prompt=f"{purpose}/{rendered.version}",
            prompt_sha256=rendered.sha256,
            evidence_hash=evidence_hash,
        ),
        prompt=purpose,
        rendered=rendered,
        shape=shape,
        ground=Ground(facts=ground.facts, tendency=ground.tendency, secrets=(nonce,)),
        fallback=fallback,
        sections=tuple(fallback),
    )


# --- persist ------------------------------------------------------------------------------------


@transaction.atomic
def _store_pattern(row: AnalysisPattern, outcome: Outcome) -> str:
    """Put the answer in place, unless the pattern changed meanwhile; why not, or ""."""
    fresh = (
        AnalysisPattern.objects.select_for_update()
        .filter(pk=row.pk, evidence_hash=row.evidence_hash, source=_TEMPLATE)
        .first()
    )
    if fresh is None:
        return "changed"
    told = _entry(outcome.answer)
    if told is None:
        return _keep(fresh, outcome)
    own = fresh.slot_data
    slotted = {
        **own,
        "title": told["title"] or own["title"],
        "description": told["description"],
        "hypothesis": told["hypothesis"],
        "action_items": [*own["action_items"], *told["action_items"]],
    }
    try:
        tell(fresh, slotted)
    except UngroundedError:
        return _keep(fresh, outcome, Kind.UNGROUNDED)
    _sign(fresh, outcome)
    return ""


def _entry(answer: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """What was said of the one cluster that was asked about; nothing without a cited sentence."""
    entries = [] if answer is None else answer.get("patterns") or []
    told = next((e for e in entries if e["cluster_id"] == _CLUSTER), None)
    return told if told and citations(told["description"]) else None


@transaction.atomic
def _store_plan(plan: ImprovementPlan, outcome: Outcome) -> str:
    fresh = ImprovementPlan.objects.select_for_update().filter(pk=plan.pk, source=_TEMPLATE).first()
    if fresh is None:
        return "changed"
    if outcome.answer is None:
        return _keep(fresh, outcome)
    said = _by_source(outcome.answer.get("items") or [])
    summary = outcome.answer.get("summary") or ""
    own = fresh.slot_data
    items = []
    for number, step in enumerate(own["items"], 1):
        told = said.get(f"R{number}", {})
        items.append({**step, "how": told.get("action", ""), "why": told.get("rationale", "")})
    slotted = {"summary": summary if citations(summary) else own["summary"], "items": items}
    try:
        tell_plan(fresh, slotted)
    except UngroundedError:
        return _keep(fresh, outcome, Kind.UNGROUNDED)
    _sign(fresh, outcome)
    return ""


def _by_source(items: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """The first item that names a source speaks for it."""
    found: dict[str, Mapping[str, Any]] = {}
    for item in items:
        for source in item["source_ids"]:
            found.setdefault(source, item)
    return found


def _keep(row: AnalysisPattern | ImprovementPlan, outcome: Outcome, reason: str = "") -> str:
    """Leave the narrator's text, which a text that did not fill has not touched, and say why."""
    reason = str(reason or outcome.reason or "not_told")
    row.source_reason = reason
    row.grounding = {**row.grounding, **outcome.grounding}
    row.save(update_fields=["source_reason", "grounding"])
    return reason


def _sign(row: AnalysisPattern | ImprovementPlan, outcome: Outcome) -> None:
    count = count_slots(outcome.answer)
    row.source = outcome.source
    row.source_reason = ""
    row.grounding = {
        **row.grounding, **outcome.grounding, "numbers": count, "matched": count
    }  # fmt: skip
    row.save()
