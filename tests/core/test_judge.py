"""Portable histories judged: the contract's line, the command, and the same bytes everywhere."""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from benchmarks.impact.worlds import WORLDS, history_of, make_batch
from post_mortem.core.portable_history import dump_history, judge_history, parse_history
from trading.core.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
KEYS = {
    "id",
    "verdict",
    "estimate_r",
    "ci",
    "raw_before_after_r",
    "expected_rebound_r",
    "n_before",
    "n_after",
    "look",
    "more_trades_needed",
}


@pytest.fixture(scope="module")
def texts() -> list[str]:
    batch = make_batch(WORLDS["drift"], 4, seed=21, before=120, after=120)
    shapes = [(0.0, None), (1.0, None), (1.6, "salt"), (0.0, "salt")]
    return [
        dump_history(f"h{i}", *history_of(batch, i, effect, salt=salt))
        for i, (effect, salt) in enumerate(shapes)
    ]


@pytest.fixture
def file(tmp_path: Path, texts: list[str]) -> Path:
    path = tmp_path / "histories.jsonl"
    path.write_text("".join(text + "\n" for text in texts))
    return path


def run(*arguments: object) -> str:
    out = io.StringIO()
    call_command("judge", *(str(a) for a in arguments), stdout=out, stderr=io.StringIO())
    return out.getvalue()


def test_answers_come_a_line_a_history_with_the_contract_s_names(file: Path) -> None:
    answers = [json.loads(line) for line in run(file).splitlines()]
    assert [a["id"] for a in answers] == ["h0", "h1", "h2", "h3"]
    assert all(set(a) == KEYS for a in answers)
    assert answers[1]["verdict"] == "likely_helped"
    assert answers[2]["verdict"] == "helped"
    assert answers[2]["n_after"] == 120
    assert answers[0]["expected_rebound_r"] is not None
    assert answers[0]["look"][1] == 6


def test_a_gzipped_file_gives_the_same_answers(file: Path, tmp_path: Path) -> None:
    packed = tmp_path / "histories.jsonl.gz"
    packed.write_bytes(gzip.compress(file.read_bytes()))
    assert run(packed) == run(file)


def test_the_summary_is_one_object(file: Path, tmp_path: Path) -> None:
    output = tmp_path / "answers.jsonl"
    summary = json.loads(run(file, "--output", output, "--json"))
    assert summary["histories"] == 4
    assert sum(summary["verdicts"].values()) == 4
    assert output.read_text() == run(file)


def test_histories_of_one_account_are_held_to_how_many_they_are(tmp_path: Path) -> None:
    batch = make_batch(WORLDS["drift"], 150, seed=22, before=120, after=120)
    path = tmp_path / "many.jsonl"
    path.write_text(
        "".join(dump_history(f"h{i}", *history_of(batch, i, 0.0)) + "\n" for i in range(150))
    )
    alone = json.loads(run(path, "--json", "--output", tmp_path / "alone"))["verdicts"]
    together = json.loads(run(path, "--together", "--json", "--output", tmp_path / "all"))
    called = ("likely_helped", "likely_hurt")
    assert sum(alone.get(v, 0) for v in called) >= 1
    assert sum(together["verdicts"].get(v, 0) for v in called) <= 1
    ids = [json.loads(line)["id"] for line in (tmp_path / "all").read_text().splitlines()]
    assert ids == [f"h{i}" for i in range(150)]


def test_a_dumped_history_reads_as_it_was(texts: list[str]) -> None:
    batch = make_batch(WORLDS["drift"], 4, seed=21, before=120, after=120)
    whole, plan = history_of(batch, 2, 1.6, salt="salt")
    read, plan_read = parse_history(json.loads(texts[2]))
    assert (plan_read.implemented_at, read.trigger) == (plan.implemented_at, whole.trigger)
    assert read.time.tolist() == [t // 1000 * 1000 for t in whole.time.tolist()]
    assert read.r.tolist() == whole.r.tolist()
    assert read.assignment is not None
    assert whole.assignment is not None
    assert read.assignment.on.tolist() == whole.assignment.on.tolist()


def test_the_order_of_trades_and_days_plays_no_part(texts: list[str]) -> None:
    rng = np.random.default_rng(1)
    for text in texts:
        value = json.loads(text)
        mixed = dict(value)
        for name in ("trades", "assignment"):
            if value[name] is not None:
                mixed[name] = [value[name][i] for i in rng.permutation(len(value[name]))]
        assert judge_history(mixed) == judge_history(value)


def _changed(**changes: Any) -> dict[str, Any]:
    trade = {"time": "2026-01-05T10:00:00Z", "r": 1.0, "covered": True, "cell": "a"}
    whole = {
        "id": "x",
        "implemented_at": "2026-01-06T00:00:00+00:00",
        "trades": [trade],
        "assignment": None,
        "trigger": None,
    }
    inner = {k[6:]: v for k, v in changes.items() if k.startswith("trade_")}
    whole["trades"] = [trade | inner]
    return whole | {k: v for k, v in changes.items() if not k.startswith("trade_")}


DAY = {"day": "2026-01-06", "arm": "on"}
BAD = [
    ({"id": 3}, "id"),
    ({"implemented_at": "soon"}, "implemented_at"),
    ({"implemented_at": None}, "implemented_at"),
    ({"trades": None}, "trades"),
    ({"trades": {}}, "trades"),
    ({"trades": [1]}, "trades[0]"),
    ({"trade_time": 5}, "trades[0].time"),
    ({"trade_r": "1"}, "trades[0].r"),
    ({"trade_r": True}, "trades[0].r"),
    ({"trade_r": None}, "trades[0].r"),
    ({"trade_covered": 1}, "trades[0].covered"),
    ({"trade_covered": "yes"}, "trades[0].covered"),
    ({"trade_cell": None}, "trades[0].cell"),
    ({"trade_cell": 7}, "trades[0].cell"),
    ({"assignment": {}}, "assignment"),
    ({"assignment": [{"day": "2026-02-30", "arm": "on"}]}, "assignment[0].day"),
    ({"assignment": [{"day": "2026-01-06T00:00", "arm": "on"}]}, "assignment[0].day"),
    ({"assignment": [DAY, DAY]}, "assignment[1].day"),
    ({"assignment": [DAY | {"arm": "maybe"}]}, "assignment[0].arm"),
    ({"trigger": [10, 1]}, "trigger"),
    ({"trigger": {"window": 0, "mean_r": -1}}, "trigger.window"),
    ({"trigger": {"window": 2.5, "mean_r": -1}}, "trigger.window"),
    ({"trigger": {"window": 10}}, "trigger.mean_r"),
]


@pytest.mark.parametrize(("change", "field"), BAD, ids=[f"{f}-{i}" for i, (_, f) in enumerate(BAD)])
def test_a_wrong_value_is_refused_by_its_path(change: dict[str, Any], field: str) -> None:
    with pytest.raises(UserError) as refused:
        judge_history(_changed(**change))
    assert refused.value.field == field


def test_a_right_one_is_taken_and_unknown_keys_are_left_alone() -> None:
    assert judge_history(_changed(note="mine"))["verdict"] == "too_early"
    assert judge_history(_changed(trades=[]))["n_before"] == 0
    assert judge_history(_changed(assignment=[]))["verdict"] == "too_early"


@pytest.mark.parametrize(
    ("line", "code"),
    [("{", "bad_json"), ('{"id": "a", "id": "b"}', "duplicate_key"), ('{"id": NaN}', "not_finite")],
)
def test_a_bad_line_is_named_and_nothing_is_written(
    file: Path, tmp_path: Path, line: str, code: str
) -> None:
    output = tmp_path / "answers.jsonl"
    output.write_text("what was there before\n")
    file.write_text(file.read_text() + line + "\n")
    with pytest.raises(CommandError) as refused:
        run(file, "--output", output)
    assert refused.value.returncode == 2
    assert "line 5" in str(refused.value)
    assert code in str(refused.value)
    assert output.read_text() == "what was there before\n"


def test_a_missing_file_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(CommandError) as refused:
        run(tmp_path / "none.jsonl")
    assert refused.value.returncode == 2


def test_every_process_gives_the_same_bytes_in_any_zone_with_any_hash_seed(file: Path) -> None:
    found = set()
    for zone, seed in (("UTC", "0"), ("Asia/Tokyo", "7")):
        environment = os.environ | {"TZ": zone, "PYTHONHASHSEED": seed}
        done = subprocess.run(
            [sys.executable, "manage.py", "judge", str(file)],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            check=True,
        )
        found.add(done.stdout)
    assert found == {run(file).encode()}
