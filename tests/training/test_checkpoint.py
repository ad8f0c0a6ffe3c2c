"""medray/training/checkpoint.py."""

import os
import pickle
from pathlib import Path

import pytest
import torch

from medray import storage
from medray.models.cnn import SmallCNN
from medray.settings import OptimizerSettings
from medray.training.checkpoint import load_checkpoint, save_checkpoint
from medray.training.fit import start_training, train_epoch
from medray.training.task import Classify
from tests.training.planted import image_batches, square_images


def test_a_whole_training_state_comes_back(tmp_path: Path) -> None:
    images, labels, _ = square_images(32)
    state = start_training(SmallCNN(1, 2), OptimizerSettings(epochs=2), 2, seed=5)
    train_epoch(state, image_batches(images, labels), Classify(("no", "yes")), device="cpu")
    save_checkpoint(str(tmp_path), state.state_dict())
    other = start_training(SmallCNN(1, 2), OptimizerSettings(epochs=2), 2, seed=0)
    other.load_state_dict(load_checkpoint(str(tmp_path)) or {})
    assert (other.seed, other.epoch) == (5, 1)
    assert other.scheduler.get_last_lr() == state.scheduler.get_last_lr()
    moments = zip(other.optimizer.state.values(), state.optimizer.state.values(), strict=True)
    assert all(torch.equal(mine["exp_avg_sq"], theirs["exp_avg_sq"]) for mine, theirs in moments)


def test_the_newest_two_stay(tmp_path: Path) -> None:
    for epoch in (1, 2, 9, 10):
        save_checkpoint(str(tmp_path), {"epoch": epoch})
    assert storage.names(str(tmp_path)) == ["checkpoint-000009.pt", "checkpoint-000010.pt"]
    assert load_checkpoint(str(tmp_path)) == {"epoch": 10}


@pytest.mark.parametrize("length", [0, 10, 40, 500, -1])
def test_a_torn_checkpoint_is_passed_over_for_the_one_before(tmp_path: Path, length: int) -> None:
    save_checkpoint(str(tmp_path), {"epoch": 1, "weights": torch.zeros(100)})
    newest = Path(save_checkpoint(str(tmp_path), {"epoch": 2, "weights": torch.ones(100)}))
    newest.write_bytes(newest.read_bytes()[:length])
    assert (load_checkpoint(str(tmp_path)) or {})["epoch"] == 1


def test_one_rotten_byte_is_noticed(tmp_path: Path) -> None:
    path = Path(save_checkpoint(str(tmp_path), {"epoch": 1, "weights": torch.zeros(100)}))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    assert load_checkpoint(str(tmp_path)) is None


def test_a_write_that_dies_leaves_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_checkpoint(str(tmp_path), {"epoch": 1})

    def die(_source: object, _target: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", die)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(str(tmp_path), {"epoch": 2})
    assert load_checkpoint(str(tmp_path)) == {"epoch": 1}


def test_a_checkpoint_with_code_in_it_is_not_run(tmp_path: Path) -> None:
    class Planted:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "ran"),)

    with pytest.raises(pickle.UnpicklingError):
        torch.load(Path(_planted(tmp_path, Planted())), weights_only=True)
    assert load_checkpoint(str(tmp_path)) is None
    assert not (tmp_path / "ran").exists()


def _planted(folder: Path, value: object) -> str:
    uri = save_checkpoint(str(folder), {"epoch": 1, "value": value})
    bare = folder / "bare.pt"
    bare.write_bytes(Path(uri).read_bytes()[32:])
    return str(bare)


def test_a_folder_without_checkpoints_has_none(tmp_path: Path) -> None:
    assert load_checkpoint(str(tmp_path / "new")) is None
