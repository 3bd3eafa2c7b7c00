"""What an experiment is said to have shown: by the arm of the day of entry, and no sooner."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from post_mortem.models import Experiment, ExperimentAssignment
from post_mortem.selectors.experiment_pace import pace_of
from post_mortem.selectors.experiment_results import results_of, results_of_many
from post_mortem.selectors.experiments import days_of
from post_mortem.services.experiment_draws import draw
from post_mortem.services.experiments import note_unit, stop_experiment
from tests.services.experiment_data import NOW, ON, ZONE, begun, fill, noise
from tests.services.factories import make_account, make_instrument, make_signal
from tests.services.judged_trades import judged_trades
from trading.models import Trade

pytestmark = pytest.mark.django_db


# --- which trades count for which arm -------------------------------------------------------------
def test_a_trade_counts_for_the_arm_of_the_day_of_its_entry_where_the_account_is() -> None:
    experiment = begun()
    days = days_of(experiment)
    rows = list(experiment.assignments.order_by("pk")[:4])
    eurusd = make_instrument()
    for n, row in enumerate(rows):
        start = days.start(row.day)
        # A minute after midnight and a minute before the next one.
        edges = [start + timedelta(minutes=1), start + timedelta(hours=23, minutes=59)]
        judged_trades(experiment.account, eurusd, [(at, float(n + 1)) for at in edges])
    found = results_of(experiment, now=days.end(rows[3].day) + timedelta(hours=1))
    expected = {
        arm: [float(n + 1) for n, row in enumerate(rows) if row.arm == arm for _ in range(2)]
        for arm in ("on", "off")
    }
    assert {"on": list(found.on.r), "off": list(found.off.r)} == expected
    assert (found.on.drawn, found.off.drawn, found.on.traded, found.off.traded) == (2, 2, 2, 2)


def test_the_night_in_which_clocks_change_belongs_to_one_day() -> None:
    # New York goes to summer time on Sunday 8 March 2026, and back on 1 November.
    experiment = begun(weekdays=range(7))
    days = days_of(experiment)
    sunday = datetime(2026, 3, 8, tzinfo=ZoneInfo(ZONE)).date()
    assert days.end(sunday) - days.start(sunday) == timedelta(hours=23)
    last = days.end(sunday) - timedelta(minutes=1)
    judged_trades(
        experiment.account, make_instrument(), [(last, 1.0), (last + timedelta(minutes=2), 2.0)]
    )
    arms = dict(experiment.assignments.values_list("unit_key", "arm"))
    found = results_of(experiment, now=NOW + timedelta(days=8))
    by_arm = {"on": found.on.r, "off": found.off.r}
    assert 1.0 in by_arm[arms["2026-03-08"]]
    assert 2.0 in by_arm[arms["2026-03-09"]]


def test_a_day_counts_once_it_is_over() -> None:
    experiment = begun()
    row = experiment.assignments.order_by("pk")[0]
    days = days_of(experiment)
    judged_trades(
        experiment.account, make_instrument(), [(days.start(row.day) + timedelta(hours=9), 1.0)]
    )
    during = results_of(experiment, now=days.end(row.day) - timedelta(seconds=1))
    assert (during.on.drawn, during.off.drawn, during.on.trades + during.off.trades) == (0, 0, 0)
    after = results_of(experiment, now=days.end(row.day))
    assert after.on.trades + after.off.trades == 1


def test_what_was_not_drawn_is_left_out_and_counted() -> None:
    experiment = begun()
    # Nobody drew for weeks; trades went on every day.
    days = days_of(experiment)
    monday = datetime(2026, 3, 23, 14, tzinfo=UTC)
    judged_trades(
        experiment.account, make_instrument(), [(monday + timedelta(days=d), 1.0) for d in (0, 1)]
    )
    draw(now=datetime(2026, 3, 27, 15, tzinfo=UTC))
    experiment.refresh_from_db()
    found = results_of(experiment, now=days.end(datetime(2026, 3, 31, tzinfo=UTC).date()))
    # 19, 20, 23 to 27 March began undrawn.
    assert (found.not_drawn, found.left_out) == (7, 2)
    assert found.on.trades + found.off.trades == 0


def test_a_row_written_after_its_day_began_does_not_count() -> None:
    experiment = begun()
    row = experiment.assignments.order_by("pk")[0]
    start = days_of(experiment).start(row.day)
    judged_trades(experiment.account, make_instrument(), [(start + timedelta(hours=9), 1.0)])
    ExperimentAssignment.objects.filter(pk=row.pk).update(sealed_at=start + timedelta(hours=1))
    found = results_of(experiment, now=start + timedelta(days=2))
    assert (found.not_drawn, found.left_out, found.on.trades + found.off.trades) == (1, 1, 0)


def test_other_markets_open_and_unjudged_trades_are_told_apart() -> None:
    make_instrument("EURUSD")
    experiment = begun(scope={"symbol": "EURUSD"})
    start = days_of(experiment).start(experiment.starts_on) + timedelta(hours=9)
    judged_trades(experiment.account, make_instrument("GBPUSD"), [(start, 5.0)])
    judged_trades(experiment.account, make_instrument("EURUSD"), [(start, 1.0), (start, None)])
    (still,) = judged_trades(experiment.account, make_instrument("EURUSD"), [(start, None)])
    Trade.objects.filter(pk=still.pk).update(closed_at=None, exit_price=None)
    found = results_of(experiment, now=start + timedelta(days=2))
    assert found.on.r + found.off.r == (1.0,)
    assert (found.unjudged, found.open_trades, found.left_out) == (1, 1, 0)


def test_a_signal_counts_only_if_it_was_drawn_before_it_was_acted_on() -> None:
    account = make_account()
    eurusd = make_instrument()
    make_signal(account, eurusd, time=NOW - timedelta(days=1))
    experiment = begun(account=account, user=account.owner, unit="signal")
    at = NOW + timedelta(days=2)
    signals = [make_signal(account, eurusd, time=at) for _ in range(2)]
    draw(now=at)
    for signal, minutes in zip(signals, (-5, 5), strict=True):
        judged_trades(account, eurusd, [(at + timedelta(minutes=minutes), 1.0)], signal=signal)
    experiment.refresh_from_db()
    found = results_of(experiment, now=at + timedelta(days=1))
    assert found.on.trades + found.off.trades == 1


def test_a_trade_is_no_earlier_sessions_while_a_later_one_runs() -> None:
    experiment = begun(unit="session")
    # London's session is open until 17:00, New York's from 12:00 to 21:00 UTC.
    entry = datetime(2026, 3, 10, 14, tzinfo=UTC)
    judged_trades(experiment.account, make_instrument(), [(entry, 1.0)])
    drawn = dict(experiment.assignments.values_list("unit_key", "arm"))

    def counted(hour: int) -> tuple[int, int]:
        found = results_of(experiment, now=entry.replace(hour=hour))
        assert found.left_out == 0
        return found.on.trades, found.off.trades

    assert counted(18) == (0, 0)
    assert counted(22) == ((1, 0) if drawn["2026-03-10/new_york"] == ON else (0, 1))


# --- verdicts -------------------------------------------------------------------------------------
def test_a_real_effect_is_found_and_ends_the_experiment() -> None:
    experiment = begun(weeks=40)
    end = fill(experiment, noise(1, effect=1.2), a_day=2)
    found = results_of(experiment, now=end)
    assert found.verdict.verdict == "helped"
    assert found.verdict.sentence.startswith("Helped")
    (crossed,) = [look for look in found.verdict.looks if look[-1]]
    assert [p.look for p in found.points if p.look][-1] == len(found.verdict.looks)
    assert crossed[0] >= 50
    row = stop_experiment(
        experiment_id=experiment.pk,
        reason="decided",
        version=1,
        user=experiment.account.owner,
        now=end,
    )
    assert row.status == Experiment.Status.FINISHED


def test_no_effect_stays_silent_whoever_looks_every_week() -> None:
    """A/A histories through the rows, the same ones every time; how often such a look is wrong is
    measured on thousands in `benchmarks.impact`."""
    for seed in range(3):
        experiment = begun(weeks=16)
        end = fill(experiment, noise(100 + seed), a_day=3)
        looks = [end - timedelta(days=7 * n) for n in range(0, 16, 4)]
        verdicts = {results_of(experiment, now=at).verdict.verdict for at in looks}
        assert verdicts <= {"too_early", "no_evidence_yet"}


def test_what_comes_later_does_not_change_what_was_said() -> None:
    experiment = begun(weeks=12)
    end = fill(experiment, noise(5), a_day=3)
    middle = end - timedelta(days=30)
    before = results_of(experiment, now=middle)
    Trade.objects.filter(account=experiment.account, opened_at__gt=middle).delete()
    assert results_of(experiment, now=middle) == before


def test_days_traded_unlike_days_drawn_block_the_verdict() -> None:
    experiment = begun(weeks=24)
    rows = list(experiment.assignments.order_by("pk"))
    days, eurusd = days_of(experiment), make_instrument()
    result, entered = noise(7, effect=2.0), []
    off_seen = 0
    for row in rows:
        off_seen += row.arm != ON
        # Every ON day, a third of the OFF days.
        if row.arm == ON or off_seen % 3 == 0:
            start = days.start(row.day) + timedelta(hours=9)
            entered += [(start + timedelta(hours=n), result(row.arm == ON, n)) for n in range(3)]
    judged_trades(experiment.account, eurusd, entered)
    found = results_of(experiment, now=days.end(rows[-1].day))
    assert (found.verdict.verdict, found.verdict.reason) == ("not_evidence", "mismatch")
    assert found.on.traded == found.on.drawn
    assert found.off.traded == found.off.drawn // 3


def test_what_was_kept_is_counted_and_changes_no_arm() -> None:
    experiment = begun()
    end = fill(experiment, lambda on, n: 1.0 if on else -1.0)
    before = results_of(experiment, now=end)
    rows = list(experiment.assignments.order_by("pk"))
    by_arm = {arm: [r for r in rows if r.arm == arm] for arm in ("on", "off")}
    said = [(by_arm["on"][0], True), (by_arm["on"][1], False), (by_arm["off"][0], True)]
    for row, kept in said:
        note_unit(
            experiment_id=experiment.pk,
            unit_key=row.unit_key,
            kept=kept,
            user=experiment.account.owner,
            now=end,
        )
    found = results_of(experiment, now=end)
    assert (found.on.kept, found.on.noted, found.off.kept, found.off.noted) == (1, 2, 1, 1)
    assert found.compliance.per_protocol_r == 2.0
    assert (found.on.r, found.off.r, found.verdict) == (before.on.r, before.off.r, before.verdict)
    note_unit(
        experiment_id=experiment.pk,
        unit_key=by_arm["on"][1].unit_key,
        kept=None,
        user=experiment.account.owner,
        now=end,
    )
    assert results_of(experiment, now=end).on.noted == 1


def test_the_strict_test_decides_alone_where_it_was_chosen() -> None:
    experiment = begun(weeks=40, strict=True)
    end = fill(experiment, noise(1, effect=1.2), a_day=2)
    found = results_of(experiment, now=end)
    assert found.strict is not None
    assert found.strict[0] >= experiment.plan["strict_level"] > found.strict[1]
    assert (found.verdict.verdict, found.verdict.reason) == ("helped", "strict")
    silent = begun(weeks=40, strict=True)
    found = results_of(silent, now=fill(silent, noise(2), a_day=2))
    assert found.verdict.verdict == "no_evidence_yet"


def test_results_take_as_many_queries_for_one_as_for_five(django_assert_num_queries: Any) -> None:
    for symbol in ("EURUSD", "GBPUSD", "USDJPY", "AUDUSD", "USDCAD"):
        make_instrument(symbol)
    first = begun(scope={"symbol": "EURUSD"})
    given = {"account": first.account, "user": first.account.owner}
    others = [begun(scope={"symbol": s}, **given) for s in ("GBPUSD", "USDJPY", "AUDUSD", "USDCAD")]
    with django_assert_num_queries(3):
        results_of(first, now=NOW)
    with django_assert_num_queries(3):
        results_of_many([first, *others], now=NOW)


def test_the_pace_says_how_long_it_takes() -> None:
    account = make_account()
    eurusd = make_instrument()
    days = days_of(begun(account=account, user=account.owner))
    assert pace_of(account, {}, days, NOW).days is None
    # Two trades on each of the ten working days up to NOW.
    working = [
        NOW - timedelta(days=d) for d in range(14) if (NOW - timedelta(days=d)).weekday() < 5
    ]
    judged_trades(
        account, eurusd, [(at - timedelta(hours=h), 0.0) for at in working for h in (1, 2)]
    )
    found = pace_of(account, {}, days, NOW)
    assert (found.trades, found.trading_days, found.trades_a_day) == (20, 10, 2.0)
    # 251 trades an arm for a quarter of a standard deviation, 300 at the last look.
    assert (found.days, found.at_most) == (252, 300)
