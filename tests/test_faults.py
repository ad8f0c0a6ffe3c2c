"""MEDRAY_FAULT ends, stops or freezes a process at the stage it names, as often as it says; without it, nothing."""

import os
import signal
import subprocess
import sys

import pytest

from medray.faults import Fault, faults_of

THREE_TIMES = """
import signal
from medray import stages
signal.setitimer(signal.ITIMER_REAL, 1)
for number in range(3):
    print(number, flush=True)
    stages.reach("forward", "one", f"sample {number}")
"""


def _run(fault, **more):
    environment = os.environ | {"MEDRAY_FAULT": fault} | more
    done = subprocess.run([sys.executable, "-c", THREE_TIMES], env=environment, capture_output=True, text=True)
    return done.returncode, done.stdout.split()


@pytest.mark.parametrize(
    ("action", "code"),
    [
        ("kill", -signal.SIGKILL),
        ("segfault", -signal.SIGSEGV),
        ("exit", 1),
        ("stop", -signal.SIGINT),
        ("hang", -signal.SIGALRM),
        ("hold", -signal.SIGALRM),
    ],
)
def test_each_action_ends_the_process_at_the_second_time(action, code):
    assert _run(f"write:exit:1;forward:{action}:2") == (code, ["0", "1"])


def test_a_frozen_process_outlives_its_alarm_and_goes_on():
    environment = os.environ | {"MEDRAY_FAULT": "forward:freeze:1"}
    with subprocess.Popen([sys.executable, "-c", THREE_TIMES], env=environment, stdout=subprocess.DEVNULL) as process:
        _, status = os.waitpid(process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        process.kill()


def test_without_a_fault_nothing_happens():
    assert _run("") == (0, ["0", "1", "2"])


def test_an_item_strikes_whenever_it_is_there():
    assert _run("forward:exit:@sample 1") == (1, ["0", "1"])
    assert _run("forward:exit:@sample") == (0, ["0", "1", "2"])


def test_a_numbered_fault_with_marks_strikes_once_in_all_processes_and_an_item_each_time(tmp_path):
    marks = {"MEDRAY_FAULT_MARKS": str(tmp_path)}
    assert [_run("forward:exit:2", **marks)[0] for _ in range(3)] == [1, 0, 0]
    assert [_run("forward:exit:@one", **marks)[0] for _ in range(3)] == [1, 1, 1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["forward-exit-2", "forward-exit-@one"]


def test_faults_are_read_and_unknown_actions_refused():
    assert faults_of("read:kill:3;write:hang:@a:0") == [Fault("read", "kill", "3"), Fault("write", "hang", "@a:0")]
    with pytest.raises(AssertionError, match="is none of"):
        faults_of("read:burn:1")
