"""Bars that leave a case open, read on finer bars: worked examples, and agreement with a replay of
the finer series itself on random markets."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from post_mortem.core.batches import take
from post_mortem.core.diagnose import diagnose_case
from post_mortem.core.inputs import bars_read, input_hashes
from post_mortem.core.labeler import label
from post_mortem.core.portable import dump_case
from post_mortem.core.replay import LIMIT, replay
from post_mortem.core.resolution import asked_opens, first_touches, resolve
from post_mortem.core.types import (
    NO_TIME,
    CaseBatch,
    FinerBars,
    Flag,
    Labels,
    Market,
    Outcome,
    Paths,
)
from tests.core.cases import MINUTE, at, batch, candles, market, signal, trade
from trading.core.aggregate import aggregate
from trading.core.candles import Candles, Quotes, from_quotes
from trading.core.errors import UserError

FIVE = 5 * MINUTE
FLAT = (100, 101, 99, 100)


def five(bars: Candles) -> Candles:
    return aggregate(bars, FIVE, MINUTE)


def split(rows: list[Any], *, minutes: Any = None, without: tuple[int, ...] = ()) -> Market:
    """Five-minute bars of these minutes, with the minutes of every bar but `without`."""
    fine = candles(rows, minutes=minutes)
    coarse = five(fine)
    opens = np.array([t for t in coarse.time.tolist() if t not in {at(m) for m in without}])
    inside = np.isin(fine.time // FIVE * FIVE, opens)
    finer = FinerBars(MINUTE, Decimal(1), fine.rows(inside), opens)
    return market(coarse, bar_ns=FIVE, finer=(finer,) if opens.size else ())


def judged(where: Market, row: dict[str, Any]) -> tuple[Paths, Labels]:
    one = batch(where, row)
    paths = first_touches(one)
    return paths, label(one, paths)


PLAN = {"stop_price": 90.0, "target_price": 120.0, "minutes": 10}
# Target in the second minute, stop in the fourth; then five quiet minutes.
UP_THEN_DOWN = [FLAT, (100, 121, 100, 119), (119, 119, 101, 101), (101, 101, 88, 92), FLAT]
QUIET = [FLAT] * 5
RESOLVED = Flag.RESOLVED_FINER


def test_the_target_came_first() -> None:
    where = split(UP_THEN_DOWN + QUIET)
    _, coarse = judged(replace(where, finer=()), signal(**PLAN))
    assert coarse.outcome[0] == Outcome.FAILED
    assert coarse.flags[0] & Flag.AMBIGUOUS
    paths, found = judged(where, signal(**PLAN))
    assert found.outcome[0] == Outcome.SUCCEEDED
    assert found.flags[0] & (Flag.AMBIGUOUS | Flag.RESOLVED_FINER) == Flag.RESOLVED_FINER
    assert found.exit_time[0] == at(1)
    assert found.exit_price[0] == 120
    # What the fourth minute did came after the exit.
    assert (found.mfe_r[0], found.mae_r[0]) == (2.1, 0.1)
    assert paths.resolved is not None
    assert paths.resolved.by_ns[0] == MINUTE


def test_the_stop_came_first_and_the_best_price_after_it_does_not_count() -> None:
    rows = [FLAT, (100, 102, 89, 95), (95, 121, 95, 120), FLAT, FLAT]
    _, found = judged(split(rows + QUIET), signal(**PLAN))
    assert found.outcome[0] == Outcome.FAILED
    assert found.flags[0] & (Flag.AMBIGUOUS | Flag.RESOLVED_FINER) == Flag.RESOLVED_FINER
    assert (found.mfe_r[0], found.mae_r[0], found.drawdown_r[0]) == (0.2, 1.1, 1.2)


@pytest.mark.parametrize(
    ("rows", "outcome", "gained", "lost", "fell"),
    [
        # Straight down to the stop, and up to the target only after it.
        ([(100, 100, 89, 90), (90, 121, 90, 120)], Outcome.FAILED, 0.0, 1.1, 1.1),
        # Straight up to the target, and down to the stop only after it.
        ([(100, 121, 100, 120), (120, 120, 88, 90)], Outcome.SUCCEEDED, 2.1, 0.0, 0.0),
    ],
)
def test_a_finer_path_that_never_gained_or_never_lost_moved_by_nothing(
    rows: list[Any], outcome: Outcome, gained: float, lost: float, fell: float
) -> None:
    _, found = judged(split([*rows, FLAT, FLAT, FLAT, *QUIET]), signal(**PLAN))
    assert found.flags[0] & Flag.RESOLVED_FINER
    assert found.outcome[0] == outcome
    assert (found.mfe_r[0], found.mae_r[0], found.drawdown_r[0]) == (gained, lost, fell)


def test_what_finer_bars_settle_of_one_case_is_no_matter_of_its_neighbours() -> None:
    where = split(UP_THEN_DOWN + QUIET, without=(5,))
    rows = [
        signal(**PLAN),
        signal(**PLAN | {"entry_time": at(5), "minutes": 5}),
        # Inside one bar that no finer bars are stored of: nobody knows what it saw.
        trade(entry_time=at(6.2), exit=105.0, exit_time=at(6.8), stop_price=90.0),
    ]
    one = batch(where, *rows)
    paths = first_touches(one)
    found = label(one, paths)
    assert paths.resolved is not None
    assert np.isfinite(paths.resolved.best).tolist() == [True, False, False]
    assert found.r.tolist() == [2.0, 0.0, 0.5]
    np.testing.assert_array_equal(found.mfe_r, [2.1, 0.1, np.nan])
    np.testing.assert_array_equal(found.mae_r, [0.1, 0.1, np.nan])


def test_one_finer_bar_that_touches_both_is_the_stop() -> None:
    rows = [FLAT, (100, 121, 88, 100), FLAT, FLAT, FLAT]
    _, found = judged(split(rows + QUIET), signal(**PLAN))
    assert found.outcome[0] == Outcome.FAILED
    assert found.flags[0] & Flag.AMBIGUOUS
    assert found.exit_time[0] == at(1)


def test_a_gap_inside_the_bar_fills_at_the_finer_open() -> None:
    rows = [FLAT, (100, 102, 95, 96), (86, 87, 85, 87), (87, 122, 87, 120), FLAT]
    _, found = judged(split(rows + QUIET), signal(**PLAN))
    assert found.flags[0] & Flag.GAP_THROUGH_STOP
    assert (found.exit_price[0], found.r[0]) == (86, -1.4)


def test_without_finer_bars_of_that_bar_the_flag_stays() -> None:
    where = split(UP_THEN_DOWN + QUIET, without=(0,))
    paths, found = judged(where, signal(**PLAN))
    assert found.outcome[0] == Outcome.FAILED
    assert found.flags[0] & (Flag.AMBIGUOUS | Flag.RESOLVED_FINER) == Flag.AMBIGUOUS
    assert asked_opens(batch(where, signal(**PLAN)), paths).tolist() == [at(0)]


def test_another_feed_that_disagrees_decides_nothing() -> None:
    where = split(UP_THEN_DOWN + QUIET)
    calm = candles([FLAT, (100, 121, 100, 119), (119, 119, 91, 101), *[FLAT] * 7])
    (finer,) = where.finer
    _, found = judged(replace(where, finer=(replace(finer, candles=calm),)), signal(**PLAN))
    assert found.outcome[0] == Outcome.FAILED
    assert found.flags[0] & (Flag.AMBIGUOUS | Flag.RESOLVED_FINER) == Flag.AMBIGUOUS


def test_an_entry_inside_a_bar_starts_with_the_next_minute() -> None:
    # The low of the first minute lies before the entry; the target is reached in the fourth.
    rows = [(100, 100, 88, 100), FLAT, FLAT, (100, 121, 100, 120), FLAT]
    row = signal(**PLAN | {"entry_time": at(1.5), "minutes": 8.5})
    where = split(rows + QUIET)
    _, coarse = judged(replace(where, finer=()), row)
    assert coarse.flags[0] & Flag.ENTRY_BAR_AMBIGUOUS
    _, found = judged(where, row)
    assert found.outcome[0] == Outcome.SUCCEEDED
    assert not found.flags[0] & Flag.ENTRY_BAR_AMBIGUOUS
    assert found.exit_time[0] == at(3)


def test_an_entry_whose_own_minute_could_have_touched_stays_open() -> None:
    rows = [FLAT, (100, 100, 88, 100), FLAT, FLAT, FLAT]
    row = signal(**PLAN | {"entry_time": at(1.5), "minutes": 8.5})
    _, found = judged(split(rows + QUIET), row)
    assert found.flags[0] & Flag.ENTRY_BAR_AMBIGUOUS
    assert found.outcome[0] == Outcome.NEUTRAL


def test_nothing_touched_after_the_entry_and_the_rest_is_judged_on() -> None:
    rows = [(100, 100, 88, 100), FLAT, (100, 112, 100, 104), FLAT, FLAT]
    late = [FLAT, (100, 100, 95, 96), (96, 121, 96, 120), (120, 121, 89, 90), FLAT]
    row = signal(**PLAN | {"entry_time": at(1), "minutes": 9})
    _, found = judged(split(rows + late), row)
    assert found.outcome[0] == Outcome.SUCCEEDED
    assert found.exit_time[0] == at(7)
    # 112 is only in the entry's bar, 95 only in the exit's.
    assert (found.mfe_r[0], found.mae_r[0], found.drawdown_r[0]) == (2.1, 0.5, 1.7)


def test_a_trade_that_was_out_before_anything_was_touched() -> None:
    row = trade(exit=105.0, exit_time=at(0.5), stop_price=90.0, target_price=120.0)
    where = split(UP_THEN_DOWN + QUIET)
    _, coarse = judged(replace(where, finer=()), row)
    assert coarse.outcome[0] == Outcome.SUCCEEDED
    assert coarse.flags[0] & (Flag.AMBIGUOUS | Flag.EXIT_BAR_AMBIGUOUS) == Flag.EXIT_BAR_AMBIGUOUS
    paths, found = judged(where, row)
    assert found.outcome[0] == Outcome.SUCCEEDED
    assert not found.flags[0] & Flag.EXIT_BAR_AMBIGUOUS
    assert paths.hit[0] == 0
    assert found.flags[0] & (Flag.AMBIGUOUS | Flag.RESOLVED_FINER) == Flag.RESOLVED_FINER
    assert found.mfe_r[0] == 0.1


@pytest.mark.parametrize(
    ("rows", "outcome", "reason", "flags"),
    [
        # Stopped in the fourth minute, left in the second.
        ([FLAT, (100, 107, 99, 107), FLAT, (100, 100, 80, 85)], "SUCCEEDED", 4, RESOLVED),
        # The initial stop was reached in the first minute and the trade held on.
        ([(100, 100, 80, 85), (85, 107, 85, 107), FLAT, FLAT], "FAILED", 1, RESOLVED),
        # Reached in the very minute of the exit: still open.
        (
            [FLAT, (100, 107, 80, 85), FLAT, FLAT],
            "SUCCEEDED", 4, RESOLVED | Flag.EXIT_BAR_AMBIGUOUS,
        ),
    ],
)  # fmt: skip
@pytest.mark.parametrize("begin", [0, 5], ids=["its first bar", "a later one"])
def test_what_the_bar_of_an_exit_touched(
    begin: int, rows: list[Any], outcome: str, reason: int, flags: Flag
) -> None:
    """At +0.7 R in the second minute, while the bar reached the stop at some time."""
    row = trade(
        exit=107.0, exit_time=at(begin + 1.5), stop_price=90.0, target_price=120.0,
        file_exit_reason=4,
    )  # fmt: skip
    where = split([*[FLAT] * begin, *rows, FLAT, *QUIET])
    _, coarse = judged(replace(where, finer=()), row)
    assert coarse.outcome[0] == Outcome.SUCCEEDED
    assert coarse.flags[0] == Flag.EXIT_BAR_AMBIGUOUS
    _, found = judged(where, row)
    assert Outcome(int(found.outcome[0])).name == outcome
    assert found.exit_reason[0] == reason
    assert found.flags[0] == flags
    assert found.r[0] == 0.7
    if flags & Flag.EXIT_BAR_AMBIGUOUS:
        assert (found.mfe_r[0], found.mae_r[0]) == (0.7, 0.1)


def test_a_short_trade_inside_one_bar() -> None:
    rows = [FLAT, FLAT, (100, 111, 100, 100), FLAT, (100, 100, 79, 80)]
    row = trade(
        side=-1, exit=110.0, exit_time=at(2.8), entry_time=at(1.2),
        stop_price=110.0, target_price=80.0,
    )  # fmt: skip
    where = split(rows + QUIET)
    _, coarse = judged(replace(where, finer=()), row)
    assert coarse.flags[0] & Flag.ENTRY_BAR_AMBIGUOUS
    _, found = judged(where, row)
    assert found.outcome[0] == Outcome.FAILED
    assert not found.flags[0] & Flag.ENTRY_BAR_AMBIGUOUS
    assert found.mae_r[0] == 1.1


@pytest.mark.parametrize(
    ("rows", "outcome"),
    [
        # Filled in the third minute, after the target had been seen.
        ([(102, 121, 102, 110), (110, 110, 101, 102), (102, 102, 99, 101), FLAT, FLAT], "NEUTRAL"),
        # Filled in the first, target in the second.
        ([(102, 102, 99, 101), (101, 121, 101, 102), FLAT, FLAT, FLAT], "SUCCEEDED"),
    ],
)
def test_a_limit_that_filled_inside_a_bar(rows: list[Any], outcome: str) -> None:
    row = signal(**PLAN | {"entry_kind": LIMIT})
    _, found = judged(split(rows + QUIET), row)
    assert Outcome(int(found.outcome[0])).name == outcome
    assert not found.flags[0] & Flag.ENTRY_BAR_AMBIGUOUS


def test_a_stop_entry_that_is_gapped_over_inside_a_bar() -> None:
    """At 110 in the second minute instead of 105, beyond the target of one of the two."""
    rows = [FLAT, (110, 111, 108, 110), (110, 110, 104, 106), FLAT, FLAT]
    later = [(100, 126, 99, 120), *[FLAT] * 4]
    plan = {"entry_price": 105.0, "entry_kind": 2, "stop_price": 95.0, "minutes": 10}
    for target, outcome, r in ((125.0, Outcome.SUCCEEDED, 1.5), (109.0, Outcome.FAILED, -1.0)):
        paths, found = judged(split(rows + later), signal(**plan | {"target_price": target}))
        assert found.outcome[0] == outcome
        assert (found.judged_entry[0], found.r[0]) == (110.0, r)
        assert found.flags[0] & Flag.ENTRY_GAP
        assert paths.entry[0] == 220


def test_a_limit_sent_inside_the_bar_that_could_have_filled_before() -> None:
    # The level was reached before the order was sent, and never again.
    rows = [(102, 102, 99, 102), *[(102, 103, 101, 102)] * 4]
    row = signal(**PLAN | {"entry_kind": LIMIT, "entry_time": at(2), "minutes": 8})
    _, found = judged(split(rows + [(102, 103, 101, 102)] * 5), row)
    assert found.outcome[0] == Outcome.FILTERED_OUT
    assert not found.flags[0] & Flag.ENTRY_BAR_AMBIGUOUS


# --- against the finer series itself --------------------------------------------------------------


def random_minutes(seed: int, bars: int, quotes: bool) -> Candles:
    rng = np.random.default_rng(seed)
    close = 2 * (1_000 + np.cumsum(rng.integers(-6, 7, bars)))
    opened = np.append(close[:1], close[:-1]) + 2 * rng.integers(-1, 2, bars)
    high = np.maximum(opened, close) + 2 * rng.integers(0, 4, bars)
    low = np.minimum(opened, close) - 2 * rng.integers(0, 4, bars)
    time = at(0) + np.arange(bars, dtype=np.int64) * MINUTE
    if not quotes:
        return Candles(time, opened, high, low, close)
    wide = 2 * rng.integers(0, 3, bars)
    bid = (opened, high, low, close)
    return from_quotes(time, Quotes(*bid, *(column + wide for column in bid)))


def random_rows(seed: int, bars: int, count: int) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed + 1)
    rows = []
    for _ in range(count):
        start = float(rng.integers(0, 4 * bars // 5)) + float(rng.choice([0.0, 0.0, 0.4]))
        end = 5 * (int(start) // 5 + int(rng.integers(1, 12)))
        side, entry = int(rng.choice([1, -1])), 1_000.0 + float(rng.integers(-20, 21))
        rows.append(
            signal(
                side=side,
                entry_time=at(start),
                end_time=at(end),
                entry_price=entry,
                stop_price=entry - side * float(rng.integers(2, 16)),
                target_price=entry + side * float(rng.integers(2, 16)),
                entry_kind=int(rng.choice([0, 0, 0, 1, 2])),
            )
        )
    return rows


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.booleans())
def test_finer_bars_give_what_the_finer_series_gives(seed: int, quotes: bool) -> None:
    fine = random_minutes(seed, 300, quotes)
    coarse = five(fine)
    finer = FinerBars(MINUTE, Decimal(1), fine, coarse.time)
    rows = random_rows(seed, 300, 150)
    where = market(coarse, bar_ns=FIVE)
    open_ones = batch(where, *rows)
    asked = resolve(open_ones, replay(open_ones)).resolved
    assert asked is not None
    resolved = first_touches(batch(replace(where, finer=(finer,)), *rows))
    truth = replay(batch(market(fine), *rows))
    assert resolved.resolved is not None
    # A limit's fill bar that also reaches the stop is a stop on any bars; that is no question.
    limits = (open_ones.entry_kind == LIMIT) & (resolved.hit == 1)
    certain = limits & (resolved.resolved.exit_time == NO_TIME) & (resolved.first == resolved.exit)
    same = (resolved.hit == truth.hit) & ((resolved.first < 0) == (truth.first < 0))
    same &= resolved.entry == truth.entry
    wrong = np.flatnonzero(truth.reached_end & ~certain & ~same)
    assert not wrong.size, [rows[i] for i in wrong[:3].tolist()]
    decided = np.flatnonzero(resolved.resolved.exit_time != NO_TIME)
    times = fine.time[truth.exit[decided]]
    assert resolved.resolved.exit_time[decided].tolist() == times.tolist()
    left_open = (resolved.hit == 3) | resolved.skipped_touch
    also = (truth.hit == 3) | truth.skipped_touch
    assert not (left_open & ~also & ~certain).any()


def test_random_markets_leave_enough_open() -> None:
    """The property above would hold for nothing at all."""
    count = np.zeros(3, np.int64)
    for seed in range(20):
        fine = random_minutes(seed, 300, seed % 2 > 0)
        one = batch(market(five(fine), bar_ns=FIVE), *random_rows(seed, 300, 150))
        resolved = resolve(one, replay(one)).resolved
        assert resolved is not None
        count += (resolved.asked >= 0).sum(axis=0)
    assert (count > 20).all()


def test_points_of_the_finer_series_may_be_smaller() -> None:
    where = split(UP_THEN_DOWN + QUIET)
    (finer,) = where.finer
    names = ("open", "high", "low", "close")
    tenths = replace(finer.candles, **{n: 10 * getattr(finer.candles, n) for n in names})
    other = replace(where, finer=(replace(finer, point=Decimal("0.1"), candles=tenths),))
    _, a = judged(where, signal(**PLAN))
    _, b = judged(other, signal(**PLAN))
    for name in ("outcome", "exit_time", "exit_price", "r", "mfe_r", "mae_r", "drawdown_r"):
        assert getattr(a, name)[0] == getattr(b, name)[0], name


def test_cases_of_a_batch_do_not_depend_on_each_other() -> None:
    fine = random_minutes(5, 300, False)
    coarse = five(fine)
    finer = FinerBars(MINUTE, Decimal(1), fine, coarse.time)
    where = market(coarse, bar_ns=FIVE, finer=(finer,))
    whole = batch(where, *random_rows(5, 300, 60))
    together = first_touches(whole)
    for i in range(len(whole)):
        alone = first_touches(take(whole, np.array([i])))
        for name in ("first", "exit", "hit", "gap", "mfe", "mae", "drawdown", "skipped_touch"):
            assert getattr(alone, name)[0] == getattr(together, name)[i], (i, name)


# --- what was read --------------------------------------------------------------------------------


def hashed(one: CaseBatch) -> tuple[str, int]:
    paths = first_touches(one)
    read = bars_read(one, paths)
    return input_hashes(one, paths, read, [""])[0], int(read.n_finer[0])


def test_finer_bars_are_part_of_the_input_only_where_they_are_read() -> None:
    where = split(UP_THEN_DOWN + QUIET)
    bare = replace(where, finer=())
    ambiguous, plain = signal(**PLAN), signal(**PLAN | {"stop_price": 80.0})
    with_them, n = hashed(batch(where, ambiguous))
    assert n == 5
    assert with_them != hashed(batch(bare, ambiguous))[0]
    assert hashed(batch(where, plain)) == hashed(batch(bare, plain))
    (finer,) = where.finer
    changed = finer.candles.high.copy()
    changed[2] += 2
    other = replace(where, finer=(replace(finer, candles=replace(finer.candles, high=changed)),))
    assert hashed(batch(other, ambiguous))[0] != with_them
    changed = finer.candles.high.copy()
    changed[7] += 2  # inside a bar that leaves nothing open
    other = replace(where, finer=(replace(finer, candles=replace(finer.candles, high=changed)),))
    assert hashed(batch(other, ambiguous))[0] == with_them


def test_a_portable_case_carries_them() -> None:
    row = signal(**PLAN | {"minutes": 240, "setup_bar_ns": FIVE})
    one = batch(split(UP_THEN_DOWN + QUIET * 48), row)
    asked = asked_opens(one, first_touches(one))
    case = dump_case(one, 0, id="x", finer=asked)
    (finer,) = case["finer"]
    assert (finer["timeframe"], len(finer["bars"]), len(finer["candles"]["time"])) == ("1m", 1, 5)
    answer = diagnose_case(case)
    assert answer["label"]["outcome"] == "succeeded"
    del case["finer"]
    assert diagnose_case(case)["label"]["ambiguous"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"timeframe": "5m"}, "finer[0].timeframe"),
        ({"timeframe": "2m"}, "finer[0].timeframe"),
        ({"bars": [1]}, "finer[0].bars"),
        ({"bars": []}, "finer[0].candles.time"),
        ({"point": 0}, "finer[0].point"),
        (
            {"candles": {"time": [], "open": [], "high": [], "low": [], "close": []}},
            "finer[0].bars",
        ),
    ],
)
def test_refused_finer_bars(change: dict[str, Any], field: str) -> None:
    row = signal(**PLAN | {"minutes": 240, "setup_bar_ns": FIVE})
    one = batch(split(UP_THEN_DOWN + QUIET * 48), row)
    case = dump_case(one, 0, id="x", finer=asked_opens(one, first_touches(one)))
    case["finer"][0] |= change
    with pytest.raises(UserError) as refused:
        diagnose_case(case)
    assert refused.value.field == field
