"""medray/allocator.py: what a process frees it has at once again."""

import os
import subprocess
import sys

import pytest

LOOP = """
import resource, sys
from medray.allocator import keep_freed_memory
import torch
if sys.argv[1] == "kept":
    assert keep_freed_memory()
def forward():
    return [torch.empty(7 * 2**20).fill_(1.0) for _ in range(4)]  # 28 MiB each, all freed at once
for _ in range(6):
    forward()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(8):
    forward()
print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) // 8)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the C library is another one")
def test_tensors_of_28_mib_are_made_again_and_again_without_page_faults() -> None:
    giving_back = os.environ | {"MALLOC_MMAP_THRESHOLD_": "131072", "MALLOC_TRIM_THRESHOLD_": "131072"}

    def faults(how: str) -> int:
        command = [sys.executable, "-c", LOOP, how]
        return int(subprocess.run(command, capture_output=True, text=True, check=True, env=giving_back).stdout)

    assert faults("kept") < 20 < faults("as told")
