"""A model and batches to logits, probabilities and answers."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Tensor, nn

from medray import stages
from medray.models.frame_pooling import FramePooling
from medray.samples.batch import Batch
from medray.training.task import Task


@dataclass(frozen=True)
class Predictions:
    """A model's answers, in the order of the batches.

    Attributes:
        sample_ids: one a sample.
        logits: (answers, classes): one answer a sample; where nodes answer, one a node, the samples' one behind the
            other.
        probabilities: (answers, classes).
        labels: class numbers (answers,).
        weights: of a sample's frames in its answer, an array a sample; empty where no frames are weighed.
    """

    sample_ids: list[str]
    logits: Float32[np.ndarray, "answers classes"]
    probabilities: Float32[np.ndarray, "answers classes"]
    labels: Int64[np.ndarray, " answers"]
    weights: list[Float32[np.ndarray, " frames"]] = field(default_factory=list)


@torch.inference_mode()
def predict_batch(model: nn.Module, batch: Batch, task: Task, *, device: str | torch.device) -> Predictions:
    """The answers to one batch. The model must be in evaluation mode and on the device."""
    stages.reach("forward", *batch.sample_ids)
    inputs: dict[str, Any] = batch.to(device).inputs
    answer, weights = model.answer(**inputs) if isinstance(model, FramePooling) else (model(**inputs), None)
    logits = answer.float()
    probabilities = task.probabilities(logits).cpu()
    labels = task.decide(probabilities)
    each = [] if weights is None else _of_each_sample(weights, batch)
    return Predictions(batch.sample_ids, logits.cpu().numpy(), probabilities.numpy(), labels.numpy(), each)


def _of_each_sample(weights: Tensor, batch: Batch) -> list[Float32[np.ndarray, " frames"]]:
    owner = batch.inputs["sample"]
    assert isinstance(owner, Tensor)
    starts = np.searchsorted(owner.cpu().numpy(), np.arange(1, len(batch)))
    return np.split(weights.float().cpu().numpy(), starts)


def _nothing(classes: int) -> Predictions:
    empty = np.empty((0, classes), np.float32)
    return Predictions([], empty, empty, np.empty(0, np.int64))


def predict(
    model: nn.Module, batches: Iterable[Batch], task: Task, *, device: str | torch.device = "cpu"
) -> Predictions:
    """The answers to all batches; nothing where there is none.

    A sample's answer does not depend on the samples beside it, up to the order in which sums are rounded (1e-6).
    """
    model.eval()
    done = [predict_batch(model, batch, task, device=device) for batch in batches]
    if not done:
        return _nothing(len(task.classes))
    return Predictions(
        [name for part in done for name in part.sample_ids],
        np.concatenate([part.logits for part in done]),
        np.concatenate([part.probabilities for part in done]),
        np.concatenate([part.labels for part in done]),
        [weights for part in done for weights in part.weights],
    )
