"""The training loop, in plain torch: it knows neither where batches come from nor how many workers there are."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import OneCycleLR

from medray.errors import LabelError, SettingsError
from medray.samples.batch import Batch
from medray.settings import OptimizerSettings
from medray.training.seeding import seed_everything
from medray.training.task import Task


@dataclass
class TrainState:
    """What a training run is between two epochs.

    Attributes:
        model: the model, wrapped for DDP or not.
        optimizer: AdamW.
        scheduler: one cycle over all steps of the run.
        seed: of the run; random states come from it (seeding.py), so none is saved.
        epoch: epochs finished.
        rank: number of this worker; with it, dropout differs between workers. It is not saved.
    """

    model: nn.Module
    optimizer: Optimizer
    scheduler: OneCycleLR
    seed: int
    epoch: int = 0
    rank: int = 0

    def state_dict(self) -> dict[str, Any]:
        """Everything to go on from: tensors, numbers and strings only. The same with or without DDP."""
        return {
            "model": unwrapped(self.model).state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "seed": self.seed,
            "epoch": self.epoch,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state of the same model, settings and steps an epoch."""
        unwrapped(self.model).load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scheduler.load_state_dict(state["scheduler"])
        self.seed, self.epoch = state["seed"], state["epoch"]


@dataclass(frozen=True)
class Evaluation:
    """A model's answers to labelled samples, on the CPU, one batch behind the other.

    Attributes:
        loss: of all of them.
        logits: one row a sample, or a node.
        labels: as in the batches.
    """

    loss: float
    logits: Tensor
    labels: Tensor


@dataclass(frozen=True)
class EpochReport:
    """One finished epoch."""

    epoch: int
    train_loss: float
    learning_rate: float
    validation: Evaluation


@dataclass(frozen=True)
class TrainingData:
    """Where batches come from.

    Attributes:
        train: the training batches of an epoch; every epoch has the same number.
        validation: the validation batches.
    """

    train: Callable[[int], Iterable[Batch]]
    validation: Callable[[], Iterable[Batch]]


def unwrapped(model: nn.Module) -> nn.Module:
    """The model inside DistributedDataParallel, or the model itself."""
    inner = getattr(model, "module", model)
    assert isinstance(inner, nn.Module)
    return inner


def start_training(
    model: nn.Module, settings: OptimizerSettings, steps_per_epoch: int, *, seed: int, rank: int = 0
) -> TrainState:
    """Optimizer and schedule for a model that is on its device (and wrapped) already.

    Args:
        model: the model, its weights drawn after `seed_everything(seed)`.
        settings: learning rate, decay, epochs.
        steps_per_epoch: batches an epoch has on each worker.
        seed: of the run.
        rank: number of this worker.
    """
    optimizer = AdamW(model.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
    steps = max(settings.epochs * steps_per_epoch, 2)
    scheduler = OneCycleLR(optimizer, max_lr=settings.learning_rate, total_steps=steps)
    return TrainState(model, optimizer, scheduler, seed, rank=rank)


def _labels(batch: Batch) -> Tensor:
    if batch.labels is None:
        raise LabelError("A batch without labels cannot train or be evaluated.", "Leave unlabelled samples out.")
    return batch.labels


def train_step(state: TrainState, batch: Batch, task: Task) -> Tensor:
    """One step on a batch that is on the model's device; the loss, still on the device.

    After the schedule's last step the learning rate stays where it ended.
    """
    loss = task.loss(state.model(**batch.inputs), _labels(batch))
    state.optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    state.optimizer.step()
    if state.scheduler.last_epoch < state.scheduler.total_steps - 1:
        state.scheduler.step()
    return loss.detach()


def train_epoch(state: TrainState, batches: Iterable[Batch], task: Task, *, device: str | torch.device) -> float:
    """Train one epoch; the mean loss over its samples. `state.epoch` counts it.

    A batch with a single answer is left out: batch norm has no variance to divide by.

    Raises:
        SettingsError: the loss is no number any more.
    """
    seed_everything(state.seed, state.epoch, state.rank)
    state.model.train()
    total, samples = torch.zeros((), device=device), 0
    for batch in batches:
        if len(_labels(batch)) > 1:
            total += train_step(state, batch.to(device), task) * len(batch)
            samples += len(batch)
    loss = total.item() / max(samples, 1)
    if not math.isfinite(loss):
        raise SettingsError(f"The training loss is {loss} in epoch {state.epoch}.", "Lower optimizer.learning_rate.")
    state.epoch += 1
    return loss


@torch.inference_mode()
def evaluate(model: nn.Module, batches: Iterable[Batch], task: Task, *, device: str | torch.device) -> Evaluation:
    """The model's answers and their loss, in the order of the batches. Under DDP, pass the unwrapped model.

    Raises:
        LabelError: a batch without labels, or no batch at all.
    """
    model.eval()
    logits, labels = [], []
    for batch in batches:
        logits.append(model(**batch.to(device).inputs).float().cpu())
        labels.append(_labels(batch).cpu())
    if not logits:
        raise LabelError("There is no labelled sample to evaluate on.", "Give the split a validation side.")
    all_logits, all_labels = torch.cat(logits), torch.cat(labels)
    return Evaluation(float(task.loss(all_logits, all_labels)), all_logits, all_labels)


def figures(evaluation: Evaluation, task: Task) -> dict[str, float]:
    """The loss of an evaluation, and what the task reads off it."""
    return {"loss": evaluation.loss, **task.figures(evaluation.logits, evaluation.labels)}


def fit(
    state: TrainState,
    task: Task,
    data: TrainingData,
    settings: OptimizerSettings,
    *,
    device: str | torch.device,
    on_epoch: Callable[[EpochReport], None],
) -> None:
    """Train the epochs that are left, and evaluate after each. `on_epoch` may save `state`."""
    for epoch in range(state.epoch, settings.epochs):
        train_loss = train_epoch(state, data.train(epoch), task, device=device)
        validation = evaluate(unwrapped(state.model), data.validation(), task, device=device)
        on_epoch(EpochReport(epoch, train_loss, float(state.scheduler.get_last_lr()[0]), validation))
