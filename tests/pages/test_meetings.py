"""The review: what it says of a period, and what can be done in it without a script."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import date, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from post_mortem.core.meetings import canonical, week_of
from post_mortem.models import (
    ActionItem,
    InsightAudit,
    MeetingDecision,
    RecommendationTracking,
    ReviewMeeting,
)
from post_mortem.pages.minutes import came, markdown, sentence
from post_mortem.selectors.agenda import sheet_of
from tests.services.meeting_desk import NOW, WEEK, MeetingDesk, make_desk
from trading.models import Account, Membership, Role, Trade

from .factories import make_user
from .reading import page, text

DUE = "2014-06-15"


@pytest.fixture
def desk(db: None) -> MeetingDesk:
    return make_desk()


@pytest.fixture
def trader(desk: MeetingDesk, client: Client) -> Client:
    client.force_login(desk.user)
    return client


def where(desk: MeetingDesk, **changes: Any) -> dict[str, str]:
    values = {"account": desk.account.pk, "from": WEEK.first, "to": WEEK.last} | changes
    return {name: str(value) for name, value in values.items()}


def path(desk: MeetingDesk, **changes: Any) -> str:
    return f"/review/?{'&'.join(f'{k}={v}' for k, v in where(desk, **changes).items())}"


def version(desk: MeetingDesk) -> int:
    found = ReviewMeeting.objects.filter(account=desk.account, first_day=WEEK.first).first()
    return found.version if found else 0


def post(client: Client, desk: MeetingDesk, what: str, **given: Any) -> Any:
    body = where(desk) | {"version": version(desk)} | given
    return client.post(f"/review/{what}/", body)


def accept(client: Client, desk: MeetingDesk, **given: Any) -> Any:
    advice = desk.news
    values = {
        "kind": "accept",
        "recommendation": advice.pk,
        "recommendation_version": advice.version,
        "owner": desk.user.username,
        "due_date": DUE,
    }
    return post(client, desk, "decide", **(values | given))


def agree(client: Client, desk: MeetingDesk, **given: Any) -> Any:
    values = {
        "action": "No USD-news entries",
        "measure": "Times kept",
        "target": "5 of 5",
        "owner": desk.user.username,
        "due_date": DUE,
    }
    return post(client, desk, "action", **(values | given))


def close(client: Client, desk: MeetingDesk) -> ReviewMeeting:
    assert agree(client, desk).status_code == 302
    assert post(client, desk, "close").status_code == 302
    return ReviewMeeting.objects.get()


# --- what it says ---------------------------------------------------------------------------------
def test_the_first_sentence_answers(desk: MeetingDesk, trader: Client) -> None:
    html = page(trader, path(desk))
    assert (
        '<h1 class="verdict">+1.1 R in 5 trades, 2 won. Prior week −0.8 R; three-week mean '
        "+0.5 R.</h1>"
    ) in html
    said = text(html)
    assert "Review · Mon 2 – Sun 8 Jun 2014 · Europe/London" in said
    for title in ("Score", "Last action", "Patterns", "Leaks", "Proposals", "Decisions"):
        assert f"<h2>{title}</h2>" in html
    assert "News shock possible until reviewed 2 trades −1.9 R" in said
    assert "Edge: open the largest sum of 2 setups and strategies 2 trades +3.5 R" in said
    assert "came up 2 times; in this week 2 trades, −1.9 R" in said
    assert "Under 30 trades: counts and sums, no rates and no arrows." in said
    assert not re.search("[▲▼]", said.split("Trades of this week")[0])
    assert not ReviewMeeting.objects.exists(), "reading opens nothing"


@pytest.mark.parametrize(
    ("score", "said"),
    [
        ({"now": (12, 2.1, 5), "prior": (9, -0.8), "usual": (4, 1.1)},
         "+2.1 R in 12 trades, 5 won. Prior week −0.8 R; four-week mean +1.1 R."),
        ({"now": (1, -1.0, 0), "prior": None, "usual": None}, "−1.0 R in 1 trade, 0 won."),
        ({"now": (3, 0.5, 1, 1), "prior": None, "usual": None},
         "+0.5 R in 2 trades (1 more without R), 1 won."),
        ({"now": (2, None, 0, 2), "prior": None, "usual": None},
         "2 trades, none with an initial stop, so no R to add up."),
        ({"now": (0, None, 0), "prior": (0, None), "usual": (1, 0.0)},
         "No trade was closed in this week. No trade in the prior week."),
    ],
)  # fmt: skip
def test_the_sentence_of_any_score(score: dict[str, Any], said: str) -> None:
    def figures(n: int, total: float | None, won: int = 0, unknown: int = 0) -> dict[str, Any]:
        return {"n": n, "total_r": total, "won": won, "unknown_n": unknown}

    prior, usual = score["prior"], score["usual"]
    sheet = {
        "period": {"kind": "week"},
        "agenda": {
            "score": {
                "now": figures(*score["now"]),
                "prior": figures(*prior) if prior else None,
                "usual": {"periods": usual[0], "total_r": usual[1]} if usual else None,
            }
        },
    }
    assert sentence(sheet) == said


def test_without_r_won_and_lost_are_counted_by_money(desk: MeetingDesk, trader: Client) -> None:
    InsightAudit.objects.update(r_multiple=None, mae_r=None, mfe_r=None)
    said = text(page(trader, path(desk)))
    assert "Won, lost 2, 3 by money" in said
    assert "Won, lost 0, 0" not in said
    Trade.objects.update(net_pnl=None)
    assert "Won, lost – (no trade has an initial stop)" in text(page(trader, path(desk)))


def test_weeks_are_an_arrow_apart_and_months_are_there(desk: MeetingDesk, trader: Client) -> None:
    html = page(trader, path(desk))
    assert f'rel="prev" href="/review/?account={desk.account.pk}&amp;from=2014-05-26' in html
    assert f'rel="next" href="/review/?account={desk.account.pk}&amp;from=2014-06-09' in html
    month = page(trader, path(desk, **{"from": "2014-06-01", "to": "2014-06-30"}))
    assert "+9.3 R in 7 trades, 3 won. Prior month +2.4 R." in month


def test_an_empty_week_still_can_be_reviewed(desk: MeetingDesk, trader: Client) -> None:
    said = text(page(trader, path(desk, **{"from": "2014-07-07", "to": "2014-07-13"})))
    assert "No trade was closed in this week. No trade in the prior week;" in said
    assert "No loss of this week has a specific possible cause." in said
    assert "Trades of this week" not in said


def test_without_anything_the_page_says_what_it_needs(client: Client, db: None) -> None:
    client.force_login(make_user("new").owner)
    assert "Nothing to examine yet." in page(client, "/review/")


@pytest.mark.parametrize(
    "query",
    [
        "from=monday", "from=2014-06-08&to=2014-06-02", "from=2001-01-01&to=2014-06-02",
        "from=1800-01-01", "to=2014-06-02",
    ],
)  # fmt: skip
def test_a_period_that_is_none_is_refused(desk: MeetingDesk, trader: Client, query: str) -> None:
    assert trader.get(f"/review/?{query}").status_code == 400


def test_rates_and_arrows_come_with_thirty_trades(desk: MeetingDesk, trader: Client) -> None:
    sheet = sheet_of(desk.account, WEEK, None, now=NOW)
    from post_mortem.templatetags.review import rates

    score = sheet["agenda"]["score"]
    assert rates(score) == []
    score["now"] |= {"win_rate": 0.5, "expectancy_r": 0.2, "profit_factor": 1.4}
    assert [row["arrow"] for row in rates(score)] == ["", "", ""]
    score["prior"] |= {"win_rate": 0.4, "expectancy_r": 0.3, "profit_factor": 1.4}
    assert [(row["name"], row["arrow"], row["change"]) for row in rates(score)] == [
        ("Won", "▲", "+10 %"),
        ("Expectancy", "▼", "−0.10 R"),
        ("Profit factor", "", "0.00"),
    ]


# --- deciding, without a script -------------------------------------------------------------------
def test_a_decision_opens_the_meeting_and_is_saved(desk: MeetingDesk, trader: Client) -> None:
    answer = accept(trader, desk)
    assert answer["Location"] == f"{path(desk)}#step-6"
    assert desk.news.implementation_status == "IMPLEMENTED"
    said = text(page(trader, path(desk)))
    assert "Accepted : Stay out around USD releases." in said.replace("Accepted:", "Accepted :")
    assert f"{desk.user.username}, due Sun 15 Jun 2014." in said
    assert "Came up 2 times, 2 trades in this week, −1.9 R." in said
    decision = MeetingDecision.objects.get()
    assert post(trader, desk, "undo", decision=decision.pk).status_code == 302
    assert desk.news.implementation_status == "PENDING"
    assert "taken back" in text(page(trader, path(desk)))


def test_ignoring_wants_a_reason(desk: MeetingDesk, trader: Client) -> None:
    answer = accept(trader, desk, kind="ignore")
    assert answer.status_code == 400
    assert "Reason: 3 to 1000 printable characters." in text(answer.content.decode())
    assert not ReviewMeeting.objects.exists()
    assert accept(trader, desk, kind="ignore", reason="Not mine.").status_code == 302
    assert "Because: Not mine." in text(page(trader, path(desk)))


def test_closing_wants_exactly_one_action(desk: MeetingDesk, trader: Client) -> None:
    answer = post(trader, desk, "close")
    assert answer.status_code == 400
    assert "Choose exactly one action." in answer.content.decode()
    assert not ReviewMeeting.objects.exists()


@pytest.mark.parametrize("what", ["decide", "undo", "action", "close"])
def test_garbage_is_refused(desk: MeetingDesk, trader: Client, what: str) -> None:
    for given in ({}, {"version": "x"}, {"version": "-1"}, {"recommendation": "9" * 30}):
        answer = trader.post(f"/review/{what}/", where(desk) | given)
        assert answer.status_code in (400, 404), given
    assert not ReviewMeeting.objects.exists()


def test_whoever_was_slower_is_told_and_may_apply_theirs(desk: MeetingDesk, trader: Client) -> None:
    accept(trader, desk)
    stop = desk.stop
    late = {
        "kind": "ignore",
        "recommendation": stop.pk,
        "recommendation_version": stop.version,
        "reason": "Too costly.",
        "version": 0,
    }
    answer = post(trader, desk, "decide", **late)
    assert answer.status_code == 412
    html = " ".join(answer.content.decode().split())
    said = text(html)
    assert "Yours was not saved." in said
    assert f"{desk.user.username} accepted “Stay out around USD releases.”" in said
    fields = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', html))
    assert trader.post("/review/decide/", fields).status_code == 302
    assert desk.stop.implementation_status == "IGNORED"


# --- closed ---------------------------------------------------------------------------------------
def test_closed_minutes_are_shown_from_what_was_frozen(desk: MeetingDesk, trader: Client) -> None:
    accept(trader, desk)
    meeting = close(trader, desk)
    desk.trades["best"].delete()
    html = page(trader, path(desk))
    assert "+1.1 R in 5 trades" in html
    assert "Minutes are read-only and unchanged since" in html
    assert meeting.minutes_sha256[:12] in html
    assert "data-save" not in html
    answer = agree(trader, desk, target="6 of 6")
    assert answer.status_code == 400
    assert "These minutes are closed" in answer.content.decode()


def test_minutes_that_were_changed_say_so(desk: MeetingDesk, trader: Client) -> None:
    meeting = close(trader, desk)
    broken = canonical(meeting.minutes).replace("5 of 5", "4 of 5")
    with connection.cursor() as cursor:
        cursor.execute("update post_mortem_reviewmeeting set minutes = %s", [broken])
    html = page(trader, path(desk))
    assert "These minutes were changed after they were closed" in html
    assert "unchanged since" not in html
    written = trader.get(f"/review/{meeting.pk}/minutes.md").content.decode()
    assert "**These minutes were changed after they were closed.**" in written


def test_the_file_of_the_minutes_has_the_fingerprint(desk: MeetingDesk, trader: Client) -> None:
    accept(trader, desk)
    meeting = close(trader, desk)
    answer = trader.get(f"/review/{meeting.pk}/minutes.json")
    assert hashlib.sha256(answer.content).hexdigest() == meeting.minutes_sha256
    assert answer["Content-Disposition"].endswith('filename="review-2014-06-02-2014-06-08.json"')
    assert json.loads(answer.content)["action"]["target"] == "5 of 5"
    written = trader.get(f"/review/{meeting.pk}/minutes.md").content.decode()
    for line in (
        "# Review, Mon 2 – Sun 8 Jun 2014",
        "+1.1 R in 5 trades, 2 won. Prior week −0.8 R; three-week mean +0.5 R.",
        "- News shock: 2 trades, −1.9 R",
        "- Edge: open, 2 trades, +3.5 R",
        f"- Accepted: Stay out around USD releases. · {desk.user.username}, due Sun 15 Jun 2014",
        "- Target: 5 of 5",
        f"Minutes sha256 {meeting.minutes_sha256}",
    ):
        assert line in written.splitlines(), line


def test_an_open_meeting_has_no_minutes(desk: MeetingDesk, trader: Client) -> None:
    accept(trader, desk)
    meeting = ReviewMeeting.objects.get()
    assert trader.get(f"/review/{meeting.pk}/minutes.json").status_code == 400


def test_peoples_words_stay_words(desk: MeetingDesk, trader: Client) -> None:
    agree(trader, desk, action='# <img src=x onerror="alert(1)"> *no*')
    assert post(trader, desk, "close").status_code == 302
    assert "<img src=x" not in page(trader, path(desk))
    meeting = ReviewMeeting.objects.get()
    written = markdown(meeting.minutes, "0", intact=True)
    assert '- Action: \\# \\<img src=x onerror="alert(1)"\\> \\*no\\*' in written


def test_the_next_week_reports_on_the_action(desk: MeetingDesk, trader: Client) -> None:
    accept(trader, desk)
    meeting = close(trader, desk)
    following = {"from": "2014-06-09", "to": "2014-06-15"}
    said = text(page(trader, path(desk, **following)))
    assert "“No USD-news entries”: not reported yet. Target 5 of 5" in said
    assert "Implemented, not measured yet" in said
    body = where(desk, **following) | {
        "version": meeting.version, "kept": "4", "occasions": "5", "outcome": "Missed payrolls.",
    }  # fmt: skip
    for _ in range(2):
        assert trader.post(f"/review/{meeting.pk}/report/", body).status_code == 302
    assert "“No USD-news entries”: kept 4 of 5 times." in text(
        page(trader, path(desk, **following))
    )
    assert ActionItem.objects.get().kept == 4
    listed = text(page(trader, "/review/past/"))
    assert "1 review held." in listed
    assert "Mon 2 – Sun 8 Jun 2014" in listed
    assert "4 of 5" in listed


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ({"status": "IMPLEMENTED", "verdict": "too_early",
          "result": {"sentence": "Too early: 12 of 30 trades."}},
         "Too early: 12 of 30 trades"),
        ({"status": "IMPLEMENTED", "verdict": "no_evidence_yet",
          "result": {}}, "No evidence yet"),
        ({"status": "IMPLEMENTED", "verdict": "likely_helped", "result": {}}, "Likely helped"),
        ({"status": "IGNORED", "verdict": "", "result": None}, "Ignored"),
        (None, ""),
    ],
)  # fmt: skip
def test_what_came_of_it_in_words(what: Any, said: str) -> None:
    assert came(what) == said


# --- whose it is ----------------------------------------------------------------------------------
def test_a_foreign_review_is_not_there(desk: MeetingDesk, trader: Client, client: Client) -> None:
    meeting = close(trader, desk)
    other = Client()
    other.force_login(make_user("bob").owner)
    for url in (
        path(desk), f"/review/{meeting.pk}/minutes.json", f"/review/{meeting.pk}/minutes.md",
        "/review/?account=99999999999999999",
    ):  # fmt: skip
        status = other.get(url).status_code
        # Bob has nothing at all: he is told how to begin, whatever he asks for.
        assert status == 404 or "Nothing to examine yet." in other.get(url).content.decode()
    assert accept(other, desk).status_code == 404
    assert post(other, desk, "close").status_code == 404
    assert other.post(f"/review/{meeting.pk}/report/", where(desk)).status_code == 404
    assert "No review was held yet." in other.get("/review/past/").content.decode()


def test_a_reviewer_reads_and_decides_nothing(desk: MeetingDesk, trader: Client) -> None:
    rita = make_user("rita").owner
    Membership.objects.create(user=rita, desk=desk.account.desk, role=Role.REVIEWER)
    reader = Client()
    reader.force_login(rita)
    html = page(reader, path(desk))
    assert "+1.1 R in 5 trades" in html
    assert "You may read this review, not decide in it." in html
    assert "data-save" not in html
    assert accept(reader, desk).status_code == 400
    assert not ReviewMeeting.objects.exists()


def test_each_account_has_its_own_review(desk: MeetingDesk, trader: Client) -> None:
    second = Account.objects.create(desk=desk.account.desk, owner=desk.user, name="second")
    accept(trader, desk)
    html = page(trader, path(desk, account=second.pk))
    assert "No trade was closed in this week." in html
    assert "Stay out around USD releases" not in html


def test_queries_do_not_grow(desk: MeetingDesk, trader: Client) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            page(trader, path(desk))
        return len(captured)

    accept(trader, desk)
    page(trader, path(desk))
    before = queries()
    for n in range(30):
        RecommendationTracking.objects.create(
            account=desk.account, advice_key=f"k{n}", kind=f"k{n}", area="a", recommendation="More."
        )
    assert queries() == before
    assert "And 23 more on the board." in text(page(trader, path(desk)))


def test_past_reviews_do_not_grow_in_queries(desk: MeetingDesk, trader: Client) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            page(trader, "/review/past/")
        return len(captured)

    close(trader, desk)
    page(trader, "/review/past/")
    before = queries()
    week = week_of(date(2013, 1, 7))
    for n in range(5):
        ReviewMeeting.objects.create(
            account=desk.account,
            first_day=week.first + timedelta(days=7 * n),
            last_day=week.last + timedelta(days=7 * n),
            opened_at=NOW,
        )
    assert queries() == before
