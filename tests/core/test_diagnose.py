"""Portable cases answered: the contract's line, the command, and the same bytes everywhere."""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from post_mortem.core.diagnose import diagnose_case
from post_mortem.core.types import CAUSES
from tests.core import simulate

ROOT = Path(__file__).resolve().parents[2]
PLANTED = ("news_shock", "model_error", "unknown", "spread_slippage")


@pytest.fixture(scope="module")
def cases() -> list[dict[str, Any]]:
    return [simulate.make_case(3, cause) for cause in PLANTED]


@pytest.fixture
def file(tmp_path: Path, cases: list[dict[str, Any]]) -> Path:
    path = tmp_path / "cases.jsonl"
    path.write_text("".join(json.dumps(case) + "\n" for case in cases))
    return path


def run(*arguments: object) -> str:
    out = io.StringIO()
    call_command("diagnose", *(str(a) for a in arguments), stdout=out, stderr=io.StringIO())
    return out.getvalue()


def test_the_answer_has_the_contract_s_names(cases: list[dict[str, Any]]) -> None:
    answer = diagnose_case(cases[0])
    assert set(answer) == {"id", "label", "causes", "abstained", "evidence_hash"}
    assert set(answer["label"]) == {  # type: ignore[call-overload]
        "outcome",
        "exit_time",
        "exit_price",
        "r_multiple",
        "mfe_r",
        "mae_r",
        "ambiguous",
    }
    causes: Any = answer["causes"]
    assert [cause["rank"] for cause in causes] == list(range(1, len(causes) + 1))
    assert all(
        set(cause) == {"rank", "cause", "confidence", "posterior", "status"} for cause in causes
    )
    assert {cause["cause"] for cause in causes} <= set(CAUSES)
    assert causes[0]["cause"] == "news_shock"
    assert causes[-1]["cause"] == "unknown"


def test_what_could_not_be_checked_is_named(cases: list[dict[str, Any]]) -> None:
    answer = diagnose_case(cases[0] | {"news": None})
    assert {"cause": "news_shock", "missing": ["news"]} in answer["abstained"]  # type: ignore[operator]
    assert answer["causes"][0]["cause"] == "unknown"  # type: ignore[index]


def test_a_case_is_left_as_it_was(cases: list[dict[str, Any]]) -> None:
    before = json.dumps(cases)
    for case in cases:
        diagnose_case(case)
    assert json.dumps(cases) == before


def test_answers_come_a_line_a_case(file: Path, cases: list[dict[str, Any]]) -> None:
    lines = run(file).splitlines()
    assert [json.loads(line)["id"] for line in lines] == [case["id"] for case in cases]
    assert [json.loads(line) for line in lines] == [diagnose_case(case) for case in cases]


def test_a_gzipped_file_gives_the_same_answers(file: Path, tmp_path: Path) -> None:
    packed = tmp_path / "cases.jsonl.gz"
    packed.write_bytes(gzip.compress(file.read_bytes()))
    assert run(packed) == run(file)


def test_the_summary_is_one_object(file: Path, tmp_path: Path) -> None:
    output = tmp_path / "answers.jsonl"
    summary = json.loads(run(file, "--output", output, "--json"))
    assert summary["cases"] == len(PLANTED)
    assert summary["outcomes"] == {"failed": len(PLANTED)}
    assert sum(summary["first_causes"].values()) == len(PLANTED)
    assert output.read_text() == run(file)


BAD_LINES = [
    ("{", "bad_json"),
    ("[1, 2]", "bad_json"),
    ('{"schema": "inquest.case/1", "point": NaN}', "not_finite"),
    ('{"id": 1, "id": 2}', "duplicate_key"),
    ('{"schema": "other/1"}', "schema"),
    ("[" * 200_000, "bad_json"),
]


@pytest.mark.parametrize(("line", "code"), BAD_LINES, ids=[code for _, code in BAD_LINES])
def test_a_bad_line_is_named_and_nothing_is_written(
    file: Path, tmp_path: Path, line: str, code: str
) -> None:
    output = tmp_path / "answers.jsonl"
    output.write_text("what was there before\n")
    good = file.read_text().splitlines()
    file.write_text("\n".join([good[0], "", line, good[1]]) + "\n")
    with pytest.raises(CommandError) as refused:
        run(file, "--output", output)
    assert refused.value.returncode == 2
    assert f"{file}, line 3:" in str(refused.value)
    assert f"[{code}]" in str(refused.value)
    assert output.read_text() == "what was there before\n"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["answers.jsonl", "cases.jsonl"]


def test_a_field_that_is_wrong_is_named(file: Path, cases: list[dict[str, Any]]) -> None:
    wrong = json.loads(json.dumps(cases[1]))
    wrong["candles"]["high"][3] = 0.5
    file.write_text(json.dumps(cases[0]) + "\n" + json.dumps(wrong) + "\n")
    with pytest.raises(CommandError, match="line 2") as refused:
        run(file)
    assert refused.value.returncode == 2
    assert "[ohlc_inconsistent]" in str(refused.value)


@pytest.mark.parametrize("content", [b"\x1f\x8b\x08 not gzip", b"\xff\xfe\x00"])
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / ("x.jsonl.gz" if content.startswith(b"\x1f") else "x.jsonl")
    path.write_bytes(content)
    with pytest.raises(CommandError) as refused:
        run(path)
    assert refused.value.returncode == 2
    assert "[unreadable]" in str(refused.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CommandError) as refused:
        run(tmp_path / "none.jsonl")
    assert refused.value.returncode == 2
    assert "[no_such_file]" in str(refused.value)


def test_the_same_bytes_everywhere_and_without_a_database(file: Path) -> None:
    """Other hash seeds, time zones and locales; a database address where nothing answers."""
    outputs = {run(file)}
    for seed, zone in (("0", "Asia/Kolkata"), ("4", "America/New_York")):
        changes = {
            "PYTHONHASHSEED": seed,
            "TZ": zone,
            "LC_ALL": "de_DE.UTF-8",
            "DATABASE_URL": "postgres://nobody:none@127.0.0.1:1/none",
        }
        outputs.add(
            subprocess.run(
                [sys.executable, "manage.py", "diagnose", str(file)],
                cwd=ROOT,
                env=os.environ | changes,
                capture_output=True,
                text=True,
                check=True,
            ).stdout
        )
    assert len(outputs) == 1
