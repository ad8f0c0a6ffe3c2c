"""medray/training/augment.py: tensors are changed as arrays are, and as torchvision changes them."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import functional as tv

from medray.graphs.arrow import graphs_to_arrow
from medray.graphs.build import build_region_graph
from medray.image_settings import AugmentSettings, GraphRecipe
from medray.pixels.augmentation import Augmentation, apply_augmentation, augment_mask, bend_weights, draw_augmentation
from medray.samples.batch import Batch
from medray.samples.collate import graph_inputs
from medray.settings import Recipe
from medray.training.augment import (
    augment_batch,
    augment_graphs,
    augment_graphs_on,
    augment_images,
    augment_masks,
    draw_batch,
)
from tests.pixels.test_augmentation import ALL_ON

NAMES = [f"{k}:0" for k in range(64)]
IMAGES = torch.from_numpy(np.random.default_rng(0).normal(size=(64, 3, 28, 28)).astype(np.float32))
INNER = (..., slice(2, -2), slice(2, -2))
TOLERANCE = 1e-4
SINGLE = {name: getattr(ALL_ON, name) for name in AugmentSettings.__dataclass_fields__}


@pytest.mark.parametrize(
    "settings", [ALL_ON, *(AugmentSettings(**{k: v}) for k, v in SINGLE.items())], ids=["all", *SINGLE]
)
def test_tensors_are_changed_as_arrays_are(settings: AugmentSettings) -> None:
    drawn = draw_batch(settings, 0, 0, NAMES)
    changed = augment_images(IMAGES, drawn).numpy()
    expected = np.stack([apply_augmentation(image, one) for image, one in zip(IMAGES.numpy(), drawn, strict=True)])
    assert np.abs(changed - expected).max() < TOLERANCE
    assert np.abs(changed - IMAGES.numpy()).max() > 0.05


def test_a_sample_is_changed_the_same_way_in_any_batch() -> None:
    drawn = draw_batch(ALL_ON, 3, 2, NAMES)
    whole = augment_images(IMAGES, drawn)
    order = torch.arange(63, -1, -7)
    alone = augment_images(IMAGES[order], draw_batch(ALL_ON, 3, 2, [NAMES[k] for k in order]))
    assert (whole[order] - alone).abs().max() < TOLERANCE


def test_another_epoch_or_seed_changes_samples_otherwise() -> None:
    draws = [draw_batch(ALL_ON, seed, epoch, NAMES[:8]) for seed, epoch in ((0, 0), (0, 1), (1, 0))]
    gammas = [[one.gamma for one in drawn] for drawn in draws]
    assert len({value for row in gammas for value in row}) == 24


def test_rotation_scale_and_shift_are_torchvisions_affine() -> None:
    angle, scale, shift = 17.0, 1.2, (3, -2)  # columns, rows
    expected = tv.affine(IMAGES, angle, list(shift), scale, [0, 0], tv.InterpolationMode.BILINEAR)
    cosine, sine = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    matrix = np.array([[cosine, -sine], [sine, cosine]]) / scale
    one = Augmentation(matrix=matrix, offset=-matrix @ (np.array(shift[::-1]) / 28))
    inside = tv.affine(torch.ones(1, 28, 28), angle, list(shift), scale, [0, 0], tv.InterpolationMode.BILINEAR) == 1
    changed = augment_images(IMAGES, [one] * 64)
    assert ((changed - expected)[..., inside[0]]).abs().max() < TOLERANCE and inside.float().mean() > 0.5


def test_a_bend_is_torchvisions_elastic_and_flip_gamma_and_blur_are_torchvisions() -> None:
    one = draw_augmentation(AugmentSettings(elastic=0.1), 0)
    bend = bend_weights(28) @ one.bend @ bend_weights(28).T
    displacement = torch.from_numpy(2 * bend[::-1].copy()).permute(1, 2, 0)[None].float()
    inside = tv.elastic(torch.ones(1, 28, 28), displacement) == 1
    difference = augment_images(IMAGES, [one] * 64) - tv.elastic(IMAGES, displacement)
    assert difference[..., inside[0]].abs().max() < TOLERANCE and inside.float().mean() > 0.5
    flipped = augment_images(IMAGES, [Augmentation(flips=(True, True))] * 64)
    assert torch.equal(flipped, tv.vertical_flip(tv.horizontal_flip(IMAGES)))
    blurred = augment_images(IMAGES, [Augmentation(blur_px=1.2)] * 64)
    assert (blurred - tv.gaussian_blur(IMAGES, [9, 9], [1.2, 1.2])).abs().max() < TOLERANCE
    unit = (IMAGES[:1] - IMAGES[:1].min()) / (IMAGES[:1].max() - IMAGES[:1].min())
    assert (augment_images(unit, [Augmentation(gamma=1.4)]) - tv.adjust_gamma(unit, 1.4)).abs().max() < TOLERANCE


def test_image_batches_keep_labels_and_ids_and_the_given_images() -> None:
    batch = Batch({"image": IMAGES.clone()}, torch.arange(64), NAMES)
    changed = augment_batch(batch, draw_batch(ALL_ON, 0, 0, NAMES))
    assert changed.labels is batch.labels and changed.sample_ids == NAMES
    assert torch.equal(batch.inputs["image"], IMAGES)


def test_graphs_are_those_of_the_changed_images() -> None:
    recipe = Recipe(size=28, channels=3, graph=GraphRecipe(regions=20, position=True))
    batch = Batch({"image": IMAGES[:5]}, torch.arange(5), NAMES[:5])
    drawn = draw_batch(replace(ALL_ON, noise=0), 0, 0, NAMES[:5])
    found = augment_graphs(batch, drawn, recipe, "graph")
    images = [apply_augmentation(image, one) for image, one in zip(IMAGES.numpy(), drawn, strict=False)]
    expected = graph_inputs(graphs_to_arrow([build_region_graph(image, recipe.graph) for image in images]), recipe)
    assert found.inputs.keys() == expected.keys() and found.sample_ids == NAMES[:5]
    assert all(torch.equal(found.inputs[name], expected[name]) for name in ("x", "edge_index", "edge_attr", "batch"))


def test_graphs_made_on_the_device_are_those_of_the_arrays() -> None:
    grid = Recipe(size=28, graph=GraphRecipe(builder="grid", regions=16, position=True))
    batch, drawn = Batch({"image": IMAGES[:, :1]}, torch.arange(64), NAMES), draw_batch(ALL_ON, 0, 0, NAMES)
    found, expected = augment_graphs_on(batch, drawn, grid, "regions"), augment_graphs(batch, drawn, grid, "regions")
    assert found.inputs.keys() == expected.inputs.keys() and found.labels is batch.labels
    for name in ("x", "edge_index", "edge_attr", "batch"):
        torch.testing.assert_close(found.inputs[name], expected.inputs[name], rtol=0, atol=10 * TOLERANCE)
    recipe = replace(grid, graph=GraphRecipe(regions=20))
    found, expected = augment_graphs_on(batch, drawn, recipe, "graph"), augment_graphs(batch, drawn, recipe, "graph")
    assert len(found.inputs["x"]) == pytest.approx(len(expected.inputs["x"]), rel=0.01)
    torch.testing.assert_close(found.inputs["x"].mean(0), expected.inputs["x"].mean(0), rtol=0, atol=0.01)


MASKS = torch.from_numpy(np.random.default_rng(1).integers(0, 3, (64, 28, 28)))


def test_masks_of_tensors_are_those_of_arrays() -> None:
    """But for places between two pixels, where rounding decides."""
    drawn = draw_batch(ALL_ON, 0, 0, NAMES)
    expected = np.stack(
        [augment_mask(mask.astype(np.int16), one) for mask, one in zip(MASKS.numpy(), drawn, strict=True)]
    )
    changed = augment_masks(MASKS, drawn).numpy()
    assert (changed != expected).mean() < 1e-3 and 0.02 < (expected == -1).mean() < 0.5


def test_a_mask_moves_with_its_image() -> None:
    """An image that is its own mask: what is read inside is the class, but where classes meet."""
    squares = torch.zeros(64, 1, 28, 28)
    squares[:, :, 6:20, 8:24] = 1
    drawn = draw_batch(AugmentSettings(True, True, 30.0, 0.2, 0.1, 0.2, 0.05), 0, 0, NAMES)
    batch = augment_batch(Batch({"image": squares}, squares[:, 0].long(), NAMES), drawn)
    image, mask = torch.as_tensor(batch.inputs["image"])[:, 0], batch.labels
    clear = (image < 0.02) | (image > 0.98)
    assert clear.float().mean() > 0.8
    assert torch.equal(mask[clear] == 1, image[clear] > 0.5)


@pytest.mark.parametrize("kind", ["graph", "regions"])
def test_graphs_of_changed_images_have_the_counts_of_their_changed_masks(kind: str) -> None:
    recipe, names = Recipe(size=28, graph=GraphRecipe(regions=30)), NAMES[:6]
    batch = Batch({"image": IMAGES[:6, :1].contiguous()}, MASKS[:6], names)
    drawn = draw_batch(replace(ALL_ON, noise=0.0), 0, 0, names)
    masks = [augment_mask(mask.astype(np.int16), one) for mask, one in zip(MASKS[:6].numpy(), drawn, strict=True)]
    expected = np.stack([[(mask == number).sum() for number in range(3)] for mask in masks]).sum(axis=0)
    here = augment_graphs(batch, drawn, recipe, kind, classes=3)
    there = augment_graphs_on(batch, drawn, recipe, kind, classes=3)
    assert here.labels.sum(dim=0).tolist() == expected.tolist()
    assert here.labels.shape == (len(here.inputs["x"]), 3) and there.labels.shape == (len(there.inputs["x"]), 3)
    assert (there.labels.sum(dim=0) - here.labels.sum(dim=0)).abs().max() <= 4
    if kind == "regions":
        regions = torch.as_tensor(here.inputs["regions"])
        flat = torch.from_numpy(np.stack(masks)).long()
        for number in range(3):
            found = torch.bincount(regions[flat == number], minlength=len(here.labels))
            assert torch.equal(found, here.labels[:, number])
