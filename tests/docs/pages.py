"""The Markdown pages of the repository, and the Python examples in them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from nightjar.local.paths import Paths

ROOT = Paths.here().root
PAGES = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("include/use_cases/*/README.md")],
    key=lambda path: str(path),
)
_EXAMPLE = re.compile(
    r"(?:^<!-- example: (?P<context>.+?) -->\n+)?^```python\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL
)
_CODE_BLOCK = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Example:
    """A ``python`` block of a page.

    Attributes:
        page: Path below the repository.
        line: Line of the block's first line of code, from 1.
        code: The code.
        context: Text of the comment ``<!-- example: … -->`` above the block; empty without one.
    """

    page: str
    line: int
    code: str
    context: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def name_of(page: Path) -> str:
    """Return the path below the repository."""
    return page.relative_to(ROOT).as_posix()


def examples() -> list[Example]:
    """Return the ``python`` blocks of all pages."""
    return [
        Example(
            page=name_of(page),
            line=text.count("\n", 0, match.start("code")) + 1,
            code=match["code"],
            context=match["context"] or "",
        )
        for page in PAGES
        for text in [page.read_text()]
        for match in _EXAMPLE.finditer(text)
    ]


def prose(page: Path) -> str:
    """Return the page's text without code blocks."""
    return _CODE_BLOCK.sub("", page.read_text())
