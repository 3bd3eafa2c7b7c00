"""One audit as text for a terminal: verdict, numbers, causes, narrative, advice, replay hash.

The same facts, words and order as the page of the trade; lines are at most `WIDTH` characters.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from post_mortem.core.evidence import CauseView, Evidence, Fact
from post_mortem.core.types import Status
from post_mortem.models import InsightAudit, RecommendationTracking, TradeAnalysis
from post_mortem.selectors.evidence import RELATED, Rendered, render_one
from post_mortem.services.narrator import missing_words
from trading.core.types import NS_PER_SECOND

WIDTH = 92
_NAME_WIDTH = 24
_UNDER_NAME = " " * (_NAME_WIDTH + 2)
_WHEN_WIDTH = 30
_SHORT_HASH = 12
_NUMBERS = ("result", "entry", "stop", "target", "exit", "plan_ratio", "mfe", "mae", "drawdown")
_SECTIONS = (
    ("performance_analysis", "What happened"),
    ("entry_analysis", "Entry"),
    ("exit_analysis", "Exit"),
    ("decision_analysis", "Decision"),
    ("context_analysis", "Market"),
)


def post_mortem_text(*, audit_id: int) -> str:
    """The whole post-mortem of one audit. Raises InsightAudit.DoesNotExist for an unknown id."""
    audit = InsightAudit.objects.select_related(*RELATED).get(pk=audit_id)
    rendered = render_one(audit, audit.account.desk)
    analysis = TradeAnalysis.objects.filter(audit=audit).first()
    blocks = [
        _head(rendered),
        _numbers(rendered.evidence),
        _timeline(rendered.evidence, ZoneInfo(audit.account.time_zone)),
        _causes(rendered.evidence),
        _ruled_out(rendered.evidence),
        _unchecked(rendered.evidence),
    ]
    if analysis is not None:
        blocks += [_narrative(analysis), _advice(analysis)]
    blocks.append([f"Replay hash {audit.input_hash[:_SHORT_HASH]}: same inputs, same result"])
    return "\n\n".join("\n".join(block) for block in blocks if block)


def _head(rendered: Rendered) -> list[str]:
    subject, audit = rendered.subject, rendered.audit
    zone = audit.account.time_zone
    entered = audit.entry_time.astimezone(ZoneInfo(zone))
    side = "long" if subject.side > 0 else "short"
    what = [f"{subject.symbol} {side}", subject.strategy, f"{entered:%a %-d %b %Y %H:%M} {zone}"]
    return [
        " · ".join(part for part in what if part),
        *_wrapped(rendered.evidence.verdict),
        *_wrapped(rendered.evidence.detail),
    ]


def _numbers(evidence: Evidence) -> list[str]:
    kept = [fact for fact in evidence.facts if fact.kind in (*_NUMBERS, "flag")]
    return ["NUMBERS", *(line for fact in kept for line in _fact(fact))]


def _timeline(evidence: Evidence, zone: ZoneInfo) -> list[str]:
    lines = ["WHAT HAPPENED WHEN"]
    for event in evidence.events:
        at = datetime.fromtimestamp(event.time // NS_PER_SECOND, tz=zone)
        when = f"{at:%-d %b %H:%M}  {event.offset}"
        notches = "!" * event.impact
        lines += _wrapped(
            f"{event.title}{' ' if notches else ''}{notches} [{event.fact.id}]",
            f"  {when:<{_WHEN_WIDTH}}",
        )
    return lines if evidence.events else []


def _causes(evidence: Evidence) -> list[str]:
    lines = ["POSSIBLE CAUSES"]
    facts = evidence.by_id()
    for view in evidence.ranked:
        last = view.cause == "unknown" and view.rank > 1
        lines.append(f"  {view.rank} {view.label:<{_NAME_WIDTH}}{view.word} {view.confidence}")
        if not last:
            lines += _wrapped(view.summary, "      ")
        lines += _facts(facts, view.for_ids, "for")
        lines += _facts(facts, view.against_ids, "against")
        lines += _facts(facts, _mind(view), "turns")
    return lines if evidence.ranked else []


def _facts(
    facts: Mapping[str, Fact], ids: Iterable[str], side: str, indent: str = "      "
) -> Iterator[str]:
    for fact_id in ids:
        yield from _wrapped(facts[fact_id].text, f"{indent}{side:<8}[{fact_id}] ")


def _ruled_out(evidence: Evidence) -> list[str]:
    facts = evidence.by_id()
    lines = ["RULED OUT"]
    for view in evidence.ruled_out:
        told = "; ".join(f"{facts[i].text} [{i}]" for i in view.against_ids if i in facts)
        lines += _named(view, told or "checked, and not found")
        lines += _facts(facts, _mind(view), "turns", _UNDER_NAME)
    return lines if evidence.ruled_out else []


def _mind(view: CauseView) -> tuple[str, ...]:
    """The fact that says what would have changed the mind of a cause."""
    return () if view.mind_id is None else (view.mind_id,)


def _unchecked(evidence: Evidence) -> list[str]:
    facts = evidence.by_id()
    lines = ["COULD NOT CHECK"]
    for view in evidence.unchecked:
        words = missing_words(view.missing)
        # Not fired on what was there, which is less than everything it reads.
        partly = "" if view.status == Status.ABSTAINED else " (nothing seen in the rest)"
        lines += _named(view, f"{words}{partly}")
        lines += _facts(facts, _mind(view), "turns", _UNDER_NAME)
    return lines if evidence.unchecked else []


def _named(view: CauseView, text: str) -> list[str]:
    return _wrapped(text, f"  {view.label:<{_NAME_WIDTH}}")


def _narrative(analysis: TradeAnalysis) -> list[str]:
    """The stored sentences with their citations, section by section."""
    data: Mapping[str, Any] = analysis.analysis_data
    lines = [f"NARRATIVE  ({_author(analysis)})"]
    for key, title in _SECTIONS:
        section = data.get(key) or {}
        sentences = [section.get("overall_evaluation") or section.get("summary") or ""]
        for name in ("strengths", "weaknesses", "what_the_evidence_shows"):
            sentences += section.get(name) or []
        text = " ".join(sentence for sentence in sentences if sentence)
        if text:
            lines += _wrapped(text, f"  {title:<{_NAME_WIDTH}}")
    lines += _wrapped(" ".join(data.get("key_learnings") or []), f"  {'Learnt':<{_NAME_WIDTH}}")
    return lines


def _author(analysis: TradeAnalysis) -> str:
    if analysis.source == TradeAnalysis.Source.TEMPLATE:
        return "built-in narrator, every number from facts"
    return analysis.get_source_display()


def _advice(analysis: TradeAnalysis) -> list[str]:
    rows = RecommendationTracking.objects.filter(occurrences__analysis=analysis).order_by("pk")
    lines = ["RECOMMENDATIONS"]
    for row in rows:
        count = row.occurrences.count()
        came_up = "came up once" if count == 1 else f"came up {count} times"
        status = row.get_implementation_status_display()
        lines += _wrapped(f"{row.recommendation} [{status}, {came_up}]", "  - ")
    return lines if len(lines) > 1 else []


def _fact(fact: Fact) -> list[str]:
    return _wrapped(fact.text, f"  [{fact.id}]".ljust(8))


def _wrapped(text: str, lead: str = "") -> list[str]:
    """Lines of the text, the first after `lead`, the rest under where the text begins."""
    if not text:
        return []
    indent = " " * len(lead)
    return textwrap.wrap(
        text, WIDTH, initial_indent=lead, subsequent_indent=indent, break_long_words=False
    )
