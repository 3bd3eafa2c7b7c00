"""Experiments: who is on when, drawn before it matters, and whether the drawing was kept to.

Assignments follow from a salt by hashing, so anybody can draw them again and nobody can choose
them. Days and sessions come in permuted blocks of four trading days, two on and two off; accounts
and users in permuted blocks of their hashed order; signals one by one. The verdict on an
experiment is in `arms`, what may stop it in `guardrails`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr

from trading.core.candles import F64, I64
from trading.core.errors import UserError

from .measurement import Assignment, Bool

UNITS = ("day", "session", "account", "user", "signal")
BLOCK_DAYS = 4
WEEKDAYS = (0, 1, 2, 3, 4)
LEAST_ACCOUNTS = 10
# The six ways to have two of four on.
_ORDERS = (
    (1, 1, 0, 0),
    (1, 0, 1, 0),
    (1, 0, 0, 1),
    (0, 1, 1, 0),
    (0, 1, 0, 1),
    (0, 0, 1, 1),
)
# Rates at which the sign-symmetric test bets, in standard units of a block difference.
_BETS = (0.05, 0.1, 0.2, 0.4, 0.8)
STRICT_LEVEL = 40.0


@dataclass(frozen=True, slots=True, eq=False)
class Draw:
    """An assignment of N units in order: `on` (N,), the block each belongs to, and for days the
    days since 1970-01-01, for sessions also the slot of the day; empty otherwise. `names` are the
    accounts or users in the order given."""

    salt: str
    unit: str
    on: Bool
    block: I64
    day: I64
    slot: I64
    names: tuple[str, ...] = ()

    def assignment(self) -> Assignment:
        """As days and arms; only of units that are days."""
        if self.unit != "day":
            raise UserError("bad_unit", f"an assignment of days, not of {self.unit}s", field="unit")
        return Assignment(self.day, self.on)

    @property
    def seal(self) -> str:
        """sha256 of the whole draw: what was fixed before the first day."""
        text = "\n".join(
            [self.salt, self.unit, *self.names, *map(str, self.day.tolist()), self.bits()]
        )
        return hashlib.sha256(text.encode()).hexdigest()

    def bits(self) -> str:
        return "".join("1" if on else "0" for on in self.on.tolist())


def assign(
    salt: str,
    start_day: int,
    n_days: int,
    unit: str = "day",
    *,
    weekdays: Sequence[int] = WEEKDAYS,
    sessions: int = 1,
    names: Sequence[str] = (),
) -> Draw:
    """Draw the arms of `n_days` trading days from `start_day` (days since 1970-01-01) on.

    `weekdays` are those that are traded (Monday 0), `sessions` how many a day has (unit session),
    `names` the accounts or users (units account and user; `n_days` is not read). A longer draw of
    the same salt begins with the shorter one. Signals are drawn one by one: `signal_is_on`. Raises
    UserError naming the field.
    """
    _check(salt, unit, n_days, weekdays, sessions, names)
    none = np.zeros(0, np.int64)
    if unit in ("account", "user"):
        on, block = _of_names(salt, names)
        return Draw(salt, unit, on, block, none, none, tuple(names))
    days = _trading_days(start_day, n_days, frozenset(weekdays))
    block = np.arange(n_days) // BLOCK_DAYS
    slots = sessions if unit == "session" else 1
    # A session keeps its own order of days, so that the first of the day is not always on.
    columns = [
        [_ORDERS[_hashed(salt, "block", b, slot) % 6] for b in range(int(block[-1]) + 1)]
        for slot in range(slots)
    ]
    table = np.array(columns, np.bool_).reshape(slots, -1)[:, :n_days]
    return Draw(
        salt,
        unit,
        table.T.ravel(),
        np.repeat(block, slots),
        np.repeat(days, slots),
        np.tile(np.arange(slots), n_days) if unit == "session" else none,
    )


def signal_is_on(salt: str, signal_id: str) -> bool:
    """The arm of one signal, whatever the others are: for automatic strategies."""
    return _hashed(salt, "signal", signal_id) % 2 == 1


def _check(
    salt: str,
    unit: str,
    n_days: int,
    weekdays: Sequence[int],
    sessions: int,
    names: Sequence[str],
) -> None:
    if not salt:
        raise UserError("bad_salt", "salt: expected text", field="salt")
    if unit not in UNITS:
        raise UserError("bad_unit", f"unit: expected one of {', '.join(UNITS)}", field="unit")
    if unit == "signal":
        raise UserError("bad_unit", "unit: signals are drawn one by one", field="unit")
    if unit in ("account", "user"):
        if len(set(names)) != len(names) or len(names) < LEAST_ACCOUNTS:
            detail = f"names: expected {LEAST_ACCOUNTS} or more different {unit}s"
            raise UserError("bad_names", detail, field="names")
        return
    if n_days < BLOCK_DAYS:
        raise UserError("bad_length", f"n_days: expected {BLOCK_DAYS} or more", field="n_days")
    if not weekdays or any(not 0 <= day <= 6 for day in weekdays):
        raise UserError("bad_weekdays", "weekdays: expected days 0 to 6", field="weekdays")
    if not 1 <= sessions <= 24:
        raise UserError("bad_sessions", "sessions: expected 1 to 24 a day", field="sessions")


def _hashed(salt: str, *parts: object) -> int:
    text = "\n".join([salt, *map(str, parts)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def _of_names(salt: str, names: Sequence[str]) -> tuple[Bool, I64]:
    order = sorted(range(len(names)), key=lambda i: (_hashed(salt, "name", names[i]), names[i]))
    on, block = np.zeros(len(names), np.bool_), np.zeros(len(names), np.int64)
    for rank, i in enumerate(order):
        block[i] = rank // BLOCK_DAYS
        on[i] = bool(_ORDERS[_hashed(salt, "block", int(block[i]), 0) % 6][rank % BLOCK_DAYS])
    return on, block


def _trading_days(start_day: int, n_days: int, weekdays: frozenset[int]) -> I64:
    weeks = n_days // len(weekdays) + 2
    days = np.arange(start_day, start_day + 7 * weeks, dtype=np.int64)
    # 1970-01-01 was a Thursday.
    traded = np.isin((days + 3) % 7, sorted(weekdays))
    return days[traded][:n_days]


def strict_evidence(block_differences: F64) -> tuple[float, float]:
    """(for better, for worse): e-values of a test that assumes nothing but that swapping on and
    off within a block changes only the sign of its difference. 40 or more is a verdict, any day.

    Each block bets exp(b D) / cosh(b D) on its difference D in standard units; the average over
    bets b of their products is at least 40 by chance at most once in forty, whatever the tails.
    D is scaled by the size, not the sign, of the differences so far.
    """
    d = np.asarray(block_differences, np.float64)
    if not d.size:
        return 1.0, 1.0
    # The size of a symmetric difference says nothing about its sign, so scaling by it is fair.
    scale = np.sqrt(np.cumsum(d * d) / np.arange(1, d.size + 1))
    unit = np.divide(d, scale, out=np.zeros_like(d), where=scale > 0)
    found = []
    for side in (1.0, -1.0):
        bets = np.array(_BETS)[:, None] * side * unit
        log = (bets - np.logaddexp(bets, -bets) + np.log(2)).sum(axis=1)
        found.append(float(np.exp(np.logaddexp.reduce(log) - np.log(log.size))))
    return found[0], found[1]


def block_differences(day: I64, r: F64, draw: Draw) -> F64:
    """(blocks,) mean R of a trade on the days on less that on the days off, of every block in which
    both were traded. `day`, `r`: one entry a trade."""
    at = np.searchsorted(draw.day, day)
    known = (at < draw.day.size) & (draw.day[np.minimum(at, draw.day.size - 1)] == day)
    at, r = at[known], r[known]
    blocks = int(draw.block[-1]) + 1
    key = draw.block[at] * 2 + draw.on[at]
    count = np.bincount(key, minlength=2 * blocks).reshape(blocks, 2)
    total = np.bincount(key, r, 2 * blocks).reshape(blocks, 2)
    both = (count > 0).all(axis=1)
    mean = total[both] / count[both]
    return np.asarray(mean[:, 1] - mean[:, 0], np.float64)


@dataclass(frozen=True, slots=True)
class Compliance:
    """Units on which the drawn arm was kept to, of those where that is known (rates 0-1, None
    where no unit is known), and the difference by what was really done: secondary, since people
    choose when to obey."""

    kept_on: tuple[int, int]
    kept_off: tuple[int, int]
    per_protocol_r: float | None

    @property
    def rate(self) -> float | None:
        kept, known = self.kept_on[0] + self.kept_off[0], self.kept_on[1] + self.kept_off[1]
        return kept / known if known else None


def compliance(on: Bool, followed: F64, count: F64, total: F64) -> Compliance:
    """Of units (N,): drawn arm, what was done (1 rule applied, 0 not, NaN unknown), trades and
    sum of R."""
    known = np.isfinite(followed)
    did = followed > 0.5
    kept = [(int((known & arm & (did == on)).sum()), int((known & arm).sum())) for arm in (on, ~on)]
    means = []
    for arm in (did, ~did):
        use = known & arm & (did == on)
        trades = float(count[use].sum())
        means.append(float(total[use].sum()) / trades if trades else None)
    a, b = means
    return Compliance(kept[0], kept[1], None if a is None or b is None else a - b)


def imbalance(on: Bool, before: F64) -> float:
    """Two-sided p that units of both arms differed in `before` (something known of each unit before
    the experiment, such as mean R) by more than the drawing explains; 1 with under two units an
    arm. Below 0.001 the draw or the record of it is wrong."""
    a, b = before[on], before[~on]
    if a.size < 2 or b.size < 2 or not (a.var() + b.var() > 0):
        return 1.0
    # Welch's test; scipy.stats would do it too, at a tenth of a second for every start.
    va, vb = a.var(ddof=1) / a.size, b.var(ddof=1) / b.size
    freedom = (va + vb) ** 2 / (va**2 / (a.size - 1) + vb**2 / (b.size - 1))
    return float(2 * stdtr(freedom, -abs(a.mean() - b.mean()) / np.sqrt(va + vb)))
