"""Seeded kills of driver, worker and raylet at every stage of a scoring; the same command again until it is finished.

    python benchmarks/kills.py KILLS [PLACE OF]

Each round scores a small generated archive (48 units) into a fresh folder, with faults drawn from the round's number
(`medray.faults`). Where the command ends, killed or with an error, it is given again. Then the table must be the
undisturbed one, row by row, and no part file may have been written twice. Rounds are kept in MEDRAY_WORK as they come:
another call goes on behind the last, until there are as many kills as asked for. Most of a round is waiting, so several
calls may share a folder: `200 0 2` does every other round, `200 1 2` the rest.
"""

import json
import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.drawn_bundle import drawn_bundle
from benchmarks.phantoms import make_phantom_archive
from benchmarks.processes import below
from benchmarks.results_writer import write_result
from benchmarks.road import command, medray, work_folder
from medray import tables
from medray.pipelines.units import PLAN, read_plan_file
from medray.settings import Recipe

DRIVER = ("claimed", "planned", "unit", "finishing", "filed", "finished")
WORKER = ("read", "decode", "forward", "write", "written")
ENDS = ("kill", "segfault", "exit")
COUNTS = ("lost", "doubled", "changed", "redone_units", "parts_left")
RUNS = 20  # of one command, at the most
LOOK_S = 0.1


def lay_out(work: Path) -> None:
    """Archive, index, bundle, and the undisturbed table, once."""
    if (work / "whole" / tables.MANIFEST).exists():
        return
    make_phantom_archive(work / "archive", images=160, size=64, patients=20)
    drawn_bundle(work / "bundle", "cnn", Recipe(size=28))
    medray("index", archive=work / "archive", out=work / "index")
    medray("score", **flags(work, "whole"))


def flags(work: Path, out: str) -> dict[str, Any]:
    """Of the command that is killed."""
    places = {"source": work / "index", "bundle": work / "bundle", "out": work / out}
    return {**places, "ray__unit_bytes": 100_000, "actors": 1}


def draw(number: int) -> list[str]:
    """The faults of a round: four of a worker, up to two of the driver, now and then one of the raylet."""
    rng = random.Random(number)
    drawn = {f"{rng.choice(WORKER)}:{rng.choice(ENDS)}:{rng.randint(1, 8)}" for _ in range(4)}
    for stage in rng.sample(DRIVER, rng.randint(1, 2)):
        drawn.add(f"{stage}:kill:{rng.randint(1, 20) if stage == 'unit' else 1}")
    if rng.random() < 1 / 3:
        drawn.add(f"{rng.choice(WORKER)}:raylet:{rng.randint(1, 8)}")
    return sorted(drawn)


class Eyes(threading.Thread):
    """Sees each part file when it appears, and whether it is written again; and every process below this one."""

    def __init__(self, parts: Path) -> None:
        super().__init__(daemon=True)
        self.parts, self.done = parts, threading.Event()
        self.seen: dict[str, tuple[int, int]] = {}
        self.redone: set[str] = set()
        self.pids: set[int] = set()

    def run(self) -> None:
        """Look until it is done."""
        looks = 0
        while not self.done.wait(LOOK_S):
            self.look()
            if (looks := looks + 1) % 20 == 0:
                self.pids |= set(below(os.getpid()))

    def look(self) -> None:
        """Note inode and time of each part."""
        for path in self.parts.glob("part-*.parquet"):
            try:
                found = path.stat()
            except OSError:
                continue
            if self.seen.setdefault(path.name, (found.st_ino, found.st_mtime_ns)) != (found.st_ino, found.st_mtime_ns):
                self.redone.add(path.name)


@contextmanager
def eyes_on(out: Path) -> Iterator[Eyes]:
    """Eyes that are open as long as the block runs."""
    eyes = Eyes(out / tables.PARTS)
    eyes.start()
    try:
        yield eyes
    finally:
        eyes.done.set()
        eyes.join()


def wait_until_gone(pids: set[int], within_s: float = 60.0) -> None:
    """What a killed driver leaves ends by itself; the next run must not meet it."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline and any(_is_ray(pid) for pid in pids):
        time.sleep(0.2)


def _is_ray(pid: int) -> bool:
    try:
        title = Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
    except OSError:
        return False
    return "ray::" in title or "raylet/raylet" in title


def run_round(work: Path, number: int) -> dict[str, Any]:
    """One scoring with its kills; what came of it."""
    out, marks = work / f"round-{number:04d}", work / f"marks-{number:04d}"
    marks.mkdir(exist_ok=True)
    environment = os.environ | {"MEDRAY_FAULT": ";".join(draw(number)), "MEDRAY_FAULT_MARKS": str(marks)}
    words = [sys.executable, "-m", "medray.cli", *command("score", **flags(work, out.name))]
    codes: list[int] = []
    started, missing = time.monotonic(), 0
    with eyes_on(out) as eyes:
        while 0 not in codes and len(codes) < RUNS:
            eyes.look()
            missing = _units(out) - len(eyes.seen) if codes else 0
            codes.append(subprocess.run(words, env=environment, capture_output=True, check=False).returncode)
            wait_until_gone(eyes.pids)
    finished = codes[-1] == 0
    kills = sorted(path.name for path in marks.iterdir())
    found = {"round": number, "kills": kills, "codes": codes, "seconds": round(time.monotonic() - started)}
    found |= {"finished": finished, "redone_units": len(eyes.redone)}
    if finished:
        manifest = tables.read_manifest(str(out))
        if len(codes) > 1 and manifest["units_this_run"] > max(missing, 0) and "finished-kill-1" not in kills:
            found["redone_units"] += manifest["units_this_run"] - missing
        found |= compare(work / "whole", out) | {"parts_left": (out / tables.PARTS).exists()}
    return found


def _units(out: Path) -> int:
    """Units of the plan; as good as infinitely many before there is one."""
    files = list((out / PLAN).glob("plan-*.parquet"))
    return sum(len(read_plan_file(str(out), number)) for number in range(len(files))) or 10**9


def compare(whole: Path, out: Path) -> dict[str, int]:
    """Rows lost, doubled and changed against the undisturbed table."""
    wanted, found = (tables.read_table(str(uri)).to_pylist() for uri in (whole, out))
    ids = Counter(row["sample_id"] for row in found)
    rows = {row["sample_id"]: row for row in found}
    return {
        "lost": sum(row["sample_id"] not in ids for row in wanted),
        "doubled": sum(count - 1 for count in ids.values()),
        "changed": sum(row != rows.get(row["sample_id"], row) for row in wanted),
    }


def summary(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """The figures of all rounds."""
    names = [name.split("-") for found in rounds for name in found["kills"]]
    kinds = Counter(
        "raylet" if action == "raylet" else "driver" if stage in DRIVER else "worker" for stage, action, _ in names
    )
    return {
        "kills": len(names),
        **{name: sum(int(found.get(name, 0)) for found in rounds) for name in COUNTS},
        "unfinished_rounds": sum(not found["finished"] for found in rounds),
        "rounds": len(rounds),
        "runs": sum(len(found["codes"]) for found in rounds),
        "by_kind": dict(sorted(kinds.items())),
        "by_stage": dict(sorted(Counter(stage for stage, _, _ in names).items())),
        "by_action": dict(sorted(Counter(action for _, action, _ in names).items())),
    }


def main() -> None:
    """Rounds until there are as many kills as asked for; the figures so far after each."""
    wanted, work = int(sys.argv[1]), work_folder("kills")
    place, of = map(int, sys.argv[2:4] or (0, 1))
    lay_out(work)
    kept = work / "rounds.jsonl"
    kept.touch()
    while summary(rounds := _kept(kept))["kills"] < wanted:
        own = [found["round"] for found in rounds if found["round"] % of == place]
        found = run_round(work, max(own, default=place - of) + of)
        with kept.open("a") as file:
            file.write(json.dumps(found) + "\n")
        write_result("kills", summary(_kept(kept)))


def _kept(lines: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines.read_text().splitlines()]


if __name__ == "__main__":
    main()
