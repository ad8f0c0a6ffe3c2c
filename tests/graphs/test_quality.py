"""Superpixels of medray against those of scikit-image, on images whose regions are known."""

import numpy as np
import pytest

from medray.graphs.build import superpixel_labels
from medray.image_settings import GraphRecipe
from tests.graphs.ellipses import achievable_accuracy, ellipses, undersegmentation_error

slic = pytest.importorskip("skimage.segmentation").slic


def peer(image: np.ndarray, regions: int) -> np.ndarray:
    """scikit-image's labels, asked so that the count that comes out is nearest to `regions`."""
    tries = [
        slic(image, round(regions * more), compactness=0.1, sigma=1, channel_axis=None, start_label=0)
        for more in (0.85, 1, 1.15, 1.3)
    ]
    return min(tries, key=lambda labels: abs(int(labels.max()) + 1 - regions))


def scores(labels: np.ndarray, truth: np.ndarray) -> tuple[float, float, int]:
    return achievable_accuracy(labels, truth), undersegmentation_error(labels, truth), labels.max() + 1


@pytest.mark.parametrize(
    ("size", "regions", "noise"), [(224, 196, 0.02), (224, 196, 0.1), (128, 200, 0.05), (28, 81, 0.05)]
)
def test_superpixels_keep_to_true_borders_no_worse_than_scikit_image(size: int, regions: int, noise: float) -> None:
    ours, theirs = [], []
    for seed in range(4):
        image, truth = ellipses(size, seed, noise)
        labels = superpixel_labels(image[None], GraphRecipe(regions=regions))
        ours.append(scores(labels, truth))
        theirs.append(scores(peer(image, labels.max() + 1), truth))
    (accuracy, error, count), (peer_accuracy, peer_error, peer_count) = np.mean(ours, axis=0), np.mean(theirs, axis=0)
    assert peer_count == pytest.approx(count, rel=0.1)
    assert accuracy >= peer_accuracy and error <= peer_error
