"""What a model is trained to answer: the loss, and what is read off its logits."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional

from medray.errors import LabelError
from medray.label_settings import TaskName
from medray.pixels.overlap import accuracy_of, dice_of
from medray.training.measure import macro_auroc, pixel_auroc, pixel_confusion
from medray.training.threshold import youden_threshold


@runtime_checkable
class Task(Protocol):
    """What the training loop and scoring ask of a task. `labels` are those of a `Batch`."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names, in the order of the logits."""

    @property
    def threshold(self) -> float | None:
        """Probability of the second of two classes from which on it is the answer; none = the most probable class."""

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """What training makes small."""

    def probabilities(self, logits: Tensor) -> Tensor:
        """Of the classes; rows sum to 1."""

    def decide(self, probabilities: Tensor) -> Tensor:
        """Class numbers."""

    def figures(self, logits: Tensor, labels: Tensor) -> dict[str, float]:
        """How good the answers are, by name."""

    def calibrated(self, logits: Tensor, labels: Tensor) -> "Task":
        """The task with what the validation side decides."""


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

    def figures(self, logits: Float[Tensor, "batch classes"], labels: Int64[Tensor, " batch"]) -> dict[str, float]:
        """Accuracy at the threshold and of the most probable class, and macro AUROC."""
        probabilities = self.probabilities(logits)
        likely = probabilities.argmax(dim=1) == labels
        return {
            "accuracy": float((self.decide(probabilities) == labels).float().mean()),
            "accuracy_most_probable": float(likely.float().mean()),
            "auroc": macro_auroc(labels.numpy(), probabilities.numpy()),
        }

    def calibrated(self, logits: Float[Tensor, "batch classes"], labels: Int64[Tensor, " batch"]) -> "Classify":
        """With two classes, the threshold that these answers choose."""
        if len(self.classes) != 2:
            return self
        chances = self.probabilities(logits)[:, 1].numpy().astype(np.float64)
        return replace(self, threshold=youden_threshold(labels.numpy(), chances))


@dataclass(frozen=True)
class Segment:
    """One class for each pixel, by the places that answer for it: the nodes of region graphs.

    A place's label is how many of its pixels each class has, so that everything here is over pixels, as if each node's
    answer were painted on its region first. A network that answers for pixels is the case of one pixel a place.

    Attributes:
        classes: their names, in the order of the logits.
        class_weights: a weight a class in the cross-entropy; none = all equal.
        dice: weight of the soft Dice beside the cross-entropy.
    """

    classes: tuple[str, ...]
    class_weights: tuple[float, ...] | None = None
    dice: float = 1.0

    @property
    def threshold(self) -> None:
        """The answer is the most probable class."""
        return None

    def loss(
        self, logits: Float[Tensor, "places classes"], labels: Int64[Tensor, "places classes"]
    ) -> Float[Tensor, ""]:
        """Cross-entropy, weighed by class, plus 1 - soft Dice (mean over the classes) times `dice`; over all pixels.

        Source: Milletari et al. 2016, V-Net, doi:10.1109/3DV.2016.79 (Dice; here without squares, and over the pixels
        of the whole batch); Isensee et al. 2021, nnU-Net, doi:10.1038/s41592-020-01008-z (their sum).
        """
        counts = labels.to(logits.dtype)
        chances = torch.log_softmax(logits, dim=1)
        weighed = counts if self.class_weights is None else counts * logits.new_tensor(self.class_weights)
        cross_entropy = -(weighed * chances).sum() / weighed.sum().clamp(min=1)
        answered = chances.exp()
        both = (counts * answered).sum(0)
        sizes = counts.sum(0) + (counts.sum(1, keepdim=True) * answered).sum(0)
        soft_dice = (2 * both + 1) / (sizes + 1)  # a class that is nowhere and answered nowhere has 1
        return cross_entropy + self.dice * (1 - soft_dice.mean())

    def probabilities(self, logits: Float[Tensor, "places classes"]) -> Float[Tensor, "places classes"]:
        """Softmax; rows sum to 1."""
        return torch.softmax(logits.float(), dim=1)

    def decide(self, probabilities: Float[Tensor, "places classes"]) -> Int64[Tensor, " places"]:
        """The most probable class of each place."""
        return probabilities.argmax(dim=1)

    def figures(
        self, logits: Float[Tensor, "places classes"], labels: Int64[Tensor, "places classes"]
    ) -> dict[str, float]:
        """Share of pixels that are right, macro AUROC, Dice of each class and mean: over the pixels of all images."""
        probabilities = self.probabilities(logits)
        confusion = pixel_confusion(labels.numpy(), self.decide(probabilities).numpy())
        dice = dice_of(confusion)
        there = dice[np.isfinite(dice)]
        return {
            "accuracy": accuracy_of(confusion),
            "auroc": pixel_auroc(labels.numpy(), probabilities.numpy()),
            "dice": float(there.mean()) if len(there) else float("nan"),
            **{f"dice_{name}": float(value) for name, value in zip(self.classes, dice, strict=True)},
        }

    def calibrated(self, logits: Tensor, labels: Tensor) -> "Segment":
        """The task itself: it has nothing to choose."""
        return self


TASKS: dict[TaskName, type[Classify] | type[Segment]] = {"classify": Classify, "segment": Segment}
