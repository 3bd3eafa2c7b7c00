"""Simulated markets of the first generator: instruments, noise, candles, and what a plan made.

Returns have heavy tails (Student t with 4 to 6 degrees of freedom in each of `STEPS` parts of a
bar), volatility comes in clusters (GARCH(1,1)) on top of the hours of the day, currencies and
metals close at weekends and open with a gap. Prices inside are whole points.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

STEPS = 6
TAIL_BARS = 12  # published after the exit or the end of the horizon
NEUTRAL_R = 0.1
BAR_SECONDS = {"1m": 60, "5m": 300, "15m": 900, "1h": 3600}
HOURS = {"1H": 1, "4H": 4, "24H": 24}
# Timeframe and horizon pairs with enough bars to see anything.
SETTINGS = (
    ("1m", "1H"),
    ("1m", "4H"),
    ("5m", "4H"),
    ("5m", "24H"),
    ("15m", "24H"),
    ("1h", "24H"),
    ("1m", "TRADE"),
    ("5m", "TRADE"),
    ("15m", "TRADE"),
    ("1h", "TRADE"),
)
# How busy each UTC hour of currencies is: the London and New York opens stand out.
_FX_HOURS = np.array(
    [0.7, 0.75, 0.75, 0.7, 0.7, 0.75, 0.9, 1.15, 1.3, 1.2, 1.1, 1.05]
    + [1.2, 1.4, 1.4, 1.3, 1.15, 1.0, 0.9, 0.85, 0.8, 0.7, 0.65, 0.65]
)  # fmt: skip
_CRYPTO_HOURS = 1 + 0.2 * np.sin((np.arange(24) - 8) / 24 * 2 * np.pi)
_FIRST_DAY = datetime(2022, 1, 3, tzinfo=UTC)  # a Monday
_DAYS = 1000
_WEEK_S = 7 * 86_400
_FRIDAY_CLOSE_S = 4 * 86_400 + 22 * 3600  # after Monday 00:00 UTC
_SUNDAY_OPEN_S = 6 * 86_400 + 22 * 3600


@dataclass(frozen=True)
class Instrument:
    """`day` is the usual move of a day as a share of the price, `spread` the usual one in points,
    `lot` a usual position, `peers` (name, price, how it moves with this one)."""

    symbol: str
    price: float
    decimals: int
    pip: float
    day: float
    spread: float
    lot: float
    currencies: tuple[str, ...]
    peers: tuple[tuple[str, float, int], ...]
    closes: bool = True

    @property
    def point(self) -> float:
        return round(10.0**-self.decimals, self.decimals)


INSTRUMENTS = (
    Instrument(
        *("EURUSD", 1.09, 5, 0.0001, 0.005, 8.0, 50_000.0, ("EUR", "USD")),
        (("GBPUSD", 1.27, 1), ("AUDUSD", 0.66, 1), ("USDCHF", 0.9, -1), ("NZDUSD", 0.61, 1)),
    ),
    Instrument(
        *("USDJPY", 148.0, 3, 0.01, 0.006, 10.0, 50_000.0, ("USD", "JPY")),
        (("EURJPY", 161.0, 1), ("GBPJPY", 188.0, 1), ("EURUSD", 1.09, -1), ("USDCHF", 0.9, 1)),
    ),
    Instrument(
        *("GBPUSD", 1.27, 5, 0.0001, 0.0055, 11.0, 40_000.0, ("GBP", "USD")),
        (("EURUSD", 1.09, 1), ("AUDUSD", 0.66, 1), ("USDCHF", 0.9, -1), ("NZDUSD", 0.61, 1)),
    ),
    Instrument(
        *("GBPJPY", 188.0, 3, 0.01, 0.008, 22.0, 30_000.0, ("GBP", "JPY")),
        (("EURJPY", 161.0, 1), ("USDJPY", 148.0, 1), ("AUDJPY", 97.0, 1), ("GBPUSD", 1.27, 1)),
    ),
    Instrument(
        *("XAUUSD", 2050.0, 2, 0.1, 0.009, 22.0, 30.0, ("USD",)),
        (("XAGUSD", 23.5, 1), ("EURUSD", 1.09, 1), ("USDJPY", 148.0, -1), ("USDCHF", 0.9, -1)),
    ),
    Instrument(
        *("BTC/USDT", 43_000.0, 1, 0.1, 0.028, 60.0, 0.5, ("USD",)),
        (("ETH/USDT", 2300.0, 1), ("SOL/USDT", 98.0, 1), ("BNB/USDT", 310.0, 1)),
        closes=False,
    ),
)


@dataclass
class Noise:
    """A market before anything is planted; arrays over bars, `steps` over parts of bars too.

    `sigma` is the volatility a bar has at its time of day and in its cluster, as a log return;
    `base` the usual one. Gaps are between a bar and the one before it;
    `volume` is None where nobody counted.
    """

    instrument: Instrument
    timeframe: str
    time: np.ndarray
    sigma: np.ndarray
    base: float
    steps: np.ndarray
    gap: np.ndarray
    peers: np.ndarray
    volume: np.ndarray | None
    spread: np.ndarray

    @property
    def bar_s(self) -> int:
        return BAR_SECONDS[self.timeframe]

    def __len__(self) -> int:
        return int(self.time.size)


@dataclass
class Candles:
    """Open, high, low and close in whole points."""

    open: np.ndarray
    high: np.ndarray
    low: np.ndarray
    close: np.ndarray


@dataclass(frozen=True)
class Verdict:
    """`hit`: -1 stop, 1 target, 0 neither; `bar` is the last one that counts; `r` the result at
    the level that was reached, or at the close."""

    bar: int
    hit: int
    r: float


def make_noise(
    rng: np.random.Generator, instrument: Instrument, timeframe: str, bars: int
) -> Noise:
    """A market of `bars` bars from a random moment on."""
    bar_s = BAR_SECONDS[timeframe]
    time = _bar_times(rng, instrument, bar_s, bars)
    hours = _FX_HOURS if instrument.closes else _CRYPTO_HOURS
    season = hours[time // 3600 % 24]
    base = instrument.day * float(rng.uniform(0.75, 1.3)) / np.sqrt(86_400 / bar_s)
    freedom = rng.uniform(4, 6)
    shocks = rng.standard_t(freedom, (bars, STEPS)) / np.sqrt(freedom / (freedom - 2) * STEPS)
    cluster = _clusters(rng, shocks.sum(axis=1), bar_s)
    sigma = base * season * cluster
    steps = sigma[:, None] * shocks
    gap = rng.normal(0, 0.05, bars) * sigma
    weekend = np.flatnonzero(np.diff(time) > bar_s) + 1
    gap[weekend] = rng.standard_t(4, weekend.size) * instrument.day * 0.12
    own = (steps.sum(axis=1) + gap) / base
    tie = rng.uniform(0.4, 0.75, len(instrument.peers))[:, None]
    signs = np.array([sign for _, _, sign in instrument.peers])[:, None]
    alone = rng.standard_t(5, (len(instrument.peers), bars)) / np.sqrt(5 / 3) * sigma / base
    peers = (
        base * rng.uniform(0.7, 1.3, tie.shape) * (tie * signs * own + np.sqrt(1 - tie**2) * alone)
    )
    busy = season * cluster**0.7 * (0.6 + 0.5 * np.abs(shocks.sum(axis=1)))
    volume = rng.uniform(150, 1500) * bar_s / 300 * busy * rng.lognormal(0, 0.25, bars)
    rollover = 1 + instrument.closes * (time // 3600 % 24 == 21) * rng.uniform(0.3, 1.5)
    spread = instrument.spread * rollover * rng.lognormal(0, 0.12, bars)
    return Noise(instrument, timeframe, time, sigma, base, steps, gap, peers, volume, spread)


def _bar_times(
    rng: np.random.Generator, instrument: Instrument, bar_s: int, bars: int
) -> np.ndarray:
    """Opens of bars in s UTC; currencies and metals are shut from Friday to Sunday 22:00."""
    start = _FIRST_DAY + timedelta(days=int(rng.integers(_DAYS)), hours=int(rng.integers(24)))
    first = int(start.timestamp())
    if not instrument.closes:
        return first + np.arange(bars, dtype=np.int64) * bar_s
    raw = first + np.arange(bars * 2 + 4 * 86_400 // bar_s, dtype=np.int64) * bar_s
    since_monday = (raw - int(_FIRST_DAY.timestamp())) % _WEEK_S
    return raw[(since_monday < _FRIDAY_CLOSE_S) | (since_monday >= _SUNDAY_OPEN_S)][:bars]


def _clusters(rng: np.random.Generator, shocks: np.ndarray, bar_s: int) -> np.ndarray:
    """GARCH(1,1) volatility with mean 1, which forgets in hours whatever the length of a bar."""
    half_life_bars = rng.uniform(4, 12) * 3600 / bar_s
    memory = 0.5 ** (1 / max(half_life_bars, 8.0))
    react = float(rng.uniform(0.15, 0.45)) * (1 - memory**2) ** 0.5
    keep, floor = memory - react, 1 - memory
    variance = np.empty(shocks.size)
    now = float(np.exp(rng.normal(0, 0.25)))
    for i, square in enumerate((shocks**2).tolist()):
        variance[i] = now
        now = floor + keep * now + react * now * min(square, 16.0)
    return np.sqrt(np.clip(variance, 0.3, 4.0))


def candles_of(noise: Noise, steps: np.ndarray, gap: np.ndarray) -> Candles:
    """Candles of log returns `steps` (bars, STEPS) and `gap` (bars)."""
    logs = np.cumsum(np.column_stack([gap, steps]).ravel()).reshape(len(noise), -1)
    prices = np.rint(noise.instrument.price * np.exp(logs) / noise.instrument.point)
    whole = prices.astype(np.int64)
    return Candles(whole[:, 0], whole.max(axis=1), whole.min(axis=1), whole[:, -1])


def judge(candles: Candles, at: int, end: int, side: int, risk: int, reward: int) -> Verdict:
    """The first touch of entry -/+ risk and reward in bars [at, end); a tie is the stop."""
    entry = int(candles.open[at])
    worst = (candles.low if side == 1 else -candles.high)[at:end] - side * entry
    best = (candles.high if side == 1 else -candles.low)[at:end] - side * entry
    stopped, reached = worst <= -risk, best >= reward
    touched = np.flatnonzero(stopped | reached)
    if not touched.size:
        return Verdict(end - 1, 0, side * (int(candles.close[end - 1]) - entry) / risk)
    i = int(touched[0])
    return Verdict(at + i, -1, -1.0) if stopped[i] else Verdict(at + i, 1, reward / risk)


def iso(seconds: float) -> str:
    """A moment in s UTC as the portable format writes it."""
    return datetime.fromtimestamp(int(seconds), UTC).isoformat().replace("+00:00", "Z")
