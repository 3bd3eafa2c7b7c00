"""An import in a real browser: previewed, made and taken back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from trading.models import Trade

from .factories import World

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


_TABLE = b"""symbol,side,quantity,opened_at,entry_price,closed_at,exit_price
EURUSD,long,1,2014-05-01T10:00:00Z,1.3870,2014-05-01T11:00:00Z,1.3890
EURUSD,short,2,2014-05-01T12:00:00Z,1.3880,2014-05-01T13:00:00Z,1.3870
"""


def test_a_file_is_previewed_imported_and_taken_back(world: World, page: Page) -> None:
    before = Trade.objects.count()
    page.goto("/import/")
    page.set_input_files(
        "input[name=file]", {"name": "t.csv", "mimeType": "text/csv", "buffer": _TABLE}
    )
    page.get_by_role("button", name="Preview").click()
    page.get_by_text("Would import: 2 trades new").wait_for()
    assert Trade.objects.count() == before
    page.get_by_role("button", name="Import 2 trades").click()
    page.get_by_text("Imported: 2 trades new").wait_for()
    assert Trade.objects.count() == before + 2
    page.goto("/import/")
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Undo").click()
    page.get_by_text("Taken back.").wait_for()
    assert Trade.objects.count() == before


def test_a_bad_file_says_which_line_and_saves_nothing(world: World, page: Page) -> None:
    before = Trade.objects.count()
    page.goto("/import/")
    bad = _TABLE.replace(b"2014-05-01T13:00:00Z", b"2014-05-01T11:30:00Z")
    page.set_input_files(
        "input[name=file]", {"name": "t.csv", "mimeType": "text/csv", "buffer": bad}
    )
    page.get_by_role("button", name="Preview").click()
    page.get_by_text("Nothing was saved.").wait_for()
    assert "line 3" in page.locator("#import-result").inner_text()
    assert Trade.objects.count() == before
