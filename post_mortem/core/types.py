"""The records that flow through the engine: `CaseBatch` in, `Labels` and `Findings` out.

Everything is a struct of arrays over N cases that share one market (one candle series). A single
trade is a batch of one. Conventions, all decided in docs/decisions.md:

- times: int64 ns UTC; candle times are bar opens;
- candle prices and barriers: int64 half-points (half of the instrument's point);
- fills, entries and exits: float64 prices as given (they may lie off the grid);
- unknown numbers are NaN (floats) or `NO_TIME` (times); a feed that is missing is `None`,
  a feed that was there and empty has length 0;
- `side` is +1 long, -1 short.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import IntEnum, IntFlag
from typing import Final

import numpy as np
from numpy.typing import NDArray

from trading.core.candles import F64, I64, Candles

I8 = NDArray[np.int8]
I32 = NDArray[np.int32]
Bool = NDArray[np.bool_]

NO_TIME = np.iinfo(np.int64).min
# Barriers that do not exist: no price ever reaches them.
NO_STOP = np.iinfo(np.int64).min
NO_TARGET = np.iinfo(np.int64).max

CAUSES: tuple[str, ...] = (
    "news_shock",
    "regime_drift",
    "volatility_spike",
    "liquidity_event",
    "external_shock",
    "spread_slippage",
    "model_error",
    "detector_misid",
    "false_positive",
    "user_psychology",
    "unknown",
)
CAUSE_LABELS: Mapping[str, str] = {
    "news_shock": "News shock",
    "regime_drift": "Regime drift",
    "volatility_spike": "Volatility spike",
    "liquidity_event": "Liquidity event",
    "external_shock": "External shock",
    "spread_slippage": "Spread and slippage",
    "model_error": "Model error",
    "detector_misid": "Setup misread",
    "false_positive": "False-positive setup",
    "user_psychology": "Trading behaviour",
    "unknown": "No specific cause",
}
SETUPS: tuple[str, ...] = ("bos", "choch", "fvg", "order_block", "breakout", "sweep")


class Outcome(IntEnum):
    SUCCEEDED = 1
    FAILED = 2
    NEUTRAL = 3
    FILTERED_OUT = 4
    PENDING = 5
    NEEDS_REVIEW = 6


class ExitReason(IntEnum):
    NONE = 0
    SL = 1
    TP = 2
    TIME = 3
    MANUAL = 4


# Of the price: beyond its candle by more, a fill is wrong, whatever the spread.
FAR_OUTSIDE: Final = 0.01


class Flag(IntFlag):
    """What a reader must know about a label. Names are written out in exports, lower case."""

    AMBIGUOUS = 1  # one bar touched both stop and target; counted as the stop
    ENTRY_BAR_AMBIGUOUS = 2  # entered inside a bar whose skipped part could have touched
    ENTRY_OUTSIDE_CANDLE = 4  # the entry fill lies outside its candle
    EXIT_OUTSIDE_CANDLE = 8  # the exit fill lies outside its candle
    STOP_MOVED = 16  # the final stop differs from the initial one, or a stop on the wrong side
    GAP_THROUGH_STOP = 32  # the bar opened beyond the stop: filled at the open
    LOW_COVERAGE = 64  # under 95 % of the expected bars are stored
    NO_DATA = 128  # no bar in the window
    HORIZON_TOO_SHORT = 256  # the horizon is shorter than a bar
    NOT_FILLED = 512  # a limit or stop entry that never filled
    BELOW_THRESHOLD = 1024  # the score is below the rule's or strategy's minimum
    RISK_FROM_ATR = 2048  # no initial stop: causes use 1.5 ATR14 as the risk; R stays unknown
    NO_BARRIER = 4096  # neither stop nor target
    ENTRY_BAR_MISSING = 8192  # the bar of the entry is not stored
    BAD_STOP_SIDE = 16384  # the stop lies on the profit side of the entry; ignored as a barrier
    RESOLVED_FINER = 32768  # what a bar left open was read from finer bars inside it
    EXIT_BAR_AMBIGUOUS = 65536  # the bar of a trade's exit touched a level that its fill is not at
    ENTRY_GAP = 131072  # the bar opened beyond a stop entry: filled at the open
    ENTRY_OFF_MARKET = 262144  # the market was at or beyond a level when the signal was entered
    FAR_OUTSIDE_CANDLE = 524288  # a fill lies over FAR_OUTSIDE of its price beyond its candle
    HOLE_BEFORE_TOUCH = 1048576  # bars are missing right before one that opened beyond a level


class Status(IntEnum):
    NOT_FIRED = 0
    FIRED = 1
    ABSTAINED = 2


class Missing(IntFlag):
    """Feeds that a cause needed and did not have. Names are written out, lower case."""

    NEWS = 1
    SPREAD = 2
    FILLS = 4
    VOLUME = 8
    PEERS = 16
    OUTAGES = 32
    SCORE = 64
    MODEL_HISTORY = 128
    SETUP_HISTORY = 256
    TRADE_LOG = 512
    CLAIMED_SETUPS = 1024
    BARS_BEFORE = 2048
    BARS_IN_LIFE = 4096
    RISK = 8192


class StrategyKind(IntEnum):
    UNKNOWN = 0
    TREND = 1
    MEAN_REVERSION = 2


class ScoreSemantics(IntEnum):
    UNKNOWN = 0
    PROBABILITY = 1
    RANK = 2


@dataclass(frozen=True, slots=True, eq=False)
class News:
    """Calendar releases relevant to the market's currencies, sorted by time.

    `impact`: 0 low, 1 medium, 2 high. `surprise_z`: (actual - forecast) in standard deviations,
    NaN unknown. `covered_from`/`covered_to`: spans (ns) the calendar is known to cover; outside
    them news could not be checked. `key` identifies a release to the caller (its row id).
    """

    time: I64
    impact: I8
    surprise_z: F64
    currency: tuple[str, ...]
    title: tuple[str, ...]
    key: I64
    covered_from: I64
    covered_to: I64


@dataclass(frozen=True, slots=True, eq=False)
class Peer:
    """Close prices of a related market, aligned with the candles (NaN where it has no bar).

    `sign` is +1 when it usually moves with the market, -1 against it (a shared currency on the
    other side of the pair)."""

    symbol: str
    close: F64
    sign: int


@dataclass(frozen=True, slots=True, eq=False)
class Outages:
    start: I64
    end: I64
    what: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class FinerBars:
    """Bars of a finer series inside some bars of the judged one, which they fill completely.

    `opens`: opens (ns) of those judged bars, rising; `candles` holds their finer bars and no
    others, prices in half-points of `point`. Both series have quotes or neither has.
    """

    bar_ns: int
    point: Decimal
    candles: Candles
    opens: I64


@dataclass(frozen=True, slots=True, eq=False)
class Market:
    """One candle series with everything that happened on it."""

    symbol: str
    kind: str  # fx | metal | crypto | other: decides which bars are expected (weekends)
    point: Decimal
    pip: Decimal
    bar_ns: int
    candles: Candles
    currencies: tuple[str, ...] = ()
    news: News | None = None
    peers: tuple[Peer, ...] | None = None
    outages: Outages | None = None
    finer: tuple[FinerBars, ...] = ()  # a judged bar is in one of them at most

    @property
    def half_point(self) -> float:
        """Price of one half-point."""
        return float(self.point) / 2

    @property
    def pip_half_points(self) -> float:
        return float(2 * self.pip / self.point)


@dataclass(frozen=True, slots=True, eq=False)
class ModelHistory:
    """Scored trades, each pool sorted by when its result was known. A case of row i sees rows
    [start[i], stop[i]) of the pool: same model version, closed before its entry. start = -1 means
    that the history is missing (None for that case)."""

    score: F64
    won: Bool
    start: I64
    stop: I64


@dataclass(frozen=True, slots=True, eq=False)
class SetupHistory:
    """Earlier results per setup (index into SETUPS), same symbol and timeframe, same row rule as
    `ModelHistory`. `reward_risk` is the planned ratio of each."""

    setup: I8
    won: Bool
    reward_risk: F64
    start: I64
    stop: I64


@dataclass(frozen=True, slots=True, eq=False)
class TradeLog:
    """The trader's earlier trades by exit time, same row rule as `ModelHistory`."""

    exit_time: I64
    r: F64
    quantity: F64
    start: I64
    stop: I64


@dataclass(frozen=True, slots=True, eq=False)
class SetupView:
    """Bars of one signal timeframe, on which setups are detected."""

    bar_ns: int
    candles: Candles


@dataclass(frozen=True, slots=True, eq=False)
class CaseBatch:
    """N cases on one market. Arrays have length N unless said otherwise.

    `is_trade`: the horizon is TRADE (fills and exit define the label), else `end_time` is the
    wall-clock end of the horizon. `stop`/`target` are integer barriers rounded away from false
    touches (see `to_half_points`); `stop_price`/`target_price` the same levels as prices, NaN when
    absent. `entry_price` is the price the label is judged from: the fill of a trade, the entry of
    a signal. The trade_* arrays are NaN / NO_TIME where the signal was not executed; under a
    signal horizon they are evidence only.
    """

    market: Market
    is_trade: Bool
    horizon: tuple[str, ...]
    side: I8
    entry_time: I64
    end_time: I64
    entry_price: F64
    stop: I64
    target: I64
    stop_price: F64
    target_price: F64
    entry_kind: I8  # 0 market, 1 limit, 2 stop
    neutral_r: F64  # neutral band in R (NaN: use neutral_price)
    neutral_price: F64  # neutral band as a price distance
    # signal
    score: F64
    min_score: F64
    score_semantics: I8
    strategy_kind: I8
    claimed_setups: I32  # bit i = SETUPS[i] was claimed; -1 = unknown
    setup_bar_ns: I64  # timeframe of the signal
    setup_views: tuple[SetupView, ...]
    # trade
    executed: Bool
    requested_entry: F64
    fill_entry: F64
    fill_entry_time: I64
    requested_exit: F64
    fill_exit: F64
    fill_exit_time: I64
    file_exit_reason: I8  # ExitReason as the file says, NONE unknown
    quantity: F64
    stop_initial: F64
    stop_final: F64
    commission: F64  # account cost, positive = paid, in quote units of the whole position
    swap: F64  # same sign convention
    on_plan: I8  # 1 yes, 0 no, -1 unknown
    extra_flags: I32  # Flag bits the caller proved by exact decimals (fills outside candles, stops)
    # histories
    model_history: ModelHistory
    setup_history: SetupHistory
    trade_log: TradeLog
    # Where the market's hours are unknown: share of the other stored bars of the instrument in the
    # window at which the judged series has one too, NaN where nothing tells. None: hours are known.
    seen_coverage: F64 | None = None

    def __len__(self) -> int:
        return int(self.side.shape[0])


@dataclass(frozen=True, slots=True, eq=False)
class Resolved:
    """What finer bars say about the judged bars that leave a case open (`resolution.resolve`).

    `asked`, shape (N, 3): the bars of the entry, of an order's fill and of the exit that leave
    something open, -1 none. `by_ns`: length of the finer bars that were used, 0 none. The rest is
    known where they were used: open of the finer bar that touched, the open at which a gap through
    the stop was filled, the extremes from entry to exit and the largest fall from an earlier best,
    all in half-points of the judged series, turned so that the position is long.
    """

    asked: I64
    by_ns: I64
    exit_time: I64  # NO_TIME: not decided on finer bars
    gap_open: F64
    best: F64
    worst: F64
    fall: F64


@dataclass(frozen=True, slots=True, eq=False)
class Paths:
    """What prices did between entry and exit (`replay.replay`). Bar indices into market.candles.

    `first`..`last` is the judged window (empty when last < first); `exit` is the bar of the first
    touch, else `last`. `hit`: 0 none, 1 stop, 2 target, 3 both in one bar. Excursions are
    half-points, >= 0, up to and including the exit bar (inside the exit bar the order is unknown;
    where `exit_touch` is not 0, up to the bar before it).
    `drawdown` is the largest fall from an earlier best extreme within the window.
    """

    first: I64
    last: I64
    exit: I64
    hit: I8
    gap: Bool
    mfe: I64
    mae: I64
    drawdown: I64
    mfe_bar: I64
    mae_bar: I64
    n_bars: I64
    n_expected: I64
    reached_end: Bool  # stored data passes the end of the window
    skipped_touch: Bool  # the part of the entry bar that was skipped could have touched
    after_hole: Bool  # a level was touched by an open, and bars right before it are missing
    off_market: Bool  # the market was at or beyond a barrier at a market entry
    entry: F64  # half-points: the judged entry, of a stop entry that was gapped over the open
    exit_touch: I8  # touches of a trade's exit bar that its fill contradicts, bits as in `hit`
    resolved: Resolved | None = None  # None: no finer bars were there to ask


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """The verdict a case (`labeler.label`). `shadow_outcome` is what a filtered_out case would
    have been (0 otherwise). R, pips and pnl_pct are NaN where they cannot be known."""

    outcome: I8
    shadow_outcome: I8
    exit_reason: I8
    exit_time: I64
    exit_price: F64
    pips: F64
    pnl_pct: F64
    r: F64
    mfe_r: F64
    mae_r: F64
    drawdown_r: F64
    mfe_pips: F64
    mae_pips: F64
    drawdown_pips: F64
    coverage: F64
    flags: I32
    risk_price: F64  # initial risk as a price distance, NaN without an initial stop
    judged_entry: (
        F64  # what the result counts from: a fill, a signal's entry, a gapped order's open
    )


@dataclass(frozen=True, slots=True)
class FactSpec:
    """One number a cause reports. `unit`: R, pips, z, ratio, count, minutes, score, probability,
    bars, price, key (a row id), code (an enumerated subtype, spelled out in `choices`)."""

    key: str
    unit: str
    meaning: str
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Findings:
    """What one cause says about N cases. `strength`, `posterior` in [0, 1]; `facts[key]` float64
    arrays, NaN = not known; `missing` are Missing bits."""

    cause: str
    status: I8
    strength: F64
    posterior: F64
    confidence: I8
    missing: I32
    facts: Mapping[str, F64]


@dataclass(frozen=True, slots=True, eq=False)
class Diagnosis:
    """Findings of every cause in CAUSES order, ranked per case.

    `rank[i, c]` is the 1-based rank of cause c for case i, 0 = not ranked (not fired). Every
    judged case has exactly one rank 1, which may be `unknown`. `judged[i]` is False where causes
    did not run (succeeded, pending, ...).
    """

    findings: tuple[Findings, ...]
    rank: I8
    judged: Bool
