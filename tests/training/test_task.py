"""medray/training/task.py."""

import math

import pytest
import torch

from medray.errors import LabelError
from medray.training.task import Classify, inverse_frequency

YES_OR_NO = Classify(("no", "yes"))


def test_the_loss_of_even_logits_is_the_logarithm_of_the_classes() -> None:
    task = Classify(("a", "b", "c"))
    assert task.loss(torch.zeros(4, 3), torch.tensor([0, 1, 2, 0])).item() == pytest.approx(math.log(3))


def test_class_weights_give_each_class_the_same_share() -> None:
    weights = inverse_frequency([30, 10])
    assert weights == pytest.approx((2 / 3, 2))
    assert 30 * weights[0] == pytest.approx(10 * weights[1])


def test_class_weights_move_the_loss_to_the_rare_class() -> None:
    logits, labels = torch.tensor([[2.0, 0.0], [2.0, 0.0]]), torch.tensor([0, 1])
    assert Classify(("no", "yes"), (1.0, 3.0)).loss(logits, labels) > YES_OR_NO.loss(logits, labels)


def test_a_class_without_samples_is_refused() -> None:
    with pytest.raises(LabelError, match=r"counts \[4, 0\]"):
        inverse_frequency([4, 0])


def test_probabilities_are_a_softmax() -> None:
    probabilities = YES_OR_NO.probabilities(torch.tensor([[0.0, math.log(3)], [1000.0, 0.0]]))
    torch.testing.assert_close(probabilities, torch.tensor([[0.25, 0.75], [1.0, 0.0]]))


def test_the_threshold_decides_between_two_classes_and_includes_itself() -> None:
    probabilities = torch.tensor([[0.75, 0.25], [0.25, 0.75], [0.1, 0.9]])
    assert YES_OR_NO.decide(probabilities).tolist() == [0, 1, 1]
    assert Classify(("no", "yes"), threshold=0.25).decide(probabilities).tolist() == [1, 1, 1]
    assert Classify(("no", "yes"), threshold=0.8).decide(probabilities).tolist() == [0, 0, 1]


def test_more_classes_have_no_threshold() -> None:
    assert Classify(("a", "b", "c"), threshold=0.9).decide(torch.tensor([[0.2, 0.5, 0.3]])).tolist() == [1]
