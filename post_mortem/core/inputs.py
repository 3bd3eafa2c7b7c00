"""What a case read, as one hash: equal inputs give equal hashes, whatever the batch they came in.

`input_hashes` gives 64 hexadecimal digits a case. The first 32 cover what is the case's own: its
bars, its rule, its signal and trade. The last 32 cover its surroundings: news, related markets,
outages and earlier results. The two halves let a check tell a case that was tampered with from one
whose surroundings grew since. Two 64-bit lanes a half detect change; they are no signature.

Bars read: from `lookback_ns` through the last bar of the judged window. Setup views are made of
the same bars.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from trading.core.candles import F64, I64, BarDigests, bar_digests
from trading.core.types import NS_PER_DAY, NS_PER_HOUR

from .features import required_lookback
from .resolution import inside, places
from .setups import LOOKBACK_BARS
from .types import I32, NO_TIME, CaseBatch, Paths

U64 = NDArray[np.uint64]

# News may lead or follow a move; nothing looks further around a window than this and one bar.
AROUND_WINDOW_NS = NS_PER_HOUR
SETUP_BARS = LOOKBACK_BARS + 20
ATR_BARS = 20

_LANES = 2
_STEP = np.uint64(0x9E3779B97F4A7C15)
_SEEDS = tuple(np.uint64((lane + 1) * 0x9E3779B97F4A7C15 % 2**64) for lane in range(_LANES))
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_ABSENT, _PRESENT = np.uint64(1), np.uint64(2)


@dataclass(frozen=True, slots=True, eq=False)
class BarsRead:
    """Bars [start, stop) of the judged series that each case read, and their digests (N, 2).

    `n_finer` finer bars were read inside bars that left something open; `finer_ns` is the length
    of those that were used, 0 none.
    """

    start: I64
    stop: I64
    digest: U64
    n_finer: I64
    finer_digest: U64
    finer_ns: I64

    def __len__(self) -> int:
        return int(self.start.shape[0])

    @property
    def count(self) -> I64:
        return self.stop - self.start


class _State:
    """Two lanes of running hashes, one element a case."""

    def __init__(self, n: int) -> None:
        self.lanes = [np.full(n, seed, np.uint64) for seed in _SEEDS]

    def add(self, values: NDArray[np.generic] | np.uint64) -> None:
        bits = values if isinstance(values, np.uint64) else _bits(values)
        for lane in range(_LANES):
            self.lanes[lane] = _mix((self.lanes[lane] + _STEP) ^ bits)

    def add_lanes(self, values: U64) -> None:
        """Values of shape (N, 2), one lane each."""
        for lane in range(_LANES):
            self.lanes[lane] = _mix((self.lanes[lane] + _STEP) ^ values[:, lane])


def _mix(values: U64) -> U64:
    """splitmix64's finalizer (Steele, Lea, Flood 2014), element-wise."""
    values = (values ^ (values >> np.uint64(30))) * _MIX_1
    values = (values ^ (values >> np.uint64(27))) * _MIX_2
    return values ^ (values >> np.uint64(31))


def _bits(values: NDArray[np.generic]) -> U64:
    """Values as 64-bit patterns; every NaN is one pattern, and so is every zero."""
    if values.dtype == np.uint64:
        return values.astype(np.uint64)
    if values.dtype.kind == "f":
        numbers = values.astype(np.float64) + 0.0
        return np.where(np.isnan(numbers), np.nan, numbers).view(np.uint64)
    return values.astype(np.int64).view(np.uint64)


def text_bits(text: str) -> np.uint64:
    """64 bits of a text."""
    return np.uint64(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little"))


def lookback_ns(
    bar_ns: int, entry: I64, setup_bar_ns: I64, claimed_setups: I32, stop_price: F64
) -> I64:
    """Time (ns, a day floor) from which each case needs bars; all arguments one element a case.

    Claims are checked, and a missing risk is estimated, on bars of the signal's own timeframe.
    """
    # Arithmetic only, so it takes arrays as well.
    start: I64 = required_lookback(bar_ns, entry)  # type: ignore[arg-type, assignment]
    setups = entry - _reach_ns(SETUP_BARS, setup_bar_ns)
    atr = entry - _reach_ns(ATR_BARS, setup_bar_ns)
    start = np.where(claimed_setups > 0, np.minimum(start, setups), start)
    start = np.where(np.isnan(stop_price), np.minimum(start, atr), start)
    return start // NS_PER_DAY * NS_PER_DAY


def _reach_ns(bars: int, bar_ns: I64) -> I64:
    """Wall-clock time that surely holds so many bars of a market that closes for weekends."""
    return 2 * bars * bar_ns + 4 * NS_PER_DAY


def bars_read(batch: CaseBatch, paths: Paths, digests: BarDigests | None = None) -> BarsRead:
    """The bars each case read. `digests` of the batch's candles may be passed in."""
    candles = batch.market.candles
    lookback = lookback_ns(
        batch.market.bar_ns,
        batch.entry_time,
        batch.setup_bar_ns,
        batch.claimed_setups,
        batch.stop_price,
    )
    start = np.searchsorted(candles.time, lookback).astype(np.int64)
    stop = np.maximum(paths.last + 1, start)
    known = bar_digests(candles) if digests is None else digests
    return BarsRead(start, stop, known.of_ranges(start, stop), *_finer_read(batch, paths))


def _finer_read(batch: CaseBatch, paths: Paths) -> tuple[I64, U64, I64]:
    """(number, digests, length of those used) of the finer bars inside the bars in question."""
    count, digest = np.zeros(len(batch), np.int64), np.zeros((len(batch), _LANES), np.uint64)
    resolved = paths.resolved
    if resolved is None:
        return count, digest, count
    for finer in batch.market.finer:
        known = bar_digests(finer.candles)
        start, stop = inside(finer)
        what = text_bits(f"{finer.point}|{finer.bar_ns}")
        for asked in resolved.asked.T:
            rows = np.flatnonzero(asked >= 0)
            at = places(finer, batch.market.candles.time[asked[rows]])
            rows, at = rows[at >= 0], at[at >= 0]
            count[rows] += stop[at] - start[at]
            digest[rows] += _mix(known.of_ranges(start[at], stop[at]) ^ what)
    return count, digest, resolved.by_ns


def input_hashes(batch: CaseBatch, paths: Paths, read: BarsRead, rules: Sequence[str]) -> list[str]:
    """64 hex digits a case. `rules` are the sha256 of the rule snapshots, one a case."""
    own, around = _own(batch, paths, read, rules), _surroundings(batch, read)
    lanes = np.stack([*own.lanes, *around.lanes], axis=1)
    text = lanes.astype(">u8").tobytes().hex()
    width = 2 * _LANES * 16
    return [text[i : i + width] for i in range(0, len(text), width)]


def same_case(left: str, right: str) -> bool:
    """Whether two input hashes agree on the case's own inputs, whatever surrounded it."""
    return left[:32] == right[:32]


# --- the case itself ----------------------------------------------------------------------------


def _own(batch: CaseBatch, paths: Paths, read: BarsRead, rules: Sequence[str]) -> _State:
    state = _State(len(batch))
    market = batch.market
    state.add(
        text_bits(f"{market.symbol}|{market.kind}|{market.point}|{market.pip}|{market.bar_ns}")
    )
    state.add_lanes(read.digest)
    state.add(read.count)
    _add_finer(state, read)
    state.add(paths.reached_end)
    state.add(_text_column(batch.horizon))
    state.add(_text_column(rules))
    for field in fields(batch):
        values = getattr(batch, field.name)
        if isinstance(values, np.ndarray):
            state.add(values)
    return state


def _add_finer(state: _State, read: BarsRead) -> None:
    """Finer bars, for the cases that read any: the others hash as if there were none."""
    if not read.n_finer.any():
        return
    before = [lane.copy() for lane in state.lanes]
    state.add_lanes(read.finer_digest)
    state.add(read.n_finer)
    state.lanes = [
        np.where(read.n_finer > 0, now, was) for now, was in zip(state.lanes, before, strict=True)
    ]


def _text_column(texts: Sequence[str]) -> U64:
    known = {text: text_bits(text) for text in set(texts)}
    return np.array([known[text] for text in texts], np.uint64)


# --- its surroundings ---------------------------------------------------------------------------


def _surroundings(batch: CaseBatch, read: BarsRead) -> _State:
    state = _State(len(batch))
    start, end = _window_ns(batch, read)
    _add_news(state, batch, start, end)
    _add_peers(state, batch, read)
    _add_outages(state, batch, start, end)
    model, setup, log = batch.model_history, batch.setup_history, batch.trade_log
    _add_pool(state, model.start, model.stop, model.score, model.won)
    _add_pool(state, setup.start, setup.stop, setup.setup, setup.won, setup.reward_risk)
    _add_pool(state, log.start, log.stop, log.exit_time, log.r, log.quantity)
    return state


def _window_ns(batch: CaseBatch, read: BarsRead) -> tuple[I64, I64]:
    """Wall-clock span around each case in which news and outages could matter."""
    time, bar_ns = batch.market.candles.time, batch.market.bar_ns
    around = AROUND_WINDOW_NS + bar_ns
    last = np.full(len(batch), NO_TIME, np.int64)
    if time.size:
        last = np.where(read.count > 0, time[np.maximum(read.stop - 1, 0)] + bar_ns, NO_TIME)
    end = np.maximum(np.maximum(last, batch.entry_time), batch.end_time)
    return batch.entry_time - around, end + around


def _add_news(state: _State, batch: CaseBatch, start: I64, end: I64) -> None:
    news = batch.market.news
    if news is None:
        state.add(_ABSENT)
        return
    state.add(_PRESENT)
    columns = (news.time, news.impact, news.surprise_z, news.key, _text_column(news.currency))
    first, stop = np.searchsorted(news.time, start), np.searchsorted(news.time, end, side="right")
    _add_range(state, columns, first, stop)
    _add_spans(state, news.covered_from, news.covered_to, start, end)


def _add_outages(state: _State, batch: CaseBatch, start: I64, end: I64) -> None:
    outages = batch.market.outages
    if outages is None:
        state.add(_ABSENT)
        return
    state.add(_PRESENT)
    _add_spans(state, outages.start, outages.end, start, end, by_place=True)


def _add_spans(
    state: _State, spans_from: I64, spans_to: I64, start: I64, end: I64, *, by_place: bool = False
) -> None:
    """The parts of all spans that lie inside each case's window, and which spans they are."""
    total = np.zeros((start.shape[0], _LANES), np.uint64)
    for place, (lo, hi) in enumerate(zip(spans_from, spans_to, strict=True)):
        low, high = np.maximum(start, lo), np.minimum(end, hi)
        part = _State(start.shape[0])
        if by_place:
            part.add(np.uint64(place))
        # As distances from the window, so that a span reaching beyond it is the window itself.
        part.add(low - start)
        part.add(high - start)
        inside = low <= high
        for lane in range(_LANES):
            total[:, lane] += np.where(inside, part.lanes[lane], np.uint64(0))
    state.add_lanes(total)


def _add_peers(state: _State, batch: CaseBatch, read: BarsRead) -> None:
    peers = batch.market.peers
    if peers is None:
        state.add(_ABSENT)
        return
    state.add(_PRESENT)
    for peer in peers:
        state.add(text_bits(f"{peer.symbol}|{peer.sign}"))
        _add_range(state, (peer.close,), read.start, read.stop)


def _add_pool(state: _State, start: I64, stop: I64, *columns: NDArray[np.generic]) -> None:
    known = start >= 0
    state.add(known)
    _add_range(state, columns, np.where(known, start, 0), np.where(known, stop, 0))


def _add_range(
    state: _State, columns: Sequence[NDArray[np.generic] | F64], start: I64, stop: I64
) -> None:
    """Rows [start, stop) of a table, one range a case."""
    rows = _State(columns[0].shape[0])
    for column in columns:
        rows.add(column)
    stop = np.maximum(stop, start)
    total = np.empty((start.shape[0], _LANES), np.uint64)
    for lane in range(_LANES):
        prefix = np.zeros(columns[0].shape[0] + 1, np.uint64)
        np.cumsum(rows.lanes[lane], out=prefix[1:])
        total[:, lane] = prefix[stop] - prefix[start]
    state.add_lanes(total)
    state.add(stop - start)
