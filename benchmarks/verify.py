"""What `medray score --verify` costs on an index and predictions of many generated rows, in a process of its own.

    python benchmarks/verify.py [ROWS]          a million without it

2 % of the objects failed and 5 % are skipped; every other is one sample with two probabilities. Time is wall time of
`verify` alone, memory the process's highest resident set, libraries included.
"""

import json
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.results_writer import write_result
from medray import tables
from medray.image_settings import SampleRecipe
from medray.pipelines.funnel import Funnel
from medray.schema import INDEX, PREDICTIONS

ROWS, FAILED, SKIPPED = 1_000_000, 0.02, 0.05
MEASURE = """
import json, sys, time
from medray.pipelines.verify import verify
started = time.monotonic()
counts = verify(sys.argv[1])
mb = int(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))) / 1024
print(json.dumps({**counts, "seconds": round(time.monotonic() - started, 1), "peak_mb": round(mb)}))
"""


def write_table(uri: str, kind: str, schema: pa.Schema, columns: dict[str, Any], **facts: Any) -> dict[str, Any]:
    """A finished table whose other columns are null; its manifest."""
    rows = len(columns["object_id"])
    given = {field.name: pa.array(columns[field.name], field.type) for field in schema if field.name in columns}
    table = pa.table({field.name: given.get(field.name, pa.nulls(rows, field.type)) for field in schema}, schema=schema)
    counts = Funnel()
    told = lambda: {**facts, "funnel": counts.facts()}  # noqa: E731
    return tables.finish(uri, kind, counts.counted([table]), schema=schema, facts=told)


def generate(folder: Path, rows: int) -> str:
    """An index and predictions of as many objects; the predictions' place."""
    random = np.random.default_rng(0)
    ids = np.array([random.bytes(16).hex() for _ in range(rows)])
    draw = random.random(rows)
    status = np.where(draw < FAILED, "failed", np.where(draw < FAILED + SKIPPED, "skipped", "ok"))
    reason = np.array([None if s == "ok" else {"failed": "corrupt_header", "skipped": "container"}[s] for s in status])
    base: dict[str, Any] = {
        "object_id": ids,
        "uri": np.char.add("sealed:", ids),
        "etag": ids,
        "status": status,
        "reason": reason,
    }
    source = str(folder / "index")
    index = write_table(source, "index", INDEX, base | {"frames": np.ones(rows, np.int32)})
    base = {name: values[status != "skipped"] for name, values in base.items()}
    ok = base["status"] == "ok"
    base["sample_id"] = np.where(ok, np.char.add(base["object_id"], ":0"), base["object_id"])
    base["probabilities"] = list(random.random((len(ok), 2), np.float32))
    known = {"source": source, "source_generation": 1, "index_funnel": index["funnel"], "classes": ["a", "b"]}
    known["sample"] = asdict(SampleRecipe())
    write_table(str(folder / "predictions"), "predictions", PREDICTIONS, base, **known)
    return str(folder / "predictions")


def main() -> None:
    """Generate, verify, write the figures."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else ROWS
    with tempfile.TemporaryDirectory() as folder:
        place = generate(Path(folder), rows)
        done = subprocess.run([sys.executable, "-c", MEASURE, place], check=True, stdout=subprocess.PIPE, text=True)
    write_result("verify", {"rows": rows, **json.loads(done.stdout)})


if __name__ == "__main__":
    main()
