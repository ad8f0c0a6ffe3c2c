"""What the networks of benchmarks/drive.py read: whole photographs as region graphs, and windows of pixels."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import torch

from benchmarks.drive_images import SYMMETRIES, Photograph, random_windows
from medray.graphs.arrow import collate_arrow, graphs_to_arrow
from medray.graphs.build import build_with_labels
from medray.graphs.features import edge_feature_names
from medray.graphs.node_targets import class_counts
from medray.image_settings import GraphRecipe
from medray.samples.batch import Batch, Inputs
from medray.samples.collate import GRAPH_TENSORS

Reads = Literal["graph", "regions", "windows"]
"""Region graphs; these, the image and the node of each pixel; pixels alone, trained on windows."""
Answers = Literal["node", "pixel"]
WINDOW_PX, WINDOWS = 192, 4


@dataclass(frozen=True, eq=False)
class Regions:
    """The region graph of a photograph, in few bytes.

    Attributes:
        table: its row of `graphs_to_arrow`.
        labels: int32 (rows, columns), the node of each pixel, -1 outside the field of view.
        counts: int32 (nodes, 2), the pixels of each class that a node has.
    """

    table: pa.Table
    labels: np.ndarray
    counts: np.ndarray


def regions_of(photo: Photograph, recipe: GraphRecipe) -> Regions:
    """The graph of the field of view."""
    graph, labels = build_with_labels(photo.image, recipe, photo.view)
    return Regions(graphs_to_arrow([graph]), labels, class_counts(labels, photo.mask, graph.num_nodes, 2))


class GraphCache:
    """The graphs of training photographs, turned and mirrored: each is built when it is first asked for."""

    def __init__(self, photos: Sequence[Photograph], recipe: GraphRecipe) -> None:
        self.photos, self.recipe = photos, recipe
        self._built: dict[tuple[int, int], tuple[Regions, float]] = {}
        self._early: dict[tuple[int, int], float] = {}

    def of(self, number: int, which: int) -> Regions:
        """Of photograph `number` under symmetry `which`."""
        key = number, which
        if key in self._built:
            regions, seconds = self._built[key]
            self._early.setdefault(key, seconds)
            return regions
        started = time.process_time()
        regions = regions_of(self.photos[number].symmetric(which), self.recipe)
        self._built[key] = regions, time.process_time() - started
        self._early[key] = 0.0
        return regions

    def bill(self) -> float:
        """CPU seconds of the graphs taken since the last bill that were built, for others, before it."""
        seconds, self._early = sum(self._early.values()), {}
        return seconds


def pixel_counts(photos: Sequence[Photograph]) -> torch.Tensor:
    """Labels of a network that answers for pixels: int64 (pixels in view, 2), a 1 at the class."""
    classes = torch.from_numpy(np.concatenate([photo.mask[photo.view] for photo in photos]).astype(np.int64))
    return torch.nn.functional.one_hot(classes, 2)


def graph_batch(photo: Photograph, regions: Regions, recipe: GraphRecipe, *, reads: Reads, answers: Answers) -> Batch:
    """One photograph as its region graph, with the image beside it where that is read."""
    arrays = collate_arrow(regions.table, edge_feature_names(recipe))
    inputs: Inputs = {**{name: torch.from_numpy(arrays[name]) for name in GRAPH_TENSORS}, "num_graphs": 1}
    if reads == "regions":
        places = torch.from_numpy(regions.labels.astype(np.int64))
        inputs |= {"image": torch.from_numpy(photo.image)[None], "regions": places[None]}
    by_node = answers == "node"
    labels = torch.from_numpy(regions.counts.astype(np.int64)) if by_node else pixel_counts([photo])
    return Batch(inputs, labels, ["photograph"])


def pixel_batch(photos: Sequence[Photograph]) -> Batch:
    """Photographs of one size as pixels."""
    image, view = np.stack([photo.image for photo in photos]), np.stack([photo.view for photo in photos])
    inputs: Inputs = {"image": torch.from_numpy(image), "inside": torch.from_numpy(view)}
    return Batch(inputs, pixel_counts(photos), ["window"] * len(photos))


def training_batches(cache: GraphCache, seed: int, epoch: int, *, reads: Reads, answers: Answers) -> Iterator[Batch]:
    """As many batches as there are photographs: each once as a whole, or windows of as many at a time."""
    draw = np.random.default_rng([seed, epoch])
    for number in draw.permutation(len(cache.photos)).tolist():
        if reads == "windows":
            yield pixel_batch(random_windows(cache.photos, WINDOWS, WINDOW_PX, draw))
            continue
        which = int(draw.integers(SYMMETRIES))
        photo = cache.photos[number].symmetric(which)
        yield graph_batch(photo, cache.of(number, which), cache.recipe, reads=reads, answers=answers)
