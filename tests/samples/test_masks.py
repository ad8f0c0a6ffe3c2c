"""Masks of a unit: prepared beside their images, and a bad one costs one row."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from medray.archive.mask_labels import COLUMNS, join_masks
from medray.archive.objects import rows_to_table
from medray.errors import Reason
from medray.image_settings import GraphRecipe, StepRecipe
from medray.label_settings import LabelSettings
from medray.samples.isolated import end_decoding_process, isolated_images_of, prepare_unit
from medray.samples.prepare import images_of
from medray.samples.tables import mask_batch, usable
from medray.settings import Recipe
from tests.archive.makers import KEY, index_folder
from tests.discs import BAD, disc, make_discs
from tests.discs import COLUMNS as WIDTH
from tests.discs import ROWS as HEIGHT

RECIPE = Recipe(size=32, graph=GraphRecipe(regions=40))


@pytest.fixture(scope="module", autouse=True)
def no_process_is_left():
    yield
    end_decoding_process()


@pytest.fixture(scope="module")
def unit(tmp_path_factory) -> pa.Table:
    """The rows of twenty images with masks and regions."""
    folder = make_discs(tmp_path_factory.mktemp("discs") / "archive")
    classes = {"ground": 0, "disc": 9}
    labels = LabelSettings(str(folder / "labels.csv"), mask_column="mask", mask_classes=classes, region_column="region")
    index = rows_to_table(index_folder(folder))
    images = index.filter(pc.equal(index["status"], "ok"))
    rows = join_masks(images, index.select(COLUMNS), labels, key=KEY, archive=str(folder))
    rows = rows.filter(pc.is_valid(rows["label"])).sort_by("uri")
    return rows.append_column("mask_values", pa.array([[0, 9]] * len(rows), pa.list_(pa.int64())))


def test_a_mask_is_laid_where_its_image_is_and_nothing_counts_outside_region_and_frame(unit):
    samples = usable(images_of(unit, KEY, RECIPE))
    masks = mask_batch(samples, RECIPE)
    assert masks is not None and masks.shape == (16, 32, 32) and masks.dtype == np.int16
    width = round(32 * WIDTH / HEIGHT)
    left = (32 - width) // 2
    assert (masks[:, :, :left] == -1).all() and (masks[:, :, left + width :] == -1).all()
    middles = np.floor((np.arange(32) + 0.5) * HEIGHT / 32).astype(int)
    across = np.floor((np.arange(width) + 0.5) * WIDTH / width).astype(int)
    for number, mask in enumerate(masks):
        _, truth, region = disc(number)
        expected = np.where(region > 0, truth.astype(int) // 9, -1)[np.ix_(middles, across)]
        assert np.array_equal(mask[:, left : left + width], expected)


def test_a_bad_mask_costs_one_row_and_has_a_reason_of_its_own(unit):
    failed = {row["detail"]: row["reason"] for row in images_of(unit, KEY, RECIPE).to_pylist() if row["reason"]}
    assert sorted(failed.values()) == sorted(BAD.values())
    said = {reason: detail for detail, reason in failed.items()}
    assert said[Reason.MASK_SIZE] == "43 x 36 pixels on an image of 44 x 36"
    assert said[Reason.MASK_VALUE] == "1 pixels of values that are not listed: 5"
    assert said[Reason.MASK_UNREADABLE].startswith("a mask is a PNG, TIFF or GIF")


@pytest.mark.parametrize("steps", [StepRecipe(), StepRecipe(crop=True, content=0.2)])
def test_the_process_answers_exactly_what_this_one_would(unit, steps):
    recipe = Recipe(size=32, steps=steps)
    there = isolated_images_of(unit, KEY, recipe)
    assert there.equals(images_of(unit, KEY, recipe)) and "mask" in there.column_names


@pytest.mark.parametrize("kind", ["graph", "regions"])
def test_graphs_have_the_counts_of_their_masks_in_the_masks_place(unit, kind):
    samples = prepare_unit(unit, KEY, RECIPE, kind, classes=2)
    assert "mask" not in samples.column_names and ("image" in samples.column_names) == (kind == "regions")
    assert samples["status"].to_pylist().count("failed") == 4
    masks = mask_batch(usable(images_of(unit, KEY, RECIPE)), RECIPE)
    for row, mask in zip(usable(samples).to_pylist(), masks, strict=True):
        counts = np.array(row["class_counts"]).reshape(-1, 2)
        assert len(counts) == row["num_nodes"]
        assert counts.sum(axis=0).tolist() == [(mask == 0).sum(), (mask == 1).sum()]


def test_a_region_that_is_bad_says_so(unit):
    (row,) = unit.slice(0, 1).to_pylist()
    absent = row | {"region": row["region"] | {"status": None}}
    dicom = row | {"region": row["region"] | {"status": "failed", "reason": "corrupt_header"}}
    table = pa.Table.from_pylist([absent, dicom], schema=unit.schema)
    found = [(sample["reason"], sample["detail"]) for sample in images_of(table, KEY, RECIPE).to_pylist()]
    assert found == [("mask_missing", "region: not in the archive"), ("mask_unreadable", "region: corrupt_header")]
