"""Views of Data Docs as self-contained pages.

The templates of Great Expectations load styles, scripts and a logo from eight other hosts: offline the index is empty,
and online those hosts see every page view. These views keep the content and drop the rest.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from great_expectations.render.view import DefaultJinjaPageView

_REMOTE = re.compile(
    r"<link[^>]*https?://[^>]*>"
    r"|<script[^>]*src=.?https?://[^>]*>\s*</script>"
    r"|<a[^>]*>\s*<img[^>]*https?://[^>]*>.*?</a>"
    r"|<img[^>]*https?://[^>]*>"
    r"|<footer.*?</footer>"
    r"|url\([^)]*https?://[^)]*\)",
    re.DOTALL | re.IGNORECASE,
)
_SUITE_LINK = re.compile(r'<a href="[^"]*expectations/[^"]*"[^>]*>(.*?)</a>', re.DOTALL)  # links to pages not built
_STYLE = """<style>
body{font:15px/1.5 system-ui,sans-serif;margin:0 auto;max-width:1200px;padding:1.5rem;color:#1d2733;background:#fff}
a{color:#0b5cad}table{border-collapse:collapse;margin:.5rem 0}
td,th{border-bottom:1px solid #d5dbe1;padding:.35rem .8rem;text-align:left;vertical-align:top}
code{background:#eef1f4;padding:.1rem .3rem}nav ol,.breadcrumb{list-style:none;padding:0}
.fa-check-circle::before{content:"\\2714";color:#18794e}.fa-times::before{content:"\\2718";color:#b42318}
.text-success,.kept{color:#18794e}.text-danger,.broken{color:#b42318}
.sticky>.card.mb-3,.collapse,a[data-toggle=collapse]{display:none}
@media(prefers-color-scheme:dark){body{background:#14191f;color:#dbe2ea}a{color:#7cb7ff}code{background:#232b35}}
</style>"""


class ResultView(DefaultJinjaPageView):  # type: ignore[misc]  # a base without types
    """Page of one table's result in one run."""

    def render(self, document: Any, template: Any = None, **kwargs: Any) -> str:
        """Return the page of Great Expectations without remote resources."""
        page = _SUITE_LINK.sub(r"\1", _REMOTE.sub("", super().render(document, template, **kwargs)))
        return page.replace("</head>", f"{_STYLE}</head>", 1)


@dataclass(frozen=True, kw_only=True)
class ValidationLink:
    """Line of the index: one table's result in one run.

    Attributes:
        run_time: When the table was validated (UTC).
        run_name: Name of the run.
        table: Name of the table.
        page: Address of the result's page, relative to the index.
        succeeded: Whether the table kept all rules.
    """

    run_time: datetime
    run_name: str
    table: str
    page: str
    succeeded: bool


class RunsRenderer:
    """Reads the index's links from the dictionary of Great Expectations, for :class:`RunsView`."""

    def __init__(self, **_: Any) -> None:
        pass

    def render(self, index: Mapping[str, Any]) -> list[ValidationLink]:
        """Return the links of the index, latest first."""
        return [
            ValidationLink(
                run_time=link["run_time"],
                run_name=str(link["run_name"]),
                table=link["expectation_suite_name"],
                page=link["filepath"],
                succeeded=link["validation_success"],
            )
            for link in index.get("validations_links", ())
        ]


class RunsView:
    """The index page: one row per table and run, latest first."""

    def __init__(self, **_: Any) -> None:
        pass

    def render(self, links: Sequence[ValidationLink], **_: Any) -> str:
        """Return the index page."""
        lines = "".join(map(_line, links))
        return (
            '<!DOCTYPE html><html lang="en"><head><meta charset="UTF-8"><title>Data Docs</title>'
            f"{_STYLE}</head><body><h1>Data Docs</h1>"
            "<table><thead><tr><th>Validated (UTC)</th><th>Run</th><th>Table</th><th>Verdict</th></tr></thead>"
            f"<tbody>{lines}</tbody></table></body></html>"
        )


def _line(link: ValidationLink) -> str:
    verdict = '<td class="kept">all kept</td>' if link.succeeded else '<td class="broken">some broken</td>'
    table = f'<a href="{html.escape(link.page)}">{html.escape(link.table)}</a>'
    run_time = f"{link.run_time:%Y-%m-%d %H:%M:%S}"
    return f"<tr><td>{run_time}</td><td>{html.escape(link.run_name)}</td><td>{table}</td>{verdict}</tr>\n"
