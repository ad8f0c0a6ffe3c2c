"""One label for each sample of several frames, out of the labels of its objects."""

import pyarrow as pa
import pyarrow.compute as pc

from medray.errors import LabelError
from medray.image_settings import SampleRecipe
from medray.samples.frame_sets import SAMPLE_KEY, with_sample_keys


def with_sample_labels(joined: pa.Table, sample: SampleRecipe) -> pa.Table:
    """Rows with the label, side and patient of their sample; a label of one object is that of the whole sample.

    Args:
        joined: rows of the index with `label` and `split`, from `join_labels`.
        sample: what a sample is.

    Returns:
        The same rows, with SAMPLE_KEY and KEYED_BY where a sample has several frames.

    Raises:
        LabelError: objects of one sample have different labels.
    """
    if not sample.is_set:
        return joined
    keyed = with_sample_keys(joined, sample)
    known = keyed.filter(pc.is_valid(keyed["label"]))
    facts = ("label", "split", "patient_key")
    grouped = known.group_by(SAMPLE_KEY, use_threads=False).aggregate(
        [("label", "count_distinct"), *((name, "min") for name in facts)]
    )
    different = pc.sum(pc.greater(grouped["label_count_distinct"], 1)).as_py() or 0
    if different:
        raise LabelError(
            f"{different} samples (--recipe.sample.of {sample.of}) have objects of different labels.",
            "Give each one label: --labels.join series_instance_uid, study_instance_uid or patient.",
        )
    place = pc.index_in(keyed[SAMPLE_KEY], value_set=grouped[SAMPLE_KEY].combine_chunks())
    for name in facts:
        found = grouped[f"{name}_min"].take(place)
        column = pc.coalesce(found, keyed[name]) if name == "patient_key" else found
        keyed = keyed.set_column(keyed.column_names.index(name), keyed.schema.field(name), column)
    return keyed
