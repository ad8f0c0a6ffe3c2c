"""The page of a segmentation."""

import base64
import io

import numpy as np
from PIL import Image

from medray.reports.images import class_colour, mask_png
from medray.reports.mask_metrics import compute_mask_metrics
from medray.reports.mask_sections import draw_spread
from medray.reports.page import MaskExample, PageContent, render_page
from tests.reports.test_mask_metrics import CLASSES, SAMPLES, SUMS
from tests.reports.test_page import HOSTILE, outline


def make_content(name: str = "ring", **more) -> PageContent:
    classes = [*CLASSES[:2], name]
    table = compute_mask_metrics(SUMS, classes, patients=list("aabbcd"), bootstrap=50)
    truth, answers, chances = SAMPLES[0]
    example = MaskExample(chances[0], truth, answers, "worst", [0.5, 0.25, float("nan")], "ab12:0")
    figure = draw_spread(np.array([one.dice for one in SUMS]), classes)
    given = {"metrics": table, "figures": (figure,), "masks": [example]} | more
    return PageContent(task="segment", title=name, classes=classes, **given)


def test_the_page_shows_dice_first_and_each_image_beside_its_masks() -> None:
    page = render_page(make_content())
    tags = outline(page)
    assert page.index("Dice <span>mean over the classes") < page.index("Pooled Dice")
    assert sum(tag == "img" for tag, _ in tags) == 3 and "Dice: ground 0.500, disc 0.250, ring –" in page
    assert [attrs["id"] for tag, attrs in tags if tag == "h2"][:4] == ["funnel", "metrics", "spread", "masks"]
    assert "a tenth is below" in page


def test_without_masks_or_probabilities_the_page_says_so() -> None:
    page = render_page(make_content(metrics=None, figures=(), masks=()))
    assert "No masks were given" in page and "they need masks (--labels.mask_column) and the bundle" in page
    assert "no probabilities" in render_page(make_content(remarks=("There is no AUROC: no probabilities.",)))


def test_hostile_class_names_stay_text() -> None:
    tags = outline(render_page(make_content(HOSTILE, remarks=(HOSTILE,))))
    assert "script" not in {tag for tag, _ in tags}
    assert all((attrs["src"] or "").startswith("data:") for tag, attrs in tags if tag == "img")


def test_a_mask_is_drawn_in_its_classes_colours_over_the_dimmed_image() -> None:
    image, mask = np.ones((300, 300)), np.zeros((300, 300), np.int16)
    image[0] = 0
    mask[100:200], mask[200:] = 1, -1
    data = base64.b64decode(mask_png(image, mask).split(",")[1])
    pixels = np.asarray(Image.open(io.BytesIO(data))).astype(int)
    bare, coloured, ignored = (pixels[row, 150] for row in (50, 150, 250))
    assert np.abs(coloured - class_colour(1)).max() < 40
    assert len(set(bare.tolist())) == 1 and bare[0] > ignored[0] + 50
