"""Pages in a browser: login, trigger form, assets, and the report behind its button."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from datetime import date
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect, sync_playwright
from tests.e2e.conftest import USE_CASE, Deployment

from nightjar.local.airflow_login import USER, admin_password

pytestmark = [pytest.mark.e2e, pytest.mark.spark, pytest.mark.timeout(1500)]
NIGHT = date(2013, 4, 3)
NIGHTLY = f"/dags/{USE_CASE.name}_nightly"
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PATIENCE = 60_000.0


@pytest.fixture(scope="module")
def page(deployment: Deployment) -> Iterator[Page]:
    """A browser page of a logged-in user."""
    if BROWSER is None:
        pytest.skip("needs Chromium: `apt install chromium`")
    quiet = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=list(quiet))
        context = browser.new_context(
            base_url=deployment.session.ports.airflow_url, viewport={"width": 1400, "height": 950}
        )
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.goto("/")
        page.fill("input[name=username]", USER)
        page.fill("input[name=password]", admin_password(deployment.paths.airflow_home))
        page.keyboard.press("Enter")
        expect(page.get_by_role("link", name="Dags")).to_be_visible(timeout=PATIENCE)
        yield page
        browser.close()


def test_the_form_of_a_trigger_asks_for_nights_model_and_force(page: Page) -> None:
    page.goto(NIGHTLY)
    page.get_by_role("button", name="Trigger").first.click()
    form = page.get_by_role("dialog")
    for label in ("First night", "Last night", "Model version"):
        expect(form.get_by_text(label, exact=True)).to_be_visible(timeout=PATIENCE)
    expect(form.get_by_role("checkbox", name="Force")).to_be_attached(timeout=PATIENCE)


def test_the_assets_are_the_tables_and_the_model(page: Page) -> None:
    names = [
        *(source.table.name for source in USE_CASE.data.sources),
        USE_CASE.score_table.name,
        f"model/{USE_CASE.name}",
    ]
    for name in names:
        page.goto(f"/assets?name_pattern={quote(name, safe='')}")  # a page shows fifty, and there are more
        expect(page.get_by_role("link", name=name, exact=True)).to_be_visible(timeout=PATIENCE)


def test_the_report_is_one_click_from_its_task_and_draws_its_plots(page: Page) -> None:
    problems: list[str] = []
    page.goto(f"{NIGHTLY}/runs/night__{NIGHT}/tasks/report_drift/details")
    address = page.get_by_role("link", name="Report", exact=True).get_attribute("href", timeout=PATIENCE)
    assert address is not None
    report = page.context.new_page()
    report.on("pageerror", lambda error: problems.append(str(error)))
    report.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    report.on("requestfailed", lambda request: problems.append(request.url))
    report.goto(address)
    expect(report.get_by_role("heading", level=1)).to_contain_text("monitored columns moved")
    plots = report.locator("svg[role=img]")
    assert plots.count() > 3
    for index in range(plots.count()):
        box = plots.nth(index).bounding_box()
        assert box is None or (box["width"] > 50 and box["height"] > 20), "a plot that is shown has a size"
    width = report.evaluate("document.documentElement.scrollWidth")
    report.set_viewport_size({"width": 390, "height": 800})
    assert report.evaluate("document.documentElement.scrollWidth") <= 390 < width, "it fits a telephone"
    assert [problem for problem in problems if "favicon" not in problem] == []
    report.close()


def test_a_red_task_ends_its_log_with_what_to_do(page: Page, deployment: Deployment) -> None:
    wanted = {"interval_start": "2099-01-01", "interval_end": "2099-01-01"}
    failed = re.search(r"failed in task (\w+)", deployment.fail("nightly", "seen_in_the_browser", wanted))
    assert failed is not None
    page.goto(f"{NIGHTLY}/runs/seen_in_the_browser/tasks/{failed[1]}")
    line = page.get_by_text(re.compile("reaches into the future.*do: choose nights whose day has ended"))
    expect(line.first).to_be_visible(timeout=PATIENCE)
