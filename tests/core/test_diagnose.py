"""Portable cases answered: the contract's line, the command, and the same bytes everywhere."""

from __future__ import annotations

import gzip
import io
import json
import os
import random
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from post_mortem.core import blocks
from post_mortem.core import compiled as compiled_walk
from post_mortem.core.calibration import Calibration, Curve
from post_mortem.core.calibration_table import DEFAULT, SHIPPED, Table, table_as_json
from post_mortem.core.diagnose import diagnose_case
from post_mortem.core.types import CAUSES
from tests.core import simulate
from trading.core.errors import UserError

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
    fired = [cause["cause"] for cause in causes if cause["status"] == "fired"]
    assert causes[len(fired)]["cause"] == "unknown"
    weak = causes[len(fired) + 1 :]
    assert all(cause["status"] == "not_fired" and cause["posterior"] > 0 for cause in weak)


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


def elsewhere(file: Path, **environment: str) -> str:
    """What the command prints in a process of its own, with a database where nothing answers."""
    nowhere = {"DATABASE_URL": "postgres://nobody:none@127.0.0.1:1/none"}
    return subprocess.run(
        [sys.executable, "manage.py", "diagnose", str(file)],
        cwd=ROOT,
        env=os.environ | nowhere | environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout


@pytest.fixture(scope="module")
def german(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A locale with decimal commas, made here where the system has its sources; else none."""
    folder = tmp_path_factory.mktemp("locales")
    tool = shutil.which("localedef")
    if tool:
        made = [tool, "-i", "de_DE", "-f", "UTF-8", str(folder / "de_DE.UTF-8")]
        subprocess.run(made, check=False, capture_output=True)
    if not (folder / "de_DE.UTF-8").is_dir():
        return {"LC_ALL": "C"}
    return {"LC_ALL": "de_DE.UTF-8", "LOCPATH": str(folder)}


def test_the_same_bytes_everywhere_and_without_a_database(
    file: Path, tmp_path: Path, german: dict[str, str]
) -> None:
    """Other hash seeds, time zones and locales; no numba; a database where nothing answers."""
    without = tmp_path / "without"
    (without / "numba").mkdir(parents=True)
    (without / "numba" / "__init__.py").write_text("raise ImportError('not installed here')\n")
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    outputs = {
        run(file),
        elsewhere(file, PYTHONHASHSEED="0", TZ="Asia/Kolkata", **german),
        elsewhere(file, PYTHONHASHSEED="4", TZ="America/New_York", **ascii_only),
        elsewhere(file, PYTHONPATH=str(without)),
    }
    assert len(outputs) == 1


def test_the_order_of_cases_does_not_matter(file: Path, cases: list[dict[str, Any]]) -> None:
    """An answer depends on its own case: shuffled, and each asked twice in one run."""
    lines = file.read_text().splitlines()
    answers = dict(zip(lines, run(file).splitlines(), strict=True))
    shuffled = 2 * lines
    random.Random(5).shuffle(shuffled)
    file.write_text("\n".join(shuffled) + "\n")
    assert run(file).splitlines() == [answers[line] for line in shuffled]


def test_numba_the_lockstep_and_the_scan_give_the_same_answers(
    cases: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    scanned = [diagnose_case(case) for case in cases]
    monkeypatch.setattr(blocks, "_SCANNED_CASES", -1)
    assert [diagnose_case(case) for case in cases] == scanned
    walks: list[int] = []

    def walked(*columns: Any) -> None:
        walks.append(columns[5].size)
        compiled(*columns)

    compiled = compiled_walk.walk_cases
    monkeypatch.setattr(compiled_walk, "walk_cases", walked)
    monkeypatch.setattr(blocks, "COMPILED_FROM", 1)
    assert [diagnose_case(case) for case in cases] == scanned
    assert walks


def test_a_long_window_is_walked_by_its_index(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[int] = []
    build = blocks.build_index
    monkeypatch.setattr(
        blocks, "build_index", lambda high, low: built.append(high.size) or build(high, low)
    )
    monkeypatch.setattr(blocks, "_SCANNED_BARS", 4)
    diagnose_case(simulate.make_case(3, "unknown"))
    assert built


def believed_less() -> Table:
    curves = {c: Curve(curve.intercept - 1.5, curve.slope) for c, curve in DEFAULT.curves.items()}
    return replace(SHIPPED, calibration=Calibration("less", curves, (0.5, -6.0, 0.5), 0.8))


def test_the_calibration_of_a_case_judges_it(cases: list[dict[str, Any]]) -> None:
    table = believed_less()
    carried = cases[0] | {"calibration": table_as_json(table)}
    assert diagnose_case(carried) == diagnose_case(cases[0], table.calibration)
    assert diagnose_case(carried) != diagnose_case(cases[0])
    assert diagnose_case(carried, DEFAULT) == diagnose_case(cases[0])


@pytest.mark.parametrize(
    ("table", "code"),
    [
        ("less", "bad_type"),
        ({}, "calibration_table"),
        (table_as_json(SHIPPED) | {"sure": 0.123}, "calibration_table"),
    ],
)
def test_a_calibration_that_was_changed_is_refused(
    cases: list[dict[str, Any]], table: object, code: str
) -> None:
    with pytest.raises(UserError) as refused:
        diagnose_case(cases[0] | {"calibration": table})
    assert refused.value.code == code
