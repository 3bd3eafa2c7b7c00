"""Tokens, health, errors that are nobody's fault, and the OpenAPI document."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, DataError, IntegrityError, OperationalError
from django.urls import reverse

from post_mortem.api import audits, errors
from post_mortem.models import ApiToken, JobItem
from post_mortem.selectors import health
from post_mortem.services import tokens
from tests.api.world import NOW, World
from trading.core.errors import (
    ConflictError,
    FileError,
    NotFoundError,
    OperatorError,
    Problem,
    RetryLaterError,
    UserError,
)

pytestmark = pytest.mark.django_db


def audits_with(world: World, header: str) -> Any:
    client = world.client("anonymous")
    return client.get(reverse("api-audits"), headers={"Authorization": header})


class TestTokens:
    def test_only_the_hash_is_stored(self, world: World) -> None:
        secret = world.secrets["owner"]
        token = ApiToken.objects.get(name="owner")
        stored = json.dumps(ApiToken.objects.filter(pk=token.pk).values().get(), default=str)
        assert secret not in stored
        assert token.sha256 == tokens.hash_of(secret)
        assert secret.startswith(token.prefix)

    def test_scheme_in_any_case(self, world: World) -> None:
        for scheme in ("Bearer", "bearer", "BEARER"):
            assert audits_with(world, f"{scheme} {world.secrets['owner']}").status_code == 200

    @pytest.mark.parametrize(
        "header",
        [
            "Bearer",
            "Bearer ",
            "Bearer x",
            "Bearer " + "x" * 10_000,
            "Bearer \xff\xfe",
            "Basic eDp5",
        ],
    )
    def test_bad_headers(self, world: World, header: str) -> None:
        assert audits_with(world, header).status_code == 401

    def test_every_bad_token_gets_the_same_answer(self, world: World) -> None:
        answers = {
            audits_with(world, f"Bearer {secret}").content
            for secret in (
                "inq_unknown",
                world.secrets["expired"],
                world.secrets["revoked"],
                world.secrets["inactive"],
                tokens.hash_of(world.secrets["owner"]),
                world.secrets["owner"][:-1],
            )
        }
        assert len(answers) == 1

    def test_a_deleted_user_takes_the_tokens_along(self, world: World) -> None:
        world.reviewer.delete()
        assert audits_with(world, f"Bearer {world.secrets['reviewer']}").status_code == 401

    def test_the_use_is_recorded_once_an_hour(self, world: World) -> None:
        token = ApiToken.objects.get(name="owner")
        assert tokens.record_use(token=token, now=NOW)
        token.refresh_from_db()
        assert not tokens.record_use(token=token, now=NOW + timedelta(minutes=59))
        assert tokens.record_use(token=token, now=NOW + timedelta(minutes=60))

    def test_reading_works_when_the_use_cannot_be_recorded(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def read_only(**_: Any) -> bool:
            raise OperationalError("attempt to write a readonly database")

        monkeypatch.setattr(tokens, "record_use", read_only)
        assert audits_with(world, f"Bearer {world.secrets['owner']}").status_code == 200

    def test_an_expiry_is_a_moment(self, world: World) -> None:
        end = NOW + timedelta(days=1)
        _, secret = tokens.create_token(
            user=world.owner, name="day", scope="read", expires_at=end, now=NOW
        )
        just_before = end - timedelta(microseconds=1)
        assert tokens.valid_token(secret=secret, now=just_before) is not None
        assert tokens.valid_token(secret=secret, now=end) is None

    def test_the_command_prints_it_once(
        self, world: World, capsys: pytest.CaptureFixture[str]
    ) -> None:
        call_command("create_token", "owner", "--name", "script", "--json")
        said = json.loads(capsys.readouterr().out)
        assert said["scope"] == "read"
        assert audits_with(world, f"Bearer {said['token']}").status_code == 200
        call_command("create_token", "owner", "--scope", "write", "--days", "7")
        assert ApiToken.objects.filter(user=world.owner, scope="write").latest("pk").expires_at

    @pytest.mark.parametrize(
        "arguments",
        [["nobody"], ["owner", "--days", "0"], ["owner", "--name", "x" * 81]],
    )
    def test_the_command_refuses(self, world: World, arguments: list[str]) -> None:
        before = ApiToken.objects.count()
        with pytest.raises(CommandError) as caught:
            call_command("create_token", *arguments)
        assert caught.value.returncode == 2
        assert ApiToken.objects.count() == before


class TestHealth:
    def test_the_backlog(self, world: World, client: Any) -> None:
        job = world.mine.job
        now = health.backlog(now=NOW)
        assert (now["pending"], now["running"], now["stalled"], now["poison"]) == (2, 0, 0, 0)
        lease = {"status": JobItem.Status.RUNNING, "lease_until": NOW}
        JobItem.objects.filter(job=job).update(**lease)
        JobItem.objects.exclude(job=job).update(status=JobItem.Status.POISON)
        now = health.backlog(now=NOW)
        assert (now["pending"], now["running"], now["stalled"], now["poison"]) == (0, 0, 1, 1)
        assert now["oldest_pending_seconds"] is None
        before = health.backlog(now=NOW - timedelta(seconds=1))
        assert (before["running"], before["stalled"]) == (1, 0)

    def test_no_database_is_alive_but_not_ready(
        self, client: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def gone() -> bool:
            raise DatabaseError("could not connect")

        monkeypatch.setattr(health, "database_is_writable", gone)
        answer = client.get("/readyz")
        assert (answer.status_code, answer["Retry-After"]) == (503, "5")
        assert answer.json()["database"] == "unreachable"
        assert client.get("/healthz").json() == {"status": "live"}

    def test_a_read_only_database_is_not_ready(
        self, client: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(health, "database_is_writable", lambda: False)
        answer = client.get("/readyz")
        assert (answer.status_code, answer.json()["database"]) == (503, "read_only")

    def test_ready(self, client: Any) -> None:
        answer = client.get("/readyz")
        assert (answer.status_code, answer.json()["status"]) == (200, "ready")
        assert client.post("/healthz").status_code == 405


@pytest.mark.parametrize(
    ("error", "status", "code", "retry"),
    [
        (UserError("stop_side", "x"), 422, "stop_side", False),
        (UserError("unknown_field", "x"), 400, "unknown_field", False),
        (NotFoundError("no_such", "x"), 404, "no_such", False),
        (ConflictError("running", "x"), 409, "running", False),
        (ConflictError("version_stale", "x"), 412, "version_stale", False),
        (RetryLaterError("busy", "x"), 503, "busy", True),
        (OperatorError("no_model", "x"), 500, "no_model", False),
        (OperationalError("database is locked"), 503, "database_busy", True),
        (OperationalError("database table is locked"), 503, "database_busy", True),
        (OperationalError("deadlock detected"), 503, "database_busy", True),
        (OperationalError("server closed the connection"), 503, "database_unavailable", True),
        (
            OperationalError("attempt to write a readonly database"),
            503,
            "database_unavailable",
            True,
        ),
        (OperationalError("database or disk is full"), 507, "storage_full", False),
        (IntegrityError("FOREIGN KEY constraint failed"), 409, "conflict", False),
        (DataError("integer out of range"), 422, "out_of_range", False),
        (ValueError("a secret detail"), 500, "internal_error", False),
        (RecursionError(), 500, "internal_error", False),
    ],
)
def test_errors_of_a_view(
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    status: int,
    code: str,
    retry: bool,
) -> None:
    def broken(*_: Any) -> Any:
        raise error

    monkeypatch.setattr(audits, "audits_matching", broken)
    answer = audits_with(world, f"Bearer {world.secrets['owner']}")
    assert answer["Content-Type"] == "application/json"
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert ("Retry-After" in answer) == retry
    assert "secret" not in answer.content.decode()


def test_a_refused_file_says_everything_that_is_wrong() -> None:
    problems = (
        Problem("gap", "a gap", fatal=False, rows=(3,)),
        Problem("scale", "too large", fatal=True, field="close", rows=(7, 9), count=2),
    )
    answer = errors.answer_to(FileError("x.csv", problems))
    assert (answer.status, answer.code, answer.body["row"], answer.body["field"]) == (
        422,
        "scale",
        7,
        "close",
    )
    assert [problem["code"] for problem in answer.body["problems"]] == ["gap", "scale"]


def test_the_document_describes_every_route(tmp_path: Path) -> None:
    file = tmp_path / "schema.json"
    call_command(
        "spectacular", validate=True, fail_on_warn=True, file=str(file), format="openapi-json"
    )
    document = json.loads(file.read_text())
    for path, operations in document["paths"].items():
        for name, operation in operations.items():
            described = set(operation["responses"])
            assert {"400", "401", "503"} <= described, (path, name)
    schemes = document["components"]["securitySchemes"]
    assert schemes["token"] == {"type": "http", "scheme": "bearer"}
