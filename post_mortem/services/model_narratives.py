"""Narratives worded by a model, put in place of the built-in narrator's where they are grounded.

The narrator's text is stored first and stays until a better one has passed; every failure leaves
it, with the reason. Ranks, confidences, scores and tracked advice are the engine's, whoever words
them.
"""

from __future__ import annotations

import logging
import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any, Final

from django.conf import settings
from django.db import transaction

from llm.config import LLMConfig
from post_mortem.core.claims import Ground
from post_mortem.core.evidence import ended_at
from post_mortem.core.grounding import UngroundedError, count_slots
from post_mortem.core.types import Outcome as Label
from post_mortem.models import AutopsyJob, InsightAudit, TradeAnalysis
from post_mortem.selectors.evidence import RELATED, Rendered, render_audits
from post_mortem.services import bulk, jobs
from post_mortem.services import llm_ledger as ledger
from post_mortem.services.asking import Ask, Outcome, ask_each
from post_mortem.services.narratives import fill
from post_mortem.services.trade_prompt import MOST_FACTS, PURPOSE, fewer, trade_prompt
from trading.core.errors import OperatorError, UserError
from trading.models import Account

logger = logging.getLogger(__name__)

NARRATIVES: Final = "narratives"
"""The kind of job that asks a model to word narratives. An item's payload is {"audits": [ids]}."""
GROUP: Final = 64
_MOST_TOGETHER: Final = 32
# What the model words; the rest of a narrative is merged from the narrator's.
SECTIONS: Final = (
    "performance_analysis", "entry_analysis", "exit_analysis", "decision_analysis",
    "primary_factors", "improvement_opportunities", "insufficient_evidence",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class UpgradeSummary:
    """How many narratives are a model's now, and why the others are not, by reason."""

    asked: int
    written: int
    cached: int
    reasons: Mapping[str, int]

    def as_dict(self) -> dict[str, object]:
        return {
            "asked": self.asked,
            "written": self.written,
            "cached": self.cached,
            "reasons": dict(self.reasons),
        }


def request_narratives(
    *, account: Account, audit_ids: Sequence[int], user: Any = None
) -> AutopsyJob | None:
    """Queue the wording of these audits' narratives; None where no model is configured or nothing
    is to be worded."""
    if not audit_ids or not ledger.llm_config().enabled:
        return None
    ids = list(
        TradeAnalysis.objects.filter(
            audit__in=audit_ids, account=account, source=TradeAnalysis.Source.TEMPLATE
        ).values_list("audit_id", flat=True)
    )
    if not ids:
        return None
    return jobs.enqueue(
        kind=NARRATIVES,
        account=account,
        items=jobs.groups("audits", ids, GROUP),
        params={},
        user=user,
    )


def word_narratives(
    *,
    audit_ids: Sequence[int],
    now: datetime,
    user_id: int | None = None,
    config: LLMConfig | None = None,
    concurrency: int | None = None,
    interactive: bool = False,
    beat: Callable[[], None] | None = None,
    progress: Callable[[int], None] | None = None,
) -> UpgradeSummary:
    """Ask the configured model to word the narratives of these audits. Raises nothing for its
    faults: a narrative that it did not improve keeps its text and gets the reason. Results are
    stored as they come; `beat` is called meanwhile, and what it raises ends the work. `progress` is
    told how many are done."""
    config = config or ledger.llm_config()
    if concurrency is not None:
        config = replace(config, concurrency=max(1, concurrency))
    if not config.enabled:
        return UpgradeSummary(0, 0, 0, {"disabled": len(audit_ids)} if audit_ids else {})
    counts: Counter[str] = Counter()
    reasons: Counter[str] = Counter()

    def keep(settled: Sequence[tuple[Ask, Outcome]]) -> None:
        counts["asked"] += len(settled)
        counts["cached"] += sum(outcome.cached for _, outcome in settled)
        counts["written"] += _store(settled, now)
        reasons.update(outcome.reason for _, outcome in settled if outcome.reason)
        if progress:
            progress(len(settled))

    chunks = _questions(audit_ids, config, user_id)
    ask_each(chunks, config, now=now, keep=keep, interactive=interactive, beat=beat)
    return UpgradeSummary(counts["asked"], counts["written"], counts["cached"], dict(reasons))


# --- collect ------------------------------------------------------------------------------------


def questions(audit_ids: Sequence[int], config: LLMConfig) -> list[Ask]:
    """What a model would be asked about these audits."""
    return [ask for chunk in _questions(audit_ids, config, None) for ask in chunk]


def _questions(
    audit_ids: Sequence[int], config: LLMConfig, user_id: int | None
) -> Iterator[list[Ask]]:
    """As many at a time as are asked at a time: the first are asked while others are made."""
    size = min(_MOST_TOGETHER, config.concurrency)
    for start in range(0, len(audit_ids), _MOST_TOGETHER):
        due = _due(audit_ids[start : start + _MOST_TOGETHER])
        for first in range(0, len(due), size):
            yield [_ask(item, config, user_id) for item in due[first : first + size]]


def _due(audit_ids: Sequence[int]) -> list[Rendered]:
    """Judged audits whose narrative is the narrator's, with their evidence."""
    audits = InsightAudit.objects.filter(
        pk__in=list(audit_ids),
        analysis__source=TradeAnalysis.Source.TEMPLATE,
        outcome__in=(Label.SUCCEEDED, Label.FAILED, Label.NEUTRAL),
    )
    return _rendered(list(audits.select_related(*RELATED, "analysis").order_by("pk")))


def _rendered(audits: list[InsightAudit]) -> list[Rendered]:
    """With their evidence, without those whose record cannot be read: the others go on."""
    try:
        return render_audits(audits)
    except (OperatorError, UserError):
        if len(audits) > 1:
            return [item for audit in audits for item in _rendered([audit])]
        logger.exception("audit %s cannot be rendered", audits[0].pk)
        return []


def _ask(
    item: Rendered, config: LLMConfig, user_id: int | None, most_facts: int = MOST_FACTS
) -> Ask:
    from post_mortem.services.answer_shapes import TradeAnswer

    nonce = secrets.token_hex(8)
    prompt = trade_prompt(item.evidence, item.label.outcome, _notes(item), nonce, most_facts)
    half = fewer(prompt)
    shown = prompt.fact_ids
    ground = Ground(
        facts={fact.id: fact for fact in item.evidence.facts if fact.id in shown},
        outcome=item.label.outcome,
        exit_reason=ended_at(item.subject, item.label),
        side=item.subject.side,
        causes=tuple(view.cause for view in item.evidence.ranked),
        secrets=(nonce,),
    )
    audit, rendered = item.audit, prompt.rendered
    asked = ledger.Asked(
        account_id=audit.account_id,
        user_id=user_id if user_id is not None else audit.account.owner_id,
        purpose=PURPOSE,
        model=config.model,
        host=ledger.host_of(config),
        prompt=f"{PURPOSE}/{rendered.version}",
        prompt_sha256=rendered.sha256,
        evidence_hash=audit.evidence_hash,
    )
    return Ask(
        key=ledger.answer_key(config, rendered.sha256, prompt.schema, prompt.context),
        asked=asked,
        prompt=PURPOSE,
        rendered=rendered,
        shape=TradeAnswer,
        ground=ground,
        # The narrator's own text, as it is stored.
        fallback=audit.analysis.slot_data,
        sections=SECTIONS,
        about=item,
        noted={"facts_left_out": prompt.left_out} if prompt.left_out else {},
        shorter=partial(_ask, item, config, user_id, half) if half else None,
    )


def _notes(item: Rendered) -> list[dict[str, str]]:
    """The trader's own words, where the operator lets them out."""
    trade = item.audit.trade
    if not settings.LLM_SEND_NOTES or trade is None or not trade.notes.strip():
        return []
    return [{"id": "note", "text": trade.notes}]


# --- persist ------------------------------------------------------------------------------------


def _store(settled: Sequence[tuple[Ask, Outcome]], now: datetime) -> int:
    """Put answers in place, but not where the audit was judged or narrated anew meanwhile. How many
    are used now."""
    given = {ask.about.audit.pk: (ask.about, outcome) for ask, outcome in settled}
    told: list[tuple[int, Sequence[Any]]] = []
    left: list[tuple[int, Sequence[Any]]] = []
    with transaction.atomic():
        rows = TradeAnalysis.objects.select_for_update().filter(
            audit__in=given, source=TradeAnalysis.Source.TEMPLATE
        )
        for pk, audit_id, evidence_hash in rows.values_list("pk", "audit_id", "evidence_hash"):
            item, outcome = given[audit_id]
            if evidence_hash != item.audit.evidence_hash:
                continue
            values = _worded(item, outcome)
            if values is None:
                grounding = {**item.audit.analysis.grounding, **outcome.grounding}
                left.append((pk, (outcome.reason or "ungrounded", grounding, now)))
            else:
                told.append((pk, (*values, now)))
        bulk.update(TradeAnalysis, _TOLD, told)
        bulk.update(TradeAnalysis, _LEFT, left)
    return len(told)


_LEFT: Final = ("source_reason", "grounding", "updated_at")
_TOLD: Final = (
    "slot_data", "analysis_data", "primary_factors", "source", *_LEFT,
)  # fmt: skip


def _worded(item: Rendered, outcome: Outcome) -> tuple[Any, ...] | None:
    """The stored values of `_TOLD` without the last; None where the narrator's text stays."""
    if outcome.answer is None:
        return None
    analysis = item.audit.analysis
    slotted = merged(analysis.slot_data, outcome.answer)
    new: dict[str, Any] = {name: slotted[name] for name in (*_PARTS, *_LISTS) if name in slotted}
    try:
        # The last gate: what is stored is written by code from the facts, or not at all.
        filled = {**analysis.analysis_data, **fill(new, item.evidence.by_id())}
    except UngroundedError:
        logger.error("the settled answer about audit %s does not fill", item.audit.pk)
        return None
    count = count_slots(outcome.answer)
    grounding = {**outcome.grounding, "numbers": count, "matched": count}
    return slotted, filled, filled["primary_factors"], outcome.source, "", grounding


_PARTS: Final = ("performance_analysis", "entry_analysis", "exit_analysis", "decision_analysis")
_LISTS: Final = ("primary_factors", "ideas", "insufficient_evidence")


def merged(own: Mapping[str, Any], answer: Mapping[str, Any]) -> dict[str, Any]:
    """The narrator's narrative with the model's words. Causes keep their rank and confidence;
    what could not be checked stays said, in the narrator's words, before the model's."""
    told = {name: answer[name] for name in _PARTS if answer.get(name)}
    words = {f["cause"]: f["explanation"] for f in answer.get("primary_factors") or []}
    factors = [
        {**factor, "explanation": words.get(factor["cause"]) or factor["explanation"]}
        for factor in own["primary_factors"]
    ]
    missing = [*own["insufficient_evidence"], *(answer.get("insufficient_evidence") or [])]
    return {
        **own,
        **told,
        "primary_factors": factors,
        "ideas": list(answer.get("improvement_opportunities") or []),
        "insufficient_evidence": list(dict.fromkeys(missing)),
    }
