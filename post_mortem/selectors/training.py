"""Judged audits of one account and horizon as rows to learn from: features and outcomes.

Features are computed again from stored inputs, in one pass over each market, by the registry that
knows no future. Which audits count is one query, so a hash of it tells whether anything changed.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from django.db.models import F, Q, QuerySet

from post_mortem.core.attribution.catalogue import REGISTRY
from post_mortem.core.attribution.known import Entries, entries_of
from post_mortem.core.attribution.matrix import FeatureMatrix, feature_matrix, joined
from post_mortem.core.attribution.report import Outcomes
from post_mortem.core.batches import take
from post_mortem.core.types import NO_TIME, Outcome
from post_mortem.models import InsightAudit
from trading.core.candles import I64
from trading.core.types import SIGNAL_HORIZONS, Horizon, horizon_ns
from trading.models import Account, Execution, Signal

from .case_rows import Selection
from .cases import CasesOf, case_batches
from .columns import coded, fetch, floats, integers, times

SCOPES: tuple[str, ...] = (str(Horizon.TRADE), *SIGNAL_HORIZONS)
_DECIDED = (Outcome.SUCCEEDED, Outcome.FAILED, Outcome.NEUTRAL)


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """Audits that count, by id: what became of them, and the hash of all that."""

    id: I64
    signal: I64
    trade: I64
    won: np.ndarray
    r: np.ndarray
    exit: I64
    data_hash: str

    def __len__(self) -> int:
        return int(self.id.size)


@dataclass(frozen=True, slots=True, eq=False)
class Training:
    """Rows in the order of entry; `audit` are their ids."""

    audit: I64
    matrix: FeatureMatrix
    outcomes: Outcomes


def decided_audits(account_id: int, horizon: str) -> QuerySet[InsightAudit, InsightAudit]:
    """Audits that succeeded, failed or came to nothing, by a person's word before the engine's;
    none that is stale."""
    overridden = Q(override_outcome__in=_DECIDED)
    judged = Q(override_outcome=None, outcome__in=_DECIDED)
    mine = InsightAudit.objects.filter(account=account_id, horizon=horizon, is_stale=False)
    return mine.filter(overridden | judged)


def judged(account_id: int, horizon: str) -> Judged:
    rows = fetch(
        decided_audits(account_id, horizon).order_by("pk"),
        *("id", "signal_id", "trade_id", "outcome", "override_outcome"),
        *("r_multiple", "exit_time", "input_hash"),
    )
    outcome = integers(rows["outcome"])
    said = integers(rows["override_outcome"])
    won = (np.where(said > 0, said, outcome) == Outcome.SUCCEEDED).astype(np.float64)
    ids = integers(rows["id"])
    digest = hashlib.sha256(REGISTRY.version.encode())
    digest.update(ids.astype("<i8").tobytes() + won.astype("<f8").tobytes())
    digest.update(floats(rows["r_multiple"]).astype("<f8").tobytes())
    digest.update("".join(rows["input_hash"]).encode())
    return Judged(
        id=ids,
        signal=integers(rows["signal_id"]),
        trade=integers(rows["trade_id"]),
        won=won,
        r=floats(rows["r_multiple"]),
        exit=times(rows["exit_time"]),
        data_hash=digest.hexdigest(),
    )


def training(account: Account, horizon: str, found: Judged) -> Training | None:
    """Features and outcomes of the audits found; None where none of them can be rebuilt."""
    of_trade = horizon == Horizon.TRADE
    selection = Selection(
        account_ids=(account.pk,), horizons=() if of_trade else (horizon,), trades=of_trade
    )
    names = _Names.of(account)
    key = found.trade if of_trade else found.signal
    order = np.argsort(key, kind="stable")
    matrices: list[FeatureMatrix] = []
    places: list[I64] = []
    entries: list[I64] = []
    for cases in case_batches(selection):
        own = cases.trade_id if of_trade else cases.signal_id
        at = np.minimum(np.searchsorted(key[order], own), max(len(found) - 1, 0))
        rows = np.flatnonzero(key[order][at] == own) if len(found) else np.zeros(0, np.int64)
        if rows.size:
            matrices.append(feature_matrix(names.entries(cases, rows), REGISTRY))
            places.append(order[at[rows]])
            entries.append(cases.batch.entry_time[rows])
    if not matrices:
        return None
    return _training(horizon, found, joined(matrices), np.concatenate(places), entries)


def _training(
    horizon: str, found: Judged, matrix: FeatureMatrix, place: I64, entries: list[I64]
) -> Training:
    entry = np.concatenate(entries)
    by_entry = np.lexsort((found.id[place], entry))
    entry, place = entry[by_entry], place[by_entry]
    if horizon == Horizon.TRADE:
        end = np.where(found.exit[place] == NO_TIME, entry, found.exit[place])
    else:
        # Whether a level was reached earlier is itself a result.
        end = entry + horizon_ns(horizon)
    outcomes = Outcomes(found.won[place], found.r[place], entry, end, found.signal[place])
    return Training(found.id[place], matrix.rows(by_entry), outcomes)


@dataclass(frozen=True, slots=True)
class _Names:
    """Strategies by signal, and trades that were added to after their first fill."""

    strategies: tuple[str, ...]
    strategy: dict[int, int]
    scaled: frozenset[int]

    @classmethod
    def of(cls, account: Account) -> _Names:
        signals = fetch(Signal.objects.filter(account=account).order_by("pk"), "id", "strategy")
        names, index = coded(signals["strategy"])
        code = [-1 if not names[i] else i for i in index.tolist()]
        later = Execution.objects.filter(
            account=account, side=F("trade__side"), time__gt=F("trade__opened_at")
        )
        return cls(
            tuple(names),
            dict(zip(signals["id"], code, strict=True)),
            frozenset(later.values_list("trade_id", flat=True)),
        )

    def entries(self, cases: CasesOf, rows: I64) -> Entries:
        strategy = [self.strategy.get(pk, -1) for pk in cases.signal_id[rows].tolist()]
        batch = take(cases.batch, rows)
        return entries_of(
            batch,
            strategy=np.array(strategy, np.int64),
            strategies=self.strategies,
            # Under a signal's horizon the size is chosen after the signal.
            quantity=np.where(batch.is_trade, batch.quantity, np.nan),
            scaled=np.array([pk in self.scaled for pk in cases.trade_id[rows].tolist()], bool),
        )
