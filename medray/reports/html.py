"""Pieces of HTML that the sections share. What is text is escaped here or by whoever passes it as ready HTML."""

from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files

from medray.reports.svg import Figure

# Nothing may be fetched or run, whatever a hostile class name might have smuggled in.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def document(title: str, header: str, sections: Iterable[str]) -> str:
    """A self-contained page: no network, no script. Header and sections are ready HTML."""
    style = files("medray.reports").joinpath("page.css").read_text(encoding="utf-8")
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<title>{escape(title)}</title>
<link rel="icon" href="data:,">
<style>
{style}</style>
</head>
<body>
<a class="skip" href="#content">Skip to the content</a>
{header}
<main id="content">
{"".join(sections)}</main>
<footer>Made by medray. Sample ids are keyed hashes: nothing on this page names a patient.</footer>
</body>
</html>
"""


def section(name: str, title: str, body: str, note: str = "") -> str:
    """A section with a heading; the note, ready HTML, stands under it."""
    lead = f'<p class="note">{note}</p>\n' if note else ""
    return f'<section aria-labelledby="{name}">\n<h2 id="{name}">{title}</h2>\n{lead}{body}\n</section>\n'


def missing(sentence: str) -> str:
    """What stands in the place of what is not there."""
    return f'<p class="missing">{sentence}</p>'


def table(caption: str, heads: Sequence[str], rows: Iterable[str], kind: str = "") -> str:
    """Lay out rows of ready HTML under column heads, in a box that scrolls by itself where it is too wide."""
    columns = "".join(f'<th scope="col">{head}</th>' for head in heads)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{caption}"><table class="{kind}">'
        f'<caption class="unseen">{caption}</caption>\n<thead><tr>{columns}</tr></thead>\n'
        f"<tbody>\n{''.join(rows)}</tbody></table></div>"
    )


def definitions(rows: Sequence[tuple[str, str]], kind: str) -> str:
    """Names and values as a list of a style."""
    items = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>\n" for name, value in rows)
    return f'<dl class="{kind}">\n{items}</dl>'


def figure_card(figure: Figure) -> str:
    """A figure with its title and caption in a panel."""
    return (
        f'<figure class="panel"><h3>{escape(figure.title)}</h3>\n{figure.svg}\n'
        f"<figcaption>{escape(figure.caption)}</figcaption></figure>\n"
    )
