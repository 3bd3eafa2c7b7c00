"""Narratives of audits: written by the offline narrator, grounded, stored with their advice.

The TRADE audit of an executed trade is narrated; of an untraded signal the longest finished
horizon. Running it again on unchanged evidence writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction

from post_mortem.core.advice import suggest
from post_mortem.core.evidence import Fact
from post_mortem.core.grounding import render, sentences
from post_mortem.core.types import Outcome
from post_mortem.models import InsightAudit, TradeAnalysis
from post_mortem.selectors.evidence import RELATED, Rendered, render_audits
from post_mortem.services.narrator import NARRATOR_VERSION, Narrative, narrate
from post_mortem.services.recommendations import merge_many
from trading.core.types import SIGNAL_HORIZONS, Horizon

_CHUNK = 200
_FINISHED = (Outcome.SUCCEEDED, Outcome.FAILED, Outcome.NEUTRAL)
# Keys whose texts are not narrative: they are codes and advice that carries no figures.
_CODES = frozenset(("key", "kind", "area", "scope", "metric", "cause", "label"))


@dataclass(frozen=True, slots=True)
class NarrationSummary:
    written: int
    unchanged: int
    recommendations: int


def narrate_audits(
    *,
    audit_ids: Sequence[int],
    force: bool = False,
    progress: Callable[[int], None] | None = None,
) -> NarrationSummary:
    """Write the analyses that these audits call for. `progress` is told how many are done."""
    chosen = _to_narrate(audit_ids)
    written = unchanged = 0
    recommendations: set[int] = set()
    for chunk in _chunks(chosen, _CHUNK):
        made, merged = _narrate_chunk(chunk, force)
        written += made
        unchanged += len(chunk) - made
        recommendations |= merged
        if progress:
            progress(len(chunk))
    return NarrationSummary(written, unchanged, len(recommendations))


def _chunks(ids: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    for start in range(0, len(ids), size):
        yield ids[start : start + size]


def _to_narrate(audit_ids: Sequence[int]) -> list[int]:
    """Of the signals of these audits: the TRADE audits, else the longest finished horizon."""
    chosen: dict[int, tuple[int, int]] = {}
    trades: dict[int, list[int]] = {}
    for ids in _chunks(list(audit_ids), 500):
        signals = InsightAudit.objects.filter(pk__in=ids).values("signal")
        rows = (
            InsightAudit.objects.filter(signal__in=signals)
            .order_by("pk")
            .values_list("pk", "signal", "horizon", "outcome")
        )
        for pk, signal, horizon, outcome in rows:
            if horizon == Horizon.TRADE:
                trades.setdefault(signal, []).append(pk)
            elif outcome in _FINISHED:
                length = SIGNAL_HORIZONS.index(horizon)
                chosen[signal] = max(chosen.get(signal, (-1, 0)), (length, pk))
    found = {pk for signal, (_, pk) in chosen.items() if signal not in trades}
    found.update(pk for pks in trades.values() for pk in pks)
    return sorted(found)


@transaction.atomic
def _narrate_chunk(ids: Sequence[int], force: bool) -> tuple[int, set[int]]:
    audits = list(InsightAudit.objects.filter(pk__in=ids).select_related(*RELATED).order_by("pk"))
    existing = {a.audit_id: a for a in TradeAnalysis.objects.filter(audit__in=audits)}
    due = [audit for audit in audits if force or not _current(existing.get(audit.pk), audit)]
    analyses = [
        _analysis(rendered, existing.get(rendered.audit.pk)) for rendered in render_audits(due)
    ]
    for analysis in analyses:
        analysis.save()
    merged = merge_many(found=[(a, a.analysis_data["improvement_opportunities"]) for a in analyses])
    for analysis in analyses:
        _link_opportunities(analysis, [row.pk for row in merged[analysis.pk]])
    return len(analyses), {row.pk for rows in merged.values() for row in rows}


def _current(analysis: TradeAnalysis | None, audit: InsightAudit) -> bool:
    return (
        analysis is not None
        and analysis.evidence_hash == audit.evidence_hash
        and analysis.narrator_version == NARRATOR_VERSION
    )


def _link_opportunities(analysis: TradeAnalysis, ids: Sequence[int]) -> None:
    opportunities = analysis.analysis_data["improvement_opportunities"]
    if len(ids) != len(opportunities):
        raise ValueError("every opportunity has its recommendation")
    for opportunity, pk in zip(opportunities, ids, strict=True):
        opportunity["id"] = pk
    analysis.save(update_fields=["analysis_data"])


def _analysis(rendered: Rendered, existing: TradeAnalysis | None) -> TradeAnalysis:
    audit, evidence = rendered.audit, rendered.evidence
    advice = suggest(rendered.subject, rendered.label, rendered.findings)
    slotted = narrate(rendered.subject, rendered.label, evidence, advice)
    facts = evidence.by_id()
    analysis = existing or TradeAnalysis(audit=audit)
    analysis.account_id = audit.account_id
    analysis.trade = audit.trade
    analysis.slot_data = slotted
    analysis.analysis_data = fill(slotted, facts)
    analysis.success_score = success_score(audit.r_multiple)
    analysis.primary_factors = analysis.analysis_data["primary_factors"]
    analysis.source = TradeAnalysis.Source.TEMPLATE
    analysis.source_reason = ""
    analysis.grounding = {"checked": _count_sentences(slotted), "violations": []}
    analysis.evidence_hash = audit.evidence_hash
    analysis.narrator_version = NARRATOR_VERSION
    return analysis


def success_score(r: float | None) -> int | None:
    """round(50 + 25 * clip(R, -2, 2)); None without R."""
    return None if r is None else round(50 + 25 * max(-2.0, min(2.0, r)))


def fill(slotted: Narrative, facts: Mapping[str, Fact]) -> Narrative:
    """The narrative with its slots filled. Raises UngroundedError: the narrator's own text never
    fails its own check, and a text that does is not stored."""
    return {key: _filled(key, value, facts) for key, value in slotted.items()}


def _filled(key: str, value: Any, facts: Mapping[str, Fact]) -> Any:
    if isinstance(value, str):
        return value if key in _CODES else render(value, facts)
    if isinstance(value, list):
        return [_filled(key, item, facts) for item in value]
    if isinstance(value, dict):
        return value if key in _CODES else {k: _filled(k, v, facts) for k, v in value.items()}
    return value


def _count_sentences(value: Any, key: str = "") -> int:
    if key in _CODES:
        return 0
    if isinstance(value, str):
        return len(sentences(value))
    if isinstance(value, list):
        return sum(_count_sentences(item, key) for item in value)
    if isinstance(value, dict):
        return sum(_count_sentences(item, name) for name, item in value.items())
    return 0
