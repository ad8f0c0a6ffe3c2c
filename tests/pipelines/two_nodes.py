"""`python -m tests.pipelines.two_nodes SOURCE BUNDLE OUT [KILL]`: a scoring on two nodes of this machine.

With KILL the second node is killed when its workers have been seen and a part file is there. The last line is one JSON
object: how many workers of each node ran our actors.
"""

import json
import os
import sys
import tempfile
import threading

import psutil
from ray.cluster_utils import Cluster

from medray import tables
from medray.pipelines.score import score
from medray.settings import RaySettings, ScoreSettings

STORE = 200 * 2**20
UNIT_BYTES = 60_000  # so many units that a fast machine is not done before it is looked at
LOOK_S = 0.05


def workers_of(raylet: int) -> set[int]:
    """Living workers of a node that run our actors."""
    try:
        children = psutil.Process(raylet).children(recursive=True)
        return {child.pid for child in children if any("MapWorker" in word for word in child.cmdline())}
    except psutil.Error:
        return set()


def raylet_of(node) -> int:
    """Process id of a node's raylet."""
    return node.all_processes["raylet"][0].process.pid


def main() -> None:
    """Run it."""
    source, bundle, out, *kill = sys.argv[1:]
    temporary = tempfile.mkdtemp(prefix="medray-nodes-")
    os.environ["RAY_TMPDIR"] = temporary
    os.mkdir(f"{temporary}/ray")  # where Cluster writes its address; it makes no folder for it
    head = {"num_cpus": 1, "object_store_memory": STORE, "include_dashboard": False, "temp_dir": temporary}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    second = cluster.add_node(num_cpus=1, object_store_memory=STORE)
    raylets = {"first": raylet_of(cluster.head_node), "second": raylet_of(second)}
    seen: dict[str, set[int]] = {name: set() for name in raylets}
    over = threading.Event()

    def look() -> None:
        while not over.wait(LOOK_S):
            for name, pid in raylets.items():
                seen[name] |= workers_of(pid)
            if kill and "second" in raylets and seen["second"] and tables.finished_parts(out):
                for child in psutil.Process(raylets.pop("second")).children(recursive=True):
                    child.kill()
                second.kill_raylet()

    thread = threading.Thread(target=look)
    thread.start()
    try:
        score(ScoreSettings(source, out, bundle, ray=RaySettings(address=cluster.address, unit_bytes=UNIT_BYTES)))
    finally:
        over.set()
        thread.join()
        cluster.shutdown()
    print(
        json.dumps({"killed": "second" not in raylets, **{name: len(pids) for name, pids in seen.items()}}), flush=True
    )


if __name__ == "__main__":
    main()
