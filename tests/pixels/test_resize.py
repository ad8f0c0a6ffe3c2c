import numpy as np
import pytest
from PIL import Image

from medray.pixels.resize import fit_shape, resize, resize_masked

IMAGE = np.random.default_rng(0).normal(100, 30, (173, 121)).astype(np.float32)


@pytest.mark.parametrize("shape", [(64, 64), (128, 90), (173, 40), (300, 200), (1, 1), (17, 500)])
def test_equal_to_pillows_antialiased_bilinear(shape: tuple[int, int]) -> None:
    expected = np.asarray(Image.fromarray(IMAGE).resize(shape[::-1], Image.Resampling.BILINEAR))
    assert np.abs(resize(IMAGE, *shape) - expected).max() < 1e-4


def test_the_same_size_changes_nothing() -> None:
    assert resize(IMAGE, *IMAGE.shape) is IMAGE


@pytest.mark.parametrize("shape", [(64, 64), (200, 333), (1, 3)])
def test_a_constant_stays_constant(shape: tuple[int, int]) -> None:
    assert np.abs(resize(np.full((77, 31), -7.5, np.float32), *shape) + 7.5).max() < 1e-5


def test_masked_pixels_do_not_bleed_into_their_neighbours() -> None:
    mask = np.ones(IMAGE.shape, bool)
    mask[:, :60] = False
    hidden = np.where(mask, np.float32(5), np.float32(-30000))
    resized, valid = resize_masked(hidden, mask, 40, 30)
    assert np.abs(resized[valid] - 5).max() < 1e-4
    assert valid.mean() == pytest.approx(0.5, abs=0.05)
    assert (resized[~valid] == 0).all()


def test_a_mask_that_hides_nothing_changes_nothing() -> None:
    resized, valid = resize_masked(IMAGE, np.ones(IMAGE.shape, bool), 50, 60)
    assert valid.all()
    assert np.abs(resized - resize(IMAGE, 50, 60)).max() < 1e-3


@pytest.mark.parametrize(
    ("rows", "columns", "aspect", "expected"),
    [(100, 50, 1.0, (64, 32)), (50, 100, 1.0, (32, 64)), (100, 100, 0.5, (32, 64)), (9, 4000, 1.0, (1, 64))],
)
def test_the_longest_side_of_the_imaged_area_fills_the_square(
    rows: int, columns: int, aspect: float, expected: tuple[int, int]
) -> None:
    assert fit_shape(rows, columns, 64, aspect) == expected
