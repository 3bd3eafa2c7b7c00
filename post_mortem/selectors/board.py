"""The recommendations board: advice in the order in which it is worth doing, with what came of it.

However many rows there are, it takes the same number of queries; worth is computed from a few
columns of all rows, everything else is read for one page.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

from django.contrib.auth import get_user_model
from django.db.models import Count, OuterRef, Prefetch, Q, QuerySet, Subquery

from post_mortem.models import (
    ImpactVerdict,
    MeasurementPlan,
    RecommendationHistory,
    RecommendationTracking,
)
from trading.core.errors import NotFoundError, UserError
from trading.models import Membership

from .impact import newest_verdicts
from .impact_report import overlap_names
from .recommendations import NOBODY, SORTS, current, narrowed, prioritised
from .worth import Experience, Worth, by_worth, experience

Status = RecommendationTracking.Status
SORT_NAMES: Final[Mapping[str, str]] = {
    "worth": "worth",
    "often": "came up most",
    "due": "due first",
    "new": "newest",
    "changed": "last changed",
}
PAGE_SIZE: Final = 50


@dataclass(frozen=True, slots=True)
class Wanted:
    """What of the board is asked for; empty text filters nothing."""

    status: str = Status.PENDING
    area: str = ""
    owner: str = ""
    overdue: str = ""
    sort: str = "worth"

    def check(self) -> None:
        """Raises UserError for a value that is not known."""
        if self.status not in Status.values:
            known = ", ".join(Status.values)
            raise UserError("filter", f"A status is one of {known}.", field="status")
        if self.sort not in SORT_NAMES:
            raise UserError("sort", f"Sort by one of {', '.join(SORT_NAMES)}.", field="sort")
        if self.overdue not in ("", "yes"):
            raise UserError("filter", "Overdue is yes or left out.", field="overdue")


@dataclass(frozen=True, slots=True)
class BoardRow:
    """`unknown_because` says why there is no `worth`. `plan` is the newest measurement plan;
    `overlaps` are texts of other advice that the verdict names."""

    row: RecommendationTracking
    worth: Worth | None
    unknown_because: str
    plan: MeasurementPlan | None
    verdict: ImpactVerdict | None
    overlaps: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Board:
    rows: tuple[BoardRow, ...]
    by_status: Mapping[str, int]
    verdicts: Mapping[str, int]
    areas: tuple[str, ...]
    owners: tuple[str, ...]
    overdue: int
    total: int
    people: Mapping[int, tuple[str, ...]] = field(default_factory=dict)


def board(user: Any, wanted: Wanted, *, start: int, today: date) -> Board:
    """One page of the board. Raises `UserError` for a filter or a sort that does not exist."""
    wanted.check()
    every = current(RecommendationTracking.objects.visible_to(user))
    counts = _counts(every, wanted, today)
    learned = experience(user)
    filters = {"area": wanted.area, "owner": wanted.owner, "overdue": wanted.overdue}
    rows = narrowed(every, today=today, status=wanted.status, **filters)
    ids = _ordered(rows, wanted.sort, learned)[start : start + PAGE_SIZE]
    found = {row.pk: row for row in _whole(RecommendationTracking.objects.filter(pk__in=ids))}
    page = _with_verdicts([found[pk] for pk in ids if pk in found], learned)
    return Board(
        rows=page,
        verdicts=verdict_counts(user),
        people=people_by_account({row.row.account_id for row in page}),
        **counts,
    )


def _ordered(rows: Any, sort: str, learned: Experience) -> list[int]:
    if sort == "worth":
        few = (
            "pk",
            "kind",
            "scope",
            "implementation_status",
            "covered_a_month",
            "claimed_effect_r",
        )
        counted = prioritised(rows).select_related(None).only(*few, "effort_hours")
        return by_worth(counted, learned)
    counted = rows.annotate(n_occurrences=Count("occurrences", distinct=True))
    return list(counted.order_by(*SORTS[sort]).values_list("pk", flat=True))


def _counts(every: Any, wanted: Wanted, today: date) -> dict[str, Any]:
    rows = every.order_by().values_list(
        "implementation_status", "area", "owner__username", "due_date"
    )
    by_status = dict.fromkeys(Status.values, 0)
    areas, owners = set(), set()
    overdue = total = 0
    for status, area, owner, due, n in rows.annotate(n=Count("pk")):
        total += n
        areas.add(area)
        owners.add(owner or "")
        late = due is not None and due < today and status == Status.PENDING
        overdue += n if late else 0
        of_owner = wanted.owner in ("", owner or NOBODY)
        if wanted.area in ("", area) and of_owner and (not wanted.overdue or late):
            by_status[status] += n
    return {
        "by_status": by_status,
        "areas": tuple(sorted(areas)),
        "owners": tuple(sorted(owners - {""})),
        "overdue": overdue,
        "total": total,
    }


def _whole(rows: Any) -> QuerySet[RecommendationTracking, RecommendationTracking]:
    history = RecommendationHistory.objects.select_related("user").order_by("-version")
    plans = MeasurementPlan.objects.order_by("-number")
    found: QuerySet[RecommendationTracking, RecommendationTracking] = (
        rows.select_related("account", "owner")
        .prefetch_related(
            Prefetch("history", history), Prefetch("measurement_plans", plans), "duplicates"
        )
        .annotate(came_up=Count("occurrences", distinct=True))
    )
    return found


def _with_verdicts(rows: list[RecommendationTracking], learned: Experience) -> tuple[BoardRow, ...]:
    verdicts = newest_verdicts(row.pk for row in rows)
    overlaps = overlap_names(list(verdicts.values()))
    return tuple(
        BoardRow(
            row,
            learned.worth(row),
            learned.why_unknown(row),
            next(iter(row.measurement_plans.all()), None),
            verdicts.get(row.pk),
            overlaps.get(row.pk, ()),
        )
        for row in rows
    )


def recommendation(user: Any, pk: int) -> RecommendationTracking:
    """One recommendation, merged into another or not. Raises `NotFoundError`."""
    row = _whole(RecommendationTracking.objects.visible_to(user)).filter(pk=pk).first()
    if row is None:
        raise NotFoundError("not_found", "Not found.")
    return row


def board_row(user: Any, row: RecommendationTracking) -> tuple[BoardRow, Experience]:
    learned = experience(user)
    return _with_verdicts([row], learned)[0], learned


def last_change(row: RecommendationTracking) -> RecommendationHistory | None:
    return next(iter(row.history.all()), None)


def people_by_account(accounts: Iterable[int]) -> dict[int, tuple[str, ...]]:
    """Names that may own advice, by account: one query."""
    ids = list(accounts)
    users = get_user_model()._default_manager.filter(is_active=True)
    of_desk = Membership.objects.filter(desk__accounts__in=ids, user__in=users).values_list(
        "desk__accounts", "user__username"
    )
    own = users.filter(accounts__in=ids).values_list("accounts", "username")
    found: dict[int, set[str]] = {pk: set() for pk in ids}
    for account, name in [*of_desk, *own]:
        if account in found:
            found[account].add(name)
    return {account: tuple(sorted(names)) for account, names in found.items()}


# --- did it work ----------------------------------------------------------------------------------
def verdict_counts(user: Any) -> dict[str, int]:
    """How many implemented pieces of advice stand at each verdict; "" those not judged yet."""
    return dict(Counter(word or "" for word in _standing(user).values_list("word", flat=True)))


@dataclass(frozen=True, slots=True)
class Worked:
    """One implemented piece of advice for the dashboard; `word` "" was not judged yet."""

    pk: int
    text: str
    word: str


def did_it_work(user: Any, most: int = 4) -> tuple[Mapping[str, int], tuple[Worked, ...]]:
    """Counts by verdict, and the pieces of which most is known: decided ones first, then the newest
    judged. One query."""
    rows = list(_standing(user).values_list("pk", "word", "recommendation", "judged"))
    order = ("helped", "hurt", "likely_helped", "likely_hurt", "no_meaningful_effect")
    rank = {word: i for i, word in enumerate(order)}
    rows.sort(key=lambda r: (rank.get(r[1], 9), r[3] is None, -(r[3].timestamp() if r[3] else 0)))
    counts = Counter(word or "" for _, word, _, _ in rows)
    return counts, tuple(Worked(pk, text, word or "") for pk, word, text, _ in rows[:most])


def _standing(user: Any) -> Any:
    """Implemented advice with the word and the time of its newest verdict."""
    newest = ImpactVerdict.objects.filter(
        plan__recommendation=OuterRef("pk"), plan__ended_at=None
    ).order_by("-plan__number", "-number")
    rows = RecommendationTracking.objects.visible_to(user).filter(
        Q(implementation_status=Status.IMPLEMENTED), merged_into=None
    )
    return rows.order_by("pk").annotate(
        word=Subquery(newest.values("verdict")[:1]), judged=Subquery(newest.values("judged_at")[:1])
    )
