"""Photographs of every page: 1440 and 390 pixels wide, light and dark, to be looked at.

`python -m tests.pages.screens URL --user NAME --password WORD [--out FOLDER] [--only PART]` against
a running server; nothing is asserted here.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

from tests.available import chromium_path
from tests.conftest import _CHROMIUM_FLAGS as CHROMIUM_FLAGS

SIZES = {"desk": (1440, 900), "phone": (390, 844)}
THEMES = ("light", "dark")


def paths(page: Page, base: str) -> Iterator[tuple[str, str]]:
    """Name and path of every page, with the first trade of the list."""
    yield from (("dashboard", "/"), ("dashboard-money", "/?unit=money"), ("trades", "/trades/"))
    page.goto(f"{base}/trades/")
    for name, rows in (
        ("trade", "tr:has-text('strong')"),
        ("trade-won", "tr:has-text('succeeded')"),
    ):
        links = page.locator(f"{rows} >> td.col-closed a")
        if links.count():
            yield name, str(links.first.get_attribute("href")).split("?")[0]
    yield from (
        ("patterns", "/patterns/"),
        ("plans", "/plans/"),
        ("recommendations", "/recommendations/"),
        ("audits-review", "/audits/review/"),
        ("review", "/review/"),
        ("review-past", "/review/past/"),
        ("experiments", "/experiments/"),
        ("experiment-new", "/experiments/new/"),
        ("rules", "/rules/"),
        ("model", "/model/"),
        ("import", "/import/"),
        ("404", "/nowhere/"),
    )


def shoot(browser: Any, args: argparse.Namespace) -> None:
    args.out.mkdir(parents=True, exist_ok=True)
    for size, (width, height) in SIZES.items():
        for theme in THEMES:
            context = browser.new_context(
                viewport={"width": width, "height": height}, color_scheme=theme
            )
            page = context.new_page()
            page.goto(f"{args.url}/sign-in/")
            page.screenshot(path=args.out / f"sign-in-{size}-{theme}.png")
            page.fill("input[name=username]", args.user)
            page.fill("input[name=password]", args.password)
            page.click("button[type=submit]")
            for name, path in [*paths(page, args.url)]:
                if args.only in name:
                    page.goto(f"{args.url}{path}", wait_until="networkidle")
                    page.screenshot(path=args.out / f"{name}-{size}-{theme}.png", full_page=True)
            context.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--user", required=True)
    parser.add_argument("--password", required=True)
    parser.add_argument("--only", default="")
    parser.add_argument("--out", type=Path, default=Path("reports/screens"))
    args = parser.parse_args()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=CHROMIUM_FLAGS)
        shoot(browser, args)
        browser.close()


if __name__ == "__main__":
    main()
