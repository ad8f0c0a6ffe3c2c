"""Two nodes: the work spreads over both, and a node that is killed in the middle costs no row."""

import contextlib
import json
import os
import signal
import subprocess
import sys

import pytest

from medray import tables
from medray.pipelines.verify import verify
from tests.pipelines.test_kill import IMAGES, work  # noqa: F401 (a fixture)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def on_two_nodes(work, out, *kill):  # noqa: F811
    """What the scoring said of its workers. Not through a pipe: daemons of the killed node keep it open."""
    command = [sys.executable, "-m", "tests.pipelines.two_nodes", str(work / "index"), str(work / "bundle"), str(out)]
    with open(out.with_name(f"{out.name}.said"), "w+") as said:
        process = subprocess.Popen([*command, *kill], stdout=said, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            code = process.wait(600)
        finally:
            with contextlib.suppress(ProcessLookupError):  # all of them have ended
                os.killpg(process.pid, signal.SIGKILL)
        said.seek(0)
        lines = said.read().splitlines()
    assert code == 0, lines[-40:]
    return next(found for line in lines if line.startswith("{") for found in [json.loads(line)])


def rows_of(out):
    return tables.read_table(str(out)).sort_by("sample_id").to_pylist()


@pytest.fixture(scope="module")
def spread(work, tmp_path_factory):  # noqa: F811
    out = tmp_path_factory.mktemp("nodes") / "spread"
    return on_two_nodes(work, out), out


def test_the_work_spreads_over_both_nodes(spread):
    seen, out = spread
    assert seen["first"] >= 1 and seen["second"] >= 1 and not seen["killed"]
    assert verify(str(out))["ok"] == IMAGES
    assert tables.read_manifest(str(out))["actors"] == 2


def test_a_node_that_is_killed_in_the_middle_costs_no_row_and_doubles_none(spread, work, tmp_path):  # noqa: F811
    seen = on_two_nodes(work, tmp_path / "killed", "kill")
    assert seen["killed"] and seen["second"] >= 1
    assert verify(str(tmp_path / "killed")) == {
        "objects": IMAGES,
        "rows": IMAGES,
        "ok": IMAGES,
        "failed": 0,
        "skipped": 0,
    }
    assert rows_of(tmp_path / "killed") == rows_of(spread[1])
