"""Patterns and plans as pages: the answer first, counts under 30, nothing that is not so."""

from __future__ import annotations

import pytest
from django.test import Client

from post_mortem.models import AnalysisPattern, AutopsyJob, ImprovementPlan, PatternSearch
from post_mortem.pages.strength import draw
from post_mortem.services.plans import create_improvement_plan
from tests.core.test_pattern_facts import CAUSE, FEW
from tests.services.factories import MONDAY, make_pattern, pattern_statistics
from trading.models import Membership, Role

from .factories import World, make_user, make_world
from .reading import page, text

pytestmark = pytest.mark.django_db


def searched(world: World, **changes) -> PatternSearch:
    values = {"min_trades": 10, "n_closed": 14, "n": 14, "tried": 40, "found": 1,
              "data_hash": "x", "searched_at": MONDAY, **changes}  # fmt: skip
    return PatternSearch.objects.create(account=world.account, **values)


def heading(html: str) -> str:
    return text(html[html.index("<h1") : html.index("</h1>")])


def test_the_answer_is_the_first_sentence(world: World, anna: Client) -> None:
    searched(world)
    make_pattern(world.account, trades=world.trades[:3])
    html = page(anna, "/patterns/")
    assert heading(html) == (
        "Breakouts in Asia lose: 31 trades, −0.42 R each (−0.66 to −0.18); "
        "holds after correcting for 40 kinds tried."
    )
    said = text(html)
    assert "40 kinds tried, alone and in pairs, over 14 trades." in said
    assert "Goes with, not caused by." in said
    for word in ("p-value", "p <", "significant", "proves"):
        assert word not in said


def test_without_enough_trades_it_says_how_many(client: Client, db: None) -> None:
    world = make_world(trades=4)
    client.force_login(world.user)
    html = page(client, "/patterns/")
    assert heading(html) == "Patterns need 10 closed trades. You have 4."
    assert 'href="/import/"' in html
    assert "Search now" not in html


def test_before_and_after_a_search_that_found_nothing(world: World, anna: Client) -> None:
    html = page(anna, "/patterns/")
    assert heading(html) == "Nobody has looked for patterns here yet."
    assert "Search now" in html
    search = searched(world)
    assert heading(page(anna, "/patterns/")) == (
        "No kind of trades differs from the others by more than chance explains: "
        "40 kinds tried over 14 trades."
    )
    PatternSearch.objects.filter(pk=search.pk).update(tried=0)
    assert "Too few trades to compare: 14 judged trades" in heading(page(anna, "/patterns/"))


def test_a_search_is_asked_for_on_the_page_and_shows_its_progress(
    world: World, anna: Client
) -> None:
    answer = anna.post("/patterns/search/", {"account": world.account.pk, "period": "90d"})
    job = AutopsyJob.objects.get(kind="patterns")
    assert answer.status_code == 302
    assert job.params["time_period"] == "90d"
    html = page(anna, answer["Location"])
    assert 'data-verb="Searching"' in html
    assert f"/api/post-mortem/jobs/{job.job_id}/" in html


@pytest.mark.parametrize("data", [{"account": "x"}, {"account": "999999"}, {}])
def test_a_search_of_nothing_is_not_found(anna: Client, data) -> None:
    assert anna.post("/patterns/search/", data).status_code == 404


def test_a_bad_period_is_refused(world: World, anna: Client) -> None:
    assert anna.get("/patterns/?period=soon").status_code == 400
    bad = {"account": world.account.pk, "period": "soon"}
    assert anna.post("/patterns/search/", bad).status_code == 400


def test_a_pattern_in_full(world: World, anna: Client) -> None:
    row = make_pattern(world.account, trades=world.trades[:3], trend="weaker")
    html = page(anna, f"/patterns/{row.pk}/")
    said = text(html)
    assert heading(html).startswith("Breakouts in Asia lose")
    assert "weaker of late" in said
    assert "With luck allowed for, another such trade is expected to bring −0.20 R" in said
    assert "in Asia, not that claim breakout 66 of 120 +12.0 R +0.10 R −0.10 to +0.30" in said
    assert 'class="strength"' in html
    assert "<summary" in html
    assert f'href="/trades/?pattern={row.pk}"' in html
    for trade in world.trades[:3]:
        assert f'href="/trades/{trade.pk}/?pattern={row.pk}"' in html
    listed = page(anna, f"/trades/?pattern={row.pk}")
    assert "3 trades" in heading(listed)
    assert anna.get("/trades/?pattern=x").status_code == 400


def test_under_thirty_there_are_counts_only(world: World, anna: Client) -> None:
    row = make_pattern(world.account, **FEW)
    html = page(anna, f"/patterns/{row.pk}/")
    assert "Breakouts in Asia lose: 2 of 14 won, −9.1 R in all" in heading(html)
    mine = html[html.index('<tr class="mine">') :]
    assert "under 30: counts only" in mine[: mine.index("</tr>")]
    assert "−0.42" not in text(html)


def test_a_cause_says_that_it_is_counted(world: World, anna: Client) -> None:
    searched(world)
    row = make_pattern(world.account, **CAUSE)
    said = text(page(anna, f"/patterns/{row.pk}/"))
    assert "counted, not tested" in said
    assert "News shock" in text(page(anna, "/patterns/"))


def test_what_is_no_longer_found_says_since_when(world: World, anna: Client) -> None:
    searched(world)
    row = make_pattern(world.account)
    AnalysisPattern.objects.filter(pk=row.pk).update(lost_at=MONDAY)
    html = page(anna, f"/patterns/{row.pk}/")
    assert "No longer found since" in text(html)
    assert "Draft plan" not in html
    assert "No longer found: 1" in text(page(anna, "/patterns/"))


def test_a_sentence_that_was_changed_in_store_is_withheld(world: World, anna: Client) -> None:
    row = make_pattern(world.account)
    row.words["description"] = row.words["description"].replace("66 of 120", "99 of 120")
    row.save()
    said = text(page(anna, f"/patterns/{row.pk}/"))
    assert "99 of 120" not in said
    assert "1 sentence withheld" in said


def test_names_that_users_gave_are_shown_as_they_were_written(world: World, anna: Client) -> None:
    searched(world)
    row = make_pattern(world.account, parts=[["strategy", "of strategy <b>x</b>{{E1.n}}"]])
    for path in ("/patterns/", f"/patterns/{row.pk}/"):
        html = page(anna, path)
        assert "<b>x</b>" not in html
        assert "{{E1.n}}" in text(html).replace("&lt;", "<")


def test_a_trade_names_the_patterns_it_belongs_to(world: World, anna: Client) -> None:
    row = make_pattern(world.account, trades=[world.news_trade])
    html = page(anna, f"/trades/{world.news_trade.pk}/")
    assert f'<a href="/patterns/{row.pk}/">Breakouts in Asia lose: 31 trades' in html
    assert "Patterns it belongs to" not in page(anna, f"/trades/{world.trades[2].pk}/")


# --- plans ----------------------------------------------------------------------------------------


def test_a_plan_is_drafted_from_what_is_ticked(world: World, anna: Client) -> None:
    searched(world)
    row = make_pattern(world.account)
    assert f'name="pattern" value="{row.pk}"' in page(anna, "/patterns/")
    answer = anna.post("/plans/draft/", {"pattern": [row.pk], f"hours-{row.pk}": "1,5"})
    plan = ImprovementPlan.objects.get()
    assert answer["Location"] == f"/plans/{plan.pk}/"
    html = page(anna, answer["Location"])
    assert heading(html).startswith("The rule to begin with may save +1.2 R a month")
    said = text(html)
    assert "Take no new trade in Asia that claim breakout" in said
    assert "97 of 100" in said
    assert "Hours 1.5" in said
    assert "Built-in narrator · every number from facts" in said
    assert 'data-track="/api/post-mortem/recommendations/track/"' in html
    assert "None is implemented yet." in said
    assert f'href="/plans/{plan.pk}/"' in page(anna, "/plans/")
    assert f'href="/plans/{plan.pk}/"' in page(anna, f"/patterns/{row.pk}/")


def test_unknown_is_a_dash_with_its_reason(world: World, anna: Client) -> None:
    plan = create_improvement_plan(
        patterns=[make_pattern(world.account, parts=[["size", "twice the usual size or more"]])]
    )
    html = page(anna, f"/plans/{plan.pk}/")
    assert 'title="nobody said what it costs"' in html
    assert 'title="the rule changes how such trades are made' in html
    assert "0.0 R" not in text(html)


@pytest.mark.parametrize(
    "data",
    [{}, {"pattern": "x"}, {"pattern": "P", "hours-P": "soon"}, {"pattern": "P", "hours-P": "0"}],
)
def test_a_bad_draft_says_what_is_wrong(world: World, anna: Client, data) -> None:
    pk = str(make_pattern(world.account).pk)
    given = {key.replace("P", pk): value.replace("P", pk) for key, value in data.items()}
    assert anna.post("/plans/draft/", given).status_code == 400
    assert not ImprovementPlan.objects.exists()


def test_nothing_of_it_is_anybody_elses(world: World, client: Client) -> None:
    searched(world)
    row = make_pattern(world.account, trades=world.trades[:2])
    plan = create_improvement_plan(patterns=[row])
    client.force_login(make_user("bob").owner)
    for path in (f"/patterns/{row.pk}/", f"/plans/{plan.pk}/",
                 f"/patterns/?account={world.account.pk}"):  # fmt: skip
        assert client.get(path).status_code == 404
    assert client.post("/plans/draft/", {"pattern": row.pk}).status_code == 404
    assert "Breakouts" not in page(client, "/patterns/")
    assert "No plan yet." in text(page(client, "/plans/"))
    assert "0 trades" in heading(page(client, f"/trades/?pattern={row.pk}"))


def test_a_reviewer_reads_and_drafts_nothing(world: World, client: Client) -> None:
    searched(world)
    row = make_pattern(world.account)
    plan = create_improvement_plan(patterns=[row])
    reader = make_user("rita").owner
    Membership.objects.create(user=reader, desk=world.account.desk, role=Role.REVIEWER)
    client.force_login(reader)
    html = page(client, f"/patterns/?account={world.account.pk}")
    assert "Breakouts in Asia lose" in html
    assert "Draft plan" not in html
    assert "Search again" not in html
    assert "disabled" in page(client, f"/plans/{plan.pk}/")
    assert client.post("/plans/draft/", {"pattern": row.pk}).status_code == 400
    assert client.post("/patterns/search/", {"account": world.account.pk}).status_code == 400


def test_the_drawing_has_a_bar_a_quarter_and_says_it_in_words() -> None:
    periods = pattern_statistics()["periods"]
    periods[2] = {**periods[2], "n": 0, "won": 0, "total_r": 0.0}
    periods[3] = {**periods[3], "total_r": 2.0}
    drawn = draw(periods)
    assert [bar.tone for bar in drawn.bars] == ["loss", "loss", "loss", "gain"]
    assert drawn.bars[2].counts == "no trade"
    assert drawn.bars[0].y == drawn.zero
    assert drawn.bars[3].y + drawn.bars[3].height == pytest.approx(drawn.zero)
    assert "−3.3 R with 2 of 8 won" in drawn.label
    assert draw([]) is None
