"""Region statistics and adjacency the slow way: masks, np.unique, np.bincount, eigvalsh."""

import math
from typing import Any

import numpy as np


def adjacency(image: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs of 4-neighbouring regions (2, edges) in lexicographic order, their pixel sides, their mean |difference|."""
    sides: list[tuple[Any, Any]] = [(np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])]
    ends = np.concatenate([np.stack([labels[a].ravel(), labels[b].ravel()]) for a, b in sides], axis=1)
    steps = np.concatenate([np.abs(image[a].astype(float) - image[b]).ravel() for a, b in sides])
    across = ends[0] != ends[1]
    pairs, which = np.unique(np.sort(ends[:, across], axis=0), axis=1, return_inverse=True)
    lengths = np.bincount(which.ravel(), minlength=pairs.shape[1])
    return pairs, lengths, np.bincount(which.ravel(), steps[across], minlength=pairs.shape[1]) / lengths


def gradient(image: np.ndarray) -> np.ndarray:
    """Rows and columns of the central difference, (2, rows, columns); edge pixels repeat."""
    wide = np.pad(image.astype(float), 1, mode="edge")
    return np.stack([wide[2:, 1:-1] - wide[:-2, 1:-1], wide[1:-1, 2:] - wide[1:-1, :-2]]) / 2


def statistics(image: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The twelve columns of `features.STATISTICS`, region by region."""
    steepness = np.hypot(*gradient(image))
    outside, unlike = np.pad(labels, 1, constant_values=-1), np.zeros(labels.shape)
    for window in (np.s_[:-2, 1:-1], np.s_[2:, 1:-1], np.s_[1:-1, :-2], np.s_[1:-1, 2:]):
        unlike += outside[window] != labels
    at_border = sum((outside[window] == -1).astype(float) for window in
                    (np.s_[:-2, 1:-1], np.s_[2:, 1:-1], np.s_[1:-1, :-2], np.s_[1:-1, 2:]))  # fmt: skip
    mean_area = labels.size / (labels.max() + 1)
    return np.array(
        [_row(image, steepness, unlike, at_border, labels == k, mean_area) for k in range(labels.max() + 1)]
    )


def _row(image, steepness, unlike, at_border, mask, mean_area):
    rows, columns = np.nonzero(mask)
    area, sides, values = mask.sum(), unlike[mask].sum(), image[mask].astype(float)
    moments = np.cov(np.stack([rows, columns]), bias=True, ddof=0) + np.eye(2) / 12
    short, long = np.sqrt(np.maximum(np.linalg.eigvalsh(moments), 0) / area)
    centre = (np.array(mask.shape) - 1) / 2
    radius = np.hypot(rows.mean() - centre[0], columns.mean() - centre[1]) / (np.hypot(*mask.shape) / 2)
    return [
        math.log(area / mean_area), values.mean(), values.std(), values.min(), values.max(),
        math.log1p(steepness[mask].mean() * math.sqrt(mean_area)), long, short, sides / (4 * math.sqrt(area)),
        at_border[mask].sum() / sides, 4 * math.pi * area / sides**2, radius,
    ]  # fmt: skip
