"""Random states that depend on (seed, epoch, rank) and on nothing else."""

import hashlib
import random

import numpy as np
import torch


def derive_seed(*parts: int | str) -> int:
    """A 63-bit number from numbers and names; the same everywhere."""
    digest = hashlib.blake2b("/".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def seed_everything(seed: int, epoch: int = -1, rank: int = 0) -> None:
    """Set the random states of Python, NumPy and torch (all devices).

    Called at the start of each epoch, it makes a resumed run draw what the unbroken one draws, on every rank, so that
    no random state has to be saved. Epoch -1 is the time before the first: the initial weights.
    """
    state = derive_seed(seed, epoch, rank)
    random.seed(state)
    np.random.seed(state % 2**32)
    torch.manual_seed(state)
