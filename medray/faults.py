"""Faults for tests: MEDRAY_FAULT="STAGE:ACTION:WHEN;…" ends, stops or freezes a process that reaches a stage.

WHEN is a number, the n-th time that the process reaches the stage, or `@ITEM`: whenever that unit or sample is there.
With MEDRAY_FAULT_MARKS, a folder, a numbered fault strikes once in all processes; each leaves a file of its name there.
"""

import contextlib
import os
import re
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn


class Fault(NamedTuple):
    """A line of MEDRAY_FAULT."""

    stage: str
    action: str
    when: str


def _kill(pid: int) -> NoReturn:
    os.kill(pid, signal.SIGKILL)
    _hang()


def _hang() -> NoReturn:
    while True:
        time.sleep(1)


def _interrupt() -> NoReturn:
    raise KeyboardInterrupt


ACTIONS: dict[str, Callable[[], object]] = {
    "kill": lambda: _kill(os.getpid()),
    "segfault": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    "exit": lambda: os._exit(1),
    "stop": _interrupt,  # what Ctrl-C does
    "hang": _hang,
    "hold": lambda: re.match("(a+)+$", "a" * 64 + "b"),  # a hang that never lets go of Python's lock
    "freeze": lambda: os.kill(os.getpid(), signal.SIGSTOP),  # not even an alarm ends it
    "raylet": lambda: _kill(os.getppid()),  # a worker's parent is its node's raylet
}


def faults_of(text: str) -> list[Fault]:
    """The faults that MEDRAY_FAULT asks for."""
    faults = [Fault(*line.split(":", 2)) for line in text.split(";") if line]
    unknown = {fault.action for fault in faults} - ACTIONS.keys()
    assert not unknown, f"MEDRAY_FAULT: {unknown} is none of {sorted(ACTIONS)}"
    return faults


FAULTS = faults_of(os.environ.get("MEDRAY_FAULT", ""))
_reached: Counter[str] = Counter()


def strike(stage: str, items: Sequence[str]) -> None:
    """Do what was asked for at this stage, if anything was."""
    _reached[stage] += 1
    for fault in FAULTS:
        number = fault.when == str(_reached[stage])
        if fault.stage == stage and (number or fault.when[1:] in items) and _marked(fault, once=number):
            ACTIONS[fault.action]()


def _marked(fault: Fault, *, once: bool) -> bool:
    """Leave the fault's mark; whether it may strike (again)."""
    if marks := os.environ.get("MEDRAY_FAULT_MARKS"):
        with contextlib.suppress(FileExistsError):
            (Path(marks) / "-".join(fault)).touch(exist_ok=False)
            return True
        return not once
    return True
