"""A cheap version of all that the cases of an account are made of.

Equal versions before and after mean that nothing was imported, taken back or edited in between;
unequal ones that something was, perhaps of another market. Some ten small queries, no candle read.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from django.db.models import Count, Max, Q, QuerySet

from post_mortem.models import CalibrationAdoption, LabelingRule
from trading.models import (
    Account,
    CandleRevision,
    CandleSeries,
    ImportBatch,
    Instrument,
    Outage,
)


def inputs_version(account_id: int) -> Hashable:
    """To be compared with another of the same account only. Read it before the cases are read, and
    again where nobody else may write audits of the account."""
    account = Account.objects.select_related("desk").get(pk=account_id)
    desk = account.desk
    theirs = Q(account=account) | Q(account=None) & (Q(desk=None) | Q(desk=desk))
    imports = ImportBatch.objects.filter(theirs).aggregate(
        last=Max("pk"), count=Count("pk"), undone=Max("undone_at")
    )
    return (
        desk.pk,
        tuple(desk.source_order),
        tuple(imports.values()),
        CandleRevision.objects.aggregate(last=Max("pk"))["last"],
        CalibrationAdoption.objects.filter(desk=desk).aggregate(last=Max("pk"))["last"],
        _rows(LabelingRule.objects.for_desk(desk)),
        _rows(CandleSeries.objects.for_desk(desk)),
        _rows(Outage.objects.for_desk(desk)),
        _rows(Instrument.objects.all()),
    )


def _rows(found: QuerySet[Any]) -> tuple[Any, ...]:
    return tuple(found.order_by("pk").values_list())
