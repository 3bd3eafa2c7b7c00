"""Whatever is stored and changed behind everybody's back is found: inputs, rows and records."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, models, transaction
from django.db.models import F

from post_mortem.models import (
    AuditRCA,
    CalibrationTable,
    InsightAudit,
    LabelingRule,
    RuleSnapshot,
)
from post_mortem.selectors.columns import utc_ns
from post_mortem.services.verification import Verification, verify_audits
from trading.models import CandleChunk, NewsEvent, NewsFeed, Outage, Signal, Trade

from .rich_desk import ENTRY, rich_desk

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)


def flip(model: type[models.Model], field: str, **where: Any) -> None:
    """Change one bit of a stored blob."""
    row = model._default_manager.filter(**where).order_by("pk").first()
    assert row is not None
    blob = bytearray(getattr(row, field))
    blob[-1] ^= 1
    model._default_manager.filter(pk=row.pk).update(**{field: bytes(blob)})


def chunk(symbol: str, timeframe: str) -> None:
    flip(
        CandleChunk, "blob", series__instrument__symbol=symbol, series__timeframe=timeframe,
        last_time__gte=utc_ns(ENTRY),
    )  # fmt: skip


def edit(model: type[models.Model], where: dict[str, Any], **values: Any) -> None:
    """Change the first row that fits."""
    row = model._default_manager.filter(**where).order_by("pk").first()
    assert row is not None, (model, where)
    assert model._default_manager.filter(pk=row.pk).update(**values) == 1


def snapshot_of_another_rule() -> None:
    audit = InsightAudit.objects.order_by("pk")[0]
    other = RuleSnapshot.objects.exclude(pk=audit.rule_snapshot_id).first()
    InsightAudit.objects.filter(pk=audit.pk).update(rule_snapshot=other)


def data(model: type[models.Model], key: str, value: Any) -> None:
    row = model._default_manager.order_by("pk").last()
    assert row is not None
    changed = row.data | {key: value}
    model._default_manager.filter(pk=row.pk).update(data=changed)


FOUND: dict[str, Callable[[], None]] = {
    "a chunk of the judged series": lambda: chunk("EURUSD", "15m"),
    "a chunk of quotes": lambda: chunk("GBPUSD", "15m"),
    "a chunk of a related market": lambda: chunk("USDCHF", "15m"),
    "a chunk of finer bars": lambda: flip(CandleChunk, "blob", series__timeframe="5m"),
    "what a rule snapshot says": lambda: data(RuleSnapshot, "min_score", 1.0),
    "the snapshot of another rule": snapshot_of_another_rule,
    "a rule": lambda: edit(LabelingRule, {"strategy": "pips"}, fail_sl_pips=12.0),
    "a calibration table": lambda: data(CalibrationTable, "sure", 0.7),
    "a stop": lambda: edit(Signal, {"stop_loss__isnull": False}, stop_loss=F("stop_loss") / 2),
    "a score": lambda: edit(Signal, {}, score=1.0),
    "claims": lambda: edit(Signal, {}, claimed_setups=["sweep"]),
    "a fill": lambda: edit(Trade, {}, entry_price=F("entry_price") / 2),
    "an exit": lambda: edit(Trade, {}, exit_price=F("exit_price") / 2),
    "a record": lambda: flip(InsightAudit, "record"),
    "an evidence hash": lambda: edit(InsightAudit, {}, evidence_hash="0" * 64),
    "an input hash": lambda: edit(InsightAudit, {}, input_hash="0" * 64),
    "a confidence": lambda: edit(AuditRCA, {}, confidence=99),
    "a cause that is gone": lambda: AuditRCA.objects.order_by("pk")[0].delete() and None,
}
# Surroundings: what a case reads of its past and its neighbours may also have grown honestly.
STALE: dict[str, Callable[[], None]] = {
    "the time of news": lambda: edit(NewsEvent, {"currency": "USD"}, time=F("time") + HOUR),
    "the impact of news": lambda: edit(NewsEvent, {"currency": "USD"}, impact=0),
    "the surprise of news": lambda: edit(NewsEvent, {"currency": "USD"}, surprise_z=0.1),
    "news that are gone": lambda: NewsEvent.objects.filter(currency="USD").delete() and None,
    "what a calendar covers": lambda: edit(NewsFeed, {}, covers_to=F("covers_from") + HOUR),
    "an outage": lambda: edit(Outage, {}, end=F("end") + HOUR),
    "the result of an earlier trade": lambda: edit(
        Trade, {"signal__in": Signal.objects.order_by("time")[:1]}, net_pnl=-900, gross_pnl=-900
    ),
    "the other half of an input hash": lambda: swap_second_half(),
}
# What a row repeats of its case and its record, with a value that it surely does not have.
COLUMNS: dict[str, Any] = {
    "outcome": 4,
    "shadow_outcome": 2,
    "exit_reason": 4,
    "flags": 1 << 20,
    "exit_price": 0.5,
    "pips": 0.5,
    "pnl_pct": 0.5,
    "r_multiple": 0.5,
    "mfe_r": 0.123,
    "mae_r": 0.123,
    "max_drawdown_r": 0.123,
    "mfe_pips": 0.123,
    "mae_pips": 0.123,
    "coverage": 0.123,
    "entry_price": 0.5,
    "top_cause": "liquidity_event",
    "top_posterior": 0.123,
    "top_confidence": 99,
    "n_bars": 1,
    "bars_digest": "0" * 32,
    "bars_from": 1,
    "bars_to": 1,
    "resolved_by": "4h",
    "n_finer_bars": 99,
    "finer_digest": "0" * 32,
    "series_id": None,
    "review_reasons": 1 << 10,
    "horizon": "9H",
}


def swap_second_half() -> None:
    audit = InsightAudit.objects.order_by("pk")[0]
    changed = audit.input_hash[:32] + "0" * 32
    InsightAudit.objects.filter(pk=audit.pk).update(input_hash=changed)


def after(change: Callable[[], None]) -> Verification:
    """What verification says of a change that is taken back."""
    with transaction.atomic():
        change()
        found = verify_audits()
        transaction.set_rollback(True)
    assert found.checked == InsightAudit.objects.count()
    return found


NEIGHBOURS = ("a chunk of a related market", "what a rule snapshot says", "an outage")


@pytest.mark.parametrize("names", [NEIGHBOURS, pytest.param((), marks=pytest.mark.slow)])
def test_what_was_changed_is_found(names: tuple[str, ...]) -> None:
    """Three changes that nothing else in these tests makes, and every one of them."""
    rich_desk()
    whole = verify_audits()
    assert (whole.verified, whole.mismatched, whole.stale) == (whole.checked, 0, 0)
    for name, change in FOUND.items():
        if not names or name in names:
            found = after(change)
            assert found.mismatched > 0, name
            assert all(one["reason"] for one in found.mismatches), name
    for name, change in STALE.items():
        if not names or name in names:
            found = after(change)
            assert found.mismatched + found.stale > 0, name


def test_a_row_that_says_something_else_is_found() -> None:
    """Every column that repeats what the record says, each in an audit of its own."""
    rich_desk()
    audits = InsightAudit.objects.exclude(top_cause="").order_by("pk")
    ids = list(audits.values_list("pk", flat=True)[: len(COLUMNS) + 2])
    assert len(ids) == len(COLUMNS) + 2
    changed = dict(zip(ids, COLUMNS.items(), strict=False))
    for pk, (column, value) in changed.items():
        InsightAudit.objects.filter(pk=pk).update(**{column: value})
    for pk, column in zip(ids[-2:], ("entry_time", "exit_time"), strict=True):
        InsightAudit.objects.filter(pk=pk).update(**{column: F(column) + HOUR})
    found = {one["audit_id"] for one in verify_audits().mismatches}
    assert found == set(ids), {changed.get(pk, pk) for pk in set(ids) - found}


def test_columns_of_an_audit_are_compared_or_are_somebodys_words() -> None:
    """A new column is compared with its evidence, or said here to be none of it."""
    own = {"id", "signal_id", "trade_id", "account_id", "rule_id", "rule_snapshot_id", "record"}
    own |= {"input_hash", "evidence_hash", "calibration_id", "engine_version", "is_stale"}
    own |= {"evaluated_at", "entry_time", "exit_time", "needs_manual_review"}
    words = {"reviewer_notes", "reviewed_at", "reviewer_id", "is_flagged", "settled_hash"}
    words |= {"override_outcome", "override_reason", "override_input_hash", "review_version"}
    words |= {"overridden_by_id", "overridden_at"}
    with connection.cursor() as cursor:
        described = connection.introspection.get_table_description(
            cursor, InsightAudit._meta.db_table
        )
    assert {column.name for column in described} == own | words | set(COLUMNS)
