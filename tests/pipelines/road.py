"""The road of commands from an archive to a report, and how the tests run them."""

import contextlib
import io
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from medray import storage
from medray.cli import main


@dataclass(frozen=True)
class Finished:
    """How a command ended: exit code and all that it printed."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        return self.out + self.err


def here(*flags: str) -> Finished:
    """Run a command in this process, on the Ray that is there."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(flags)
    return Finished(code, out.getvalue(), err.getvalue())


def apart(*flags: str, environment: dict[str, str] | None = None, timeout_s: float = 600) -> Finished:
    """Run a command in a process of its own, on a Ray of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "medray.cli", *flags],
        env=os.environ | (environment or {}),
        capture_output=True,
        text=True,
        timeout=timeout_s,
    )
    return Finished(done.returncode, done.stdout, done.stderr)


def upload(folder: Path, uri: str) -> int:
    """Put every file of a folder under a URI; how many there were."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    for path in files:
        storage.write_bytes(storage.join(uri, path.relative_to(folder).as_posix()), path.read_bytes())
    return len(files)


def index(root: str) -> tuple[str, ...]:
    return ("index", "--archive", f"{root}/archive", "--out", f"{root}/index")


def train(root: str, *more: str) -> tuple[str, ...]:
    flags = ("train", "--source", f"{root}/index", "--labels.file", f"{root}/archive/labels.csv")
    return (*flags, "--recipe.size", "28", "--optimizer.epochs", "1", "--out", f"{root}/run", *more)


def score(root: str, source: str = "index", out: str = "predictions") -> tuple[str, ...]:
    return ("score", "--source", f"{root}/{source}", "--bundle", f"{root}/run/bundles/seed-0", "--out", f"{root}/{out}")


def report(root: str) -> tuple[str, ...]:
    flags = ("report", "--predictions", f"{root}/predictions", "--labels.file", f"{root}/archive/labels.csv")
    more = ("--bundle", f"{root}/run/bundles/seed-0", "--history", f"{root}/run", "--out", f"{root}/report")
    return (*flags, *more, "--bootstrap", "20", "--examples", "2")


def road(root: str) -> dict[str, tuple[str, ...]]:
    """The commands in their order, by name."""
    return {
        "index": index(root),
        "train": train(root),
        "score": score(root),
        "verify": ("score", "--verify", f"{root}/predictions"),
        "report": report(root),
    }
