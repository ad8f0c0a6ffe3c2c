"""Who trains, validates and tests: by patient, linked through shared studies, dealt out by keyed hash."""

import hashlib
from collections import defaultdict

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from medray.archive.dealing import TEST, TRAIN, VALIDATION, Groups, deal, named
from medray.errors import LabelError, LeakError
from medray.label_settings import SplitSettings

SHOWN = 5
NAMES_SHOWN_AT_MOST = 10
UNKEYED = b"medray split without a key"


def assign_splits(labelled: pa.Table, settings: SplitSettings, key: bytes = UNKEYED) -> pa.Table:
    """The column `split` as train, validation, test or null (no label, or no side).

    Where the labels name sides, they hold; without a validation side, patients of the training side are dealt to it.
    Else patients are dealt out by keyed hash, of each class alike. The result does not depend on the rows' order.

    Raises:
        LeakError: the labels put one patient on two sides.
        LabelError: names of sides that the settings do not list, a class with a single patient or none that trains.
    """
    names = pc.if_else(pc.is_valid(labelled["label"]), labelled["split"], None).to_pylist()
    sides = _named_sides(names, settings)
    given = {side for side in sides if side}
    fractions = {TEST: settings.test_fraction, VALIDATION: settings.validation_fraction}
    if not given:
        sides = _dealt(labelled, pc.is_valid(labelled["label"]).to_pylist(), fractions, settings.seed, key)
    elif VALIDATION not in given and TRAIN in given and settings.validation_fraction > 0:
        check_no_leak(_with_split(labelled, sides))
        train = [side == TRAIN for side in sides]
        dealt = _dealt(labelled, train, {VALIDATION: settings.validation_fraction}, settings.seed, key)
        sides = [new or old for new, old in zip(dealt, sides, strict=True)]
    table = _with_split(labelled, sides)
    check_no_leak(table)
    _refuse_untrained_classes(table)
    return table


def _with_split(table: pa.Table, sides: list[str | None]) -> pa.Table:
    column = table.column_names.index("split")
    return table.set_column(column, "split", pa.array(sides, pa.string()))


def patient_groups(table: pa.Table) -> np.ndarray:
    """A group number a row: rows of one patient or of one study are in one group, also in a roundabout way."""
    rows = len(table)
    patients = _patients(table).combine_chunks().dictionary_encode()
    studies = table["study_key"].combine_chunks().dictionary_encode()
    patient = patients.indices.to_numpy()
    study = pc.fill_null(studies.indices, -1).to_numpy()
    linked = study >= 0
    count = len(patients.dictionary) + len(studies.dictionary)
    ends = patient[linked], study[linked] + len(patients.dictionary)
    links = coo_array((np.ones(linked.sum(), np.int8), ends), shape=(count, count))
    component = connected_components(links, directed=False)[1] if rows else np.zeros(0, np.int32)
    return np.asarray(component[patient])


def _patients(table: pa.Table) -> pa.ChunkedArray:
    return pc.coalesce(table["patient_key"], table["object_id"])


def _named_sides(names: list[str | None], settings: SplitSettings) -> list[str | None]:
    listed = {TRAIN: settings.train, VALIDATION: settings.validation, TEST: settings.test}
    meaning = {name: side for side, given in listed.items() for name in given}
    unknown = sorted({name for name in names if name is not None} - meaning.keys())
    if unknown:
        shown = f" ({', '.join(map(repr, unknown))})" if len(unknown) <= NAMES_SHOWN_AT_MOST else ""
        raise LabelError(
            f"The split column has {len(unknown)} names{shown} that no side lists.",
            "List them: --split.train, --split.validation, --split.test.",
        )
    return [meaning[name] if name is not None else None for name in names]


def _dealt(table: pa.Table, usable: list[bool], fractions: dict[str, float], seed: int, key: bytes) -> list[str | None]:
    """A side for each usable row; null for the others."""
    groups = patient_groups(table)
    patients, labels = _patients(table).to_pylist(), table["label"].to_pylist()
    classes: dict[int, set[str]] = defaultdict(set)
    first: dict[int, str] = {}
    for group, patient, label, used in zip(groups.tolist(), patients, labels, usable, strict=True):
        if used:
            classes[group].add(label)
            first[group] = min(first.get(group, patient), patient)
    named_groups: Groups = {first[group]: frozenset(found) for group, found in classes.items()}
    sides = deal(named_groups, fractions, seed, key)
    return [sides[first[group]] if used else None for group, used in zip(groups.tolist(), usable, strict=True)]


def check_no_leak(table: pa.Table) -> None:
    """Refuse a table in which a patient, or patients linked by a study, stand on two sides.

    Raises:
        LeakError: with keyed hashes of the first five.
    """
    sided = table.filter(pc.is_valid(table["split"]))
    groups = pa.array(patient_groups(table)).filter(pc.is_valid(table["split"]).combine_chunks())
    found = pa.table({"group": groups, "side": sided["split"], "patient": sided["patient_key"]})
    sides = found.group_by("group").aggregate([("side", "count_distinct")])
    leaking = sides.filter(pc.greater(sides["side_count_distinct"], 1))["group"]
    if not len(leaking):
        return
    patients = found.filter(pc.is_in(found["group"], value_set=leaking.combine_chunks()))["patient"]
    keys = sorted({key for key in patients.to_pylist() if key})[:SHOWN]
    raise LeakError(
        f"{len(leaking)} patients (or patients linked by a study) stand on two sides of the split; "
        f"patient_key {', '.join(keys)}{' …' if len(leaking) > SHOWN else ''}.",
        "Correct the labels' split column, or leave it out to let medray split by patient.",
    )


def _refuse_untrained_classes(table: pa.Table) -> None:
    side = table["split"]
    every = set(table["label"].filter(pc.is_valid(side)).to_pylist())
    if not every:
        raise LabelError("No image has a label and a side of the split.", "Check --labels and --split.")
    trained = set(table["label"].filter(pc.fill_null(pc.equal(side, TRAIN), False)).to_pylist())
    missing = sorted(every - trained)
    if missing:
        raise LabelError(
            f"{named(missing, len(every))} no image on the training side.",
            "Name the sides that train with --split.train, or leave the class out of the labels.",
        )


def split_hash(table: pa.Table) -> str:
    """16 hexadecimal digits that change when any object changes its side; independent of the rows' order."""
    pairs = zip(table["object_id"].to_pylist(), table["split"].to_pylist(), strict=True)
    lines = sorted(f"{name}:{side}" for name, side in pairs if side is not None)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
