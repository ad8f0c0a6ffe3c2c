"""A region graph over its image: lines where the labels change, nodes at their centroids."""

import base64
import io

import numpy as np
from PIL import Image

from medray.reports.graph_images import NODE, borders, centres, graph_png

LABELS = np.repeat(np.repeat(np.arange(4).reshape(2, 2), 4, 0), 4, 1)
EDGES = np.array([[0, 1, 0, 2, 1, 3, 2, 3], [1, 0, 2, 0, 3, 1, 3, 2]])


def _pixels(address):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))).convert("RGB"))


def test_four_blocks_have_borders_of_sixteen_pixel_sides_and_centres_in_their_middle():
    assert borders(LABELS).shape == (16, 2, 2)
    np.testing.assert_allclose(centres(LABELS, 4), [[1.5, 1.5], [5.5, 1.5], [1.5, 5.5], [5.5, 5.5]])


def test_each_node_is_drawn_at_its_centroid_and_nodes_without_pixels_are_not():
    coarser = np.concatenate([EDGES, [[0, 4], [4, 0]]], axis=1)
    picture = _pixels(graph_png(np.zeros((8, 8), np.float32), LABELS, coarser))
    assert picture.shape == (768, 768, 3)
    for x, y in ((1.5, 1.5), (5.5, 1.5), (1.5, 5.5), (5.5, 5.5)):
        np.testing.assert_allclose(picture[round((y + 0.5) * 96), round((x + 0.5) * 96)], NODE, atol=2)


def test_pixels_of_no_region_are_no_node():
    labels = np.where(np.arange(8) < 4, -1, LABELS)
    assert _pixels(graph_png(np.zeros((8, 8), np.float32), labels, EDGES)).shape == (768, 768, 3)
