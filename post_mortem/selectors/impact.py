"""Running plans of an account with the trades each is judged on, and verdicts as stored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from django.db.models import OuterRef, QuerySet, Subquery

from post_mortem.core.covered import Covered, OtherAdvice, Trades, covered_history
from post_mortem.core.measurement import MeasurementPlan as Measurement
from post_mortem.core.measurement import Trigger
from post_mortem.core.priority import Verified
from post_mortem.core.scope import covers
from post_mortem.core.types import I8
from post_mortem.models import ImpactVerdict, MeasurementPlan, RecommendationTracking
from trading.core.candles import I64

from .columns import nanoseconds
from .scoped_trades import AccountTrades

# Verdicts that say how large an effect is. The others say that nothing can be said.
MEASURED: Final = (
    *("likely_helped", "likely_hurt", "helped", "hurt"),
    *("no_evidence_yet", "no_meaningful_effect", "unresolvable"),
)
_FAR = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """A plan, how it is judged, and what it is judged on."""

    plan: MeasurementPlan
    measurement: Measurement
    covered: Covered


def running_plans(account_id: int) -> QuerySet[MeasurementPlan, MeasurementPlan]:
    """Plans of advice that is implemented and goes on as itself."""
    return (
        MeasurementPlan.objects.filter(
            recommendation__account=account_id,
            recommendation__merged_into=None,
            recommendation__implementation_status=RecommendationTracking.Status.IMPLEMENTED,
            ended_at=None,
        )
        .select_related("recommendation")
        .order_by("pk")
    )


def measured(
    wanted: Sequence[tuple[MeasurementPlan, Measurement, Trigger | None]],
    every: Iterable[MeasurementPlan],
    trades: AccountTrades,
    now: int,
) -> list[Measured]:
    """The history of each plan; `every` are all plans of the account that were ever in force."""
    answers: dict[int, I8] = {}

    def answer(plan: MeasurementPlan) -> I8:
        if plan.pk not in answers:
            answers[plan.pk] = covers(plan.data["kind"], plan.data["scope"], trades.columns)
        return answers[plan.pk]

    # An earlier time under the same advice is no baseline either: those trades followed it.
    others = [(plan.pk, _other(plan, answer(plan))) for plan in every]
    columns = of_account(trades)
    return [
        Measured(
            plan,
            measurement,
            covered_history(
                columns,
                answer(plan),
                measurement,
                [other for pk, other in others if pk != plan.pk],
                trigger,
                now,
            ),
        )
        for plan, measurement, trigger in wanted
    ]


def of_account(trades: AccountTrades) -> Trades:
    return Trades(trades.columns.opened, trades.columns.closed, trades.r, trades.cell, trades.cells)


def _other(plan: MeasurementPlan, covered: I8) -> OtherAdvice:
    end = _FAR if plan.ended_at is None else nanoseconds(plan.ended_at)
    return OtherAdvice(plan.recommendation_id, nanoseconds(plan.implemented_at), int(end), covered)


# --- verdicts -------------------------------------------------------------------------------------
def newest_verdicts(recommendations: Iterable[int]) -> dict[int, ImpactVerdict]:
    """The newest verdict on the newest plan of each recommendation that has one."""
    ids = list(recommendations)
    newest = (
        MeasurementPlan.objects.filter(recommendation=OuterRef("recommendation"))
        .order_by("-number")
        .values("pk")[:1]
    )
    plans = MeasurementPlan.objects.filter(recommendation__in=ids, pk=Subquery(newest))
    latest = ImpactVerdict.objects.filter(plan=OuterRef("pk")).order_by("-number").values("pk")[:1]
    found = ImpactVerdict.objects.filter(pk__in=plans.values(last=Subquery(latest)))
    return {v.plan.recommendation_id: v for v in found.select_related("plan")}


def verified(accounts: Iterable[int]) -> list[Verified]:
    """What the newest verdicts of some accounts say of each effect, for learning from them."""
    rows = RecommendationTracking.objects.filter(account__in=list(accounts))
    known = dict(rows.exclude(measurement_plans=None).values_list("pk", "kind").distinct())
    found = []
    for pk, verdict in newest_verdicts(known).items():
        result: Mapping[str, Any] = verdict.result
        effect, se = result.get("estimate_r"), result.get("se_r")
        if verdict.verdict in MEASURED and effect is not None and se:
            frozen = verdict.plan.data
            found.append(
                Verified(known[pk], frozen["claimed_by"], effect, se, frozen["claimed_effect_r"])
            )
    return found


def rows_of(covered: Covered, trades: AccountTrades, most: int) -> tuple[I64, I64]:
    """Ids of the last covered trades before and after the change, oldest first."""
    return trades.id[covered.before[-most:]], trades.id[covered.after[-most:]]
