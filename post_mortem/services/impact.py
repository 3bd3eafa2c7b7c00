"""Did it work? Verdicts on implemented advice, appended when what they rest on changed.

Everything is read once an account: its trades, its plans. Verdicts of one account are judged
together, because of many one looks good by chance. A plan that is not what was frozen is reported
and not judged.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any, Final

import numpy as np
from django.db import transaction

from post_mortem.core.covered import a_month
from post_mortem.core.impact import Impact, Look, judge, judge_many, shrunk
from post_mortem.core.measurement import History
from post_mortem.core.scope import covers
from post_mortem.models import (
    AutopsyJob,
    Experiment,
    ImpactVerdict,
    MeasurementPlan,
    RecommendationTracking,
)
from post_mortem.selectors.columns import nanoseconds
from post_mortem.selectors.counterfactuals import hypothetical
from post_mortem.selectors.experiment_results import Results, results_of_many
from post_mortem.selectors.experiments import faults
from post_mortem.selectors.impact import MEASURED, Measured, measured, running_plans
from post_mortem.selectors.scoped_trades import AccountTrades, account_trades
from post_mortem.services import jobs
from trading.models import Account

from .experiment_plans import countable
from .impact_plans import End, fault, measurement_of, start_plan, trigger_of

IMPACT: Final = "impact"
"""The kind of job that judges an account's implemented advice; its one item has no payload."""

Status = RecommendationTracking.Status
# What an experiment can say that nothing else can.
_BY_ARMS: Final = ("helped", "hurt", "no_meaningful_effect")


@dataclass(frozen=True, slots=True)
class JudgeSummary:
    """`judged` plans, of which `written` have a new verdict; `faults` by recommendation are plans
    that are not what was frozen."""

    judged: int = 0
    written: int = 0
    verdicts: dict[str, int] = field(default_factory=dict)
    faults: dict[int, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


def request_judgement(*, account: Account, user: Any = None) -> AutopsyJob | None:
    """Queue the judgement of an account's advice; None without any, or where one is waiting."""
    waiting = AutopsyJob.objects.filter(
        account=account, kind=IMPACT, status=AutopsyJob.Status.PENDING
    )
    rows = RecommendationTracking.objects.filter(account=account, merged_into=None)
    if waiting.exists() or not rows.exists():
        return None
    return jobs.enqueue(kind=IMPACT, account=account, items=[jobs.Item("all", {})], user=user)


@transaction.atomic
def judge_recommendations(*, account: Account, now: datetime) -> JudgeSummary:
    """Judge every running plan of an account on the trades closed by `now`, and count how many
    trades a month each piece of advice covers.

    A verdict is appended only where its trades, or what the account's other advice makes of it,
    differ from the newest. Running again changes nothing. Advice that was implemented before plans
    were kept gets one now: its clock starts today.
    """
    # Two judgements at once come one after the other; the second then finds nothing new.
    Account.objects.select_for_update().get(pk=account.pk)
    trades = account_trades(account)
    _count_covered(account, trades)
    _plan_what_has_none(account, now)
    whole, faults = _sound(list(running_plans(account.pk)))
    every = _ever_in_force(account)
    wanted = [(plan, measurement_of(plan), trigger_of(plan)) for plan in whole]
    found = measured(wanted, every, trades, nanoseconds(now))
    written = 0
    counts: dict[str, int] = {}
    arms = _by_experiment({e.plan.recommendation_id: e.plan.data["scope"] for e in found}, now)
    for each, impact in zip(found, _judged(found), strict=True):
        told = arms.get(each.plan.recommendation_id)
        if told is not None:
            impact = _with_arms(impact, told)
        counts[impact.verdict] = counts.get(impact.verdict, 0) + 1
        written += _append(each, impact, trades, now, told)
    return JudgeSummary(len(found), written, counts, faults)


def _sound(
    plans: Sequence[MeasurementPlan],
) -> tuple[list[MeasurementPlan], dict[int, str]]:
    faults = {plan.recommendation_id: said for plan in plans if (said := fault(plan))}
    return [plan for plan in plans if plan.recommendation_id not in faults], faults


def _ever_in_force(account: Account) -> list[MeasurementPlan]:
    plans = MeasurementPlan.objects.filter(recommendation__account=account)
    return [plan for plan in plans.exclude(end_reason=End.TAKEN_BACK) if not fault(plan)]


def _plan_what_has_none(account: Account, now: datetime) -> None:
    rows = RecommendationTracking.objects.filter(
        account=account, implementation_status=Status.IMPLEMENTED, merged_into=None
    )
    running = MeasurementPlan.objects.filter(recommendation__account=account, ended_at=None)
    for row in rows.exclude(pk__in=running.values("recommendation")).order_by("pk"):
        start_plan(row=row, user=None, now=now)


def _count_covered(account: Account, trades: AccountTrades) -> None:
    rows = list(
        RecommendationTracking.objects.filter(account=account, merged_into=None).only(
            "pk", "kind", "scope", "covered_a_month"
        )
    )
    changed = []
    for row in rows:
        rate = a_month(trades.columns.opened, covers(row.kind, row.scope, trades.columns))
        if rate != row.covered_a_month:
            row.covered_a_month = rate
            changed.append(row)
    # Counted, not changed by anybody: no version, no history.
    RecommendationTracking.objects.bulk_update(changed, ["covered_a_month"], batch_size=500)


# --- verdicts -------------------------------------------------------------------------------------
def _judged(found: Sequence[Measured]) -> list[Impact]:
    """Verdicts in order; advice that overlaps with other advice takes no part in the correction
    for many."""
    apart = [each for each in found if not each.covered.overlaps]
    verdicts = iter(judge_many([(each.covered.history, each.measurement) for each in apart]))
    return [
        _overlapping(judge(each.covered.history, each.measurement))
        if each.covered.overlaps
        else next(verdicts)
        for each in found
    ]


def _overlapping(impact: Impact) -> Impact:
    if impact.verdict == "too_early":
        return impact
    return replace(
        impact,
        verdict="not_evidence",
        reason="overlap",
        sentence="Not evidence: this or other advice was in force on the same trades in that time.",
    )


def _by_experiment(scopes: Mapping[int, Mapping[str, Any]], now: datetime) -> dict[int, Results]:
    """Results of each recommendation's first experiment that decided on the trades of `scopes`.

    The first: repeating a test until one helps would find that anything does. One whose seals do
    not hold, or that was on other trades, says nothing.
    """
    rows = list(
        Experiment.objects.filter(recommendation__in=list(scopes))
        .select_related("account")
        .order_by("pk")
    )
    if not rows:
        return {}
    decided: dict[int, Results] = {}
    for row, found in zip(rows, results_of_many(rows, now=now), strict=True):
        pk = row.recommendation_id
        if pk is None or pk in decided or found.verdict.verdict not in _BY_ARMS:
            continue
        if countable(row.scope) == countable(scopes[pk]) and not faults(row):
            decided[pk] = found
    return decided


def _with_arms(impact: Impact, told: Results) -> Impact:
    """An experiment says more than any comparison: its verdict and its effect stand."""
    arms = told.verdict
    effect = se = None
    if arms.estimate_r is not None and arms.se_r is not None:
        effect, se = arms.estimate_r, arms.se_r
    return replace(
        impact,
        verdict=arms.verdict,
        reason=arms.reason,
        sentence=arms.sentence,
        experiment=True,
        estimate_r=effect,
        ci=arms.ci,
        se_r=se,
        shrunk_r=None if effect is None or se is None else shrunk(effect, se),
        p=arms.p,
        sd_r=arms.sd_r,
        look=(len(arms.looks), told.looks),
        looks=tuple(Look(*each) for each in arms.looks),
        more_trades_needed=arms.more_trades_needed,
    )


def _append(
    each: Measured, impact: Impact, trades: AccountTrades, now: datetime, told: Results | None
) -> bool:
    plan, row = each.plan, each.plan.recommendation
    digest = _input_hash(each, impact)
    newest = plan.verdicts.order_by("-number").first()
    if newest is not None and newest.input_hash == digest:
        return False
    frozen = plan.data
    replayed = hypothetical(frozen["kind"], frozen["scope"], trades, each.covered.before)
    ImpactVerdict.objects.create(
        plan=plan,
        number=1 if newest is None else newest.number + 1,
        verdict=impact.verdict,
        result=_plain(
            {
                **asdict(impact),
                "overlaps": list(each.covered.overlaps),
                "comparison_trades": int((~each.covered.history.covered).sum()),
                "without_r": each.covered.without_r,
                "untold": each.covered.untold,
                "straddling": each.covered.straddling,
                "excluded": each.covered.excluded,
                "a_side": None if told is None else min(told.on.trades, told.off.trades),
                "hypothetical": None if replayed is None else asdict(replayed),
            }
        ),
        input_hash=digest,
        judged_at=now,
    )
    score = impact.shrunk_r if impact.verdict in MEASURED else None
    RecommendationTracking.objects.filter(pk=row.pk).update(impact_score=score)
    return True


def _input_hash(each: Measured, impact: Impact) -> str:
    """Of the trades read, of the plan, and of what other advice of the account makes of it."""
    digest = hashlib.sha256(each.plan.sha256.encode())
    for part in _columns(each.covered.history):
        digest.update(part)
    arms = [impact.experiment, impact.estimate_r if impact.experiment else None]
    outcome = [impact.verdict, impact.reason, list(each.covered.overlaps), *arms]
    digest.update(json.dumps(outcome).encode())
    return digest.hexdigest()


def _columns(history: History) -> tuple[bytes, ...]:
    return (
        history.time.astype("<i8").tobytes(),
        history.r.astype("<f8").tobytes(),
        history.covered.astype(np.uint8).tobytes(),
        history.cell.astype("<i8").tobytes(),
        json.dumps(history.cells).encode(),
    )


def _plain(value: Any) -> Any:
    """As JSON takes it: what is not finite is not known."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value.item() if isinstance(value, np.generic) else value
