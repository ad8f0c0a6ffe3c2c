"""medray/training/augment.py."""

import torch

from medray.samples.batch import Batch
from medray.training.augment import MirroredColumns, draw_flips, flip_batch, flip_images
from tests.models.region_graphs import join, random_graph, tensor

NAMES = [f"{k}:0" for k in range(1000)]


def test_half_of_the_samples_are_flipped() -> None:
    assert 450 <= int(draw_flips(0, 0, NAMES).sum()) <= 550


def test_a_flip_belongs_to_the_sample_and_not_to_its_place() -> None:
    flips = dict(zip(NAMES, draw_flips(0, 3, NAMES).tolist(), strict=True))
    assert draw_flips(0, 3, NAMES[::-7]).tolist() == [flips[name] for name in NAMES[::-7]]


def test_another_epoch_or_seed_flips_others() -> None:
    flips = draw_flips(0, 0, NAMES)
    assert all(400 <= int((flips ^ other).sum()) <= 600 for other in (draw_flips(0, 1, NAMES), draw_flips(1, 0, NAMES)))


def test_images_are_mirrored_left_right_and_twice_is_nothing() -> None:
    images = torch.arange(12.0).reshape(2, 1, 2, 3)
    flips = torch.tensor([True, False])
    assert flip_images(images, flips)[0, 0].tolist() == [[2, 1, 0], [5, 4, 3]]
    assert torch.equal(flip_images(images, flips)[1], images[1])
    assert torch.equal(flip_images(flip_images(images, flips), flips), images)


def test_a_graph_changes_the_sign_of_its_columns_and_of_nothing_else() -> None:
    batch = Batch(join([random_graph(4, 0), random_graph(6, 1)]), None, ["a", "b"])
    mirrored = flip_batch(batch, torch.tensor([False, True]), MirroredColumns(nodes=(4,), edges=(1,)))
    before, after = tensor(batch.inputs, "x"), tensor(mirrored.inputs, "x")
    assert torch.equal(after[:4], before[:4])
    assert torch.equal(after[4:], before[4:] * torch.tensor([1, 1, 1, 1, -1]))
    of_second = tensor(batch.inputs, "edge_index")[0] >= 4
    sign = torch.where(of_second, -1.0, 1.0)
    assert torch.equal(tensor(mirrored.inputs, "edge_attr")[:, 1], tensor(batch.inputs, "edge_attr")[:, 1] * sign)
    assert torch.equal(tensor(mirrored.inputs, "edge_attr")[:, 0], tensor(batch.inputs, "edge_attr")[:, 0])


def test_image_batches_keep_labels_and_ids() -> None:
    batch = Batch({"image": torch.randn(2, 1, 4, 4)}, torch.tensor([0, 1]), ["a", "b"])
    mirrored = flip_batch(batch, torch.tensor([True, True]))
    assert torch.equal(tensor(mirrored.inputs, "image"), tensor(batch.inputs, "image").flip(3))
    assert (mirrored.labels, mirrored.sample_ids) == (batch.labels, batch.sample_ids)
