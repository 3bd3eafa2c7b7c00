"""What the cases of a chunk may look back on, and what each of them sees of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from post_mortem.core.labeler import label
from post_mortem.core.replay import entry_bars, replay
from post_mortem.core.rules import Rule
from post_mortem.core.types import Bool, Flag, ModelHistory, Outcome, SetupHistory, TradeLog
from trading.core.candles import I64
from trading.core.types import timeframe_ns
from trading.models import CandleSeries, Signal

from . import histories
from .case_layout import Chunk, arrays_of, bare_batch, judged_by, lay_out, load, with_rules
from .case_rows import (
    SIGNAL_FIELDS,
    Selection,
    SignalRows,
    no_trades,
    picked,
    signal_rows,
    together,
)
from .columns import Column, fetch, integers
from .histories import Asked
from .markets import Surroundings, market

# Signals from which on a chunk is asked for those it holds, and up to which others are read by id.
_MANY = 500


@dataclass(frozen=True, slots=True, eq=False)
class Earlier:
    """What the cases of a chunk may look back on: closed trades and all results."""

    closed: dict[str, Column]
    pool: histories.Pool


class EarlierResults:
    """What the chunks of one group may look back on. Results of signals that a chunk has asked for
    are kept for the next: with many signals a day, a week of them is more than a chunk."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = rules
        self._signals: histories.Pool | None = None
        self._seen_from = self._sent_before = 0  # entries it is complete for; signals it holds

    def of(self, chunk: Chunk) -> Earlier:
        """All that any case of the chunk may look back on."""
        closed = histories.closed_trades(chunk.group.account_id, chunk.entry)
        pool = histories.pool_of_trades(closed, chunk.group.instrument_id)
        return Earlier(closed, histories.merged(pool, self._untraded(chunk)))

    def _untraded(self, chunk: Chunk) -> histories.Pool:
        """Results of the untraded signals that the chunk may look back on."""
        first, last = int(chunk.entry.min()), int(chunk.entry.max())
        if self._signals is None or first < self._seen_from:
            self._signals = self._complete(chunk, first, last)
            self._sent_before = last
        elif last > self._sent_before:
            more = self._sent(chunk, self._sent_before, last)
            self._signals = histories.merged(self._signals, more)
            self._sent_before = last
        self._seen_from = first
        self._signals = histories.kept_since(self._signals, first)
        return self._signals

    def _complete(self, chunk: Chunk, first: int, last: int) -> histories.Pool:
        """The last LIMIT results before the first entry, and all until the last one.

        A result is known within seven days. So what was sent more than that before the earliest of
        enough results was known before all of them. Signals without a result do not count.
        """
        wanted = histories.LIMIT
        where = chunk.group.account_id, chunk.group.instrument_id
        while True:
            begun = histories.sent_at_least(*where, wanted, first)
            if begun is None:
                return self._sent(chunk, None, last)
            pool = self._sent(chunk, begun - histories.RESULT_SPAN, last)
            if int(((pool.known >= begun) & (pool.known < first)).sum()) >= histories.LIMIT:
                return pool
            wanted *= 4

    def _sent(self, chunk: Chunk, since: int | None, before: int) -> histories.Pool:
        """Results of the untraded signals sent in [since, before)."""
        signals = _untraded_rows(chunk, since, before)
        known = [np.zeros(0, np.int64)]
        row, won = [np.zeros(0, np.int64)], [np.zeros(0, bool)]
        if len(signals):
            selection = Selection(horizons=(histories.RESULT_HORIZON,), trades=False)
            asked = lay_out(
                selection, chunk.group, chunk.desk, chunk.instrument, signals, no_trades()
            )
            for series, rows in judged_by(asked):
                if series is not None:
                    at, when, success = _results(asked, series, rows, self._rules)
                    row.append(at)
                    known.append(when)
                    won.append(success)
        when = np.concatenate(known)
        order = np.lexsort((np.concatenate(row), when))
        return histories.pool_of_signals(
            signals.raw,
            histories.SignalResults(
                np.concatenate(row)[order], when[order], np.concatenate(won)[order]
            ),
        )


def _untraded_rows(chunk: Chunk, since: int | None, before: int) -> SignalRows:
    """Untraded signals sent in [since, before). Those that the chunk holds are not read again."""
    found = histories.untraded_signals(
        chunk.group.account_id, chunk.group.instrument_id, since, before
    )
    if len(chunk.signals) < _MANY:
        return signal_rows(fetch(found, *SIGNAL_FIELDS))
    ids = integers(fetch(found, "id")["id"])
    order = np.argsort(chunk.signals.id)
    place = order[np.minimum(np.searchsorted(chunk.signals.id, ids, sorter=order), order.size - 1)]
    held = chunk.signals.id[place] == ids
    absent = ids[~held].tolist()
    if len(absent) > _MANY:
        return signal_rows(fetch(found, *SIGNAL_FIELDS))
    others = Signal.objects.filter(pk__in=absent).order_by("time", "id")
    return together(picked(chunk.signals, place[held]), signal_rows(fetch(others, *SIGNAL_FIELDS)))


def _results(
    asked: Chunk, series: CandleSeries, rows: I64, rules: Sequence[Rule]
) -> tuple[I64, I64, Bool]:
    """(row, when known, won) of those that have a result: a touch counts once its bar closed,
    whatever came later; without one the label at the end of the week decides."""
    rule_list, rule_index = with_rules(asked, rows, rules)
    bar_ns = timeframe_ns(series.timeframe)
    arrays = arrays_of(asked, rows, rule_list, rule_index, bar_ns, series.point)
    candles = load(series, bar_ns, arrays)
    nothing = Surroundings(None, None, None)
    where = market(asked.instrument, series.point, bar_ns, candles, nothing)
    batch = bare_batch(asked, rows, series, where, arrays)
    paths = replay(batch)
    labels = label(batch, paths)
    _, container = entry_bars(candles, bar_ns, batch.entry_time)
    touched = paths.hit > 0
    by_label = np.isin(labels.outcome, (Outcome.SUCCEEDED, Outcome.FAILED))
    taken = (labels.flags & Flag.BELOW_THRESHOLD) == 0
    fair = taken & (container >= 0) & ~paths.off_market & ~paths.after_hole
    keep = np.flatnonzero((touched | by_label) & fair)
    closed = candles.time[np.maximum(paths.exit, 0)] + bar_ns if len(candles) else batch.end_time
    known = np.where(touched, closed, batch.end_time)
    won = np.where(touched, paths.hit == 2, labels.outcome == Outcome.SUCCEEDED)
    return rows[keep], known[keep], won[keep]


def seen_by(
    chunk: Chunk, rows: I64, earlier: Earlier
) -> dict[str, ModelHistory | SetupHistory | TradeLog]:
    signals, entry = chunk.signals, chunk.entry[rows]
    signal, raw = chunk.signal[rows], chunk.signals.raw
    asked = Asked(
        signal=signal,
        entry=entry,
        version=list(map(histories.version_key, raw["model_version"], raw["strategy"])),
        timeframe=raw["timeframe"],
        has_score=np.isfinite(signals.score[signal]),
        has_claims=signals.claimed[signal] >= 0,
    )
    kind, quote = chunk.instrument.kind, chunk.instrument.quote
    return {
        "model_history": histories.model_history(earlier.pool, asked),
        "setup_history": histories.setup_history(earlier.pool, asked),
        "trade_log": histories.trade_log(earlier.closed, kind, quote, entry),
    }
