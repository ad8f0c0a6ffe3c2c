"""What a benchmark leaves behind."""

import json
import re

import numpy as np

from benchmarks.results_writer import kept_result, write_result


def test_the_last_line_printed_is_what_was_written(tmp_path, capsys):
    write_result("speed", {"ratio": np.float32(0.5), "cnn": {"auroc": 0.96, "seeds": [1, 2]}}, tmp_path)
    printed = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert printed == json.loads((tmp_path / "speed.json").read_text())
    assert printed["ratio"] == 0.5 and printed["cnn"]["seeds"] == [1, 2]


def test_commit_machine_and_date_are_named(tmp_path):
    result = write_result("speed", {}, tmp_path)
    assert re.fullmatch(r"[0-9a-f]{7,}(-changed)?|unknown", result["commit"])
    assert re.search(r"\d+ cores, \d+ GiB", result["machine"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", result["date"])


def test_what_was_written_is_kept_for_the_next_run_and_nothing_is_nothing(tmp_path):
    assert kept_result("speed", tmp_path) == {}
    assert kept_result("speed", tmp_path) != write_result("speed", {"ratio": 1.5}, tmp_path)
    assert kept_result("speed", tmp_path)["ratio"] == 1.5
