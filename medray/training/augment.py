"""Augmentation of training batches: the numbers that `pixels.augmentation` draws, applied to tensors or before graphs.

A batch is changed as a whole, each sample in its own way, by a few calls on its device. torchvision's functions take
one set of numbers a call.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from medray.image_settings import AugmentSettings
from medray.pixels import augmentation
from medray.pixels.augmentation import Augmentation, apply_augmentation, augment_mask, draw_augmentation
from medray.samples.batch import Batch, Inputs
from medray.samples.collate import GRAPH_TENSORS, graph_inputs, labels_of
from medray.samples.device_graphs import build_graphs_on
from medray.samples.tables import InputKind, graph_table
from medray.settings import Recipe
from medray.training.seeding import derive_seed

Images = Float[Tensor, "batch channels size size"]
Masks = Int64[Tensor, "batch size size"]


def draw_batch(settings: AugmentSettings, seed: int, epoch: int, sample_ids: Sequence[str]) -> list[Augmentation]:
    """The changes of each sample. They depend on the sample, not on its place in the batch or its worker."""
    return [draw_augmentation(settings, derive_seed(seed, epoch, "augment", name)) for name in sample_ids]


def samples_of_images(batch: Batch) -> list[str]:
    """The sample of each image of a batch: several frames of one are changed alike."""
    owner = batch.inputs.get("sample")
    names = batch.sample_ids
    return [names[number] for number in owner.tolist()] if isinstance(owner, Tensor) else names


def _owners(batch: Batch) -> Inputs:
    """Whose frames the images are, where samples have several."""
    return {name: batch.inputs[name] for name in ("sample", "num_samples") if name in batch.inputs}


def augment_batch(batch: Batch, drawn: Sequence[Augmentation]) -> Batch:
    """Change the images of a batch, and their masks where there are any, on its device."""
    masks = _masks(batch)
    labels = batch.labels if masks is None else augment_masks(masks, drawn)
    images = augment_images(_images(batch), drawn)
    return replace(batch, inputs={**_owners(batch), "image": images}, labels=labels)


def augment_graphs(
    batch: Batch, drawn: Sequence[Augmentation], recipe: Recipe, kind: InputKind, *, classes: int = 0
) -> Batch:
    """Change the images of a batch and make their region graphs; for `regions` the images stay beside them.

    Where the labels are masks of so many classes, those of the graphs are the pixels of each class that a node has.
    """
    images = _images(batch).numpy()
    changed = np.stack([apply_augmentation(image, one) for image, one in zip(images, drawn, strict=True)])
    labels, masks, moved = batch.labels, _masks(batch), None
    if masks is not None:
        given = masks.numpy().astype(np.int16)
        moved = np.stack([augment_mask(mask, one) for mask, one in zip(given, drawn, strict=True)])
    table = graph_table(changed, recipe, kind, masks=moved, classes=classes)
    labels = labels if masks is None else labels_of(table, recipe)
    inputs = graph_inputs(table, recipe) | _owners(batch)
    inputs |= {"image": torch.from_numpy(changed)} if kind == "regions" else {}
    return replace(batch, inputs=inputs, labels=labels)


def augment_graphs_on(
    batch: Batch, drawn: Sequence[Augmentation], recipe: Recipe, kind: InputKind, *, classes: int = 0
) -> Batch:
    """`augment_graphs` on the device of the batch: images differ by 1e-4 at the most, so few labels do."""
    images = augment_images(_images(batch), drawn)
    graphs = build_graphs_on(images, recipe.graph)
    inputs = {name: graphs[name] for name in (*GRAPH_TENSORS, "num_graphs")} | _owners(batch)
    ptr = torch.as_tensor(graphs["ptr"])
    regions = graphs["label_map"] + ptr[:-1, None, None]
    if kind == "regions":
        inputs |= {"image": images, "regions": regions}
    labels, masks = batch.labels, _masks(batch)
    if masks is not None:
        labels = class_counts_on(regions, augment_masks(masks, drawn), int(ptr[-1]), classes)
    return replace(batch, inputs=inputs, labels=labels)


def _masks(batch: Batch) -> Masks | None:
    """The labels of a batch where they are masks."""
    return batch.labels if batch.labels is not None and batch.labels.ndim == 3 else None


def augment_masks(masks: Masks, drawn: Sequence[Augmentation]) -> Masks:
    """`augment_mask` of each mask, on the masks' device."""
    planes = _flipped((masks[:, None] + 1).float(), drawn)
    if any(one.moves for one in drawn):
        planes = F.grid_sample(planes, _read_at(planes, drawn), "nearest", padding_mode="zeros", align_corners=False)
    return planes[:, 0].long() - 1


def class_counts_on(regions: Masks, masks: Masks, nodes: int, classes: int) -> Int64[Tensor, "nodes classes"]:
    """`node_targets.class_counts` of a batch, on its device. `regions` counts nodes on from image to image."""
    counted = masks >= 0
    cells = regions[counted] * classes + masks[counted]
    return torch.bincount(cells, minlength=nodes * classes).view(nodes, classes)


def _images(batch: Batch) -> Tensor:
    images = batch.inputs["image"]
    assert isinstance(images, Tensor)
    return images


def augment_images(images: Images, drawn: Sequence[Augmentation]) -> Images:
    """`apply_augmentation` of each image, on the images' device.

    Within 1e-4 of it where values have a standard deviation of 1.
    """
    images = _flipped(images, drawn)
    if any(one.moves for one in drawn):
        images = _warped(images, drawn)
    if any(one.gamma != 1 for one in drawn):
        images = _to_the_power(images, _column([one.gamma for one in drawn], images))
    if any(one.contrast != 1 for one in drawn):
        images = images * _column([one.contrast for one in drawn], images)
    if any(one.brightness for one in drawn):
        images = images + _column([one.brightness for one in drawn], images)
    if any(one.blur_px for one in drawn):
        images = _blurred(images, drawn)
    if any(one.noise for one in drawn):
        fields = np.stack([augmentation.noise_field(one, tuple(images.shape[1:])) for one in drawn])
        images = images + torch.from_numpy(fields).to(images.device)
    if any(one.cut_out[2] for one in drawn):
        images = images.masked_fill(_hidden(images, drawn), 0)
    return images


def _flipped(images: Images, drawn: Sequence[Augmentation]) -> Images:
    for axis in (0, 1):
        if any(one.flips[axis] for one in drawn):
            coins = torch.tensor([one.flips[axis] for one in drawn], device=images.device)
            images = torch.where(coins[:, None, None, None], images.flip(2 + axis), images)
    return images


def _column(values: Sequence[float], like: Images) -> Tensor:
    """One number a sample, to be combined with its pixels."""
    return torch.tensor(values, dtype=like.dtype, device=like.device)[:, None, None, None]


def _stacked(arrays: Sequence[np.ndarray], like: Images) -> Tensor:
    return torch.from_numpy(np.stack(arrays)).to(like.device, like.dtype)


def _warped(images: Images, drawn: Sequence[Augmentation]) -> Images:
    """One bilinear interpolation. What lies outside is each image's minimum: it is taken off before and added again."""
    fill = images.amin((1, 2, 3), keepdim=True)
    places = _read_at(images, drawn)
    return F.grid_sample(images - fill, places, padding_mode="zeros", align_corners=False).add_(fill)


def _read_at(images: Images, drawn: Sequence[Augmentation]) -> Float[Tensor, "batch size size 2"]:
    """Where each pixel is read. torch counts places as (x, y), and from -1 to 1: twice our shares of the side."""
    matrices = _stacked([one.matrix[::-1, ::-1] for one in drawn], images)
    offsets = _stacked([2 * one.offset[::-1] for one in drawn], images)
    places = F.affine_grid(torch.cat([matrices, offsets[:, :, None]], 2), list(images.shape), align_corners=False)
    if any(one.bend.any() for one in drawn):
        spline = torch.from_numpy(augmentation.bend_weights(images.shape[2])).to(images.device, images.dtype)
        bends = spline @ _stacked([2 * one.bend[::-1] for one in drawn], images) @ spline.T
        places += bends.permute(0, 2, 3, 1)
    return places


def _to_the_power(images: Images, gamma: Tensor) -> Images:
    low, high = images.amin((1, 2, 3), keepdim=True), images.amax((1, 2, 3), keepdim=True)
    span = torch.where(high > low, high - low, 1)
    return torch.where((gamma != 1) & (high > low), ((images - low) / span) ** gamma * span + low, images)


def _blurred(images: Images, drawn: Sequence[Augmentation]) -> Images:
    """Rows, then columns, each sample with weights of its own: a convolution with one group a sample."""
    batch, channels, size, _ = images.shape
    weights = [augmentation.blur_weights(one.blur_px, size) if one.blur_px else np.ones(1) for one in drawn]
    reach = max(len(one) for one in weights) // 2
    same = _stacked([np.pad(one, reach - len(one) // 2) for one in weights], images)
    rows = images.transpose(0, 1).reshape(channels, batch, size, size)
    for pad, kernel in (((0, 0, reach, reach), same[:, None, :, None]), ((reach, reach, 0, 0), same[:, None, None, :])):
        rows = F.conv2d(F.pad(rows, pad, mode="reflect"), kernel, groups=batch)
    return rows.transpose(0, 1)


def _hidden(images: Images, drawn: Sequence[Augmentation]) -> Tensor:
    """Where the cut-outs are: (batch, 1, size, size)."""
    size = images.shape[2]
    sides = [[augmentation.hidden(one.cut_out[axis], one.cut_out[2], size) for one in drawn] for axis in (0, 1)]
    rows, columns = (torch.from_numpy(np.stack(side)).to(images.device) for side in sides)
    return (rows[:, :, None] & columns[:, None, :])[:, None]
