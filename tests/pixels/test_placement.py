"""medray/pixels/placement.py: masks go where `prepare_placed` puts their image, and come back."""

from dataclasses import replace

import numpy as np
import pytest

from medray.archive.instance import PixelModule
from medray.image_settings import StepRecipe
from medray.pixels.placement import Placement
from medray.pixels.prepare import prepare_placed
from medray.pixels.values import FrameValues
from medray.settings import Recipe

ROWS, COLUMNS = 90, 61
RECIPES = {
    "pad": Recipe(size=32),
    "larger": Recipe(size=128),
    "stretch": Recipe(size=32, fit="stretch"),
    "crop": Recipe(size=32, steps=StepRecipe(crop=True, content=0.3)),
    "spacing, cut": Recipe(size=32, steps=StepRecipe(spacing_mm=0.5)),
    "spacing, padded": Recipe(size=128, steps=StepRecipe(spacing_mm=1.5)),
}
EVERY = pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)


def _halves() -> np.ndarray:
    """A bright rectangle in a dark frame: its own mask."""
    image = np.zeros((ROWS, COLUMNS), np.float32)
    image[25:70, 14:51] = 100
    return image


def _placed(recipe: Recipe) -> tuple[np.ndarray, Placement]:
    pixels = PixelModule("x", ROWS, COLUMNS, spacing_mm=(1.0, 1.5))
    return prepare_placed(FrameValues(_halves(), None, "none", ()), pixels, replace(recipe, window=(50.0, 100.0)))


@EVERY
def test_a_mask_lies_where_its_image_lies(recipe: Recipe) -> None:
    image, placement = _placed(recipe)
    mask = (_halves() > 75).astype(np.int16)
    placed = placement.to_input(mask)
    inside = placed >= 0
    clear = inside & (np.abs(image[0]) > 1.9)  # -2 or 2: no edge was blended into these
    assert clear.sum() > 0.6 * inside.sum()
    assert np.array_equal(placed[clear] == 1, image[0][clear] > 0)
    assert (image[0][~inside] == image.min()).all()


@EVERY
def test_what_is_painted_back_is_the_mask_to_a_pixel_of_the_coarser_grid(recipe: Recipe) -> None:
    _, placement = _placed(recipe)
    mask = (_halves() > 75).astype(np.int16)
    back = placement.to_frame(placement.to_input(mask))
    seen = back >= 0
    assert back.shape == mask.shape and (back[seen] == mask[seen]).mean() > 0.88
    if placement.box == placement.frame and max(placement.resized) <= placement.size:
        assert seen.all()
    if min(placement.resized) >= max(placement.box):
        assert np.array_equal(back[seen], mask[seen])  # an enlarged mask loses nothing


def test_classes_keep_their_area_however_thin_they_are() -> None:
    """The majority of nine pixels would leave nothing of a class that has 15 % of them at random."""
    mask = (np.random.default_rng(0).random((300, 300)) < 0.15).astype(np.int16)
    placed = Placement((300, 300), (0, 0), (300, 300), (100, 100), 100).to_input(mask)
    assert placed.mean() == pytest.approx(mask.mean(), abs=0.015)


def test_numbers_of_a_table_give_the_placement_again() -> None:
    placement = Placement((9, 8), (1, 2), (7, 5), (14, 10), 16)
    assert Placement.of(placement.numbers()) == placement


def test_what_a_crop_left_out_is_nowhere_and_padding_is_ignored() -> None:
    placement = Placement((4, 6), (1, 2), (2, 3), (2, 3), 4)
    mask = np.arange(24, dtype=np.int16).reshape(4, 6)
    placed = placement.to_input(mask)
    assert placed.tolist() == [[-1] * 4, [8, 9, 10, -1], [14, 15, 16, -1], [-1] * 4]
    back = placement.to_frame(placed)
    assert np.array_equal(back[1:3, 2:5], mask[1:3, 2:5]) and (back >= 0).sum() == 6
