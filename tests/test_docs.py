"""Documentation cannot lie: whatever an operator can set or run is described, and exists."""

import re
from pathlib import Path
from typing import Final

import pytest
from django.core.management import get_commands, load_command_class

from config.env import KNOBS

ROOT: Final = Path(__file__).resolve().parent.parent
OUR_APPS: Final = ("trading", "post_mortem")
OUR_COMMANDS: Final = {name: app for name, app in get_commands().items() if app in OUR_APPS}
_MAKE_TARGET: Final = re.compile(r"^([a-z]+):", re.MULTILINE)


@pytest.fixture(scope="module")
def readme() -> str:
    return (ROOT / "README.md").read_text()


@pytest.fixture(scope="module")
def documentation(readme: str) -> str:
    return readme + "".join(path.read_text() for path in sorted((ROOT / "docs").glob("**/*.md")))


@pytest.mark.parametrize("knob", KNOBS)
def test_every_setting_is_documented(documentation: str, knob: str) -> None:
    assert f"`{knob}`" in documentation


@pytest.mark.parametrize("knob", KNOBS)
def test_every_setting_is_in_the_example(knob: str) -> None:
    assert re.search(rf"^#?{knob}=", (ROOT / ".env.example").read_text(), re.MULTILINE)


def test_the_example_has_no_other_settings() -> None:
    named = re.findall(r"^#?([A-Z][A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE)
    assert sorted(named) == sorted(KNOBS)


@pytest.mark.parametrize("command", sorted(OUR_COMMANDS))
def test_every_command_is_documented(documentation: str, command: str) -> None:
    assert re.search(rf"`(?:python manage\.py )?{command}\b|manage\.py {command}\b", documentation)


@pytest.mark.parametrize("command", sorted(OUR_COMMANDS))
def test_every_command_says_what_it_does(command: str) -> None:
    assert load_command_class(OUR_COMMANDS[command], command).help.strip()


def test_documented_commands_exist(documentation: str) -> None:
    named = set(re.findall(r"manage\.py ([a-z_]+)", documentation))
    assert named - set(get_commands()) == set()


def test_documented_make_targets_exist(documentation: str) -> None:
    targets = set(_MAKE_TARGET.findall((ROOT / "Makefile").read_text()))
    named = set(re.findall(r"(?:^|`)(?:[A-Z]+=\S+ )*make ([a-z]+)", documentation, re.MULTILINE))
    assert named - targets == set()


def test_the_quick_start_is_the_two_commands(readme: str) -> None:
    quick_start = readme.partition("## Quick start")[2].partition("\n## ")[0]
    assert quick_start
    assert "make demo" in quick_start
    assert "make test" in quick_start


def test_links_to_files_of_the_repository_lead_somewhere() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("**/*.md")]
    broken = [
        f"{page.name}: {target}"
        for page in pages
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text())
        if "://" not in target and not (page.parent / target).exists()
    ]
    assert broken == []


def test_the_changelog_names_versions_in_order() -> None:
    dated = re.findall(
        r"^## v(\d+)\.(\d+)\.(\d+) - (\d{4}-\d{2}-\d{2})$",
        (ROOT / "CHANGELOG.md").read_text(),
        re.MULTILINE,
    )
    assert dated
    assert dated == sorted(dated, key=lambda d: tuple(map(int, d[:3])), reverse=True)
