"""What a row's numbers come from beside its model: the code, and the setup that decides the last bits of a float."""

import hashlib
import json
import os
import platform
import subprocess
from dataclasses import asdict
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

import medray
from medray import __version__
from medray.image_settings import DecodeSettings

LIBRARIES = ("torch", "numba", "numpy", "scipy", "pydicom", "imagecodecs", "pyarrow", "ray")
"""Whose version may change a number, or the rows that stand beside it."""


@cache
def code_version() -> str:
    """Version of medray; in a checkout with its commit: `0.1.0+3f2a9c1b7d04`.

    A checkout whose package differs from the commit says so, with a digest of its sources: `….dirty.6be1c0d2`.
    """
    folder = Path(medray.__file__).parent
    if _git(folder, "ls-files", "--error-unmatch", "__init__.py") is None:
        return __version__  # installed, or copied without its history
    commit = (_git(folder, "rev-parse", "--short=12", "HEAD") or "").strip()
    changed = _git(folder, "status", "--porcelain", "--", ".")
    return f"{__version__}+{commit}" + (f".dirty.{_sources(folder)}" if changed else "")


def _git(folder: Path, *words: str) -> str | None:
    """What git says of the folder; None where it knows nothing of it, or is not there."""
    try:
        done = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout


def _sources(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        digest.update(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:8]


@cache
def setup_of(batch_size: int, device: str, decode: DecodeSettings) -> dict[str, Any]:
    """What the bits of an answer depend on beside model, code and input: equal here and there, the answers are equal.

    Args:
        batch_size: samples in one forward pass: matrices of another height are summed in another order.
        device: `cpu` or `cuda`.
        decode: what decoding may take, and how it is checked.
    """
    libraries = {"python": platform.python_version(), **{name: metadata.version(name) for name in LIBRARIES}}
    processor = torch.cuda.get_device_name() if device == "cuda" else ""
    made_on = {"device": device, "gpu": processor, "cpu": _cpu(), "libraries": libraries}
    return {"batch_size": batch_size, "decode": asdict(decode), **made_on}


def _cpu() -> str:
    """The CPU by vendor, family, model and a digest of its features: compiled loops and kernels are chosen by these."""
    found: dict[str, str] = {}
    if os.path.exists("/proc/cpuinfo"):
        for line in Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines():
            name, _, value = line.partition(":")
            found[name.strip()] = value.strip()
    features = hashlib.sha256(" ".join(sorted(found.get("flags", "").split())).encode()).hexdigest()[:8]
    names = [found.get(name, "") for name in ("model name", "cpu family", "model", "stepping")]
    known = " ".join(name for name in names if name) or platform.processor() or platform.machine()
    return f"{known}, {torch.backends.cpu.get_cpu_capability()}, features {features}"


def setup_id(setup: dict[str, Any]) -> str:
    """8 hexadecimal digits of a setup: what a row says, and the manifest explains."""
    return hashlib.sha256(json.dumps(setup, sort_keys=True).encode()).hexdigest()[:8]


def differences(then: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What differs between two setups of one batch size, in words."""
    flat = [{**setup, **setup["libraries"]} for setup in (then, now)]
    names = sorted({*flat[0], *flat[1]} - {"libraries", "decode", "batch_size"})
    return [
        f"{name}: {flat[0].get(name) or 'none'} then, {flat[1].get(name) or 'none'} now"
        for name in names
        if flat[0].get(name) != flat[1].get(name)
    ]
