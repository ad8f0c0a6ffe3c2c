"""The side of the split that a report is about."""

import pyarrow as pa
import pyarrow.compute as pc

from medray import storage
from medray.errors import SettingsError
from medray.label_settings import SplitSettings
from medray.result_settings import ReportSettings

SPLIT_FILE = "split.parquet"


def with_split(labelled: pa.Table, settings: ReportSettings) -> pa.Table:
    """Rows on the side that the settings ask for.

    The side is that of the labels' split column; without one it is the side on which training put the patient, and a
    patient whom training never saw is on the test side.

    Raises:
        SettingsError: a side is asked for and nothing says who is on it.
    """
    if settings.split == "all":
        return labelled
    names = {name: side for side in ("train", "validation", "test") for name in getattr(SplitSettings(), side)}
    given = labelled["split"].to_pylist()
    from_labels = [names.get(name or "", name) for name in given]
    sides = from_labels if any(given) else _sides_of_training(labelled, settings)
    return labelled.filter(pa.array([side == settings.split for side in sides]))


def _sides_of_training(labelled: pa.Table, settings: ReportSettings) -> list[str]:
    if settings.bundle is None:
        raise SettingsError(
            f"Nothing says which samples are on the {settings.split} side.",
            "Give --bundle (its training knows), labels with a split column, or --split all.",
        )
    found = storage.read_parquet(storage.join(settings.bundle, SPLIT_FILE), ["patient_key", "split"])
    side_of = dict(zip(found["patient_key"].to_pylist(), found["split"].to_pylist(), strict=True))
    return [side_of.get(key, "test") for key in pc.fill_null(labelled["patient_key"], "").to_pylist()]
