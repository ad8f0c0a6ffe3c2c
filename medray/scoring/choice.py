"""Which samples are explained: a choice that the finished predictions decide alone."""

from collections.abc import Sequence
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

Chosen = Literal["top", "flagged", "all"]

TO_CHOOSE = ["sample_id", "object_id", "frame", "status", "label", "probabilities"]
"""Columns of the predictions that the choice rests on."""


def choose_explained(predictions: pa.Table, which: Chosen, top: int, classes: Sequence[str]) -> pa.Table:
    """The samples to explain, each once; what they are explained for is their predicted class.

    Args:
        predictions: the columns TO_CHOOSE.
        which: `all`, `flagged` (predicted as any class but the first, in binary tasks at the threshold), or `top`.
        top: answers of each class that `top` takes, the surest first; ties go by sample id.
        classes: in the order of the probabilities.

    Returns:
        `object_id`, `frame`, `label`, `sample_id` of scored samples.
    """
    scored = predictions.filter(pc.equal(predictions["status"], "ok"))
    if which == "flagged":
        scored = scored.filter(pc.not_equal(scored["label"], classes[0]))
    elif which == "top":
        scored = pa.concat_tables(
            _surest(scored.filter(pc.equal(scored["label"], name)), number, top) for number, name in enumerate(classes)
        )
    return scored.select(["object_id", "frame", "label", "sample_id"])


def _surest(answers: pa.Table, class_number: int, top: int) -> pa.Table:
    sureness = pc.list_element(answers["probabilities"], class_number)
    order = [("sureness", "descending"), ("sample_id", "ascending")]
    return answers.append_column("sureness", sureness).sort_by(order).slice(0, top).drop_columns(["sureness"])


def rows_to_explain(index: pa.Table, chosen: pa.Table) -> pa.Table:
    """The rows of an index with a chosen frame; `chosen_frames` and `chosen_labels` say which, and of which class."""
    by_object = chosen.group_by("object_id", use_threads=False).aggregate([("frame", "list"), ("label", "list")])
    place = pc.index_in(index["object_id"], value_set=by_object["object_id"].combine_chunks())
    rows, place = index.filter(pc.is_valid(place)), place.drop_null()
    rows = rows.append_column("chosen_frames", by_object["frame_list"].take(place))
    return rows.append_column("chosen_labels", by_object["label_list"].take(place))
