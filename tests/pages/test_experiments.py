"""The pages of experiments: what is on them, what a form does, and what stays hidden."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from post_mortem.models import Experiment, ExperimentAssignment, RecommendationTracking
from post_mortem.selectors.experiments import arm_now
from trading.models import Membership, Role, Trade

from .experiments import RULE, an_experiment, fill
from .factories import World, make_user
from .reading import page, text

FORM = {
    "name": "Two trades a day",
    "rule": "No third trade.",
    "unit": "day",
    "weekdays": ["0", "1", "2", "3", "4", "5", "6"],
    "day_begins": "00:00",
    "do": "start",
}


def test_without_one_the_list_says_what_it_is_for(world: World, anna: Client) -> None:
    said = text(page(anna, "/experiments/"))
    assert "No experiment was ever started." in said
    assert "the only way here that a change is ever called helped" in said


def test_it_is_started_from_the_form_and_listed(world: World, anna: Client) -> None:
    answer = anna.post("/experiments/new/", FORM)
    experiment = Experiment.objects.get()
    assert answer["Location"] == f"/experiments/{experiment.pk}/"
    said = text(page(anna, f"/experiments/{experiment.pk}/"))
    assert "No third trade." in said
    assert "Too early · 0 on and 0 off of 25 trades each" in said
    assert "Seals, plan and salt agree." in said
    assert experiment.salt not in page(anna, f"/experiments/{experiment.pk}/")
    listed = text(page(anna, "/experiments/"))
    assert "1 experiment ever started: 1 running." in listed
    assert "Two trades a day" in listed


def test_today_is_said_on_the_page_the_list_and_the_dashboard(world: World, anna: Client) -> None:
    experiment = an_experiment(world)
    arm = arm_now(experiment, timezone.now())
    assert arm.drawn is not None
    word = arm.state.upper()
    said = text(page(anna, f"/experiments/{experiment.pk}/"))
    assert f"Today: {word}" in said
    assert RULE in said
    assert f"Drawn before the day · sealed {arm.drawn.seal[:4]}" in said
    assert f"Experiment today: {word}" in text(page(anna, "/"))
    assert re.search(rf"No USD-news entries {word} ", text(page(anna, "/experiments/")))


def test_coming_arms_are_nowhere(world: World, anna: Client) -> None:
    experiment = an_experiment(world)
    coming = experiment.assignments.filter(day__gt=timezone.now().date() + timedelta(days=1))
    assert coming.count() > 5
    shown = page(anna, f"/experiments/{experiment.pk}/")
    file = b"".join(anna.get(f"/experiments/{experiment.pk}/units.csv").streaming_content).decode()
    data = anna.get(f"/api/post-mortem/experiments/{experiment.pk}/").json()
    for row in coming:
        for told in (shown, file, str(data["assignments"])):
            assert row.seal not in told.replace(experiment.last_seal, "")
            assert row.unit_key not in told
    assert data["salt"] is None
    first = ExperimentAssignment.objects.order_by("pk")[0]
    assert f"{first.unit_key},{first.arm}" in file.replace(f"{first.unit_key},", "", 1)


def test_an_undrawn_day_says_so(world: World, anna: Client) -> None:
    experiment = an_experiment(world)
    now = arm_now(experiment, timezone.now())
    assert now.drawn is not None
    now.drawn.delete()
    said = text(page(anna, f"/experiments/{experiment.pk}/"))
    assert "Today: not drawn" in said
    assert "it is not in the test" in said
    # And that a row is missing shows.
    assert "does not follow from the rows before it" in said
    assert "The seals do not agree." in said


def test_it_is_noted_and_taken_back(world: World, anna: Client) -> None:
    experiment = an_experiment(world)
    path = f"/experiments/{experiment.pk}/"
    unit = arm_now(experiment, timezone.now()).drawn
    assert unit is not None
    anna.post(f"{path}note/", {"unit": unit.unit_key, "kept": "no", "note": "<b>forgot"})
    html = page(anna, path)
    assert 'value="no" data-key="n" aria-pressed="true"' in html
    assert "&lt;b&gt;forgot" in html
    anna.post(f"{path}note/", {"unit": unit.unit_key, "kept": "back"})
    assert (
        'aria-pressed="true"' not in page(anna, path).split("Is it working?")[0].split("<main")[1]
    )
    assert experiment.notes.count() == 2
    assert anna.post(f"{path}note/", {"unit": "2001-01-01", "kept": "yes"}).status_code == 400
    assert anna.post(f"{path}note/", {"unit": unit.unit_key, "kept": "maybe"}).status_code == 400


def test_it_is_ended_with_a_reason_by_who_read_it_last(world: World, anna: Client) -> None:
    experiment = an_experiment(world)
    path = f"/experiments/{experiment.pk}/"
    answer = anna.post(f"{path}stop/", {"version": "1", "reason": " "})
    assert answer.status_code == 422
    assert "Say why it ends" in answer.content.decode()
    answer = anna.post(f"{path}stop/", {"version": "7", "reason": "moved to <another> broker"})
    assert answer.status_code == 412
    assert 'value="moved to &lt;another&gt; broker"' in answer.content.decode()
    assert anna.post(f"{path}stop/", {"version": "1", "reason": "moved"}).status_code == 302
    said = text(page(anna, path))
    assert "This experiment has stopped." in said
    assert "moved" in said
    # What had been drawn for days that never came is no result, and the salt is shown now.
    assert Experiment.objects.get().salt in page(anna, path)
    assert "1 experiment ever started: 1 stopped early." in text(page(anna, "/experiments/"))


def test_months_of_trades_give_a_verdict_a_chart_and_files(world: World, anna: Client) -> None:
    experiment = an_experiment(world, days_ago=150)
    fill(experiment, effect=1.0)
    html = page(anna, f"/experiments/{experiment.pk}/")
    said = text(html)
    assert "Helped · A/B" in said
    assert "Live band, not a test" in said
    assert 'class="look crossed"' in html
    assert html.count("<circle") > 200
    assert "Traded" in said
    assert "of 75 / 75 days." in said or "of 74 / 75 days." in said or "of 75 / 74 days." in said
    rows = b"".join(anna.get("/experiments/export.csv").streaming_content).decode().splitlines()
    assert rows[1].startswith(f"{experiment.pk},")
    assert ",helped," in rows[1]


def test_days_left_out_block_the_verdict_in_words(world: World, anna: Client) -> None:
    experiment = an_experiment(world, days_ago=150)
    fill(experiment, effect=1.0)
    off = experiment.assignments.filter(arm="off").order_by("pk").values_list("day", flat=True)
    for n, day in enumerate(off):
        if n % 3:
            Trade.objects.filter(
                account=world.account, instrument__symbol="GBPUSD", opened_at__date=day
            ).delete()
    said = text(page(anna, f"/experiments/{experiment.pk}/"))
    assert "Verdict blocked" in said
    assert "mismatch, verdict blocked." in said


def test_the_form_is_filled_from_a_recommendation(world: World, anna: Client) -> None:
    advice = RecommendationTracking.objects.get(area="news")
    html = page(anna, f"/experiments/new/?recommendation={advice.pk}")
    assert advice.recommendation in html
    assert "The advice also names" in text(html)
    anna.post("/experiments/new/", FORM | {"recommendation": str(advice.pk)})
    assert Experiment.objects.get().recommendation == advice
    said = text(page(anna, f"/experiments/{Experiment.objects.get().pk}/"))
    assert "Advice" in said


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": " "}, "A name has 1 to 200 characters."),
        ({"unit": "account"}, "belongs to one account"),
        ({"starts_on": "2014-05-02"}, "has begun, and nothing is drawn after the fact"),
        ({"starts_on": "soon"}, "A day is written like 2026-03-05."),
        ({"day_begins": "late"}, "A clock time is written like 07:00."),
        ({"weekdays": []}, "one trading day a week or more"),
        ({"symbol": "NOPE99"}, "There is no instrument"),
    ],
)
def test_a_wrong_field_says_so_and_keeps_the_rest(
    world: World, anna: Client, changes: dict[str, object], said: str
) -> None:
    answer = anna.post("/experiments/new/", FORM | changes)
    assert answer.status_code == 422
    html = answer.content.decode()
    assert said in text(html)
    assert "No third trade." in html
    assert not Experiment.objects.exists()


def test_an_overlap_names_the_other_one(world: World, anna: Client) -> None:
    anna.post("/experiments/new/", FORM)
    answer = anna.post("/experiments/new/", FORM)
    assert answer.status_code == 422
    assert "“Two trades a day”, running since" in answer.content.decode()


def test_how_long_it_takes_is_said_before_it_starts(world: World, anna: Client) -> None:
    assert "How long it takes cannot be said" in text(page(anna, "/experiments/new/"))
    now = timezone.now()
    for n, trade in enumerate(Trade.objects.order_by("pk")):
        Trade.objects.filter(pk=trade.pk).update(opened_at=now - timedelta(days=n, minutes=1))
    said = text(page(anna, "/experiments/new/"))
    assert "trading days at your pace" in said
    estimated = anna.post("/experiments/new/", FORM | {"do": "estimate"})
    assert "trading days at your pace" in estimated.content.decode()
    assert not Experiment.objects.exists()


def test_a_reviewer_reads_and_changes_nothing(world: World, client: Client) -> None:
    experiment = an_experiment(world)
    reader = make_user("rita").owner
    Membership.objects.create(user=reader, desk=world.account.desk, role=Role.REVIEWER)
    client.force_login(reader)
    path = f"/experiments/{experiment.pk}/"
    html = page(client, path)
    assert 'name="kept"' not in html
    assert "End the experiment" not in html
    assert client.post(f"{path}stop/", {"version": "1", "reason": "x"}).status_code == 400
    experiment.refresh_from_db()
    assert experiment.status == Experiment.Status.RUNNING


def test_a_foreign_recommendation_or_account_fills_no_form(world: World, client: Client) -> None:
    client.force_login(make_user("bob").owner)
    advice = RecommendationTracking.objects.get(area="news")
    assert client.get(f"/experiments/new/?recommendation={advice.pk}").status_code == 404
    assert client.get(f"/experiments/new/?account={world.account.pk}").status_code == 400
    assert "No experiment was ever started." in page(client, "/experiments/")
    an_experiment(world)
    assert "No experiment was ever started." in page(client, "/experiments/")
    assert b"".join(client.get("/experiments/export.csv").streaming_content).count(b"\n") == 1
