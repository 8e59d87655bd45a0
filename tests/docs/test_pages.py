"""Links, images and commands in the pages exist; decisions are numbered without gaps."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.docs.pages import PAGES, ROOT, name_of, prose

_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)|<img [^>]*src=\"([^\"]+)\"|^```\{image\} (\S+)", re.MULTILINE)
_COMMAND = re.compile(r"`make\s+([a-z][a-z-]*)|^make ([a-z][a-z-]*)", re.MULTILINE)


def links(text: str) -> list[str]:
    """Return the relative targets of links and images."""
    found = [next(filter(None, groups)) for groups in _LINK.findall(text)]
    return [target for target in found if not re.match(r"[a-z]+:", target)]


def anchors(page: Path) -> set[str]:
    """Return the anchors of the page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def problem_of(page: Path, target: str) -> str | None:
    """Return what is wrong with a link; None if it works."""
    path, _, anchor = target.partition("#")
    file = (page.parent / path) if path else page
    if not file.exists():
        return f"{target}: missing file"
    if not file.resolve().is_relative_to(ROOT):
        return f"{target}: outside the repository"
    if anchor and anchor not in anchors(file):
        return f"{target}: missing heading"
    return None


def targets_of_makefile() -> set[str]:
    return set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def commands(text: str) -> set[str]:
    """Return the make targets that a page names."""
    return {inline or line for inline, line in _COMMAND.findall(text)}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_and_images_exist(page: Path) -> None:
    assert [problem for target in links(page.read_text()) if (problem := problem_of(page, target))] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_make_targets_exist(page: Path) -> None:
    assert commands(page.read_text()) - targets_of_makefile() == set()


def test_commands_page_has_every_target() -> None:
    assert targets_of_makefile() - {"help"} - commands((ROOT / "docs" / "commands.md").read_text()) == set()


def test_broken_links_and_unknown_targets_are_detected() -> None:
    page = ROOT / "docs" / "drift.md"
    text = "[a](gone.md) ![b](images/gone.png) [c](drift.md#gone) [d](https://example.org) [e](alerts.md) `make gone`"
    assert [bool(problem_of(page, target)) for target in links(text)] == [True, True, True, False]
    assert commands(text + "\nmake gone-too\n") == {"gone", "gone-too"}


def test_decisions_are_numbered_without_gaps_and_dated() -> None:
    decisions = sorted((ROOT / "docs" / "adr").glob("0*.md"))
    for number, decision in enumerate(decisions, start=1):
        title, _, date, status = decision.read_text().splitlines()[:4]
        assert decision.name.startswith(f"{number:04d}-")
        assert title.startswith(f"# {number:04d} ")
        assert re.match(r"- \*\*Date\*\*: 20\d\d-\d\d-\d\d", date)
        assert status.startswith("- **Status**: ")


def test_references_to_decisions_exist() -> None:
    last = len(list((ROOT / "docs" / "adr").glob("0*.md")))
    folders = ("include", "plugins", "spark", "jobs", "dags", "docs")
    files = [file for folder in folders for kind in ("py", "md") for file in (ROOT / folder).rglob(f"*.{kind}")]
    for file in [*files, *ROOT.glob("*.md")]:
        named = [int(number) for number in re.findall(r"\bADR (\d+)", file.read_text())]
        assert all(1 <= number <= last for number in named), file
