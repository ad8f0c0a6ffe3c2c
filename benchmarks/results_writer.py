"""The last line of every benchmark: one JSON object, also written to `benchmarks/results/<name>.json`."""

import json
import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parent / "results"


def write_result(name: str, figures: dict[str, Any], folder: Path = RESULTS) -> dict[str, Any]:
    """Print the figures with commit, machine and date as one line of JSON, and write them; what was written.

    Args:
        name: of the script, without `.py`.
        figures: numbers, strings, lists and dictionaries of them; NumPy scalars too.
        folder: where `<name>.json` goes.
    """
    result = {
        **json.loads(json.dumps(figures, default=float)),
        "commit": _commit(),
        "machine": _machine(),
        "date": datetime.now(UTC).date().isoformat(),
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result), flush=True)
    return result


def kept_result(name: str, folder: Path = RESULTS) -> dict[str, Any]:
    """What earlier runs of a benchmark wrote (rows of another process that runs meanwhile are among it), or nothing."""
    path = folder / f"{name}.json"
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return found


def _commit() -> str:
    """The commit's short hash; `-changed` where the working tree differs from it."""
    command = ["git", "-C", str(RESULTS.parent), "describe", "--always", "--dirty=-changed", "--exclude=*"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def _machine() -> str:
    """Processor, cores and memory."""
    model = platform.processor() or platform.machine()
    if os.path.exists("/proc/cpuinfo"):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.split(": ", 1)[1] for line in lines if line.startswith("model name")), model)
    gibibytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{model}, {os.cpu_count()} cores, {gibibytes:.0f} GiB"
