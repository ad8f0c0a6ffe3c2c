"""medray/models/segments.py and topology.py."""

import math

import torch

from medray.models.segments import (
    mean_and_max,
    segment_max,
    segment_mean,
    segment_sum,
    segments_of,
    softmax_powers,
)
from medray.models.topology import (
    at_source,
    at_target,
    edge_sum,
    neighbour_sum,
    place_in_graph,
    topology_of,
    weighed_sum,
)
from tests.models.region_graphs import random_graph, tensor

VALUES = torch.tensor([[1.0, -1.0], [3.0, -5.0], [10.0, -2.0]])
SEGMENTS = segments_of(torch.tensor([0, 0, 2]), 3)


def test_each_segment_gets_its_own_rows() -> None:
    assert SEGMENTS.sizes.tolist() == [2, 0, 1]
    assert segment_sum(VALUES, SEGMENTS).tolist() == [[4, -6], [0, 0], [10, -2]]
    assert segment_mean(VALUES, SEGMENTS).tolist() == [[2, -3], [0, 0], [10, -2]]


def test_the_maximum_of_negative_values_is_negative_and_of_nothing_zero() -> None:
    assert segment_max(VALUES, SEGMENTS).tolist() == [[3, -1], [0, 0], [10, -2]]


def test_readout_is_mean_and_max_side_by_side() -> None:
    assert mean_and_max(VALUES, SEGMENTS)[0].tolist() == [2, -3, 3, -1]


def test_gradients_of_the_maximum_go_to_the_largest_row_only() -> None:
    values = VALUES.clone().requires_grad_()
    torch.autograd.backward(segment_max(values, SEGMENTS).sum())
    assert values.grad is not None
    assert values.grad.tolist() == [[0, 1], [1, 0], [1, 1]]


def test_shares_of_the_powers_are_the_softmax_and_do_not_overflow() -> None:
    powers = softmax_powers(torch.tensor([[1000.0, 0.0], [1000.0, 1.0], [-1000.0, 5.0]]), SEGMENTS)
    shares = powers / segment_sum(powers, SEGMENTS)[SEGMENTS.ids]
    high = 1 / (1 + math.exp(-1))
    torch.testing.assert_close(shares, torch.tensor([[0.5, 1 - high], [0.5, high], [1, 1]]))


def test_neighbours_are_summed_as_the_adjacency_matrix_does() -> None:
    graph = random_graph(15, 0)
    edge_index, x = tensor(graph, "edge_index"), tensor(graph, "x").requires_grad_()
    edges = torch.zeros(15, 15).index_put((edge_index[1], edge_index[0]), torch.tensor(1.0))
    found = neighbour_sum(x, topology_of(edge_index, tensor(graph, "batch"), 1))
    torch.testing.assert_close(found, edges @ x)
    upstream = torch.randn(15, 5)
    torch.testing.assert_close(torch.autograd.grad(found, x, upstream)[0], edges.T @ upstream)


def test_sums_and_gathers_along_edges_have_the_gradients_of_finite_differences() -> None:
    graph = random_graph(7, 0)
    topology = topology_of(tensor(graph, "edge_index"), tensor(graph, "batch"), 1)
    x, weights = torch.randn(7, 4, dtype=torch.float64), torch.rand(len(topology.source), 2, dtype=torch.float64)
    messages = torch.randn(len(topology.source), 4, dtype=torch.float64)
    for function, given in (
        (at_source, (x,)),
        (at_target, (x,)),
        (neighbour_sum, (x,)),
        (edge_sum, (messages,)),
        (weighed_sum, (x, weights)),
    ):
        leaves = tuple(value.clone().requires_grad_() for value in given)
        assert torch.autograd.gradcheck(lambda *inputs, of=function: of(*inputs, topology), leaves), function


def test_nodes_are_numbered_within_their_graph() -> None:
    place, longest = place_in_graph(segments_of(torch.tensor([0, 0, 0, 2, 2]), 3))
    assert (place.tolist(), longest) == ([0, 1, 2, 0, 1], 3)
