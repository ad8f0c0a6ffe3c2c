"""One self-contained HTML page: no network, no script, light and dark, phone and paper."""

from collections.abc import Callable

from medray.label_settings import TaskName
from medray.reports.content import Example, Failure, MaskExample, PageContent
from medray.reports.html import document
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

_ENDS = (subgroups_section, failures_section, history_section, provenance_section)
_SECTIONS: dict[TaskName, tuple[Callable[[PageContent], str], ...]] = {
    "classify": (funnel_section, metrics_section, figures_section, examples_section, *_ENDS),
    "segment": (funnel_section, metrics_section, spread_section, masks_section, *_ENDS),
}


def render_page(content: PageContent) -> str:
    """Render the page as one string of HTML; the same content gives the same bytes."""
    sections = (section(content) for section in _SECTIONS[content.task])
    return document(f"{content.title} · medray report", header_section(content), sections)
