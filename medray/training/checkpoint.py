"""Checkpoints that survive a kill at any moment, read without executing pickled code.

A checkpoint is one object `checkpoint-<epoch>.pt`: the SHA-256 of what follows, then torch's own format. It is written
whole or not at all (storage.write_bytes), and one that is torn or rotten all the same is passed over for the one
before it.
"""

import hashlib
import io
import pickle
from typing import Any

import torch

from medray import storage

PREFIX, SUFFIX = "checkpoint-", ".pt"


def _checkpoints(folder: str) -> list[str]:
    found = [name for name in storage.names(folder) if name.startswith(PREFIX) and name.endswith(SUFFIX)]
    return sorted(found, reverse=True)


def save_checkpoint(folder: str, state: dict[str, Any], *, keep: int = 2) -> str:
    """Write a checkpoint and remove those before it, but for the newest `keep`.

    Args:
        folder: any storage folder; it is made where there is none.
        state: tensors, numbers, strings, lists and dicts; `state["epoch"]` orders checkpoints.
        keep: checkpoints that stay; two, so that there is one to fall back to.

    Returns:
        Its URI.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    payload = buffer.getvalue()
    uri = storage.join(folder, f"{PREFIX}{state['epoch']:06d}{SUFFIX}")
    storage.write_bytes(uri, hashlib.sha256(payload).digest() + payload)
    for name in _checkpoints(folder)[keep:]:
        storage.delete(storage.join(folder, name))
    return uri


def read_checkpoint(uri: str) -> dict[str, Any] | None:
    """One checkpoint, on the CPU; None where its bytes are not what was written."""
    data = storage.read_bytes(uri)
    digest, payload = data[:32], data[32:]
    if hashlib.sha256(payload).digest() != digest:
        return None
    try:
        state: dict[str, Any] = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:  # a whole file of ours holds no code: this one is not ours
        return None
    return state


def load_checkpoint(folder: str) -> dict[str, Any] | None:
    """The newest checkpoint that is whole; None where there is none."""
    states = (read_checkpoint(storage.join(folder, name)) for name in _checkpoints(folder))
    return next((state for state in states if state is not None), None)
