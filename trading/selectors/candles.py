"""Stored bars: series, their coverage of a window, and decoded candles with their hashes checked.

Decoded chunks are kept in memory, keyed by their hash, so a bar is unpacked once however many
audits read it. Arrays handed out are shared and read-only.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trading.core.candles import (
    F64,
    I64,
    QUOTE_COLUMNS,
    Candles,
    blob_sha256,
    concatenate,
    empty_candles,
    unpack,
)
from trading.core.errors import OperatorError
from trading.core.sessions import expected_bars, grid_offsets, hours_known, seen_elsewhere
from trading.core.types import NS_PER_DAY, NS_PER_HOUR, SeriesKind, timeframe_ns
from trading.models import CandleChunk, CandleSeries, Desk, Instrument

WEEK_NS = 7 * NS_PER_DAY
EPOCH_MONDAY_NS = 4 * NS_PER_DAY  # 1970-01-05
LONG_BAR_NS = 4 * NS_PER_HOUR
WEEKS_OF_LONG_BARS = 52
FULL_COVERAGE = 0.95
_CACHE_BYTES = 256 * 1024**2


def bucket_weeks(bar_ns: int) -> int:
    """How many ISO weeks share a chunk: one, or 52 for bars of four hours and more."""
    return WEEKS_OF_LONG_BARS if bar_ns >= LONG_BAR_NS else 1


def bucket_of(time: I64, bar_ns: int) -> I64:
    """The chunk each bar belongs to: the first ISO week of its bucket."""
    weeks = bucket_weeks(bar_ns)
    result: I64 = (time - EPOCH_MONDAY_NS) // (weeks * WEEK_NS) * weeks
    return result


class _DecodedChunks:
    """Least recently used decoded chunks, bounded by bytes; safe for threads."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 0
        self._kept: OrderedDict[tuple[str, str], Candles] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, sha256: str, kind: str) -> Candles | None:
        with self._lock:
            found = self._kept.get((sha256, kind))
            if found is not None:
                self._kept.move_to_end((sha256, kind))
            return found

    def put(self, sha256: str, kind: str, candles: Candles) -> None:
        with self._lock:
            if (sha256, kind) in self._kept:
                return
            self._kept[sha256, kind] = candles
            self._size += _size_of(candles)
            while self._size > self._limit and len(self._kept) > 1:
                _, oldest = self._kept.popitem(last=False)
                self._size -= _size_of(oldest)

    def clear(self) -> None:
        with self._lock:
            self._kept.clear()
            self._size = 0


_decoded = _DecodedChunks(_CACHE_BYTES)


def forget_decoded() -> None:
    """Empty the memory of decoded chunks."""
    _decoded.clear()


def _columns(candles: Candles) -> list[NDArray[np.generic]]:
    columns: list[NDArray[np.generic] | None] = [
        candles.time, candles.open, candles.high, candles.low, candles.close,
        candles.volume, candles.spread,
    ]  # fmt: skip
    if candles.quotes is not None:
        columns.extend(getattr(candles.quotes, name) for name in QUOTE_COLUMNS)
    return [column for column in columns if column is not None]


def _size_of(candles: Candles) -> int:
    return sum(column.nbytes for column in _columns(candles))


def decode_chunk(blob: bytes | memoryview, n: int, sha256: str, kind: str) -> Candles:
    """Bars of a chunk after comparing its hash; OperatorError `corrupt_chunk` when it differs."""
    raw = bytes(blob)
    if blob_sha256(raw) != sha256:
        raise OperatorError(
            "corrupt_chunk",
            "a candle chunk does not match its checksum: restore it or import again",
        )
    candles = unpack(raw, n, kind)
    for column in _columns(candles):
        column.setflags(write=False)
    return candles


def load_candles(
    series: CandleSeries, start_ns: int | None = None, end_ns: int | None = None
) -> Candles:
    """Bars of a series that open in [start, end), ns UTC; None is unbounded.

    Prices are half-points of `series.point`. A damaged chunk raises OperatorError `corrupt_chunk`.
    """
    chunks = CandleChunk.objects.filter(series=series)
    if start_ns is not None:
        chunks = chunks.filter(last_time__gte=start_ns)
    if end_ns is not None:
        chunks = chunks.filter(first_time__lt=end_ns)
    wanted = list(chunks.order_by("week").values_list("pk", "sha256", "n"))
    held = {pk: _decoded.get(sha256, series.kind) for pk, sha256, _ in wanted}
    absent = [pk for pk, candles in held.items() if candles is None]
    if absent:
        held.update(_decode(series, absent))
    parts = [candles for pk, _, _ in wanted if (candles := held[pk]) is not None]
    if not parts:
        return empty_candles()
    whole = concatenate(parts)
    if start_ns is None and end_ns is None:
        return whole
    first = int(whole.time[0]) if start_ns is None else start_ns
    last = int(whole.time[-1]) + 1 if end_ns is None else end_ns
    return whole.between(first, last)


def load_window(series: CandleSeries, start_ns: int, end_ns: int) -> Candles:
    """Bars that open in [start, end), and the first stored one from `end` on, however far away:
    it tells that data go on, across a weekend as well. Where nothing is stored from `start` on,
    the last bar before it, which tells that they do not. So whether and where data end is known
    of every window in the same way."""
    chunks = CandleChunk.objects.filter(series=series)
    ends = chunks.filter(last_time__gte=end_ns).order_by("last_time").values_list("last_time")
    following = ends.first()
    candles = load_candles(series, start_ns, end_ns if following is None else following[0] + 1)
    if len(candles):
        return candles.rows(slice(int(np.searchsorted(candles.time, end_ns)) + 1))
    newest = chunks.order_by("-last_time").values_list("last_time").first()
    return candles if newest is None else load_candles(series, newest[0], newest[0] + 1)


def _decode(series: CandleSeries, pks: Sequence[int]) -> dict[int, Candles]:
    result = {}
    for first in range(0, len(pks), 200):
        rows = CandleChunk.objects.filter(pk__in=pks[first : first + 200])
        for pk, blob, n, sha256 in rows.values_list("pk", "blob", "n", "sha256"):
            result[pk] = decode_chunk(blob, n, sha256, series.kind)
            _decoded.put(sha256, series.kind, result[pk])
    return result


def series_for(instrument: Instrument, desk: Desk | None = None) -> list[CandleSeries]:
    """Series of an instrument that a desk may use (shared ones and its own) and that hold bars,
    the preferred first: finest, then the desk's order of sources, then quotes before trades
    before mids."""
    visible = CandleSeries.objects.filter(desk=None)
    if desk is not None:
        visible = CandleSeries.objects.for_desk(desk)
    found = visible.filter(instrument=instrument, n_bars__gt=0).select_related("instrument")
    order = list(desk.source_order) if desk is not None else []
    kinds = [SeriesKind.BID_ASK, SeriesKind.TRADE, SeriesKind.MID]

    def preference(series: CandleSeries) -> tuple[int, int, int, int, int]:
        rank = order.index(series.source) if series.source in order else len(order)
        own = 0 if series.desk_id is not None else 1
        kind = kinds.index(SeriesKind(series.kind))
        return timeframe_ns(series.timeframe), rank, own, kind, series.pk

    return sorted(found, key=preference)


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """Which series judges each of n windows.

    `index` points into `series`, -1 where no series has a bar in the window. `coverage` is as
    `coverage` gives it. `full` says that it reaches 95 % (or, where it cannot be known, that the
    series spans the window).
    """

    series: list[CandleSeries]
    index: I64
    coverage: F64
    full: NDArray[np.bool_]


def choose_series(
    instrument: Instrument,
    desk: Desk | None,
    start: I64,
    end: I64,
    *,
    longest_bar_ns: int | None = None,
) -> Choice:
    """The finest series with at least 95 % of the bars expected in each window [start, end).

    Where none has, the one that covers most, finer first. `longest_bar_ns` leaves out series with
    longer bars (a horizon shorter than its bars cannot be judged).
    """
    series = stored = series_for(instrument, desk)
    if longest_bar_ns is not None:
        series = [s for s in series if timeframe_ns(s.timeframe) <= longest_bar_ns]
    index = np.full(start.shape, -1, np.int64)
    share, best = np.zeros(start.shape), np.zeros(start.shape)
    full = np.zeros(start.shape, np.bool_)
    for position, candidate in enumerate(series):
        if full.all():
            break
        covered, enough = coverage(candidate, stored, start, end)
        # A share that cannot be known ranks below every known one, but above nothing.
        rank = np.where(np.isnan(covered), np.finfo(np.float64).tiny, covered)
        better = ~full & (enough | (rank > best))
        index[better], share[better], best[better] = position, covered[better], rank[better]
        full |= better & enough
    return Choice(series, index, share, full)


def coverage(
    series: CandleSeries, stored: Sequence[CandleSeries], start: I64, end: I64
) -> tuple[F64, NDArray[np.bool_]]:
    """(share of expected bars present, whether that is enough) for windows [start, end).

    A window in which no bar is expected counts as covered when the series spans it. Where the
    market's hours are not known, bars are expected when any other of the `stored` series of the
    instrument has some (`sessions.seen_elsewhere`); without such the share is NaN, and spanning is
    enough. It is 0 where no bar of the series lies in the window or reaches into it.
    """
    if not start.size:
        return np.zeros(0), np.zeros(0, np.bool_)
    kind, bar_ns = series.instrument.kind, timeframe_ns(series.timeframe)
    earliest, latest = int(start.min()) - bar_ns, int(end.max())
    times = load_candles(series, earliest, latest).time
    spans = (_ns(series, "first_time") <= start) & (_ns(series, "last_time") + bar_ns >= end)
    if hours_known(kind):
        grid = grid_offsets(times, bar_ns, start, end)
        expected = expected_bars(kind, bar_ns, start, end, grid)
        present = np.searchsorted(times, end) - np.searchsorted(times, start)
        share = np.where(expected > 0, present / np.maximum(expected, 1), np.where(spans, 1.0, 0.0))
        share = np.minimum(share, 1.0)
    else:
        others = [
            (load_candles(other, earliest, latest).time, timeframe_ns(other.timeframe))
            for other in stored
            if other.pk != series.pk
        ]
        around = np.searchsorted(times, end) > np.searchsorted(times, start - bar_ns, "right")
        share = np.where(around, seen_elsewhere(times, bar_ns, others, start, end), 0.0)
    enough = np.where(np.isnan(share), spans, share >= FULL_COVERAGE)
    return share, enough.astype(np.bool_)


def _ns(series: CandleSeries, name: str) -> int:
    moment = getattr(series, name)
    return int(np.datetime64(moment.replace(tzinfo=None), "ns").astype(np.int64))


def judging_series(
    instrument: Instrument, desk: Desk | None, start_ns: int, end_ns: int
) -> tuple[CandleSeries | None, float]:
    """(series, coverage) for one window: see `choose_series`."""
    choice = choose_series(instrument, desk, np.array([start_ns]), np.array([end_ns]))
    position = int(choice.index[0])
    return (choice.series[position] if position >= 0 else None), float(choice.coverage[0])
