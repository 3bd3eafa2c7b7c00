"""The commands import_ohlcv and import_news as a shell sees them."""

from __future__ import annotations

import json
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from django.core.management import CommandError, call_command, execute_from_command_line
from django.db import connections

from tests.trading.candle_texts import lines, text
from trading.core.errors import FileError, OperatorError, Problem, RetryLaterError
from trading.management.base import InquestCommand, Summary, error_as_dict, error_lines
from trading.models import CandleSeries, ImportBatch, NewsEvent

pytestmark = pytest.mark.django_db


@pytest.fixture
def bars(tmp_path: Path) -> Path:
    path = tmp_path / "EURUSD_M1.csv"
    path.write_bytes(text())
    return path


def run(*args: str) -> str:
    out = StringIO()
    call_command(*args, stdout=out, stderr=StringIO())
    return out.getvalue()


def status(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    """Exit status, stdout and stderr of a command line."""
    code = 0
    # A command line closes its connections at the end; the test still needs its own.
    with mock.patch.object(connections, "close_all"):
        try:
            execute_from_command_line(["manage.py", *args])
        except SystemExit as stop:
            code = int(stop.code or 0)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_the_summary_says_what_was_understood(bars: Path) -> None:
    shown = run("import_ohlcv", str(bars))
    assert "EURUSD (file name) 1m (file name), trade, csv" in shown
    assert "10 inserted, 0 updated, 0 unchanged" in shown
    assert "2024-01-08T00:00:00+00:00" in shown


def test_json_is_one_object(bars: Path) -> None:
    summary = json.loads(run("import_ohlcv", "--csv", str(bars), "--json"))
    assert (summary["inserted"], summary["dry_run"]) == (10, False)
    assert summary["files"][0]["warnings"] == []


def test_a_dry_run_says_so_and_keeps_nothing(bars: Path) -> None:
    said = run("import_ohlcv", str(bars), "--dry-run")
    assert "10 rows: 10 would be inserted, 0 would be updated" in said
    assert "1 file, 10 rows: 10 bars would be inserted" in said
    assert not CandleSeries.objects.exists()


def test_bad_input_is_status_2_with_file_line_and_code(
    bars: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = lines()
    rows[4] += ",1"
    bars.write_bytes(text(rows))
    code, out, err = status(capsys, "import_ohlcv", str(bars))
    assert (code, out) == (2, "")
    assert err == "EURUSD_M1.csv, line 6: the line has 7 cells, 6 are expected [column_count]\n"
    code, out, _ = status(capsys, "import_ohlcv", str(bars), "--json")
    assert code == 2
    answer = json.loads(out)
    assert (answer["code"], answer["row"]) == ("column_count", 6)
    assert answer["problems"][0]["count"] == 1


BAD_ARGUMENTS = [
    (["--symbol", "<script>"], "bad_symbol"),
    (["--timeframe", "fortnight"], "timeframe"),
    (["--tz", "Mars/Base"], "timezone"),
]


@pytest.mark.parametrize(("args", "code"), BAD_ARGUMENTS)
def test_bad_arguments_are_bad_input(
    bars: Path, capsys: pytest.CaptureFixture[str], args: list[str], code: str
) -> None:
    found, _, err = status(capsys, "import_ohlcv", str(bars), *args)
    assert found == 2
    assert f"[{code}]" in err


def test_no_file_and_an_absent_file_are_bad_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status(capsys, "import_ohlcv")[0] == 2
    code, _, err = status(capsys, "import_ohlcv", str(tmp_path / "none.csv"))
    assert (code, "[not_readable]" in err) == (2, True)
    assert status(capsys, "import_ohlcv", str(tmp_path))[0] == 2
    assert status(capsys, "import_ohlcv", "--nonsense")[0] == 2


def test_a_gap_is_told_by_its_longest(bars: Path) -> None:
    rows = lines(20)
    bars.write_bytes(text([*rows[:3], *rows[5:6], *rows[9:]]))
    said = run("import_ohlcv", str(bars))
    assert "bars are missing inside market hours: 5 in 2 gaps, the longest of 3 after" in said
    assert "(5 in all, the first at line " in said


def test_news_from_the_shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "may.csv"
    path.write_text("time,currency,title,impact\n2014-05-02 12:30,USD,Payrolls,high\n")
    code, _, err = status(capsys, "import_news", str(path))
    assert (code, "[timezone_required]" in err) == (2, True)
    code, out, _ = status(capsys, "import_news", str(path), "--tz", "UTC", "--json")
    assert (code, json.loads(out)["inserted"]) == (0, 1)
    assert NewsEvent.objects.get().title == "Payrolls"


class Sample(InquestCommand):
    requires_system_checks: Any = []
    error: BaseException | None = None
    found = 0

    def run(self, **options: Any) -> Summary:
        with self.progress(3, "things") as bar:
            bar.advance(3)
        if self.error:
            raise self.error
        return {"things_found": 1234, "names": ["a", "b"]}

    def exit_status(self, summary: Summary) -> int:
        return self.found


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (FileError("a.csv", (Problem("bad", "is bad", True),)), 2),
        (OperatorError("disk", "the disk is full"), 1),
        (RetryLaterError("locked", "try again"), 1),
    ],
)
def test_the_type_of_an_error_decides_the_status(error: Exception, expected: int) -> None:
    command = Sample(stdout=StringIO(), stderr=StringIO())
    command.error = error
    with pytest.raises(CommandError) as caught:
        call_command(command)
    assert caught.value.returncode == expected


def test_an_interrupt_is_a_failure_that_says_what_was_kept() -> None:
    out = StringIO()
    command = Sample(stdout=out, stderr=StringIO())
    command.error = KeyboardInterrupt()
    with pytest.raises(CommandError) as caught:
        call_command(command, "--json")
    assert caught.value.returncode == 1
    assert str(caught.value) == "Stopped. Nothing was stored. [interrupted]"
    assert json.loads(out.getvalue())["code"] == "interrupted"


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("trading.services.candle_imports._store", "Stopped. Nothing was stored. [interrupted]"),
        (
            "trading.services.candle_imports.ImportResult.as_dict",
            "Stopped. Stored before that, as a whole: EURUSD_M1.csv (import {}). [interrupted]",
        ),
    ],
)
def test_an_interrupted_import_says_whether_it_was_stored(
    bars: Path, capsys: pytest.CaptureFixture[str], where: str, said: str
) -> None:
    with mock.patch(where, side_effect=KeyboardInterrupt):
        code, out, err = status(capsys, "import_ohlcv", str(bars))
    last = ImportBatch.objects.last()
    assert (code, out, err) == (1, "", said.format(last.pk if last else "") + "\n")
    assert CandleSeries.objects.exists() == (last is not None)


def test_findings_can_fail_after_the_summary() -> None:
    out = StringIO()
    command = Sample(stdout=out, stderr=StringIO())
    command.found = 1
    with pytest.raises(CommandError) as caught:
        call_command(command)
    assert caught.value.returncode == 1
    assert out.getvalue() == "things found: 1,234\nnames: a, b\n"


def test_progress_is_drawn_on_a_terminal_only() -> None:
    class Terminal(StringIO):
        def isatty(self) -> bool:
            return True

    for stream, drawn in ((Terminal(), True), (StringIO(), False)):
        call_command(Sample(stdout=StringIO(), stderr=stream, no_color=True))
        assert ("things [" in stream.getvalue()) == drawn


def test_every_problem_is_a_line_fatal_ones_first() -> None:
    error = FileError(
        "a.csv",
        (
            Problem("late", "is late", False, rows=(9,), count=3),
            Problem("bad", "is bad", True, rows=(4, 5), count=2),
        ),
    )
    assert error_lines(error) == [
        "a.csv, line 4: is bad (2 times) [bad]",
        "a.csv, line 9: warning: is late (3 times) [late]",
    ]
    assert error_as_dict(error)["file"] == "a.csv"


def test_reading_a_command_imports_no_heavy_library() -> None:
    code = (
        "import django, sys; django.setup(); "
        "import trading.management.commands.import_ohlcv; "
        "import trading.management.commands.import_news; "
        "sys.exit(bool({'pandas', 'pyarrow', 'scipy'} & sys.modules.keys()))"
    )
    environment = {"DJANGO_SETTINGS_MODULE": "config.settings", "PATH": "/usr/bin:/bin"}
    assert (
        subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0
    )
