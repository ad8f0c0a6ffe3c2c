"""medray/pixels/augmentation.py: the draw is a function of its seed, and each change a closed form or scipy's."""

from dataclasses import fields, replace

import numpy as np
import pytest
from scipy import ndimage

from medray.errors import SettingsError
from medray.image_settings import LARGEST_ELASTIC, AugmentSettings
from medray.pixels.augmentation import (
    Augmentation,
    apply_augmentation,
    augment_mask,
    bend_weights,
    blur_weights,
    draw_augmentation,
    places,
)

ALL_ON = AugmentSettings(True, True, 20.0, 0.2, 0.1, 0.3, 0.05, 0.3, 0.2, 0.1, 1.0, 0.1, 0.4)
IMAGE = np.random.default_rng(0).normal(size=(2, 32, 32)).astype(np.float32)
SMOOTH = ndimage.gaussian_filter(IMAGE, (0, 3, 3)) * 10


def drawn(**settings) -> list[Augmentation]:
    return [draw_augmentation(AugmentSettings(**settings), seed) for seed in range(400)]


def test_nothing_is_drawn_and_nothing_is_changed_by_default() -> None:
    nothing = draw_augmentation(AugmentSettings(), 7)
    assert not nothing.moves and not AugmentSettings().is_on and ALL_ON.is_on
    assert np.array_equal(apply_augmentation(IMAGE, nothing), IMAGE)


def test_the_same_seed_draws_the_same_and_another_one_something_else() -> None:
    first, again, other = (apply_augmentation(IMAGE, draw_augmentation(ALL_ON, seed)) for seed in (1, 1, 2))
    assert np.array_equal(first, again) and not np.allclose(first, other)


@pytest.mark.parametrize("name", [item.name for item in fields(AugmentSettings)])
def test_a_change_that_is_switched_off_leaves_the_others_as_they_were(name: str) -> None:
    """Each field has numbers of its own, and switches on a change of its own."""
    off = AugmentSettings().__getattribute__(name)
    alone = replace(AugmentSettings(), **{name: getattr(ALL_ON, name)})
    assert any((apply_augmentation(IMAGE, draw_augmentation(alone, seed)) != IMAGE).any() for seed in range(4))
    without, with_all = (draw_augmentation(s, 5) for s in (replace(ALL_ON, **{name: off}), ALL_ON))
    same = {
        item.name
        for item in fields(Augmentation)
        if np.array_equal(*(getattr(d, item.name) for d in (without, with_all)))
    }
    assert len(same) >= len(fields(Augmentation)) - 2


def test_changes_stay_within_their_largest_and_fill_their_range() -> None:
    for name, settings, low, high in (
        ("gamma", {"gamma": 0.25}, 0.8, 1.25),
        ("contrast", {"contrast": 1.0}, 0.5, 2.0),
        ("brightness", {"brightness": 0.3}, -0.3, 0.3),
        ("blur_px", {"blur_px": 2.0}, 0.0, 2.0),
        ("noise", {"noise": 0.2}, 0.0, 0.2),
    ):
        values = np.array([getattr(one, name) for one in drawn(**settings)])
        span = high - low
        assert values.min() >= low and values.max() <= high, name
        assert values.min() < low + 0.05 * span and values.max() > high - 0.05 * span, name
    angles = [np.degrees(np.arctan2(one.matrix[1, 0], one.matrix[0, 0])) for one in drawn(rotate_degrees=15.0)]
    assert -15 <= min(angles) < -14 and 14 < max(angles) <= 15
    coins = np.array([one.flips for one in drawn(flip_left_right=True, flip_up_down=True)])
    assert (np.abs(coins.mean(axis=0) - 0.5) < 0.1).all() and 0.15 < (coins[:, 0] & coins[:, 1]).mean() < 0.35


@pytest.mark.parametrize(
    ("name", "sizes", "reach"),
    [("rotate_degrees", (1, 1), 0), ("scale", (1 / 1.4, 1.4), 0), ("shift", (1, 1), 0.4), ("crop", (0.6, 1), 0.2)],
)
def test_geometry_is_an_affine_map_of_the_kind_that_was_asked_for(
    name: str, sizes: tuple[float, float], reach: float
) -> None:
    """An output side reads `sizes` of the input's, from a place up to `reach` off the centre: both fill their range."""
    draws = drawn(**{name: 0.4})
    found = np.array([np.linalg.det(one.matrix) ** 0.5 for one in draws])
    assert all(
        np.allclose(one.matrix @ one.matrix.T, size**2 * np.eye(2)) for one, size in zip(draws, found, strict=True)
    )
    assert (found.min(), found.max()) == pytest.approx(sizes, rel=0.02)
    assert sizes[0] - 1e-9 <= found.min() and found.max() <= sizes[1] + 1e-9
    offsets = np.array([one.offset for one in draws])
    assert np.abs(offsets).max() <= reach + 1e-9
    assert np.allclose([offsets.min(axis=0), offsets.max(axis=0)], [[-reach] * 2, [reach] * 2], atol=0.15 * reach)
    if name == "crop":  # the window lies within the image
        assert (np.abs(offsets) <= (1 - found[:, None]) / 2 + 1e-9).all()


def test_quarter_turns_and_flips_move_pixels_and_change_none() -> None:
    quarter = Augmentation(matrix=np.array([[0.0, -1.0], [1.0, 0.0]]))
    assert np.allclose(apply_augmentation(IMAGE, quarter), np.rot90(IMAGE, -1, (1, 2)), atol=1e-5)
    assert np.array_equal(apply_augmentation(IMAGE, Augmentation(flips=(True, False))), IMAGE[:, ::-1])
    assert np.array_equal(apply_augmentation(IMAGE, Augmentation(flips=(False, True))), IMAGE[:, :, ::-1])


def test_a_shift_by_whole_pixels_moves_the_image_and_fills_with_its_minimum() -> None:
    moved = apply_augmentation(IMAGE, Augmentation(offset=np.array([-3, 5]) / 32))
    assert np.allclose(moved[:, 3:, :-5], IMAGE[:, :-3, 5:], atol=1e-5)
    assert np.allclose(moved[:, :3], IMAGE.min()) and np.allclose(moved[:, :, -5:], IMAGE.min())


def test_warping_is_scipys_linear_interpolation() -> None:
    one = draw_augmentation(replace(AugmentSettings(), rotate_degrees=30, scale=0.3, shift=0.2, elastic=0.1), 3)
    grid = np.stack(np.meshgrid(places(32), places(32), indexing="ij"))
    spline = bend_weights(32)
    read = np.einsum("ij,jrc->irc", one.matrix, grid) + one.offset[:, None, None] + spline @ one.bend @ spline.T
    expected = [
        ndimage.map_coordinates(plane, (read + 0.5) * 32 - 0.5, order=1, mode="grid-constant", cval=IMAGE.min())
        for plane in IMAGE.astype(float)
    ]
    assert np.abs(apply_augmentation(IMAGE, one) - expected).max() < 1e-4


def test_spline_weights_sum_to_one_and_the_largest_bend_folds_nothing() -> None:
    spline = bend_weights(64)
    assert np.allclose(spline.sum(axis=1), 1) and (spline >= 0).all()
    assert np.allclose(spline @ (np.arange(7) - 3) / 4, places(64))  # a straight line stays one
    for seed in range(50):
        bend = np.random.default_rng(seed).choice([-LARGEST_ELASTIC, LARGEST_ELASTIC], (2, 7, 7))
        rows, columns = spline @ bend @ spline.T + np.stack(np.meshgrid(places(64), places(64), indexing="ij"))
        (row_row, row_column), (column_row, column_column) = np.gradient(rows), np.gradient(columns)
        assert (row_row * column_column - row_column * column_row).min() > 0


def test_gamma_keeps_minimum_and_maximum_and_blur_is_scipys() -> None:
    brighter = apply_augmentation(SMOOTH, Augmentation(gamma=0.5))
    low, high = SMOOTH.min(), SMOOTH.max()
    assert np.allclose(brighter, np.sqrt((SMOOTH - low) / (high - low)) * (high - low) + low, atol=1e-4)
    assert np.array_equal(
        apply_augmentation(np.ones((1, 4, 4), np.float32), Augmentation(gamma=2.0)), np.ones((1, 4, 4))
    )
    blurred = apply_augmentation(IMAGE, Augmentation(blur_px=1.5))
    assert np.abs(blurred - ndimage.gaussian_filter(IMAGE, (0, 1.5, 1.5), mode="mirror", radius=(0, 5, 5))).max() < 1e-5
    assert blur_weights(9.0, 4).size == 7 and blur_weights(9.0, 4).sum() == pytest.approx(1)


def test_contrast_brightness_noise_and_a_hidden_square() -> None:
    assert np.allclose(apply_augmentation(IMAGE, Augmentation(contrast=2.0, brightness=0.5)), 2 * IMAGE + 0.5)
    noise = apply_augmentation(np.zeros((1, 200, 200), np.float32), Augmentation(noise=0.3, noise_seed=5))
    assert noise.std() == pytest.approx(0.3, rel=0.02) and abs(noise.mean()) < 0.01
    square = apply_augmentation(np.ones((2, 32, 32), np.float32), Augmentation(cut_out=(0.0, 0.25, 0.25)))
    assert (square == 0).sum() == 2 * 8 * 8 and (square[:, 12:20, 20:28] == 0).all()


def test_the_image_given_stays_as_it_was_and_the_size_and_type_stay() -> None:
    before = IMAGE.copy()
    for seed in range(5):
        after = apply_augmentation(IMAGE, draw_augmentation(ALL_ON, seed))
        assert after.shape == IMAGE.shape and after.dtype == np.float32 and np.isfinite(after).all()
    assert np.array_equal(IMAGE, before)


@pytest.mark.parametrize(
    ("name", "value"), [("elastic", 0.11), ("crop", 1.0), ("noise", -1.0), ("gamma", float("nan"))]
)
def test_a_change_out_of_range_is_refused_by_its_flag(name: str, value: float) -> None:
    with pytest.raises(SettingsError, match=rf"--augment\.{name} is"):
        AugmentSettings(**{name: value})


def test_a_mask_is_mirrored_turned_and_shifted_as_its_image_and_ends_where_it_ends() -> None:
    mask = np.arange(16, dtype=np.int16).reshape(4, 4)
    assert np.array_equal(augment_mask(mask, Augmentation(flips=(True, False))), mask[::-1])
    quarter = Augmentation(matrix=np.array([[0.0, -1.0], [1.0, 0.0]]))
    assert np.array_equal(augment_mask(mask, quarter), np.rot90(mask, -1))
    down = augment_mask(mask, Augmentation(offset=np.array([-0.25, 0.0])))
    assert np.array_equal(down[1:], mask[:-1]) and (down[0] == -1).all()
    assert np.array_equal(augment_mask(mask, Augmentation(gamma=2.0, noise=1.0, cut_out=(0.0, 0.0, 0.5))), mask)
