from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree

import pytest

from nightjar.monitoring.drift.report import Report, render

VOID = {"meta", "link", "br", "hr", "img", "input", "wbr"}


class Page(HTMLParser):
    """Checks nesting, and keeps elements and text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] not in (["script"], ["style"]):
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.elements if name == tag]


def test_the_page_is_well_formed_and_says_the_verdict_first(report: Report) -> None:
    page = Page(render(report))
    assert "Drift: 4 of 5 monitored columns moved, more than the 1 tolerated." in " ".join(page.text.split())
    headings = [name for name, _ in page.elements if re.fullmatch("h[1-6]", name)]
    assert headings[0] == "h1"
    assert headings.count("h1") == 1
    assert not any(int(b[1]) > int(a[1]) + 1 for a, b in pairwise(headings))
    for expected in ("912", "in quarantine", "version 3", "Delta version 9", "Read this."):
        assert expected.lower() in page.text.lower()


def test_the_plots_are_well_formed_and_speak(report: Report) -> None:
    plots = re.findall(r"<svg.*?</svg>", render(report), flags=re.DOTALL)
    assert len(plots) > 5
    for plot in plots:
        root = ElementTree.fromstring(plot)
        assert root.get("aria-hidden") == "true" or (root.get("role") == "img" and root.get("aria-label"))
        for element in root.iter():
            for name in ("x", "y", "width", "height"):
                assert float(element.get(name, "0")) >= -0.05


def test_nothing_is_loaded_from_elsewhere(report: Report) -> None:
    html = render(report)
    page = Page(html)
    assert not page.all("link") + page.all("img") + page.all("iframe") + page.all("object")
    assert all("src" not in attrs for _, attrs in page.elements)
    assert "url(" not in html
    assert "@import" not in html
    policy = next(attrs for attrs in page.all("meta") if attrs.get("http-equiv") == "Content-Security-Policy")
    assert (policy["content"] or "").startswith("default-src 'none'")


def test_hostile_names_are_text(report: Report) -> None:
    """Titles, comments, run ids and categories come from data; none of them becomes markup."""
    html = render(report)
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert" in html
    assert len(Page(html).all("script")) == 1
    assert not any(name.startswith("on") for _, attrs in Page(html).elements for name in attrs)


def test_a_link_that_is_no_web_address_is_left_out(report: Report) -> None:
    page = Page(render(replace(report, mlflow_uri="javascript:alert(1)")))
    assert all((attrs["href"] or "").startswith("#") for attrs in page.all("a"))
    assert "http://localhost:5000/#/models/flight_delay/versions/3" in [
        attrs["href"] for attrs in Page(render(report)).all("a")
    ]


def test_tables_have_captions_and_scopes(report: Report) -> None:
    page = Page(render(report))
    assert len(page.all("caption")) == len(page.all("table")) == 3
    assert all(attrs.get("scope") in {"col", "row"} for attrs in page.all("th"))
    assert all(attrs.get("tabindex") == "0" for attrs in page.all("div") if attrs.get("role") == "region")
    identifiers = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(set(identifiers)) == len(identifiers)
    assert all(attrs["aria-labelledby"] in identifiers for _, attrs in page.elements if "aria-labelledby" in attrs)


def test_the_same_report_gives_the_same_bytes(report: Report) -> None:
    assert render(report) == render(report)


def test_a_quiet_night_shows_what_came_closest(report: Report, compared: Any) -> None:
    quiet = replace(report, drift=compared.night(), history=(), volumes=(), rejections=(), warnings=(), notes=())
    text = " ".join(Page(render(quiet)).text.split())
    assert "Stable: none of 5 monitored columns moved." in text
    assert "Nothing moved; these came closest" in text
    assert "Nothing unusual: rows, missing values" in text
    assert len(quiet.cards) == 3


def test_what_is_wrong_with_the_data_is_said_at_the_top_and_in_full_below(report: Report) -> None:
    text = " ".join(Page(render(report)).text.split())
    assert text.index("The data are unusual. raw/weather.temp: mean 12") < text.index("What moved")
    assert "; and 1 more. Look there first" in text
    below = text[text.index("The datalanded rows") :]
    for expected in ("raw/flights: rows 912, expected 950", "air_time_in_range", "minutes in the air, 5 to 1,200",
                     "a rule that is not in the contract any more"):  # fmt: skip
        assert expected in below
    assert "Rows of raw/flights, the last 4 nights: 903, 880, 921, 912" in render(report)
    unseen = Page(render(replace(report, warnings=None))).text
    assert "The data were not checked" in unseen
    assert "The data are unusual" not in unseen


def test_without_predictions_the_page_says_so(report: Report, compared: Any) -> None:
    drift = compared.night()
    drift = replace(drift, columns=tuple(c for c in drift.columns if c.name != "prediction"))
    text = Page(render(replace(report, drift=drift))).text
    assert "not compared" in text
    assert "The prediction" not in text


def luminance(colour: str) -> float:
    """Relative luminance, WCAG 2.2."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", [0, 1])
def test_text_contrast_is_aa(report: Report, scheme: int) -> None:
    """4.5 to 1 for every text colour on every background, in light (0) and dark (1)."""
    html = render(report)
    roots = [
        dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", block)) for block in re.findall(r":root \{(.*?)\}", html, re.DOTALL)
    ]
    washes = re.findall(r"body\.drift \{ --wash: (#[0-9a-f]{6})", html)
    colours = roots[scheme]
    for ink in ("ink", "quiet", "moved", "calm"):
        for ground in (colours["paper"], colours["surface"], colours["wash"], washes[scheme]):
            high, low = sorted((luminance(colours[ink]), luminance(ground)), reverse=True)
            assert (high + 0.05) / (low + 0.05) >= 4.5, (ink, ground)
