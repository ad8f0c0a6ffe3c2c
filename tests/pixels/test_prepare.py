import tracemalloc
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from medray.archive.instance import PixelModule, Window
from medray.errors import SampleError, SettingsError
from medray.image_settings import StepRecipe
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


@pytest.mark.parametrize(("window", "copies"), [(None, 0.0), ((300.0, 100.0), 1.0)])
def test_a_z_score_copies_no_large_image_and_a_window_copies_it_once(window: tuple | None, copies: float) -> None:
    values = np.random.default_rng(0).normal(300, 50, (1024, 1024)).astype(np.float32)
    frame, pixels = FrameValues(values, None, "numpy", ()), PixelModule(EXPLICIT, 1024, 1024)
    prepare_image(frame, pixels, Recipe(size=64, window=window))
    tracemalloc.start()
    prepare_image(frame, pixels, Recipe(size=64, window=window))
    peak = tracemalloc.get_traced_memory()[1] / values.nbytes
    tracemalloc.stop()
    assert copies <= peak < copies + 0.1


def stepped(values: np.ndarray, mask: np.ndarray | None = None, size: int = 40, **step) -> np.ndarray:
    header = step.pop("header", {})
    return prepared(values, Recipe(size=size, steps=StepRecipe(**step)), mask, **header)


def test_every_number_of_the_steps_is_in_the_recipes_id() -> None:
    changed: dict[str, Any] = {"content": 0.1, "crop": True, "median_px": 3, "nl_means": 1.0, "clahe": 2.0}
    changed |= {"spacing_mm": 1.0, "z_score": "content", "contrast": 2.0, "brightness": 1.0}
    assert changed.keys() == {item.name for item in fields(StepRecipe)}
    ids = {Recipe(steps=StepRecipe(**{name: value})).id() for name, value in changed.items()}
    assert len(ids | {Recipe().id()}) == len(changed) + 1


def test_a_crop_comes_before_the_resize_and_the_statistics() -> None:
    framed = np.pad(NOISE, ((10, 30), (5, 15)))
    assert np.array_equal(stepped(framed, crop=True), prepared(NOISE, Recipe(size=40)))
    inverted = stepped(1000 - framed, crop=True, header={"photometric_interpretation": "MONOCHROME1"})
    assert np.allclose(inverted, prepared(NOISE, Recipe(size=40)), atol=1e-4)


def test_a_pixel_of_the_model_input_has_the_spacing_asked_for() -> None:
    half_millimetre = {"spacing_mm": (0.5, 0.25)}
    out = stepped(NOISE, size=30, spacing_mm=1.0, header=half_millimetre)[0]
    rows, columns = np.nonzero(out != out.min())
    assert np.ptp(rows) == 19 and np.ptp(columns) == 9  # 20 mm x 10 mm in the middle of 30 mm
    assert abs(rows.mean() - 14.5) < 0.1 and abs(columns.mean() - 14.5) < 0.1


def test_what_is_larger_than_the_input_is_cut_at_the_edges() -> None:
    out = stepped(NOISE, size=10, spacing_mm=0.5, header={"spacing_mm": (0.5, 0.5)})[0]
    assert np.array_equal(out, prepared(NOISE, Recipe(size=40))[0, 15:25, 15:25])


def test_resampling_to_a_spacing_takes_area_means_of_a_smooth_image_and_no_alias() -> None:
    """A stripe of each second column is gone at a fifth of the resolution; a mean stays."""
    ramp = np.add.outer(np.arange(100.0), 2 * np.arange(100.0))
    stripes = 50.0 * (np.arange(100) % 2)
    found = stepped(ramp + stripes, size=20, spacing_mm=1.0, header={"spacing_mm": (0.2, 0.2)})[0]
    means = ramp.reshape(20, 5, 20, 5).mean((1, 3)) + 25
    expected = (means - (ramp + stripes).mean()) / (ramp + stripes).std()
    inner = slice(1, -1)
    assert np.abs(found - expected)[inner, inner].max() < 0.02


def test_an_image_without_spacing_is_refused_where_the_recipe_asks_for_one() -> None:
    for header in ({}, {"spacing_mm": (0.0, 1.0)}, {"pixel_aspect_ratio": (1, 1)}):
        with pytest.raises(SampleError, match=r"spacing_missing: .*Pixel Spacing \(0028,0030\)"):
            stepped(NOISE, spacing_mm=1.0, header=header)


def test_a_z_score_over_the_content_counts_nothing_else() -> None:
    scene = np.zeros((40, 40))
    scene[10:30, 5:35] = NOISE[10:30, 5:35]
    inside = scene[10:30, 5:35]
    out = stepped(scene, z_score="content")[0]
    assert np.allclose(out, (scene - inside.mean()) / inside.std(), atol=1e-4)
    mask = np.ones(scene.shape, bool)
    mask[:, :20] = False
    real = scene[10:30, 20:35]
    masked = stepped(np.where(mask, scene, 5000), mask, z_score="content")[0]
    assert np.allclose(masked[:, 20:], ((scene - real.mean()) / real.std())[:, 20:], atol=1e-4)
    assert (stepped(np.full((9, 9), 70.0), z_score="content", crop=True) == 0).all()


def test_clahe_works_within_the_headers_window_where_the_recipe_asks_for_it() -> None:
    voi = (Window(300.0, 100.0, "LINEAR_EXACT"),)
    recipe = Recipe(size=40, voi=0, steps=StepRecipe(clahe=2.0))
    frame = replace(FrameValues(NOISE, None, "numpy", ()), voi=voi)
    found = prepare_image(frame, PixelModule(EXPLICIT, 40, 40), recipe)
    assert np.array_equal(found, prepared(NOISE, Recipe(size=40, window=(300.0, 100.0), steps=StepRecipe(clahe=2.0))))


@pytest.mark.parametrize("window", [None, (300.0, 100.0)])
def test_contrast_and_brightness_come_last_and_after_the_polarity(window: tuple[float, float] | None) -> None:
    recipe = Recipe(size=20, window=window, steps=StepRecipe(contrast=1.5, brightness=-0.25))
    header = {"photometric_interpretation": "MONOCHROME1"}
    plain = prepared(NOISE, Recipe(size=20, window=window), **header)
    assert np.allclose(prepared(NOISE, recipe, **header), 1.5 * plain - 0.25, atol=1e-5)


def test_steps_work_on_colours_and_leave_the_values_given_as_they_were() -> None:
    rgb = np.pad(np.stack([NOISE, NOISE + 10, NOISE * 2], axis=2), ((4, 4), (0, 9), (0, 0)))
    before = rgb.copy()
    colour: dict[str, Any] = {"samples_per_pixel": 3, "photometric_interpretation": "RGB"}
    steps = StepRecipe(crop=True, median_px=3, nl_means=0.8, clahe=2.0, z_score="content")
    out = prepared(rgb, Recipe(size=20, channels=3, steps=steps), **colour)
    assert out.shape == (3, 20, 20) and np.isfinite(out).all() and not np.allclose(out[0], out[2])
    assert np.array_equal(rgb, before)


@pytest.mark.parametrize(
    ("name", "value"), [("median_px", 4), ("spacing_mm", 0.0), ("content", 1.0), ("clahe", -1.0), ("contrast", 0.0)]
)
def test_a_step_out_of_range_is_refused_by_its_flag(name: str, value: float) -> None:
    with pytest.raises(SettingsError, match=rf"--recipe\.steps\.{name} is {value:g}, and must be"):
        StepRecipe(**{name: value})
