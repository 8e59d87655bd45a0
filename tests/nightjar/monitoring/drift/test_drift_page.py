"""The page on drift in a real Chromium: it draws, fits a telephone, works by keyboard and offline."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from nightjar.monitoring.drift.report import Report, render
from nightjar.monitoring.drift.table import PastNight

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if BROWSER is None:
        pytest.skip("needs Chromium: `apt install chromium`")
    quiet = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=BROWSER, args=list(quiet))
        yield launched
        launched.close()


def with_history(report: Report) -> Report:
    """Two weeks before: the wind has moved for five nights, the others have not."""
    nights = [report.night - timedelta(days=days) for days in range(14, 0, -1)]
    history = [
        PastNight(
            night=night,
            psi={name: 0.02 for name in report.drift.by_name} | {"wind": 0.4 if night >= date(2013, 3, 27) else 0.05},
            watched=5,
            drifted=int(night >= date(2013, 3, 27)),
        )
        for night in nights
    ]
    return replace(report, history=history, title="Flights out of New York")


def opened(browser: Browser, folder: Path, report: Report, *, width: int, scheme: str) -> tuple[Page, list[str]]:
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme="dark" if scheme == "dark" else "light", offline=True
    )
    (folder / "drift.html").write_text(render(report))
    page, problems = context.new_page(), []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text))
    page.on("request", lambda request: None if request.url.startswith("file:") else problems.append(request.url))
    page.goto((folder / "drift.html").as_uri())
    return page, problems


@pytest.mark.parametrize("night", ["quiet", "moved"])
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")])
def test_the_page_draws_and_fits(
    browser: Browser, tmp_path: Path, report: Report, compared: Any, night: str, width: int, scheme: str
) -> None:
    shown = with_history(report)
    if night == "quiet":
        shown = replace(shown, drift=compared.night(), notes=())
    page, problems = opened(browser, tmp_path, shown, width=width, scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    plots = page.locator("svg[role=img]")
    assert plots.count() >= 9
    for index in range(plots.count()):
        box = plots.nth(index).bounding_box()
        assert box is not None
        assert box["width"] > 100
        assert box["height"] > 20
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
    heading = page.locator("h1").bounding_box()
    assert heading is not None
    assert heading["y"] + heading["height"] < 500, "the verdict is seen without scrolling"
    clipped = page.evaluate(
        """() => [...document.querySelectorAll('svg.plot text')].filter(t => {
             const own = t.getBoundingClientRect(), box = t.ownerSVGElement.getBoundingClientRect();
             return own.left < box.left - 8 || own.right > box.right + 8;
           }).map(t => t.textContent)"""
    )
    assert clipped == []
    page.screenshot(
        path=Path(os.environ.get("SCREENSHOTS", str(tmp_path))) / f"drift_{night}_{width}_{scheme}.png", full_page=True
    )
    assert problems == []
    page.context.close()


def test_it_says_since_when(browser: Browser, tmp_path: Path, report: Report) -> None:
    page, _ = opened(browser, tmp_path, with_history(report), width=1280, scheme="light")
    wind = page.locator("article", has=page.get_by_role("heading", name="wind"))
    assert wind.get_by_text("Since 27 March: 6 nights in a row.").is_visible()
    assert wind.get_by_text("It looks like the 14 nights before: the change is not new.").is_visible()
    precip = page.locator("article", has=page.get_by_role("heading", name="precip"))
    assert precip.get_by_text("New tonight: PSI was below the limit on the night before.").is_visible()
    page.context.close()


def test_the_table_sorts_by_every_figure(browser: Browser, tmp_path: Path, report: Report) -> None:
    page, problems = opened(browser, tmp_path, with_history(report), width=1280, scheme="light")
    table = page.locator("table.sortable")
    table.locator("thead button", has_text="Moved by").focus()
    page.keyboard.press("Enter")
    order = [name.split("\n")[0] for name in table.locator("tbody th").all_inner_texts()]
    found = report.drift.by_name
    expected = sorted(found, key=lambda name: -(w if (w := found[name].wasserstein) is not None else -1.0))
    assert order == expected, "categories, which do not move by a distance, come last"
    assert problems == []
    page.context.close()
