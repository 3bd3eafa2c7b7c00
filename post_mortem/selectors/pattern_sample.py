"""The executed, audited trades of an account as a sample to look for patterns in."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from post_mortem.core.attribution.catalogue import REGISTRY
from post_mortem.core.patterns import Sample
from post_mortem.core.types import CAUSES, Outcome
from post_mortem.models import CauseReview, InsightAudit
from trading.core.candles import F64, I64
from trading.core.types import Horizon
from trading.models import Account, Trade

from .columns import fetch, floats, utc_ns
from .training import decided_audits, judged, training

# Of a loser that nothing specific explains there is no cause to count.
_CAUSES = tuple(cause for cause in CAUSES if cause != "unknown")


@dataclass(frozen=True, slots=True, eq=False)
class TradeSample:
    """`trade` are the ids of the sample's rows. `n_closed` counts the closed trades of the period,
    judged or not; `data_hash` changes with anything that could change what is found."""

    sample: Sample | None
    trade: I64
    n_closed: int
    data_hash: str


def closed_trades(account: Account, since: datetime | None, until: datetime | None) -> int:
    trades = Trade.objects.filter(account=account, closed_at__isnull=False)
    if since is not None:
        trades = trades.filter(opened_at__gte=since)
    if until is not None:
        trades = trades.filter(opened_at__lt=until)
    return trades.count()


def trade_sample(
    account: Account, *, since: datetime | None = None, until: datetime | None = None
) -> TradeSample:
    """Trades entered in [since, until) whose outcome is known, a person's label before the
    engine's; `sample` None where there are none."""
    found = judged(account.pk, Horizon.TRADE)
    causes = _causes(account)
    n_closed = closed_trades(account, since, until)
    rows = training(account, Horizon.TRADE, found) if len(found) else None
    if rows is None:
        empty = hashlib.sha256(f"{found.data_hash}{n_closed}".encode()).hexdigest()
        return TradeSample(None, np.zeros(0, np.int64), n_closed, empty)
    entry = rows.outcomes.entry
    keep = np.ones(entry.size, bool)
    if since is not None:
        keep &= entry >= utc_ns(since)
    if until is not None:
        keep &= entry < utc_ns(until)
    at = np.flatnonzero(keep)
    audits = rows.audit[at]
    cause, posterior = causes.of(audits)
    trade = found.trade[np.searchsorted(found.id, audits)]
    sample = Sample(
        matrix=rows.matrix.rows(at),
        won=rows.outcomes.won[at],
        r=rows.outcomes.r[at],
        entry=entry[at],
        cause=cause,
        posterior=posterior,
        causes=_CAUSES,
    )
    digest = hashlib.sha256(f"{REGISTRY.version}{found.data_hash}{n_closed}".encode())
    for column in (audits.astype("<i8"), cause.astype("<i8"), posterior.astype("<f8")):
        digest.update(column.tobytes())
    return TradeSample(sample if at.size else None, trade, n_closed, digest.hexdigest())


@dataclass(frozen=True, slots=True, eq=False)
class _Causes:
    """First causes of failed trades by audit, sorted by id."""

    audit: I64
    cause: I64
    posterior: F64

    def of(self, audits: I64) -> tuple[I64, F64]:
        if not self.audit.size:
            return np.full(audits.size, -1, np.int64), np.zeros(audits.size)
        at = np.minimum(np.searchsorted(self.audit, audits), self.audit.size - 1)
        there = self.audit[at] == audits
        return np.where(there, self.cause[at], -1), np.where(there, self.posterior[at], 0.0)


def _causes(account: Account) -> _Causes:
    """A cause that somebody rejected is nobody's first."""
    rejected = set(
        CauseReview.objects.filter(
            audit__account=account, verdict=CauseReview.Verdict.REJECTED
        ).values_list("audit_id", "cause")
    )
    audits = decided_audits(account.pk, Horizon.TRADE).order_by("pk")
    columns = fetch(audits, "id", "outcome", "override_outcome", "top_cause", "top_posterior")
    chosen = [
        i
        for i, (pk, outcome, said, cause) in enumerate(
            zip(
                columns["id"],
                columns["outcome"],
                columns["override_outcome"],
                columns["top_cause"],
                strict=True,
            )
        )
        if (said or outcome) == Outcome.FAILED and cause in _CAUSES and (pk, cause) not in rejected
    ]
    return _Causes(
        np.array([columns["id"][i] for i in chosen], np.int64),
        np.array([_CAUSES.index(columns["top_cause"][i]) for i in chosen], np.int64),
        np.nan_to_num(floats([columns["top_posterior"][i] for i in chosen])),
    )


def unjudged_trades(account: Account) -> int:
    """Closed trades without an outcome: no pattern can be told of them."""
    judged_ones = InsightAudit.objects.filter(
        account=account, horizon=Horizon.TRADE, pk__in=decided_audits(account.pk, Horizon.TRADE)
    )
    closed = Trade.objects.filter(account=account, closed_at__isnull=False)
    return closed.exclude(pk__in=judged_ones.values("trade")).count()
