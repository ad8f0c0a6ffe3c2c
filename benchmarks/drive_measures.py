"""How good a score of each pixel is, inside the field of view and over all photographs together."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import ndimage

from benchmarks.drive_images import Photograph
from medray.graphs.build import superpixel_labels
from medray.graphs.node_targets import achievable, class_counts, class_shares, paint_nodes
from medray.image_settings import GraphRecipe
from medray.pixels.overlap import accuracy_of, dice_of
from medray.training.measure import weighed_auroc
from medray.training.summary import mean_interval

BINS = 2000
HALF = 0.5


def in_view(maps: Sequence[np.ndarray], photos: Sequence[Photograph]) -> tuple[np.ndarray, np.ndarray]:
    """Scores (float64) and truth (bool) of all pixels in the fields of view."""
    scores = np.concatenate([one[photo.view] for one, photo in zip(maps, photos, strict=True)])
    truth = np.concatenate([photo.mask[photo.view] > 0 for photo in photos])
    return scores.astype(np.float64), truth


def confusion_at(scores: np.ndarray, truth: np.ndarray, threshold: float) -> np.ndarray:
    """Pixels by truth (rows) and by whether they score the threshold or more (columns), int64 (2, 2)."""
    cells = truth.astype(np.int64) * 2 + (scores >= threshold)
    return np.bincount(cells, minlength=4).reshape(2, 2)


def best_threshold(scores: np.ndarray, truth: np.ndarray) -> float:
    """The score from which on to say vessel for the largest Dice; of BINS + 1 values between the extremes."""
    edges = np.linspace(scores.min(), scores.max(), BINS + 1)
    vessels, rest = (np.histogram(scores[which], edges)[0] for which in (truth, ~truth))
    right, wrong = (np.cumsum(count[::-1])[::-1] for count in (vessels, rest))
    dice = 2 * right / (right + wrong + truth.sum())
    return float(edges[dice.argmax()])


def figures(scores: np.ndarray, truth: np.ndarray, chosen: float, *, half: bool = True) -> dict[str, float]:
    """AUROC; Dice of vessels and accuracy at the chosen threshold and, for probabilities (`half`), at 0.5."""
    found = {"auroc": weighed_auroc(scores, truth.astype(np.int64), (~truth).astype(np.int64)), "threshold": chosen}
    for name, threshold in {"chosen": chosen, **({"half": HALF} if half else {})}.items():
        confusion = confusion_at(scores, truth, threshold)
        found |= {f"dice_{name}": float(dice_of(confusion)[1]), f"accuracy_{name}": accuracy_of(confusion)}
    return found


def thin(mask: np.ndarray) -> np.ndarray:
    """Vessel pixels where the vessel is at most 2 pixels wide, those in no 3 x 3 square of it: bool, as `mask`."""
    vessels = mask == 1
    narrow: np.ndarray = vessels & ~ndimage.binary_opening(vessels, np.ones((3, 3)))
    return narrow


def recalls(said: Sequence[np.ndarray], photos: Sequence[Photograph]) -> dict[str, float]:
    """Share of the pixels of thin vessels, and of the others, that are said to be vessel (bool maps)."""
    found, there = np.zeros(2), np.zeros(2)
    for one, photo in zip(said, photos, strict=True):
        narrow = thin(photo.mask)
        for place, which in enumerate((narrow, (photo.mask == 1) & ~narrow)):
            found[place] += (one & which).sum()
            there[place] += which.sum()
    return dict(zip(("thin", "others"), np.round(found / there, 4).tolist(), strict=True))


def summary(runs: Sequence[dict[str, float]]) -> dict[str, Any]:
    """Of each figure the mean over the seeds, Student's interval, and every seed's own."""
    found: dict[str, Any] = {"seeds": len(runs)}
    for name in runs[0]:
        values = [run[name] for run in runs]
        interval = mean_interval(values)
        found[name] = round(interval.mean, 4)
        if interval.low is not None and interval.high is not None:
            found[f"{name}_interval"] = [round(interval.low, 4), round(interval.high, 4)]
            found[f"{name}_each"] = [round(value, 4) for value in values]
    return found


def ceiling(photos: Sequence[Photograph], recipe: GraphRecipe) -> dict[str, Any]:
    """How far the best answers of these regions go: one class a region, and each region's true share as its score."""
    counts, maps = [], []
    for photo in photos:
        labels = superpixel_labels(photo.image, recipe, photo.view)
        counts.append(class_counts(labels, photo.mask, int(labels.max()) + 1, 2))
        maps.append(paint_nodes(labels, class_shares(counts[-1]))[..., 1])
    majority = achievable(np.concatenate(counts))
    scores, truth = in_view(maps, photos)
    best = figures(scores, truth, best_threshold(scores, truth), half=False)
    return {
        "regions": round(float(np.mean([len(count) for count in counts]))),
        "accuracy": round(majority.accuracy, 4),
        "dice": round(majority.dice[1], 4),
        "dice_of_the_best_threshold": round(best["dice_chosen"], 4),
        "auroc_of_shares": round(best["auroc"], 4),
        "recall": recalls([one > HALF for one in maps], photos),
    }
