import os
import subprocess
import sys
import tempfile
from pathlib import Path

from medray.pipelines.cluster import _own_folder


def test_folders_of_processes_that_were_killed_are_removed_and_those_of_living_ones_stay(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    dead, alive = tmp_path / f"medray-{int(ended.stdout)}-abc", tmp_path / f"medray-{os.getppid()}-abc"
    for folder in (dead, alive):
        folder.mkdir()
    mine = Path(_own_folder())
    assert (dead.exists(), alive.exists(), mine.parent) == (False, True, tmp_path)


def test_debug_keeps_the_logs_out_of_that_sweep(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("MEDRAY_KEEP_RAY_LOGS", "1")
    assert Path(_own_folder()).name.startswith("medray-debug-")
