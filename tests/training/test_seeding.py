"""medray/training/seeding.py."""

import random

import numpy as np
import torch

from medray.training.seeding import derive_seed, seed_everything


def draw() -> tuple[float, float, float]:
    return random.random(), float(np.random.rand()), torch.rand(()).item()


def test_the_same_seed_epoch_and_rank_draw_the_same() -> None:
    seed_everything(3, 2, 1)
    first = draw()
    draw()
    seed_everything(3, 2, 1)
    assert draw() == first


def test_another_seed_epoch_or_rank_draws_another() -> None:
    drawn = set()
    for place in [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (0, -1, 0)]:
        seed_everything(*place)
        drawn.add(draw())
    assert len(drawn) == 5


def test_derived_seeds_are_the_same_on_every_machine() -> None:
    assert derive_seed(0, 1, "flip", "abc:0") == 1777379359739075973
