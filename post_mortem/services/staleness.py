"""Stored audits whose inputs are not what they were: found, marked, never changed silently.

An audit is stale when the case that would be built for it today has another input hash: its bars
were revised or a finer series covers them now, its rule was edited, older trades or news arrived;
or when its desk adopted another calibration or prefers another series since.
Marking rebuilds the cases without judging them, about a second for 100,000.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import partial
from typing import Any, Final

import numpy as np
from django.db import transaction
from django.db.models import Q
from django.db.models.signals import post_delete, post_save

from post_mortem.core.inputs import bars_read, input_hashes
from post_mortem.core.resolution import first_touches
from post_mortem.core.types import Outcome
from post_mortem.models import CalibrationAdoption, InsightAudit, LabelingRule
from post_mortem.selectors.case_rows import Selection, groups
from post_mortem.selectors.cases import CasesOf, group_batches
from post_mortem.selectors.inputs_version import inputs_version
from post_mortem.selectors.markets import related_to
from post_mortem.selectors.stored import other_calibration, other_series, stored_rows
from post_mortem.services import bulk
from trading.models import Account, CandleSeries, Desk, ImportBatch, Instrument, Outage

_FEW: Final = 500


def mark_stale(
    *,
    account_ids: Sequence[int] | None = None,
    signal_ids: Sequence[int] | None = None,
    instrument_id: int | None = None,
    start: Any = None,
) -> int:
    """Mark the audits of the selected signals (sent from `start` on) whose inputs changed.

    Returns how many are newly marked. An audit that reads again what it read is unmarked, unless
    something was imported or edited meanwhile: that is looked at next. Pending ones wait for data
    anyway; the next run takes them up.
    """
    selection = Selection(
        account_ids=None if account_ids is None else tuple(account_ids),
        signal_ids=None if signal_ids is None else tuple(signal_ids),
        instrument_id=instrument_id,
        start=start,
    )
    marked = 0
    for group in groups(selection):
        if not InsightAudit.objects.filter(account=group.account_id).exists():
            continue
        inputs = inputs_version(group.account_id)
        for cases in group_batches(selection, group):
            marked += _mark(cases, inputs)
    return marked


def _mark(cases: CasesOf, inputs: Hashable) -> int:
    paths = first_touches(cases.batch)
    read = bars_read(cases.batch, paths)
    hashes = input_hashes(cases.batch, paths, read, cases.rule_hashes())
    with transaction.atomic():
        # What a run writes meanwhile is marked by the run, or is seen here.
        bulk.lock(cases.account_id)
        fields = ("input_hash", "is_stale", "outcome", "calibration_id", "series_id")
        stored = stored_rows(cases, *fields)
        was_hash = stored.texts("input_hash")
        differs = np.array([bool(a) and a != b for a, b in zip(was_hash, hashes, strict=True)])
        differs |= other_calibration(cases, stored) | other_series(cases, stored)
        was = stored.integers("is_stale", 0) > 0
        ids = stored.integers("id")
        there = ids >= 0
        newly = there & differs & ~was & (stored.integers("outcome") != Outcome.PENDING)
        _set(ids[newly].tolist(), stale=True)
        if inputs_version(cases.account_id) == inputs:
            _set(ids[there & ~differs & was].tolist(), stale=False)
    return int(newly.sum())


def _set(ids: list[int], *, stale: bool) -> None:
    for start in range(0, len(ids), _FEW):
        InsightAudit.objects.filter(pk__in=ids[start : start + _FEW]).update(is_stale=stale)


# --- when rows change ---------------------------------------------------------------------------


def connect() -> None:
    """Mark audits whenever anything changes that a case is made of: after its commit."""
    for model, receiver in (
        (LabelingRule, _desk_changed),
        (CalibrationAdoption, _desk_changed),
        (CandleSeries, _series_changed),
        (ImportBatch, _import_changed),
        (Outage, _outage_changed),
        (Instrument, _instrument_changed),
        (Desk, _source_order_changed),
        (Account, _account_changed),
    ):
        for signal in (post_save, post_delete):
            signal.connect(receiver, sender=model, dispatch_uid=f"staleness {model.__name__}")


def _later(mark: Callable[[], object]) -> None:
    """After the commit; a failure to mark does not undo what was committed."""
    transaction.on_commit(mark, robust=True)


def _desk_changed(instance: LabelingRule | CalibrationAdoption, **kwargs: Any) -> None:
    _mark_desk(instance.desk_id)


def _mark_desk(desk_id: int | None) -> None:
    """The audits of a desk, None: of all."""
    if not InsightAudit.objects.exists():
        return
    accounts = None
    if desk_id is not None:
        accounts = list(Account.objects.filter(desk=desk_id).values_list("pk", flat=True))
    _later(partial(mark_stale, account_ids=accounts))


def _outage_changed(instance: Outage, created: bool = False, **kwargs: Any) -> None:
    """An edited one may have been another desk's before."""
    _mark_desk(instance.desk_id if created else None)


def _instrument_changed(instance: Instrument, created: bool = False, **kwargs: Any) -> None:
    """Its own audits, and those of markets that are or were related to it."""
    if not created:
        _mark_desk(None)


def _source_order_changed(instance: Desk, created: bool = False, **kwargs: Any) -> None:
    if not created:
        _mark_desk(instance.pk)


def _account_changed(instance: Account, created: bool = False, **kwargs: Any) -> None:
    """It may have gone to another desk, which has other rules, sources and outages."""
    if not created and InsightAudit.objects.filter(account=instance.pk).exists():
        _later(partial(mark_stale, account_ids=[instance.pk]))


def _series_changed(instance: CandleSeries, **kwargs: Any) -> None:
    """Its own market's audits, and those it is a related market of: bars of the same length."""
    audits = InsightAudit.objects.all()
    if instance.desk_id is not None:
        audits = audits.filter(account__desk=instance.desk_id)
    mine = Q(signal__instrument=instance.instrument_id)
    beside = Q(
        signal__instrument__in=related_to(instance.instrument), series__timeframe=instance.timeframe
    )
    concerned = audits.filter(mine | beside).values_list("signal__instrument", flat=True)
    for instrument_id in concerned.order_by("signal__instrument").distinct():
        _later(partial(mark_stale, instrument_id=instrument_id))


def _import_changed(instance: ImportBatch, **kwargs: Any) -> None:
    """News, trades and signals; candles are told of by their series."""
    if instance.kind == ImportBatch.Kind.CANDLES or not InsightAudit.objects.exists():
        return
    accounts = Account.objects.all()
    if instance.account_id is not None:
        accounts = accounts.filter(pk=instance.account_id)
    elif instance.desk_id is not None:
        accounts = accounts.filter(desk=instance.desk_id)
    _later(partial(mark_stale, account_ids=list(accounts.values_list("pk", flat=True))))
