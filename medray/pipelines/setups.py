"""The setups of a job: each worker leaves what decides the last bits of its numbers, and the manifest gathers them."""

from typing import Any

from medray import storage, tables
from medray.scoring.provenance import setup_id, setup_of
from medray.settings import Recipe, ScoreSettings


def record_setup(settings: ScoreSettings, recipe: Recipe, device: str) -> None:
    """Leave this process's setup beside the part files; of equal ones the last stays."""
    setup = setup_of(settings.samples_a_pass(recipe), device, settings.decode)
    storage.write_json(storage.join(settings.out, tables.PARTS, f"setup-{setup_id(setup)}.json"), setup)


def recorded_setups(out: str) -> dict[str, dict[str, Any]]:
    """The setups that workers left, by their ids; until the table is finished."""
    folder = storage.join(out, tables.PARTS)
    names = [name for name in storage.names(folder) if name.startswith("setup-") and name.endswith(".json")]
    return {name[len("setup-") : -len(".json")]: storage.read_json(storage.join(folder, name)) for name in names}
