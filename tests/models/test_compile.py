"""torch.compile takes every graph network, `hybrid` and `vig` as one graph, for any batch."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.models.compiled_families import FAMILIES


@pytest.mark.slow
def test_compiled_networks_have_no_graph_break_and_answer_as_plain_ones() -> None:
    """`aot_eager` runs all of the compiler but its code generator, which takes half a minute for a family."""
    command = [sys.executable, "-m", "tests.models.compiled_families", "aot_eager"]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    differences = dict(line.split() for line in done.stdout.splitlines())
    assert {"gat", "hybrid", "vig"} < set(differences) and list(differences) == FAMILIES
    assert max(map(float, differences.values())) < 1e-5
