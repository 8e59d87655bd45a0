"""Views of Data Docs as self-contained pages.

The templates of Great Expectations load styles, scripts and a logo from eight other hosts: offline the index is empty,
and online those hosts see every page view. These views keep the content and drop the rest.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
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


class RunsRenderer:
    """Passes the index's links to :class:`RunsView` unchanged."""

    def __init__(self, **_: Any) -> None:
        pass

    def render(self, links: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the links of the index, latest first."""
        return links


class RunsView:
    """The index page: one row per table and run, latest first."""

    def __init__(self, **_: Any) -> None:
        pass

    def render(self, links: Mapping[str, Any], **_: Any) -> str:
        """Return the index page."""
        lines = "".join(_line(link) for link in links.get("validations_links", ()))
        return (
            '<!DOCTYPE html><html lang="en"><head><meta charset="UTF-8"><title>Data Docs</title>'
            f"{_STYLE}</head><body><h1>Data Docs</h1>"
            "<table><thead><tr><th>Validated (UTC)</th><th>Run</th><th>Table</th><th>Verdict</th></tr></thead>"
            f"<tbody>{lines}</tbody></table></body></html>"
        )


def _line(link: Mapping[str, Any]) -> str:
    kept = link["validation_success"]
    verdict = '<td class="kept">all kept</td>' if kept else '<td class="broken">some broken</td>'
    table = f'<a href="{html.escape(link["filepath"])}">{html.escape(link["expectation_suite_name"])}</a>'
    when = f"{link['run_time']:%Y-%m-%d %H:%M:%S}"
    return f"<tr><td>{when}</td><td>{html.escape(str(link['run_name']))}</td><td>{table}</td>{verdict}</tr>\n"
