"""The stage that work has reached, told to whoever watches over this process; tests strike there (`faults`)."""

from collections.abc import Callable

from medray import faults

watchers: list[Callable[[str], None]] = []
"""Called with the name of each stage that this process reaches."""


def reach(stage: str, *items: str) -> None:
    """Say that work has reached a stage, or has got on within it.

    Args:
        stage: its name: `read`, `decode`, `graph`, `forward`, `write` …
        items: ids of the units or samples under way.
    """
    for tell in watchers:
        tell(stage)
    if faults.FAULTS:
        faults.strike(stage, items)
