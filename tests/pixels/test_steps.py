"""medray/pixels/steps.py: each step against a closed form, brute force or the library that the field uses."""

import numpy as np
import pytest
from scipy import ndimage
from skimage import data as pictures
from skimage.exposure import equalize_adapthist
from skimage.restoration import denoise_nl_means

from medray.errors import SampleError
from medray.image_settings import StepRecipe
from medray.pixels import steps
from medray.pixels.steps import Scene

DRAW = np.random.default_rng(0)
NOISE = DRAW.normal(300, 50, (1, 40, 44)).astype(np.float32)
COLOURS = DRAW.normal(100, 20, (3, 30, 36)).astype(np.float32)
CAMERA = pictures.camera()[None, ::4, ::4].astype(np.float32)
ALL_ON = StepRecipe(crop=True, median_px=3, nl_means=0.8, clahe=2.0)


def holed(planes: np.ndarray) -> np.ndarray:
    """A mask with a padded border and padded pixels amid the image."""
    mask = np.random.default_rng(1).random(planes.shape[1:]) > 0.1
    mask[:5] = mask[:, -7:] = False
    return mask


def test_content_is_what_is_brighter_than_a_share_of_the_range_and_dark_may_be_high() -> None:
    ramp = np.linspace(-1000, 1000, 41, dtype=np.float32).reshape(1, 1, 41)
    assert steps.content_mask(ramp, None, 0.25, Scene()).sum() == 30
    assert np.array_equal(
        steps.content_mask(-ramp, None, 0.25, Scene(dark_is_high=True)), steps.content_mask(ramp, None, 0.25, Scene())
    )
    hidden = np.where(np.arange(41) < 40, ramp, 1e6).astype(np.float32)
    mask = np.arange(41)[None] < 40
    assert steps.content_mask(hidden, mask, 0.25, Scene())[0].tolist() == [False] * 10 + [True] * 30 + [False]


def test_a_crop_is_the_rectangle_of_the_content_in_any_colour() -> None:
    planes = np.zeros((3, 20, 30), np.float32)
    planes[0, 4, 11], planes[2, 9, 25] = 50, 100
    content = steps.content_mask(planes, None, 0.1, Scene())
    cut, mask, box = steps.crop_to_content(planes, None, content)
    assert box == (slice(4, 10), slice(11, 26)) and mask is None and cut.shape == (3, 6, 15) and cut.flags.c_contiguous
    assert (cut[0, 0, 0], cut[2, -1, -1]) == (50, 100)
    nothing = np.zeros((1, 4, 4), np.float32)
    assert steps.crop_to_content(nothing, None, nothing[0] > 0)[0] is nothing


@pytest.mark.parametrize("side", [3, 5])
def test_the_median_is_scipys_within_and_that_of_the_real_pixels_everywhere(side: int) -> None:
    reach = side // 2
    inner = (slice(None), slice(reach, -reach), slice(reach, -reach))
    expected = np.stack([ndimage.median_filter(plane, side) for plane in COLOURS])
    assert np.array_equal(steps.median(COLOURS, None, side)[inner], expected[inner])
    mask = holed(NOISE)
    padded = np.pad(np.where(mask, NOISE[0], np.nan), reach, constant_values=np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (side, side)).reshape(-1, side * side)
    brute = np.array([np.median(window[~np.isnan(window)]) for window in windows[mask.ravel()]])
    found = steps.median(NOISE, mask, side)[0]
    assert np.allclose(found[mask], brute, rtol=1e-6) and np.array_equal(found[~mask], NOISE[0][~mask])


@pytest.mark.parametrize("sigma", [2.0, 10.0])
def test_the_noise_of_a_smooth_image_is_estimated_within_five_percent(sigma: float) -> None:
    rows, columns = np.mgrid[:120, :120]
    smooth = 0.02 * (rows - 60) ** 2 + 3 * columns
    noisy = (smooth + np.random.default_rng(2).normal(0, sigma, smooth.shape)).astype(np.float32)[None]
    assert steps.noise_deviation(noisy, None) == pytest.approx(sigma, rel=0.05)
    mask = holed(noisy) | (rows > 30)
    hidden = np.where(mask, noisy, np.float32(-3000))
    assert steps.noise_deviation(hidden, mask) == pytest.approx(sigma, rel=0.05)
    assert steps.noise_deviation(noisy[:, :2], None) == 0


def brute_non_local_means(planes: np.ndarray, mask: np.ndarray, noise: float, strength: float) -> np.ndarray:
    """The definition, pixel by pixel: patches of 5 x 5, within 11 x 11."""
    wide = np.pad(planes.astype(float), ((0, 0), (7, 7), (7, 7)))
    real = np.pad(mask, 7)
    out = planes.astype(float)
    for row, column in np.argwhere(mask) + 7:
        mine, my_real = (
            wide[:, row - 2 : row + 3, column - 2 : column + 3],
            real[row - 2 : row + 3, column - 2 : column + 3],
        )
        total, weights = np.zeros(len(planes)), 0.0
        for near_row in range(row - 5, row + 6):
            for near_column in range(column - 5, column + 6):
                if real[near_row, near_column]:
                    window = slice(near_row - 2, near_row + 3), slice(near_column - 2, near_column + 3)
                    both = my_real & real[window]
                    distance = ((mine - wide[:, *window]) ** 2).mean(axis=0)[both].mean()
                    weight = np.exp(-max(distance - 2 * noise**2, 0) / strength**2)
                    total, weights = total + weight * wide[:, near_row, near_column], weights + weight
        out[:, row - 7, column - 7] = total / weights
    return out


@pytest.mark.parametrize("planes", [NOISE[:, :20, :18], COLOURS[:, :18, :20]], ids=["grey", "colour"])
def test_non_local_means_is_its_definition_and_reads_no_padding(planes: np.ndarray) -> None:
    mask = holed(planes)
    hidden = np.where(mask, planes, np.float32(-2000))
    noise = steps.noise_deviation(hidden, mask) or 30.0
    found = steps.non_local_means(hidden, mask, 0.8)
    assert np.abs(found - brute_non_local_means(hidden, mask, noise, 0.8 * noise))[:, mask].max() < 1e-2
    assert np.array_equal(found[:, ~mask], hidden[:, ~mask])


def test_non_local_means_takes_away_as_much_noise_as_scikit_image() -> None:
    noisy = CAMERA + np.random.default_rng(3).normal(0, 15, CAMERA.shape).astype(np.float32)
    noise = steps.noise_deviation(noisy, None)
    theirs = denoise_nl_means(noisy[0], 5, 5, 0.8 * noise, fast_mode=True, sigma=noise)
    ours = steps.non_local_means(noisy, None, 0.8)[0]
    errors = [np.sqrt(np.mean((image - CAMERA[0]) ** 2)) for image in (noisy[0], theirs, ours)]
    assert errors[2] < 0.7 * errors[0] and errors[2] < 1.02 * errors[1]
    flat = np.full((1, 9, 9), 7, np.float32)
    assert steps.non_local_means(flat, None, 0.8) is flat


def test_clahe_of_uniform_histograms_is_the_identity_and_with_a_limit_near_zero_of_any() -> None:
    ramp = np.tile(np.linspace(0, 100, 256 * 4 + 1, dtype=np.float32)[:-1].reshape(32, 32), (8, 8))[None]
    assert np.abs(steps.clahe(ramp, None, 3.0, (0.0, 100.0)) - ramp).max() < 1e-3
    assert np.abs(steps.clahe(NOISE, None, 1e-6, (100.0, 500.0)) - np.clip(NOISE, 100, 500)).max() < 1e-2


def brute_clahe(plane: np.ndarray, mask: np.ndarray, place: tuple[int, int], limit: float) -> float:
    """One pixel of an image from 0 to 256, by the definition."""
    nearest = [(at + 0.5) * 8 / length - 0.5 for at, length in zip(place, plane.shape, strict=True)]
    total = weights = 0.0
    for tile in np.ndindex(8, 8):
        weight = np.prod([max(0, 1 - abs(min(max(at, 0), 7) - t)) for at, t in zip(nearest, tile, strict=True)])
        ends = [np.rint(np.array([t, t + 1]) * n / 8).astype(int) for t, n in zip(tile, plane.shape, strict=True)]
        cut = tuple(slice(*pair) for pair in ends)
        real = plane[cut][mask[cut]]
        if weight and real.size:
            counts = np.histogram(real, 256, (0, 256))[0]
            kept = np.minimum(counts, limit * real.size / 256)
            kept += (real.size - kept.sum()) / 256
            curve = np.append(0, np.cumsum(kept)) / real.size
            total, weights = total + weight * np.interp(plane[place], np.arange(257), curve), weights + weight
    return 256 * total / weights


def test_clahe_is_its_definition_and_counts_real_pixels_only() -> None:
    plane = np.clip(np.random.default_rng(4).normal(100, 60, (61, 83)), 0, 255.9).astype(np.float32)
    mask = holed(plane[None])
    mask[20:40, 20:45] = False  # whole tiles
    found = steps.clahe(np.where(mask, plane, np.float32(9000))[None], mask, 3.0, (0.0, 256.0))[0]
    for place in np.argwhere(mask)[::29]:
        assert found[*place] == pytest.approx(brute_clahe(plane, mask, tuple(place), 3.0), abs=1e-2)
    assert (found[~mask] == 9000).all()


def test_one_tile_without_a_clip_equalises_the_whole_histogram(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "TILES", 1)
    low, high = steps.real_range(NOISE, None)
    found = (steps.clahe(NOISE, None, 256.0, (low, high)) - low) / (high - low)
    ranks = np.argsort(np.argsort(NOISE.ravel())) / NOISE.size
    assert np.abs(found.ravel() - ranks).max() < 0.02


def test_no_curve_of_clahe_is_steeper_than_its_limit_nor_falls() -> None:
    histograms = DRAW.poisson(0.5, (8, 8, 256)).astype(float) ** 4
    curves, held = steps._curves(histograms, 2.0)
    slopes = np.diff(curves.astype(float), axis=2) * 256
    assert slopes.min() >= 0 and slopes.max() <= 3.0  # the limit, and the share of what was cut
    assert np.allclose(curves[..., -1], 1, atol=1e-5) and np.allclose(held, histograms.sum(axis=2))


def test_clahe_looks_like_scikit_images() -> None:
    """Tiles, borders and the dealing of what is cut differ a little there."""
    theirs = equalize_adapthist(CAMERA[0] / 255, kernel_size=16, clip_limit=2.0 / 256)
    ours = steps.clahe(CAMERA, None, 2.0, (0.0, 255.0))[0] / 255
    assert np.corrcoef(theirs.ravel(), ours.ravel())[0, 1] > 0.97 and np.abs(theirs - ours).mean() < 0.1


@pytest.mark.parametrize("planes", [NOISE, COLOURS], ids=["grey", "colour"])
@pytest.mark.parametrize("window", [None, (250.0, 300.0)])
def test_no_step_reads_padding_or_changes_what_it_was_given(planes: np.ndarray, window: tuple | None) -> None:
    mask = holed(planes)
    found = []
    for hidden in (-2000, 5000):
        given = np.where(mask, planes, np.float32(hidden))
        before = given.copy()
        after, after_mask, _ = steps.apply_steps(given, mask, ALL_ON, Scene(window=window))
        assert np.array_equal(given, before) and after.dtype == np.float32
        found.append((after[:, after_mask], after_mask))
    assert np.array_equal(found[0][0], found[1][0]) and np.array_equal(found[0][1], found[1][1])
    assert found[0][1].shape < mask.shape


@pytest.mark.parametrize("top", [3e38, 1e-40])
def test_values_at_the_ends_of_float32_give_numbers_or_are_refused(top: float) -> None:
    planes = np.float32(top) * np.random.default_rng(5).random((1, 20, 20), np.float32)
    for window in (None, (0.0, 1e-45), (0.0, float("inf"))):
        assert np.isfinite(steps.apply_steps(planes, None, StepRecipe(clahe=2.0), Scene(window=window))[0]).all()
    with pytest.raises(SampleError, match="unsupported_pixels: values span"):
        steps.apply_steps(planes, None, ALL_ON, Scene())


def test_a_mask_that_hides_nothing_changes_nothing() -> None:
    whole, *_ = steps.apply_steps(NOISE, None, ALL_ON, Scene())
    masked, *_ = steps.apply_steps(NOISE, np.ones(NOISE.shape[1:], bool), ALL_ON, Scene())
    assert np.array_equal(whole, masked)


def test_an_image_of_nothing_but_padding_is_refused() -> None:
    with pytest.raises(SampleError, match="pixels_missing"):
        steps.apply_steps(NOISE, np.zeros(NOISE.shape[1:], bool), ALL_ON, Scene())


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 1, 50), (1, 7, 2)])
def test_small_images_pass_every_step(shape: tuple[int, int, int]) -> None:
    planes = DRAW.normal(size=shape).astype(np.float32)
    assert np.isfinite(steps.apply_steps(planes, None, ALL_ON, Scene())[0]).all()
    assert np.isfinite(steps.apply_steps(np.zeros_like(planes), None, ALL_ON, Scene())[0]).all()
