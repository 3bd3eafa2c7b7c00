"""Every expected number here can be checked with a pencil."""

import math

import numpy as np
import pytest

from trading.core import metrics
from trading.core.errors import UserError

NAN = float("nan")


def array(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float64)


# results, n, wins, losses, breakeven, total, expectancy, profit factor, payoff, drawdown
TABLE = [
    ((), 0, 0, 0, 0, 0.0, None, None, None, 0.0),
    ((2.0,), 1, 1, 0, 0, 2.0, 2.0, None, None, 0.0),
    ((-1.0,), 1, 0, 1, 0, -1.0, -1.0, 0.0, None, -1.0),
    ((0.0,), 1, 0, 0, 1, 0.0, 0.0, None, None, 0.0),
    ((1.0, 2.0, 3.0), 3, 3, 0, 0, 6.0, 2.0, None, None, 0.0),
    ((-1.0, -1.0), 2, 0, 2, 0, -2.0, -1.0, 0.0, None, -2.0),
    ((2.0, -1.0, 0.0, -1.0), 4, 1, 2, 1, 0.0, 0.0, 1.0, 2.0, -2.0),
    ((1.0, -3.0, 2.0, 1.0, -0.5), 5, 3, 2, 0, 0.5, 0.1, 4 / 3.5, (4 / 3) / 1.75, -3.0),
    ((NAN, 1.0, NAN, -2.0), 2, 1, 1, 0, -1.0, -0.5, 0.5, 0.5, -2.0),
]


@pytest.mark.parametrize("row", TABLE)
def test_summary_table(row: tuple) -> None:
    results, n, wins, losses, breakeven, total, expected, factor, payoff, depth = row
    summary = metrics.summarize(array(*results), seed=1)
    assert (summary.n, summary.wins, summary.losses) == (n, wins, losses)
    assert summary.breakeven_n == breakeven
    assert summary.unknown_n == len(results) - n
    assert summary.total == pytest.approx(total)
    assert summary.expectancy.value == pytest.approx(expected)
    assert summary.profit_factor.value == pytest.approx(factor)
    assert summary.payoff_ratio.value == pytest.approx(payoff)
    assert summary.drawdown.depth == pytest.approx(depth)


def test_nothing_is_ever_infinite_or_nan() -> None:
    for row in TABLE:
        summary = metrics.summarize(array(*row[0]), seed=1)
        for metric in (
            summary.win_rate,
            summary.expectancy,
            summary.average_win,
            summary.average_loss,
            summary.payoff_ratio,
            summary.profit_factor,
        ):
            assert (metric.value is None) == (metric.reason is not None)
            assert metric.value is None or math.isfinite(metric.value)


@pytest.mark.parametrize(
    ("results", "reason"),
    [((), "no_trades"), ((1.0,), "no_losses"), ((0.0,), "no_losses")],
)
def test_profit_factor_says_why_it_is_unknown(results: tuple, reason: str) -> None:
    assert metrics.profit_factor(array(*results)).reason == reason


@pytest.mark.parametrize(
    ("results", "reason"), [((), "no_trades"), ((1.0,), "no_losses"), ((-1.0,), "no_wins")]
)
def test_payoff_says_why_it_is_unknown(results: tuple, reason: str) -> None:
    assert metrics.payoff_ratio(array(*results)).reason == reason


def test_win_rate_counts_breakevens_as_trades() -> None:
    assert metrics.win_rate(array(1.0, 0.0, -1.0, 1.0)).value == 0.5


def test_drawdown_points_at_its_peak_its_trough_and_its_recovery() -> None:
    assert metrics.max_drawdown(array(1, 2, -1, -3, 1, 4)) == metrics.Drawdown(-4.0, 2, 4, 6)


def test_drawdown_that_is_not_made_good_says_so() -> None:
    assert metrics.max_drawdown(array(1, -2)) == metrics.Drawdown(-2.0, 1, 2, None)


def test_a_loss_in_the_first_trade_is_a_drawdown() -> None:
    assert metrics.max_drawdown(array(-1, 3)) == metrics.Drawdown(-1.0, 0, 1, 2)


def test_no_drawdown_while_every_trade_wins() -> None:
    assert metrics.max_drawdown(array(1, 1)).depth == 0.0


@pytest.mark.parametrize(
    ("results", "start", "value", "reason"),
    [
        ((100.0, -220.0), 1000.0, -0.2, None),
        ((-500.0,), 1000.0, -0.5, None),
        ((100.0,), 0.0, None, "balance_not_positive"),
        ((-1000.0,), 1000.0, None, "balance_not_positive"),
    ],
)
def test_drawdown_of_an_account(
    results: tuple, start: float, value: float | None, reason: str | None
) -> None:
    metric = metrics.max_drawdown_fraction(array(*results), start=start)
    assert metric.value == pytest.approx(value)
    assert metric.reason == reason


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        ((), (0, 0, 0)),
        ((1.0, 1.0, -1.0), (2, 1, -1)),
        ((-1.0, 0.0, -1.0), (0, 2, -2)),
        ((1.0, NAN, 1.0), (2, 0, 2)),
        ((0.0,), (0, 0, 0)),
        ((-1.0, -1.0, -1.0, 1.0), (1, 3, 1)),
    ],
)
def test_runs(results: tuple, expected: tuple[int, int, int]) -> None:
    runs = metrics.runs(array(*results))
    assert (runs.longest_win, runs.longest_loss, runs.current) == expected


def test_seven_losses_in_two_hundred_are_what_chance_gives() -> None:
    assert metrics.expected_longest_run(200, 0.55).value == pytest.approx(7.5, abs=0.05)


@pytest.mark.parametrize(("n", "p"), [(10, 0.0), (10, 1.0), (1, 0.5)])
def test_expected_run_is_unknown_at_the_edges(n: int, p: float) -> None:
    assert metrics.expected_longest_run(n, p).value is None


def test_the_interval_is_the_same_for_the_same_seed_and_not_for_another() -> None:
    r = np.random.default_rng(7).normal(0.2, 1.4, 60)
    first = metrics.mean_interval(r, seed=3)
    assert first == metrics.mean_interval(r, seed=3)
    assert first != metrics.mean_interval(r, seed=4)


def test_the_interval_covers_the_true_mean_about_as_often_as_it_claims() -> None:
    rng = np.random.default_rng(11)
    covered = 0
    for k in range(300):
        interval = metrics.mean_interval(rng.normal(0.1, 1.0, 50), seed=k, resamples=400)
        assert interval is not None
        covered += interval.low <= 0.1 <= interval.high
    assert 0.90 <= covered / 300 <= 0.98


def test_the_normal_interval_takes_over_where_resampling_only_costs_time() -> None:
    r = np.random.default_rng(5).normal(0.1, 1.0, metrics.BOOTSTRAP_MAX_N + 1)
    interval = metrics.mean_interval(r, seed=1)
    assert interval is not None
    assert interval.method == "normal"
    half = 1.96 * r.std(ddof=1) / math.sqrt(r.size)
    assert interval.high - interval.low == pytest.approx(2 * half, rel=1e-3)


@pytest.mark.parametrize("results", [(), (1.0,), (1.0, NAN)])
def test_no_interval_from_fewer_than_two_trades(results: tuple) -> None:
    assert metrics.mean_interval(array(*results), seed=1) is None


def test_identical_results_give_a_point_not_an_error() -> None:
    interval = metrics.mean_interval(np.full(10, -1.0), seed=1)
    assert interval is not None
    assert (interval.low, interval.high) == (-1.0, -1.0)
    assert interval.excludes_zero


@pytest.mark.parametrize("level", [0.0, 1.0, 95.0])
def test_a_level_that_is_not_a_probability_is_refused(level: float) -> None:
    with pytest.raises(UserError):
        metrics.mean_interval(array(1.0, 2.0), seed=1, level=level)


def test_sqn_needs_thirty_trades_and_variation() -> None:
    assert metrics.sqn(np.full(29, 1.0)).reason == "too_few"
    assert metrics.sqn(np.full(30, 1.0)).reason == "no_variation"
    r = np.tile([2.0, -1.0], 100)
    assert metrics.sqn(r).value == pytest.approx(10 * 0.5 / r.std(ddof=1))


def test_sharpe_and_sortino_of_daily_returns() -> None:
    days = np.tile([0.02, -0.01], 20)
    assert metrics.sharpe(days, days_a_year=252).value == pytest.approx(
        math.sqrt(252) * 0.005 / days.std(ddof=1)
    )
    assert metrics.sortino(days, days_a_year=252).value == pytest.approx(
        math.sqrt(252) * 0.005 / math.sqrt(20 * 0.0001 / 40)
    )


def test_sharpe_is_unknown_when_it_means_nothing() -> None:
    assert metrics.sharpe(np.full(29, 0.01), days_a_year=252).reason == "too_few"
    assert metrics.sharpe(np.full(30, 0.25), days_a_year=252).reason == "no_variation"
    assert metrics.sortino(np.full(30, 0.25), days_a_year=252).reason == "no_losses"


@pytest.mark.parametrize(
    ("mfe", "mae", "value", "reason"),
    [
        ((1.0, 3.0), (1.0, 1.0), 2.0, None),
        ((1.0, NAN), (0.5, 1.0), 2.0, None),
        ((1.0,), (0.0,), None, "no_heat"),
        ((NAN,), (1.0,), None, "no_trades"),
    ],
)
def test_edge_ratio(mfe: tuple, mae: tuple, value: float | None, reason: str | None) -> None:
    metric = metrics.edge_ratio(array(*mfe), array(*mae))
    assert metric.value == pytest.approx(value)
    assert metric.reason == reason
