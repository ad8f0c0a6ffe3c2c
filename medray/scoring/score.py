"""A model and batches to logits, probabilities and answers."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import nn

from medray import stages
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
    """

    sample_ids: list[str]
    logits: Float32[np.ndarray, "answers classes"]
    probabilities: Float32[np.ndarray, "answers classes"]
    labels: Int64[np.ndarray, " answers"]


@torch.inference_mode()
def predict_batch(model: nn.Module, batch: Batch, task: Task, *, device: str | torch.device) -> Predictions:
    """The answers to one batch. The model must be in evaluation mode and on the device."""
    stages.reach("forward", *batch.sample_ids)
    logits = model(**batch.to(device).inputs).float()
    probabilities = task.probabilities(logits).cpu()
    labels = task.decide(probabilities)
    return Predictions(batch.sample_ids, logits.cpu().numpy(), probabilities.numpy(), labels.numpy())


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
    )
