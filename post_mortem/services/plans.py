"""Improvement plans: process rules drafted from patterns, in order of what they may be worth.

Priority, expected effect, hours and return are computed here; a model may only word them. Every
step is tracked as one recommendation, the same that single trades may have suggested already.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from django.db import transaction
from django.db.models import Count

from post_mortem.core.advice import advice_key
from post_mortem.core.pattern_advice import RULE_OF_CAUSE, Worth, effort_of, rule_of, worth_of
from post_mortem.core.pattern_facts import plan_facts
from post_mortem.core.priority import weigh
from post_mortem.core.scope import STAND_ASIDE
from post_mortem.models import (
    AnalysisPattern,
    ImprovementPlan,
    RecommendationOccurrence,
    RecommendationTracking,
)
from post_mortem.selectors.access import writable
from post_mortem.selectors.worth import decided
from post_mortem.services.narratives import fill
from post_mortem.services.pattern_narrator import action, sentence, writer_of
from trading.core.errors import UserError
from trading.models import Account

MAX_PATTERNS: Final = 20
MAX_STEPS: Final = 7
MAX_HOURS: Final = 1_000
PLAN_VERSION: Final = "plans-1"
TEXTS: Final = ("action", "rationale", "expected", "criterion", "how", "why")
_COUNTED: Final = "a cause is counted, not tested: what a rule would save is not known beforehand"
_CHANGES: Final = "the rule changes how such trades are made, which their results cannot tell"
_SHORT: Final = "the trades span less than four weeks"


@dataclass(frozen=True, slots=True)
class _Step:
    """One rule with the patterns it answers, the surest first."""

    kind: str
    area: str
    scope: Mapping[str, str]
    text: str
    metric: str
    avoids: bool
    patterns: tuple[AnalysisPattern, ...]
    hours: float | None
    implemented: tuple[int, int] = (0, 0)

    @property
    def key(self) -> str:
        return advice_key(self.kind, self.area, self.scope)

    @property
    def statistics(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.patterns[0].statistics
        return found

    @property
    def worth(self) -> Worth | None:
        return worth_of(self.statistics, self.hours) if self.avoids else None

    def rank(self) -> tuple[bool, float, str]:
        """As the board: known worth by its score first; then what was lost."""
        worth = self.worth
        if worth is None:
            return True, float(self.statistics["total_r"]), self.key
        found = weigh(
            worth.r_month,
            worth.helps / 100,
            implemented=self.implemented,
            effort_hours=self.hours or 0.0,
        )
        return False, -found.score, self.key


def request_plan(
    *, pattern_ids: Sequence[int], hours: Mapping[int, float], user: Any
) -> ImprovementPlan:
    """As `create_improvement_plan`, for a user. Raises NotFoundError, UserError `not_permitted`."""
    rows = AnalysisPattern.objects.all()
    chosen = [writable(rows, user=user, pk=pk) for pk in dict.fromkeys(pattern_ids)]
    return create_improvement_plan(patterns=chosen, hours=hours)


@transaction.atomic
def create_improvement_plan(
    *, patterns: Sequence[AnalysisPattern], hours: Mapping[int, float] | None = None
) -> ImprovementPlan:
    """Draft a plan from patterns of one account. `hours` says what the rule of a pattern (by id)
    costs, where that is known. The same patterns with the same figures give the same plan.

    Raises UserError `nothing_to_do` (no pattern, or none that loses), `too_many`,
    `several_accounts`, `pattern_lost`, `hours`.
    """
    costs = dict(hours or {})
    _check(patterns, costs)
    key = _key(patterns, costs)
    # One plan at a time an account: of two clicks the second finds the plan of the first.
    account = Account.objects.select_for_update().get(pk=patterns[0].account_id)
    rows = ImprovementPlan.objects.filter(account=account, key=key)
    there: ImprovementPlan | None = rows.first()
    if there is not None:
        return there
    steps = _steps(patterns, costs)
    if not steps:
        detail = "None of these patterns is expected to go on losing: there is no rule to draft."
        raise UserError("nothing_to_do", detail, field="pattern_ids")
    evidence = [_evidence(step) for step in steps]
    slotted = _words(steps, evidence)
    plan = ImprovementPlan(
        account=account,
        key=key,
        focus_areas=list(dict.fromkeys(step.area for step in steps)),
        evidence=evidence,
        grounding={"narrator": PLAN_VERSION},
    )
    tracked = _tracked(account.pk, steps)
    plan.improvements = [
        _figures(number, step, tracked[step.key].pk) for number, step in enumerate(steps, 1)
    ]
    tell_plan(plan, slotted)
    plan.save()
    plan.patterns.set([pattern for step in steps for pattern in step.patterns])
    _link(plan, steps, tracked)
    return plan


def _check(patterns: Sequence[AnalysisPattern], hours: Mapping[int, float]) -> None:
    if not patterns:
        raise UserError("nothing_to_do", "A plan needs a pattern.", field="pattern_ids")
    if len(patterns) > MAX_PATTERNS:
        detail = f"At most {MAX_PATTERNS} patterns go into a plan."
        raise UserError("too_many", detail, field="pattern_ids")
    if len({pattern.account_id for pattern in patterns}) > 1:
        detail = "The patterns of a plan belong to one account."
        raise UserError("several_accounts", detail, field="pattern_ids")
    for pattern in patterns:
        if pattern.lost_at is not None:
            detail = f"Pattern {pattern.pk} is no longer found."
            raise UserError("pattern_lost", detail, field="pattern_ids")
    known = {pattern.pk for pattern in patterns}
    for pk, value in hours.items():
        if pk not in known or not 0 < value <= MAX_HOURS:
            detail = f"Hours are over 0 and at most {MAX_HOURS:,}, of patterns of the plan."
            raise UserError("hours", detail, field="hours")


def _key(patterns: Sequence[AnalysisPattern], hours: Mapping[int, float]) -> str:
    parts = sorted([p.period, p.key, p.evidence_hash, hours.get(p.pk)] for p in patterns)
    return hashlib.sha256(json.dumps([PLAN_VERSION, parts]).encode()).hexdigest()


# --- steps --------------------------------------------------------------------------------------


def _steps(patterns: Sequence[AnalysisPattern], hours: Mapping[int, float]) -> list[_Step]:
    """One step a rule, in order of priority."""
    merged: dict[str, _Step] = {}
    for pattern in patterns:
        step = _step(pattern, hours.get(pattern.pk))
        if step is None:
            continue
        first = merged.setdefault(step.key, step)
        if first is not step:
            merged[step.key] = _joined(first, step)
    if not merged:
        return []
    # What somebody said elsewhere about the same advice holds here too.
    tracked = _rows(patterns[0].account_id, list(merged.values()))
    done = decided([patterns[0].account_id])
    steps = []
    for key, step in merged.items():
        known = step.hours
        if known is None and key in tracked:
            known = tracked[key].effort_hours
        steps.append(replace(step, hours=known, implemented=done.get(step.kind, (0, 0))))
    return sorted(steps, key=lambda step: step.rank())[:MAX_STEPS]


def _joined(first: _Step, second: _Step) -> _Step:
    """The same rule from two patterns: the one whose worth is known, or larger, speaks for it."""
    lead, other = sorted((first, second), key=lambda step: step.rank())
    given = [step.hours for step in (first, second) if step.hours is not None]
    return _Step(
        lead.kind, lead.area, lead.scope, lead.text, lead.metric, lead.avoids,
        (*lead.patterns, *other.patterns), max(given, default=None),
    )  # fmt: skip


def _step(pattern: AnalysisPattern, hours: float | None) -> _Step | None:
    if pattern.pattern_type == AnalysisPattern.Kind.CAUSE:
        return _of_cause(pattern, hours)
    if pattern.pattern_type != AnalysisPattern.Kind.LEAK:
        return None
    rule = rule_of(pattern.statistics["parts"])
    if rule.avoids and pattern.statistics["expected_r"] >= 0:
        # Worse than the others, but not expected to lose: nothing is saved by standing aside.
        return None
    advice = rule.advice
    return _Step(
        advice.kind, advice.area, advice.scope, rule.text, advice.metric, rule.avoids,
        (pattern,), hours,
    )  # fmt: skip


def _of_cause(pattern: AnalysisPattern, hours: float | None) -> _Step | None:
    """The advice that came up most in the pattern's own trades for this cause."""
    ((_, cause),) = pattern.statistics["parts"]
    rows = RecommendationTracking.objects.filter(
        account=pattern.account_id,
        kind=RULE_OF_CAUSE[cause],
        occurrences__analysis__trade__in=pattern.affected_trades.all(),
    )
    row = rows.annotate(n=Count("occurrences")).order_by("-n", "pk").first()
    if row is None:
        return None
    return _Step(
        row.kind, row.area, row.scope, row.recommendation, "expectancy_r", False, (pattern,), hours
    )


def _evidence(step: _Step) -> dict[str, Any]:
    return {
        "patterns": [pattern.pk for pattern in step.patterns],
        "statistics": dict(step.statistics),
        "avoids": step.avoids,
        "hours": step.hours,
    }


def _figures(number: int, step: _Step, recommendation: int) -> dict[str, Any]:
    """What is known of a step beyond its words."""
    worth = step.worth
    return {
        "priority": number,
        "kind": step.kind,
        "area": step.area,
        "scope": dict(step.scope),
        "metric": step.metric,
        "effort": effort_of(step.kind),
        "pattern_ids": [pattern.pk for pattern in step.patterns],
        "recommendation_id": recommendation,
        "r_month": None if worth is None else round(worth.r_month, 4),
        "r_month_low": None if worth is None else round(worth.low, 4),
        "r_month_high": None if worth is None else round(worth.high, 4),
        "helps": None if worth is None else worth.helps,
        "unknown_because": "" if worth else _why_unknown(step),
        "hours": step.hours,
        "roi_r_per_hour": None
        if worth is None or worth.per_hour is None
        else round(worth.per_hour, 4),
    }


def _why_unknown(step: _Step) -> str:
    if step.statistics["kind"] == "cause":
        return _COUNTED
    return _SHORT if step.avoids else _CHANGES


# --- words --------------------------------------------------------------------------------------


def _words(steps: Sequence[_Step], evidence: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The built-in narrator's plan, with slots."""
    groups = plan_facts(evidence)
    items = []
    for step, facts in zip(steps, groups, strict=True):
        w = writer_of(facts)
        expected = w.say(
            "It may save {worth.r_month} a month ({worth.low} to {worth.high}), at "
            "{pace.per_month} such trades a month."
        )
        items.append(
            {
                "action": action(step.text, w),
                "rationale": sentence(step.statistics, w),
                "expected": expected or "What it saves is measured once it is implemented.",
                "criterion": _criterion(step, w),
                "how": "",
                "why": "",
            }
        )
    return {"summary": _summary(groups), "items": items}


def _criterion(step: _Step, w: Any) -> str:
    if step.kind == STAND_ASIDE:
        return str(
            w.say(
                "Kept when no new trade {pattern.words} is opened, where there were "
                "{pace.per_month} a month; judged by the R a month of the account against before."
            )
            or w.say("Kept when no new trade {pattern.words} is opened.")
        )
    return str(
        w.say(
            "Judged by the R of the trades it covers against those it does not; on record "
            "{pattern.won} of {pattern.n} won, {pattern.total} in all."
        )
    )


def _summary(groups: Sequence[Sequence[Any]]) -> str:
    first = writer_of(groups[0])
    told = first.say(
        "The rule to begin with may save {worth.r_month} a month ({worth.low} to {worth.high}), "
        "and it helps with a chance of {worth.helps}."
    )
    if told is not None:
        return told
    return (
        first.say(
            "The rule to begin with answers {pattern.n} trades that took {pattern.total} in all; "
            "what it saves is measured once it is implemented."
        )
        or ""
    )


def tell_plan(plan: ImprovementPlan, slotted: Mapping[str, Any]) -> None:
    """Put the texts with slots in place. Raises UngroundedError: such a text is not stored."""
    facts = {fact.id: fact for group in plan_facts(plan.evidence) for fact in group}
    filled = fill(dict(slotted), facts)
    plan.slot_data = dict(slotted)
    plan.summary = filled["summary"]
    plan.improvements = [
        {**step, **{name: texts[name] for name in TEXTS}}
        for step, texts in zip(plan.improvements, filled["items"], strict=True)
    ]


# --- tracking -----------------------------------------------------------------------------------


def _tracked(account_id: int, steps: Sequence[_Step]) -> dict[str, RecommendationTracking]:
    """The recommendation of every step by its key; what people decided about it stays."""
    missing = {step.key: step for step in steps if step.key not in _rows(account_id, steps)}
    RecommendationTracking.objects.bulk_create(
        [
            RecommendationTracking(
                account_id=account_id,
                advice_key=key,
                kind=step.kind,
                area=step.area,
                scope=dict(step.scope),
                recommendation=step.text.format(words=_words_of(step)),
                expected_impact="Its effect is measured once it is implemented.",
            )
            for key, step in missing.items()
        ],
        ignore_conflicts=True,
    )
    return _rows(account_id, steps)


def _rows(account_id: int, steps: Sequence[_Step]) -> dict[str, RecommendationTracking]:
    """What is tracked of the steps, by key; what was merged by hand goes on as the other."""
    keys = [step.key for step in steps]
    rows = RecommendationTracking.objects.filter(account=account_id, advice_key__in=keys)
    found = {row.advice_key: row for row in rows}
    while merged := {row.merged_into_id for row in found.values() if row.merged_into_id}:
        others = RecommendationTracking.objects.in_bulk(merged)
        found = {key: others.get(row.merged_into_id, row) for key, row in found.items()}
    return found


def _words_of(step: _Step) -> str:
    return " ".join(words for _, words in step.statistics["parts"])


def _link(
    plan: ImprovementPlan, steps: Sequence[_Step], tracked: Mapping[str, RecommendationTracking]
) -> None:
    RecommendationOccurrence.objects.bulk_create(
        RecommendationOccurrence(
            recommendation=tracked[step.key], plan=plan, pattern=step.patterns[0]
        )
        for step in steps
    )
