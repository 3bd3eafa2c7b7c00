"""What each open piece of advice is worth: R a month x chance that it helps x ease, learned from
the verdicts of the accounts that a user may see."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.db.models import Count, Q

from post_mortem.core.priority import (
    ClaimRecord,
    Learned,
    Priority,
    Verified,
    claim_calibration,
    learn,
    prioritise,
)
from post_mortem.core.roi import TypeEffect, roi_by_type
from post_mortem.models import RecommendationTracking
from trading.models import visible_accounts

from .impact import verified

Status = RecommendationTracking.Status
# Eight of ten chances lie inside 1.28 standard deviations of a normal.
_MIDDLE: Final = 1.2816


@dataclass(frozen=True, slots=True)
class Worth:
    """`priority` with its factors, and the span of R a month that holds with 8 chances of 10."""

    priority: Priority
    low: float
    high: float

    @property
    def ease(self) -> float:
        """How likely it is done, over its effort: the third factor of the score."""
        return self.priority.implemented / (self.priority.effort_hours + 1)


@dataclass(frozen=True, slots=True)
class Experience:
    """What was learned from verdicts, how often each type was implemented once it was decided, and
    how each writer's claims came out."""

    learned: Learned
    done: Mapping[str, tuple[int, int]]
    claims: Mapping[str, ClaimRecord]
    types: Mapping[str, TypeEffect]

    def worth(self, row: RecommendationTracking) -> Worth | None:
        """None where nobody has counted yet how many trades it covers."""
        if row.covered_a_month is None:
            return None
        found = prioritise(
            self.learned,
            row.kind,
            trades_a_month=row.covered_a_month,
            claimed_r=row.claimed_effect_r,
            implemented=self.done.get(row.kind, (0, 0)),
            effort_hours=row.effort_hours or 0.0,
        )
        half = _MIDDLE * self.learned.of(row.kind).sd_r * row.covered_a_month
        return Worth(found, found.r_a_month - half, found.r_a_month + half)


def experience(user: Any) -> Experience:
    """From everything that the user may see: five queries, however much that is."""
    accounts = list(visible_accounts(user).values_list("pk", flat=True))
    found = verified(accounts)
    decided = (
        RecommendationTracking.objects.filter(account__in=accounts, merged_into=None)
        .exclude(implementation_status=Status.PENDING)
        .order_by()
        .values_list("kind")
        .annotate(
            done=Count("pk", filter=Q(implementation_status=Status.IMPLEMENTED)), n=Count("pk")
        )
    )
    return Experience(
        learn(found),
        {kind: (done, n) for kind, done, n in decided},
        claim_calibration([v for v in found if v.writer]),
        roi_by_type(_by_type(found)),
    )


def _by_type(found: Iterable[Verified]) -> dict[str, list[tuple[float, float]]]:
    result: dict[str, list[tuple[float, float]]] = {}
    for each in found:
        result.setdefault(each.kind, []).append((each.effect_r, each.se_r))
    return result


def by_worth(rows: Iterable[RecommendationTracking], learned: Experience) -> list[int]:
    """Ids in the order in which they are worth doing: open ones first, then implemented ones; in
    each the highest score, what was not counted yet last, and of equals what came up most."""

    def key(row: RecommendationTracking) -> tuple[Any, ...]:
        worth = learned.worth(row)
        score = float("-inf") if worth is None else worth.priority.score
        return (_RANK[row.implementation_status], -score, -getattr(row, "n_occurrences", 0), row.pk)

    return [row.pk for row in sorted(rows, key=key)]


_RANK: Final = {Status.PENDING: 0, Status.IMPLEMENTED: 1, Status.IGNORED: 2}
