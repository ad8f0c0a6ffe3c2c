"""A large index in waves of units: one is worked on while the next is cut, and memory does not grow with the index."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, islice, repeat

import pyarrow as pa

from medray import storage
from medray.image_settings import SampleRecipe
from medray.pipelines.units import PLAN, PlannedUnit, plan_uri, read_plan_file, write_plan_file
from medray.samples.frame_sets import sample_slices
from medray.samples.units import Unit, cut_units

SLICE_ROWS = 8192  # of the index: cut in a tenth of a second, in 60 MB
SLICES_A_WAVE = (4, 32)  # of the first waves, so that work starts at once; each starts its actors anew
SLICES_OF_LATER_WAVES = 128
PART_ROWS, PARTS_HELD = (
    131_072,
    8,
)  # of an index whose samples have several frames, for which it is read again and again

Cut = Callable[[pa.Table, int], Iterable[Unit]]


def planned_waves(
    out: str, slices: Iterable[pa.Table], unit_bytes: int, cut: Cut = cut_units
) -> Iterator[list[PlannedUnit]]:
    """The units of an index, a wave at a time; the next wave is cut in a thread while this one is worked on.

    A slice is cut once and kept as a file of the plan: another run of the job works on the same units, also on another
    machine. A unit never spans slices.

    Args:
        out: the job's folder.
        slices: rows of the index, in its order, the same ones in each run.
        unit_bytes: bound of a unit.
        cut: rows and that bound to units.
    """
    waves = _waves(_planned_slices(out, slices, unit_bytes, cut))
    with ThreadPoolExecutor(1, thread_name_prefix="medray-plan") as thread:
        coming = thread.submit(next, waves, None)
        while (wave := coming.result()) is not None:
            coming = thread.submit(next, waves, None)
            yield wave


def slices_of_samples(read: Callable[[], Iterable[pa.Table]], objects: int, sample: SampleRecipe) -> Iterator[pa.Table]:
    """An index in slices that hold whole samples, the same ones in each run.

    Where samples have several frames, each slice is a part of about PART_ROWS, by the samples' keys, and the index is
    read once for PARTS_HELD of them: rows of a series may lie anywhere in it.

    Args:
        read: the rows of the index, a slice at a time.
        objects: rows of the index.
        sample: what a sample is.
    """
    if not sample.is_set:
        yield from read()
        return
    number = max(1, -(-objects // PART_ROWS))
    for first in range(0, number, PARTS_HELD):
        yield from sample_slices(read(), sample, number=number, first=first, held=PARTS_HELD)


def _waves(slices: Iterator[list[PlannedUnit]]) -> Iterator[list[PlannedUnit]]:
    for count in chain(SLICES_A_WAVE, repeat(SLICES_OF_LATER_WAVES)):
        taken = list(islice(slices, count))
        if not taken:
            return
        yield [unit for units in taken for unit in units]


def _planned_slices(out: str, slices: Iterable[pa.Table], unit_bytes: int, cut: Cut) -> Iterator[list[PlannedUnit]]:
    kept = set(storage.names(storage.join(out, PLAN)))
    for number, rows in enumerate(slices):
        if plan_uri("", number).rpartition("/")[2] in kept:
            yield read_plan_file(out, number)
        elif rows.num_rows:
            yield write_plan_file(out, number, list(cut(rows, unit_bytes)))
        else:
            yield []
