"""Labelling rules: checked, saved, and the audits that they may change marked stale."""

from __future__ import annotations

import math
from typing import Final

from django.db import transaction
from django.db.models import Q, QuerySet

from post_mortem.models import InsightAudit, LabelingRule
from trading.core.errors import UserError
from trading.core.types import Horizon, timeframe_ns
from trading.models import Instrument

# Field: least and greatest value, the least excluded where zero would mean nothing.
_POSITIVE: Final = (
    "success_tp_pips",
    "success_rr_ratio",
    "fail_sl_pips",
    "fail_adverse_pct",
)
_NOT_NEGATIVE: Final = ("neutral_band_pips", "neutral_band_r", "min_score")


def check_rule(rule: LabelingRule) -> None:
    """Raise `UserError` `bad_rule`, naming the field, unless the engine can use the rule."""
    for name in (*_POSITIVE, *_NOT_NEGATIVE):
        value = getattr(rule, name)
        if value is None:
            continue
        if not math.isfinite(value) or value < 0 or (value == 0 and name in _POSITIVE):
            raise UserError("bad_rule", "A positive number, or nothing.", field=name)
    if rule.min_score is not None and rule.min_score > 100:
        raise UserError("bad_rule", "A score is 0 to 100.", field="min_score")
    if rule.fail_adverse_pct is not None and rule.fail_adverse_pct >= 100:
        raise UserError("bad_rule", "Less than 100 per cent.", field="fail_adverse_pct")
    if rule.symbol and not Instrument.objects.filter(symbol=rule.symbol).exists():
        raise UserError("bad_rule", "There is no such instrument.", field="symbol")
    if rule.timeframe:
        timeframe_ns(rule.timeframe)
    if rule.horizon and rule.horizon not in list(Horizon):
        names = ", ".join(Horizon)
        raise UserError("bad_rule", f"One of {names}, or nothing.", field="horizon")


@transaction.atomic
def save_rule(*, rule: LabelingRule) -> int:
    """Save a rule and mark stale what was judged by it or may be from now on; a new run judges
    these again. Returns how many audits were marked. Raises `UserError` as `check_rule`."""
    check_rule(rule)
    before = LabelingRule.objects.filter(pk=rule.pk).first() if rule.pk else None
    marked = _mark(before) if before else 0
    rule.save()
    return marked + _mark(rule)


@transaction.atomic
def delete_rule(*, rule: LabelingRule) -> int:
    """Delete a rule; its audits are stale from now on. Returns how many were marked."""
    marked = _mark(rule)
    rule.delete()
    return marked


def _mark(rule: LabelingRule) -> int:
    return touched_by(rule).filter(is_stale=False).update(is_stale=True)


def touched_by(rule: LabelingRule) -> QuerySet[InsightAudit]:
    scope = Q()
    for name, column in (
        ("strategy", "signal__strategy"),
        ("symbol", "signal__instrument__symbol"),
        ("timeframe", "signal__timeframe"),
        ("horizon", "horizon"),
    ):
        if value := getattr(rule, name):
            scope &= Q(**{column: value})
    if rule.desk_id is not None:
        scope &= Q(account__desk=rule.desk_id)
    if rule.pk is not None:
        scope |= Q(rule=rule.pk)
    ids = InsightAudit.objects.filter(scope).values("pk")
    # Joins are not allowed in an update.
    return InsightAudit.objects.filter(pk__in=ids)
