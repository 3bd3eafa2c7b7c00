"""A real browser in which a person is signed in, and what it is asked about a page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from axe_playwright_python.sync_playwright import Axe
from django.test import Client

from .factories import World

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

Opened = Callable[..., "BrowserContext"]

DESK = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 844}
_WATCH = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (e) =>
  window.violations.push(`${e.violatedDirective} ${e.blockedURI} ${e.sourceFile}:${e.lineNumber}`));
"""


@contextmanager
def contexts(browser: Browser, url: str, user: Any) -> Iterator[Opened]:
    """Makes contexts in which the user is signed in, as wide as a desk; all remember what the
    policy blocks, and are closed at the end."""
    made: list[BrowserContext] = []

    def make(**options: Any) -> BrowserContext:
        client = Client()
        client.force_login(user)
        context = browser.new_context(base_url=url, **({"viewport": DESK} | options))
        cookie = client.cookies["sessionid"].value
        context.add_cookies([{"name": "sessionid", "value": cookie, "url": url}])
        context.add_init_script(_WATCH)
        made.append(context)
        return context

    yield make
    for context in made:
        context.close()


def blocked(page: Page) -> list[str]:
    """What the content security policy refused on this page."""
    found: list[str] = page.evaluate("window.violations")
    return found


def width_of(page: Page) -> int:
    """How far the page scrolls to the side, in pixels."""
    return int(page.evaluate("document.documentElement.scrollWidth"))


def serious_faults(page: Page) -> list[tuple[str, list[str]]]:
    """What axe calls serious or worse: the rule, and the first places."""
    return [
        (fault["id"], [node["html"][:120] for node in fault["nodes"][:3]])
        for fault in Axe().run(page).response["violations"]
        if fault["impact"] in ("serious", "critical")
    ]


def open_trade(page: Page, world: World) -> None:
    """The post-mortem of the trade that the release stopped out, with its chart drawn."""
    page.goto(f"/trades/{world.news_trade.pk}/")
    page.wait_for_selector("#chart[data-drawn=yes] canvas")
