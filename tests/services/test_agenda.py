"""The agenda of a review, against figures added up by hand (`meeting_desk`)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from post_mortem.core.meetings import Period, canonical
from post_mortem.models import AnalysisPattern
from post_mortem.selectors.agenda import agenda, sheet_of
from post_mortem.selectors.meetings import due_period
from trading.models import Account, Trade

from .factories import make_pattern
from .meeting_desk import LONDON, NOW, WEEK, MeetingDesk, closed, make_desk


@pytest.fixture
def desk(db: None) -> MeetingDesk:
    return make_desk()


def seen(desk: MeetingDesk, period: Period = WEEK) -> dict[str, Any]:
    return agenda(desk.account, period, now=NOW)


def test_the_score_and_what_is_usual(desk: MeetingDesk) -> None:
    score = seen(desk)["score"]
    now = score["now"]
    assert (now["n"], now["won"], now["lost"], now["total_r"]) == (5, 2, 3, 1.1)
    assert (now["best_r"], now["worst_r"], now["unknown_n"]) == (2.0, -1.0, 0)
    assert (now["win_rate"], now["expectancy_r"], now["profit_factor"]) == (None, None, None)
    assert now["best_day"] == {"day": "2014-06-04", "r": 2.0, "n": 1}
    assert now["worst_day"] == {"day": "2014-06-03", "r": -1.9, "n": 2}
    assert (score["prior"]["n"], score["prior"]["total_r"]) == (1, -0.8)
    assert score["usual"] == {"periods": 3, "total_r": 0.5333, "n": 1.0}
    assert score["net"] == {"amount": "110.00", "currency": "USD", "won": 2, "lost": 3}


def test_the_zone_of_the_account_says_which_week_it_is(desk: MeetingDesk) -> None:
    Account.objects.filter(pk=desk.account.pk).update(time_zone="America/New_York")
    desk.account.refresh_from_db()
    # In New York the first trade closed on Sunday evening, and the one after on Sunday as well.
    now = seen(desk)["score"]["now"]
    assert (now["n"], now["total_r"]) == (5, 8.6)
    assert seen(desk)["score"]["prior"]["total_r"] == 0.7


def test_other_periods_are_counted_alike(desk: MeetingDesk) -> None:
    day = WEEK.first + timedelta(days=1)
    tuesday = seen(desk, Period(day, day))["score"]
    assert (tuesday["now"]["n"], tuesday["now"]["total_r"]) == (2, -1.9)
    assert (tuesday["prior"]["n"], tuesday["prior"]["total_r"]) == (1, 1.5)
    # Monday, Sunday, and two days without a trade.
    assert tuesday["usual"] == {"periods": 4, "total_r": 0.175, "n": 0.5}
    june = seen(desk, Period(WEEK.first.replace(day=1), WEEK.first.replace(day=30)))["score"]
    assert (june["now"]["n"], june["now"]["total_r"]) == (7, 9.3)
    assert june["prior"]["total_r"] == 2.4
    assert june["usual"]["periods"] == 1


def test_leaks_and_the_edge(desk: MeetingDesk) -> None:
    told = seen(desk)
    assert [(leak["cause"], leak["n"], leak["r"]) for leak in told["leaks"]] == [
        ("news_shock", 2, -1.9),
        ("volatility_spike", 1, -0.5),
    ]
    assert told["leaks"][0]["trades"] == [desk.trades[n].pk for n in ("news1", "news2")]
    assert told["edge"] == {"key": "strategy", "name": "open", "n": 2, "r": 3.5}


def test_there_is_no_edge_where_nothing_gained(desk: MeetingDesk) -> None:
    prior = seen(desk, WEEK.moved(-1))
    assert prior["edge"] is None
    assert prior["leaks"][0]["r"] == -0.8


def test_marked_mistakes_and_trades_off_plan_have_their_cost(desk: MeetingDesk) -> None:
    Trade.objects.filter(pk=desk.trades["news1"].pk).update(mistakes=["late", "big"])
    Trade.objects.filter(pk=desk.trades["best"].pk).update(mistakes=["late"], on_plan=False)
    Trade.objects.filter(pk=desk.trades["prior"].pk).update(mistakes=["late"])
    assert seen(desk)["mistakes"] == [
        {"name": "big", "n": 1, "r": -1.0},
        {"name": "late", "n": 2, "r": 1.0},
        {"name": "off plan", "n": 1, "r": 2.0},
    ]


def test_proposals_of_the_week_come_first_with_their_trades(desk: MeetingDesk) -> None:
    told = seen(desk)
    first, second = told["proposals"]
    assert (first["id"], first["came_up"], first["n"], first["r"]) == (desk.news.pk, 2, 2, -1.9)
    assert first["trades"] == [desk.trades[n].pk for n in ("news1", "news2")]
    assert (second["id"], second["n"], second["r"]) == (desk.stop.pk, 0, None)
    assert told["more"] == 0
    before = seen(desk, WEEK.moved(-1))["proposals"]
    assert [(p["id"], p["n"]) for p in before] == [(desk.stop.pk, 1), (desk.news.pk, 0)]


def test_patterns_say_what_the_week_did_to_them(desk: MeetingDesk) -> None:
    def pattern(n: int, *names: str, **changes: Any) -> AnalysisPattern:
        trades = [desk.trades[name] for name in names]
        made = make_pattern(desk.account, trades=trades, n=n, **changes)
        # Found before the week, unless said otherwise.
        AnalysisPattern.objects.filter(pk=made.pk).update(created_at=NOW - timedelta(days=30))
        return made

    fades = pattern(31, "prior", "news1", "news2", trend="stronger")
    opens = pattern(32, "may1", "may2", "first", "best", trend="")
    new = pattern(33, "last", trend="weaker")
    pattern(34, "may1", "after")
    later = pattern(36, "last", "news1")
    AnalysisPattern.objects.filter(pk=later.pk).update(created_at=NOW + timedelta(days=60))
    lost = pattern(35, "news1")
    AnalysisPattern.objects.filter(pk=new.pk).update(created_at=NOW)
    AnalysisPattern.objects.filter(pk=lost.pk).update(lost_at=NOW)
    told = {p["id"]: p for p in seen(desk)["patterns"]}
    assert {pk: p["state"] for pk, p in told.items()} == {
        opens.pk: "", fades.pk: "stronger", later.pk: "", new.pk: "new",
    }  # fmt: skip
    assert list(told) == [opens.pk, fades.pk, later.pk, new.pk], "the largest sum first"
    shown = told[opens.pk]
    assert shown["text"].startswith("Breakouts in Asia")
    assert (shown["before_n"], shown["before_r"], shown["n"], shown["r"]) == (2, 2.4, 2, 3.5)
    assert shown["trades"] == [desk.trades[n].pk for n in ("first", "best")]


def test_a_trade_without_r_is_counted_and_not_added(desk: MeetingDesk) -> None:
    closed(desk.account, datetime(2014, 6, 5, 9, tzinfo=LONDON), None)
    now = seen(desk)["score"]["now"]
    assert (now["n"], now["unknown_n"], now["total_r"]) == (6, 1, 1.1)
    # Its money is not known either, so there is no sum to show.
    assert seen(desk)["score"]["net"] is None


def test_money_of_two_currencies_is_not_added(desk: MeetingDesk) -> None:
    Trade.objects.filter(pk=desk.trades["news1"].pk).update(pnl_currency="EUR")
    assert seen(desk)["score"]["net"] is None


def test_an_empty_week_says_so_and_compares(desk: MeetingDesk) -> None:
    told = seen(desk, WEEK.moved(2))
    assert (told["score"]["now"]["n"], told["score"]["now"]["total_r"]) == (0, None)
    assert told["score"]["prior"]["total_r"] == 9.0
    assert (told["leaks"], told["edge"], told["trades"], told["score"]["net"]) == (
        [], None, [], None,
    )  # fmt: skip


def test_before_the_first_trade_nothing_is_usual(desk: MeetingDesk) -> None:
    score = seen(desk, WEEK.moved(-3))["score"]
    assert (score["now"]["n"], score["prior"], score["usual"]) == (2, None, None)


def test_the_sheet_is_json_and_the_same_each_time(desk: MeetingDesk) -> None:
    sheet = sheet_of(desk.account, WEEK, None, now=NOW)
    assert canonical(sheet) == canonical(sheet_of(desk.account, WEEK, None, now=NOW))


@pytest.mark.parametrize(
    ("now", "first"),
    [
        # The week of the ninth runs: the one before it is due.
        ("2014-06-11T12:00:00", "2014-06-02"),
        ("2014-06-15T23:59:59", "2014-06-02"),
        ("2014-06-16T00:00:00", "2014-06-09"),
        ("2020-01-01T00:00:00", "2014-06-09"),
        ("2014-05-12T12:00:00", "2014-05-12"),
    ],
)
def test_due_is_the_last_finished_week_with_a_trade(
    desk: MeetingDesk, now: str, first: str
) -> None:
    moment = datetime.fromisoformat(now).replace(tzinfo=LONDON)
    assert due_period(desk.account, now=moment).first.isoformat() == first


def test_queries_do_not_grow_with_trades(desk: MeetingDesk) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            seen(desk)
        return len(captured)

    before = queries()
    for n in range(40):
        closed(desk.account, datetime(2014, 6, 5, 9, n, tzinfo=LONDON), 0.1, strategy=f"s{n}")
    assert queries() == before
    assert seen(desk)["score"]["now"]["win_rate"] == round(42 / 45, 4)
