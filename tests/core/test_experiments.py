"""Draws are fair and reproducible; what breaks an experiment is seen, and what does not is not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from post_mortem.core.arms import (
    MISMATCH,
    ArmDays,
    arm_days,
    difference,
    judge_arms,
    live_band,
    mismatch,
)
from post_mortem.core.experiment_report import report
from post_mortem.core.experiments import (
    BLOCK_DAYS,
    STRICT_LEVEL,
    assign,
    block_differences,
    compliance,
    imbalance,
    signal_is_on,
    strict_evidence,
)
from post_mortem.core.guardrails import guardrails, max_drawdown, usual_drawdown
from post_mortem.core.impact import judge
from post_mortem.core.measurement import Assignment, History, MeasurementPlan, make_history
from trading.core.errors import UserError
from trading.core.types import NS_PER_DAY

START = 18_000


def trial(
    seed: int, days: int = 300, effect: float = 0.0, sd: float = 1.5, a_day: int = 2
) -> tuple[History, MeasurementPlan]:
    rng = np.random.default_rng(seed)
    draw = assign(f"salt {seed}", START, days, weekdays=range(7))
    day = np.repeat(np.arange(START, START + days), a_day)
    time = (day * NS_PER_DAY + rng.integers(0, NS_PER_DAY, day.size)).astype(np.int64)
    r = rng.normal(0.1, sd, day.size) + effect * draw.on[day - START]
    covered = np.ones(day.size, bool)
    history = make_history(time, r, covered, ["a"] * day.size, assignment=draw.assignment())
    return history, MeasurementPlan("x", START * NS_PER_DAY)


# --- the draw ------------------------------------------------------------------------------------


@given(st.text(min_size=1), st.integers(0, 30_000), st.integers(1, 60))
def test_every_block_has_two_days_on_and_two_off(salt, start, blocks):
    draw = assign(salt, start, BLOCK_DAYS * blocks)
    assert (draw.on.reshape(-1, BLOCK_DAYS).sum(axis=1) == 2).all()
    assert (np.diff(draw.day) > 0).all()
    assert (((draw.day + 3) % 7) < 5).all()


def test_a_salt_draws_the_same_again_and_another_salt_another():
    draw = assign("a", START, 40)
    assert assign("a", START, 40).seal == draw.seal
    assert assign("b", START, 40).seal != draw.seal
    assert (assign("a", START, 80).on[:40] == draw.on).all()
    # Fixed for all machines and versions: what was drawn can be drawn again years later.
    assert draw.bits() == "1001110001010101010100111100100110100011"


def test_the_six_orders_come_about_equally_often():
    draw = assign("fair", START, BLOCK_DAYS * 6000)
    _, count = np.unique(draw.on.reshape(-1, BLOCK_DAYS), axis=0, return_counts=True)
    assert count.size == 6
    assert (abs(count - 1000) < 5 * np.sqrt(1000)).all()


def test_sessions_accounts_and_signals():
    sessions = assign("s", START, 8, "session", sessions=3)
    assert sessions.on.size == 24
    assert (np.bincount(sessions.slot, sessions.on) == 4).all()
    names = [f"account {i}" for i in range(12)]
    accounts = assign("s", 0, 0, "account", names=names)
    assert accounts.on.sum() == 6
    swapped = assign("s", 0, 0, "account", names=names[::-1])
    assert dict(zip(names, accounts.on, strict=True)) == dict(
        zip(names[::-1], swapped.on, strict=True)
    )
    on = sum(signal_is_on("s", f"{i}") for i in range(4000))
    assert abs(on - 2000) < 4 * np.sqrt(1000)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"salt": ""}, "salt"),
        ({"unit": "week"}, "unit"),
        ({"unit": "signal"}, "unit"),
        ({"n_days": 3}, "n_days"),
        ({"weekdays": ()}, "weekdays"),
        ({"weekdays": (7,)}, "weekdays"),
        ({"unit": "session", "sessions": 0}, "sessions"),
        ({"unit": "account", "names": ["a", "b"]}, "names"),
        ({"unit": "user", "names": ["a"] * 12}, "names"),
    ],
)
def test_a_wrong_draw_is_refused_by_field(change, field):
    arguments = {"salt": "a", "start_day": START, "n_days": 8} | change
    with pytest.raises(UserError) as refused:
        assign(**arguments)
    assert refused.value.field == field


# --- the verdict ---------------------------------------------------------------------------------


def test_an_experiment_that_helped_is_called_so_and_its_interval_holds_the_effect():
    found = judge(*trial(1, effect=1.0))
    assert (found.verdict, found.experiment) == ("helped", True)
    assert found.ci is not None
    assert found.ci[0] < 1.0 < found.ci[1]
    assert judge(*trial(1, effect=-1.0)).verdict == "hurt"


def test_few_days_are_too_early_whatever_they_show():
    assert judge(*trial(1, days=24, effect=5.0)).verdict == "too_early"


def test_nothing_is_found_where_there_is_nothing():
    verdicts = [judge(*trial(seed)).verdict for seed in range(200)]
    wrong = sum(v in ("helped", "hurt") for v in verdicts)
    assert wrong <= 200 * 0.05 + 3 * np.sqrt(200 * 0.05 * 0.95)
    # Judged at every look as a test of its own, the same data would be wrong far more often.
    peeked = 0
    for seed in range(200):
        days = arm_days(*trial(seed))
        zs = [difference(days, stop) for stop in range(20, 301, 4)]
        peeked += any(z is not None and abs(z.z()) > 1.96 for z in zs)
    assert peeked > 40


def test_off_days_marked_uncovered_are_the_off_arm():
    history, plan = trial(2, effect=1.0)
    assert history.assignment is not None
    on = np.isin(history.time // NS_PER_DAY, history.assignment.day[history.assignment.on])
    marked = make_history(
        history.time, history.r, on, ["a"] * len(history), assignment=history.assignment
    )
    assert judge_arms(marked, plan) == judge_arms(history, plan)


def test_days_that_were_not_assigned_are_left_out_and_told():
    history, plan = trial(2)
    assert history.assignment is not None
    short = Assignment(history.assignment.day[:200], history.assignment.on[:200])
    cut = make_history(
        history.time, history.r, history.covered, ["a"] * len(history), assignment=short
    )
    found = judge_arms(cut, plan)
    assert found.warnings == ("200 trades lie on days that were not assigned",)
    assert arm_days(cut, plan).count.sum() == 400


def test_a_day_with_more_trades_counts_for_more():
    days = ArmDays(
        np.arange(40),
        np.arange(40) % 2 == 0,
        np.where(np.arange(40) < 20, 1.0, 9.0),
        np.where(np.arange(40) % 2 == 0, 2.0, 0.0),
        0,
    )
    found = difference(days)
    assert found is not None
    assert found.estimate == pytest.approx(40 / 100)


# --- what breaks it ------------------------------------------------------------------------------


def days_split(seed: int, share: float, n: int = 300) -> tuple[ArmDays, Assignment]:
    """Days of which a share of the on ones and the rest of the off ones were traded."""
    rng = np.random.default_rng(seed)
    draw = assign(f"{seed}", START, n, weekdays=range(7))
    traded = rng.random(n) < np.where(draw.on, share, 1 - share) * 1.2
    one = np.ones(int(traded.sum()))
    return ArmDays(draw.day[traded], draw.on[traded], one, one, 0), draw.assignment()


def test_a_mismatch_of_days_is_seen_and_an_honest_split_is_not():
    seen = [mismatch(*days_split(seed, 0.25), START + 300) >= MISMATCH for seed in range(40)]
    assert sum(seen) >= 35
    fair = [mismatch(*days_split(seed, 0.5), START + 300) >= MISMATCH for seed in range(400)]
    assert sum(fair) <= 4


def test_a_mismatch_blocks_the_verdict():
    history, plan = trial(3, effect=2.0)
    assert history.assignment is not None
    day = history.time // NS_PER_DAY
    off = np.isin(day, history.assignment.day[~history.assignment.on])
    keep = ~off | (day % 5 == 0)
    cut = make_history(
        history.time[keep],
        history.r[keep],
        history.covered[keep],
        ["a"] * int(keep.sum()),
        assignment=history.assignment,
    )
    found = judge(cut, plan)
    assert (found.verdict, found.reason) == ("not_evidence", "mismatch")


def test_the_strict_test_is_silent_without_an_effect_whatever_the_tails():
    rng = np.random.default_rng(4)
    alarms = 0
    for _ in range(1000):
        d = rng.standard_t(2, 75) * np.exp(rng.normal(0, 1, 75))
        paths = [max(strict_evidence(d[:stop])) for stop in range(5, 76, 10)]
        alarms += max(paths) >= STRICT_LEVEL
    # Two sides of 1/40 each at most.
    assert alarms <= 1000 * 0.05
    better, worse = strict_evidence(rng.normal(0.7, 1, 75))
    assert better >= STRICT_LEVEL
    assert worse < 1


def test_the_live_band_holds_at_all_times_at_once():
    outside = 0
    for seed in range(200):
        days = arm_days(*trial(seed))
        bands = [difference(days, stop) for stop in range(24, 301, 4)]
        outside += any(
            not low <= 0 <= high for low, high in (live_band(b) for b in bands if b is not None)
        )
    assert outside <= 200 * 0.05 + 2 * np.sqrt(200 * 0.05 * 0.95)


def test_harm_trips_its_rail_and_calm_does_not():
    def rails(effect: float, seed: int) -> list[str]:
        history, plan = trial(seed, effect=effect)
        days = arm_days(history, plan)
        rng = np.random.default_rng(seed)
        on = np.isin(history.time // NS_PER_DAY, days.day[days.on])
        return [
            rail.state
            for rail in guardrails(
                days, plan.arm_looks, history.r[on], rng.normal(0.1, 1.5, 300), seed=1
            )
        ]

    assert rails(-1.5, 1)[:2] == ["tripped", "tripped"]
    calm = [rails(0.0, seed) for seed in range(60)]
    assert sum(r[0] == "tripped" for r in calm) <= 9
    assert sum(r[1] == "tripped" for r in calm) <= 3
    assert all(r[2] == "fine" for r in calm)


def test_a_rule_that_halves_trading_is_told():
    history, plan = trial(5)
    days = arm_days(history, plan)
    fewer = ArmDays(days.day, days.on, np.where(days.on, 1.0, 4.0), days.total, 0)
    assert guardrails(fewer, plan.arm_looks, days.total, days.total, seed=1)[2].state == "tripped"


def test_drawdowns_by_hand():
    assert max_drawdown(np.array([1.0, -2.0, 0.5, -1.0, 5.0])) == pytest.approx(2.5)
    assert max_drawdown(np.array([-1.0, 2.0])) == pytest.approx(1.0)
    assert max_drawdown(np.zeros(0)) == 0.0
    before = np.random.default_rng(1).normal(0, 1, 100)
    assert usual_drawdown(before, 50, seed=1) == usual_drawdown(before, 50, seed=1)


def test_compliance_counts_what_is_known_and_is_secondary():
    on = np.array([True, True, False, False])
    followed = np.array([1.0, 0.0, 0.0, np.nan])
    found = compliance(on, followed, np.array([2.0, 2, 2, 2]), np.array([4.0, 0, 2, 2]))
    assert (found.kept_on, found.kept_off) == ((1, 2), (1, 1))
    assert found.rate == pytest.approx(2 / 3)
    assert found.per_protocol_r == pytest.approx(2 - 1)


def test_an_imbalance_before_the_start_is_seen():
    rng = np.random.default_rng(6)
    on = np.arange(200) % 2 == 0
    assert imbalance(on, rng.normal(0, 1, 200) + on) < 0.001
    assert imbalance(on, rng.normal(0, 1, 200)) > 0.001
    assert imbalance(on[:2], np.zeros(2)) == 1.0


def test_block_differences_by_hand():
    draw = assign("a", START, 8, weekdays=range(7))
    day, r = draw.day, np.where(draw.on, 2.0, 0.5)
    assert block_differences(day, r, draw) == pytest.approx([1.5, 1.5])
    # A block in which one arm was not traded says nothing.
    keep = ~((draw.block == 1) & draw.on)
    assert block_differences(day[keep], r[keep], draw) == pytest.approx([1.5])


def test_the_report_says_everything_at_once():
    history, plan = trial(7, effect=1.0)
    draw = assign("salt 7", START, 300, weekdays=range(7))
    followed = np.where(draw.on, 1.0, 0.0)
    found = report(history, plan, draw, seed=1, followed=followed)
    assert found.verdict.verdict == "helped"
    assert found.traded == (150, 150, 150, 150)
    assert found.strict[0] >= STRICT_LEVEL
    assert found.path.difference_r[-1] == pytest.approx(found.verdict.estimate_r)
    assert found.compliance is not None
    assert found.compliance.rate == 1.0
    assert found.imbalance_p is None


def test_a_look_that_comes_too_early_does_not_switch_the_harm_rail_off():
    on = np.arange(40) % 2 == 0
    rng = np.random.default_rng(3)
    total = 60 * np.where(on, -0.65, 0.35) + rng.normal(0, 6, 40)
    days = ArmDays(np.arange(40), on, np.full(40, 60.0), total, 0)
    _, plan = trial(1)
    mean, _, _ = guardrails(days, plan.arm_looks, total[on] / 60, total / 60, seed=1)
    assert mean.state == "tripped"
