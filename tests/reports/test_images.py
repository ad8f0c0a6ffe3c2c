import base64
import io

import numpy as np
from PIL import Image

from medray.reports.images import grey_levels, heat_colors, image_png, overlay_png, ramp_css, relative_heat


def opened(address: str) -> np.ndarray:
    head, _, data = address.partition(",")
    assert head == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))


def test_grey_runs_from_black_to_white_whatever_the_range() -> None:
    ramp = np.linspace(-1000, 3000, 1000, dtype=np.float32).reshape(25, 40)
    levels = grey_levels(ramp)
    assert (levels.min(), levels.max()) == (0, 255)
    assert (np.diff(levels.ravel().astype(int)) >= 0).all()


def test_constant_images_are_grey_and_nan_is_black() -> None:
    assert (grey_levels(np.full((3, 3), 7.0)) == 128).all()
    assert (grey_levels(np.full((3, 3), np.nan)) == 128).all()
    holed = np.array([[np.nan, 0.0], [1.0, 2.0]])
    assert grey_levels(holed)[0, 0] == 0


def test_small_images_grow_and_large_ones_shrink_in_proportion() -> None:
    assert opened(image_png(np.random.default_rng(0).random((28, 14)))).shape == (192, 96)
    assert opened(image_png(np.random.default_rng(0).random((1000, 500)))).shape == (384, 192)


def test_more_heat_is_lighter_and_less_transparent() -> None:
    colors = heat_colors(np.linspace(0, 1, 50)).astype(float)
    luminance = colors[:, :3] @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(luminance) >= 0).all()
    assert (np.diff(colors[:, 3]) >= 0).all()
    assert colors[0, 3] == 0


def test_no_heat_leaves_the_image_grey_and_heat_shows_where_it_is() -> None:
    image = np.random.default_rng(0).random((200, 200))
    bare = opened(overlay_png(image, np.zeros((200, 200)))).astype(int)
    assert (bare.max(axis=2) == bare.min(axis=2)).all()
    heat = np.zeros((4, 4))
    heat[0, 0] = 3.0
    warm = opened(overlay_png(image, heat)).astype(int)
    changed = np.abs(warm - bare).sum(axis=2)
    assert changed[:20, :20].min() > 50
    assert changed[120:, 120:].max() == 0


def test_heat_is_relative_to_its_maximum_and_never_negative() -> None:
    np.testing.assert_allclose(relative_heat(np.array([[-1.0, np.nan], [2.0, 4.0]])), [[0, 0], [0.5, 1]])
    assert ramp_css().startswith("linear-gradient(90deg, rgb(")
