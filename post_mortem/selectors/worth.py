"""What each piece of advice is worth: R a month x chance that it helps x ease.

It is what its newest plan says, where the plan knows; else what verdicts on its type or its
writer's claim tell, for the trades it covers. Where none of these knows, there is no figure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from django.db.models import Count, Q

from post_mortem.core.priority import (
    ClaimRecord,
    Learned,
    Priority,
    Verified,
    claim_calibration,
    learn,
    prioritise,
    weigh,
)
from post_mortem.core.roi import TypeEffect, roi_by_type
from post_mortem.models import ImprovementPlan, RecommendationTracking
from trading.models import visible_accounts

from .impact import verified

Status = RecommendationTracking.Status
# A 95 % range, as plans have it.
_HALF: Final = 1.959964
NOT_MEASURED: Final = "no advice of its kind was measured yet"
NOT_COUNTED: Final = "the trades it covers are counted with the next autopsy"


@dataclass(frozen=True, slots=True)
class Worth:
    """`priority` with its factors, the 95 % range of R a month, and what tells it."""

    priority: Priority
    low: float
    high: float
    source: Literal["plan", "verdicts", "claim"]

    @property
    def ease(self) -> float:
        """How likely it is done, over its effort: the third factor of the score."""
        return self.priority.implemented / (self.priority.effort_hours + 1)


@dataclass(frozen=True, slots=True)
class Experience:
    """What was learned from verdicts, how often each type was implemented once it was decided, and
    how each writer's claims came out. `planned`: what the newest plan says of advice, by its id."""

    learned: Learned
    done: Mapping[str, tuple[int, int]]
    claims: Mapping[str, ClaimRecord]
    types: Mapping[str, TypeEffect]
    planned: Mapping[int, Mapping[str, Any]]

    def worth(self, row: RecommendationTracking) -> Worth | None:
        """None where nobody knows; `why_unknown` says why."""
        step = self._step(row)
        if step is not None and step["r_month"] is not None:
            found = weigh(
                step["r_month"],
                step["helps"] / 100,
                implemented=self.done.get(row.kind, (0, 0)),
                effort_hours=row.effort_hours or 0.0,
            )
            return Worth(found, step["r_month_low"], step["r_month_high"], "plan")
        if row.covered_a_month is None or not self._told(row):
            return None
        found = prioritise(
            self.learned,
            row.kind,
            trades_a_month=row.covered_a_month,
            claimed_r=row.claimed_effect_r,
            implemented=self.done.get(row.kind, (0, 0)),
            effort_hours=row.effort_hours or 0.0,
        )
        half = _HALF * self.learned.of(row.kind).sd_r * row.covered_a_month
        source: Literal["verdicts", "claim"] = "verdicts" if row.kind in self.types else "claim"
        return Worth(found, found.r_a_month - half, found.r_a_month + half, source)

    def why_unknown(self, row: RecommendationTracking) -> str:
        """Why `worth` is None; empty where it is not."""
        if self.worth(row) is not None:
            return ""
        if self._told(row):
            return NOT_COUNTED
        step = self._step(row)
        planned = f"{step['unknown_because']}; " if step else ""
        return f"{planned}{NOT_MEASURED}"

    def _told(self, row: RecommendationTracking) -> bool:
        """Whether a verdict on its type or a claim says anything of its effect."""
        return row.kind in self.types or row.claimed_effect_r is not None

    def _step(self, row: RecommendationTracking) -> Mapping[str, Any] | None:
        """Of its newest plan, unless that was about other trades than the advice covers now."""
        step = self.planned.get(row.pk)
        same = step is not None and (step["kind"], step["scope"]) == (row.kind, row.scope)
        return step if same else None


def experience(user: Any) -> Experience:
    """From everything that the user may see: six queries, however much that is."""
    accounts = list(visible_accounts(user).values_list("pk", flat=True))
    found = verified(accounts)
    return Experience(
        learn(found),
        decided(accounts),
        claim_calibration([v for v in found if v.writer]),
        roi_by_type(_by_type(found)),
        _planned(accounts),
    )


def decided(accounts: Iterable[int]) -> dict[str, tuple[int, int]]:
    """By kind of advice: how many pieces were implemented, of how many that were decided on."""
    rows = (
        RecommendationTracking.objects.filter(account__in=accounts, merged_into=None)
        .exclude(implementation_status=Status.PENDING)
        .order_by()
        .values_list("kind")
        .annotate(
            done=Count("pk", filter=Q(implementation_status=Status.IMPLEMENTED)), n=Count("pk")
        )
    )
    return {kind: (done, n) for kind, done, n in rows}


def _planned(accounts: Iterable[int]) -> dict[int, Mapping[str, Any]]:
    plans = ImprovementPlan.objects.filter(account__in=accounts).order_by("pk")
    steps = (step for each in plans.values_list("improvements", flat=True) for step in each)
    return {step["recommendation_id"]: step for step in steps}


def _by_type(found: Iterable[Verified]) -> dict[str, list[tuple[float, float]]]:
    result: dict[str, list[tuple[float, float]]] = {}
    for each in found:
        result.setdefault(each.kind, []).append((each.effect_r, each.se_r))
    return result


def by_worth(rows: Iterable[RecommendationTracking], learned: Experience) -> list[int]:
    """Ids in the order in which they are worth doing: open ones first, then implemented ones; in
    each those known to be worth something by their score, then those of which nobody knows, what
    came up most first, and last those that are expected to cost."""

    def key(row: RecommendationTracking) -> tuple[Any, ...]:
        worth = learned.worth(row)
        score = 0.0 if worth is None else worth.priority.score
        return (_RANK[row.implementation_status], -score, -getattr(row, "n_occurrences", 0), row.pk)

    return [row.pk for row in sorted(rows, key=key)]


_RANK: Final = {Status.PENDING: 0, Status.IMPLEMENTED: 1, Status.IGNORED: 2}
