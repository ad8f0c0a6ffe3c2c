"""What a model is trained to answer: the loss, and how logits become rows of a table."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional

from medray.errors import LabelError


def inverse_frequency(counts: Sequence[int]) -> tuple[float, ...]:
    """A weight a class, so that each class weighs the same in the loss; their mean over the samples is 1.

    Raises:
        LabelError: a class without samples.
    """
    if min(counts) < 1:
        raise LabelError(f"A class has no training sample (counts {list(counts)}).", "Remove the class or add samples.")
    return tuple(sum(counts) / (len(counts) * count) for count in counts)


@dataclass(frozen=True)
class Classify:
    """One class out of several.

    Attributes:
        classes: their names, in the order of the logits.
        class_weights: a weight a class in the loss; none = all equal.
        threshold: probability of the second of two classes from which on it is the answer; none = the most probable
            class, as with more than two classes.
    """

    classes: tuple[str, ...]
    class_weights: tuple[float, ...] | None = None
    threshold: float | None = None

    def loss(self, logits: Float[Tensor, "batch classes"], labels: Int64[Tensor, " batch"]) -> Float[Tensor, ""]:
        """Cross-entropy, weighed by class."""
        weight = None if self.class_weights is None else logits.new_tensor(self.class_weights)
        return functional.cross_entropy(logits, labels, weight=weight)

    def probabilities(self, logits: Float[Tensor, "batch classes"]) -> Float[Tensor, "batch classes"]:
        """Softmax; rows sum to 1."""
        return torch.softmax(logits.float(), dim=1)

    def decide(self, probabilities: Float[Tensor, "batch classes"]) -> Int64[Tensor, " batch"]:
        """Class numbers, at the threshold where there is one."""
        if self.threshold is not None and len(self.classes) == 2:
            return (probabilities[:, 1] >= self.threshold).long()
        return probabilities.argmax(dim=1)
