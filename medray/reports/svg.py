"""Matplotlib figures as inline SVG that takes its colours and font from the page's style sheet."""

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from typing import Any, Literal

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure as Canvas


@dataclass(frozen=True)
class Figure:
    """An inline SVG with the title and the sentence that stand with it. `name` is its place on the page."""

    name: str
    title: str
    caption: str
    svg: str


# Matplotlib draws with these stand-ins; the SVG gets the style sheet's variable in their place, so that one drawing
# serves light, dark and print.
INK, MUTED, FAINT, SURFACE = "#0a0b01", "#0a0b02", "#0a0b03", "#0a0b04"
SERIES = ("#0a0b11", "#0a0b12", "#0a0b13", "#0a0b14", "#0a0b15", "#0a0b16")
DASHES = ("-", "--", "-.", ":")
_VARIABLES = {INK: "--ink", MUTED: "--muted", FAINT: "--line", SURFACE: "--surface"} | {
    color: f"--series-{number}" for number, color in enumerate(SERIES, 1)
}

_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.size": 9.5,
    "text.color": INK,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": MUTED,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "grid.color": FAINT,
    "grid.linewidth": 0.7,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "legend.facecolor": SURFACE,
    "legend.edgecolor": "none",
    "legend.framealpha": 0.8,
    "legend.fontsize": 9,
    "lines.linewidth": 1.9,
    "lines.solid_capstyle": "round",
    "path.simplify": True,
    "path.simplify_threshold": 0.2,
}


def series_style(number: int) -> dict[str, Any]:
    """Colour and dash of the n-th series: both differ, so that no reader needs to tell colours apart."""
    return {"color": SERIES[number % len(SERIES)], "linestyle": DASHES[number % len(DASHES)]}


@contextmanager
def canvas(width: float = 4.4, height: float = 3.6) -> Iterator[Canvas]:
    """Give an empty figure (inches) in the report's style."""
    with mpl.rc_context(_STYLE):
        figure = Canvas(figsize=(width, height), layout="constrained")
        FigureCanvasSVG(figure)
        yield figure


def unit_axes(axes: Axes, x: str, y: str, *, free_y: bool = False) -> None:
    """Label axes that run from 0 to 1, the upright one only where it is not free."""
    ticks = {0.0: "0", 0.25: ".25", 0.5: ".5", 0.75: ".75", 1.0: "1"}
    axes.set(xlabel=x, ylabel=y, xlim=(-0.015, 1.015))
    axes.set_xticks(list(ticks), list(ticks.values()))
    if not free_y:
        axes.set_ylim(-0.015, 1.015)
        axes.set_yticks(list(ticks), list(ticks.values()))


def short_name(name: str, limit: int = 18) -> str:
    """Cut a class name for a legend, and keep Matplotlib from reading mathematics into it."""
    cut = name if len(name) <= limit else name[: limit - 1] + "…"
    return cut.replace("$", r"\$")


def spoken(names: Sequence[str]) -> str:
    """List numbers by name for a caption, or say why there are none."""
    return ", ".join(names) or "not defined: only one class is there"


def legend_at(axes: Axes, place: Literal["lower right", "lower left", "best"]) -> None:
    """Put the legend within the axes, where there is anything to tell."""
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc=place, handlelength=2.2)


def legend_above(axes: Axes) -> None:
    """Put the legend over the axes, out of the way of what is drawn up to the top."""
    axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 0.99), ncols=3, borderaxespad=0, columnspacing=1.4)


def to_svg(figure: Canvas, name: str, description: str) -> str:
    """Write the figure as an SVG element, the same bytes each time.

    Args:
        figure: drawn inside `canvas`.
        name: prefix of the element's ids, unique on the page.
        description: what a reader hears who cannot see it.
    """
    buffer = io.StringIO()
    with mpl.rc_context({**_STYLE, "svg.hashsalt": name}):
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    svg = buffer.getvalue()
    body = svg[svg.index(">", svg.index("<svg")) + 1 :]
    width, height = (72 * inches for inches in figure.get_size_inches())
    head = f'<svg class="figure" viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(description)}">'
    return head + _adapt(body, name).strip()


def _adapt(svg: str, name: str) -> str:
    svg = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->|<style.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<[^>]*>", lambda tag: _adapt_tag(tag.group(), name), svg)
    return re.sub(r"\s*\n\s*", "\n", svg)


def _adapt_tag(tag: str, name: str) -> str:
    """Rewrite attributes only: text between tags (class names, numbers) stays as it is."""
    tag = re.sub(r"#[0-9a-f]{6}\b", lambda color: _variable(color.group()), tag)
    tag = re.sub(r"font-family: [^;\"]*;? ?", "", tag)
    tag = re.sub(r'\bid="', f'id="{name}-', tag)
    tag = tag.replace("url(#", f"url(#{name}-").replace('xlink:href="#', f'href="#{name}-')
    return re.sub(r"(\d\.\d\d)\d+", r"\1", tag)


def _variable(color: str) -> str:
    return f"var({_VARIABLES[color]})" if color in _VARIABLES else color
