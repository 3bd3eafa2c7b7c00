"""Experiments: drawn before, sealed, reproducible, never two on the same trades."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.core.management import call_command
from django.utils import timezone

from post_mortem.models import (
    Experiment,
    ExperimentAssignment,
    ExperimentNote,
)
from post_mortem.selectors.experiments import arm_now, arms_of, days_of, faults, units_of
from post_mortem.services.experiment_draws import AHEAD, draw, draw_experiment
from post_mortem.services.experiments import note_unit, start_experiment, stop_experiment
from tests.services.factories import make_account, make_instrument, make_signal, make_trade
from trading.core.errors import ConflictError, NotFoundError, UserError
from trading.models import Account, Membership, Role, Signal

pytestmark = pytest.mark.django_db

# A Wednesday, 15:00 in London.
NOW = datetime(2026, 3, 4, 15, tzinfo=UTC)
Arm = ExperimentAssignment.Arm


def account_in(zone: str = "Europe/London") -> Account:
    account = make_account()
    account.time_zone = zone
    account.save()
    return account


def start(account: Account, **changes: Any) -> Experiment:
    given: dict[str, Any] = {
        "account": account,
        "recommendation": None,
        "name": "No USD-news entries",
        "rule": "No new trade from 15 min before to 15 min after a high-impact USD release.",
        "unit": "day",
        "scope": {},
        "starts_on": None,
        "shadow": False,
        "strict": False,
        "user": account.owner,
        "now": NOW,
    }
    return start_experiment(**(given | changes))


def rows_of(experiment: Experiment) -> list[tuple[date, str]]:
    return list(experiment.assignments.order_by("pk").values_list("day", "arm"))


# --- drawn before ---------------------------------------------------------------------------------
def test_the_first_days_are_drawn_at_once_and_before_they_begin() -> None:
    experiment = start(account_in())
    assert experiment.starts_on == date(2026, 3, 5)
    days = [day for day, _ in rows_of(experiment)]
    assert days[0] == date(2026, 3, 5)
    assert all(day.weekday() < 5 for day in days)
    assert days[-1] == date(2026, 3, 18)  # fourteen days ahead
    assert all(row.sealed_at == NOW for row in experiment.assignments.all())
    assert faults(experiment) == []


@pytest.mark.parametrize(
    ("zone", "now", "first"),
    [
        # Just before and just after midnight where the account is.
        ("America/New_York", datetime(2026, 3, 5, 4, 50, tzinfo=UTC), date(2026, 3, 5)),
        ("America/New_York", datetime(2026, 3, 5, 5, 0, tzinfo=UTC), date(2026, 3, 6)),
        ("Asia/Tokyo", datetime(2026, 3, 4, 14, 58, tzinfo=UTC), date(2026, 3, 5)),
        ("Asia/Tokyo", datetime(2026, 3, 4, 15, 0, tzinfo=UTC), date(2026, 3, 6)),
        # Less than the time that a draw may take is left.
        ("UTC", datetime(2026, 3, 4, 23, 59, 1, tzinfo=UTC), date(2026, 3, 6)),
        # Midnight of the day on which clocks go forward in London, and back in New York.
        ("Europe/London", datetime(2026, 3, 28, 23, 58, tzinfo=UTC), date(2026, 3, 30)),
        ("America/New_York", datetime(2026, 11, 2, 4, 58, tzinfo=UTC), date(2026, 11, 2)),
        ("America/New_York", datetime(2026, 11, 2, 5, 0, tzinfo=UTC), date(2026, 11, 3)),
    ],
)
def test_the_first_day_is_the_first_that_has_not_begun(
    zone: str, now: datetime, first: date
) -> None:
    experiment = start(account_in(zone), now=now)
    assert experiment.starts_on == first
    assert rows_of(experiment)[0][0] == first
    assert faults(experiment) == []


def test_a_day_that_begins_later_today_may_be_the_first() -> None:
    account = account_in()
    early = NOW.replace(hour=6)
    with pytest.raises(UserError, match="2026-03-04 has begun"):
        start(account, starts_on=date(2026, 3, 4), now=early)
    experiment = start(account, starts_on=date(2026, 3, 4), now=early, day_begins=time(7))
    assert rows_of(experiment)[0][0] == date(2026, 3, 4)
    days = days_of(experiment)
    assert days.start(date(2026, 3, 4)) == datetime(2026, 3, 4, 7, tzinfo=UTC)
    # What is entered at six in the morning still belongs to the day before.
    assert days.day_of(datetime(2026, 3, 5, 6, 59, tzinfo=UTC)) == date(2026, 3, 4)
    # In summer seven o'clock is an hour earlier.
    assert days.start(date(2026, 3, 30)) == datetime(2026, 3, 30, 6, tzinfo=UTC)


def test_a_start_by_day_that_has_begun_or_is_far_away_is_refused() -> None:
    account = account_in()
    for day, code in (
        (date(2026, 3, 4), "starts_too_early"),
        (date(2026, 9, 1), "starts_too_late"),
    ):
        with pytest.raises(UserError) as refused:
            start(account, starts_on=day)
        assert (refused.value.code, refused.value.field) == (code, "starts_on")
    assert not Experiment.objects.exists()


def test_a_later_draw_adds_the_coming_days_and_changes_none() -> None:
    experiment = start(account_in())
    before = list(experiment.assignments.order_by("pk").values())
    assert draw(now=NOW + timedelta(hours=1)) == 0
    assert draw(now=NOW + timedelta(days=7)) == 5
    after = list(experiment.assignments.order_by("pk").values())
    assert after[: len(before)] == before
    assert [row["day"] for row in after] == sorted(row["day"] for row in after)
    assert faults(Experiment.objects.get()) == []


def test_a_worker_draws_what_is_due_without_any_job() -> None:
    experiment = start(account_in(), now=timezone.now() - timedelta(days=8))
    before = experiment.assignments.count()
    call_command("run_worker", "--once")
    assert experiment.assignments.count() > before
    assert faults(Experiment.objects.get()) == []


def test_a_day_that_began_undrawn_is_never_filled_in() -> None:
    experiment = start(account_in())
    # Nobody drew for a month: what began meanwhile is not in the test.
    late = NOW + timedelta(days=30, hours=3)
    drawn = draw(now=late)
    days = [day for day, _ in rows_of(experiment)]
    today = late.date()
    assert drawn == sum(day > today for day in days)
    assert not [day for day in days if date(2026, 3, 18) < day <= today]
    # The others are what they would have been.
    wanted = {u.key: arm for u, arm in _all_units(experiment, days[-1])}
    assert {day.isoformat(): arm for day, arm in rows_of(experiment)}.items() <= wanted.items()
    assert faults(Experiment.objects.get()) == []


def _all_units(experiment: Experiment, last: date) -> list[Any]:
    units = units_of(experiment, last)
    return list(zip(units, arms_of(experiment, units), strict=True))


def test_a_stopped_experiment_draws_no_more() -> None:
    experiment = start(account_in())
    n = experiment.assignments.count()
    stop_experiment(
        experiment_id=experiment.pk,
        reason="changed my broker",
        version=1,
        user=experiment.account.owner,
        now=NOW + timedelta(days=1),
    )
    assert draw(now=NOW + timedelta(days=10)) == 0
    assert draw_experiment(experiment_id=experiment.pk, now=NOW + timedelta(days=10)) == 0
    assert experiment.assignments.count() == n


# --- what is drawn --------------------------------------------------------------------------------
def test_the_arms_follow_from_the_salt_in_blocks_of_four() -> None:
    experiment = start(account_in())
    for week in range(1, 9):
        draw(now=NOW + timedelta(days=7 * week))
    arms = [arm for _, arm in rows_of(experiment)]
    assert len(arms) >= 48
    for first in range(0, len(arms) - 3, 4):
        assert arms[first : first + 4].count(Arm.ON) == 2
    other = start(account_in())
    assert other.salt != experiment.salt
    assert [a for _, a in rows_of(other)] != arms[
        :10
    ] or other.plan_sha256 != experiment.plan_sha256


def test_an_account_that_trades_at_weekends_is_drawn_at_weekends() -> None:
    account = account_in()
    saturday = datetime(2026, 2, 28, 12, tzinfo=UTC)
    for hours in range(3):
        signal = make_signal(account, make_instrument(), time=saturday + timedelta(hours=hours))
        make_trade(signal)
    assert {day.weekday() for day, _ in rows_of(start(account))} == {0, 1, 2, 3, 4, 5}


def test_sessions_are_drawn_each_before_it_opens() -> None:
    experiment = start(account_in("America/New_York"), unit="session")
    rows = list(experiment.assignments.order_by("pk"))
    starts = {u.key: u.starts for u in units_of(experiment, rows[-1].day)}
    assert {row.unit_key.split("/")[1] for row in rows} == {"tokyo", "london", "new_york"}
    assert all(row.sealed_at < starts[row.unit_key] for row in rows)
    # Tokyo's session of the first day opens before that day begins in New York.
    assert f"{experiment.starts_on.isoformat()}/tokyo" not in starts
    assert faults(experiment) == []
    london = datetime.combine(rows[4].day, time(9), tzinfo=ZoneInfo("Europe/London"))
    found = arm_now(experiment, london)
    assert found.unit is not None
    assert found.unit.key == f"{rows[4].day.isoformat()}/london"


def test_signals_are_drawn_as_they_come_and_only_before_they_are_traded() -> None:
    account, eurusd = account_in(), make_instrument()
    with pytest.raises(UserError, match="none for 90 days"):
        start(account, unit="signal")
    make_signal(account, eurusd, time=NOW - timedelta(days=3))
    experiment = start(account, unit="signal")
    at = NOW + timedelta(days=1)
    first = make_signal(account, eurusd, time=at)
    traded = make_signal(account, eurusd, time=at)
    make_trade(traded)
    own = make_signal(account, eurusd, time=at, source=Signal.Source.TRADE)
    assert draw(now=at + timedelta(minutes=1)) == 1
    assert [key for (key,) in experiment.assignments.values_list("unit_key")] == [
        f"signal/{first.pk}"
    ]
    assert draw(now=at + timedelta(minutes=2)) == 0
    assert own.pk != first.pk
    assert faults(Experiment.objects.get()) == []


@pytest.mark.parametrize("unit", ["account", "user"])
def test_what_cannot_be_drawn_is_refused_with_the_reason(unit: str) -> None:
    with pytest.raises(UserError, match="belongs to one account") as refused:
        start(account_in(), unit=unit)
    assert (refused.value.code, refused.value.field) == ("unit_not_offered", "unit")


# --- sealed ---------------------------------------------------------------------------------------
def test_a_changed_arm_shows() -> None:
    experiment = start(account_in())
    row = experiment.assignments.order_by("pk")[3]
    other = Arm.OFF if row.arm == Arm.ON else Arm.ON
    ExperimentAssignment.objects.filter(pk=row.pk).update(arm=other)
    found = faults(experiment)
    assert f"the seal of {row.unit_key} does not follow from the rows before it" in found
    assert f"{row.unit_key} is {other}, the salt says {row.arm}" in found


@pytest.mark.parametrize("place", [0, 4, -1])
def test_a_removed_row_shows(place: int) -> None:
    experiment = start(account_in())
    rows = list(experiment.assignments.order_by("pk"))
    rows[place].delete()
    assert faults(experiment)


def test_a_later_time_of_sealing_shows() -> None:
    experiment = start(account_in())
    row = experiment.assignments.order_by("pk")[0]
    moved = NOW + timedelta(days=2)
    ExperimentAssignment.objects.filter(pk=row.pk).update(sealed_at=moved)
    assert f"{row.unit_key} was drawn after it had begun" in faults(experiment)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"salt": "0" * 64}, "the salt is not the one that the plan names"),
        ({"rule": "Trade less."}, "it differs from its plan: rule"),
        ({"plan_sha256": "0" * 64}, "the plan does not have its hash"),
        ({"last_seal": ""}, "the newest assignment is not the one that was sealed last"),
    ],
)
def test_a_changed_experiment_shows(changes: dict[str, str], said: str) -> None:
    experiment = start(account_in())
    Experiment.objects.filter(pk=experiment.pk).update(**changes)
    experiment.refresh_from_db()
    assert said in faults(experiment)


# --- never two on the same trades -----------------------------------------------------------------
def test_an_overlapping_experiment_is_refused_by_name() -> None:
    account = account_in()
    make_instrument("EURUSD")
    make_instrument("GBPUSD")
    first = start(account, scope={"symbol": "EURUSD"}, name="Wider stop")
    for scope in ({}, {"symbol": "EURUSD"}, {"side": "long"}, {"symbol": "EUR/USD"}):
        with pytest.raises(UserError, match="“Wider stop”, running since 2026-03-05") as refused:
            start(account, scope=scope)
        assert refused.value.code == "overlaps"
    start(account, scope={"symbol": "GBPUSD"})
    start(account_in())
    stop_experiment(experiment_id=first.pk, reason="done", version=1, user=account.owner, now=NOW)
    start(account, scope={"symbol": "EURUSD", "side": "long"})


@pytest.mark.parametrize(
    ("scope", "said"),
    [
        ({"symbol": "NOPE99"}, "no instrument"),
        ({"side": "up"}, "long or short"),
        ({"strategy": "unheard of"}, "No trade or signal of this account"),
        ({"setup": "bos"}, "'setup' cannot choose the trades that count"),
    ],
)
def test_a_scope_that_says_nothing_known_is_refused(scope: dict[str, str], said: str) -> None:
    with pytest.raises(UserError, match=said):
        start(account_in(), scope=scope)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"name": "  "}, "bad_name"),
        ({"name": "x" * 201}, "bad_name"),
        ({"rule": ""}, "bad_rule"),
        ({"unit": "hour"}, "bad_unit"),
        ({"weekdays": ()}, "bad_weekdays"),
        ({"weekdays": (7,)}, "bad_weekdays"),
    ],
)
def test_a_wish_that_is_not_clear_is_refused(changes: dict[str, Any], code: str) -> None:
    with pytest.raises(UserError) as refused:
        start(account_in(), **changes)
    assert refused.value.code == code


# --- whose ----------------------------------------------------------------------------------------
def test_only_who_may_change_the_account_starts_stops_and_notes() -> None:
    mine, other = account_in(), account_in()
    reviewer = account_in().owner
    Membership.objects.create(user=reviewer, desk=mine.desk, role=Role.REVIEWER)
    with pytest.raises(NotFoundError):
        start(mine, user=other.owner)
    with pytest.raises(UserError, match="not change it"):
        start(mine, user=reviewer)
    experiment = start(mine)
    act = {"experiment_id": experiment.pk, "now": NOW + timedelta(days=2)}
    for user, error in ((other.owner, NotFoundError), (reviewer, UserError)):
        with pytest.raises(error):
            stop_experiment(reason="x", version=1, user=user, **act)
        with pytest.raises(error):
            note_unit(unit_key="2026-03-05", kept=True, user=user, **act)


# --- said and stopped -----------------------------------------------------------------------------
def test_notes_are_appended_and_the_newest_counts() -> None:
    experiment = start(account_in())
    given = {
        "experiment_id": experiment.pk,
        "unit_key": "2026-03-05",
        "user": experiment.account.owner,
    }
    with pytest.raises(UserError, match="not begun"):
        note_unit(kept=True, now=NOW, **given)
    later = NOW + timedelta(days=1)
    first = note_unit(kept=True, now=later, **given)
    assert note_unit(kept=True, now=later, **given).pk == first.pk
    note_unit(kept=False, note="forgot", now=later, **given)
    note_unit(kept=None, now=later, **given)
    assert list(ExperimentNote.objects.values_list("kept", flat=True)) == [None, False, True]
    with pytest.raises(UserError, match="was not drawn"):
        note_unit(**(given | {"unit_key": "2026-03-07"}), kept=True, now=later)


def test_it_is_stopped_once_by_who_read_the_last_version() -> None:
    experiment = start(account_in())
    stop = {"experiment_id": experiment.pk, "user": experiment.account.owner, "now": NOW}
    with pytest.raises(UserError, match="Say why"):
        stop_experiment(reason=" ", version=1, **stop)
    with pytest.raises(ConflictError) as stale:
        stop_experiment(reason="x", version=2, **stop)
    assert stale.value.code == "version_stale"
    row = stop_experiment(reason="x", version=1, **stop)
    assert (row.status, row.version, row.ended_because) == ("stopped", 2, "x")
    with pytest.raises(ConflictError) as ended:
        stop_experiment(reason="x", version=2, **stop)
    assert ended.value.code == "not_running"
    assert arm_now(row, NOW + AHEAD).state == "ended"
