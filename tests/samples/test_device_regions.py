"""medray/samples/device_regions.py against tests/graphs/by_hand.py; test_device_graphs.py has the rest."""

import numpy as np
import torch

from medray.graphs.build import superpixel_labels
from medray.image_settings import GraphRecipe
from medray.samples.device_regions import Regions, describe_regions, find_edges
from tests.graphs import by_hand
from tests.graphs.ellipses import ellipses


def batch_of(count=3, size=40):
    planes = np.stack([ellipses(size, seed)[0] for seed in range(count)])
    labels = np.stack([superpixel_labels(plane[None], GraphRecipe(regions=20)) for plane in planes])
    return planes, labels


def test_edges_and_features_are_those_found_by_hand():
    planes, labels = batch_of()
    regions = Regions(torch.from_numpy(labels).long())
    pairs, sums = find_edges(torch.from_numpy(planes), regions, corners=False)
    x, _ = describe_regions(torch.from_numpy(planes), regions, (pairs, sums))
    for number, (plane, label) in enumerate(zip(planes, labels, strict=True)):
        start, end = regions.ptr[number : number + 2].tolist()
        wanted, lengths, contrasts = by_hand.adjacency(plane, label)
        own = (pairs[0] >= start) & (pairs[0] < end)
        assert np.array_equal(pairs[:, own].numpy() - start, wanted)
        assert np.array_equal(sums[own, 0].numpy(), lengths)
        np.testing.assert_allclose((sums[own, 1] / sums[own, 2]).numpy(), contrasts, rtol=1e-9)
        np.testing.assert_allclose(x[start:end].numpy(), by_hand.statistics(plane, label), rtol=1e-4, atol=1e-5)


def test_blocks_that_meet_in_a_corner_are_neighbours_without_a_side():
    labels = torch.tensor([[[0, 0, 1], [0, 0, 1], [2, 2, 3]]])
    planes = torch.arange(9.0).view(1, 3, 3)
    pairs, sums = find_edges(planes, Regions(labels), corners=True)
    assert pairs.T.tolist() == [[0, 1], [0, 2], [0, 3], [1, 2], [1, 3], [2, 3]]
    assert sums[2].tolist() == [0, 4, 1] and sums[3].tolist() == [0, 2, 1]  # 4 to 8, 5 to 7


def test_one_region_has_no_edge():
    planes, regions = torch.ones(2, 4, 6), Regions(torch.zeros(2, 4, 6, dtype=torch.int64))
    pairs, sums = find_edges(planes, regions, corners=True)
    x, pos = describe_regions(planes, regions, (pairs, sums))
    assert pairs.shape == (2, 0) and pos.tolist() == [[0, 0], [0, 0]]
    np.testing.assert_allclose(x.numpy(), [by_hand.statistics(planes[0].numpy(), np.zeros((4, 6), int))[0]] * 2, 1e-6)
