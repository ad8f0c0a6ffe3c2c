from typing import Any

import numpy as np
import pytest

from medray.archive.instance import PixelModule
from medray.errors import SampleError
from medray.pixels.prepare import prepare_image
from medray.pixels.values import FrameValues
from medray.settings import Recipe
from tests.pixels.instances import EXPLICIT

NOISE = np.random.default_rng(0).normal(300, 50, (40, 40)).astype(np.float32)


def prepared(values: np.ndarray, recipe: Recipe, mask: np.ndarray | None = None, **header) -> np.ndarray:
    pixels = PixelModule(EXPLICIT, values.shape[0], values.shape[1], **header)
    return prepare_image(FrameValues(values.astype(np.float32), mask, "numpy", ()), pixels, recipe)


def test_z_score_has_mean_zero_and_deviation_one() -> None:
    out = prepared(NOISE, Recipe(size=40))
    assert np.allclose(out[0], (NOISE - NOISE.mean()) / NOISE.std(), atol=1e-5)
    assert out.shape == (1, 40, 40)
    assert out.dtype == np.float32


def test_a_window_maps_its_ends_to_minus_two_and_two() -> None:
    values = np.array([[-160, 240], [40, 1000]])
    assert prepared(values, Recipe(size=2, window=(40.0, 400.0))).tolist() == [[[-2, 2], [0, 2]]]


def test_ct_takes_the_window_of_ct_and_others_do_not() -> None:
    values = np.array([[-160, 240], [40, 1000]])
    assert prepared(values, Recipe(size=2), modality="CT").tolist() == [[[-2, 2], [0, 2]]]
    assert prepared(values, Recipe(size=2), modality="MR").mean() == pytest.approx(0, abs=1e-6)
    no_ct_window = Recipe(size=2, ct_window=None)
    assert prepared(values, no_ct_window, modality="CT").mean() == pytest.approx(0, abs=1e-6)
    rgb = np.repeat(values[..., None], 3, axis=2)
    colour: dict[str, Any] = {"samples_per_pixel": 3, "photometric_interpretation": "RGB"}
    assert prepared(rgb, Recipe(size=2), modality="CT", **colour).mean() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("window", [None, (300.0, 100.0)])
def test_monochrome1_is_turned_and_only_where_asked(window: tuple[float, float] | None) -> None:
    plain = prepared(NOISE, Recipe(size=20, window=window))
    turned = prepared(NOISE, Recipe(size=20, window=window), photometric_interpretation="MONOCHROME1")
    kept = Recipe(size=20, window=window, invert_monochrome1=False)
    assert np.array_equal(turned, -plain)
    assert np.array_equal(prepared(NOISE, kept, photometric_interpretation="MONOCHROME1"), plain)


def test_pad_keeps_the_shape_and_fills_with_the_minimum() -> None:
    out = prepared(NOISE[:, :20], Recipe(size=20))[0]
    assert (out[:, :5] == out.min()).all()
    assert (out[:, 15:] == out.min()).all()
    assert out[:, 5:15].std() > 0.1
    stretched = prepared(NOISE[:, :20], Recipe(size=20, fit="stretch"))[0]
    assert (stretched == stretched.min()).sum() == 1


@pytest.mark.parametrize("header", [{"spacing_mm": (2.0, 1.0)}, {"pixel_aspect_ratio": (2, 1)}])
def test_pixels_twice_as_high_as_wide_make_the_image_twice_as_high(header: dict) -> None:
    out = prepared(NOISE, Recipe(size=20), **header)[0]
    assert (out[:, :5] == out.min()).all()
    assert out[:, 5:15].std() > 0.1


def test_padding_pixels_count_neither_in_the_statistics_nor_in_the_blend() -> None:
    mask = np.ones(NOISE.shape, bool)
    mask[:, :20] = False
    values = np.where(mask, NOISE, -2000)
    out = prepared(values, Recipe(size=20), mask)[0]
    alone = prepared(NOISE[:, 20:], Recipe(size=20, fit="stretch"))[0]
    real = NOISE[:, 20:]
    same_size = prepared(values, Recipe(size=40), mask)[0]
    assert np.allclose(same_size[:, 20:], (real - real.mean()) / real.std(), atol=1e-5)
    assert (out[:, :9] == out.min()).all()
    assert out[:, 10:].min() > 2 * alone.min()


def test_an_image_of_nothing_but_padding_is_refused() -> None:
    with pytest.raises(SampleError, match=r"pixels_missing: every pixel is Pixel Padding Value \(0028,0120\)"):
        prepared(NOISE, Recipe(size=20), np.zeros(NOISE.shape, bool))
    with pytest.raises(SampleError, match="pixels_missing"):
        prepared(NOISE, Recipe(size=20, window=(0.0, 1.0)), np.zeros(NOISE.shape, bool))


def test_a_constant_image_becomes_zero() -> None:
    assert (prepared(np.full((9, 9), 4095.0), Recipe(size=9)) == 0).all()


@pytest.mark.parametrize("scale", [1e-45, 1e-39, 1e-31, 1e-29, 1e29, 1e35])
def test_values_of_any_size_stay_numbers(scale: float) -> None:
    assert np.isfinite(prepared(NOISE * np.float32(scale), Recipe(size=20))).all()


def test_colour_becomes_luminance_or_three_channels_and_grey_is_repeated() -> None:
    rgb = np.stack([NOISE, NOISE + 10, NOISE * 2], axis=2)
    colour: dict[str, Any] = {"samples_per_pixel": 3, "photometric_interpretation": "RGB"}
    grey = prepared(rgb, Recipe(size=40), **colour)
    luminance = 0.299 * NOISE + 0.587 * (NOISE + 10) + 0.114 * NOISE * 2
    assert np.allclose(grey[0], (luminance - luminance.mean()) / luminance.std(), atol=1e-4)
    three = prepared(rgb, Recipe(size=40, channels=3), **colour)
    assert np.allclose(three, ((rgb - rgb.mean()) / rgb.std()).transpose(2, 0, 1), atol=1e-4)
    repeated = prepared(NOISE, Recipe(size=20, channels=3))
    assert np.array_equal(repeated[0], repeated[2])


def test_clip_percent_cuts_both_ends() -> None:
    values = np.arange(1600.0).reshape(40, 40)
    low, high = np.percentile(values, (5, 95))
    cut = np.clip(values, low, high)
    out = prepared(values, Recipe(size=40, clip_percent=5.0))[0]
    assert np.allclose(out, (cut - cut.mean()) / cut.std(), atol=1e-5)


def test_the_values_given_stay_as_they_were() -> None:
    values = NOISE.copy()
    for recipe in (Recipe(size=40), Recipe(size=40, window=(300.0, 100.0)), Recipe(size=20, clip_percent=1.0)):
        prepare_image(FrameValues(values, None, "numpy", ()), PixelModule(EXPLICIT, 40, 40), recipe)
    assert np.array_equal(values, NOISE)
