"""The pages on performance in a real Chromium: they draw, fit a telephone, and work by keyboard and offline."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from tests.nightjar.monitoring.performance.problem_type_nights import KINDS, MINUTES, pages_of
from tests.nightjar.monitoring.performance.test_performance_report import of_night, of_week, pages

from nightjar.monitoring.performance.report import render, render_week

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PAGES = ("good", "broken", "good_week", "broken_week")
OF_TYPES = ("numbers", "numbers_broken_week", "classes_broken", "classes_week")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if BROWSER is None:
        pytest.skip("needs Chromium: `apt install chromium`")
    quiet = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=BROWSER, args=list(quiet))
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages as files; screenshots go to ``SCREENSHOTS`` where that is set."""
    made = tmp_path_factory.mktemp("performance")
    good, broken = pages(), pages(skill=0.1, shift=0.5, bad="EWR")
    for name, given in (("good", good), ("broken", broken)):
        (made / f"{name}.html").write_text(render(of_night(given)))
        (made / f"{name}_week.html").write_text(render_week(of_week(given)))
    (made / "numbers.html").write_text(render(of_night(pages_of(MINUTES))))
    (made / "numbers_broken_week.html").write_text(render_week(of_week(pages_of(MINUTES, off=9.0))))
    (made / "classes_broken.html").write_text(render(of_night(pages_of(KINDS, off=1.0))))
    (made / "classes_week.html").write_text(render_week(of_week(pages_of(KINDS))))
    return made


def opened(browser: Browser, folder: Path, name: str, *, width: int, scheme: str) -> tuple[Page, list[str]]:
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme="dark" if scheme == "dark" else "light", offline=True
    )
    page, problems = context.new_page(), []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text))
    page.on("request", lambda request: None if request.url.startswith("file:") else problems.append(request.url))
    page.goto((folder / f"{name}.html").as_uri())
    return page, problems


@pytest.mark.parametrize("name", [*PAGES, *OF_TYPES])
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")])
def test_the_page_draws_and_fits(browser: Browser, folder: Path, name: str, width: int, scheme: str) -> None:
    page, problems = opened(browser, folder, name, width=width, scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    plots = page.locator("svg[role=img]")
    assert plots.count() >= (7 if name in PAGES else 4)
    for index in range(plots.count()):
        box = plots.nth(index).bounding_box()
        assert box is not None
        assert box["width"] > 200
        assert box["height"] > 40
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
        path=Path(os.environ.get("SCREENSHOTS", str(folder))) / f"performance_{name}_{width}_{scheme}.png",
        full_page=True,
    )
    assert problems == []
    page.context.close()


def test_the_keyboard_reaches_everything(browser: Browser, folder: Path) -> None:
    page, problems = opened(browser, folder, "broken", width=1280, scheme="light")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    assert page.locator(".skip").bounding_box() is not None
    page.keyboard.press("Enter")
    assert page.evaluate("location.hash") == "#verdict"
    seen = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        seen.add(page.evaluate("document.activeElement.innerText?.split('\\n')[0] ?? ''"))
    assert {"Origin", "AUC", "Log loss"} <= seen, "tables scroll and sort by keyboard"
    by_auc = page.locator("[aria-label='Figures by origin'] thead button", has_text="AUC")
    by_auc.focus()
    page.keyboard.press("Enter")
    values = page.eval_on_selector_all(
        "[aria-label='Figures by origin'] tbody td:nth-child(5)", "cells => cells.map(c => Number(c.dataset.value))"
    )
    assert values == sorted(values, reverse=True)
    assert problems == []
    page.context.close()
