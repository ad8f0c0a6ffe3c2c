"""Batches of prepared images that are on a device already to region graphs there: what `graphs.build` makes of each.

Labels are those of the compiled kernels up to ties; with the same labels the features are equal to a rounding of
float32. Everything is the same on every run, also under `torch.use_deterministic_algorithms`. The host waits for the
device about forty times a batch, whatever its size: once a sweep of SLIC, where a length depends on the images, and
in the rounds that connect regions.
"""

import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from medray.errors import Reason, SampleError
from medray.graphs.features import STATISTICS, STORED_EDGE_FEATURES, edge_feature_names, node_feature_names
from medray.graphs.plan import block_labels, plan_slic
from medray.graphs.texture import gaussian
from medray.image_settings import GraphRecipe
from medray.samples.device_connectivity import Planes, connect_on
from medray.samples.device_regions import Edges, Regions, describe_regions, find_edges
from medray.samples.device_slic import blur_on, slic_on
from medray.samples.device_texture import texture_features_on
from medray.settings import Recipe

Images = Float32[Tensor, "batch 1 rows columns"]
Labels = Int64[Tensor, "batch rows columns"]
EDGE_COLUMNS = (*STORED_EDGE_FEATURES, "distance", "dy", "dx", "mean_difference")
"""Those of `features.EDGE_FEATURES` that images of one level have, in the order in which they are made here."""


def has_device_path(recipe: Recipe) -> bool:
    """Whether `build_graphs_on` makes the graphs that a recipe asks for."""
    return recipe.channels == 1 and recipe.graph.builder in LABELLERS and not recipe.graph.lbp


@torch.no_grad()
def build_graphs_on(images: Images, recipe: GraphRecipe) -> dict[str, Tensor | int]:
    """The region graphs of a batch, on the device of the images.

    Args:
        images: model inputs, about 0 in the mean and 1 in the standard deviation.
        recipe: builder, regions, features; `has_device_path` must hold.

    Returns:
        As `graphs.arrow.collate_arrow`, with `num_graphs`, and the `label_map` (batch, rows, columns; int64): which
        node of its graph each pixel belongs to.

    Raises:
        SampleError: `unsupported_pixels` where a value is not finite or there is no pixel.
    """
    planes = _grey(images)
    labels = _labels(planes, recipe)
    return {**describe_labels_on(planes, labels, recipe), "label_map": labels}


@torch.no_grad()
def superpixel_labels_on(images: Images, recipe: GraphRecipe) -> Labels:
    """The node of each pixel: the very regions of `build_graphs_on`.

    Raises:
        SampleError: as `build_graphs_on`.
    """
    return _labels(_grey(images), recipe)


def _grey(images: Images) -> Planes:
    if not images.numel():
        raise SampleError(Reason.UNSUPPORTED_PIXELS, "an image without pixels")
    planes = images[:, 0]
    bad = int((~planes.isfinite()).sum())
    if bad:
        raise SampleError(Reason.UNSUPPORTED_PIXELS, f"{bad} pixels are not finite")
    return planes


def _labels(planes: Planes, recipe: GraphRecipe) -> Labels:
    return LABELLERS[recipe.builder](planes, recipe)


def _blocks(planes: Planes, recipe: GraphRecipe) -> Labels:
    batch, rows, columns = planes.shape
    blocks = torch.from_numpy(block_labels(rows, columns, plan_slic(rows, columns, recipe).grid))
    return blocks.to(planes.device, torch.int64).expand(batch, -1, -1)


def _superpixels(planes: Planes, recipe: GraphRecipe) -> Labels:
    plan = plan_slic(planes.shape[1], planes.shape[2], recipe)
    smooth = blur_on(planes, gaussian(plan.blur_px)) if plan.blur_px else planes
    return connect_on(smooth, slic_on(smooth, plan), plan.smallest)


LABELLERS = {"grid": _blocks, "superpixel": _superpixels}
"""The builders that there are on a device."""


def describe_labels_on(planes: Planes, labels: Labels, recipe: GraphRecipe) -> dict[str, Tensor | int]:
    """The graphs of given label maps.

    Args:
        planes: grey images.
        labels: connected regions of each image, numbered 0 ….
        recipe: builder and features.
    """
    regions = Regions(labels)
    edges = find_edges(planes, regions, corners=recipe.builder == "grid")
    x, pos = describe_regions(planes, regions, edges)
    parts = [x]
    if recipe.texture:
        parts.append(texture_features_on(planes, regions))
    if recipe.position:
        parts.append(pos)
    assert sum(part.shape[1] for part in parts) == len(node_feature_names(recipe))
    edge_index, edge_attr = _both_directions(regions, edges, x[:, STATISTICS.index("mean")], pos)
    wanted = [EDGE_COLUMNS.index(name) for name in edge_feature_names(recipe)]
    return {
        "x": torch.cat(parts, dim=1),
        "edge_index": edge_index,
        "edge_attr": edge_attr[:, wanted],
        "pos": pos,
        "batch": regions.image,
        "ptr": regions.ptr,
        "num_graphs": len(labels),
    }


def _both_directions(
    regions: Regions, edges: Edges, mean: Float32[Tensor, " regions"], pos: Float32[Tensor, "regions 2"]
) -> tuple[Int64[Tensor, "2 both"], Float32[Tensor, "both 6"]]:
    """Edges by target, then source, with `EDGE_COLUMNS`."""
    pairs, sums = edges
    length, contrast, sides = sums.T
    stored = torch.stack([length / regions.expected[pairs[0]].sqrt(), contrast / sides], dim=1).float().repeat(2, 1)
    source, target = pairs.flatten(), pairs.flip(0).flatten()
    order = torch.argsort(target * regions.count + source)
    source, target = source[order], target[order]
    nodes = regions.ptr.diff()[regions.image[source]]
    scale = nodes.double().sqrt().float()
    dy, dx = (pos[source] - pos[target]).T
    derived = [(dy * dy + dx * dx).sqrt() * scale, dy * scale, dx * scale, mean[source] - mean[target]]
    return torch.stack([source, target]), torch.cat([stored[order], torch.stack(derived, dim=1)], dim=1)
