"""What several models read, of one pass over the pixels: each frame is decoded once, equal inputs are made once."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from medray.image_settings import DecodeSettings, GraphRecipe
from medray.samples.frame_sets import FRAMES, frames_of, with_frames
from medray.samples.isolated import isolated_images
from medray.samples.tables import InputKind, image_batch, to_graphs, usable
from medray.settings import Recipe

Flips = tuple[bool, bool]
"""Upside down, left to right: as `pixels.augmentation.Augmentation.flips`."""
UNFLIPPED: Flips = (False, False)


@dataclass(frozen=True)
class ModelInput:
    """What a model reads, made of the values of a frame.

    Attributes:
        recipe: values to image to graph.
        kind: of `prepare_unit`.
        flips: of the prepared image, before its graph is made.
    """

    recipe: Recipe
    kind: InputKind
    flips: Flips = UNFLIPPED

    @property
    def image_recipe(self) -> Recipe:
        """The recipe of the image alone: recipes that differ in their graphs share it."""
        return replace(self.recipe, graph=GraphRecipe())


def prepare_inputs(rows: pa.Table, key: bytes, inputs: Sequence[ModelInput], decode: DecodeSettings) -> list[pa.Table]:
    """Read and decode every frame of a unit once, and prepare it for each input.

    Args:
        rows: rows of the index, without masks.
        key: unseals the objects' names.
        inputs: different ones.
        decode: what one frame may take, for all inputs together, and how it is checked.

    Returns:
        For each input the samples of `prepare_unit`, flipped where it says so: the same ones in the same order.
    """
    recipes = list(dict.fromkeys(one.image_recipe for one in inputs))
    images = dict(zip(recipes, isolated_images(rows, key, recipes, decode), strict=True))
    return [input_of(images[one.image_recipe], one) for one in inputs]


def input_of(images: pa.Table, wanted: ModelInput) -> pa.Table:
    """Samples of the input's image recipe, flipped and made graphs of where it says so."""
    samples = flipped(images, wanted.recipe, wanted.flips)
    return samples if wanted.kind == "image" else to_graphs(samples, wanted.recipe, wanted.kind)


def flipped(samples: pa.Table, recipe: Recipe, flips: Flips) -> pa.Table:
    """Samples with their images flipped; rows that are not ok stay empty."""
    if FRAMES in samples.column_names:
        return with_frames(samples, flipped(frames_of(samples), recipe, flips))
    good = usable(samples)
    if flips == UNFLIPPED or not good.num_rows:
        return samples
    axes = tuple(2 + axis for axis in (0, 1) if flips[axis])
    turned = np.flip(image_batch(good, recipe), axes)
    lengths = np.where([status == "ok" for status in samples["status"].to_pylist()], turned[0].size, 0)
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)])
    images = pa.LargeListArray.from_arrays(offsets, pa.array(np.ascontiguousarray(turned).reshape(-1)))
    return samples.set_column(samples.column_names.index("image"), samples.schema.field("image"), images)
