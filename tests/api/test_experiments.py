"""Experiments over the API: start, read, the arm of now, notes, the end."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from post_mortem.models import Experiment, ExperimentAssignment
from post_mortem.services.experiment_checks import verify_experiments
from tests.api.world import World
from tests.services.factories import make_instrument, make_signal
from trading.models import Signal

pytestmark = pytest.mark.django_db

LIST = "/api/post-mortem/experiments/"


def body(world: World, **changes: Any) -> dict[str, Any]:
    given = {"account": world.mine.account.pk, "name": "Fewer", "rule": "Two at most."}
    return given | {"scope": {"symbol": "EURUSD"}} | changes


def test_one_is_started_read_noted_and_ended(world: World) -> None:
    client = world.client("owner")
    started = client.post(LIST, body(world), format="json")
    assert started.status_code == 201
    made = started.json()
    assert (made["status"], made["unit"], made["version"], made["salt"]) == (
        "running",
        "day",
        1,
        None,
    )
    assert made["arm"]["state"] == "waiting"
    assert made["assignments"] == []
    assert made["faults"] == []
    assert made["results"]["verdict"] == "too_early"
    url = f"{LIST}{made['id']}/"
    assert client.get(url).json()["plan_sha256"] == made["plan_sha256"]
    assert client.post(f"{url}stop/", {"reason": "x"}, format="json").status_code == 428
    stale = client.post(f"{url}stop/", {"reason": "x", "version": 9}, format="json")
    assert (stale.status_code, stale.json()["code"]) == (412, "version_stale")
    ended = client.post(f"{url}stop/", {"reason": "x", "version": 1}, format="json").json()
    assert (ended["status"], ended["version"], ended["ended_because"]) == ("stopped", 2, "x")
    assert len(ended["salt"]) == 64
    again = client.post(f"{url}stop/", {"reason": "x", "version": 2}, format="json")
    assert (again.status_code, again.json()["code"]) == (409, "not_running")


def test_the_same_key_starts_one(world: World) -> None:
    client = world.client("owner")
    first, second = (
        client.post(LIST, body(world), format="json", HTTP_IDEMPOTENCY_KEY="k") for _ in range(2)
    )
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json()["id"] == second.json()["id"]
    assert second["Idempotent-Replayed"] == "true"
    refused = client.post(LIST, body(world), format="json")
    assert (refused.status_code, refused.json()["code"]) == (422, "overlaps")
    assert refused.json()["field"] == "scope"


def test_the_list_is_filtered_and_running_ones_come_first(world: World) -> None:
    client = world.client("owner")
    client.post(LIST, body(world), format="json")
    old = world.mine.experiment
    client.post(f"{LIST}{old.pk}/stop/", {"reason": "x", "version": 1}, format="json")
    rows = client.get(LIST).json()["results"]
    assert [row["status"] for row in rows] == ["running", "stopped"]
    assert [row["id"] for row in client.get(f"{LIST}?status=stopped").json()["results"]] == [old.pk]
    assert client.get(f"{LIST}?status=paused").status_code == 400


def test_the_arm_of_now_is_what_was_sealed(world: World) -> None:
    experiment = world.mine.experiment
    told = world.client("owner").get(f"{LIST}{experiment.pk}/arm/").json()
    row = ExperimentAssignment.objects.get(experiment=experiment, unit_key=told["unit"])
    assert (told["state"], told["seal"], told["kept"]) == (row.arm, row.seal, None)


def test_a_signal_is_drawn_when_its_program_asks(world: World) -> None:
    client, account = world.client("owner"), world.mine.account
    Signal.objects.filter(account=account).update(time=timezone.now() - timedelta(days=3))
    make_instrument("USDJPY")
    scope = {"symbol": "USDJPY"}
    made = client.post(LIST, body(world, unit="signal", scope=scope), format="json").json()
    Experiment.objects.filter(pk=made["id"]).update(starts_on=timezone.now().date())
    signal = make_signal(account, make_instrument("USDJPY"), time=timezone.now())
    told = client.get(f"{LIST}{made['id']}/arm/?signal={signal.pk}").json()
    assert told["state"] in ("on", "off")
    assert told["unit"] == f"signal/{signal.pk}"
    assert client.get(f"{LIST}{made['id']}/arm/?signal={signal.pk}").json() == told
    theirs = make_signal(world.stranger_desk.account, make_instrument("USDJPY"))
    assert client.get(f"{LIST}{made['id']}/arm/?signal={theirs.pk}").status_code == 404


@pytest.mark.parametrize(
    ("changes", "status", "field"),
    [
        ({"unit": "account"}, 422, "unit"),
        ({"starts_on": "2014-01-01"}, 422, "starts_on"),
        ({"starts_on": "soon"}, 422, "starts_on"),
        ({"day_begins": "7"}, 422, "day_begins"),
        ({"weekdays": []}, 422, "weekdays"),
        ({"weekdays": [8]}, 400, "weekdays[0]"),
        ({"scope": {"setup": "bos"}}, 422, "scope"),
        ({"scope": {"symbol": 3}}, 400, "scope.symbol"),
        ({"salt": "mine"}, 400, "salt"),
        ({"name": 3}, 400, "name"),
    ],
)
def test_what_is_not_clear_is_refused(
    world: World, changes: dict[str, Any], status: int, field: str
) -> None:
    answer = world.client("owner").post(LIST, body(world, **changes), format="json")
    assert (answer.status_code, answer.json()["field"]) == (status, field)
    assert Experiment.objects.filter(account=world.mine.account).count() == 1


def test_a_reviewer_cannot_start_for_another(world: World) -> None:
    assert world.client("reviewer").post(LIST, body(world), format="json").status_code == 403
    foreign = body(world, recommendation_id=world.stranger_desk.recommendation.pk)
    assert world.client("owner").post(LIST, foreign, format="json").status_code == 404


def test_the_check_of_everything_finds_a_changed_arm(world: World, capsys: Any) -> None:
    assert verify_experiments().mismatches == []
    row = ExperimentAssignment.objects.filter(experiment=world.mine.experiment).order_by("pk")[2]
    ExperimentAssignment.objects.filter(pk=row.pk).update(arm="on" if row.arm == "off" else "off")
    with pytest.raises(CommandError) as ended:
        call_command("verify_audits")
    assert ended.value.returncode == 1
    said = capsys.readouterr().out
    assert f"experiment {world.mine.experiment.pk}: the seal of {row.unit_key}" in said
    assert "2 experiments checked, 1 with broken seals" in said
