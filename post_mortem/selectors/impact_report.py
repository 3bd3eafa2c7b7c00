"""Everything that is told of one recommendation's measurement: plan, verdicts, return."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from post_mortem.core.impact import PRIOR_R
from post_mortem.core.roi import Cost, Interval, Roi, roi
from post_mortem.models import ImpactVerdict, MeasurementPlan, RecommendationTracking
from trading.models import Account, Trade

from .impact import MEASURED

_RISKS = 200
_Z95 = 1.96


@dataclass(frozen=True, slots=True)
class Report:
    """`plan` is the newest one, `verdict` its newest verdict; `history` are all verdicts on all
    plans, newest first. `overlaps` name the other advice."""

    row: RecommendationTracking
    plan: MeasurementPlan | None
    verdict: ImpactVerdict | None
    plans: tuple[MeasurementPlan, ...]
    history: tuple[ImpactVerdict, ...]
    overlaps: tuple[str, ...]
    roi: Roi | None


def report(row: RecommendationTracking) -> Report:
    plans = tuple(row.measurement_plans.select_related("made_by").order_by("-number"))
    history = tuple(
        ImpactVerdict.objects.filter(plan__recommendation=row)
        .select_related("plan")
        .order_by("-plan__number", "-number")
    )
    plan = plans[0] if plans else None
    newest = history[0] if history and plan and history[0].plan_id == plan.pk else None
    return Report(
        row,
        plan,
        newest,
        plans,
        history,
        overlap_names([newest] if newest else []).get(row.pk, ()),
        roi_of(row, newest, risk_a_trade(row.account)),
    )


def overlap_names(verdicts: Sequence[ImpactVerdict]) -> dict[int, tuple[str, ...]]:
    """Texts of the advice that each verdict overlaps with, by its recommendation."""
    wanted = {pk for verdict in verdicts for pk in verdict.result.get("overlaps", ())}
    if not wanted:
        return {}
    texts = dict(
        RecommendationTracking.objects.filter(pk__in=wanted).values_list("pk", "recommendation")
    )
    return {
        v.plan.recommendation_id: tuple(
            texts[pk] for pk in v.result.get("overlaps", ()) if pk in texts
        )
        for v in verdicts
    }


def roi_of(
    row: RecommendationTracking, verdict: ImpactVerdict | None, risk: float | None
) -> Roi | None:
    """Return of a measured effect; None where there is no effect or no count of trades. Hours are
    told as they are: nobody said what an hour costs."""
    if verdict is None or verdict.verdict not in MEASURED or row.covered_a_month is None:
        return None
    result: Mapping[str, Any] = verdict.result
    effect, se = result.get("shrunk_r"), result.get("se_r")
    if effect is None or se is None:
        return None
    # The interval of what is told: the shrunk effect, not the raw one.
    half = _Z95 * PRIOR_R * se / math.hypot(PRIOR_R, se)
    interval: Interval = (effect - half, effect + half)
    cost = Cost(hours=row.effort_hours or 0.0)
    return roi(effect, interval, row.covered_a_month, risk_a_trade=risk, cost=cost)


def risk_a_trade(account: Account) -> float | None:
    """The money behind 1 R in the account's own currency: the median over its last trades. None
    where their results are in another currency."""
    rows = (
        Trade.objects.filter(
            account=account,
            audits__horizon="TRADE",
            audits__r_multiple__isnull=False,
            net_pnl__isnull=False,
            closed_at__isnull=False,
        )
        .order_by("-closed_at")
        .values_list("net_pnl", "audits__r_multiple", "pnl_currency")[:_RISKS]
    )
    found = list(rows)
    if any(currency and currency != account.currency for _, _, currency in found):
        return None
    risks = [float(pnl) / r for pnl, r, _ in found if abs(r) > 0.05 and float(pnl) / r > 0]
    return float(np.median(risks)) if risks else None
