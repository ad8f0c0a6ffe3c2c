import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from medray.errors import Reason
from medray.reports.console import summarize
from medray.reports.figures import draw_figures
from medray.reports.metrics import Evaluation, compute_metrics
from medray.reports.page import Example, Failure, PageContent, render_page
from medray.reports.reasons import REASONS
from tests.reports.test_metrics import scored

HOSTILE = '<script>alert("x")</script><img src=http://evil.example/x onerror=alert(1)>'
VOID = {"meta", "link", "img", "br", "circle", "path"}


class Outline(HTMLParser):
    """Collects tags with attributes, and checks that they close in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID - {"path"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def outline(page: str) -> list[tuple[str, dict[str, str | None]]]:
    parser = Outline()
    parser.feed(page)
    assert not parser.open
    return parser.tags


@pytest.fixture(scope="module")
def content() -> PageContent:
    return make_content(["normal", "pneumonia"])


def make_content(classes: list[str], text: str = "plain") -> PageContent:
    labels, probabilities = scored(120, len(classes))
    patients = [str(row // 2) for row in range(120)]
    evaluation = Evaluation(probabilities, classes, labels, 0.5, patients)
    sexes = ["F" if row % 2 else text for row in range(120)]
    table = compute_metrics(
        labels, probabilities, classes, threshold=0.5, patients=patients, bootstrap=50, subgroups={"sex": sexes}
    )
    image = np.random.default_rng(0).random((16, 16))
    examples = [
        Example(image, image if number else None, text, classes[0], classes[number % 2], 0.75, f"{text}{number}:0")
        for number in range(12)
    ]
    return PageContent(
        title=text,
        classes=classes,
        subtitle=text,
        card=[(text, text)],
        funnel=[(text, 125), ("scored", 120)],
        failures=[Failure("failed", "decode_failed", 4), Failure("skipped", text, 1)],
        metrics=table,
        figures=draw_figures(evaluation, resamples=20),
        examples=examples,
        heat_method=text,
        provenance=[("command", text)],
    )


def test_the_page_fetches_nothing_and_runs_nothing(content: PageContent) -> None:
    page = render_page(content)
    tags = outline(page)
    assert not {"script", "iframe", "object", "embed", "base", "form"} & {tag for tag, _ in tags}
    for _, attributes in tags:
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("src", "href", "data", "srcset"):
            assert (attributes.get(name) or "#").startswith(("#", "data:"))
    assert "http://" not in page
    assert "https://" not in page
    assert "@import" not in page
    assert not re.search(r"url\((?!#)", page)
    assert "default-src 'none'" in page


def test_hostile_strings_stay_text_everywhere() -> None:
    page = render_page(make_content([HOSTILE, HOSTILE + "2"], HOSTILE))
    assert "<script" not in page
    tags = outline(page)
    assert all((attributes["src"] or "").startswith("data:") for tag, attributes in tags if tag == "img")
    assert not [name for _, attributes in tags for name in attributes if name.startswith("on")]
    assert "&lt;script&gt;" in page


def test_twelve_examples_stand_beside_their_heat(content: PageContent) -> None:
    page = render_page(content)
    assert page.count('<article class="panel example">') == 12
    assert page.count("<img ") == 12 + 11
    assert page.count('<p class="missing">no heat map</p>') == 1
    assert page.count("plain11:0") >= 1


def test_every_image_and_figure_has_words_and_ids_are_unique(content: PageContent) -> None:
    tags = outline(render_page(content))
    assert all(attributes["alt"] for tag, attributes in tags if tag == "img")
    for tag, attributes in tags:
        if tag == "svg":
            assert attributes.get("aria-label") or attributes.get("aria-hidden") == "true"
    ids = [attributes["id"] for _, attributes in tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert [tag for tag, _ in tags].count("h1") == 1
    assert all(attributes.get("scope") for tag, attributes in tags if tag == "th")


def test_the_headline_is_the_positive_class_with_its_interval(content: PageContent) -> None:
    assert content.metrics is not None
    row = next(row for row in content.metrics.to_pylist() if (row["label"], row["metric"]) == ("pneumonia", "auroc"))
    assert f"95 % interval {row['low']:.3f} – {row['high']:.3f}" in render_page(content)
    assert f"{row['value']:.3f}   {row['low']:.3f} – {row['high']:.3f}" in summarize(content)


def test_a_page_without_anything_says_so_section_by_section() -> None:
    page = render_page(PageContent("Empty", ["a", "b"]))
    for sentence in (
        "No labels were given",
        "No counts were given",
        "No example images were given",
        "Nothing was skipped and nothing failed",
        "No training history was given",
        "No provenance was given",
    ):
        assert sentence in page
    assert page.count("<section") == 8
    assert "No labels were given" in summarize(PageContent("Empty", ["a", "b"]))


def test_without_any_heat_the_page_says_why(content: PageContent) -> None:
    bare = replace(content, examples=[replace(example, heat=None) for example in content.examples])
    page = render_page(bare)
    assert "There are no heat maps" in page
    assert page.count("<img ") == 12


def test_every_reason_has_a_meaning_and_a_cure() -> None:
    assert set(REASONS) == set(Reason)
    assert all(meaning.endswith((".", "…")) and cure.endswith(".") for meaning, cure in REASONS.values())


def test_the_same_content_gives_the_same_bytes(content: PageContent) -> None:
    assert render_page(content) == render_page(content)


def test_the_console_counts_as_the_page_does(content: PageContent) -> None:
    text = summarize(content)
    assert re.search(r"^scored +120  █+$", text, re.MULTILINE)
    assert re.search(r"^failed +decode_failed +4  Every decoder refused", text, re.MULTILINE)
    assert max(len(line) for line in text.splitlines()) <= 100
