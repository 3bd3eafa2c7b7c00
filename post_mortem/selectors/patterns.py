"""Patterns and plans as they may be shown: texts that code can write again from their facts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet

from post_mortem.core.evidence import Fact
from post_mortem.core.grounding import shown, without_citations
from post_mortem.core.pattern_facts import facts_of, plan_facts
from post_mortem.models import (
    AnalysisPattern,
    ImprovementPlan,
    PatternSearch,
    RecommendationTracking,
)
from trading.models import Account, Trade

from .access import readable
from .narrative import Piece, pieces

_STEP_TEXTS = ("action", "rationale", "expected", "criterion", "how", "why")
Pieces = tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class _Narrated:
    """A stored text: who wrote it, and how it was checked."""

    row: AnalysisPattern | ImprovementPlan

    @property
    def source(self) -> str:
        return self.row.source

    @property
    def grounding(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.row.grounding
        return found


@dataclass(frozen=True, slots=True)
class ToldPattern(_Narrated):
    """A pattern to show. `withheld` sentences no longer follow from its figures."""

    row: AnalysisPattern
    facts: tuple[Fact, ...]
    title: str
    sentence: str
    description: Pieces
    hypothesis: Pieces
    actions: tuple[Pieces, ...]
    withheld: int

    @property
    def pk(self) -> int:
        return self.row.pk

    @property
    def statistics(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.row.statistics
        return found


class _Reader:
    """Keeps of every text what still follows from the facts."""

    def __init__(self, facts: Iterable[Fact]) -> None:
        self.facts = {fact.id: fact for fact in facts}
        self.withheld = 0

    def text(self, written: object, slotted: object) -> str:
        if not (isinstance(written, str) and isinstance(slotted, str) and written):
            return ""
        kept, dropped = shown(written, slotted, self.facts)
        self.withheld += dropped
        return kept

    def cut(self, written: object, slotted: object) -> Pieces:
        return tuple(pieces(self.text(written, slotted), self.facts))


def told(row: AnalysisPattern) -> ToldPattern:
    facts = facts_of(row.statistics)
    reader = _Reader(facts)
    words, slots = row.words, row.slot_data
    actions = zip(words.get("action_items", ()), slots.get("action_items", ()), strict=False)
    return ToldPattern(
        row=row,
        facts=facts,
        title=without_citations(reader.text(words.get("title"), slots.get("title"))).rstrip("."),
        sentence=without_citations(reader.text(words.get("sentence"), slots.get("sentence"))),
        description=reader.cut(words.get("description"), slots.get("description")),
        hypothesis=reader.cut(words.get("hypothesis"), slots.get("hypothesis")),
        actions=tuple(cut for one in actions if (cut := reader.cut(*one))),
        withheld=reader.withheld,
    )


def _rank(row: AnalysisPattern) -> tuple[bool, float, int]:
    """Tested ones first, then by what they cost or are worth."""
    s = row.statistics
    return row.pattern_type == "cause", -abs(s["effect_r"]) * s["n"], row.pk


@dataclass(frozen=True, slots=True)
class PatternList:
    """The patterns of one account and period. `closed` counts its closed trades."""

    account: Account
    search: PatternSearch | None
    tested: tuple[ToldPattern, ...]
    causes: tuple[ToldPattern, ...]
    lost: tuple[ToldPattern, ...]
    closed: int


def pattern_list(user: Any, account: Account, period: str) -> PatternList:
    rows = AnalysisPattern.objects.visible_to(user).filter(account=account, period=period)
    every = [told(row) for row in sorted(rows, key=_rank)]
    now = [one for one in every if one.row.lost_at is None]
    return PatternList(
        account=account,
        search=PatternSearch.objects.visible_to(user)
        .filter(account=account, period=period)
        .first(),
        tested=tuple(one for one in now if one.row.pattern_type != "cause"),
        causes=tuple(one for one in now if one.row.pattern_type == "cause"),
        lost=tuple(one for one in every if one.row.lost_at is not None),
        closed=Trade.objects.filter(account=account, closed_at__isnull=False).count(),
    )


def periods(user: Any, account: Account) -> list[str]:
    """Periods that were searched, all trades first."""
    rows = PatternSearch.objects.visible_to(user).filter(account=account)
    return sorted(rows.values_list("period", flat=True))


def pattern_page(user: Any, pk: int) -> ToldPattern:
    """Raises NotFoundError, foreign and absent alike."""
    rows = AnalysisPattern.objects.select_related("account")
    return told(readable(rows, user=user, pk=pk))


def patterns_of(user: Any, trade_id: int) -> tuple[ToldPattern, ...]:
    """Current patterns, over all trades, that one trade belongs to."""
    rows = AnalysisPattern.objects.visible_to(user).filter(
        affected_trades=trade_id, period="", lost_at=None
    )
    return tuple(told(row) for row in sorted(rows, key=_rank))


# --- plans --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Step:
    """One rule of a plan: its figures, its texts by name, and how it is tracked."""

    figures: Mapping[str, Any]
    texts: Mapping[str, Pieces]
    plain: Mapping[str, str]
    recommendation: RecommendationTracking | None
    patterns: tuple[AnalysisPattern, ...]


@dataclass(frozen=True, slots=True)
class ToldPlan(_Narrated):
    row: ImprovementPlan
    facts: tuple[Fact, ...]
    summary: Pieces
    sentence: str
    steps: tuple[Step, ...]
    withheld: int


def plans(user: Any) -> QuerySet[ImprovementPlan]:
    found: QuerySet[ImprovementPlan] = ImprovementPlan.objects.visible_to(user)
    return found.order_by("-created_at", "-pk")


def told_plans(rows: Sequence[ImprovementPlan]) -> list[ToldPlan]:
    """Plans as they may be shown, their recommendations and patterns fetched together."""
    ids = {step["recommendation_id"] for row in rows for step in row.improvements}
    wanted = {pk for row in rows for step in row.improvements for pk in step["pattern_ids"]}
    accounts = {row.account_id for row in rows}
    tracked = RecommendationTracking.objects.filter(account__in=accounts).in_bulk(ids)
    patterns = AnalysisPattern.objects.filter(account__in=accounts).in_bulk(wanted)
    return [_told_plan(row, tracked, patterns) for row in rows]


def plan_page(user: Any, pk: int) -> ToldPlan:
    """Raises NotFoundError, foreign and absent alike."""
    row = readable(ImprovementPlan.objects.select_related("account"), user=user, pk=pk)
    (one,) = told_plans([row])
    return one


def _told_plan(
    row: ImprovementPlan,
    tracked: Mapping[int, RecommendationTracking],
    patterns: Mapping[int, AnalysisPattern],
) -> ToldPlan:
    facts = tuple(fact for group in plan_facts(row.evidence) for fact in group)
    reader = _Reader(facts)
    summary = reader.text(row.summary, row.slot_data.get("summary"))
    steps = []
    slots = row.slot_data.get("items") or [{}] * len(row.improvements)
    for figures, slotted in zip(row.improvements, slots, strict=True):
        kept = {name: reader.text(figures[name], slotted.get(name)) for name in _STEP_TEXTS}
        steps.append(
            Step(
                figures=figures,
                texts={name: tuple(pieces(t, reader.facts)) for name, t in kept.items()},
                plain={name: without_citations(text) for name, text in kept.items()},
                recommendation=tracked.get(figures["recommendation_id"]),
                patterns=tuple(patterns[pk] for pk in figures["pattern_ids"] if pk in patterns),
            )
        )
    return ToldPlan(
        row=row,
        facts=facts,
        summary=tuple(pieces(summary, reader.facts)),
        sentence=without_citations(summary),
        steps=tuple(steps),
        withheld=reader.withheld,
    )


def plans_of(user: Any, pattern_id: int) -> list[ImprovementPlan]:
    """Plans drafted from a pattern, newest first."""
    return list(plans(user).filter(patterns=pattern_id))


def searched_accounts(user: Any) -> frozenset[int]:
    rows = PatternSearch.objects.visible_to(user)
    return frozenset(rows.values_list("account_id", flat=True))
