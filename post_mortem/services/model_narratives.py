"""Narratives worded by a model, put in place of the built-in narrator's where they are grounded.

The narrator's text is stored first and stays until a better one has passed; every failure leaves
it, with the reason. Ranks, confidences, scores and tracked advice are the engine's, whoever words
them.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from django.conf import settings
from django.db import transaction

from llm.config import LLMConfig
from llm.prompts import render
from post_mortem.core.advice import suggest
from post_mortem.core.claims import Ground
from post_mortem.core.evidence import Evidence
from post_mortem.core.grounding import count_slots
from post_mortem.core.types import Outcome as Label
from post_mortem.models import AutopsyJob, InsightAudit, TradeAnalysis
from post_mortem.selectors.evidence import RELATED, Rendered, render_audits
from post_mortem.services import jobs
from post_mortem.services import llm_ledger as ledger
from post_mortem.services.asking import Ask, Outcome, ask_all
from post_mortem.services.narratives import fill
from post_mortem.services.narrator import missing_words, narrate
from trading.models import Account

PURPOSE: Final = "trade_analysis"
NARRATIVES: Final = "narratives"
"""The kind of job that asks a model to word narratives. An item's payload is {"audits": [ids]}."""
GROUP: Final = 16
# What the model words; the rest of a narrative is merged from the narrator's.
SECTIONS: Final = (
    "performance_analysis", "entry_analysis", "exit_analysis", "decision_analysis",
    "primary_factors", "improvement_opportunities", "insufficient_evidence",
)  # fmt: skip
MOST_FACTS: Final = 60


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
) -> UpgradeSummary:
    """Ask the configured model to word the narratives of these audits. Raises nothing for its
    faults: a narrative that it did not improve keeps its text and gets the reason."""
    config = config or ledger.llm_config()
    if concurrency is not None:
        config = replace(config, concurrency=max(1, concurrency))
    if not config.enabled:
        return UpgradeSummary(0, 0, 0, {"disabled": len(audit_ids)} if audit_ids else {})
    rendered = _due(audit_ids)
    asks = [_ask(item, config, user_id) for item in rendered]
    outcomes = ask_all(asks, config, now=now, interactive=interactive)
    reasons: dict[str, int] = {}
    written = 0
    for item, outcome in zip(rendered, outcomes, strict=True):
        written += _store(item, outcome)
        if outcome.reason:
            reasons[outcome.reason] = reasons.get(outcome.reason, 0) + 1
    cached = sum(outcome.cached for outcome in outcomes)
    return UpgradeSummary(len(asks), written, cached, reasons)


# --- collect ------------------------------------------------------------------------------------


def questions(audit_ids: Sequence[int], config: LLMConfig) -> list[Ask]:
    """What a model would be asked about these audits."""
    return [_ask(item, config, None) for item in _due(audit_ids)]


def _due(audit_ids: Sequence[int]) -> list[Rendered]:
    """Judged audits whose narrative is the narrator's, with their evidence."""
    audits = InsightAudit.objects.filter(
        pk__in=list(audit_ids),
        analysis__source=TradeAnalysis.Source.TEMPLATE,
        outcome__in=(Label.SUCCEEDED, Label.FAILED, Label.NEUTRAL),
    )
    return render_audits(list(audits.select_related(*RELATED).order_by("pk")))


def _ask(item: Rendered, config: LLMConfig, user_id: int | None) -> Ask:
    from llm.structured import schema_text
    from post_mortem.services.answer_shapes import TradeAnswer

    nonce = secrets.token_hex(8)
    evidence = _trimmed(item.evidence)
    schema = schema_text(TradeAnswer)
    context = _context(item, evidence)
    rendered = render(PURPOSE, schema=schema, nonce=nonce, **context)
    own = narrate(item.subject, item.label, item.evidence, _advice(item))
    ground = Ground(
        facts={fact["id"]: item.evidence.by_id()[fact["id"]] for fact in context["facts"]},
        outcome=item.label.outcome,
        exit_reason=item.label.exit_reason,
        side=item.subject.side,
        causes=tuple(view.cause for view in item.evidence.ranked),
        secrets=(nonce,),
    )
    audit = item.audit
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
        key=ledger.answer_key(config, rendered.sha256, schema, context),
        asked=asked,
        prompt=PURPOSE,
        rendered=rendered,
        shape=TradeAnswer,
        ground=ground,
        fallback=own,
        sections=SECTIONS,
    )


def _advice(item: Rendered) -> Any:
    return suggest(item.subject, item.label, item.findings)


def _trimmed(evidence: Evidence) -> set[str]:
    """Ids of the facts to show: of the trade and of ranked causes first, then as many as fit."""
    ranked = {view.cause for view in evidence.ranked}
    first = [f.id for f in evidence.facts if f.cause is None or f.cause in ranked]
    rest = [f.id for f in evidence.facts if f.id not in set(first)]
    return set([*first, *rest][:MOST_FACTS])


def _context(item: Rendered, shown: set[str]) -> dict[str, Any]:
    """What the prompt is rendered with, JSON-able and the same for the same evidence."""
    evidence = item.evidence
    label = Label(item.label.outcome).name.lower()
    return {
        "verdict": evidence.verdict,
        "outcome": label,
        "facts": [
            {"id": f.id, "text": f.text, "slots": dict(f.slots), "side": f.side, "cause": f.cause}
            for f in evidence.facts
            if f.id in shown
        ],
        "ranked": [
            {
                "cause": view.cause,
                "label": view.label,
                "word": view.word,
                "for_ids": [i for i in view.for_ids if i in shown],
                "against_ids": [i for i in view.against_ids if i in shown],
            }
            for view in evidence.ranked
        ],
        "ruled_out": [{"label": view.label} for view in evidence.ruled_out],
        "unchecked": [
            {"label": view.label, "reason": missing_words(view.missing)}
            for view in evidence.unchecked
        ],
        "texts": _notes(item),
        "left_out": len(shown) < len(evidence.facts),
    }


def _notes(item: Rendered) -> list[dict[str, str]]:
    """The trader's own words, where the operator lets them out."""
    trade = item.audit.trade
    if not settings.LLM_SEND_NOTES or trade is None or not trade.notes.strip():
        return []
    return [{"id": "note", "text": trade.notes}]


# --- persist ------------------------------------------------------------------------------------


@transaction.atomic
def _store(item: Rendered, outcome: Outcome) -> bool:
    """Put the answer in place, unless the audit was judged anew meanwhile. True when it is used."""
    analysis = (
        TradeAnalysis.objects.select_for_update()
        .filter(audit=item.audit, evidence_hash=item.audit.evidence_hash)
        .first()
    )
    if analysis is None or analysis.source != TradeAnalysis.Source.TEMPLATE:
        return False
    if outcome.answer is None:
        analysis.source_reason = outcome.reason
        analysis.grounding = {**analysis.grounding, **outcome.grounding}
        analysis.save(update_fields=["source_reason", "grounding", "updated_at"])
        return False
    slotted = merged(analysis.slot_data, outcome.answer)
    filled = fill(slotted, item.evidence.by_id())
    # The advice of the stored text carries the ids of what is tracked.
    filled["improvement_opportunities"] = analysis.analysis_data["improvement_opportunities"]
    count = count_slots(outcome.answer)
    analysis.slot_data = slotted
    analysis.analysis_data = filled
    analysis.primary_factors = filled["primary_factors"]
    analysis.source = outcome.source
    analysis.source_reason = ""
    analysis.grounding = {**outcome.grounding, "numbers": count, "matched": count}
    analysis.save()
    return True


def merged(own: Mapping[str, Any], answer: Mapping[str, Any]) -> dict[str, Any]:
    """The narrator's narrative with the model's words. Causes keep their rank and confidence;
    what could not be checked stays said, in the narrator's words, before the model's."""
    told = {
        name: answer[name]
        for name in ("performance_analysis", "entry_analysis", "exit_analysis", "decision_analysis")
        if answer.get(name)
    }
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
