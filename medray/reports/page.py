"""One self-contained HTML page: no network, no script, light and dark, phone and paper."""

from collections.abc import Callable
from html import escape
from importlib.resources import files

from medray.label_settings import TaskName
from medray.reports.content import Example, Failure, MaskExample, PageContent
from medray.reports.mask_sections import masks_section, spread_section
from medray.reports.sections import (
    examples_section,
    failures_section,
    figures_section,
    funnel_section,
    header_section,
    history_section,
    metrics_section,
    provenance_section,
    subgroups_section,
)

__all__ = ["Example", "Failure", "MaskExample", "PageContent", "render_page"]

# Nothing may be fetched or run, whatever a hostile class name might have smuggled in.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_ENDS = (subgroups_section, failures_section, history_section, provenance_section)
_SECTIONS: dict[TaskName, tuple[Callable[[PageContent], str], ...]] = {
    "classify": (funnel_section, metrics_section, figures_section, examples_section, *_ENDS),
    "segment": (funnel_section, metrics_section, spread_section, masks_section, *_ENDS),
}


def render_page(content: PageContent) -> str:
    """Render the page as one string of HTML; the same content gives the same bytes."""
    style = files("medray.reports").joinpath("page.css").read_text(encoding="utf-8")
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<title>{escape(content.title)} · medray report</title>
<link rel="icon" href="data:,">
<style>
{style}</style>
</head>
<body>
<a class="skip" href="#content">Skip to the content</a>
{header_section(content)}
<main id="content">
{"".join(section(content) for section in _SECTIONS[content.task])}</main>
<footer>Made by medray. Sample ids are keyed hashes: nothing on this page names a patient.</footer>
</body>
</html>
"""
