"""medray/models/segments.py."""

import torch

from medray.models.segments import mean_and_max, segment_max, segment_mean, segment_sum

VALUES = torch.tensor([[1.0, -1.0], [3.0, -5.0], [10.0, -2.0]])
INDEX = torch.tensor([0, 0, 2])


def test_each_segment_gets_its_own_rows() -> None:
    assert segment_sum(VALUES, INDEX, 3).tolist() == [[4, -6], [0, 0], [10, -2]]
    assert segment_mean(VALUES, INDEX, 3).tolist() == [[2, -3], [0, 0], [10, -2]]


def test_the_maximum_of_negative_values_is_negative_and_of_nothing_zero() -> None:
    assert segment_max(VALUES, INDEX, 3).tolist() == [[3, -1], [0, 0], [10, -2]]


def test_readout_is_mean_and_max_side_by_side() -> None:
    assert mean_and_max(VALUES, INDEX, 1 + 2)[0].tolist() == [2, -3, 3, -1]


def test_gradients_of_the_maximum_go_to_the_largest_row_only() -> None:
    values = VALUES.clone().requires_grad_()
    torch.autograd.backward(segment_max(values, INDEX, 3).sum())
    assert values.grad is not None
    assert values.grad.tolist() == [[0, 1], [1, 0], [1, 1]]
