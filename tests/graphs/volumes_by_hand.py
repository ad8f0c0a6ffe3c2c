"""Statistics and adjacency of a volume's regions the slow way: masks, np.unique, np.bincount, eigvalsh; in mm."""

import math
from typing import Any

import numpy as np

HALVES: list[tuple[Any, Any]] = [
    (np.s_[:-1], np.s_[1:]), (np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:, :, :-1], np.s_[:, :, 1:])
]  # fmt: skip


def spheres(shape, spacing_mm, seed=0, count=6, noise=0.05) -> tuple[np.ndarray, np.ndarray]:
    """Balls of different grey on ground, float32 with mean 0 and deviation 1, and the number of the ball: 0 ground."""
    drawn = np.random.default_rng(seed)
    extent = np.array(shape) * spacing_mm
    places = np.stack(np.meshgrid(*(np.arange(n) * s for n, s in zip(shape, spacing_mm, strict=True)), indexing="ij"))
    truth = np.zeros(shape, int)
    for number in range(1, count + 1):
        middle, radius = drawn.uniform(0.15, 0.85, 3) * extent, drawn.uniform(0.12, 0.25) * np.cbrt(extent.prod())
        truth[((places - middle[:, None, None, None]) ** 2).sum(axis=0) < radius**2] = number
    volume = np.linspace(0, 1, count + 1)[truth] + drawn.normal(0, noise, shape)
    return ((volume - volume.mean()) / volume.std()).astype(np.float32), truth


def faces(spacing_mm) -> list[float]:
    """Areas of a voxel's faces across slices, rows and columns."""
    over, down, across = spacing_mm
    return [down * across, over * across, over * down]


def adjacency(volume, labels, spacing_mm) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs of neighbouring regions in lexicographic order, their areas, their mean |difference| over the area."""
    ends, areas, steps = [], [], []
    for (low, high), area in zip(HALVES, faces(spacing_mm), strict=True):
        across = (labels[low] != labels[high]) & (labels[low] >= 0) & (labels[high] >= 0)
        ends.append(np.stack([labels[low][across], labels[high][across]]))
        areas.append(np.full(across.sum(), area))
        steps.append(np.abs(volume[low].astype(float) - volume[high])[across])
    area, step = np.concatenate(areas), np.concatenate(steps)
    pairs, which = np.unique(np.sort(np.concatenate(ends, axis=1), axis=0), axis=1, return_inverse=True)
    total = np.bincount(which.ravel(), area, pairs.shape[1])
    return pairs, total, np.bincount(which.ravel(), area * step, pairs.shape[1]) / total


def statistics(volume, labels, spacing_mm) -> np.ndarray:
    """The columns of `VOLUME_STATISTICS`, region by region."""
    wide, marks = np.pad(volume.astype(float), 1, mode="edge"), np.pad(labels, 1, mode="edge")
    outside, inner = np.pad(labels, 1, constant_values=-1), (slice(1, -1),) * 3
    steepness, surface, border = np.zeros(volume.shape), np.zeros(volume.shape), np.zeros(volume.shape)
    for axis, area in enumerate(faces(spacing_mm)):
        step = np.zeros(volume.shape)
        for sign in (-1, 1):
            at = tuple(slice(1 + sign * (k == axis), -1 + sign * (k == axis) or None) for k in range(3))
            step += sign * np.where(marks[at] >= 0, wide[at], volume)
            surface += area * (outside[at] != labels)
            border += area * (outside[at] == -1)
        steepness += (step / (2 * spacing_mm[axis])) ** 2
    assert outside[inner].shape == labels.shape
    sums = np.sqrt(steepness), surface, border
    mean_volume = (labels >= 0).sum() * np.prod(spacing_mm) / (labels.max() + 1)
    return np.array([_row(volume, sums, labels == k, spacing_mm, mean_volume) for k in range(labels.max() + 1)])


def _row(volume, sums, mask, spacing_mm, mean_volume):
    steepness, surface, border = (values[mask] for values in sums)
    size, area, values = mask.sum() * np.prod(spacing_mm), surface.sum(), volume[mask].astype(float)
    places = np.stack(np.nonzero(mask)) * np.array(spacing_mm)[:, None]
    moments = np.cov(places, bias=True) + np.diag(np.square(spacing_mm)) / 12
    short, middle, long = np.sqrt(np.linalg.eigvalsh(moments)) / np.cbrt(size)
    centre, diagonal = (np.array(mask.shape) - 1) / 2 * spacing_mm, np.linalg.norm(np.array(mask.shape) * spacing_mm)
    return [
        math.log(size / mean_volume), values.mean(), values.std(), values.min(), values.max(),
        math.log1p(steepness.mean() * np.cbrt(mean_volume)), long, middle, short, area / (6 * size ** (2 / 3)),
        border.sum() / area, 36 * math.pi * size**2 / area**3,
        np.linalg.norm(places.mean(axis=1) - centre) / (diagonal / 2),
    ]  # fmt: skip
