"""How well superpixels keep to true borders, beside scikit-image's at an equal number of regions.

Phantoms with known regions, retina vessels (DRIVE) and cell membranes (ISBI 2012), each against its own mask. Measures
are achievable segmentation accuracy, undersegmentation error (Neubert and Protzel 2012), and boundary recall within 2
pixels, which means nothing without the share of pixels that are boundary.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from medray.graphs.build import superpixel_labels
from medray.image_settings import GraphRecipe
from tests.graphs.ellipses import achievable_accuracy, ellipses, undersegmentation_error

TOLERANCE_PX = 2
PHANTOMS = 8
MEASURES = ("regions", "asa", "ue", "boundary_recall", "boundary_share")
TRIES, NEAR = 6, 0.03

Pair = tuple[np.ndarray, np.ndarray]


def standardised(image: np.ndarray) -> np.ndarray:
    """Mean 0 and standard deviation 1, float32."""
    values = image.astype(np.float64)
    result: np.ndarray = ((values - values.mean()) / values.std()).astype(np.float32)
    return result


def phantoms(size: int) -> Iterator[Pair]:
    """Images of ellipses, and the ellipse of each pixel."""
    return (ellipses(size, seed) for seed in range(PHANTOMS))


def drive(data: Path) -> Iterator[Pair]:
    """Green planes of DRIVE's 20 test images, and the first observer's vessels."""
    for number in range(1, 21):
        photograph = np.asarray(Image.open(data / f"drive/test/images/{number:02d}_test.tif"))
        vessels = np.asarray(Image.open(data / f"drive/test/1st_manual/{number:02d}_manual1.gif")) > 0
        yield standardised(photograph[..., 1]), vessels.astype(int)


def isbi_em(data: Path) -> Iterator[Pair]:
    """The 30 slices of ISBI 2012, and their membranes (black in the mask)."""
    for number in range(30):
        image, label = (np.asarray(Image.open(data / f"isbi_em/{kind}/{number}.png")) for kind in ("image", "label"))
        yield standardised(image), (label < 128).astype(int)


def boundaries(labels: np.ndarray) -> np.ndarray:
    """Pixels whose right or lower neighbour has another label."""
    found = np.zeros(labels.shape, bool)
    found[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    found[:-1] |= labels[:-1] != labels[1:]
    return found


def measures(labels: np.ndarray, truth: np.ndarray) -> tuple[float, ...]:
    """The values of MEASURES."""
    ours, true = boundaries(labels), boundaries(truth)
    near = ndimage.maximum_filter(ours, 2 * TOLERANCE_PX + 1)
    accuracy, error = achievable_accuracy(labels, truth), undersegmentation_error(labels, truth)
    return float(labels.max() + 1), accuracy, error, float(near[true].mean()), float(ours.mean())


def peer_labels(image: np.ndarray, regions: int, compactness: float = 0.1) -> np.ndarray:
    """scikit-image's superpixels; it scales the image to 0 … 1 first."""
    from skimage.segmentation import slic

    labels: np.ndarray = slic(image, regions, compactness=compactness, sigma=1, channel_axis=None, start_label=0)
    return labels


def equal_count(image: np.ndarray, regions: int) -> np.ndarray:
    """scikit-image's superpixels with our compactness, asked again until their count is within 3 % of `regions`."""
    compactness = GraphRecipe().compactness * float(image.std()) / float(np.ptp(image))
    asked, found = regions, []
    for _ in range(TRIES):
        found.append(peer_labels(image, asked, compactness))
        count = int(found[-1].max()) + 1
        if abs(count - regions) <= NEAR * regions:
            break
        asked = round(asked * regions / count)
    return min(found, key=lambda labels: abs(int(labels.max()) + 1 - regions))


def compared(pairs: Iterator[Pair], regions: int) -> dict[str, float]:
    """Mean measures of both over the images; those of scikit-image end in `_skimage`."""
    ours, theirs = [], []
    for image, truth in pairs:
        labels = superpixel_labels(image[None], GraphRecipe(regions=regions))
        ours.append(measures(labels, truth))
        theirs.append(measures(equal_count(image, int(labels.max()) + 1), truth))
    figures = dict(zip(MEASURES, np.mean(ours, axis=0), strict=True))
    figures |= zip((f"{name}_skimage" for name in MEASURES), np.mean(theirs, axis=0), strict=True)
    return {name: round(float(value), 4) for name, value in figures.items()}
