"""medray/training/fit.py."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import distributed as dist
from torch.nn.parallel import DistributedDataParallel

from medray.errors import LabelError, SettingsError
from medray.models.cnn import SmallCNN
from medray.models.gatedgcn import GatedGCN
from medray.samples.batch import Batch
from medray.settings import OptimizerSettings
from medray.training.fit import EpochReport, TrainingData, TrainState, evaluate, fit, start_training, train_epoch
from medray.training.seeding import seed_everything
from medray.training.task import Classify
from tests.models.region_graphs import join, random_graph
from tests.training.planted import image_batches, square_images

TASK = Classify(("no", "yes"))
IMAGES, LABELS, _ = square_images(96)
DATA = TrainingData(lambda _: image_batches(IMAGES, LABELS), lambda: image_batches(IMAGES[:32], LABELS[:32]))
SETTINGS = OptimizerSettings(epochs=4)


def fresh(seed: int = 0, settings: OptimizerSettings = SETTINGS) -> TrainState:
    seed_everything(seed)
    return start_training(SmallCNN(1, 2, dropout=0.2), settings, 6, seed=seed)


def train(state: TrainState, settings: OptimizerSettings = SETTINGS) -> list[EpochReport]:
    reports: list[EpochReport] = []
    fit(state, TASK, DATA, settings, device="cpu", on_epoch=reports.append)
    return reports


def same(left: dict[str, Any], right: dict[str, Any]) -> bool:
    return all(torch.equal(left[name], right[name]) for name in left)


def test_a_square_that_decides_is_learned() -> None:
    reports = train(fresh())
    assert [report.epoch for report in reports] == [0, 1, 2, 3]
    assert reports[-1].train_loss < 0.3 * reports[0].train_loss
    assert (reports[-1].validation.logits.argmax(1) == reports[-1].validation.labels).float().mean() >= 0.95


def test_the_same_seed_gives_the_same_weights_bit_for_bit() -> None:
    first, second, other = fresh(), fresh(), fresh(1)
    for state in (first, second, other):
        train(state)
    assert same(first.model.state_dict(), second.model.state_dict())
    assert not same(first.model.state_dict(), other.model.state_dict())


def test_resuming_gives_the_weights_of_the_unbroken_run_bit_for_bit() -> None:
    unbroken, broken = fresh(), fresh()
    train(unbroken)
    for _ in range(2):
        train_epoch(broken, DATA.train(broken.epoch), TASK, device="cpu")
    resumed = fresh(seed=9)
    resumed.load_state_dict(broken.state_dict())
    torch.rand(7)  # what else happens in between does not matter
    assert [report.epoch for report in train(resumed)] == [2, 3]
    assert same(unbroken.model.state_dict(), resumed.model.state_dict())


def test_the_learning_rate_rises_to_its_peak_and_falls_to_nothing() -> None:
    state, rates = fresh(), []
    for epoch in range(4):
        train_epoch(state, DATA.train(epoch), TASK, device="cpu")
        rates.append(state.scheduler.get_last_lr()[0])
    assert max(rates) > 0.9 * SETTINGS.learning_rate
    assert rates[-1] < 1e-4 * SETTINGS.learning_rate


def test_more_steps_than_planned_stay_at_the_last_rate() -> None:
    state = fresh(settings=OptimizerSettings(epochs=1))
    for epoch in range(2):
        train_epoch(state, DATA.train(epoch), TASK, device="cpu")
    assert state.scheduler.get_last_lr()[0] < 1e-7


def test_a_batch_of_one_sample_is_left_out_of_training() -> None:
    state = fresh()
    before = {name: value.clone() for name, value in state.model.state_dict().items()}
    assert train_epoch(state, image_batches(IMAGES[:1], LABELS[:1]), TASK, device="cpu") == 0
    assert same(before, state.model.state_dict())


def test_a_loss_that_is_no_number_ends_the_training() -> None:
    state = fresh()
    with pytest.raises(SettingsError, match=r"loss is nan in epoch 0. Lower"):
        train_epoch(state, image_batches(IMAGES * torch.nan, LABELS), TASK, device="cpu")
    assert state.epoch == 0


def test_workers_draw_different_dropout_masks() -> None:
    states = [fresh(), fresh()]
    states[1].rank = 1
    losses = [train_epoch(state, DATA.train(0), TASK, device="cpu") for state in states]
    assert losses[0] != losses[1]


def test_evaluation_changes_nothing_and_does_not_depend_on_the_batch_size() -> None:
    model = SmallCNN(1, 2)
    model(IMAGES)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    whole = evaluate(model, image_batches(IMAGES, LABELS, 96), TASK, device="cpu")
    parts = evaluate(model, image_batches(IMAGES, LABELS, 7), TASK, device="cpu")
    torch.testing.assert_close(parts.logits, whole.logits, atol=1e-6, rtol=0)
    assert parts.loss == pytest.approx(whole.loss, abs=1e-6)
    assert same(before, model.state_dict())


def test_batches_without_labels_are_refused() -> None:
    with pytest.raises(LabelError, match="without labels"):
        evaluate(SmallCNN(1, 2), [Batch({"image": IMAGES[:2]}, None, ["a", "b"])], TASK, device="cpu")
    with pytest.raises(LabelError, match="no labelled sample"):
        evaluate(SmallCNN(1, 2), [], TASK, device="cpu")


@pytest.fixture
def one_worker(tmp_path: Path) -> Iterator[None]:
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.usefixtures("one_worker")
def test_a_model_wrapped_for_ddp_trains_and_saves_as_the_bare_one() -> None:
    graphs = Batch(join([random_graph(8, 0), random_graph(9, 1)]), torch.tensor([0, 1]), ["a", "b"])
    states = []
    for wrap in (lambda model: model, DistributedDataParallel):
        seed_everything(0)
        state = start_training(wrap(GatedGCN(5, 3, 2)), SETTINGS, 3, seed=0)
        train_epoch(state, [graphs] * 3, TASK, device="cpu")
        states.append(state.state_dict()["model"])
    assert states[0].keys() == states[1].keys()
    assert same(*states)
