"""What another set of rules would do to stored audits: the labels of a sample, made twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from django.db.models import QuerySet

from post_mortem.core.labeler import label
from post_mortem.core.resolution import first_touches
from post_mortem.core.rules import Rule
from post_mortem.models import InsightAudit
from trading.models import Desk

from .case_rows import Selection
from .cases import active_rules, case_batches

SAMPLE = 200  # signals: some seconds at most

_Key = tuple[int, int, str]


@dataclass(frozen=True, slots=True)
class Preview:
    """`changed` of `total` audits would get another label: `exact`, or estimated from
    `compared`."""

    total: int
    changed: int
    compared: int
    exact: bool


def preview_of(
    audits: QuerySet[InsightAudit], desk: Desk, rule: Rule | None, *, replaces: int | None
) -> Preview:
    """How many of these audits of a desk would be labelled otherwise by its rules with `rule`
    (None: without) in the place of the rule `replaces` (None: beside the others)."""
    total = audits.count()
    signals = list(audits.order_by("signal").values_list("signal", flat=True).distinct())
    at = np.unique(np.linspace(0, len(signals) - 1, min(SAMPLE, len(signals))).astype(np.int64))
    sample = [signals[i] for i in at.tolist()]
    before = active_rules(desk)
    after = [one for one in before if one.id != replaces]
    if rule is not None:
        after.append(rule)
    mine = audits.filter(signal__in=sample).values_list("signal", "trade", "horizon")
    wanted = {(signal, trade or -1, horizon) for signal, trade, horizon in mine}
    old, new = _labels(sample, before), _labels(sample, after)
    compared = sum(key in wanted for key in old)
    changed = sum(old[key] != new.get(key) for key in old if key in wanted)
    exact = len(sample) == len(signals)
    share = changed / compared if compared else 0.0
    return Preview(total, changed if exact else round(share * total), compared, exact)


def _labels(signals: Sequence[int], rules: Sequence[Rule]) -> dict[_Key, tuple[float, ...]]:
    """(outcome, what it would have been, exit, R) by case."""
    found: dict[_Key, tuple[float, ...]] = {}
    if not signals:
        return found
    for cases in case_batches(Selection(signal_ids=tuple(signals)), rules):
        labels = label(cases.batch, first_touches(cases.batch))
        numbers = np.stack([labels.exit_price, labels.r], axis=1)
        numbers = np.where(np.isnan(numbers), np.inf, numbers).tolist()
        for i, horizon in enumerate(cases.batch.horizon):
            key = (int(cases.signal_id[i]), int(cases.trade_id[i]), horizon)
            outcome = (int(labels.outcome[i]), int(labels.shadow_outcome[i]))
            found[key] = (*outcome, *numbers[i])
    return found
